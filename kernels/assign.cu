// assign: the nearest centroid of each embedding, argmax over c of dot(x8, c8), ties to the lower code.
//
// round_rows: x8 = round(clamp(x * (127 / max|x|), -127, 127)), ties to even, 0 for NaN
//   out    rounded (N, PITCH) i8
//   in     embeddings (N, D) f32
//   sizes  num = N
// assign:
//   out    codes (N) u32
//   in     rounded (N, PITCH) i8, centroids (K rounded up to whole slabs, PITCH) i8
//   sizes  num = N, num_centroids = K
//
// PITCH is D rounded up to whole steps of 32 components, zeros after D. The last centroid fills the last slab: its
// products equal the ones of a lower code, so they never win.
//
//   round_rows      a warp owns an embedding, a lane every 32nd component
//   block           256 embeddings, all centroids: slabs of 64 centroids by 128 bytes, one after another
//   warp            32 embeddings, in registers up to 256 components, by the 64 centroids of a slab, or twice 32 of
//                   them where a slab has whole rows
//   lane            of each product the rows g and g + 8, columns 2t and 2t + 1
//   argmax          sums start at -(1 + best product so far) of their row, as the third operand of the first product.
//                   Then the sign bits say which products are better: the AND of all sums and a vote of the warp tell
//                   whether there is one. Only then the maximum and its code are looked for. With codes in any order
//                   the p-th group of centroids improves a row with probability 1 / p
//   shared memory   17,408 bytes: two slabs, one multiplied while the next is copied, and the codes. Of a row's units
//                   of 16 bytes, unit u is stored at place u ^ (row % 8), so that the eight rows of a matrix are in
//                   different banks
//   bound           compute: per slab 64 products of a warp. In SASS (sm_90a, D = 128) a slab that improves nothing
//                   takes 169 instructions, 45 of them on the integer pipe; the products need 413 clocks at 62 % of the
//                   int8 peak, which `mma.sync` is reported to reach. The 16 loads of fragments take 256 of a
//                   multiprocessor's clocks for shared memory while four warps multiply a slab each. Two blocks per
//                   multiprocessor. round_rows is bound by memory, or by the upload
//
// Versions
//   v1  a warp owns 16 embeddings, 32 centroids at a time, read from global memory. Time not yet measured.
//   v2  a block reads each centroid once for 256 embeddings, through shared memory, with asynchronous copies. 369
//       instructions per slab, 240 on the integer pipe, which bounded it at 53 % of the int8 peak; 163 registers, one
//       block per multiprocessor. Time not yet measured.
//   v3  this one: looks for codes only where a vote finds a better product; whole slabs of centroids in memory, so that
//       copies need no bounds; 110 registers. Its gain is not yet measured.

constexpr int STEPS = (DIM + TILE_DEPTH - 1) / TILE_DEPTH;
constexpr int PITCH = STEPS * TILE_DEPTH;
// Bytes of a unit, and units of a row in a slab.
constexpr int UNIT = 16;
constexpr int UNITS = 8;
constexpr int SLAB_UNITS = SLAB_ROWS * UNITS;
constexpr int SLAB_STEPS = UNITS * UNIT / TILE_DEPTH;
// Slabs that have all components of SLAB_ROWS centroids.
constexpr int SLABS = (STEPS + SLAB_STEPS - 1) / SLAB_STEPS;
// A slab of whole centroids is multiplied in two groups, which halves the registers for sums.
constexpr int GROUPS = SLABS == 1 ? 2 : 1;
constexpr int GROUP_ROWS = SLAB_ROWS / GROUPS;
constexpr int GROUP_TILES = GROUP_ROWS / TILE_COLUMNS;
constexpr int ROW_TILES = WARP_EMBEDDINGS / TILE_ROWS;
// Whether embeddings stay in registers.
constexpr bool HELD = STEPS <= 8;
// Blocks on a multiprocessor at once, as far as registers decide it.
constexpr int BLOCKS = SLABS == 1 ? 2 : 1;

using Sums = int[ROW_TILES][GROUP_TILES][4];
// A lane's part of a warp's embeddings, step by step, or of one step.
using Fragments = u32[HELD ? STEPS : 1][ROW_TILES][4];
// Rows g and g + 8 of each tile of embeddings.
using Rows = const i8*[ROW_TILES][2];
// For the same rows: -(1 + best product so far). Sums start there, so that the better products are not negative.
using Starts = int[ROW_TILES][2];
// Start of a row without a best product: no sum is negative.
constexpr int UNMATCHED = 1 << 30;
static_assert(DIM < UNMATCHED / (2 * 127 * 127), "no product is so large that a sum overflows or is negative");

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

// Starts to copy units of 16 bytes to the thread's places from `to` on: slab `number` of the centroids from `first` on.
__device__ __forceinline__ void fetch(uint4* to, const i8* centroids, u32 first, int number) {
    constexpr int ROWS = THREADS / UNITS;
    static_assert(ROWS % UNITS == 0 && SLAB_ROWS % ROWS == 0, "a thread's unit is at one place of all its rows");
    const u32 unit = threadIdx.x % UNITS, row = threadIdx.x / UNITS;
    if (number * UNITS + unit < PITCH / UNIT) {
        const i8* from = centroids + (row * PITCH + unit * UNIT) + u64{first} * PITCH;
        for (int next = 0; next < SLAB_ROWS; next += ROWS) {
            copy_async(to + next * UNITS, from + next * PITCH + number * UNITS * UNIT);
        }
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

__device__ __forceinline__ void start(Sums& sums, const Starts& starts) {
    for (int tile = 0; tile < ROW_TILES; ++tile) {
        for (auto& column : sums[tile]) {
            for (int i = 0; i < 4; ++i) column[i] = starts[tile][i / 2];
        }
    }
}

// Adds to `sums` the products of the embeddings with a group of centroids, in slab `number`. The lane's units of step 0
// are at `at`, and for another step two bits of that place differ.
__device__ __forceinline__ void
multiply(Sums& sums, Fragments& a, const uint4* group, u32 at, const Rows& rows, int number) {
#pragma unroll
    for (int step = 0; step < SLAB_STEPS; ++step) {
        const int s = number * SLAB_STEPS + step;
        if (s >= STEPS) break;
        if (!HELD) load_step(a[0], rows, s);
        for (int pair = 0; pair < GROUP_TILES / 2; ++pair) {
            u32 units[4];
            load_matrices(units, group + (at ^ 2 * step) + pair * 2 * TILE_COLUMNS * UNITS);
            for (int tile = 0; tile < ROW_TILES; ++tile) {
                mma_s8(sums[tile][2 * pair], a[HELD ? s : 0][tile], {units[0], units[1]});
                mma_s8(sums[tile][2 * pair + 1], a[HELD ? s : 0][tile], {units[2], units[3]});
            }
        }
    }
}

// Looks for better products of row g (half 0) or g + 8 (half 1) of a tile; keeps the best and its code. The four lanes
// of a row agree on it.
__device__ __forceinline__ void
improve_row(u32& code, int& start, const int (&sums)[GROUP_TILES][4], int half, u32 first) {
    int best = -1;
    for (const auto& column : sums) best = max(best, max(column[2 * half], column[2 * half + 1]));
    if (!__any_sync(ALL_LANES, best >= 0)) return;
    for (int with = 1; with < 4; with *= 2) best = max(best, __shfl_xor_sync(ALL_LANES, best, with));
    // The first of equal products wins: backwards, so that it is found last.
    u32 found = GROUP_ROWS;
    for (int at = 2 * GROUP_TILES - 1; at >= 0; --at) {
        if (sums[at / 2][2 * half + at % 2] == best) found = at / 2 * TILE_COLUMNS + at % 2;
    }
    found += 2 * (threadIdx.x % 4);
    for (int with = 1; with < 4; with *= 2) found = min(found, __shfl_xor_sync(ALL_LANES, found, with));
    if (best >= 0 && threadIdx.x % 4 == 0) code = first + found;
    start -= best + 1;
}

// Keeps the best products and codes, `codes` by the warp's rows, of the centroids from `first` on. Codes ascend, so an
// equal product never wins.
__device__ __forceinline__ void improve(u32 (&codes)[WARP_EMBEDDINGS], Starts& starts, const Sums& sums, u32 first) {
    int all = -1; // negative if all sums are
    for (const auto& tile : sums) {
        for (const auto& column : tile) all &= column[0] & column[1] & column[2] & column[3];
    }
    if (!__any_sync(ALL_LANES, all >= 0)) return;
    for (int tile = 0; tile < ROW_TILES; ++tile) {
        for (int half = 0; half < 2; ++half) {
            u32& code = codes[tile * TILE_ROWS + half * 8 + threadIdx.x % WARP / 4];
            improve_row(code, starts[tile][half], sums[tile], half, first);
        }
    }
}

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
assign(u32* codes, const i8* __restrict__ rounded, const i8* __restrict__ centroids, u32 num, u32 num_centroids) {
    __shared__ uint4 slabs[2 * SLAB_UNITS];
    __shared__ u32 block_codes[THREADS / WARP][WARP_EMBEDDINGS];
    const u32 lane = threadIdx.x % WARP, first_row = grid_warp() * WARP_EMBEDDINGS;
    u32(&warp_codes)[WARP_EMBEDDINGS] = block_codes[threadIdx.x / WARP];
    // Warps after the last embedding take it again, since the whole block copies slabs.
    Rows rows;
    for (int tile = 0; tile < ROW_TILES; ++tile) {
        for (int half = 0; half < 2; ++half) {
            const u32 row = first_row + tile * TILE_ROWS + half * 8 + lane / 4;
            rows[tile][half] = rounded + u64{min(row, num - 1)} * PITCH;
        }
    }
    Fragments a;
#pragma unroll
    for (int s = 0; s < (HELD ? STEPS : 0); ++s) load_step(a[HELD ? s : 0], rows, s);
    Starts starts;
    for (auto& halves : starts) halves[0] = halves[1] = UNMATCHED;

    // Place of the first unit that the thread copies, and of the lane's units at step 0: matrix m of a load is unit m %
    // 2 of the step in tile m / 2 of the pair. Both alternate between the two slabs.
    u32 to = threadIdx.x ^ threadIdx.x / UNITS % UNITS;
    u32 at = (lane / 16 * TILE_COLUMNS + lane % 8) * UNITS + (lane / 8 % 2 ^ lane % 8);
    fetch(slabs + to, centroids, 0, 0);
    for (u32 first = 0; first < num_centroids; first += SLAB_ROWS) {
        Sums sums;
        start(sums, starts);
#pragma unroll(HELD ? SLABS : 1)
        for (int number = 0; number < SLABS; ++number) {
            wait_for_copies<0>();
            // All copies of this slab are done, and no thread reads the slab before it any more.
            __syncthreads();
            to ^= SLAB_UNITS;
            const bool more = number + 1 < SLABS;
            // After the last slab the first one is copied again: that is cheaper than a branch.
            const u32 next = more ? first : first + SLAB_ROWS < num_centroids ? first + SLAB_ROWS : 0;
            fetch(slabs + to, centroids, next, more ? number + 1 : 0);
            multiply(sums, a, slabs, at, rows, number);
            if (GROUPS > 1) {
                improve(warp_codes, starts, sums, first);
                start(sums, starts);
                multiply(sums, a, slabs + GROUP_ROWS * UNITS, at, rows, number);
            }
            at ^= SLAB_UNITS;
        }
        improve(warp_codes, starts, sums, first + (GROUPS - 1) * GROUP_ROWS);
    }
    wait_for_copies<0>();
    __syncwarp();
    if (first_row + lane < num) codes[first_row + lane] = warp_codes[lane];
}
