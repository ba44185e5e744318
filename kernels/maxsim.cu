// maxsim: scores straight from the compressed bytes.
//
//   sim(i, t) = centroid_weights[j] * T[code][i] + residual_weights[j] * dot(q8[i], levels of t)
//   score     = sum over i of (max over t of sim(i, t)) >> shift
//
//   out    scores (C) i32, NO_MATCH for a passage without tokens
//   in     segments, codec, table (K, pitch) i32, query (ceil(Q / 8), STEPS, 32) chunks of 8 i8 in the order of
//          levels.cuh, chosen: the C passages
//   sizes  num_segments, num_chosen = C, pitch, query_len = Q, shift = ceil(log2(Q))
//
//   warp            a passage at a time, 16 tokens by a panel of 32 query tokens; for longer queries it
//                   unpacks the passage once per panel
//   lane            (g, t) = (lane / 4, lane % 4) unpacks its chunks of tokens g and g + 8 straight into the left side
//                   of the product, so levels never leave registers
//   shared memory   the segment of each warp: its addresses would be too many for the registers
//   bound           compute: the integer pipe. 620 instructions per 16 tokens and 32 query tokens in SASS (sm_90,
//                   D = 128, 2 bits, trellis), of which 366 go to that pipe (732 clocks) and 16 are products (103
//                   clocks at 62 % of the int8 peak)
//
// Versions
//   v1  token numbers overflow u32 where a passage's offsets are corrupt. 80 registers, 1,038 instructions in all
//       (sm_90, D = 128, 2 bits, trellis). Time not yet measured.
//   v2  sums stay within the passage's tokens. 80 registers, 6 instructions more in all; no gain in time was intended,
//       and none is measured yet.
//   v3  this one: passages of all segments in one launch. A segment is found by halving, and its addresses come from
//       memory, where they were arguments; no time is measured yet.

// The two tokens of a lane, g and g + 8 of the 16 from `first` on. The last token stands for those after it, which
// changes no maximum.
struct TokenPair {
    u32 low, high;
};

__device__ __forceinline__ TokenPair token_pair(u32 first, u32 end) {
    // No sum exceeds the last token, since corrupt offsets may put it near 2^32.
    const u32 row = lane_number() / 4, last = end - 1 - first;
    return {first + min(row, last), first + min(row + 8, last)};
}

// Adds to `sums` the products of a panel's query tokens with the levels of the tokens.
__device__ __forceinline__ void unpack_and_multiply(int (&sums)[PANEL_TILES][4], const u8* __restrict__ residuals,
                                                    const LevelTable& levels, TokenPair token,
                                                    const Pair* __restrict__ query, u32 query_len, u32 panel) {
    const int lane = lane_number(), t = lane % 4;
    const u8* low = residuals + u64{token.low} * ROW_BYTES;
    const u8* high = residuals + u64{token.high} * ROW_BYTES;
#pragma unroll 4
    for (int s = 0; s < (NBITS ? STEPS : 0); ++s) {
        const Pair at_low = levels.chunk(low, t * STEPS + s), at_high = levels.chunk(high, t * STEPS + s);
        const u32 a[4] = {at_low.x, at_high.x, at_low.y, at_high.y};
        for (int tile = 0; tile < PANEL_TILES; ++tile) {
            const u32 column = panel + tile * TILE_COLUMNS;
            if (column >= query_len) break;
            const Pair chunk = query[(column / TILE_COLUMNS * STEPS + s) * WARP + lane];
            const u32 b[2] = {chunk.x, chunk.y};
            mma_s8(sums[tile], a, b);
        }
    }
}

// Raises `best` to the similarities of the tokens, whose residual part is `sums`.
__device__ __forceinline__ void fold(int (&best)[PANEL_TILES][2], const int (&sums)[PANEL_TILES][4],
                                     const Codec& codec, const volatile Segment& segment, TokenPair token,
                                     const int* __restrict__ table, u32 pitch, u32 panel) {
    for (int half = 0; half < 2; ++half) {
        const u32 of = half ? token.high : token.low;
        const u32 weight = weight_of(codec, segment.weights, of);
        const int centroid_weight = codec.centroid_weights[weight];
        const int residual_weight = codec.residual_weights[weight];
        const int* entries = table + u64{code_of(codec, segment.codes, of)} * pitch;
        for (int tile = 0; tile < PANEL_TILES; ++tile) {
            const u32 column = panel + tile * TILE_COLUMNS + 2 * (lane_number() % 4);
            if (column >= pitch) break;
            for (int i = 0; i < 2; ++i) {
                const int sim = centroid_weight * entries[column + i] + residual_weight * sums[tile][2 * half + i];
                best[tile][i] = max(best[tile][i], sim);
            }
        }
    }
}

// Returns a lane's part of the score: the maxima over all tokens, shifted and summed over its query tokens.
__device__ __forceinline__ int reduce(int (&best)[PANEL_TILES][2], u32 query_len, u32 shift, u32 panel) {
    int score = 0;
    for (int tile = 0; tile < PANEL_TILES; ++tile) {
        for (int i = 0; i < 2; ++i) {
            // Over the eight lanes that have the same query token.
            for (int with = 4; with < WARP; with *= 2) {
                best[tile][i] = max(best[tile][i], __shfl_xor_sync(ALL_LANES, best[tile][i], with));
            }
            const u32 column = panel + tile * TILE_COLUMNS + 2 * (lane_number() % 4) + i;
            if (column < query_len) score += best[tile][i] >> shift;
        }
    }
    return score;
}

extern "C" __global__ void __launch_bounds__(THREADS, 6)
maxsim(int* scores, const Segment* __restrict__ segments, Codec codec, const int* __restrict__ table,
       const Pair* __restrict__ query, Chosen chosen, u32 num_segments, u32 num_chosen, u32 pitch, u32 query_len,
       u32 shift) {
    __shared__ Segment held[THREADS / WARP];
    const LevelTable levels(codec.levels);
    for (u32 at = grid_warp(); at < num_chosen; at += grid_warps()) {
        const u32 pid = chosen_pid(chosen, at);
        const Segment& found = segment_of(segments, num_segments, pid);
        const Tokens tokens = tokens_of(found, pid);
        __syncwarp(); // before the segment of the last passage is overwritten
        if (lane_number() == 0) held[warp_number()] = found;
        __syncwarp();
        // Volatile, so that an address is loaded when it is used and takes no register in between.
        const volatile Segment& segment = held[warp_number()];
        int score = 0;
        for (u32 panel = 0; panel < query_len && tokens.start < tokens.end; panel += PANEL) {
            int best[PANEL_TILES][2];
            for (auto& pair : best) pair[0] = pair[1] = NO_MATCH;
            for (u32 first = tokens.start; first < tokens.end; first += min(u32{TILE_ROWS}, tokens.end - first)) {
                const TokenPair token = token_pair(first, tokens.end);
                int sums[PANEL_TILES][4] = {};
                unpack_and_multiply(sums, segment.residuals, levels, token, query, query_len, panel);
                fold(best, sums, codec, segment, token, table, pitch, panel);
            }
            score += reduce(best, query_len, shift, panel);
        }
        for (int with = 1; with < 4; with *= 2) score += __shfl_xor_sync(ALL_LANES, score, with);
        if (lane_number() == 0) scores[at] = tokens.start < tokens.end ? score : NO_MATCH;
    }
}
