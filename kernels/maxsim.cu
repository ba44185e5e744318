// maxsim: scores straight from the compressed bytes.
//
//   sim(i, t) = centroid_weights[j] * T[code][i] + residual_weights[j] * dot(q8[i], levels of t)
//   score     = sum over i of (max over t of sim(i, t)) >> shift
//
//   in    passages, table (K, pitch) i32, query (ceil(Q / 8), STEPS, 32) chunks of 8 i8 in the order of levels.cuh,
//         pids (C) or none for all
//   out   scores (C) i32
//
// A warp owns a passage at a time and goes over its tokens 16 at a time, for a panel of 32 query tokens; longer queries
// unpack a passage once a panel. Lane (g, t) = (lane / 4, lane % 4) unpacks its chunks of tokens g and g + 8 into what is
// the left side of the product, so that levels never leave registers. Behind the last token comes the last one
// again, which changes no maximum. No shared memory.

extern "C" __global__ void __launch_bounds__(128, 6)
maxsim(Passages passages, const int* table, u32 pitch, const Pair* query, u32 query_len, u32 shift, const u32* pids,
       u32 num_selected, int* scores) {
    const int lane = lane_number(), g = lane / 4, t = lane % 4;
    const LevelTable levels(passages.levels);
    for (u32 selected = grid_warp(); selected < num_selected; selected += grid_warps()) {
        const Tokens tokens = tokens_of(passages, pids ? pids[selected] : selected);
        int score = 0;
        for (u32 panel = 0; panel < query_len && tokens.start < tokens.end; panel += PANEL) {
            int best[PANEL_TILES][2];
            for (auto& pair : best) pair[0] = pair[1] = NO_MATCH;
            for (u32 first = tokens.start; first < tokens.end; first += min(u32{TILE_ROWS}, tokens.end - first)) {
                // Sums that stay within the tokens: those that a passage claims may be nearly 2^32.
                const u32 row = g, last = tokens.end - 1 - first;
                const u32 token[2] = {first + min(row, last), first + min(row + 8, last)};
                int sums[PANEL_TILES][4] = {};
                const u8* low = passages.residuals + u64{token[0]} * ROW_BYTES;
                const u8* high = passages.residuals + u64{token[1]} * ROW_BYTES;
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
                for (int half = 0; half < 2; ++half) {
                    const u32 weight = weight_of(passages, token[half]);
                    const int centroid_weight = passages.centroid_weights[weight], residual_weight = passages.residual_weights[weight];
                    const int* entries = table + u64{code_of(passages, token[half])} * pitch;
                    for (int tile = 0; tile < PANEL_TILES; ++tile) {
                        const u32 column = panel + tile * TILE_COLUMNS + 2 * t;
                        if (column >= pitch) break;
                        for (int i = 0; i < 2; ++i) {
                            const int sim = centroid_weight * entries[column + i] + residual_weight * sums[tile][2 * half + i];
                            best[tile][i] = max(best[tile][i], sim);
                        }
                    }
                }
            }
            for (int tile = 0; tile < PANEL_TILES; ++tile) {
                for (int i = 0; i < 2; ++i) {
                    // Over the eight lanes that have the same query token.
                    for (int with = 4; with < WARP; with *= 2) {
                        best[tile][i] = max(best[tile][i], __shfl_xor_sync(ALL_LANES, best[tile][i], with));
                    }
                    if (panel + tile * TILE_COLUMNS + 2 * t + i < query_len) score += best[tile][i] >> shift;
                }
            }
        }
        for (int with = 1; with < 4; with *= 2) score += __shfl_xor_sync(ALL_LANES, score, with);
        if (lane == 0) scores[selected] = tokens.start < tokens.end ? score : NO_MATCH;
    }
}
