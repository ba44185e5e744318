// centroid_table: T[c][i] = clamp(round(float(dot(c8[c], q8[i])) * factor), -LIMIT, LIMIT), ties to even.
//
//   in    centroids (K, D) i8, query (Q, D) i8
//   out   table (K, pitch) i32, pitch = Q rounded up to 8; columns behind Q are 0
//
// A warp owns 16 centroids and a panel of 32 query tokens (blockIdx.y). No shared memory.

constexpr int LIMIT = 1 << 22;

extern "C" __global__ void __launch_bounds__(128)
centroid_table(const i8* centroids, u32 num_centroids, const i8* query, u32 query_len, float factor, int* table, u32 pitch) {
    const u32 first = grid_warp() * TILE_ROWS, panel = blockIdx.y * PANEL;
    if (first >= num_centroids) return;
    const int g = lane_number() / 4, t = lane_number() % 4;
    const u32 low = min(first + g, num_centroids - 1), high = min(first + g + 8, num_centroids - 1);
    int sums[PANEL_TILES][4] = {};
    for (int s = 0; s < STEPS; ++s) {
        u32 a[4], b[2];
        rows_fragment(a, centroids + u64{low} * DIM, centroids + u64{high} * DIM, s);
        for (int tile = 0; tile < PANEL_TILES; ++tile) {
            const u32 column = panel + tile * TILE_COLUMNS + g;
            column_fragment(b, query + u64{column} * DIM, column < query_len, s);
            mma_s8(sums[tile], a, b);
        }
    }
    for (int tile = 0; tile < PANEL_TILES; ++tile) {
        for (int i = 0; i < 4; ++i) {
            const u32 row = first + g + i / 2 * 8, column = panel + tile * TILE_COLUMNS + 2 * t + i % 2;
            const int entry = __float2int_rn(__fmul_rn(__int2float_rn(sums[tile][i]), factor));
            if (row < num_centroids && column < pitch) table[u64{row} * pitch + column] = max(-LIMIT, min(LIMIT, entry));
        }
    }
}
