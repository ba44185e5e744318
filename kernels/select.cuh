// The best m of n entries, by entry descending, then id ascending, by a key that holds both:
//
//   key(e) = (entry with its sign bit flipped) << 32 | ~id           larger is better; 0 is no entry
//
// A block selects from a run of keys, by a radix select: it counts, among the keys that share the digits chosen so far,
// how many have each value of the next byte, and chooses the byte of the m-th best key, until the keys that are at
// least as good are m or the bytes are at an end. Of many entries, a first launch selects from each chunk
// (best_of_chunks of top_k.cu), and a second one from what these have found, which it sorts. Columns are independent.
//
//   block           a chunk, or all entries, of a column
//   thread          an entry at a time, and one value of a byte
//   shared memory   1,048 bytes: the counts of 256 values, and the choice; 16 KiB more where keys are sorted
//   bound           latency, where the threads hold the keys; otherwise L2, 1 to 8 passes over the entries
//
// Versions
//   v1  every thread of the last block sums all 256 counts. Time not yet measured.
//   v2  one warp chooses the digit, 8 values per lane, by a prefix sum. Its gain is not yet measured.
//   v3  a launch has all passes over a chunk, where each pass was a launch over all entries. 2 launches instead of 7
//       to 9; its gain is not yet measured.
//   v4  this one: threads hold up to 8 keys, which each pass loaded again, and up to 2,048 keys are sorted in shared
//       memory, which took two loads from L2 in each of 3 to 66 steps. Its gain is not yet measured.
#pragma once

// Keys that are sorted in shared memory.
constexpr u32 SHARED_SORT = 2048;

// What is selected from: `EntriesArgument` of crates/backend/src/cuda/select.rs.
struct Entries {
    // Keys, (columns, num), if they are made already; otherwise null, and
    const u64* keys;
    // the maxima of a centroid table (table.cuh), or scores, which are one column: `norm` is null, and `stride` is 1
    const void* entries;
    const u32* norm;
    // with the pid that is chosen, or the entry's number, as id.
    Chosen chosen;
    u32 num, stride;
    u32 narrow_below, unused;
};
static_assert(sizeof(Entries) == 64, "EntriesArgument has this layout");
ASSERT_OFFSET(Entries, chosen, 24);
ASSERT_OFFSET(Entries, num, 48);
ASSERT_OFFSET(Entries, narrow_below, 56);

__device__ __forceinline__ u64 key_of(int entry, u32 id) {
    return static_cast<u64>(static_cast<u32>(entry) ^ 0x80000000u) << 32 | static_cast<u32>(~id);
}
__device__ __forceinline__ int entry_of(u64 key) { return static_cast<int>(static_cast<u32>(key >> 32) ^ 0x80000000u); }
__device__ __forceinline__ u32 id_of(u64 key) { return ~static_cast<u32>(key); }

// Keys of a column.
struct KeyOfEntry {
    const Entries& of;
    u32 column;
    bool narrow;
    u64 first;

    __device__ __forceinline__ KeyOfEntry(const Entries& of, u32 column)
        : of(of), column(column), narrow(of.norm && *of.norm < of.narrow_below),
          first(first_of_column(of.num, column)) {}

    __device__ __forceinline__ u64 operator()(u32 e) const {
        if (of.keys) return of.keys[u64{column} * of.num + e];
        const int entry = entry_at(of.entries, narrow, first + u64{e} * of.stride);
        if (entry == NO_MATCH) return 0;
        const u32 id = chosen_pid(of.chosen, e);
        return id == NO_PID ? 0 : key_of(entry, id);
    }
};

// The digits of the m-th best key so far.
struct Choice {
    u64 prefix;
    // Number of keys that share all of these digits and are still to be selected.
    u32 remaining;
    // Whether these are all that share them.
    u32 whole;
    // Keys collected so far: those better than the m-th, and those that share its digits.
    u32 better, equal;
};

// Chooses the next digit of the m-th best key by the `counts` of its values. Called by the first warp of a block; a
// lane has 8 values, the first lane the largest.
__device__ __forceinline__ void choose(Choice& choice, const u32* counts, int shift) {
    constexpr int LANE_DIGITS = DIGITS / WARP;
    const int lane = lane_number(), largest = DIGITS - 1 - lane * LANE_DIGITS;
    u32 own = 0;
    for (int i = 0; i < LANE_DIGITS; ++i) own += counts[largest - i];
    u32 above = own;
    for (int by = 1; by < WARP; by *= 2) {
        const u32 before = __shfl_up_sync(ALL_LANES, above, by);
        if (lane >= by) above += before;
    }
    const u32 remaining = choice.remaining, total = __shfl_sync(ALL_LANES, above, WARP - 1);
    above -= own;
    __syncwarp();
    // Of fewer keys than are to be selected, all are: any key is better than this prefix.
    if (total <= remaining) {
        if (lane == 0) choice.whole = 1;
        return;
    }
    for (int i = 0; i < LANE_DIGITS; ++i) {
        const u32 count = counts[largest - i];
        if (above < remaining && remaining <= above + count) {
            choice.prefix |= static_cast<u64>(largest - i) << shift;
            choice.remaining = remaining - above;
            choice.whole = remaining == above + count;
        }
        above += count;
    }
}

// Keys of numbers `begin` to before `end`, made anew in each pass over them.
template <class KeyOf> struct PassedKeys {
    const KeyOf& key;
    u32 begin, end;

    template <class Use> __device__ __forceinline__ void each(const Use& use) const {
        for (u32 e = begin + threadIdx.x; e < end; e += blockDim.x) use(key(e));
    }
};

// Keys of at most HELD_KEYS numbers per thread, made once: a pass over them waits for no memory.
struct HeldKeys {
    u64 held[HELD_KEYS];

    template <class KeyOf> __device__ __forceinline__ HeldKeys(const KeyOf& key, u32 begin, u32 end) {
#pragma unroll
        for (u32 i = 0; i < HELD_KEYS; ++i) {
            const u32 e = begin + threadIdx.x + i * blockDim.x;
            held[i] = e < end ? key(e) : 0;
        }
    }

    template <class Use> __device__ __forceinline__ void each(const Use& use) const {
#pragma unroll
        for (u32 i = 0; i < HELD_KEYS; ++i) use(held[i]);
    }
};

// The shared memory of a selection.
struct Selection {
    u32 counts[DIGITS];
    Choice choice;
};

// Writes the best `most` of `num` keys to `best`, in no order, and zeros in the other places. Returns how many there
// are. Called by all threads of a block.
template <class Keys>
__device__ __forceinline__ u32 select_of(Selection& shared, u64* best, const Keys& keys, u32 num, u32 most) {
    Choice& choice = shared.choice;
    const u32 thread = threadIdx.x;
    if (thread == 0) choice = {0, most, num <= most, 0, 0};
    for (u32 at = thread; at < most; at += blockDim.x) best[at] = 0;
    __syncthreads(); // the choice is there, and the zeros
    int shift = choice.whole ? 0 : 64;
    while (shift > 0 && !choice.whole) {
        shift -= 8;
        shared.counts[thread] = 0;
        __syncthreads();
        const u64 prefix = choice.prefix;
        keys.each([&](u64 own) {
            // No digit precedes the first one.
            const bool chosen = shift == 56 || (own ^ prefix) >> (shift + 8) == 0;
            if (chosen && own != 0) atomicAdd(&shared.counts[own >> shift & (DIGITS - 1)], 1u);
        });
        __syncthreads(); // all are counted
        if (thread < WARP) choose(choice, shared.counts, shift);
        __syncthreads();
    }
    const u64 prefix = choice.prefix >> shift;
    const u32 remaining = choice.remaining;
    keys.each([&](u64 own) {
        if (own == 0 || own >> shift < prefix) return;
        if (own >> shift > prefix) {
            best[atomicAdd(&choice.better, 1u)] = own;
        } else {
            const u32 place = atomicAdd(&choice.equal, 1u);
            if (place < remaining) best[most - 1 - place] = own;
        }
    });
    __syncthreads(); // all are collected
    const u32 found = choice.better + min(choice.equal, remaining);
    __syncthreads(); // before a caller selects again
    return found;
}

// Writes the best `most` keys of numbers `begin` to before `end`, as select_of does.
template <class KeyOf>
__device__ __forceinline__ u32 select(u64* best, const KeyOf& key, u32 begin, u32 end, u32 most) {
    __shared__ Selection shared;
    const u32 num = end - begin;
    if (num <= HELD_KEYS * blockDim.x) return select_of(shared, best, HeldKeys(key, begin, end), num, most);
    return select_of(shared, best, PassedKeys<KeyOf>{key, begin, end}, num, most);
}

// Sorts `padded` keys, a power of two, best first, where they are: a bitonic sort.
__device__ __forceinline__ void sort_in_place(u64* keys, u32 padded) {
    for (u32 size = 2; size <= padded; size *= 2) {
        for (u32 by = size / 2; by > 0; by /= 2) {
            for (u32 pair = threadIdx.x; pair < padded / 2; pair += blockDim.x) {
                const u32 i = pair / by * 2 * by + pair % by, with = i + by;
                const u64 own = keys[i], other = keys[with];
                if ((own < other) == ((i & size) == 0)) {
                    keys[i] = other;
                    keys[with] = own;
                }
            }
            __syncthreads();
        }
    }
}

// Sorts `padded` keys, a power of two, best first. Called by all threads of a block.
__device__ __forceinline__ void sort(u64* keys, u32 padded) {
    __shared__ u64 near[SHARED_SORT];
    if (padded > SHARED_SORT) return sort_in_place(keys, padded);
    for (u32 at = threadIdx.x; at < padded; at += blockDim.x) near[at] = keys[at];
    __syncthreads(); // all are copied
    sort_in_place(near, padded);
    for (u32 at = threadIdx.x; at < padded; at += blockDim.x) keys[at] = near[at];
    __syncthreads(); // all are back, before a caller reads them
}

// Selects the best `most` of `num` keys to `best`: best first if `padded`, a power of two, is not 0 and at most
// MOST_SORTED, with zeros in the other places of `best (padded)`; otherwise in no order. Returns how many there are.
template <class KeyOf>
__device__ __forceinline__ u32 select_sorted(u64* best, const KeyOf& key, u32 num, u32 most, u32 padded) {
    for (u32 at = most + threadIdx.x; at < padded; at += blockDim.x) best[at] = 0;
    const u32 found = select(best, key, 0, num, most);
    if (padded <= MOST_SORTED) sort(best, padded);
    return found;
}
