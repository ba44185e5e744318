// What a compiled kernel and the machine that runs it know of each other.
//
// Kernels are compiled apart, each to a library of its own, many times over: no header of the C or C++ library is read
// here, both for the time that it takes and because NVRTC has none of their names either.
#pragma once

struct uint3 {
    unsigned x, y, z;
};
struct dim3 {
    unsigned x = 1, y = 1, z = 1;
};

namespace emulator {

// Grows with every change of what follows: a kernel that was compiled for another machine is not loaded.
constexpr unsigned INTERFACE = 1;

// Bytes that a lane can hand in to an operation of its warp, and get from it.
constexpr unsigned LANE_BYTES = 64;

// What lanes of a warp compute together, once all have handed in their values.
struct Operation {
    const char* name;
    unsigned value_bytes, result_bytes;
    // Whether it takes all 32 lanes.
    bool whole;
    // From the values of the lanes in `mask`, LANE_BYTES apart, to their results, as far apart. The machine calls it
    // once, on behalf of the lane that came last. False if the lanes broke a rule.
    bool (*compute)(unsigned mask, const unsigned char* values, unsigned char* results);
};

// The machine as a kernel sees it: where its thread stands, and what it may ask for.
struct Machine {
    uint3 thread, block;
    dim3 threads, blocks;
    unsigned lane;
    void* dynamic_shared;
    void (*barrier)();
    void (*warp)(unsigned mask, const Operation& operation, const void* value, void* result);
    // 16 bytes; they are there once the group that they were committed with was awaited.
    void (*copy_later)(void* to, const void* from);
    void (*commit_copies)();
    // Until at most so many groups are not there yet.
    void (*await_copies)(unsigned groups);
    // Ends the launch.
    void (*fail)(const char* fault);
};

} // namespace emulator
