// approx_scores: scores from the table alone, sum over i of (max over t of T[code_t][i]) >> shift.
//
//   in    passages, table (K, pitch) i32, pids (C) or none for all
//   out   scores (C) i32
//
// A warp owns a passage at a time, a lane a query token of 32 at a time. No shared memory.

extern "C" __global__ void __launch_bounds__(128)
approx_scores(Passages passages, const int* table, u32 pitch, u32 query_len, u32 shift, const u32* pids,
              u32 num_selected, int* scores) {
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
