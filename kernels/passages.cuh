// The compressed passages of a segment, and the fields of a token. Bytes may be corrupt and still have a defined
// result: a code that is out of range counts as the last one, a passage with corrupt offsets as one without tokens.
#pragma once

// `PassagesArgument` of crates/backend/src/cuda/resident.rs.
struct Passages {
    // First token of each passage and the end of the last, (P + 1).
    const u32* offsets;
    // Codes of `code_bits` each, lowest bits first; 8 bytes follow the last.
    const u32* codes;
    // Packed residuals, (N, W).
    const u8* residuals;
    // Weight indices of `weight_bits` each.
    const u8* weights;
    // Multipliers of the centroid part and of the residual part, by weight index.
    const u8* centroid_weights;
    const u8* residual_weights;
    // Level of each bucket or label: 256, zeros after the last.
    const i8* levels;
    // Centroids, (K, D).
    const i8* centroids;
    u32 num_passages, num_centroids, code_bits, weight_bits;
};
static_assert(sizeof(Passages) == 80, "PassagesArgument has this layout");
ASSERT_OFFSET(Passages, weights, 24);
ASSERT_OFFSET(Passages, levels, 48);
ASSERT_OFFSET(Passages, centroids, 56);
ASSERT_OFFSET(Passages, num_passages, 64);
ASSERT_OFFSET(Passages, weight_bits, 76);

// Tokens from `start` to before `end`.
struct Tokens {
    u32 start, end;
};

// Returns the tokens of a passage; none for a pid that is out of range or whose offsets are corrupt.
__device__ __forceinline__ Tokens tokens_of(const Passages& passages, u32 pid) {
    if (pid >= passages.num_passages) return {0, 0};
    const u32 start = passages.offsets[pid], end = passages.offsets[pid + 1];
    const bool valid = start <= end && end <= passages.offsets[passages.num_passages];
    return valid ? Tokens{start, end} : Tokens{0, 0};
}

// Returns the code of a token, below K.
__device__ __forceinline__ u32 code_of(const Passages& passages, u32 token) {
    const u64 bit = static_cast<u64>(token) * passages.code_bits;
    const u32* word = passages.codes + bit / 32;
    const u32 mask = static_cast<u32>((u64{1} << passages.code_bits) - 1);
    const u32 code = __funnelshift_r(word[0], word[1], static_cast<u32>(bit % 32)) & mask;
    return code < passages.num_centroids ? code : passages.num_centroids - 1;
}

// Returns the weight index of a token.
__device__ __forceinline__ u32 weight_of(const Passages& passages, u32 token) {
    const u64 bit = static_cast<u64>(token) * passages.weight_bits;
    if (passages.weight_bits == 0) return 0;
    u32 pair = passages.weights[bit / 8];
    if (bit % 8 + passages.weight_bits > 8) pair |= static_cast<u32>(passages.weights[bit / 8 + 1]) << 8;
    return pair >> (bit % 8) & ((1u << passages.weight_bits) - 1);
}
