// compress: residuals to packed levels and weight indices. For an embedding x with centroid c:
//
//   1. what is compared with the cutoffs: x - c, or its unit part orthogonal to c times sqrt(D)
//   2. bucket of a component: the number of cutoffs below it; or, of a trellis, the row nearest to all components
//   3. the weight index, by the codec's rule, and where it says so, buckets anew
//
//   in    embeddings (N, D) f32, codes (N) u32, centroids (K, D) i8
//   out   rows (N, W) u8, weights (N) u8
//
// A warp owns an embedding at a time, a lane every 32nd component or chunk. Shared memory: costs of a trellis' states.
// Sums are f32, by lanes and then pairwise. Formulas: ResidualForm and WeightRule in crates/backend/src/types.rs.

constexpr int BLOCK_WARPS = 4;

// As `crates/backend/src/cuda/compress.rs` has it.
struct Rules {
    // Norms and residual_weights of the weight entries as real numbers, (entries) f32.
    const float* centroid_weights;
    const float* residual_weights;
    // Edges between buckets, and midpoints between levels, (2^NBITS - 1) f32.
    const float* cutoffs;
    const float* midpoints;
    // 256, zeros behind the last.
    const i8* levels;
    float centroid_scale;
    // Gain over centroid_weight of the entry whose centroid_weight is largest.
    float ratio;
    // What an error along the vector counts more than across it.
    float radial_weight;
    u32 entries;
    // Whether what is compared is the part orthogonal to the centroid.
    u32 orthogonal;
    // KEEP_LENGTH, KEEP_LENGTH_REFIT or UNIT_NORM.
    u32 rule;
};

enum { KEEP_LENGTH, KEEP_LENGTH_REFIT, UNIT_NORM };

// An embedding and its centroid, a component at a time.
struct Embedding {
    const float* x;
    const i8* centroid;
    float centroid_scale;

    __device__ __forceinline__ float c(int d) const { return __fmul_rn(centroid_scale, __int2float_rn(centroid[d])); }
    // (x - share * c) * factor, as it is written.
    __device__ __forceinline__ float residual(int d, float share, float factor) const {
        return __fmul_rn(__fsub_rn(x[d], __fmul_rn(share, c(d))), factor);
    }
};

// The number of edges below a component.
__device__ __forceinline__ u32 bucket_of(const float* edges, float component) {
    u32 below = 0;
    for (u32 half = 1u << NBITS >> 1; half > 0; half /= 2) {
        if (edges[below + half - 1] < component) below += half;
    }
    return below;
}

// Writes a row of buckets.
template <class Component> __device__ void bucket_row(const float* edges, Component component, u8* row) {
    for (int u = lane_number(); u < DIM / 8; u += WARP) {
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
    for (int u = lane_number(); NBITS && u < DIM / 8; u += WARP) {
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

// How badly entry `j` fits: see WeightRule.
struct WeightError {
    const Rules& rules;
    float cc, cw, ww, best_centroid_weight, best_residual_weight, length;

    __device__ WeightError(const Rules& rules, float xx, float xc, float cc, Products of)
        : rules(rules), cc(cc), cw(of.cw), ww(of.ww), best_centroid_weight(0), best_residual_weight(0), length(0) {
        if (rules.rule == UNIT_NORM) {
            length = sqrtf(fmaxf(cc + 2 * rules.ratio * cw + rules.ratio * rules.ratio * ww, 0));
            return;
        }
        const float a = cc > 0 ? xc / cc : 0;
        best_centroid_weight = fmaxf(a, 0);
        if (ww <= 0) return;
        const float s = sqrtf(fmaxf(xx - a * xc, 0) / ww);
        const float whole = sqrtf(fmaxf(a * a * cc + 2 * a * s * cw + s * s * ww, 0));
        const float stretch = whole > 0 ? sqrtf(xx) / whole : 0;
        best_centroid_weight = fmaxf(a * stretch, 0);
        best_residual_weight = s * stretch;
    }

    __device__ __forceinline__ float operator()(u32 j) const {
        if (rules.rule == UNIT_NORM) return fabsf(rules.centroid_weights[j] - 1 / length);
        const float n = rules.centroid_weights[j] - best_centroid_weight, g = rules.residual_weights[j] - best_residual_weight;
        const float along = n * (best_centroid_weight * cc + best_residual_weight * cw) + g * (best_centroid_weight * cw + best_residual_weight * ww);
        return n * (n * cc + 2 * g * cw) + g * g * ww + rules.radial_weight * along * along;
    }
};

// The entry of least error, the lowest among equals, in every lane.
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

extern "C" __global__ void __launch_bounds__(32 * BLOCK_WARPS, 6)
compress(const float* embeddings, const u32* codes, u32 num, const i8* centroids, Rules rules,
#if TRELLIS
         Metric metric, u8* taken,
#endif
         u8* rows, u8* weights) {
#if TRELLIS
    __shared__ u32 costs[BLOCK_WARPS][2][STATES];
    __shared__ int trellis_levels[16];
    if (threadIdx.x < 16) trellis_levels[threadIdx.x] = metric.levels[threadIdx.x];
    __syncthreads();
    const Walk room = {costs[warp_number()], taken + u64{grid_warp()} * (DIM < 2 * JOINT ? 2 * JOINT : DIM) * WARP};
#endif
    const LevelTable table(rules.levels);
    for (u32 n = grid_warp(); n < num; n += grid_warps()) {
        const Embedding embedding = {embeddings + u64{n} * DIM, centroids + u64{codes[n]} * DIM, rules.centroid_scale};
        u8* row = rows + u64{n} * ROW_BYTES;
        float xx = 0, xc = 0, cc = 0;
        for (int d = lane_number(); d < DIM; d += WARP) {
            const float x = embedding.x[d], c = embedding.c(d);
            xx += x * x, xc += x * c, cc += c * c;
        }
        xx = warp_sum(xx), xc = warp_sum(xc), cc = warp_sum(cc);
        [[maybe_unused]] float share = 1, factor = 1;
        if (NBITS && rules.orthogonal) {
            share = cc > 0 ? xc / cc : 0;
            float rest = 0;
            for (int d = lane_number(); d < DIM; d += WARP) {
                const float r = embedding.residual(d, share, 1);
                rest += r * r;
            }
            const float centroid_weight = sqrtf(warp_sum(rest));
            factor = centroid_weight > 0 ? sqrtf(static_cast<float>(DIM)) / centroid_weight : 0;
        }
#if TRELLIS
        const auto target = [&](int at) {
            const float scaled = __fmul_rn(embedding.residual(ordered(at), share, factor), metric.factor);
            return __float2int_rn(fmaxf(-metric.bound, fminf(metric.bound, scaled)));
        };
        trellis_row(room, trellis_levels, target, row);
#elif NBITS > 0
        bucket_row(rules.cutoffs, [&](int d) { return embedding.residual(d, share, factor); }, row);
#endif
        const WeightError error(rules, xx, xc, cc, level_products(embedding, table, row));
        const u32 weight = rules.entries > 1 ? best_weight(rules, error) : 0;
        if (lane_number() == 0) weights[n] = static_cast<u8>(weight);
        if (NBITS && rules.rule == KEEP_LENGTH_REFIT) {
            const float centroid_weight = rules.centroid_weights[weight], residual_weight = rules.residual_weights[weight], inverse = residual_weight > 0 ? 1 / residual_weight : 0;
            __syncwarp();
            bucket_row(rules.midpoints, [&](int d) { return embedding.residual(d, centroid_weight, inverse); }, row);
        }
    }
}
