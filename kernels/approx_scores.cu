// approx_scores: scores from the centroid table alone, sum over i of (max over t of T[code_t][i]) >> shift.
//
//   out    scores (C) i32, NO_MATCH for a passage without tokens
//   in     segments, table of table.cuh, chosen: the C passages
//   sizes  num_segments, num_chosen = C, query_len = Q, shift = ceil(log2(Q))
//
//   warp            a passage at a time
//   lane            a query token of 32 at a time
//   shared memory   none
//   bound           memory: L2, 2 Q or 4 Q bytes of the table per token
//
// Versions
//   v1  24.5 instructions per token in SASS (sm_90, Q = 32); time not yet measured.
//   v2  passages of all segments in one launch; no time is measured yet.
//   v3  this one: reads the code from a word per token and the entries in the order of maxsim, i16 where they fit.

extern "C" __global__ void __launch_bounds__(THREADS)
approx_scores(int* scores, const Segment* __restrict__ segments, Table table, Chosen chosen, u32 num_segments,
              u32 num_chosen, u32 query_len, u32 shift) {
    const bool narrow = is_narrow(table);
    for (u32 at = grid_warp(); at < num_chosen; at += grid_warps()) {
        const u32 pid = chosen_pid(chosen, at);
        const Segment& segment = segment_of(segments, num_segments, pid);
        const Tokens tokens = tokens_of(segment, pid);
        int score = 0;
        for (u32 i = lane_number(); i < query_len && tokens.start < tokens.end; i += WARP) {
            const u64 first = first_of_column(table.num_centroids, i);
            int best = NO_MATCH;
            for (u32 token = tokens.start; token < tokens.end; ++token) {
                const u64 entry = first + u64{code_of(segment.tokens[token])} * PANEL;
                best = max(best, entry_at(table.entries, narrow, entry));
            }
            score += best >> shift;
        }
        score = warp_sum(score);
        if (lane_number() == 0) scores[at] = tokens.start < tokens.end ? score : NO_MATCH;
    }
}
