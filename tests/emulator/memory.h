// Device memory: allocations that lie apart, so that what is written beside one is found.
//
// What nobody wrote is all ones: a NaN, or a number that stands out. Around each allocation lies a zone that a kernel has
// no business in; a write there is reported after the launch, with its place. A read there gets a pattern of its own.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <string>

namespace emulator {

// Bytes on either side of an allocation: a row of the widest vectors that tests have.
constexpr std::size_t ZONE_BYTES = 4096;
constexpr unsigned char ZONE = 0xa5;
// Allocations begin at multiples of this, as those of a GPU do.
constexpr std::size_t ALIGNMENT = 256;

class Memory {
public:
    // `bytes` that nobody wrote.
    void* allocate(std::size_t bytes) {
        Allocation allocation{bytes, std::unique_ptr<unsigned char[]>(new unsigned char[bytes + room])};
        const auto start = reinterpret_cast<std::uintptr_t>(allocation.whole.get()) + ZONE_BYTES;
        auto* body = reinterpret_cast<unsigned char*>((start + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
        std::memset(allocation.whole.get(), ZONE, bytes + room);
        std::memset(body, 0xff, bytes);
        allocations.emplace(body, std::move(allocation));
        return body;
    }

    // Whether `at` was allocated, and is no longer.
    bool free(void* at) { return allocations.erase(static_cast<unsigned char*>(at)) > 0; }

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
            const unsigned char* behind = body + allocation.bytes;
            for (std::size_t i = 0; i < ZONE_BYTES; ++i) {
                if (body[-1 - static_cast<std::ptrdiff_t>(i)] != ZONE) return report(allocation, i + 1, "before its start");
                if (behind[i] != ZONE) return report(allocation, i, "behind its end");
            }
        }
        return {};
    }

private:
    struct Allocation {
        std::size_t bytes;
        std::unique_ptr<unsigned char[]> whole;
    };

    static constexpr std::size_t room = 2 * ZONE_BYTES + ALIGNMENT;

    static std::string report(const Allocation& allocation, std::size_t distance, const char* where) {
        return "an allocation of " + std::to_string(allocation.bytes) + " bytes was written " +
               std::to_string(distance) + " bytes " + where;
    }

    std::map<unsigned char*, Allocation> allocations;
};

} // namespace emulator
