// Environment variables of the emulated libraries.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstdlib>

namespace emulator {

constexpr int MAX_DEVICES = 16;

inline unsigned long long number(const char* variable, unsigned long long otherwise) {
    const char* text = std::getenv(variable);
    return text && *text ? std::strtoull(text, nullptr, 0) : otherwise;
}

// The value of EMULATED_DEVICES, or 1 if it is not set.
inline int number_of_devices() {
    const auto devices = number("EMULATED_DEVICES", 1);
    return static_cast<int>(devices < MAX_DEVICES ? devices : MAX_DEVICES);
}

// Memory of each device in bytes: the value of EMULATED_MEMORY, or 1 GiB if it is not set.
inline std::size_t memory_bytes() { return static_cast<std::size_t>(number("EMULATED_MEMORY", 1ull << 30)); }

// Whether the devices have memory pools: unless EMULATED_POOLS is 0.
inline bool pools_supported() { return number("EMULATED_POOLS", 1) != 0; }

// CUDA versions of the driver and of NVRTC, as cuda.h writes them: 13000 is 13.0.
inline int driver_version() { return static_cast<int>(number("EMULATED_DRIVER_VERSION", 13000)); }
inline int nvrtc_version() { return static_cast<int>(number("EMULATED_NVRTC_VERSION", 13000)); }

// The seed of a run of numbers that is the same in every run of the program: its number is `nth`. The value of
// EMULATED_SEED if that is set; 0 asks for order.
inline std::uint64_t seed(std::uint64_t nth) {
    std::uint64_t seed = nth * 0x9e3779b97f4a7c15u;
    seed = (seed ^ seed >> 30) * 0xbf58476d1ce4e5b9u;
    return number("EMULATED_SEED", seed >> 32 | 1);
}

} // namespace emulator
