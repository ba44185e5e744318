// Services of the machine for kernels of Hopper: products of a warpgroup, bulk copies and their barriers.
#pragma once
#include "block.h"

namespace emulator {

inline Warp& own_warp() { return block->warps[block->current->number / 32]; }

// Returns 16 bytes at an address of the dynamic shared memory, or null.
inline const unsigned char* matrix_part(unsigned address) {
    const Allocation& dynamic = block->dynamic_shared;
    return dynamic.body && address + 16 <= dynamic.bytes ? dynamic.body + address : nullptr;
}

inline void obey(const std::string& broken) {
    if (!broken.empty()) fail(broken);
}

inline bool begin_together(unsigned, const unsigned char* values, unsigned char*) {
    Product lanes[32];
    for (unsigned lane = 0; lane < 32; ++lane) std::memcpy(&lanes[lane], values + lane * LANE_BYTES, sizeof(Product));
    Products& products = own_warp().products;
    obey(products.begin(lanes));
    // A GPU may compute at once: that finds matrices that have not arrived yet.
    if (running.seed != 0 && chance() % 4 == 0) obey(products.compute(matrix_part));
    return true;
}
inline bool fence_together(unsigned, const unsigned char*, unsigned char*) {
    own_warp().products.fence();
    return true;
}
inline bool commit_together(unsigned, const unsigned char*, unsigned char*) {
    own_warp().products.commit();
    return true;
}
inline bool await_together(unsigned, const unsigned char* values, unsigned char*) {
    unsigned groups;
    std::memcpy(&groups, values, sizeof groups);
    obey(own_warp().products.await(groups, matrix_part));
    return true;
}

// These are `.sync.aligned`: all lanes of a warp together.
inline void begin_product(const Product& mine) {
    static constexpr Operation operation = {"wgmma", sizeof mine, 0, true, begin_together};
    char none = 0;
    warp_operation(~0u, operation, &mine, &none);
}
inline void fence_products() {
    static constexpr Operation operation = {"wgmma.fence", 0, 0, true, fence_together};
    char none = 0;
    warp_operation(~0u, operation, &none, &none);
}
inline void commit_products() {
    static constexpr Operation operation = {"wgmma.commit_group", 0, 0, true, commit_together};
    char none = 0;
    warp_operation(~0u, operation, &none, &none);
}
inline void await_products(unsigned groups) {
    static constexpr Operation operation = {"wgmma.wait_group", sizeof groups, 0, true, await_together};
    char none = 0;
    warp_operation(~0u, operation, &groups, &none);
}

// Returns the barrier at `at`, or ends the launch.
inline Phases phases_at(std::uint64_t* at) {
    if (!in_shared(reinterpret_cast<unsigned char*>(at), 8)) fail("an mbarrier outside of shared memory", true);
    if (reinterpret_cast<std::uintptr_t>(at) % 8 != 0) fail("an mbarrier that is not aligned", false, true);
    const Phases phases = Phases::of(*at);
    if (!phases.valid) fail("an mbarrier that is not initialized");
    return phases;
}

inline std::uint64_t* bits_at(unsigned long long* barrier) { return reinterpret_cast<std::uint64_t*>(barrier); }

inline void init_barrier(unsigned long long* barrier, unsigned threads) {
    if (!in_shared(reinterpret_cast<unsigned char*>(barrier), 8)) fail("an mbarrier outside of shared memory", true);
    Phases phases;
    obey(phases.init(threads));
    *barrier = phases.bits();
}

inline void arrive(unsigned long long* barrier, unsigned bytes) {
    fence();
    Phases phases = phases_at(bits_at(barrier));
    obey(phases.expect(bytes));
    obey(phases.arrive());
    *barrier = phases.bits();
}

inline void deliver(const BulkCopy& copy) {
    std::memcpy(copy.to, copy.from, copy.bytes);
    Phases phases = phases_at(copy.barrier);
    obey(phases.complete(copy.bytes));
    *copy.barrier = phases.bits();
}

inline void copy_bulk(void* to, const void* from, unsigned bytes, unsigned long long* barrier) {
    const BulkCopy copy{static_cast<unsigned char*>(to), static_cast<const unsigned char*>(from), bytes,
                        bits_at(barrier)};
    if (!in_shared(copy.to, bytes)) fail("cp.async.bulk to memory that is not shared", true);
    const auto places = reinterpret_cast<std::uintptr_t>(to) | reinterpret_cast<std::uintptr_t>(from) | bytes;
    if (places % 16 != 0) fail("cp.async.bulk that is not of aligned parts of 16 bytes", false, true);
    phases_at(copy.barrier);
    std::memset(copy.to, BYTE_NOT_ARRIVED, bytes);
    // As with cp.async, some arrive at once.
    if (running.seed != 0 && chance() % 4 == 0) deliver(copy);
    else block->bulk.push_back(copy);
}

inline bool has_ended(const Thread& thread) { return Phases::of(*thread.barrier).odd != (thread.parity != 0); }

// Returns the next copy that arrives at the thread's barrier, or the end.
inline std::vector<BulkCopy>::iterator next_copy(const Thread& thread) {
    std::vector<BulkCopy>& bulk = block->bulk;
    return std::find_if(bulk.begin(), bulk.end(), [&](const BulkCopy& copy) { return copy.barrier == thread.barrier; });
}

// Whether a thread that waits for a phase may take its turn.
inline bool may_pass(const Thread& thread) {
    return thread.waits == Wait::PHASE && (has_ended(thread) || next_copy(thread) != block->bulk.end());
}

// The bytes that a phase needs arrive one copy after another, while a thread waits for them.
inline void await_phase(unsigned long long* barrier, unsigned parity) {
    Thread& mine = *block->current;
    fence();
    phases_at(bits_at(barrier));
    mine.barrier = bits_at(barrier);
    mine.parity = parity;
    while (!has_ended(mine)) {
        const auto next = next_copy(mine);
        if (next == block->bulk.end()) {
            wait(Wait::PHASE);
            mine.waits = Wait::NOTHING;
            continue;
        }
        const BulkCopy copy = *next;
        block->bulk.erase(next);
        deliver(copy);
    }
}

// Describes what a block whose threads are done has left open, or nothing.
inline std::string left_open() {
    if (!block->bulk.empty()) return "it ended before a bulk copy arrived";
    const std::vector<Warp>& warps = block->warps;
    for (std::size_t warp = 0; warp < warps.size(); ++warp) {
        if (warps[warp].products.outstanding()) return "it ended before products of wgmma were awaited";
        const std::size_t first = warp / 4 * 4;
        if (warps[warp].products.history() != warps[first].products.history()) {
            return "warps " + std::to_string(first) + " and " + std::to_string(warp) +
                   " of a warpgroup have begun different products";
        }
    }
    return {};
}

} // namespace emulator
