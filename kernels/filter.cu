// filter: sums that stand for the scores of passages, of several queries at once, from rows that are decoded once.
//
//   A(p) = sum over i of max over t of dot(q8[i], x8[t])                exact integers; NO_MATCH without tokens
//
//   out    sums (P) i32 of each query, at the pids of the run
//   in     batch: up to MOST_QUERIES queries, each (ceil(Q / 8), STEPS, 32) chunks of 8 i8 in the order of levels.cuh;
//          rows: the tiles that rows.cu has made of the run; segment; chosen: a set, whose other passages get NO_MATCH
//   sizes  base: first token of the run; first, num: passages first .. first + num of the segment
//
//   block           passages, one after another; its warps have a query each, and read the same tiles
//   warp            a query, 32 of its tokens at a time, in registers up to 256 components: the left side of the
//                   products; 8 tokens of a passage are the right side
//   lane            query tokens g, g + 8, g + 16, g + 24 by tokens 2t and 2t + 1, so that a maximum over tokens is one
//                   over the lane's own registers, and two shuffles at the end of a passage
//   shared memory   none: a tile is D * 8 bytes in a row, and all warps but the first find it in L1
//   bound           compute: tensor cores. Per 8 tokens and 32 query tokens 8 products (D = 128), 52 clocks at 62 % of
//                   the int8 peak of `mma.sync`
//
// # Why no result is lost
//
// Let x be a token as real numbers, step * x8 its row (rows.cu), m the largest centroid weight, d (`distance`) at least
// |x - step * x8| of every token, and S(p) the score of maxsim.cu:
//
//   S(p) = sum over i of floor(max over t of sim(i, t) / 2^shift),
//   sim(i, t) = centroid_weights[j] * T[code][i] + residual_weights[j] * dot(q8[i], w8)
//
// 1. T is clamp(round(y)), y = fl(fl(n) * factor), n = dot(c8, q8[i]). The two roundings change n * factor by at most
//    2^-23 (1 + 2^-25) of itself, or by less than 2^-148 where y is subnormal. Where |n| * factor <= 2^22 - 1 for all
//    centroids, that is less than 1/2, so that T is not clamped and |T - n * factor| <= 1. |n| is at most the product
//    of both lengths.
// 2. dot(q8[i], x) = centroid_weights[j] * factor * n + residual_weights[j] * dot(q8[i], w8), so by 1.
//    |sim(i, t) - dot(q8[i], x)| <= m.
// 3. |dot(q8[i], x) - step * dot(q8[i], x8)| <= |q8[i]| * d, by Cauchy and Schwarz.
// 4. Maxima of two lists whose numbers differ by at most e differ by at most e, and rounding down changes by less
//    than 1. Summed over i,
//      |S(p) - step * A(p) / 2^shift| <= E = sum over i of ((m + |q8[i]| * d) / 2^shift + 1).
// 5. Let a be the k-th largest A, and 2^shift * E / step <= s (`slack`). If A(p) < a - 2 s, then k passages with A >= a
//    have S >= step * a / 2^shift - E > step * A(p) / 2^shift + E >= S(p): p is not among the k best, whatever the
//    order of equal scores. So the k best of the passages with A >= a - 2 s, by S, are the k best of all. With fewer
//    than k passages, all survive.
//
// survivors.cu computes s and keeps these passages. The step and d are measured in f64 (rows.cu), with a margin for its
// roundings: crates/backend/src/cuda/search/certificate.rs.
//
// Versions
//   v1  this one. Time not yet measured; rows through shared memory and two tiles at a time were not tried.
//       filter_wgmma.cu has the same sums by `wgmma`.

constexpr int TILE_TOKENS = TILE_COLUMNS;
// Left sides of a panel.
constexpr int SIDES = PANEL / TILE_ROWS;
// Whether a panel stays in registers.
constexpr bool HELD = STEPS <= 8;
// Blocks of a multiprocessor whose registers hold all that is held.
constexpr int BLOCKS = STEPS <= 5 ? 3 : 2;
using Step = u32[SIDES][4];

// Loads a lane's part of a panel, whose first tile of 8 query tokens is `panel`, at step `s`. Tokens after the last are
// zeros, whose products are zeros, and so are their maxima: they add nothing.
__device__ __forceinline__ void load_step(Step& a, const Pair* __restrict__ query, u32 tiles, u32 panel, int s) {
#pragma unroll
    for (int side = 0; side < SIDES; ++side) {
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            const u32 tile = panel + 2 * side + half;
            const Pair chunk = tile < tiles ? query[(u64{tile} * STEPS + s) * WARP + lane_number()] : Pair{0, 0};
            a[side][half] = chunk.x;
            a[side][half + 2] = chunk.y;
        }
    }
}

// Raises `best` to the products of a panel with a tile of tokens.
__device__ __forceinline__ void multiply(int (&best)[SIDES][2], Step (&held)[HELD ? STEPS : 1],
                                         const Pair* __restrict__ tile, const Pair* __restrict__ query, u32 tiles,
                                         u32 panel) {
    int sums[SIDES][4] = {};
#pragma unroll(HELD ? STEPS : 1)
    for (int s = 0; s < STEPS; ++s) {
        const Pair chunk = tile[s * WARP];
        const u32 b[2] = {chunk.x, chunk.y};
        if (!HELD) load_step(held[0], query, tiles, panel, s);
#pragma unroll
        for (int side = 0; side < SIDES; ++side) mma_s8(sums[side], held[HELD ? s : 0][side], b);
    }
    for (int side = 0; side < SIDES; ++side) {
        for (int half = 0; half < 2; ++half) {
            best[side][half] = max(best[side][half], max(sums[side][2 * half], sums[side][2 * half + 1]));
        }
    }
}

// Returns the sum over a panel's query tokens of the maxima over all lanes.
__device__ __forceinline__ int reduce(int (&best)[SIDES][2]) {
    int sum = 0;
    for (auto& halves : best) {
        for (int& most : halves) {
            // Over the four lanes that have the same query tokens.
            for (int with = 1; with < 4; with *= 2) most = max(most, __shfl_xor_sync(ALL_LANES, most, with));
            sum += most;
        }
    }
    for (int with = 4; with < WARP; with *= 2) sum += __shfl_xor_sync(ALL_LANES, sum, with);
    return sum;
}

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
filter(Batch batch, const Pair* __restrict__ rows, Segment segment, Chosen chosen, u32 base, u32 first, u32 num) {
    const u32 number = blockIdx.y * (blockDim.x / WARP) + warp_number();
    if (number >= batch.num) return;
    const Pair* query = batch.asked[number].query;
    int* sums = batch.asked[number].sums + segment.first_pid + first;
    const u32 tiles = (batch.asked[number].query_len + TILE_COLUMNS - 1) / TILE_COLUMNS;
    for (u32 panel = 0; panel < tiles; panel += PANEL_TILES) {
        Step held[HELD ? STEPS : 1];
#pragma unroll
        for (int s = 0; s < (HELD ? STEPS : 0); ++s) load_step(held[HELD ? s : 0], query, tiles, panel, s);
        for (u32 at = blockIdx.x; at < num; at += gridDim.x) {
            const Tokens tokens = tokens_of(segment, chosen_pid(chosen, segment.first_pid + first + at));
            int best[SIDES][2];
            for (auto& halves : best) halves[0] = halves[1] = NO_MATCH;
            const u32 ends = (tokens.end - tokens.start + TILE_TOKENS - 1) / TILE_TOKENS;
            const Pair* tile = rows + (u64{(tokens.start - base) / TILE_TOKENS} + at) * (STEPS * WARP) + lane_number();
            for (u32 n = 0; n < ends; ++n) {
                multiply(best, held, tile, query, tiles, panel);
                tile += STEPS * WARP;
            }
            if (ends == 0) {
                if (lane_number() == 0) sums[at] = NO_MATCH;
                continue;
            }
            const int sum = reduce(best);
            // The same lane has written the sum of the panels before.
            if (lane_number() == 0) sums[at] = panel == 0 ? sum : sums[at] + sum;
        }
    }
}
