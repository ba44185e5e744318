// probe: the best centroids of each query token, by select.cuh over the columns of the table with codes as ids, and the
// maxima from which the missing score is taken.
//
// maxima: of each column the largest entry of every `step`-th group of GROUP centroids
//   out    maxima (Q, S) i32
//   in     table (K, pitch) i32
//   sizes  num_centroids = K, pitch, query_len = Q, step
//
//   block           a group (blockIdx.x)
//   thread          a query token of 128 at a time
//   shared memory   none
//   bound           the launch: at most 256 groups of GROUP rows of the table are read
//
// Versions
//   v1  this one. Time not yet measured.

extern "C" __global__ void __launch_bounds__(THREADS)
maxima(int* maxima, const int* __restrict__ table, u32 num_centroids, u32 pitch, u32 query_len, u32 step) {
    const u32 first = blockIdx.x * step * GROUP, end = min(first + GROUP, num_centroids);
    for (u32 i = threadIdx.x; i < query_len; i += blockDim.x) {
        int largest = NO_MATCH;
        for (u32 code = first; code < end; ++code) largest = max(largest, table[u64{code} * pitch + i]);
        maxima[u64{i} * gridDim.x + blockIdx.x] = largest;
    }
}
