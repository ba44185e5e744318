// The compressed passages of a segment, and what the bytes of a token say. Bytes may lie, and an answer is owed all the
// same: a code that names no centroid counts as the last one, a passage whose offsets are none as one without tokens.
#pragma once

// As `crates/backend/src/cuda/passages.rs` has it.
struct Passages {
    // First token of each passage and the end of the last, (P + 1).
    const u32* offsets;
    // Codes of `code_bits`, one after the other, low end first; 8 bytes behind the last.
    const u32* codes;
    // Packed residuals, (N, W).
    const u8* residuals;
    // Scale indices of `weight_bits`, one after the other.
    const u8* weights;
    // Multipliers of the centroid part and of the residual part, by weight index.
    const u8* centroid_weights;
    const u8* residual_weights;
    // What a bucket or a label stands for: 256, zeros behind the last.
    const i8* levels;
    // Centroids, (K, D).
    const i8* centroids;
    u32 num_passages, num_centroids, code_bits, weight_bits;
};

// Tokens from `start` to before `end`.
struct Tokens {
    u32 start, end;
};

__device__ __forceinline__ Tokens tokens_of(const Passages& passages, u32 pid) {
    if (pid >= passages.num_passages) return {0, 0};
    const u32 start = passages.offsets[pid], end = passages.offsets[pid + 1];
    const bool honest = start <= end && end <= passages.offsets[passages.num_passages];
    return honest ? Tokens{start, end} : Tokens{0, 0};
}

// The code of a token, below K.
__device__ __forceinline__ u32 code_of(const Passages& passages, u32 token) {
    const u64 bit = static_cast<u64>(token) * passages.code_bits;
    const u32* word = passages.codes + bit / 32;
    const u32 code = __funnelshift_r(word[0], word[1], static_cast<u32>(bit % 32)) & ((u64{1} << passages.code_bits) - 1);
    return code < passages.num_centroids ? code : passages.num_centroids - 1;
}

// The weight index of a token.
__device__ __forceinline__ u32 weight_of(const Passages& passages, u32 token) {
    const u64 bit = static_cast<u64>(token) * passages.weight_bits;
    if (passages.weight_bits == 0) return 0;
    u32 pair = passages.weights[bit / 8];
    if (bit % 8 + passages.weight_bits > 8) pair |= static_cast<u32>(passages.weights[bit / 8 + 1]) << 8;
    return pair >> (bit % 8) & ((1u << passages.weight_bits) - 1);
}
