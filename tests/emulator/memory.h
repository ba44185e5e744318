// Device memory: allocations that lie apart, so that what is read or written beside one is found.
//
// What nobody wrote is all ones: a NaN, or a number that stands out. An allocation begins and ends within pages of its
// own. What is left of these is a zone that a kernel has no business in: a write there is reported after the launch,
// with its place, and a read gets a pattern of its own. The pages around them, and those of what was freed, cannot be
// touched at all.
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
// Allocations begin at multiples of this, as those of a GPU do. One that is no multiple of it ends in a zone.
constexpr std::size_t ALIGNMENT = 256;
// Freed allocations whose addresses are not given to others yet.
constexpr std::size_t REMEMBERED = 512;

// Memory of so many bytes, all ones, with zones and closed pages around it.
struct Allocation {
    explicit Allocation(std::size_t size, std::size_t alignment = ALIGNMENT)
        : bytes(size), pages(size), body(pages.end() - (size + alignment - 1) / alignment * alignment) {
        std::memset(pages.begin(), ZONE, static_cast<std::size_t>(body - pages.begin()));
        std::memset(body, 0xff, bytes);
        std::memset(body + bytes, ZONE, static_cast<std::size_t>(pages.end() - body) - bytes);
    }

    // How far from it somebody wrote, or nothing.
    std::string damage() const {
        for (const unsigned char* at = body; at > pages.begin(); --at) {
            if (at[-1] != ZONE) return described("written", at - 1);
        }
        for (const unsigned char* at = body + bytes; at < pages.end(); ++at) {
            if (*at != ZONE) return described("written", at);
        }
        return {};
    }

    // Where `at` lies beside it.
    std::string described(const char* what, const unsigned char* at) const {
        const bool before = at < body;
        return "an allocation of " + std::to_string(bytes) + " bytes was " + what + " " +
               std::to_string(before ? body - at : at - (body + bytes)) + " bytes " +
               (before ? "before its start" : "behind its end");
    }

    std::size_t bytes;
    Pages pages;
    unsigned char* body;
};

class Memory {
public:
    // `bytes` that nobody wrote.
    void* allocate(std::size_t bytes) {
        Allocation allocation(bytes);
        unsigned char* body = allocation.body;
        allocations.emplace(body, std::move(allocation));
        held += bytes;
        return body;
    }

    // Whether `at` was allocated, and is no longer.
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

    // Bytes of all allocations.
    std::size_t in_use() const { return held; }

    // Whether `bytes` from `at` on lie in one allocation: what a copy may touch.
    bool holds(const void* at, std::size_t bytes) const {
        const auto* first = static_cast<const unsigned char*>(at);
        auto next = allocations.upper_bound(const_cast<unsigned char*>(first));
        if (next == allocations.begin()) return false;
        const auto& [body, allocation] = *std::prev(next);
        const auto offset = static_cast<std::size_t>(first - body);
        return offset <= allocation.bytes && bytes <= allocation.bytes - offset;
    }

    // Which allocation was written beside, and how far from it; or nothing.
    std::string damage() const {
        for (const auto& [body, allocation] : allocations) {
            const std::string damage = allocation.damage();
            if (!damage.empty()) return damage;
        }
        return {};
    }

    // What an address is that cannot be touched; nothing, if it has to do with no allocation.
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
