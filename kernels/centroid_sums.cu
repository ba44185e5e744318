// centroid_sums: the sum of the embeddings of each code, added in f64 in the order in which the embeddings come, so that
// it is the same number whatever runs when.
//
//   in    embeddings (N, D) f32, order (N) the embeddings by code and then by number, starts (K + 1) where a code's begin
//         in it, sums (K, D) f64 of the embeddings before
//   out   sums (K, D) f64
//
// A block owns a code (blockIdx.x), a thread a component of 128 at a time. No shared memory.

extern "C" __global__ void __launch_bounds__(128)
centroid_sums(const float* embeddings, const u32* order, const u32* starts, u32 dim, double* sums) {
    const u32 code = blockIdx.x, start = starts[code], end = starts[code + 1];
    if (start == end) return;
    for (u32 d = threadIdx.x; d < dim; d += blockDim.x) {
        double sum = sums[u64{code} * dim + d];
        for (u32 i = start; i < end; ++i) sum += static_cast<double>(embeddings[u64{order[i]} * dim + d]);
        sums[u64{code} * dim + d] = sum;
    }
}
