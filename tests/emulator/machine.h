// CUDA's execution model on a CPU: one fiber per thread of a block, blocks one after another.
//
// A thread runs until it waits: at a barrier of the block, or in an operation of its warp. With a seed, threads run in
// a shuffled order, so that a missing barrier changes the result from seed to seed. If no thread can continue, the
// launch ends with a report of the place where each one waits.
#pragma once
#include "copies.h"
#include "fiber.h"
#include "interface.h"
#include "memory.h"
#include "trap.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

namespace emulator {

// A kernel, and the bounds of its module's static shared memory.
struct Kernel {
    void (*entry)(void** arguments);
    unsigned char *shared_begin, *shared_end;
};

// Reason why a launch ended early, or damage that was found after it.
struct Fault {
    std::string what;
    // Whether the kernel accessed memory that is not its own.
    bool memory = false;

    bool empty() const { return what.empty(); }
};

// Reasons to wait.
enum class Wait { NOTHING, BARRIER, WARP, FOREVER };

struct Thread {
    Fiber fiber;
    uint3 index{};
    unsigned number = 0;
    bool done = false;
    Wait waits = Wait::NOTHING;
    // The operation of its warp that it waits in, the lanes that take part, and the address for its result.
    const Operation* operation = nullptr;
    unsigned mask = 0;
    void* result = nullptr;
    Copies copies;
};

struct Warp {
    alignas(64) unsigned char values[32][LANE_BYTES];
    // Lanes that wait in an operation; if all wait in the same one with the same mask, that operation and mask.
    unsigned waiting = 0;
    bool same = true;
    const Operation* operation = nullptr;
    unsigned mask = 0;
};

// The threads of the largest block so far, and the state of the running block.
struct Block {
    std::vector<std::unique_ptr<Thread>> threads;
    std::vector<Warp> warps;
    unsigned size = 0, alive = 0, at_barrier = 0;
    Thread* current = nullptr;
    Kernel kernel{};
    void** arguments = nullptr;
    std::uint64_t seed = 0;
    Allocation dynamic_shared{0, 128};
    Fault fault;
};

inline Block block;
inline Machine the_machine{};

// Returns the next random number; always 0 if the seed is 0.
inline std::uint64_t chance() {
    block.seed = block.seed * 6364136223846793005u + (block.seed ? 1442695040888963407u : 0);
    return block.seed >> 33;
}

// Runs other threads until the current one may continue.
inline void wait(Wait what) {
    block.current->waits = what;
    block.current->fiber.leave();
}

// Ends the launch because the kernel broke a rule.
inline void fail(const std::string& fault, bool memory = false) {
    if (block.fault.empty()) block.fault = {"thread " + std::to_string(block.current->number) + ": " + fault, memory};
    wait(Wait::FOREVER);
}

// Releases the block's barrier once every thread that is not done waits there.
inline void release_barrier() {
    if (block.at_barrier == 0 || block.at_barrier < block.alive) return;
    block.at_barrier = 0;
    for (unsigned number = 0; number < block.size; ++number) {
        Thread& thread = *block.threads[number];
        if (thread.waits == Wait::BARRIER) thread.waits = Wait::NOTHING;
    }
}

inline void barrier() {
    ++block.at_barrier;
    block.current->waits = Wait::BARRIER;
    release_barrier();
    if (block.current->waits != Wait::NOTHING) wait(Wait::BARRIER);
}

inline void body() {
    block.kernel.entry(block.arguments);
    block.current->done = true;
    --block.alive;
    release_barrier();
    block.current->fiber.leave();
    std::abort(); // a finished thread is never entered again
}

inline std::string hexadecimal(unsigned x) {
    char text[9];
    std::snprintf(text, sizeof text, "%08x", x);
    return text;
}

inline std::string place(const Thread& thread) {
    if (thread.waits == Wait::BARRIER) return "waits at a barrier";
    return std::string("waits in ") + thread.operation->name + " with mask " + hexadecimal(thread.mask);
}

// Whether all lanes of `mask` have reached the current thread's operation. If a lane waits for this one in another
// operation while this one waits for it, that is a fault: neither could ever continue.
inline bool all_have_come(Warp& warp, unsigned first, unsigned mask) {
    const Thread& mine = *block.current;
    if (warp.waiting == 1u << mine.number % 32) {
        warp.same = true;
        warp.operation = mine.operation;
        warp.mask = mask;
    } else if (warp.operation != mine.operation || warp.mask != mask) {
        warp.same = false;
    }
    bool all = (warp.waiting & mask) == mask;
    if (warp.same) return all;
    for (unsigned lane = 0; lane < 32; ++lane) {
        if (!(warp.waiting & mask & 1u << lane)) continue;
        const Thread& other = *block.threads[first + lane];
        if (other.operation == mine.operation && other.mask == mask) continue;
        all = false;
        if (other.mask >> mine.number % 32 & 1) {
            fail(place(mine) + ", but thread " + std::to_string(other.number) + " of its warp " + place(other));
        }
    }
    return all;
}

inline void warp_operation(unsigned mask, const Operation& operation, const void* value, void* result) {
    Thread& mine = *block.current;
    const unsigned lane = mine.number % 32, first = mine.number - lane;
    Warp& warp = block.warps[mine.number / 32];
    // The last warp of a block may have fewer lanes than a full mask.
    if (block.size - first < 32) mask &= (1u << (block.size - first)) - 1;
    if (!(mask >> lane & 1)) fail(std::string("is not in the mask that it names in ") + operation.name);
    if (operation.whole && mask != ~0u) fail(std::string(operation.name) + " in a warp of fewer than 32 lanes");
    std::memcpy(warp.values[lane], value, operation.value_bytes);
    mine.waits = Wait::WARP;
    mine.operation = &operation;
    mine.mask = mask;
    mine.result = result;
    warp.waiting |= 1u << lane;
    if (!all_have_come(warp, first, mask)) return wait(Wait::WARP);

    alignas(64) unsigned char results[32][LANE_BYTES];
    if (!operation.compute(mask, warp.values[0], results[0])) fail(std::string("broke a rule of ") + operation.name);
    warp.waiting &= ~mask;
    for (unsigned to = 0; to < 32; ++to) {
        if (!(mask >> to & 1)) continue;
        Thread& receiver = *block.threads[first + to];
        std::memcpy(receiver.result, results[to], operation.result_bytes);
        receiver.waits = Wait::NOTHING;
    }
}

inline bool in_shared(const unsigned char* at, std::size_t bytes) {
    const auto within = [&](const unsigned char* begin, const unsigned char* end) {
        return begin && at >= begin && at + bytes <= end;
    };
    const Allocation& dynamic = block.dynamic_shared;
    return within(block.kernel.shared_begin, block.kernel.shared_end) ||
           within(dynamic.body, dynamic.body + dynamic.bytes);
}

inline void copy_later(void* to, const void* from) {
    if (!in_shared(static_cast<unsigned char*>(to), 16)) fail("cp.async to memory that is not shared", true);
    if ((reinterpret_cast<std::uintptr_t>(to) | reinterpret_cast<std::uintptr_t>(from)) % 16 != 0) {
        fail("cp.async of 16 bytes that are not aligned");
    }
    // A GPU may copy before the wait: a quarter of the copies is done at once, which finds threads that still read
    // there.
    if (block.seed != 0 && chance() % 4 == 0) std::memcpy(to, from, 16);
    else block.current->copies.add(to, from);
}

// Returns the numbers below `n`, shuffled by the seed, or in order if it is 0.
inline std::vector<unsigned> order(unsigned n) {
    std::vector<unsigned> order(n);
    std::iota(order.begin(), order.end(), 0u);
    for (unsigned i = n; block.seed != 0 && i > 1; --i) std::swap(order[i - 1], order[chance() % i]);
    return order;
}

// Reports the threads that cannot continue; those that wait in the same place are counted together.
inline std::string deadlock() {
    std::vector<std::pair<const Thread*, unsigned>> kinds;
    for (unsigned number = 0; number < block.size; ++number) {
        const Thread& thread = *block.threads[number];
        if (thread.done) continue;
        bool known = false;
        for (auto& [first, count] : kinds) {
            if (place(*first) != place(thread)) continue;
            ++count;
            known = true;
        }
        if (!known) kinds.emplace_back(&thread, 1);
    }
    std::string report = "deadlock: " + std::to_string(block.alive) + " threads cannot go on";
    for (const auto& [thread, count] : kinds) {
        report += "; thread " + std::to_string(thread->number) + " " + place(*thread);
        if (count > 1) report += " (" + std::to_string(count) + " do)";
    }
    return report;
}

inline void prepare_block() {
    block.alive = block.size;
    block.at_barrier = 0;
    // Uninitialized memory is all ones: a NaN, or a conspicuous number.
    std::memset(block.dynamic_shared.body, 0xff, block.dynamic_shared.bytes);
    const auto& kernel = block.kernel;
    if (kernel.shared_begin) {
        std::memset(kernel.shared_begin, 0xff, static_cast<std::size_t>(kernel.shared_end - kernel.shared_begin));
    }
    for (Warp& warp : block.warps) warp.waiting = 0;
    const dim3& size = the_machine.threads;
    for (unsigned number = 0; number < block.size; ++number) {
        Thread& thread = *block.threads[number];
        thread.index = {number % size.x, number / size.x % size.y, number / (size.x * size.y)};
        thread.number = number;
        thread.done = false;
        thread.waits = Wait::NOTHING;
        thread.copies.clear();
        thread.fiber.prepare(body);
    }
}

inline void run_block() {
    prepare_block();
    const std::vector<unsigned> turns = order(block.size);
    while (block.alive > 0 && block.fault.empty()) {
        bool progress = false;
        for (unsigned number : turns) {
            Thread& thread = *block.threads[number];
            if (thread.done || thread.waits != Wait::NOTHING) continue;
            progress = true;
            block.current = &thread;
            the_machine.thread = thread.index;
            the_machine.lane = number % 32;
            thread.fiber.enter();
            if (!block.fault.empty()) return;
        }
        if (!progress) block.fault = {deadlock()};
    }
    if (block.fault.empty()) {
        std::string damage = block.dynamic_shared.damage();
        if (!damage.empty()) block.fault = {"dynamic shared memory: " + damage, true};
    }
}

inline void prepare_launch(const Kernel& kernel, dim3 grid, dim3 threads, std::size_t dynamic_shared, void** arguments,
                           std::uint64_t seed) {
    block.size = threads.x * threads.y * threads.z;
    while (block.threads.size() < block.size) block.threads.push_back(std::make_unique<Thread>());
    block.warps.resize((block.size + 31) / 32);
    block.kernel = kernel;
    block.arguments = arguments;
    block.seed = seed;
    block.fault = {};
    if (block.dynamic_shared.bytes != dynamic_shared) block.dynamic_shared = Allocation(dynamic_shared, 128);
    the_machine = {};
    the_machine.threads = threads;
    the_machine.blocks = grid;
    the_machine.dynamic_shared = block.dynamic_shared.body;
    the_machine.barrier = barrier;
    the_machine.warp = warp_operation;
    the_machine.copy_later = copy_later;
    the_machine.commit_copies = [] { block.current->copies.commit(); };
    the_machine.await_copies = [](unsigned groups) { block.current->copies.await(groups); };
    the_machine.fail = [](const char* fault) { fail(fault); };
}

// Describes a fault that the CPU found in the running thread, with the allocation of the address if it is known.
inline Fault trapped(const Trap& trap, const Memory* memory) {
    const std::string who = "thread " + std::to_string(block.current->number) + ": ";
    if (trap.signal == SIGFPE) return {who + "a division by zero"};
    const auto* at = static_cast<const unsigned char*>(trap.address);
    if (block.current->fiber.on_stack(at)) return {who + "its stack is full", true};
    if (block.dynamic_shared.pages.around(at)) {
        return {who + "dynamic shared memory: " + block.dynamic_shared.described("read or written", at), true};
    }
    std::string known = memory ? memory->around(at) : "";
    if (known.empty()) known = "a read or write of memory that does not exist, or that is not aligned";
    return {who + known, true};
}

// Runs the kernel over the grid and returns its fault, if any.
inline Fault launch(const Kernel& kernel, dim3 grid, dim3 threads, std::size_t dynamic_shared, void** arguments,
                    std::uint64_t seed, const Memory* memory = nullptr) {
    prepare_launch(kernel, grid, threads, dynamic_shared, arguments, seed);
    const std::vector<unsigned> numbers = order(grid.x * grid.y * grid.z);
    Trap trap;
    if (sigsetjmp(trap.back, 1) != 0) {
        block.fault = trapped(trap, memory);
    } else {
        for (unsigned number : numbers) {
            the_machine.block = {number % grid.x, number / grid.x % grid.y, number / (grid.x * grid.y)};
            run_block();
            if (!block.fault.empty()) break;
        }
    }
    const uint3 at = the_machine.block;
    if (!block.fault.empty()) {
        const std::string x = std::to_string(at.x), y = std::to_string(at.y), z = std::to_string(at.z);
        block.fault.what = "block (" + x + ", " + y + ", " + z + "): " + block.fault.what;
    }
    return block.fault;
}

} // namespace emulator
