// centroid_sums: the sum of each code's embeddings, added in f64 in the order of the embeddings, so that the result
// does not depend on the order in which threads run.
//
//   in and out  sums (K, D) f64, to which the embeddings are added
//   in          embeddings (N, D) f32, order (N) u32: numbers of the embeddings, by code and then by number,
//               starts (K + 1) u32: start of each code's numbers in `order`
//   sizes       dim = D
//
//   block           a code (blockIdx.x)
//   thread          a component of 128 at a time
//   shared memory   none
//   bound           memory, or the upload: 4 D bytes per embedding, one addition each
//
// Versions
//   v1  this one. Time not yet measured.

extern "C" __global__ void __launch_bounds__(THREADS)
centroid_sums(double* sums, const float* __restrict__ embeddings, const u32* __restrict__ order,
              const u32* __restrict__ starts, u32 dim) {
    const u32 code = blockIdx.x, start = starts[code], end = starts[code + 1];
    if (start == end) return;
    for (u32 d = threadIdx.x; d < dim; d += blockDim.x) {
        double sum = sums[u64{code} * dim + d];
        for (u32 i = start; i < end; ++i) sum += static_cast<double>(embeddings[u64{order[i]} * dim + d]);
        sums[u64{code} * dim + d] = sum;
    }
}
