// CUDA's execution model on a CPU: the blocks of a launch, a few of them at a time.
//
// With a seed, blocks start in a shuffled order and several are in flight: one of them runs until its threads wait or
// one of them pauses, then another one may continue. So a block that relies on the work of another one, without the
// atomic operations and fences for it, gives another result from seed to seed.
#pragma once
#include "block.h"
#include "warpgroup.h"

namespace emulator {

// Blocks in flight. A switch copies the static shared memory, so more of them would only cost time.
constexpr std::size_t IN_FLIGHT = 3;

inline std::vector<std::unique_ptr<Block>> blocks;

inline void prepare_block(Block& next, unsigned number) {
    const dim3 &size = the_machine.threads, &grid = the_machine.blocks;
    next.index = {number % grid.x, number / grid.x % grid.y, number / (grid.x * grid.y)};
    next.alive = running.size;
    next.at_barrier = 0;
    next.next = 0;
    next.progress = false;
    // Uninitialized memory is all ones: a NaN, or a conspicuous number.
    std::memset(next.dynamic_shared.body, 0xff, next.dynamic_shared.bytes);
    next.shared.assign(static_cast<std::size_t>(running.kernel.shared_end - running.kernel.shared_begin), 0xff);
    for (Warp& warp : next.warps) {
        warp.waiting = 0;
        warp.products = {};
    }
    next.bulk.clear();
    for (unsigned number = 0; number < running.size; ++number) {
        Thread& thread = *next.threads[number];
        thread.index = {number % size.x, number / size.x % size.y, number / (size.x * size.y)};
        thread.number = number;
        thread.done = false;
        thread.waits = Wait::NOTHING;
        thread.pauses = 0;
        thread.copies.clear();
        thread.fiber.prepare(body);
    }
    next.turns = order(running.size);
}

// Makes `next` the block whose threads run: there is one place for static shared variables, which blocks take in turns.
inline void switch_to(Block& next) {
    if (block == &next) return;
    unsigned char* const shared = running.kernel.shared_begin;
    if (block && !block->shared.empty()) std::memcpy(block->shared.data(), shared, block->shared.size());
    if (!next.shared.empty()) std::memcpy(shared, next.shared.data(), next.shared.size());
    block = &next;
    the_machine.block = next.index;
    the_machine.dynamic_shared = next.dynamic_shared.body;
}

// Runs threads of the block until each has had its turn, or one of them gives way to another block.
inline void run_turns() {
    while (block->next < block->turns.size()) {
        const unsigned number = block->turns[block->next++];
        Thread& thread = *block->threads[number];
        if (thread.done || (thread.waits != Wait::NOTHING && !may_pass(thread))) continue;
        block->progress = true;
        if (thread.pauses > 0) {
            thread.pauses /= 2;
            continue;
        }
        block->current = &thread;
        the_machine.thread = thread.index;
        the_machine.lane = number % 32;
        thread.fiber.enter();
        if (!running.fault.empty() || running.other_block) return;
    }
    if (!block->progress && block->alive > 0) running.fault = {deadlock()};
    block->next = 0;
    block->progress = false;
}

// Runs blocks in the order of `numbers`.
inline void run_blocks(const std::vector<unsigned>& numbers) {
    std::size_t started = 0, in_flight = running.seed != 0 ? std::min(IN_FLIGHT, numbers.size()) : 1;
    while (started < in_flight) {
        prepare_block(*blocks[started], numbers[started]);
        ++started;
    }
    std::size_t favourite = 0;
    while (in_flight > 0) {
        // One block is faster than the others for a while.
        if (in_flight > 1 && chance() % 64 == 0) favourite = chance();
        const std::size_t turn = (in_flight > 1 && chance() % 8 == 0 ? chance() : favourite) % in_flight;
        switch_to(*blocks[turn]);
        running.other_block = false;
        run_turns();
        if (!running.fault.empty()) return;
        if (block->alive > 0) continue;
        const std::string damage = block->dynamic_shared.damage();
        if (!damage.empty()) {
            running.fault = {"dynamic shared memory: " + damage, true};
            return;
        }
        running.fault.what = left_open();
        if (!running.fault.empty()) return;
        block = nullptr;
        if (started < numbers.size()) prepare_block(*blocks[turn], numbers[started++]);
        else std::swap(blocks[turn], blocks[--in_flight]);
    }
}

inline void prepare_launch(const Kernel& kernel, dim3 grid, dim3 threads, std::size_t dynamic_shared, void** arguments,
                           std::uint64_t seed) {
    running = {};
    running.kernel = kernel;
    running.arguments = arguments;
    running.size = threads.x * threads.y * threads.z;
    running.seed = seed;
    block = nullptr;
    while (blocks.size() < IN_FLIGHT) blocks.push_back(std::make_unique<Block>());
    const std::size_t used = seed != 0 ? std::min(IN_FLIGHT, std::size_t{grid.x} * grid.y * grid.z) : 1;
    for (std::size_t i = 0; i < used; ++i) {
        Block& next = *blocks[i];
        while (next.threads.size() < running.size) next.threads.push_back(std::make_unique<Thread>());
        next.warps.resize((running.size + 31) / 32);
        if (next.dynamic_shared.bytes != dynamic_shared) next.dynamic_shared = Allocation(dynamic_shared, 128);
    }
    the_machine = {};
    the_machine.threads = threads;
    the_machine.blocks = grid;
    the_machine.patience = seed != 0 ? 1 + static_cast<unsigned>(chance() % MOST_PATIENCE) : 0;
    the_machine.pause = pause;
    the_machine.fence = fence;
    the_machine.barrier = barrier;
    the_machine.warp = warp_operation;
    the_machine.copy_later = copy_later;
    the_machine.commit_copies = [] { block->current->copies.commit(); };
    the_machine.await_copies = [](unsigned groups) { block->current->copies.await(groups); };
    the_machine.product = begin_product;
    the_machine.fence_products = fence_products;
    the_machine.commit_products = commit_products;
    the_machine.await_products = await_products;
    the_machine.init_barrier = init_barrier;
    the_machine.arrive = arrive;
    the_machine.await_phase = await_phase;
    the_machine.copy_bulk = copy_bulk;
    the_machine.fail = [](const char* fault) { fail(fault); };
}

// Describes a fault that the CPU found in the running thread, with the allocation of the address if it is known.
inline Fault trapped(const Trap& trap, const Memory* memory) {
    const std::string who = "thread " + std::to_string(block->current->number) + ": ";
    if (trap.signal == SIGFPE) return {who + "a division by zero"};
    if (trap.signal == SIGILL || trap.signal == SIGTRAP) {
        return {who + "a read or write of an address that is not aligned", false, true};
    }
    const auto* at = static_cast<const unsigned char*>(trap.address);
    if (block->current->fiber.on_stack(at)) return {who + "its stack is full", true};
    if (block->dynamic_shared.pages.around(at)) {
        return {who + "dynamic shared memory: " + block->dynamic_shared.described("read or written", at), true};
    }
    std::string known = memory ? memory->around(at) : "";
    if (known.empty()) known = "a read or write of memory that does not exist, or is not aligned";
    return {who + known, true};
}

// Runs the kernel over the grid and returns its fault, if any.
inline Fault launch(const Kernel& kernel, dim3 grid, dim3 threads, std::size_t dynamic_shared, void** arguments,
                    std::uint64_t seed, const Memory* memory = nullptr) {
    prepare_launch(kernel, grid, threads, dynamic_shared, arguments, seed);
    const std::vector<unsigned> numbers = order(grid.x * grid.y * grid.z);
    Trap trap;
    if (sigsetjmp(trap.back, 1) != 0) running.fault = trapped(trap, memory);
    else run_blocks(numbers);
    if (!running.fault.empty()) {
        const uint3 at = the_machine.block;
        const std::string x = std::to_string(at.x), y = std::to_string(at.y), z = std::to_string(at.z);
        running.fault.what = "block (" + x + ", " + y + ", " + z + "): " + running.fault.what;
    }
    return running.fault;
}

} // namespace emulator
