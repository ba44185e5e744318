// The centroid table of a query, T (K, Q), in the order in which maxsim reads it: (ceil(Q / 32), K, 32). Columns after
// Q are 0.
//
// In a product, lane (g, t) of a warp has columns 2t and 2t + 1 of each of the four tiles of a panel. These eight
// entries lie together, tile by tile, so that a lane loads them at once.
//
// Entries are i16 if all fit, and otherwise i32. |T| is at most the length of the centroid times the length of the
// query's int8 row times the factor, but for roundings. From this the host has a limit on the squared length of the
// rows, for the codec; the kernel that rounds a query finds the largest.
//
// A table of which cells are probed has the maxima of its columns over groups of GROUP centroids, too, as a table of
// that many rows: (ceil(Q / 32), ceil(K / GROUP), 32), of the same width.
#pragma once

// `TableArgument` of crates/backend/src/cuda/table.rs.
struct Table {
    // i16 or i32.
    void* entries;
    // Largest squared length of the query's int8 rows.
    const u32* norm;
    // The maxima; null if nothing reads them.
    void* maxima;
    // Squared lengths below this have entries of i16.
    u32 narrow_below;
    u32 num_centroids;
};
static_assert(sizeof(Table) == 32, "TableArgument has this layout");
ASSERT_OFFSET(Table, maxima, 16);
ASSERT_OFFSET(Table, num_centroids, 28);

// Columns of a lane in a panel.
constexpr int LANE_COLUMNS = PANEL / 4;

__device__ __forceinline__ bool is_narrow(const Table& table) { return *table.norm < table.narrow_below; }

// Returns the number of the entry of the first centroid in a column. The next centroids follow PANEL entries apart.
__device__ __forceinline__ u64 first_of_column(u32 num_centroids, u32 column) {
    const u32 within = column % PANEL;
    const u32 place = within % TILE_COLUMNS / 2 * LANE_COLUMNS + within / TILE_COLUMNS * 2 + within % 2;
    return u64{column / PANEL} * num_centroids * PANEL + place;
}

// Returns entry number `at`.
__device__ __forceinline__ int entry_at(const void* entries, bool narrow, u64 at) {
    return narrow ? static_cast<const short*>(entries)[at] : static_cast<const int*>(entries)[at];
}

// Returns the largest of eight lanes' numbers of a column: in lane (g, t) of column g of the lanes t. Called by all
// lanes of a warp; `own` is overwritten.
__device__ __forceinline__ int largest_of_lanes(int (&own)[LANE_COLUMNS]) {
    // With each exchange a lane keeps half of the columns, in the end one.
    for (int with = 16, keep = LANE_COLUMNS / 2; keep > 0; with /= 2, keep /= 2) {
        const bool upper = lane_number() & with;
        for (int i = 0; i < keep; ++i) {
            const int kept = upper ? own[i + keep] : own[i], given = upper ? own[i] : own[i + keep];
            own[i] = max(kept, __shfl_xor_sync(ALL_LANES, given, with));
        }
    }
    return own[0];
}
