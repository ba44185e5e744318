// centroid_table: T[c][i] = clamp(round(float(dot(c8[c], q8[i])) * factor), -TABLE_LIMIT, TABLE_LIMIT), ties to even.
//
//   out    table, of table.cuh, with its maxima if there is a place for them
//   in     centroids (K, D) i8, query (Q, D) i8, factor f32
//   sizes  query_len = Q
//
//   warp            16 centroids by a panel of 32 query tokens (blockIdx.y)
//   lane            of each tile of 8 query tokens the centroids g and g + 8, query tokens 2t and 2t + 1
//   shared memory   none
//   bound           memory: K (D + 2 Q) or K (D + 4 Q) bytes; 67 MB at K = 2^18, D = 128, Q = 32 and entries of i32,
//                   which is 16 us at 4.3 TB/s, 50 MB at entries of i16; an eighth more of the table with maxima
//
// Versions
//   v1  354 instructions per warp in SASS (sm_90, D = 128); time not yet measured.
//   v2  in the order of maxsim, one or two stores of 16 bytes where there were 8 of 4 bytes, and entries of i16 where
//       they fit. Time not yet measured.
//   v3  this one: the maxima of groups, for probe.cu. Time not yet measured.

static_assert(GROUP == TILE_ROWS / 2, "the lanes of a column have a group in each half");

// Writes the entries of a lane's columns from number `at` on.
__device__ __forceinline__ void write_entries(void* to, bool narrow, u64 at, const int (&entries)[LANE_COLUMNS]) {
    u32 words[LANE_COLUMNS];
    for (int i = 0; i < LANE_COLUMNS; ++i) words[i] = static_cast<u32>(entries[i]);
    if (narrow) {
        Quad quad;
        for (int i = 0; i < 4; ++i) quad.words[i] = (words[2 * i] & 0xffff) | words[2 * i + 1] << 16;
        *reinterpret_cast<Quad*>(static_cast<short*>(to) + at) = quad;
    } else {
        Quad* quads = reinterpret_cast<Quad*>(static_cast<int*>(to) + at);
        for (int i = 0; i < 2; ++i) quads[i] = {{words[4 * i], words[4 * i + 1], words[4 * i + 2], words[4 * i + 3]}};
    }
}

// Writes entry number `at`.
__device__ __forceinline__ void write_entry(void* to, bool narrow, u64 at, int entry) {
    if (narrow) {
        static_cast<short*>(to)[at] = static_cast<short>(entry);
    } else {
        static_cast<int*>(to)[at] = entry;
    }
}

extern "C" __global__ void __launch_bounds__(THREADS)
centroid_table(Table table, const i8* __restrict__ centroids, const i8* __restrict__ query, float factor,
               u32 query_len) {
    const u32 num_centroids = table.num_centroids, first = grid_warp() * TILE_ROWS, panel = blockIdx.y * PANEL;
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
    const bool narrow = is_narrow(table);
    for (int half = 0; half < 2; ++half) {
        if (first + 8 * half >= num_centroids) return;
        int entries[LANE_COLUMNS];
        for (int i = 0; i < LANE_COLUMNS; ++i) {
            const float product = __fmul_rn(__int2float_rn(sums[i / 2][2 * half + i % 2]), factor);
            entries[i] = max(-TABLE_LIMIT, min(TABLE_LIMIT, __float2int_rn(product)));
        }
        const u64 at = first_of_column(num_centroids, panel + 2 * t) + u64{first + g + 8 * half} * PANEL;
        // Rows after the last centroid have its entries.
        if (first + g + 8 * half < num_centroids) write_entries(table.entries, narrow, at, entries);
        if (!table.maxima) continue;
        const u32 num_groups = (num_centroids + GROUP - 1) / GROUP, group = first / GROUP + half;
        const u64 place = first_of_column(num_groups, panel + 2 * t) + u64{group} * PANEL + g;
        write_entry(table.maxima, narrow, place, largest_of_lanes(entries));
    }
}
