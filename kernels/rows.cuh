// Rows of int8 as fragments of matrix products, in chunks of 8 bytes.
//
// A row of DIM bytes is CHUNKS chunks. A product takes 32 bytes of a row at a time, one chunk from each of the four
// lanes that share the row: at step s lane t has chunk t * STEPS + s, so that over all steps a lane reads one run of
// the row. Chunks after the end are zeros.
#pragma once

constexpr int STEPS = (DIM + TILE_DEPTH - 1) / TILE_DEPTH;
constexpr int CHUNKS = DIM / CHUNK;
// Tiles of a panel, the query tokens that a warp multiplies at a time.
constexpr int PANEL_TILES = PANEL / TILE_COLUMNS;
// Of a tile that no passage ends with; and a bit of the number of a passage without a sum (`slabs` of rows.cu).
constexpr u32 NO_END = 0xffffffff, DROPPED = 1u << 31;

// Returns chunk `u` of a row.
__device__ __forceinline__ Pair chunk_of(const i8* row, int u) {
    return u < CHUNKS ? *reinterpret_cast<const Pair*>(row + CHUNK * u) : Pair{0, 0};
}

// Loads a lane's part of 16 rows at step `s`: its chunks of rows `low` and `high`, numbers g and g + 8 of the
// 16.
__device__ __forceinline__ void rows_fragment(u32 (&a)[4], const i8* low, const i8* high, int s) {
    const int u = lane_number() % 4 * STEPS + s;
    const Pair first = chunk_of(low, u), second = chunk_of(high, u);
    a[0] = first.x;
    a[1] = second.x;
    a[2] = first.y;
    a[3] = second.y;
}

// Loads a lane's part of 8 columns at step `s`: its chunk of column g, whose bytes are `row`, or zeros if the
// column is not `there`.
__device__ __forceinline__ void column_fragment(u32 (&b)[2], const i8* row, bool there, int s) {
    const Pair chunk = there ? chunk_of(row, lane_number() % 4 * STEPS + s) : Pair{0, 0};
    b[0] = chunk.x;
    b[1] = chunk.y;
}
