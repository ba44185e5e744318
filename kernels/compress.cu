// compress: residuals to packed levels and weight indices. For an embedding x with centroid c:
//
//   1. components: x - c, or its part orthogonal to c, scaled to the length sqrt(D)
//   2. row: for each component the number of cutoffs below it (its bucket); or, with a trellis, the nearest
//      row (trellis.cuh)
//   3. weight: the index of least error by the codec's rule; with KEEP_LENGTH_REFIT, buckets are then chosen
//      anew
//
//   out      rows (N, W) u8, weights (N) u8
//   scratch  taken (warps, steps, 32) u8, of a trellis
//   in       embeddings (N, D) f32, codes (N) u32, centroids (K, D) i8, rules, and metric of a trellis
//   sizes    num = N
//
//   warp            an embedding at a time
//   lane            every 32nd component or chunk; of a trellis 2 states (2 bits) or 4 (1 bit)
//   shared memory   of a trellis 2,112 bytes (2 bits) or 4,160 (1 bit): two costs of each state for four warps, and 16
//                   levels; otherwise none
//   bound           a trellis: compute, 27,000 instructions per vector in SASS (sm_90, D = 128, 2 bits), or the upload;
//                   buckets: the upload
//
// Versions
//   v1  8 blocks per multiprocessor, hence at most 64 registers, and levels of a trellis as a kernel argument. Local
//       memory per thread: 32 bytes at D = 8, 1 bit, trellis; 8 bytes at D = 768, 4 bits (sm_90). Time not yet
//       measured.
//   v2  this one: 6 blocks per multiprocessor, levels of a trellis in shared memory. At most 80 registers, no local
//       memory; its gain in time is not yet measured.
//
// `centroids` is not `__restrict__`: with it, NVRTC 13.0.88 unrolls the sums less (at D = 768 and 0 bits, 1,158
// instructions instead of 1,441 on sm_90); the effect on time is not yet measured. Sums are f32, by lanes and then
// pairwise. Formulas: ResidualForm and WeightRule in crates/backend/src/types.rs.

// How rows and weights are chosen: `RulesArgument` of crates/backend/src/cuda/rules.rs.
struct Rules {
    // Centroid weight and residual weight of each weight index, times their steps, (entries) f32.
    const float* centroid_weights;
    const float* residual_weights;
    // Edges between buckets, and midpoints between levels, (2^NBITS - 1) f32.
    const float* cutoffs;
    const float* midpoints;
    // 256 levels, zeros after the last.
    const i8* levels;
    float centroid_scale;
    // Residual weight over centroid weight, of the index with the largest centroid weight.
    float ratio;
    // Factor of the squared error along the vector, which is added to the squared error.
    float radial_weight;
    u32 entries;
    // Whether components belong to the part of x - c that is orthogonal to the centroid.
    u32 orthogonal;
    // KEEP_LENGTH, KEEP_LENGTH_REFIT or UNIT_NORM.
    u32 rule;
};
static_assert(sizeof(Rules) == 64, "RulesArgument has this layout");
ASSERT_OFFSET(Rules, levels, 32);
ASSERT_OFFSET(Rules, centroid_scale, 40);
ASSERT_OFFSET(Rules, radial_weight, 48);
ASSERT_OFFSET(Rules, entries, 52);
ASSERT_OFFSET(Rules, rule, 60);

// An embedding and its centroid, by component.
struct Embedding {
    const float* x;
    const i8* centroid;
    float centroid_scale;

    __device__ __forceinline__ float c(int d) const { return __fmul_rn(centroid_scale, __int2float_rn(centroid[d])); }
    // (x - share * c) * factor, each step rounded.
    __device__ __forceinline__ float residual(int d, float share, float factor) const {
        return __fmul_rn(__fsub_rn(x[d], __fmul_rn(share, c(d))), factor);
    }
};

// Inner products of an embedding and its centroid.
struct Lengths {
    float xx, xc, cc;
};

__device__ __forceinline__ Lengths lengths_of(const Embedding& embedding) {
    float xx = 0, xc = 0, cc = 0;
    for (int d = lane_number(); d < DIM; d += WARP) {
        const float x = embedding.x[d], c = embedding.c(d);
        xx += x * x, xc += x * c, cc += c * c;
    }
    return {warp_sum(xx), warp_sum(xc), warp_sum(cc)};
}

// Share of the centroid that is subtracted from an embedding, and factor of the difference.
struct Form {
    float share, factor;
};

__device__ __forceinline__ Form form_of(const Rules& rules, const Embedding& embedding, const Lengths& lengths) {
    if (!NBITS || !rules.orthogonal) return {1, 1};
    const float share = lengths.cc > 0 ? lengths.xc / lengths.cc : 0;
    float square = 0;
    for (int d = lane_number(); d < DIM; d += WARP) {
        const float r = embedding.residual(d, share, 1);
        square += r * r;
    }
    const float length = sqrtf(warp_sum(square));
    return {share, length > 0 ? sqrtf(static_cast<float>(DIM)) / length : 0};
}

// Returns the number of edges below a component.
__device__ __forceinline__ u32 bucket_of(const float* edges, float component) {
    u32 below = 0;
    for (u32 half = 1u << NBITS >> 1; half > 0; half /= 2) {
        if (edges[below + half - 1] < component) below += half;
    }
    return below;
}

// Writes a row of buckets.
template <class Component> __device__ void bucket_row(const float* edges, Component component, u8* row) {
    for (int u = lane_number(); u < DIM / CHUNK; u += WARP) {
        u64 bits = 0;
        for (int r = 0; r < 2; ++r) {
            for (int i = 0; i < 4; ++i) {
                bits |= static_cast<u64>(bucket_of(edges, component(component_of(u, r, i)))) << bit_of(r, i);
            }
        }
        for (int byte = 0; byte < NBITS; ++byte) row[u * NBITS + byte] = static_cast<u8>(bits >> (8 * byte));
    }
    __syncwarp();
}

// Inner products of the centroid and the levels.
struct Products {
    float cw, ww;
};

__device__ Products level_products(const Embedding& embedding, const LevelTable& table, const u8* row) {
    Products sums = {0, 0};
    for (int u = lane_number(); NBITS && u < DIM / CHUNK; u += WARP) {
        const Pair levels = table.chunk(row, u);
        for (int r = 0; r < 2; ++r) {
            for (int i = 0; i < 4; ++i) {
                const float w = __int2float_rn(static_cast<i8>((r ? levels.y : levels.x) >> (8 * i)));
                sums.cw += embedding.c(component_of(u, r, i)) * w;
                sums.ww += w * w;
            }
        }
    }
    return {warp_sum(sums.cw), warp_sum(sums.ww)};
}

// The error of weight index `j`, by WeightRule.
struct WeightError {
    const Rules& rules;
    float cc, cw, ww, best_centroid, best_residual, length;

    __device__ WeightError(const Rules& rules, const Lengths& of, const Products& levels)
        : rules(rules), cc(of.cc), cw(levels.cw), ww(levels.ww), best_centroid(0), best_residual(0), length(0) {
        if (rules.rule == UNIT_NORM) {
            length = sqrtf(fmaxf(cc + 2 * rules.ratio * cw + rules.ratio * rules.ratio * ww, 0));
            return;
        }
        const float a = cc > 0 ? of.xc / cc : 0;
        best_centroid = fmaxf(a, 0);
        if (ww <= 0) return;
        const float s = sqrtf(fmaxf(of.xx - a * of.xc, 0) / ww);
        const float whole = sqrtf(fmaxf(a * a * cc + 2 * a * s * cw + s * s * ww, 0));
        const float stretch = whole > 0 ? sqrtf(of.xx) / whole : 0;
        best_centroid = fmaxf(a * stretch, 0);
        best_residual = s * stretch;
    }

    __device__ __forceinline__ float operator()(u32 j) const {
        if (rules.rule == UNIT_NORM) return fabsf(rules.centroid_weights[j] - 1 / length);
        const float n = rules.centroid_weights[j] - best_centroid, g = rules.residual_weights[j] - best_residual;
        const float along_c = best_centroid * cc + best_residual * cw;
        const float along_w = best_centroid * cw + best_residual * ww;
        const float along = n * along_c + g * along_w;
        return n * (n * cc + 2 * g * cw) + g * g * ww + rules.radial_weight * along * along;
    }
};

// Returns the index of least error, the lowest among equals, in every lane.
__device__ u32 best_weight(const Rules& rules, const WeightError& error) {
    float least = __int_as_float(0x7f800000);
    u32 best = 0;
    for (u32 j = lane_number(); j < rules.entries; j += WARP) {
        const float found = error(j);
        if (found < least) least = found, best = j;
    }
    for (int with = WARP / 2; with > 0; with /= 2) {
        const float other = __shfl_xor_sync(ALL_LANES, least, with);
        const u32 of = __shfl_xor_sync(ALL_LANES, best, with);
        if (other < least || (other == least && of < best)) least = other, best = of;
    }
    return best;
}

// Chooses the buckets again, for the weight index that was chosen.
__device__ __forceinline__ void refit_row(u8* row, const Rules& rules, const Embedding& embedding, u32 weight) {
    const float centroid_weight = rules.centroid_weights[weight], residual_weight = rules.residual_weights[weight];
    const float inverse = residual_weight > 0 ? 1 / residual_weight : 0;
    __syncwarp();
    bucket_row(rules.midpoints, [&](int d) { return embedding.residual(d, centroid_weight, inverse); }, row);
}

extern "C" __global__ void __launch_bounds__(THREADS, 6)
compress(u8* rows, u8* weights,
#if TRELLIS
         u8* taken, Metric metric,
#endif
         const float* __restrict__ embeddings, const u32* __restrict__ codes, const i8* centroids,
         Rules rules, u32 num) {
#if TRELLIS
    __shared__ u32 costs[THREADS / WARP][2][STATES];
    __shared__ int trellis_levels[TRELLIS_LEVELS];
    if (threadIdx.x < TRELLIS_LEVELS) trellis_levels[threadIdx.x] = metric.levels[threadIdx.x];
    __syncthreads();
    const Walk scratch = {costs[warp_number()], taken + u64{grid_warp()} * WALK_STEPS * WARP};
#endif
    const LevelTable table(rules.levels);
    for (u32 n = grid_warp(); n < num; n += grid_warps()) {
        const Embedding embedding = {embeddings + u64{n} * DIM, centroids + u64{codes[n]} * DIM, rules.centroid_scale};
        u8* row = rows + u64{n} * ROW_BYTES;
        const Lengths lengths = lengths_of(embedding);
        [[maybe_unused]] const Form form = form_of(rules, embedding, lengths);
#if TRELLIS
        const auto target = [&](int at) {
            const float component = embedding.residual(ordered(at), form.share, form.factor);
            return round_clamped(__fmul_rn(component, metric.factor), metric.bound);
        };
        trellis_row(scratch, trellis_levels, target, row);
#elif NBITS > 0
        bucket_row(rules.cutoffs, [&](int d) { return embedding.residual(d, form.share, form.factor); }, row);
#endif
        const WeightError error(rules, lengths, level_products(embedding, table, row));
        const u32 weight = rules.entries > 1 ? best_weight(rules, error) : 0;
        if (lane_number() == 0) weights[n] = static_cast<u8>(weight);
        if (NBITS && rules.rule == KEEP_LENGTH_REFIT) refit_row(row, rules, embedding, weight);
    }
}
