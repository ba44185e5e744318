// The compressed passages of an index, segment by segment, which of them are chosen, and the fields of a token. Bytes
// may be corrupt and still have a defined result: a code that is out of range counts as the last one, a passage with
// corrupt offsets as one without tokens.
#pragma once

// What the passages of all segments have in common: `CodecArgument` of crates/backend/src/cuda/resident.rs.
struct Codec {
    // Multipliers of the centroid part and of the residual part, by weight index.
    const u8* centroid_weights;
    const u8* residual_weights;
    // Level of each bucket or label: 256, zeros after the last.
    const i8* levels;
    // Centroids, (K, D).
    const i8* centroids;
    u32 num_centroids, code_bits, weight_bits, unused;
};
static_assert(sizeof(Codec) == 48, "CodecArgument has this layout");
ASSERT_OFFSET(Codec, levels, 16);
ASSERT_OFFSET(Codec, num_centroids, 32);
ASSERT_OFFSET(Codec, weight_bits, 40);

// A segment: `SegmentArgument` of crates/backend/src/cuda/resident.rs.
struct Segment {
    // First token of each passage and the end of the last, (P + 1).
    const u32* offsets;
    // Codes of `code_bits` each, lowest bits first; 8 bytes follow the last.
    const u32* codes;
    // Packed residuals, (N, W).
    const u8* residuals;
    // Weight indices of `weight_bits` each.
    const u8* weights;
    // First entry of each inverted list and the end of the last, (K + 1), and the entries: the passages that have a
    // token of the list's code, by their numbers within the segment.
    const u64* list_starts;
    const u32* list_pids;
    // Pid of the first passage, and number of passages.
    u32 first_pid, num_passages;
};
static_assert(sizeof(Segment) == 56, "SegmentArgument has this layout");
ASSERT_OFFSET(Segment, weights, 24);
ASSERT_OFFSET(Segment, list_starts, 32);
ASSERT_OFFSET(Segment, first_pid, 48);

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

// Returns the code of a token, below K.
__device__ __forceinline__ u32 code_of(const Codec& codec, const u32* __restrict__ codes, u32 token) {
    const u64 bit = static_cast<u64>(token) * codec.code_bits;
    const u32* word = codes + bit / 32;
    const u32 mask = static_cast<u32>((u64{1} << codec.code_bits) - 1);
    const u32 code = __funnelshift_r(word[0], word[1], static_cast<u32>(bit % 32)) & mask;
    return code < codec.num_centroids ? code : codec.num_centroids - 1;
}

// Returns the weight index of a token.
__device__ __forceinline__ u32 weight_of(const Codec& codec, const u8* __restrict__ weights, u32 token) {
    const u64 bit = static_cast<u64>(token) * codec.weight_bits;
    if (codec.weight_bits == 0) return 0;
    u32 pair = weights[bit / 8];
    if (bit % 8 + codec.weight_bits > 8) pair |= static_cast<u32>(weights[bit / 8 + 1]) << 8;
    return pair >> (bit % 8) & ((1u << codec.weight_bits) - 1);
}
