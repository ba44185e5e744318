// The best m of n entries, by entry descending, then id ascending: digit by digit of a key that has both.
//
//   key(e) = (entry with its sign bit flipped) << 32 | ~id           larger is better
//
// select_digit counts, among the keys that share the digits chosen so far, how many have each value of the next byte; the
// block that is done last chooses the byte in which the m-th best key lies. After the last digit `prefix` is that
// key, and collect writes the keys that are no smaller, in no order. Columns (blockIdx.y) are independent of each other:
// entry e of column i lies at `entries[e * stride + i]`.
#pragma once

constexpr int DIGITS = 256;

// As `crates/backend/src/cuda/select.rs` has it.
struct Selection {
    // The digits chosen so far, in their places; ones where no id has a digit.
    u64 prefix;
    // How many of the keys with these digits are wanted.
    u32 wanted;
    // Blocks that are done with this digit.
    u32 done;
    // Keys that were collected: those better than the m-th, and those that equal it.
    u32 better, equal;
    u32 counts[DIGITS];
};

// What an entry is known by: its own number, or that in `ids`.
__device__ __forceinline__ u64 key_of(int entry, u32 id) {
    return static_cast<u64>(static_cast<u32>(entry) ^ 0x80000000u) << 32 | static_cast<u32>(~id);
}

// The first warp of a block chooses the digit that the wanted key has, of the `counts` of all keys. A lane looks at 8
// digits, the first lane at the largest.
__device__ __forceinline__ void choose(Selection& selection, const u32* counts, u32 shift) {
    constexpr int OF_LANE = DIGITS / WARP;
    const int lane = lane_number(), largest = DIGITS - 1 - lane * OF_LANE;
    u32 own = 0;
    for (int i = 0; i < OF_LANE; ++i) own += counts[largest - i];
    u32 above = own;
    for (int by = 1; by < WARP; by *= 2) {
        const u32 before = __shfl_up_sync(ALL_LANES, above, by);
        if (lane >= by) above += before;
    }
    // Where there are fewer than are wanted all of them are.
    const u32 wanted = min(selection.wanted, __shfl_sync(ALL_LANES, above, WARP - 1));
    above -= own;
    __syncwarp();
    // Nothing at all: no key is as large as this.
    if (wanted == 0 && lane == 0) selection.prefix = ~u64{0};
    for (int i = 0; i < OF_LANE; ++i) {
        const u32 count = counts[largest - i];
        if (above < wanted && wanted <= above + count) {
            selection.prefix |= static_cast<u64>(largest - i) << shift;
            selection.wanted = wanted - above;
        }
        above += count;
    }
    if (lane == 0) selection.done = 0;
}

extern "C" __global__ void __launch_bounds__(256)
select_digit(const int* entries, u32 num, u32 stride, const u32* ids, u32 shift, Selection* selections) {
    __shared__ u32 counts[DIGITS];
    __shared__ bool last;
    Selection& selection = selections[blockIdx.y];
    const u32 digit = threadIdx.x;
    const u64 prefix = selection.prefix;
    counts[digit] = 0;
    __syncthreads();
    for (u32 e = blockIdx.x * blockDim.x + threadIdx.x; e < num; e += gridDim.x * blockDim.x) {
        const int entry = entries[u64{e} * stride + blockIdx.y];
        const u64 key = key_of(entry, ids ? ids[e] : e);
        // Of the first digit there is nothing before it; a passage without tokens is never among the best.
        const bool chosen = shift == 56 || (key ^ prefix) >> (shift + 8) == 0;
        if (chosen && entry != NO_MATCH) atomicAdd(&counts[key >> shift & (DIGITS - 1)], 1u);
    }
    __syncthreads(); // all are counted
    if (counts[digit] > 0) atomicAdd(&selection.counts[digit], counts[digit]);
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) last = atomicAdd(&selection.done, 1u) == gridDim.x - 1;
    __syncthreads();
    if (!last) return;

    __threadfence();
    counts[digit] = selection.counts[digit];
    selection.counts[digit] = 0;
    __syncthreads();
    if (digit < WARP) choose(selection, counts, shift);
}

// `best (columns, most)` begins as zeros, which no key is: from the front on come those that are better than the m-th, from
// the back on those that equal it, as an id may come more than once.
extern "C" __global__ void __launch_bounds__(256)
collect(const int* entries, u32 num, u32 stride, const u32* ids, u32 most, Selection* selections, u64* best) {
    Selection& selection = selections[blockIdx.y];
    u64* found = best + u64{blockIdx.y} * most;
    for (u32 e = blockIdx.x * blockDim.x + threadIdx.x; e < num; e += gridDim.x * blockDim.x) {
        const int entry = entries[u64{e} * stride + blockIdx.y];
        const u64 key = key_of(entry, ids ? ids[e] : e);
        if (key < selection.prefix || entry == NO_MATCH) continue;
        if (key > selection.prefix) {
            found[atomicAdd(&selection.better, 1u)] = key;
        } else {
            const u32 place = atomicAdd(&selection.equal, 1u);
            if (place < selection.wanted) found[most - 1 - place] = key;
        }
    }
}
