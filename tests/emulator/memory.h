// Device memory: allocations with guards around them, so that reads and writes out of bounds are found.
//
// Uninitialized memory is all ones: a NaN, or a conspicuous number. An allocation has pages of its own. The rest of
// these pages is a guard zone: a write there is reported after the launch, with its position, and a read returns a
// pattern. The pages around them and around freed allocations are inaccessible.
#pragma once
#include "pages.h"

#include <cstdint>
#include <cstring>
#include <deque>
#include <iterator>
#include <map>
#include <string>

namespace emulator {

constexpr unsigned char ZONE = 0xa5;
// Alignment of allocations, as on a GPU. An allocation whose size is not a multiple of it is followed by a zone.
constexpr std::size_t ALIGNMENT = 256;
// Freed allocations whose addresses are not reused yet.
constexpr std::size_t REMEMBERED = 512;

// `size` bytes, all ones, with zones and inaccessible pages around them.
struct Allocation {
    explicit Allocation(std::size_t size, std::size_t alignment = ALIGNMENT)
        : bytes(size), pages(size), body(pages.end() - (size + alignment - 1) / alignment * alignment) {
        std::memset(pages.begin(), ZONE, static_cast<std::size_t>(body - pages.begin()));
        std::memset(body, 0xff, bytes);
        std::memset(body + bytes, ZONE, static_cast<std::size_t>(pages.end() - body) - bytes);
    }

    // Describes a write to a zone, or returns nothing.
    std::string damage() const {
        for (const unsigned char* at = body; at > pages.begin(); --at) {
            if (at[-1] != ZONE) return described("written", at - 1);
        }
        for (const unsigned char* at = body + bytes; at < pages.end(); ++at) {
            if (*at != ZONE) return described("written", at);
        }
        return {};
    }

    // Describes the position of `at` relative to the allocation.
    std::string described(const char* what, const unsigned char* at) const {
        const bool before = at < body;
        return "an allocation of " + std::to_string(bytes) + " bytes was " + what + " " +
               std::to_string(before ? body - at : at - (body + bytes)) + " bytes " +
               (before ? "before its start" : "after its end");
    }

    std::size_t bytes;
    Pages pages;
    unsigned char* body;
};

class Memory {
public:
    // Allocates uninitialized memory.
    void* allocate(std::size_t bytes) {
        Allocation allocation(bytes);
        unsigned char* body = allocation.body;
        allocations.emplace(body, std::move(allocation));
        held += bytes;
        return body;
    }

    // Frees the allocation at `at`; false if there is none.
    bool free(void* at) {
        auto found = allocations.find(static_cast<unsigned char*>(at));
        if (found == allocations.end()) return false;
        held -= found->second.bytes;
        found->second.pages.close();
        freed.push_back(std::move(found->second));
        allocations.erase(found);
        if (freed.size() > REMEMBERED) freed.pop_front();
        return true;
    }

    // Returns the bytes of all allocations.
    std::size_t in_use() const { return held; }

    // Whether `bytes` from `at` on are in one allocation, so that a copy may access them.
    bool holds(const void* at, std::size_t bytes) const {
        const auto* first = static_cast<const unsigned char*>(at);
        auto next = allocations.upper_bound(const_cast<unsigned char*>(first));
        if (next == allocations.begin()) return false;
        const auto& [body, allocation] = *std::prev(next);
        const auto offset = static_cast<std::size_t>(first - body);
        return offset <= allocation.bytes && bytes <= allocation.bytes - offset;
    }

    // Describes a write out of bounds of any allocation, or returns nothing.
    std::string damage() const {
        for (const auto& [body, allocation] : allocations) {
            const std::string damage = allocation.damage();
            if (!damage.empty()) return damage;
        }
        return {};
    }

    // Describes an inaccessible address; returns nothing if it belongs to no allocation.
    std::string around(const void* at) const {
        const auto* byte = static_cast<const unsigned char*>(at);
        for (const auto& [body, allocation] : allocations) {
            if (allocation.pages.around(at)) return allocation.described("read or written", byte);
        }
        for (const Allocation& allocation : freed) {
            if (!allocation.pages.around(at)) continue;
            const std::string bytes = std::to_string(allocation.bytes);
            return "an allocation of " + bytes + " bytes was read or written after it was freed";
        }
        return {};
    }

private:
    std::map<unsigned char*, Allocation> allocations;
    std::deque<Allocation> freed;
    std::size_t held = 0;
};

} // namespace emulator
