// Pinned host memory: ranges that copies read and write when the stream comes to them, not when they are called.
#pragma once
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>

namespace emulator {

class Pinned {
public:
    // Adds a range; false if it overlaps one. `owned`: it was allocated here, not registered.
    bool add(const void* at, std::size_t bytes, bool owned) {
        const auto first = reinterpret_cast<std::uintptr_t>(at);
        const auto next = ranges.upper_bound(first);
        if (next != ranges.end() && next->first < first + bytes) return false;
        if (next != ranges.begin()) {
            const auto& [begin, range] = *std::prev(next);
            if (begin + range.bytes > first) return false;
        }
        ranges.emplace(first, Range{bytes, owned});
        return true;
    }

    // Removes the range at `at`; false if there is none, or the other kind of call made it.
    bool remove(const void* at, bool owned) {
        const auto found = ranges.find(reinterpret_cast<std::uintptr_t>(at));
        if (found == ranges.end() || found->second.owned != owned) return false;
        ranges.erase(found);
        return true;
    }

    // Whether all of `bytes` from `at` on are in one range: a copy of a part only is one of pageable memory.
    bool holds(const void* at, std::size_t bytes) const {
        const auto first = reinterpret_cast<std::uintptr_t>(at);
        const auto next = ranges.upper_bound(first);
        if (next == ranges.begin()) return false;
        const auto& [begin, range] = *std::prev(next);
        const std::size_t offset = first - begin;
        return offset <= range.bytes && bytes <= range.bytes - offset;
    }

private:
    struct Range {
        std::size_t bytes;
        bool owned;
    };
    std::map<std::uintptr_t, Range> ranges;
};

// All devices may use it, as with CU_MEMHOSTALLOC_PORTABLE.
inline Pinned pinned;

} // namespace emulator
