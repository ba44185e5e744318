// probe: the best centroids of each query token, and what tells the imputed entry.
//
//   in    table (K, pitch) i32
//   out   best (Q, m) keys, in no order: select.cuh over the columns of the table, whose ids are codes
//         maxima (Q, S) i32: of each column the largest entry of every `step`-th group of 8 centroids
//
// maxima: a thread owns a query token (threadIdx.x and on) and a group (blockIdx.x). No shared memory.

// Centroids whose largest entries are taken together: crates/backend/src/missing_score.rs.
constexpr u32 GROUP = 8;

extern "C" __global__ void __launch_bounds__(128)
maxima(const int* table, u32 num_centroids, u32 pitch, u32 query_len, u32 step, int* maxima) {
    const u32 first = blockIdx.x * step * GROUP, end = min(first + GROUP, num_centroids);
    for (u32 i = threadIdx.x; i < query_len; i += blockDim.x) {
        int largest = NO_MATCH;
        for (u32 code = first; code < end; ++code) largest = max(largest, table[u64{code} * pitch + i]);
        maxima[u64{i} * gridDim.x + blockIdx.x] = largest;
    }
}
