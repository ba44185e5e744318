// The threads of a block: one fiber each, their barrier and the operations of their warps.
//
// A thread runs until it waits: at a barrier of the block, or in an operation of its warp. With a seed, it also pauses
// at some of its fences and atomic operations, where the steps of other threads and blocks become visible.
#pragma once
#include "copies.h"
#include "fiber.h"
#include "interface.h"
#include "memory.h"
#include "phases.h"
#include "products.h"
#include "trap.h"

#include <algorithm>
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
    // Whether the kernel accessed memory that is not its own, or with an address that is not aligned.
    bool memory = false, misaligned = false;

    bool empty() const { return what.empty(); }
};

// Reasons to wait.
enum class Wait { NOTHING, BARRIER, WARP, PHASE, FOREVER };

// Limits on the atomic operations between two pauses of a launch, and on a pause, which lasts as many turns as the
// number has binary digits: a thread may be slower than threads of other blocks that start later.
constexpr unsigned MOST_PATIENCE = 64, LONGEST_PAUSE = 16;

struct Thread {
    Fiber fiber;
    uint3 index{};
    unsigned number = 0;
    bool done = false;
    Wait waits = Wait::NOTHING;
    // Halved in each turn that it lets pass; 0: it takes its turn.
    unsigned pauses = 0;
    // The operation of its warp that it waits in, the lanes that take part, and the address for its result.
    const Operation* operation = nullptr;
    unsigned mask = 0;
    void* result = nullptr;
    Copies copies;
    // The barrier, and the parity of its phase, that it waits for.
    std::uint64_t* barrier = nullptr;
    unsigned parity = 0;
};

struct Warp {
    alignas(64) unsigned char values[32][LANE_BYTES];
    // Lanes that wait in an operation; if all wait in the same one with the same mask, that operation and mask.
    unsigned waiting = 0;
    bool same = true;
    const Operation* operation = nullptr;
    unsigned mask = 0;
    Products products;
};

// The launch that all blocks are part of.
struct Launch {
    Kernel kernel{};
    void** arguments = nullptr;
    // Threads of a block.
    unsigned size = 0;
    std::uint64_t seed = 0;
    Fault fault;
    // Whether the running thread paused so that a thread of another block runs next.
    bool other_block = false;
};

// A block in flight: its threads; their number is that of the largest block which this object held.
struct Block {
    std::vector<std::unique_ptr<Thread>> threads;
    std::vector<Warp> warps;
    unsigned alive = 0, at_barrier = 0;
    Thread* current = nullptr;
    uint3 index{};
    Allocation dynamic_shared{0, 128};
    // The static shared variables while another block runs.
    std::vector<unsigned char> shared;
    // The order of the threads, the place of the next one, and whether one has run since the first one's turn.
    std::vector<unsigned> turns;
    std::size_t next = 0;
    bool progress = false;
    // Bulk copies that have not arrived.
    std::vector<BulkCopy> bulk;
};

inline Launch running;
// The block of the running thread.
inline Block* block = nullptr;
inline Machine the_machine{};

// Returns the next random number; always 0 if the seed is 0.
inline std::uint64_t chance() {
    running.seed = running.seed * 6364136223846793005u + (running.seed ? 1442695040888963407u : 0);
    return running.seed >> 33;
}

// Runs other threads until the current one may continue.
inline void wait(Wait what) {
    block->current->waits = what;
    block->current->fiber.leave();
}

// Ends the launch because the kernel broke a rule.
inline void fail(const std::string& fault, bool memory = false, bool misaligned = false) {
    const std::string who = "thread " + std::to_string(block->current->number) + ": ";
    if (running.fault.empty()) running.fault = {who + fault, memory, misaligned};
    wait(Wait::FOREVER);
}

// Releases the block's barrier once every thread that is not done waits there.
inline void release_barrier() {
    if (block->at_barrier == 0 || block->at_barrier < block->alive) return;
    block->at_barrier = 0;
    for (unsigned number = 0; number < running.size; ++number) {
        Thread& thread = *block->threads[number];
        if (thread.waits == Wait::BARRIER) thread.waits = Wait::NOTHING;
    }
}

inline void barrier() {
    ++block->at_barrier;
    block->current->waits = Wait::BARRIER;
    release_barrier();
    if (block->current->waits != Wait::NOTHING) wait(Wait::BARRIER);
}

// Lets other threads run; the current one continues in one of the next turns of its block.
inline void pause() {
    the_machine.patience = 1 + static_cast<unsigned>(chance() % MOST_PATIENCE);
    running.other_block = chance() % 2 == 0;
    block->current->pauses = static_cast<unsigned>(chance() % LONGEST_PAUSE);
    block->current->fiber.leave();
}

// A fence: of what it orders, other blocks may see the first part before the second is done.
inline void fence() {
    if (running.seed != 0 && chance() % 4 == 0) pause();
}

inline void body() {
    running.kernel.entry(running.arguments);
    block->current->done = true;
    --block->alive;
    release_barrier();
    block->current->fiber.leave();
    std::abort(); // a finished thread is never entered again
}

inline std::string hexadecimal(unsigned x) {
    char text[9];
    std::snprintf(text, sizeof text, "%08x", x);
    return text;
}

inline std::string place(const Thread& thread) {
    if (thread.waits == Wait::BARRIER) return "waits at a barrier";
    if (thread.waits == Wait::PHASE) return "waits for phase " + std::to_string(thread.parity) + " of an mbarrier";
    return std::string("waits in ") + thread.operation->name + " with mask " + hexadecimal(thread.mask);
}

// Whether all lanes of `mask` have reached the current thread's operation. If a lane waits for this one in another
// operation while this one waits for it, that is a fault: neither could ever continue.
inline bool all_have_come(Warp& warp, unsigned first, unsigned mask) {
    const Thread& mine = *block->current;
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
        const Thread& other = *block->threads[first + lane];
        if (other.operation == mine.operation && other.mask == mask) continue;
        all = false;
        if (other.mask >> mine.number % 32 & 1) {
            fail(place(mine) + ", but thread " + std::to_string(other.number) + " of its warp " + place(other));
        }
    }
    return all;
}

inline void warp_operation(unsigned mask, const Operation& operation, const void* value, void* result) {
    Thread& mine = *block->current;
    const unsigned lane = mine.number % 32, first = mine.number - lane;
    Warp& warp = block->warps[mine.number / 32];
    // The last warp of a block may have fewer lanes than a full mask.
    if (running.size - first < 32) mask &= (1u << (running.size - first)) - 1;
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
        Thread& receiver = *block->threads[first + to];
        std::memcpy(receiver.result, results[to], operation.result_bytes);
        receiver.waits = Wait::NOTHING;
    }
}

inline bool in_shared(const unsigned char* at, std::size_t bytes) {
    const auto within = [&](const unsigned char* begin, const unsigned char* end) {
        return begin && at >= begin && at + bytes <= end;
    };
    const Allocation& dynamic = block->dynamic_shared;
    return within(running.kernel.shared_begin, running.kernel.shared_end) ||
           within(dynamic.body, dynamic.body + dynamic.bytes);
}

inline void copy_later(void* to, const void* from) {
    if (!in_shared(static_cast<unsigned char*>(to), 16)) fail("cp.async to memory that is not shared", true);
    if ((reinterpret_cast<std::uintptr_t>(to) | reinterpret_cast<std::uintptr_t>(from)) % 16 != 0) {
        fail("cp.async of 16 bytes that are not aligned", false, true);
    }
    // A GPU may copy before the wait: a quarter of the copies is done at once, which finds threads that still read
    // there.
    if (running.seed != 0 && chance() % 4 == 0) std::memcpy(to, from, 16);
    else block->current->copies.add(to, from);
}

// Returns the numbers below `n`, shuffled by the seed, or in order if it is 0.
inline std::vector<unsigned> order(unsigned n) {
    std::vector<unsigned> order(n);
    std::iota(order.begin(), order.end(), 0u);
    for (unsigned i = n; running.seed != 0 && i > 1; --i) std::swap(order[i - 1], order[chance() % i]);
    return order;
}

// Reports the threads that cannot continue; those that wait in the same place are counted together.
inline std::string deadlock() {
    std::vector<std::pair<const Thread*, unsigned>> kinds;
    for (unsigned number = 0; number < running.size; ++number) {
        const Thread& thread = *block->threads[number];
        if (thread.done) continue;
        bool known = false;
        for (auto& [first, count] : kinds) {
            if (place(*first) != place(thread)) continue;
            ++count;
            known = true;
        }
        if (!known) kinds.emplace_back(&thread, 1);
    }
    std::string report = "deadlock: " + std::to_string(block->alive) + " threads cannot go on";
    for (const auto& [thread, count] : kinds) {
        report += "; thread " + std::to_string(thread->number) + " " + place(*thread);
        if (count > 1) report += " (" + std::to_string(count) + " do)";
    }
    return report;
}

} // namespace emulator
