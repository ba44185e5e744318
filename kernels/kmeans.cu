// kmeans: from the sums of a round to the rounded centroids of the next one. Assignment is assign.cu, sums are
// centroid_sums.cu.
//
//   means        centroid = sum / |sum|; |sum| is the root of the squares added in f32, in their order
//     out    centroids (K, D) f32, num_restarts u32: number of the sums without a length, 0 before, restarts (K) u32:
//            their codes, in no order
//     in     sums (K, D) f64
//   restart      centroid of a code = row / |row|, or the row if it has no length
//     out    centroids (K, D) f32
//     in     rows (n, D) f32, codes (n) u32
//   largest
//     inout  largest u32: the bits of the largest magnitude, 0 before
//     in     centroids (num) f32
//   round_centroids    round(clamp(x * (127 / largest), -127, 127)), ties to even, 0 for NaN
//     out    rounded (padded, pitch) i8: zeros after D, and the last centroid again after K
//     in     centroids (K, D) f32, largest u32
//   sizes  dim = D, num, num_centroids = K, padded, pitch
//
//   warp            a row at a time; every lane adds all squares of it, so that they agree on the length
//   lane            every 32nd component, otherwise
//   shared memory   none
//   bound           latency of L1: D dependent additions per row; for 2^18 centroids 8 warps of each sub-core overlap.
//                   Memory: 12 bytes of a component in means, 4 in largest, 5 in round_centroids
//
// Versions
//   v1  this one. Time not yet measured.

// Scales a row to unit length; returns false and leaves it unchanged if its length is zero or not finite. Called by a
// warp.
__device__ __forceinline__ bool normalize(float* row, u32 dim) {
    float squares = 0;
    for (u32 d = 0; d < dim; ++d) squares = __fadd_rn(squares, __fmul_rn(row[d], row[d]));
    const float norm = __fsqrt_rn(squares);
    const float least = __uint_as_float(LEAST_NORM_BITS), infinity = __uint_as_float(0x7f800000u);
    __syncwarp(); // all have read the row
    // False for NaN.
    if (!(norm > least && norm < infinity)) return false;
    for (u32 d = lane_number(); d < dim; d += WARP) row[d] = __fdiv_rn(row[d], norm);
    return true;
}

extern "C" __global__ void __launch_bounds__(THREADS)
means(float* centroids, u32* num_restarts, u32* restarts, const double* __restrict__ sums, u32 dim, u32 num_centroids) {
    for (u32 code = grid_warp(); code < num_centroids; code += grid_warps()) {
        float* row = centroids + u64{code} * dim;
        for (u32 d = lane_number(); d < dim; d += WARP) row[d] = static_cast<float>(sums[u64{code} * dim + d]);
        __syncwarp(); // the row is there
        if (!normalize(row, dim) && lane_number() == 0) restarts[atomicAdd(num_restarts, 1u)] = code;
    }
}

extern "C" __global__ void __launch_bounds__(THREADS)
restart(float* centroids, const float* __restrict__ rows, const u32* __restrict__ codes, u32 dim, u32 num) {
    for (u32 at = grid_warp(); at < num; at += grid_warps()) {
        float* row = centroids + u64{codes[at]} * dim;
        for (u32 d = lane_number(); d < dim; d += WARP) row[d] = rows[u64{at} * dim + d];
        __syncwarp(); // the row is there
        normalize(row, dim);
    }
}

extern "C" __global__ void __launch_bounds__(THREADS)
largest(u32* largest, const float* __restrict__ centroids, u64 num) {
    float most = 0;
    for (u64 at = u64{blockIdx.x} * blockDim.x + threadIdx.x; at < num; at += u64{gridDim.x} * blockDim.x) {
        most = fmaxf(most, fabsf(centroids[at]));
    }
    most = warp_max(most);
    // Magnitudes are in the order of their bits.
    if (lane_number() == 0) atomicMax(largest, __float_as_uint(most));
}

extern "C" __global__ void __launch_bounds__(THREADS)
round_centroids(i8* rounded, const float* __restrict__ centroids, const u32* __restrict__ largest, u32 dim, u32 pitch,
                u32 num_centroids, u32 padded) {
    const float most = __uint_as_float(*largest), inverse = most > 0 ? __fdiv_rn(127.0f, most) : 0;
    for (u32 row = grid_warp(); row < padded; row += grid_warps()) {
        const float* x = centroids + u64{min(row, num_centroids - 1)} * dim;
        for (u32 d = lane_number(); d < pitch; d += WARP) {
            const int component = d < dim ? round_clamped(__fmul_rn(x[d], inverse), 127.0f) : 0;
            rounded[u64{row} * pitch + d] = static_cast<i8>(component);
        }
    }
}
