// maxsim_f32: MaxSim over plain embeddings, sum over i of max over t of dot(q_i, x_t).
//
//   in    queries (sum of Q, D) f32, query_offsets (num_queries + 1), embeddings (N, D) f32, passage_offsets (P + 1)
//   out   scores (num_queries, P) f32, -inf for a passage without tokens
//
// A block owns a query and a passage. It multiplies 32 query tokens with 32 of the passage at a time, 32 components of
// both in shared memory; of the 1,024 products a thread owns 2 query tokens by 4. Expected bound: FMA.

constexpr int SIDE = 32;

// Rows `first ..` of `rows` before `end`, components `from ..`, zeros beyond either.
__device__ __forceinline__ void load_tile(float (*tile)[SIDE + 1], const float* rows, u64 first, u64 end, u32 from, u32 dim) {
    for (u32 at = threadIdx.x; at < SIDE * SIDE; at += blockDim.x) {
        const u32 row = at / SIDE, d = from + at % SIDE;
        tile[row][at % SIDE] = first + row < end && d < dim ? rows[(first + row) * dim + d] : 0;
    }
}

extern "C" __global__ void __launch_bounds__(128)
maxsim_f32(const float* queries, const u64* query_offsets, const float* embeddings, const u64* passage_offsets, u32 num_passages,
           u32 dim, float* scores) {
    __shared__ float q[SIDE][SIDE + 1], x[SIDE][SIDE + 1], best_of[SIDE];
    const u32 query = blockIdx.x / num_passages, passage = blockIdx.x % num_passages;
    const u64 query_end = query_offsets[query + 1], end = passage_offsets[passage + 1];
    const u32 row = threadIdx.x / 8 * 2, column = threadIdx.x % 8 * 4;
    const float infinity = __int_as_float(0x7f800000);
    float score = passage_offsets[passage] < end ? 0 : -infinity;
    for (u64 i = query_offsets[query]; i < query_end; i += SIDE) {
        float best[2] = {-infinity, -infinity};
        for (u64 t = passage_offsets[passage]; t < end; t += SIDE) {
            float sums[2][4] = {};
            for (u32 from = 0; from < dim; from += SIDE) {
                load_tile(q, queries, i, query_end, from, dim);
                load_tile(x, embeddings, t, end, from, dim);
                __syncthreads();
                for (int d = 0; d < SIDE; ++d) {
                    for (int a = 0; a < 2; ++a) {
                        for (int b = 0; b < 4; ++b) sums[a][b] = fmaf(q[row + a][d], x[column + b][d], sums[a][b]);
                    }
                }
                __syncthreads();
            }
            for (int a = 0; a < 2; ++a) {
                for (int b = 0; b < 4; ++b) {
                    if (t + column + b < end) best[a] = fmaxf(best[a], sums[a][b]);
                }
            }
        }
        for (int a = 0; a < 2; ++a) {
            for (int with = 1; with < 8; with *= 2) best[a] = fmaxf(best[a], __shfl_xor_sync(ALL_LANES, best[a], with));
            if (column == 0) best_of[row + a] = best[a];
        }
        __syncthreads();
        // One thread adds, in the order of the query's tokens.
        for (u32 a = 0; threadIdx.x == 0 && a < SIDE && i + a < query_end; ++a) score += best_of[a];
        __syncthreads();
    }
    if (threadIdx.x == 0) scores[blockIdx.x] = score;
}
