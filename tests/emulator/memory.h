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

struct Pool;

// `size` bytes, all ones, with zones and inaccessible pages around them; inaccessible itself until `open` if it is made
// with `accessible` false.
struct Allocation {
    explicit Allocation(std::size_t size, std::size_t alignment = ALIGNMENT, bool accessible = true)
        : bytes(size), pages(size, false), body(pages.end() - (size + alignment - 1) / alignment * alignment) {
        if (accessible) open();
    }

    void open() {
        pages.open();
        is_open = true;
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
    // Whether the allocation has come in the order of its stream, and whether a call has freed it already.
    bool is_open = false, is_freed = false;
    // The pool that it is of, if it is of one.
    Pool* pool = nullptr;
};

class Memory {
public:
    // Allocates uninitialized memory.
    void* allocate(std::size_t bytes) { return add(Allocation(bytes)); }

    // Allocates memory that stays inaccessible until `open`: an allocation in the order of a stream.
    void* reserve(std::size_t bytes, Pool* pool) {
        Allocation allocation(bytes, ALIGNMENT, false);
        allocation.pool = pool;
        return add(std::move(allocation));
    }

    // Frees the allocation at `at`; false if there is none.
    bool free(void* at) {
        auto found = allocations.find(static_cast<unsigned char*>(at));
        if (found == allocations.end()) return false;
        found->second.pages.close();
        freed.push_back(std::move(found->second));
        allocations.erase(found);
        if (freed.size() > REMEMBERED) freed.pop_front();
        return true;
    }

    // Returns the allocation that begins at `at`, or null.
    Allocation* starting(void* at) {
        const auto found = allocations.find(static_cast<unsigned char*>(at));
        return found == allocations.end() ? nullptr : &found->second;
    }

    // Returns the allocation that has `bytes` from `at` on, or null.
    const Allocation* containing(const void* at, std::size_t bytes) const {
        const auto* first = static_cast<const unsigned char*>(at);
        auto next = allocations.upper_bound(const_cast<unsigned char*>(first));
        if (next == allocations.begin()) return nullptr;
        const auto& [body, allocation] = *std::prev(next);
        const auto offset = static_cast<std::size_t>(first - body);
        return offset <= allocation.bytes && bytes <= allocation.bytes - offset ? &allocation : nullptr;
    }

    // Whether `bytes` from `at` on are in one allocation, so that a copy may access them.
    bool holds(const void* at, std::size_t bytes) const {
        const Allocation* allocation = containing(at, bytes);
        return allocation && allocation->is_open;
    }

    template <class Work> void each(Work work) const {
        for (const auto& [body, allocation] : allocations) work(allocation);
    }

    // Describes a write out of bounds of any allocation, or returns nothing.
    std::string damage() const {
        for (const auto& [body, allocation] : allocations) {
            const std::string damage = allocation.is_open ? allocation.damage() : "";
            if (!damage.empty()) return damage;
        }
        return {};
    }

    // Describes an inaccessible address; returns nothing if it belongs to no allocation.
    std::string around(const void* at) const {
        const auto* byte = static_cast<const unsigned char*>(at);
        for (const auto& [body, allocation] : allocations) {
            if (!allocation.pages.around(at)) continue;
            if (allocation.is_open) return allocation.described("read or written", byte);
            return "an allocation of " + std::to_string(allocation.bytes) +
                   " bytes was read or written before the work of its stream that allocates it";
        }
        for (const Allocation& allocation : freed) {
            if (!allocation.pages.around(at)) continue;
            const std::string bytes = std::to_string(allocation.bytes);
            return "an allocation of " + bytes + " bytes was read or written after it was freed";
        }
        return {};
    }

private:
    void* add(Allocation allocation) {
        unsigned char* body = allocation.body;
        allocations.emplace(body, std::move(allocation));
        return body;
    }

    std::map<unsigned char*, Allocation> allocations;
    std::deque<Allocation> freed;
};

} // namespace emulator
