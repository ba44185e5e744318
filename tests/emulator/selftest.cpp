// Tests whether the emulated machine follows CUDA's rules, and finds kernels that break them.
#include "checks.h"

#include <set>
#include <vector>

namespace {

constexpr unsigned THREADS = 96;

// Sums `in (n)` by halves in shared memory; without `barriers` it is wrong.
template <bool barriers> void sum(const int* in, int n, int* out) {
    DYNAMIC_SHARED(int, values);
    const int i = static_cast<int>(blockIdx.x * THREADS + threadIdx.x);
    values[threadIdx.x] = i < n ? in[i] : 0;
    if (barriers) __syncthreads();
    for (unsigned half = THREADS / 2; half >= 3; half /= 2) {
        if (threadIdx.x < half) values[threadIdx.x] += values[threadIdx.x + half];
        if (barriers) __syncthreads();
    }
    if (threadIdx.x == 0) atomicAdd(out, values[0] + values[1] + values[2]);
}

// Writes the value of the neighbouring lane, the sum over the warp, and the lanes with odd numbers.
void warp_operations(int* out) {
    const unsigned lane = threadIdx.x % 32, at = threadIdx.x * 4;
    out[at] = __shfl_xor_sync(~0u, static_cast<int>(threadIdx.x), 1);
    int total = static_cast<int>(threadIdx.x);
    for (unsigned by = 16; by > 0; by /= 2) total += __shfl_down_sync(~0u, total, by);
    out[at + 1] = __shfl_sync(~0u, total, 0);
    out[at + 2] = static_cast<int>(__ballot_sync(~0u, static_cast<int>(lane % 2)));
    // Half a warp by itself.
    if (lane < 16) out[at + 3] = __shfl_xor_sync(0xffffu, static_cast<int>(lane), 8);
}

// Some lanes take part in more operations than others before all take part in one.
void uneven(int* out) {
    const unsigned lane = threadIdx.x % 32;
    int value = static_cast<int>(lane);
    if (lane < 16) value += __shfl_xor_sync(0xffffu, value, 1);
    if (lane >= 24) value += __shfl_xor_sync(0xff000000u, value, 1);
    out[threadIdx.x] = __shfl_sync(~0u, value, 31);
}

// For a block whose last warp is not full.
void partial_warp(int* out) { out[threadIdx.x] = static_cast<int>(__ballot_sync(~0u, 1)); }

// Half of the threads return before the barrier, which CUDA allows.
void early_exit(int* out) {
    if (threadIdx.x % 2) return;
    __syncthreads();
    out[threadIdx.x] = 1;
}

// Lane 0 never reaches the operation in which the others wait.
void divergent(int* out) {
    if (threadIdx.x == 0) __syncthreads();
    else out[threadIdx.x] = __shfl_sync(~0u, 1, 0);
}

void foreign_mask(int* out) { out[threadIdx.x] = __shfl_sync(1u, 1, 0); }

// Half of a warp votes while the other half exchanges values.
void two_operations(int* out) {
    if (threadIdx.x < 16) out[threadIdx.x] = static_cast<int>(__ballot_sync(~0u, 1));
    else out[threadIdx.x] = __shfl_sync(~0u, 1, 0);
}

// Lanes 0 and 1 wait for each other, but lane 0 also for lane 2.
void two_masks(int* out) {
    if (threadIdx.x < 3) out[threadIdx.x] = __shfl_sync(threadIdx.x == 1 ? 3u : 7u, 1, 0);
}

// Three lanes, each of which waits only for the next one: a deadlock that no single pair of lanes reveals.
void in_a_ring(int* out) {
    const unsigned lane = threadIdx.x, next = (lane + 1) % 3;
    if (lane < 3) out[lane] = __shfl_sync(1u << lane | 1u << next, 1, 0);
}

void shuffles(int* out) {
    const int lane = static_cast<int>(threadIdx.x);
    out[lane * 6] = __shfl_up_sync(~0u, lane, 3);
    out[lane * 6 + 1] = __shfl_down_sync(~0u, lane, 3, 8);
    out[lane * 6 + 2] = __shfl_sync(~0u, lane, 9, 8);
    out[lane * 6 + 3] = static_cast<int>(__shfl_xor_sync(~0u, 1ull << lane, 31, 32) >> (lane ^ 31));
    if (lane < 8) out[lane * 6 + 4] = __shfl_sync(0xffu, lane, 8 + lane);
    out[lane * 6 + 5] = __shfl_up_sync(~0u, lane, 5, 16);
}

void reductions(int* out) {
    const int lane = static_cast<int>(threadIdx.x), value = (lane * 7 + 3) % 32 - 20;
    const unsigned mask = lane % 2 ? 0xaaaaaaaau : 0x55555555u;
    out[lane * 6] = __reduce_max_sync(mask, value);
    out[lane * 6 + 1] = static_cast<int>(__reduce_max_sync(mask, static_cast<unsigned>(value)));
    out[lane * 6 + 2] = __reduce_add_sync(mask, value);
    out[lane * 6 + 3] = __reduce_min_sync(mask, value);
    out[lane * 6 + 4] = __any_sync(mask, lane == 6) * 2 + __all_sync(mask, lane % 2);
    out[lane * 6 + 5] = static_cast<int>(__reduce_or_sync(mask, 1u << lane % 7));
}

// Sums 1 in each thread; the last block to finish writes the sum. Without the barrier a thread announces its block
// before the others of the block have added theirs: an error only if blocks overlap.
template <bool barrier> void last_block(int* sum, unsigned* done, int* out) {
    DYNAMIC_SHARED(bool, last);
    atomicAdd(sum, 1);
    __threadfence();
    if (barrier) __syncthreads();
    if (threadIdx.x == 0) *last = atomicAdd(done, 1u) == gridDim.x - 1;
    __syncthreads();
    if (*last && threadIdx.x == 0) *out = *sum;
}

// Counts the blocks by a read and a write with a fence between them, where the count of another block gets lost.
void lost_count(int* out) {
    const int before = *out;
    __threadfence();
    *out = before + 1;
}

// Records the block of each step, and a value in shared memory that no other block may see.
void by_turns(int* steps, int* next, int* foreign) {
    DYNAMIC_SHARED(int, mine);
    if (threadIdx.x == 0) *mine = static_cast<int>(blockIdx.x);
    __syncthreads();
    for (int i = 0; i < 4; ++i) {
        if (*mine != static_cast<int>(blockIdx.x)) atomicAdd(foreign, 1);
        steps[atomicAdd(next, 1)] = static_cast<int>(blockIdx.x);
        __syncthreads();
    }
}

// Returns the largest number in uninitialized dynamic shared memory.
void left_behind(int* out, unsigned n) {
    DYNAMIC_SHARED(int, values);
    for (unsigned i = threadIdx.x; i < n; i += blockDim.x) {
        atomicMax(out, values[i]);
        values[i] = 5;
    }
}

// Writes to dynamic shared memory `by` bytes from its start.
void beside(int by) {
    DYNAMIC_SHARED(char, bytes);
    if (threadIdx.x == 1) bytes[by] = 1;
}

// Needs more stack than a thread has.
int deep(volatile int* at, int n) {
    volatile int large[1024];
    large[n % 1024] = n;
    return n == 0 ? *at : deep(at, n - 1) + large[n % 1024];
}
void full_stack(int* out) { *out = deep(out, 1000); }

// Records the order of the threads.
void line_up(int* places, int* next) {
    places[atomicAdd(next, 1)] = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
}

void reads(const int* in, int at, int* out) { *out = in[at]; }

void three_dimensions(int* out) {
    const unsigned thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
    const unsigned block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
    out[block * blockDim.x * blockDim.y * blockDim.z + thread] += 1;
}

template <bool barriers> std::set<int> sums() {
    std::vector<int> in(1000);
    for (int i = 0; i < 1000; ++i) in[static_cast<std::size_t>(i)] = i * i % 37;
    std::set<int> sums;
    for (std::uint64_t seed = 0; seed < 6; ++seed) {
        int out = 0;
        const dim3 grid{11, 1, 1}, threads{THREADS, 1, 1};
        const auto fault = run_with(THREADS * sizeof out, nullptr, sum<barriers>, grid, threads, seed, in.data(), 1000,
                                    &out);
        check(fault.empty(), "sum runs");
        sums.insert(out);
    }
    return sums;
}

// Writes `out (n)`, and `extra` more of them.
void too_far(int* out, int n, int extra) {
    const int i = static_cast<int>(threadIdx.x);
    if (i < n + extra) out[i] = i;
}

void memory() {
    emulator::Memory memory;
    auto* out = static_cast<int*>(memory.allocate(40));
    auto* other = static_cast<float*>(memory.allocate(1));
    check(reinterpret_cast<std::uintptr_t>(out) % 256 == 0, "allocations are aligned");
    check(out[0] == -1 && out[9] == -1, "uninitialized memory is all ones");
    check(memory.holds(out, 40) && memory.holds(out + 10, 0) && memory.holds(other, 1), "what was allocated is known");
    check(!memory.holds(out, 41) && !memory.holds(out + 9, 5) && !memory.holds(out - 1, 4), "what was not is not");
    check(!memory.holds(nullptr, 1) && !memory.holds(out, ~std::size_t{0}), "nor is nonsense");
    check(run(too_far, {1, 1, 1}, {32, 1, 1}, 0, out, 10, 0).empty() && memory.damage().empty(), "no damage");
    check(run(too_far, {1, 1, 1}, {32, 1, 1}, 0, out, 10, 1).empty(), "a write too far runs");
    check(memory.damage() == "an allocation of 40 bytes was written 0 bytes after its end", memory.damage().c_str());
    check(memory.free(out) && !memory.free(out) && memory.damage().empty(), "freed once, with what was damaged");
    reinterpret_cast<unsigned char*>(other)[-3] = 0;
    check(memory.damage() == "an allocation of 1 bytes was written 3 bytes before its start", memory.damage().c_str());
}

// Reads of inaccessible memory: after an allocation that ends with a page, at null, in a freed allocation.
void reads_of_nothing() {
    emulator::Memory memory;
    auto* in = static_cast<int*>(memory.allocate(1024));
    int out = 0;
    const auto fault = [&](const int* from, int at) {
        return run_with(0, &memory, reads, {}, {}, 0, from, at, &out);
    };
    check(fault(in, 255).empty() && out == -1, "the last one can be read");
    const std::string after = fault(in, 256).what;
    check(after.find("1024 bytes was read or written 0 bytes after its end") != std::string::npos, after.c_str());
    check(fault(in, 256).memory && fault(nullptr, 0).memory, "it is a fault of memory");
    check(fault(in, 255).empty(), "a later launch runs");
    memory.free(in);
    check(fault(in, 0).what.find("after it was freed") != std::string::npos, "freed");
    const std::string deep = run(full_stack, {}, {}, 0, &out);
    check(deep.find("its stack is full") != std::string::npos, deep.c_str());
}

void dynamic_shared_memory() {
    int most = -7;
    check(run_with(400, nullptr, left_behind, {5, 1, 1}, {32, 1, 1}, 3, &most, 100u).empty(), "it can be written");
    check(most == -1, "what the block before left is gone");
    const auto fault = [](int by) { return run_with(400, nullptr, beside, {}, {32, 1, 1}, 3, by); };
    check(fault(399).empty(), "its last byte");
    const std::string after = "block (0, 0, 0): dynamic shared memory: an allocation of 400 bytes was written 0 bytes "
                               "after its end";
    check(fault(400).what == after && fault(400).memory, fault(400).what.c_str());
    check(fault(-2).what.find("written 2 bytes before its start") != std::string::npos, "before it");
    check(fault(512).what.find("thread 1: dynamic shared memory: an allocation of 400 bytes was read or written 112") !=
              std::string::npos, fault(512).what.c_str());
}

void more_warp_operations(std::uint64_t seed) {
    std::vector<int> all(32 * 6, 77);
    check(run(shuffles, {}, {32, 1, 1}, seed, all.data()).empty(), "shuffles run");
    for (int lane = 0; lane < 32; ++lane) {
        const int* of = &all[static_cast<std::size_t>(lane) * 6];
        check(of[0] == (lane < 3 ? lane : lane - 3), "up");
        check(of[1] == (lane % 8 < 5 ? lane + 3 : lane), "down within eights");
        check(of[2] == lane / 8 * 8 + 1, "from a lane of each eight");
        check(of[3] == 1, "64 bits");
        check(of[4] == (lane < 8 ? -1 : 77), "a lane outside of the mask has nothing to give");
        check(of[5] == (lane % 16 < 5 ? lane : lane - 5), "up within halves");
    }
    check(run(reductions, {}, {32, 1, 1}, seed, all.data()).empty(), "reductions run");
    for (int lane = 0; lane < 32; ++lane) {
        int most = -100, least = 100, sum = 0, either = 0;
        unsigned unsigned_most = 0;
        for (int other = lane % 2; other < 32; other += 2) {
            const int value = (other * 7 + 3) % 32 - 20;
            most = value > most ? value : most;
            least = value < least ? value : least;
            unsigned_most = static_cast<unsigned>(value) > unsigned_most ? static_cast<unsigned>(value) : unsigned_most;
            sum += value;
            either |= 1 << other % 7;
        }
        const int* of = &all[static_cast<std::size_t>(lane) * 6];
        check(of[0] == most && of[3] == least && of[2] == sum, "reductions of signed numbers");
        check(static_cast<unsigned>(of[1]) == unsigned_most && of[5] == either, "and of unsigned ones");
        check(of[4] == (lane % 2 ? 1 : 2), "votes");
    }
}

// Returns the order in which 8 threads of each of 4 blocks run.
std::vector<int> turns(std::uint64_t seed) {
    std::vector<int> places(32, -1);
    int next = 0;
    check(run(line_up, {4, 1, 1}, {8, 1, 1}, seed, places.data(), &next).empty() && next == 32, "all come");
    return places;
}

void orders() {
    std::vector<int> sorted(32), blocks;
    std::iota(sorted.begin(), sorted.end(), 0);
    check(turns(0) == sorted, "without a seed they come by their numbers");
    check(turns(1) != sorted && turns(1) != turns(2) && turns(1) == turns(1), "a seed decides the order");
    check(std::set<int>{turns(1)[0] / 8, turns(2)[0] / 8, turns(3)[0] / 8, turns(4)[0] / 8}.size() > 1, "of blocks");
    const std::vector<int> one = turns(1);
    check(one[0] % 8 != one[8] % 8 || one[1] % 8 != one[9] % 8, "and of the threads of each block anew");
}

// Blocks in flight at the same time.
void overlapping_blocks() {
    const dim3 grid{7, 1, 1}, threads{64, 1, 1};
    std::set<int> right, wrong, counts;
    for (std::uint64_t seed = 0; seed < 8; ++seed) {
        const auto sum = [&](auto kernel) {
            int total = 0, out = 0;
            unsigned done = 0;
            const auto fault = run_with(4, nullptr, kernel, grid, threads, seed, &total, &done, &out);
            check(fault.empty(), "the last block runs");
            return out;
        };
        right.insert(sum(last_block<true>));
        wrong.insert(sum(last_block<false>));
        int count = 0;
        check(run(lost_count, grid, {1, 1, 1}, seed, &count).empty(), "blocks count themselves");
        counts.insert(count);
    }
    check(right == std::set<int>{7 * 64}, "the last block sees the work of all");
    check(wrong.size() > 1, "a last block that does not wait for the others is found");
    check(counts.size() > 1 && counts.count(7), "a count that is not atomic is found");

    std::vector<int> steps(7 * 64 * 4);
    int next = 0, foreign = 0, changes = 0;
    const auto turns = [&](std::uint64_t seed) {
        next = foreign = changes = 0;
        check(run_with(4, nullptr, by_turns, grid, threads, seed, steps.data(), &next, &foreign).empty(), "turns");
        for (std::size_t i = 1; i < steps.size(); ++i) changes += steps[i] != steps[i - 1];
        check(foreign == 0, "shared memory is a block's own");
        return changes;
    };
    check(turns(0) == 6, "without a seed one block follows the other");
    check(turns(3) > 20, "with a seed they take turns");
}

// Operations that some lanes of a warp never reach.
void those_that_never_meet(std::uint64_t seed) {
    std::vector<int> out(32, 0);
    const auto holds = [](const std::string& what, const char* part) {
        check(what.find(part) != std::string::npos, what.c_str());
    };
    const std::string operations = run(two_operations, {}, {32, 1, 1}, seed, out.data());
    holds(operations, "__ballot_sync with mask ffffffff");
    holds(operations, "__shfl_sync with mask ffffffff");
    holds(operations, "but thread");
    const std::string masks = run(two_masks, {}, {32, 1, 1}, seed, out.data());
    holds(masks, "with mask 00000003");
    holds(masks, "with mask 00000007");
    holds(masks, "but thread");
    const std::string ring = run(in_a_ring, {}, {32, 1, 1}, seed, out.data());
    holds(ring, "deadlock: 3 threads cannot go on");
    holds(ring, "with mask 00000005");
}

} // namespace

int main() {
    memory();
    reads_of_nothing();
    dynamic_shared_memory();
    orders();
    overlapping_blocks();
    int expected = 0;
    for (int i = 0; i < 1000; ++i) expected += i * i % 37;
    check(sums<true>() == std::set<int>{expected}, "a sum with barriers is the same under every seed");
    const std::set<int> wrong = sums<false>();
    check(wrong.size() > 1 || !wrong.count(expected), "a sum without barriers is found out");

    for (std::uint64_t seed = 0; seed < 4; ++seed) {
        std::vector<int> out(64 * 4, -1);
        check(run(warp_operations, {1, 1, 1}, {64, 1, 1}, seed, out.data()).empty(), "warp operations run");
        for (int i = 0; i < 64; ++i) {
            const auto* of = &out[static_cast<std::size_t>(i) * 4];
            check(of[0] == (i ^ 1), "xor shuffle");
            check(of[1] == (i < 32 ? 496 : 496 + 32 * 32), "sum by down shuffles");
            check(static_cast<unsigned>(of[2]) == 0xaaaaaaaau, "ballot");
            check(of[3] == (i % 32 < 16 ? (i % 32 ^ 8) : -1), "shuffle of half a warp");
        }
        std::vector<int> alone(64, 0);
        check(run(early_exit, {1, 1, 1}, {64, 1, 1}, seed, alone.data()).empty(), "threads may leave before a barrier");
        for (int i = 0; i < 64; ++i) check(alone[static_cast<std::size_t>(i)] == (i + 1) % 2, "those who stay pass it");
        std::vector<int> met(64, 0);
        check(run(uneven, {1, 1, 1}, {64, 1, 1}, seed, met.data()).empty(), "uneven operations run");
        for (int value : met) check(value == 61, "lanes that did less meet those that did more");
        std::vector<int> partial(40, 0);
        check(run(partial_warp, {1, 1, 1}, {40, 1, 1}, seed, partial.data()).empty(), "a partial warp runs");
        check(partial[31] == -1 && partial[32] == 0xff && partial[39] == 0xff, "its ballot has its lanes");
        more_warp_operations(seed);
        those_that_never_meet(seed);
        std::vector<int> cube(2 * 3 * 2 * 4 * 2 * 5, 0);
        check(run(three_dimensions, {2, 3, 2}, {4, 2, 5}, seed, cube.data()).empty(), "three dimensions run");
        for (int count : cube) check(count == 1, "each place of a grid once");
    }

    std::vector<int> out(32, 0);
    const std::string deadlock = run(divergent, {1, 1, 1}, {32, 1, 1}, 0, out.data());
    check(deadlock == "block (0, 0, 0): deadlock: 32 threads cannot go on; thread 0 waits at a barrier; "
                      "thread 1 waits in __shfl_sync with mask ffffffff (31 do)",
          deadlock.c_str());
    const std::string mask = run(foreign_mask, {1, 1, 1}, {32, 1, 1}, 0, out.data());
    check(mask.find("thread 1: is not in the mask") != std::string::npos, mask.c_str());

    std::puts(failures ? "emulated machine: broken" : "emulated machine: ok");
    return failures != 0;
}
