// How CUDA runs a kernel, on a CPU: one fiber for each thread of a block, blocks one after another.
//
// A thread runs until it waits: at a barrier of the block, or in an operation of its warp, whose lanes hand each other
// values. With a seed threads take their turns in a shuffled order, so that what needs a barrier and has none comes
// out otherwise under another seed. Where no thread can go on, the launch ends with a report of who waits where.
#pragma once
#include "fiber.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#define __global__
#define __device__
#define __forceinline__ inline
#define __restrict__
#define __launch_bounds__(...)
// Blocks run one after another, so that one copy for all is each block's own.
#define __shared__ static

struct uint3 {
    unsigned x, y, z;
};
struct dim3 {
    unsigned x = 1, y = 1, z = 1;
};

inline uint3 threadIdx{}, blockIdx{};
inline dim3 blockDim{}, gridDim{};
constexpr int warpSize = 32;

namespace emulator {

// Bytes that a lane can hand to others at a time.
constexpr std::size_t VALUE_BYTES = 128;

// What a thread can wait for.
inline const char* const BARRIER = "barrier";
inline const char* const WARP_OPERATION = "warp operation";
inline const char* const NOTHING_MORE = "stop, after a fault";

struct Thread {
    Fiber fiber;
    uint3 index{};
    unsigned number = 0;
    bool done = false;
    // What it waits for; null while it can run.
    const char* waits = nullptr;
    // What the lanes of its warp handed in, as of the last operation that it took part in.
    unsigned char received[32][VALUE_BYTES];
};

struct Warp {
    std::uint32_t arrived = 0;
    unsigned char values[32][VALUE_BYTES];
};

struct Block {
    std::vector<Thread> threads;
    std::vector<Warp> warps;
    std::vector<unsigned char> dynamic_shared;
    unsigned current = 0, alive = 0, at_barrier = 0;
    void (*kernel)(void**) = nullptr;
    void** arguments = nullptr;
    std::string fault;
};

inline Block* block = nullptr;

inline Thread& current() { return block->threads[block->current]; }

// Lets others run until what `current` waits for has come.
inline void wait(const char* what) {
    Thread& thread = current();
    thread.waits = what;
    thread.fiber.leave();
    threadIdx = thread.index;
}

// Whoever waits at the block's barrier goes on once every thread that still runs has come.
inline void release_barrier() {
    if (block->at_barrier == 0 || block->at_barrier < block->alive) return;
    block->at_barrier = 0;
    for (Thread& thread : block->threads) {
        if (thread.waits == BARRIER) thread.waits = nullptr;
    }
}

inline void body() {
    block->kernel(block->arguments);
    current().done = true;
    --block->alive;
    release_barrier();
    current().fiber.leave();
    std::abort(); // a thread that is done is never entered again
}

// Ends the launch: the kernel broke a rule.
inline void fail(const std::string& fault) {
    if (block->fault.empty()) block->fault = fault;
    wait(NOTHING_MORE);
}

// Each lane of `mask` hands in `value` and gets those of all. The last one to come gives every lane its copy, so that
// the next operation, of whatever lanes, may begin before all have looked at theirs.
template <class T> void exchange(std::uint32_t mask, const T& value, T (&values)[32]) {
    static_assert(sizeof(T) <= VALUE_BYTES && std::is_trivially_copyable<T>::value, "a lane's value");
    Thread& thread = current();
    const unsigned lane = thread.number % 32, first = thread.number / 32 * 32;
    Warp& warp = block->warps[thread.number / 32];
    // A block's last warp may have fewer lanes than a mask of all names.
    const auto lanes = static_cast<unsigned>(block->threads.size()) - first;
    if (lanes < 32) mask &= (1u << lanes) - 1;
    if (!(mask >> lane & 1)) fail("thread " + std::to_string(thread.number) + " is not in the mask that it names");
    std::memcpy(warp.values[lane], &value, sizeof(T));
    warp.arrived |= 1u << lane;
    if ((warp.arrived & mask) == mask) {
        warp.arrived &= ~mask;
        for (unsigned to = 0; to < 32; ++to) {
            if (!(mask >> to & 1)) continue;
            Thread& receiver = block->threads[first + to];
            receiver.waits = nullptr;
            for (unsigned from = 0; from < 32; ++from) {
                if (mask >> from & 1) std::memcpy(receiver.received[from], warp.values[from], sizeof(T));
            }
        }
    } else {
        wait(WARP_OPERATION);
    }
    for (unsigned from = 0; from < 32; ++from) {
        if (mask >> from & 1) std::memcpy(&values[from], thread.received[from], sizeof(T));
    }
}

// Numbers below `n`, in an order that `seed` decides; 0 leaves them as they are.
inline std::vector<unsigned> order(unsigned n, std::uint64_t& seed) {
    std::vector<unsigned> order(n);
    std::iota(order.begin(), order.end(), 0u);
    for (unsigned i = n; seed != 0 && i > 1; --i) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        std::swap(order[i - 1], order[(seed >> 33) % i]);
    }
    return order;
}

inline std::string where(const Thread& thread) {
    return "thread " + std::to_string(thread.number) + " waits at a " + thread.waits;
}

inline void run_block(std::uint64_t& seed) {
    const unsigned n = static_cast<unsigned>(block->threads.size());
    block->alive = n;
    block->at_barrier = 0;
    // Memory that nobody wrote is all ones: a NaN, or a number that stands out.
    std::fill(block->dynamic_shared.begin(), block->dynamic_shared.end(), static_cast<unsigned char>(0xff));
    for (Warp& warp : block->warps) warp.arrived = 0;
    for (unsigned number = 0; number < n; ++number) {
        Thread& thread = block->threads[number];
        thread.index = {number % blockDim.x, number / blockDim.x % blockDim.y, number / (blockDim.x * blockDim.y)};
        thread.number = number;
        thread.done = false;
        thread.waits = nullptr;
        thread.fiber.prepare(body);
    }
    const std::vector<unsigned> turns = order(n, seed);
    while (block->alive > 0 && block->fault.empty()) {
        bool progress = false;
        for (unsigned number : turns) {
            Thread& thread = block->threads[number];
            if (thread.done || thread.waits || !block->fault.empty()) continue;
            progress = true;
            block->current = number;
            threadIdx = thread.index;
            thread.fiber.enter();
        }
        if (progress) continue;
        for (const Thread& thread : block->threads) {
            if (!thread.done) {
                block->fault = "deadlock: " + std::to_string(block->alive) + " threads cannot go on; " + where(thread);
                break;
            }
        }
    }
}

// Runs `kernel` over the grid; what went wrong, or nothing.
inline std::string launch(void (*kernel)(void**), dim3 grid, dim3 threads, std::size_t dynamic_shared, void** arguments,
                          std::uint64_t seed) {
    Block all;
    const unsigned n = threads.x * threads.y * threads.z;
    all.threads = std::vector<Thread>(n);
    all.warps.resize((n + 31) / 32);
    all.dynamic_shared.resize(dynamic_shared);
    all.kernel = kernel;
    all.arguments = arguments;
    block = &all;
    gridDim = grid;
    blockDim = threads;
    for (unsigned number : order(grid.x * grid.y * grid.z, seed)) {
        blockIdx = {number % grid.x, number / grid.x % grid.y, number / (grid.x * grid.y)};
        run_block(seed);
        if (!all.fault.empty()) {
            const uint3 at = blockIdx;
            all.fault = "block (" + std::to_string(at.x) + ", " + std::to_string(at.y) + ", " + std::to_string(at.z) +
                        "): " + all.fault;
            break;
        }
    }
    block = nullptr;
    return all.fault;
}

template <class... A, std::size_t... I>
void call(void (*kernel)(A...), void** arguments, std::index_sequence<I...>) {
    kernel(*static_cast<std::remove_reference_t<A>*>(arguments[I])...);
}

// Calls a kernel with its arguments as `cuLaunchKernel` gets them: a pointer to each.
template <class... A> void call(void (*kernel)(A...), void** arguments) {
    call(kernel, arguments, std::index_sequence_for<A...>{});
}

} // namespace emulator

inline void __syncthreads() {
    ++emulator::block->at_barrier;
    emulator::current().waits = emulator::BARRIER;
    emulator::release_barrier();
    if (emulator::current().waits) emulator::wait(emulator::BARRIER);
}

inline void __syncwarp(unsigned mask = ~0u) {
    char values[32];
    emulator::exchange<char>(mask, 0, values);
}

template <class T> T __shfl_sync(unsigned mask, T value, int source) {
    T values[32];
    emulator::exchange(mask, value, values);
    return values[source & 31];
}

template <class T> T __shfl_xor_sync(unsigned mask, T value, int with) {
    T values[32];
    emulator::exchange(mask, value, values);
    return values[(emulator::current().number % 32) ^ (static_cast<unsigned>(with) & 31)];
}

template <class T> T __shfl_down_sync(unsigned mask, T value, unsigned by) {
    T values[32];
    emulator::exchange(mask, value, values);
    const unsigned lane = emulator::current().number % 32;
    return lane + by < 32 ? values[lane + by] : value;
}

inline unsigned __ballot_sync(unsigned mask, int predicate) {
    int values[32] = {};
    emulator::exchange(mask, static_cast<int>(predicate != 0), values);
    unsigned ballot = 0;
    for (unsigned lane = 0; lane < 32; ++lane) {
        if (mask >> lane & 1 && values[lane]) ballot |= 1u << lane;
    }
    return ballot;
}

// No thread runs beside another, so plain reads and writes are atomic.
template <class T> T atomicAdd(T* at, T value) {
    const T before = *at;
    *at = before + value;
    return before;
}

template <class T> T atomicMax(T* at, T value) {
    const T before = *at;
    *at = before < value ? value : before;
    return before;
}
