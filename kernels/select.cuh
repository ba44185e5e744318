// The best m of n entries, by entry descending, then id ascending: a radix select over a key that holds both.
//
//   key(e) = (entry with its sign bit flipped) << 32 | ~id           larger is better
//
// select_digit counts, among the keys that share the digits chosen so far, how many have each value of the next byte;
// the last block to finish chooses the byte of the m-th best key. After the last digit `prefix` is that key, and
// collect writes the keys that are not smaller, in no order. Columns (blockIdx.y) are independent: entry e of column i
// is `entries[e * stride + i]`.
//
//   in and out  selections (columns), one per column
//   out         best (columns, most) keys: from the front those better than the m-th, from the back those
//               equal to it (an id may occur more than once); zeros in between if there are fewer, since no
//               key is 0
//   in          entries i32, ids (num) u32 or null for the numbers of the entries
//   sizes       num, stride, shift of the digit or most = m
//
//   block           some entries of a column; the last one to finish chooses the digit
//   thread          an entry at a time, and one value of the digit
//   shared memory   1,025 bytes: the counts of 256 values, and whether the block is the last
//   bound           memory: L2, 6 to 9 passes over the entries
//
// Versions
//   v1  every thread of the last block sums all 256 counts. Time not yet measured.
//   v2  this one: one warp chooses the digit, 8 values per lane, by a prefix sum. Its gain is not yet measured.
#pragma once

// The state of a column: `Selection` of crates/backend/src/cuda/select.rs.
struct Selection {
    // The digits chosen so far, in their places; ones where no id has a digit.
    u64 prefix;
    // Number of keys with these digits that are still to be selected.
    u32 remaining;
    // Blocks that have counted this digit.
    u32 done;
    // Keys collected so far: those better than the m-th, and those equal to it.
    u32 better, equal;
    u32 counts[DIGITS];
};
static_assert(sizeof(Selection) == 24 + 4 * DIGITS, "the host's Selection has this layout");
ASSERT_OFFSET(Selection, remaining, 8);
ASSERT_OFFSET(Selection, done, 12);
ASSERT_OFFSET(Selection, better, 16);
ASSERT_OFFSET(Selection, equal, 20);
ASSERT_OFFSET(Selection, counts, 24);

__device__ __forceinline__ u64 key_of(int entry, u32 id) {
    return static_cast<u64>(static_cast<u32>(entry) ^ 0x80000000u) << 32 | static_cast<u32>(~id);
}

// Chooses the digit of the m-th best key by the `counts` of all keys. Called by the first warp of a block; a lane has 8
// digits, the first lane the largest.
__device__ __forceinline__ void choose(Selection& selection, const u32* counts, u32 shift) {
    constexpr int LANE_DIGITS = DIGITS / WARP;
    const int lane = lane_number(), largest = DIGITS - 1 - lane * LANE_DIGITS;
    u32 own = 0;
    for (int i = 0; i < LANE_DIGITS; ++i) own += counts[largest - i];
    u32 above = own;
    for (int by = 1; by < WARP; by *= 2) {
        const u32 before = __shfl_up_sync(ALL_LANES, above, by);
        if (lane >= by) above += before;
    }
    // If there are fewer keys than are to be selected, all of them are.
    const u32 remaining = min(selection.remaining, __shfl_sync(ALL_LANES, above, WARP - 1));
    above -= own;
    __syncwarp();
    // No key is left: a prefix that no key reaches.
    if (remaining == 0 && lane == 0) selection.prefix = ~u64{0};
    for (int i = 0; i < LANE_DIGITS; ++i) {
        const u32 count = counts[largest - i];
        if (above < remaining && remaining <= above + count) {
            selection.prefix |= static_cast<u64>(largest - i) << shift;
            selection.remaining = remaining - above;
        }
        above += count;
    }
    if (lane == 0) selection.done = 0;
}

extern "C" __global__ void __launch_bounds__(DIGITS)
select_digit(Selection* selections, const int* __restrict__ entries, const u32* __restrict__ ids, u32 num, u32 stride,
             u32 shift) {
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
        // No digit precedes the first one; a passage without tokens is never among the best.
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

extern "C" __global__ void __launch_bounds__(DIGITS)
collect(u64* best, Selection* selections, const int* __restrict__ entries, const u32* __restrict__ ids, u32 num,
        u32 stride, u32 most) {
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
            if (place < selection.remaining) found[most - 1 - place] = key;
        }
    }
}
