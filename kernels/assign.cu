// assign: the nearest centroid of each embedding, argmax over c of dot(x8, c8), ties to the lower code.
//
//   in    embeddings (N, D) f32, centroids (K, D) i8
//   out   codes (N) u32; on the way x8 (N, D) i8 = round(clamp(x * (127 / max|x|), -127, 127)), ties to even
//
// round_rows: a warp owns an embedding. assign: a warp owns 16 embeddings and runs over the centroids, 32 at a time; the
// eight warps of a block read the same ones. No shared memory.

extern "C" __global__ void __launch_bounds__(256) round_rows(const float* embeddings, u32 num, i8* rounded) {
    const u32 n = grid_warp();
    if (n >= num) return;
    const float* x = embeddings + u64{n} * DIM;
    float largest = 0;
    for (int d = lane_number(); d < DIM; d += WARP) largest = fmaxf(largest, fabsf(x[d]));
    largest = warp_max(largest);
    const float inverse = largest > 0 ? __fdiv_rn(127.0f, largest) : 0;
    for (int d = lane_number(); d < DIM; d += WARP) {
        const float scaled = fmaxf(-127.0f, fminf(127.0f, __fmul_rn(x[d], inverse)));
        rounded[u64{n} * DIM + d] = static_cast<i8>(__float2int_rn(scaled));
    }
}

// A centroid and the embedding's product with it.
struct Found {
    int product;
    u32 code;
};

__device__ __forceinline__ Found better(Found a, Found b) {
    return b.product > a.product || (b.product == a.product && b.code < a.code) ? b : a;
}

extern "C" __global__ void __launch_bounds__(256)
assign(const i8* embeddings, u32 num, const i8* centroids, u32 num_centroids, u32* codes) {
    const u32 first = grid_warp() * TILE_ROWS;
    if (first >= num) return;
    const int g = lane_number() / 4, t = lane_number() % 4;
    const i8* low = embeddings + u64{min(first + g, num - 1)} * DIM;
    const i8* high = embeddings + u64{min(first + g + 8, num - 1)} * DIM;
    // Rows of few components stay in registers.
    constexpr bool held = STEPS <= 8;
    u32 rows[held ? STEPS : 1][4];
    if (held) {
#pragma unroll
        for (int s = 0; s < STEPS; ++s) rows_fragment(rows[held ? s : 0], low, high, s);
    }
    Found best[2] = {{NO_MATCH, 0}, {NO_MATCH, 0}};
    for (u32 panel = 0; panel < num_centroids; panel += PANEL) {
        int sums[PANEL_TILES][4] = {};
#pragma unroll(held ? STEPS : 4)
        for (int s = 0; s < STEPS; ++s) {
            u32 b[2];
            if (!held) rows_fragment(rows[0], low, high, s);
            for (int tile = 0; tile < PANEL_TILES; ++tile) {
                const u32 code = panel + tile * TILE_COLUMNS + g;
                column_fragment(b, centroids + u64{code} * DIM, code < num_centroids, s);
                mma_s8(sums[tile], rows[held ? s : 0], b);
            }
        }
        for (int tile = 0; tile < PANEL_TILES; ++tile) {
            for (int i = 0; i < 4; ++i) {
                const u32 code = panel + tile * TILE_COLUMNS + 2 * t + i % 2;
                // Codes ascend, so that the first of equals stays.
                if (code < num_centroids && sums[tile][i] > best[i / 2].product) best[i / 2] = {sums[tile][i], code};
            }
        }
    }
    for (int half = 0; half < 2; ++half) {
        for (int with = 1; with < 4; with *= 2) {
            const Found other = {__shfl_xor_sync(ALL_LANES, best[half].product, with),
                                 __shfl_xor_sync(ALL_LANES, best[half].code, with)};
            best[half] = better(best[half], other);
        }
        const u32 row = first + g + 8 * half;
        if (t == 0 && row < num) codes[row] = best[half].code;
    }
}
