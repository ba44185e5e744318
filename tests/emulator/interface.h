// The interface between a compiled kernel and the machine that runs it.
//
// Each kernel is compiled to a library of its own, many times in a run of the tests. No header of the C or C++ library
// is included here: reading them takes time, and NVRTC does not have their names either.
#pragma once

struct uint3 {
    unsigned x, y, z;
};
struct dim3 {
    unsigned x = 1, y = 1, z = 1;
};

namespace emulator {

// Version of this interface, to be raised with every change of it: a kernel that was compiled for another one is not
// loaded.
constexpr unsigned INTERFACE = 3;

// Limit on the bytes that a lane passes to an operation of its warp, and receives from it.
constexpr unsigned LANE_BYTES = 64;

// A computation of the lanes of a warp together, once all have passed in their values.
struct Operation {
    const char* name;
    unsigned value_bytes, result_bytes;
    // Whether it needs all 32 lanes.
    bool whole;
    // Computes the results of the lanes in `mask` from their values; both are LANE_BYTES apart. The machine calls it
    // once, when the last lane has arrived. Returns false if the lanes broke a rule.
    bool (*compute)(unsigned mask, const unsigned char* values, unsigned char* results);
};

// A lane's part of a product of its warpgroup, which arrives later: d (64, columns) = a (64, 32) b (32, columns), plus
// the old d if `add`.
struct Product {
    // `columns / 2` sums, and four registers of A.
    int* d;
    const unsigned* a;
    // Matrix descriptor of B.
    unsigned long long b;
    unsigned columns;
    bool add;
};

// The machine as a kernel sees it: the position of its thread, and the services of the machine.
struct Machine {
    uint3 thread, block;
    dim3 threads, blocks;
    unsigned lane;
    void* dynamic_shared;
    // Atomic operations until the thread that does the last of them pauses first; 0: none pauses.
    unsigned patience;
    void (*pause)();
    void (*fence)();
    void (*barrier)();
    void (*warp)(unsigned mask, const Operation& operation, const void* value, void* result);
    // Copies 16 bytes, which arrive at the latest when their group is awaited.
    void (*copy_later)(void* to, const void* from);
    void (*commit_copies)();
    // Waits until at most `groups` groups have not arrived.
    void (*await_copies)(unsigned groups);
    // Begins a product, orders the accesses to its registers, ends a group of products, and waits until at most
    // `groups` groups have not arrived.
    void (*product)(const Product& mine);
    void (*fence_products)();
    void (*commit_products)();
    void (*await_products)(unsigned groups);
    // Barriers of arrivals and bytes in shared memory: counts `threads`; expects bytes, and arrives; waits for the end
    // of the phase of that parity.
    void (*init_barrier)(unsigned long long* barrier, unsigned threads);
    void (*arrive)(unsigned long long* barrier, unsigned bytes);
    void (*await_phase)(unsigned long long* barrier, unsigned parity);
    // Copies bytes to shared memory, which arrive at the barrier.
    void (*copy_bulk)(void* to, const void* from, unsigned bytes, unsigned long long* barrier);
    // Ends the launch with a fault.
    void (*fail)(const char* fault);
};

} // namespace emulator
