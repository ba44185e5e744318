// maxsim_f32: MaxSim over plain embeddings, sum over i of max over t of dot(q_i, x_t).
//
//   out    scores (num_queries, P) f32, -inf for a passage without tokens
//   in     queries (sum of Q, D) f32, query_offsets (num_queries + 1) u64, embeddings (N, D) f32,
//          passage_offsets (P + 1) u64
//   sizes  num_passages = P, dim = D
//
//   block           a query and a passage: 32 query tokens by 32 tokens at a time, 32 components at a time
//   thread          2 query tokens by 4 tokens of the 1,024 products
//   shared memory   8,576 bytes: 32 by 33 f32 of both sides, and the maximum of each query token
//   bound           compute: f32 multiply-adds
//
// Versions
//   v1  this one. Time not yet measured. `passage_offsets` is not `__restrict__`: with it, NVRTC 13.0.88 spills 148
//       bytes on sm_90.

constexpr int SIDE = 32;
constexpr int THREAD_ROWS = 2;
constexpr int THREAD_COLUMNS = 4;
static_assert(THREADS * THREAD_ROWS * THREAD_COLUMNS == SIDE * SIDE, "a block owns all products of a tile");

// Components of 32 rows, one column more than they need, so that a column is in different banks.
using Tile = float[SIDE][SIDE + 1];

// Loads rows `first ..` of `rows` before `end`, components `from ..`, zeros outside of either.
__device__ __forceinline__ void load_tile(Tile& tile, const float* rows, u64 first, u64 end, u32 from, u32 dim) {
    for (u32 at = threadIdx.x; at < SIDE * SIDE; at += blockDim.x) {
        const u32 row = at / SIDE, d = from + at % SIDE;
        tile[row][at % SIDE] = first + row < end && d < dim ? rows[(first + row) * dim + d] : 0;
    }
}

// Adds to `sums` the products of a thread's rows of `q` and `x`.
__device__ __forceinline__ void
multiply(float (&sums)[THREAD_ROWS][THREAD_COLUMNS], const Tile& q, const Tile& x, u32 row, u32 column) {
    for (int d = 0; d < SIDE; ++d) {
        for (int a = 0; a < THREAD_ROWS; ++a) {
            for (int b = 0; b < THREAD_COLUMNS; ++b) sums[a][b] = fmaf(q[row + a][d], x[column + b][d], sums[a][b]);
        }
    }
}

extern "C" __global__ void __launch_bounds__(THREADS)
maxsim_f32(float* scores, const float* __restrict__ queries, const u64* __restrict__ query_offsets,
           const float* __restrict__ embeddings, const u64* passage_offsets, u32 num_passages, u32 dim) {
    __shared__ Tile q, x;
    __shared__ float best_of[SIDE];
    const u32 query = blockIdx.x / num_passages, passage = blockIdx.x % num_passages;
    const u64 query_end = query_offsets[query + 1], end = passage_offsets[passage + 1];
    const u32 row = threadIdx.x / 8 * THREAD_ROWS, column = threadIdx.x % 8 * THREAD_COLUMNS;
    const float infinity = __int_as_float(0x7f800000);
    float score = passage_offsets[passage] < end ? 0 : -infinity;
    for (u64 i = query_offsets[query]; i < query_end; i += SIDE) {
        float best[THREAD_ROWS] = {-infinity, -infinity};
        for (u64 t = passage_offsets[passage]; t < end; t += SIDE) {
            float sums[THREAD_ROWS][THREAD_COLUMNS] = {};
            for (u32 from = 0; from < dim; from += SIDE) {
                load_tile(q, queries, i, query_end, from, dim);
                load_tile(x, embeddings, t, end, from, dim);
                __syncthreads();
                multiply(sums, q, x, row, column);
                __syncthreads();
            }
            for (int a = 0; a < THREAD_ROWS; ++a) {
                for (int b = 0; b < THREAD_COLUMNS; ++b) {
                    if (t + column + b < end) best[a] = fmaxf(best[a], sums[a][b]);
                }
            }
        }
        for (int a = 0; a < THREAD_ROWS; ++a) {
            for (int with = 1; with < 8; with *= 2) best[a] = fmaxf(best[a], __shfl_xor_sync(ALL_LANES, best[a], with));
            if (column == 0) best_of[row + a] = best[a];
        }
        __syncthreads();
        // One thread adds, in the order of the query's tokens, so the sum does not depend on the block's shape.
        for (u32 a = 0; threadIdx.x == 0 && a < SIDE && i + a < query_end; ++a) score += best_of[a];
        __syncthreads();
    }
    if (threadIdx.x == 0) scores[blockIdx.x] = score;
}
