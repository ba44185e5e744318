// centroid_table: T[c][i] = clamp(round(float(dot(c8[c], q8[i])) * factor), -TABLE_LIMIT, TABLE_LIMIT), ties to even.
//
//   out    table (K, pitch) i32, columns after Q are 0
//   in     centroids (K, D) i8, query (Q, D) i8, factor f32
//   sizes  num_centroids = K, query_len = Q, pitch = Q rounded up to 8
//
//   warp            16 centroids by a panel of 32 query tokens (blockIdx.y)
//   lane            of each tile of 8 query tokens the centroids g and g + 8, query tokens 2t and 2t + 1
//   shared memory   none
//   bound           memory: K (D + 4 Q) bytes; 67 MB at K = 2^18, D = 128, Q = 32, which is 16 us at 4.3 TB/s
//
// Versions
//   v1  this one. 354 instructions per warp in SASS (sm_90, D = 128); time not yet measured.

extern "C" __global__ void __launch_bounds__(THREADS)
centroid_table(int* table, const i8* __restrict__ centroids, const i8* __restrict__ query, float factor,
               u32 num_centroids, u32 query_len, u32 pitch) {
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
            if (row >= num_centroids || column >= pitch) continue;
            table[u64{row} * pitch + column] = max(-TABLE_LIMIT, min(TABLE_LIMIT, entry));
        }
    }
}
