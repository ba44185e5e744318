// approx_scores: scores from the centroid table alone, sum over i of (max over t of T[code_t][i]) >> shift.
//
//   out    scores (C) i32, NO_MATCH for a passage without tokens
//   in     segments, codec, table (K, pitch) i32, chosen: the C passages
//   sizes  num_segments, num_chosen = C, pitch, query_len = Q, shift = ceil(log2(Q))
//
//   warp            a passage at a time
//   lane            a query token of 32 at a time
//   shared memory   none
//   bound           memory: L2, 4 Q bytes of the table per token
//
// Versions
//   v1  24.5 instructions per token in SASS (sm_90, Q = 32); time not yet measured.
//   v2  this one: passages of all segments in one launch; no time is measured yet.

extern "C" __global__ void __launch_bounds__(THREADS)
approx_scores(int* scores, const Segment* __restrict__ segments, Codec codec, const int* __restrict__ table,
              Chosen chosen, u32 num_segments, u32 num_chosen, u32 pitch, u32 query_len, u32 shift) {
    for (u32 at = grid_warp(); at < num_chosen; at += grid_warps()) {
        const u32 pid = chosen_pid(chosen, at);
        const Segment& segment = segment_of(segments, num_segments, pid);
        const Tokens tokens = tokens_of(segment, pid);
        int score = 0;
        for (u32 i = lane_number(); i < query_len && tokens.start < tokens.end; i += WARP) {
            int best = NO_MATCH;
            for (u32 token = tokens.start; token < tokens.end; ++token) {
                best = max(best, table[u64{code_of(codec, segment.codes, token)} * pitch + i]);
            }
            score += best >> shift;
        }
        score = warp_sum(score);
        if (lane_number() == 0) scores[at] = tokens.start < tokens.end ? score : NO_MATCH;
    }
}
