// Memory pools: what an allocation in the order of a stream takes from a device, and what stays taken after its free.
//
// Addresses are never used again, so a kernel that keeps a pointer to freed memory is found; a pool only counts bytes.
#pragma once
#include "settings.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace emulator {

// CUmemPool_attribute.
enum PoolAttribute {
    FIRST_REUSE = 1,
    LAST_REUSE = 3,
    RELEASE_THRESHOLD = 4,
    RESERVED = 5,
    RESERVED_HIGH = 6,
    USED = 7,
    USED_HIGH = 8,
};

struct Pool {
    // Limit on the bytes that it reserves; 0: none.
    std::uint64_t most = 0;
    // Bytes that it keeps when a call waits, although no allocation has them.
    std::uint64_t threshold = 0;
    std::uint64_t reserved = 0, reserved_high = 0, used = 0, used_high = 0;
    int reuse[LAST_REUSE - FIRST_REUSE + 1] = {1, 1, 1};
    bool destroyed = false;

    // Bytes that `bytes` more would take from the device.
    std::uint64_t lacks(std::uint64_t bytes) const { return used + bytes > reserved ? used + bytes - reserved : 0; }

    void take(std::uint64_t bytes) {
        used += bytes;
        used_high = std::max(used_high, used);
        reserved = std::max(reserved, used);
        reserved_high = std::max(reserved_high, reserved);
    }

    void give(std::uint64_t bytes) { used -= bytes; }

    // Returns unused bytes to the device, down to `kept`.
    void trim(std::uint64_t kept) { reserved = std::max(used, std::min(reserved, kept)); }

    // Reads an attribute into `value`, or writes it; false if it has none of that number, or it can only be read.
    bool get(int attribute, void* value) const {
        if (attribute >= FIRST_REUSE && attribute <= LAST_REUSE) {
            *static_cast<int*>(value) = reuse[attribute - FIRST_REUSE];
            return true;
        }
        const std::uint64_t values[] = {threshold, reserved, reserved_high, used, used_high};
        if (attribute < RELEASE_THRESHOLD || attribute > USED_HIGH) return false;
        *static_cast<std::uint64_t*>(value) = values[attribute - RELEASE_THRESHOLD];
        return true;
    }
    bool set(int attribute, const void* value) {
        if (attribute >= FIRST_REUSE && attribute <= LAST_REUSE) {
            reuse[attribute - FIRST_REUSE] = *static_cast<const int*>(value);
            return true;
        }
        const std::uint64_t number = *static_cast<const std::uint64_t*>(value);
        if (attribute == RELEASE_THRESHOLD) threshold = number;
        // The high marks can only be reset.
        else if (attribute == RESERVED_HIGH && number == 0) reserved_high = reserved;
        else if (attribute == USED_HIGH && number == 0) used_high = used;
        else return false;
        return true;
    }
};

} // namespace emulator
