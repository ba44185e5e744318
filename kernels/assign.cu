// assign: the nearest centroid of each embedding, argmax over c of dot(x8, c8), ties to the lower code.
//
// round_rows: x8 = round(clamp(x * (127 / max|x|), -127, 127)), ties to even, 0 for NaN
//   out    rounded (N, PITCH) i8
//   in     embeddings (N, D) f32
//   sizes  num = N
// assign:
//   out    codes (N) u32
//   in     rounded (N, PITCH) i8, centroids (K, PITCH) i8
//   sizes  num = N, num_centroids = K
//
// PITCH is D rounded up to whole steps of 32 components, zeros after D.
//
//   round_rows      a warp owns an embedding, a lane every 32nd component
//   block           256 embeddings, all centroids: slabs of 64 centroids by 128 bytes, one after another
//   warp            32 embeddings, in registers up to 256 components, by the 64 centroids of a slab
//   lane            of each product the rows g and g + 8, columns 2t and 2t + 1
//   shared memory   16,384 bytes: two slabs, one multiplied while the next is copied. Of a row's units of 16 bytes,
//                   unit u is stored at place u ^ (row % 8), so that the eight rows of a matrix are in different banks
//   bound           compute: per slab 64 products of a warp and the argmax of 32 by 64 sums. In SASS (sm_90, D = 128)
//                   369 instructions, of which 240 go to the integer pipe (480 clocks; the products need 413 at 62 % of
//                   the int8 peak), so at most 53 % of the int8 peak is expected; round_rows is bound by memory, or by
//                   the upload
//
// Versions
//   v1  a warp owns 16 embeddings, 32 centroids at a time, read from global memory. Time not yet measured.
//   v2  this one: a block reads each centroid once for 256 embeddings, through shared memory, with asynchronous copies.
//       Its gain is not yet measured.

constexpr int STEPS = (DIM + TILE_DEPTH - 1) / TILE_DEPTH;
constexpr int PITCH = STEPS * TILE_DEPTH;
// Bytes of a unit, and units of a row in a slab.
constexpr int UNIT = 16;
constexpr int UNITS = 8;
constexpr int SLAB_STEPS = UNITS * UNIT / TILE_DEPTH;
constexpr int SLABS = (STEPS + SLAB_STEPS - 1) / SLAB_STEPS;
// Centroids of a slab.
constexpr int SLAB_ROWS = 64;
constexpr int SLAB_TILES = SLAB_ROWS / TILE_COLUMNS;
constexpr int ROW_TILES = WARP_EMBEDDINGS / TILE_ROWS;
// Whether embeddings stay in registers.
constexpr bool HELD = STEPS <= 8;

using Slab = uint4[SLAB_ROWS][UNITS];
using Sums = int[ROW_TILES][SLAB_TILES][4];
// A lane's part of a warp's embeddings, step by step, or of one step.
using Fragments = u32[HELD ? STEPS : 1][ROW_TILES][4];
// Rows g and g + 8 of each tile of embeddings.
using Rows = const i8*[ROW_TILES][2];

extern "C" __global__ void __launch_bounds__(THREADS)
round_rows(i8* rounded, const float* __restrict__ embeddings, u32 num) {
    const u32 n = grid_warp();
    if (n >= num) return;
    const float* x = embeddings + u64{n} * DIM;
    float largest = 0;
    for (int d = lane_number(); d < DIM; d += WARP) largest = fmaxf(largest, fabsf(x[d]));
    largest = warp_max(largest);
    // Infinite below 127 / FLT_MAX, about 3.7e-37; a component of 0 is then NaN, which rounds to 0.
    const float inverse = largest > 0 ? __fdiv_rn(127.0f, largest) : 0;
    for (int d = lane_number(); d < PITCH; d += WARP) {
        const int component = d < DIM ? round_clamped(__fmul_rn(x[d], inverse), 127.0f) : 0;
        rounded[u64{n} * PITCH + d] = static_cast<i8>(component);
    }
}

// A centroid and its product with the embedding.
struct Nearest {
    int product;
    u32 code;
};

__device__ __forceinline__ Nearest better(Nearest a, Nearest b) {
    return b.product > a.product || (b.product == a.product && b.code < a.code) ? b : a;
}

// Starts to copy slab `number` of the centroids from `first` on; the last centroid fills the rows after the end.
__device__ __forceinline__ void fetch(Slab& slab, const i8* centroids, u32 num_centroids, u32 first, int number) {
    const int units = min(UNITS, (PITCH - number * UNITS * UNIT) / UNIT);
    for (int at = threadIdx.x; at < SLAB_ROWS * UNITS; at += blockDim.x) {
        const int row = at / UNITS, unit = at % UNITS;
        const u64 code = min(first + row, num_centroids - 1);
        const i8* from = centroids + code * PITCH + (number * UNITS + unit) * UNIT;
        if (unit < units) copy_async(&slab[row][unit ^ row % UNITS], from);
    }
    commit_copies();
}

// Loads a lane's part of the embeddings at step `s`.
__device__ __forceinline__ void load_step(u32 (&a)[ROW_TILES][4], const Rows& rows, int s) {
    const int at = s * TILE_DEPTH + lane_number() % 4 * 4;
    for (int tile = 0; tile < ROW_TILES; ++tile) {
        for (int i = 0; i < 4; ++i) {
            a[tile][i] = *reinterpret_cast<const u32*>(rows[tile][i % 2] + at + i / 2 * (TILE_DEPTH / 2));
        }
    }
}

// Adds to `sums` the products of the embeddings with a slab, number `number` of its centroids.
__device__ __forceinline__ void multiply(Sums& sums, Fragments& a, const Slab& slab, const Rows& rows, int number) {
    const int lane = lane_number();
#pragma unroll
    for (int step = 0; step < SLAB_STEPS; ++step) {
        const int s = number * SLAB_STEPS + step;
        if (s >= STEPS) break;
        if (!HELD) load_step(a[0], rows, s);
        for (int pair = 0; pair < SLAB_TILES / 2; ++pair) {
            // Two tiles of centroids, and of each the two units of this step.
            const int row = pair * 2 * TILE_COLUMNS + lane / 16 * TILE_COLUMNS + lane % 8;
            const int unit = 2 * step + lane / 8 % 2;
            u32 units[4];
            load_matrices(units, &slab[row][unit ^ row % UNITS]);
            for (int tile = 0; tile < ROW_TILES; ++tile) {
                mma_s8(sums[tile][2 * pair], a[HELD ? s : 0][tile], {units[0], units[1]});
                mma_s8(sums[tile][2 * pair + 1], a[HELD ? s : 0][tile], {units[2], units[3]});
            }
        }
    }
}

// Keeps the better of `best` and the centroids from `first` on, whose products are `sums`.
__device__ __forceinline__ void
keep_nearest(Nearest (&best)[ROW_TILES][2], const Sums& sums, u32 num_centroids, u32 first) {
    for (int tile = 0; tile < ROW_TILES; ++tile) {
        for (int column = 0; column < SLAB_TILES; ++column) {
            for (int i = 0; i < 4; ++i) {
                const u32 code = first + column * TILE_COLUMNS + 2 * (lane_number() % 4) + i % 2;
                const int product = sums[tile][column][i];
                // Codes ascend, so the first of equal products stays.
                if (code < num_centroids && product > best[tile][i / 2].product) best[tile][i / 2] = {product, code};
            }
        }
    }
}

// Writes the best of the four lanes that share a row.
__device__ __forceinline__ void write_codes(u32* codes, Nearest (&best)[ROW_TILES][2], u32 num, u32 first) {
    for (int tile = 0; tile < ROW_TILES; ++tile) {
        for (int half = 0; half < 2; ++half) {
            for (int with = 1; with < 4; with *= 2) {
                const Nearest other = {__shfl_xor_sync(ALL_LANES, best[tile][half].product, with),
                                       __shfl_xor_sync(ALL_LANES, best[tile][half].code, with)};
                best[tile][half] = better(best[tile][half], other);
            }
            const u32 row = first + tile * TILE_ROWS + half * 8 + lane_number() / 4;
            if (lane_number() % 4 == 0 && row < num) codes[row] = best[tile][half].code;
        }
    }
}

extern "C" __global__ void __launch_bounds__(THREADS, 1)
assign(u32* codes, const i8* __restrict__ rounded, const i8* __restrict__ centroids, u32 num, u32 num_centroids) {
    __shared__ Slab slabs[2];
    const u32 first_row = grid_warp() * TILE_ROWS * ROW_TILES;
    // Warps after the last embedding take it again, since the whole block copies slabs.
    Rows rows;
    for (int tile = 0; tile < ROW_TILES; ++tile) {
        for (int half = 0; half < 2; ++half) {
            const u32 row = first_row + tile * TILE_ROWS + half * 8 + lane_number() / 4;
            rows[tile][half] = rounded + u64{min(row, num - 1)} * PITCH;
        }
    }
    Fragments a;
#pragma unroll
    for (int s = 0; s < (HELD ? STEPS : 0); ++s) load_step(a[HELD ? s : 0], rows, s);
    Nearest best[ROW_TILES][2];
    for (auto& halves : best) halves[0] = halves[1] = {NO_MATCH, 0};

    fetch(slabs[0], centroids, num_centroids, 0, 0);
    int current = 0;
    for (u32 first = 0; first < num_centroids; first += SLAB_ROWS) {
        Sums sums = {};
#pragma unroll(HELD ? SLABS : 1)
        for (int number = 0; number < SLABS; ++number) {
            wait_for_copies<0>();
            // All copies of this slab are done, and no thread reads the slab before it any more.
            __syncthreads();
            const bool more = number + 1 < SLABS;
            const u32 next = more ? first : first + SLAB_ROWS;
            if (next < num_centroids) fetch(slabs[current ^ 1], centroids, num_centroids, next, more ? number + 1 : 0);
            multiply(sums, a, slabs[current], rows, number);
            current ^= 1;
        }
        keep_nearest(best, sums, num_centroids, first);
    }
    write_codes(codes, best, num, first_row);
}
