// The compressed passages of an index, segment by segment, which of them are chosen, and the fields of a token. Bytes
// may be corrupt and still have a defined result: a code that is out of range counts as the last one (the host sees to
// that, `tokens` of crates/backend/src/cuda/resident.rs), a passage with corrupt offsets as one without tokens.
#pragma once

// Weights that an index names.
struct Weights {
    // Multiplier of the centroid part, 0 .. 255, in the lowest and in the highest byte.
    u32 centroid;
    // Multiplier of the residual part.
    int residual;
};
static_assert(sizeof(Weights) == 8, "WeightsArgument has this layout");
ASSERT_OFFSET(Weights, residual, 4);

// What the passages of all segments have in common: `CodecArgument` of crates/backend/src/cuda/resident.rs.
struct Codec {
    // Weights by their index.
    const Weights* weights;
    // Level of each bucket or label: 256, zeros after the last; and after them the table of windows.cuh.
    const i8* levels;
    // Centroids, (K, D).
    const i8* centroids;
    int lowest_level;
    // All bits set: a number that the compiler does not know.
    u32 minus_one;
};
static_assert(sizeof(Codec) == 32, "CodecArgument has this layout");
ASSERT_OFFSET(Codec, levels, 8);
ASSERT_OFFSET(Codec, lowest_level, 24);
ASSERT_OFFSET(Codec, minus_one, 28);

// A segment: `SegmentArgument` of crates/backend/src/cuda/resident.rs.
struct Segment {
    // First token of each passage and the end of the last, (P + 1).
    const u32* offsets;
    // Code, below K, and weight index of each token, (N); `code_of` and `weight_of` take them apart.
    const u32* tokens;
    // Packed residuals, (N, W).
    const u8* residuals;
    // First entry of each inverted list and the end of the last, (K + 1), and the entries: the passages that have a
    // token of the list's code, by their numbers within the segment.
    const u64* list_starts;
    const u32* list_pids;
    // Pid of the first passage, and number of passages.
    u32 first_pid, num_passages;
};
static_assert(sizeof(Segment) == 48, "SegmentArgument has this layout");
ASSERT_OFFSET(Segment, residuals, 16);
ASSERT_OFFSET(Segment, list_starts, 24);
ASSERT_OFFSET(Segment, first_pid, 40);

// The passages that a kernel scores: `ChosenArgument` of crates/backend/src/cuda/chosen.rs. At most one of the three is
// not null; without any all passages are chosen.
struct Chosen {
    // Pids.
    const u32* pids;
    // Keys as select.cuh makes them, whose lower half names a pid; 0 is none.
    const u64* keys;
    // Address of a word that has the address of a bitmap of all pids, or 0 for all.
    const u64* set;
};
static_assert(sizeof(Chosen) == 24, "ChosenArgument has this layout");

constexpr u32 NO_PID = 0xffffffffu;

// Returns the pid of number `at` of the chosen passages; NO_PID for none.
__device__ __forceinline__ u32 chosen_pid(const Chosen& chosen, u32 at) {
    if (chosen.pids) return chosen.pids[at];
    if (chosen.keys) return chosen.keys[at] ? ~static_cast<u32>(chosen.keys[at]) : NO_PID;
    if (!chosen.set) return at;
    const u32* bits = reinterpret_cast<const u32*>(*chosen.set);
    return !bits || bits[at / 32] >> (at % 32) & 1 ? at : NO_PID;
}

// Returns the segment that has passage `pid`: the last one that does not begin after it.
__device__ __forceinline__ const Segment& segment_of(const Segment* __restrict__ segments, u32 num_segments, u32 pid) {
    u32 low = 0, end = num_segments;
    while (end - low > 1) {
        const u32 middle = low + (end - low) / 2;
        if (segments[middle].first_pid <= pid) {
            low = middle;
        } else {
            end = middle;
        }
    }
    return segments[low];
}

// Tokens from `start` to before `end`.
struct Tokens {
    u32 start, end;
};

// Returns the tokens of passage `pid` of the segment; none for a pid that is out of range or whose offsets are corrupt.
__device__ __forceinline__ Tokens tokens_of(const Segment& segment, u32 pid) {
    const u32 number = pid - segment.first_pid;
    if (number >= segment.num_passages) return {0, 0};
    const u32 start = segment.offsets[number], end = segment.offsets[number + 1];
    const bool valid = start <= end && end <= segment.offsets[segment.num_passages];
    return valid ? Tokens{start, end} : Tokens{0, 0};
}

// Returns the code in a token's word.
__device__ __forceinline__ u32 code_of(u32 token) { return token & ((1u << CODE_BITS) - 1); }

// Returns the weight index in a token's word.
__device__ __forceinline__ u32 weight_of(u32 token) { return token >> CODE_BITS; }
