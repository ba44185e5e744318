// decompress: the vectors of some tokens from their bytes, each step rounded to f32 and nothing contracted:
//
//   x = ((centroid_weight_step * centroid_weights[j]) * centroid_scale) * c8
//     + (residual_weight_step * residual_weights[j]) * w8
//
//   out    vectors (num, D) f32
//   in     segment, codec, centroid_weight_step, residual_weight_step, centroid_scale f32
//   sizes  first, num: tokens first .. first + num
//
//   thread          a chunk of 8 components of a token
//   shared memory   none
//   bound           memory, or the download: 4 D bytes per token
//
// Versions
//   v1  this one. Time not yet measured.

extern "C" __global__ void __launch_bounds__(THREADS)
decompress(float* vectors, Segment segment, Codec codec, float centroid_weight_step, float residual_weight_step,
           float centroid_scale, u32 first, u32 num) {
    const u64 thread = u64{blockIdx.x} * blockDim.x + threadIdx.x;
    const u32 n = static_cast<u32>(thread / (DIM / CHUNK));
    const int u = static_cast<int>(thread % (DIM / CHUNK));
    if (n >= num) return;
    const u32 token = segment.tokens[first + n];
    const Weights weights = codec.weights[weight_of(token)];
    const float centroid_weight = __int2float_rn(weights.centroid & 0xff);
    const float residual_weight = __int2float_rn(weights.residual);
    const float centroid_factor = __fmul_rn(__fmul_rn(centroid_weight_step, centroid_weight), centroid_scale);
    const float level_factor = __fmul_rn(residual_weight_step, residual_weight);
    const i8* centroid = codec.centroids + u64{code_of(token)} * DIM;
    const LevelTable table(codec.levels);
    const Pair levels = table.chunk(segment.residuals + u64{first + n} * ROW_BYTES, u);
    for (int r = 0; r < 2; ++r) {
        for (int i = 0; i < 4; ++i) {
            const int d = component_of(u, r, i);
            const int level = static_cast<i8>((r ? levels.y : levels.x) >> (8 * i));
            const float of_centroid = __fmul_rn(centroid_factor, __int2float_rn(centroid[d]));
            vectors[u64{n} * DIM + d] = __fadd_rn(of_centroid, __fmul_rn(level_factor, __int2float_rn(level)));
        }
    }
}
