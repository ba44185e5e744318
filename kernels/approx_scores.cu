// approx_scores: scores from the centroid table alone, sum over i of (max over t of T[code_t][i]) >> shift.
//
//   out    scores (C) i32, NO_MATCH for a passage without tokens
//   in     passages, table (K, pitch) i32, pids (C) u32 or null for all passages
//   sizes  num_selected = C, pitch, query_len = Q, shift = ceil(log2(Q))
//
//   warp            a passage at a time
//   lane            a query token of 32 at a time
//   shared memory   none
//   bound           memory: L2, 4 Q bytes of the table per token
//
// Versions
//   v1  this one. 24.5 instructions per token in SASS (sm_90, Q = 32); time not yet measured.

extern "C" __global__ void __launch_bounds__(THREADS)
approx_scores(int* scores, Passages passages, const int* __restrict__ table, const u32* __restrict__ pids,
              u32 num_selected, u32 pitch, u32 query_len, u32 shift) {
    for (u32 selected = grid_warp(); selected < num_selected; selected += grid_warps()) {
        const Tokens tokens = tokens_of(passages, pids ? pids[selected] : selected);
        int score = 0;
        for (u32 i = lane_number(); i < query_len && tokens.start < tokens.end; i += WARP) {
            int best = NO_MATCH;
            for (u32 token = tokens.start; token < tokens.end; ++token) {
                best = max(best, table[u64{code_of(passages, token)} * pitch + i]);
            }
            score += best >> shift;
        }
        score = warp_sum(score);
        if (lane_number() == 0) scores[selected] = tokens.start < tokens.end ? score : NO_MATCH;
    }
}
