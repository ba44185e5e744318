// assign: the nearest centroid of each embedding, argmax over c of dot(x8, c8), ties to the lower code.
//
//   in    embeddings (N, D) f32, centroids (K, PITCH) i8
//   out   codes (N) u32; on the way x8 (N, PITCH) i8 = round(clamp(x * (127 / max|x|), -127, 127)), ties to even
//
// PITCH is D rounded up to whole steps of 32, zeros behind D.
//
// round_rows: a warp owns an embedding.
// assign: a block of eight warps owns 256 embeddings, a warp 32 of them, and all run over the centroids, 64 at a time and
// 128 bytes of each at a time. These 8 KiB lie in shared memory, twice: while one is multiplied the next one comes.
// Of each row's units of 16 bytes number u lies at place u ^ (row % 8), so that the eight rows of a matrix are in
// different banks. Embeddings stay in registers where they have no more than 256 components.

constexpr int STEPS = (DIM + TILE_DEPTH - 1) / TILE_DEPTH;
constexpr int PITCH = STEPS * TILE_DEPTH;
// Bytes of a unit, and units of a row in a slab.
constexpr int UNIT = 16;
constexpr int UNITS = 8;
constexpr int SLAB_STEPS = UNITS * UNIT / TILE_DEPTH;
constexpr int SLABS = (STEPS + SLAB_STEPS - 1) / SLAB_STEPS;
// Centroids of a slab, and embeddings of a warp.
constexpr int PANEL = 64;
constexpr int PANEL_TILES = PANEL / TILE_COLUMNS;
constexpr int ROW_TILES = 2;
constexpr bool HELD = STEPS <= 8;

extern "C" __global__ void __launch_bounds__(256) round_rows(const float* embeddings, u32 num, i8* rounded) {
    const u32 n = grid_warp();
    if (n >= num) return;
    const float* x = embeddings + u64{n} * DIM;
    float largest = 0;
    for (int d = lane_number(); d < DIM; d += WARP) largest = fmaxf(largest, fabsf(x[d]));
    largest = warp_max(largest);
    const float inverse = largest > 0 ? __fdiv_rn(127.0f, largest) : 0;
    for (int d = lane_number(); d < PITCH; d += WARP) {
        const float scaled = d < DIM ? fmaxf(-127.0f, fminf(127.0f, __fmul_rn(x[d], inverse))) : 0;
        rounded[u64{n} * PITCH + d] = static_cast<i8>(__float2int_rn(scaled));
    }
}

// A centroid and the embedding's product with it.
struct Nearest {
    int product;
    u32 code;
};

__device__ __forceinline__ Nearest better(Nearest a, Nearest b) {
    return b.product > a.product || (b.product == a.product && b.code < a.code) ? b : a;
}

// Begins to fetch a slab: 128 bytes of each of 64 centroids, the last one for those that are not there.
__device__ __forceinline__ void fetch(uint4 (*slab)[UNITS], const i8* centroids, u32 num_centroids, u32 panel, int number) {
    const int units = min(UNITS, (PITCH - number * UNITS * UNIT) / UNIT);
    for (int at = threadIdx.x; at < PANEL * UNITS; at += blockDim.x) {
        const int row = at / UNITS, unit = at % UNITS;
        const u64 code = min(panel + row, num_centroids - 1);
        const i8* from = centroids + code * PITCH + (number * UNITS + unit) * UNIT;
        if (unit < units) copy_async(&slab[row][unit ^ row % UNITS], from);
    }
    commit_copies();
}

// A lane's part of 16 embeddings at step `s`, of rows g and g + 8.
__device__ __forceinline__ void embedding_fragment(u32 (&a)[4], const i8* const (&rows)[2], int s) {
    const int at = s * TILE_DEPTH + lane_number() % 4 * 4;
    for (int i = 0; i < 4; ++i) a[i] = *reinterpret_cast<const u32*>(rows[i % 2] + at + i / 2 * (TILE_DEPTH / 2));
}

extern "C" __global__ void __launch_bounds__(256, 1)
assign(const i8* embeddings, u32 num, const i8* centroids, u32 num_centroids, u32* codes) {
    __shared__ uint4 slabs[2][PANEL][UNITS];
    const int lane = lane_number(), g = lane / 4, t = lane % 4;
    const u32 first = grid_warp() * TILE_ROWS * ROW_TILES;
    // Warps behind the last embedding take it once more, since the block fetches together.
    const i8* rows[ROW_TILES][2];
    for (int tile = 0; tile < ROW_TILES; ++tile) {
        for (int half = 0; half < 2; ++half) {
            rows[tile][half] = embeddings + u64{min(first + tile * TILE_ROWS + half * 8 + g, num - 1)} * PITCH;
        }
    }
    u32 a[HELD ? STEPS : 1][ROW_TILES][4];
#pragma unroll
    for (int s = 0; s < (HELD ? STEPS : 0); ++s) {
        for (int tile = 0; tile < ROW_TILES; ++tile) embedding_fragment(a[HELD ? s : 0][tile], rows[tile], s);
    }
    Nearest best[ROW_TILES][2];
    for (auto& halves : best) halves[0] = halves[1] = {NO_MATCH, 0};

    fetch(slabs[0], centroids, num_centroids, 0, 0);
    int current = 0;
    for (u32 panel = 0; panel < num_centroids; panel += PANEL) {
        int sums[ROW_TILES][PANEL_TILES][4] = {};
#pragma unroll(HELD ? SLABS : 1)
        for (int number = 0; number < SLABS; ++number) {
            wait_for_copies<0>();
            // The slab has come for all, and all are done with the one before.
            __syncthreads();
            const bool more = number + 1 < SLABS;
            const u32 next = more ? panel : panel + PANEL;
            if (next < num_centroids) fetch(slabs[current ^ 1], centroids, num_centroids, next, more ? number + 1 : 0);
#pragma unroll
            for (int step = 0; step < SLAB_STEPS; ++step) {
                const int s = number * SLAB_STEPS + step;
                if (s >= STEPS) break;
                if (!HELD) {
                    for (int tile = 0; tile < ROW_TILES; ++tile) embedding_fragment(a[0][tile], rows[tile], s);
                }
                for (int pair = 0; pair < PANEL_TILES / 2; ++pair) {
                    // Two tiles of centroids, of each the two units of this step.
                    const int row = pair * 2 * TILE_COLUMNS + lane / 16 * TILE_COLUMNS + lane % 8;
                    const int unit = 2 * step + lane / 8 % 2;
                    u32 units[4];
                    load_matrices(units, &slabs[current][row][unit ^ row % UNITS]);
                    for (int tile = 0; tile < ROW_TILES; ++tile) {
                        mma_s8(sums[tile][2 * pair], a[HELD ? s : 0][tile], {units[0], units[1]});
                        mma_s8(sums[tile][2 * pair + 1], a[HELD ? s : 0][tile], {units[2], units[3]});
                    }
                }
            }
            current ^= 1;
        }
        for (int tile = 0; tile < ROW_TILES; ++tile) {
            for (int column = 0; column < PANEL_TILES; ++column) {
                for (int i = 0; i < 4; ++i) {
                    const u32 code = panel + column * TILE_COLUMNS + 2 * t + i % 2;
                    const int product = sums[tile][column][i];
                    // Codes ascend, so that the first of equals stays.
                    if (code < num_centroids && product > best[tile][i / 2].product) best[tile][i / 2] = {product, code};
                }
            }
        }
    }
    for (int tile = 0; tile < ROW_TILES; ++tile) {
        for (int half = 0; half < 2; ++half) {
            for (int with = 1; with < 4; with *= 2) {
                const Nearest other = {__shfl_xor_sync(ALL_LANES, best[tile][half].product, with),
                                     __shfl_xor_sync(ALL_LANES, best[tile][half].code, with)};
                best[tile][half] = better(best[tile][half], other);
            }
            const u32 row = first + tile * TILE_ROWS + half * 8 + g;
            if (t == 0 && row < num) codes[row] = best[tile][half].code;
        }
    }
}
