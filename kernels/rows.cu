// rows: the tokens of passages as rows of int8, which filter.cu multiplies; and how far the rows are from the tokens.
//
//   x    = (centroid_weights[j] * factor) * c8 + residual_weights[j] * w8                    a token, D real numbers
//   x8   = (a * c8 + b * w8 + ONE / 2) / ONE, rounded down, of which the lowest 8 bits are kept
//
// with the factor of centroid_table.cu, and (a, b) the factors of j: i16, centroid_weights[j] * factor * ONE / step and
// residual_weights[j] * ONE / step, rounded. `step` is a component of x8 as a real number. The length of x - step * x8
// is measured of every token, so that no result depends on the rounding of the factors, or on their range: if they
// saturate, the lengths are so large that all passages survive.
//
// arrange:   centroids in the order of components of levels.cuh
//   out    arranged (K, D) i8
//   in     codec
//   sizes  num_centroids = K
// largest:   the largest |component| of all x
//   out    most: bits of an f64, which are raised
//   in     segment, codec, centroids: the arranged ones, factor f64
//   sizes  num_tokens
// farthest:  the largest |x - step * x8|^2
//   out    most: bits of an f64, which are raised
//   in     as largest; factors (weights) pairs of i16, step f64
// rows, rows_windows: x8 of a run of passages, as filter.cu reads them
//   out    rows: tiles (STEPS, 32) of chunks of 8 i8; tile `n` of passage `at` of the run is number
//          (its first token - base) / 8 + at + n, and has its tokens 8 n .. 8 n + 7, chunk t * STEPS + s of token g at
//          place (s, lane), the last token in place of those after it
//   in     segment, codec, centroids: the arranged ones, factors
//   sizes  base: first token of the run; first, num: passages first .. first + num of the segment
// slabs, slabs_windows: x8 of a run of passages, as filter_wgmma.cu reads them: passage after passage, without gaps
//   out    rows: the same tiles, but each as core matrices (2 STEPS, 8) of 16 bytes: first words 0 of the chunks of a
//          step, 4 of each token, then words 1. A passage has the tiles up to the first one of the next passage, at
//          least one, which repeat its last token;
//          ends: of each tile the passage that it ends, counted from `first`, or NO_END; with the bit DROPPED where the
//          passage has no tokens or is not chosen, whose tiles are not written
//   in     as rows; chosen: a set
//   sizes  as rows
//
//   warp            8 tokens; of `rows` a passage at a time
//   lane            (g, t) = (lane / 4, lane % 4) has the chunks of token g that it multiplies in filter.cu
//   shared memory   none
//   bound           rows: compute, the integer pipe, as the decoding in maxsim.cu, but once for a batch of queries;
//                   arrange, largest and farthest run once for an index
//
// A run of `slabs` has offsets that ascend; the host has checked them.
//
// No two passages share a tile: with n = floor(x / 8) + at, the next passage's number is at least
// floor(x / 8) + floor(length / 8) + at + 1, and a passage has at most floor(length / 8) + 1 tiles.
//
// Versions
//   v1  the products of a component are one `dp2a`: 213 instructions for 8 tokens (2 bits, trellis, D = 128, sm_90a),
//       of them 151 of the integer pipe
//   v2  this one: levels by windows.cuh, 163 and 88. Time not yet measured.

static_assert(ONE == 256, "a component of a row is the second byte of a sum");
constexpr int TILE_TOKENS = TILE_COLUMNS;

// A chunk of a token: components of its centroid, and its levels.
struct Parts {
    Pair centroid, levels;
};

__device__ __forceinline__ Parts parts_of(const LevelTable& levels, const Segment& segment,
                                          const Pair* __restrict__ centroids, u32 token, u32 code, int u) {
    const Pair centroid = u < CHUNKS ? centroids[u64{code} * CHUNKS + u] : Pair{0, 0};
    return {centroid, levels.chunk(segment.residuals + u64{token} * ROW_BYTES, u)};
}

// Returns four components of a row. `start` is ONE / 2, and what the levels lack times their factor.
__device__ __forceinline__ u32 blend(u32 factors, u32 centroid, u32 levels, int start = ONE / 2) {
    const int low = static_cast<int>(__byte_perm(centroid, levels, 0x5140));
    const int high = static_cast<int>(__byte_perm(centroid, levels, 0x7362));
    const int pair = static_cast<int>(factors);
    const u32 x[4] = {static_cast<u32>(__dp2a_lo(pair, low, start)), static_cast<u32>(__dp2a_hi(pair, low, start)),
                      static_cast<u32>(__dp2a_lo(pair, high, start)), static_cast<u32>(__dp2a_hi(pair, high, start))};
    return __byte_perm(__byte_perm(x[0], x[1], 0x51), __byte_perm(x[2], x[3], 0x51), 0x5410);
}

__device__ __forceinline__ double byte_of(u32 word, int i) { return static_cast<i8>(word >> (8 * i)); }

// Calls `use` with the two parts of each component, and its place: word and byte.
template <class Use> __device__ __forceinline__ void each_component(const Parts& parts, const Use& use) {
    for (int i = 0; i < 4; ++i) {
        use(byte_of(parts.centroid.x, i), byte_of(parts.levels.x, i), 0, i);
        use(byte_of(parts.centroid.y, i), byte_of(parts.levels.y, i), 1, i);
    }
}

// Raises `*most` to the largest of the lanes' numbers, which are not negative: their order is that of their bits.
__device__ __forceinline__ void raise(u64* most, double own) {
    u64 bits = static_cast<u64>(__double_as_longlong(own));
    for (int with = WARP / 2; with > 0; with /= 2) bits = max(bits, __shfl_xor_sync(ALL_LANES, bits, with));
    if (lane_number() == 0) atomicMax(most, bits);
}

extern "C" __global__ void __launch_bounds__(THREADS)
arrange(Pair* arranged, Codec codec, u32 num_centroids) {
    const u64 thread = u64{blockIdx.x} * blockDim.x + threadIdx.x;
    const u32 code = static_cast<u32>(thread / CHUNKS);
    const int u = static_cast<int>(thread % CHUNKS);
    if (code >= num_centroids) return;
    u32 words[2] = {0, 0};
    for (int r = 0; r < 2; ++r) {
        for (int i = 0; i < 4; ++i) {
            const u8 component = static_cast<u8>(codec.centroids[u64{code} * DIM + component_of(u, r, i)]);
            words[r] |= static_cast<u32>(component) << (8 * i);
        }
    }
    arranged[thread] = {words[0], words[1]};
}

extern "C" __global__ void __launch_bounds__(THREADS)
largest(u64* most, Segment segment, Codec codec, const Pair* __restrict__ centroids, double factor, u32 num_tokens) {
    const LevelTable levels(codec.levels);
    double own = 0;
    for (u64 first = u64{grid_warp()} * TILE_TOKENS; first < num_tokens; first += u64{grid_warps()} * TILE_TOKENS) {
        const u32 token = static_cast<u32>(min(first + lane_number() / 4, u64{num_tokens - 1}));
        const u32 word = segment.tokens[token];
        const Weights weights = codec.weights[weight_of(word)];
        const double of_centroid = (weights.centroid & 0xff) * factor;
        const double of_levels = weights.residual;
        for (int s = 0; s < STEPS; ++s) {
            const int u = lane_number() % 4 * STEPS + s;
            const Parts parts = parts_of(levels, segment, centroids, token, code_of(word), u);
            each_component(parts, [&](double c, double w, int, int) {
                own = max(own, fabs(of_centroid * c + of_levels * w));
            });
        }
    }
    raise(most, own);
}

extern "C" __global__ void __launch_bounds__(THREADS)
farthest(u64* most, Segment segment, Codec codec, const Pair* __restrict__ centroids, double factor,
         const u32* __restrict__ factors, double step, u32 num_tokens) {
    const LevelTable levels(codec.levels);
    double own = 0;
    for (u64 first = u64{grid_warp()} * TILE_TOKENS; first < num_tokens; first += u64{grid_warps()} * TILE_TOKENS) {
        const u32 token = static_cast<u32>(min(first + lane_number() / 4, u64{num_tokens - 1}));
        const u32 word = segment.tokens[token];
        const Weights weights = codec.weights[weight_of(word)];
        const double of_centroid = (weights.centroid & 0xff) * factor;
        const double of_levels = weights.residual;
        const u32 pair = factors[weight_of(word)];
        double squares = 0;
        for (int s = 0; s < STEPS; ++s) {
            const int u = lane_number() % 4 * STEPS + s;
            const Parts parts = parts_of(levels, segment, centroids, token, code_of(word), u);
            const u32 row[2] = {blend(pair, parts.centroid.x, parts.levels.x),
                                blend(pair, parts.centroid.y, parts.levels.y)};
            each_component(parts, [&](double c, double w, int r, int i) {
                const double by = of_centroid * c + of_levels * w - step * byte_of(row[r], i);
                squares += by * by;
            });
        }
        for (int with = 1; with < 4; with *= 2) squares += __shfl_xor_sync(ALL_LANES, squares, with);
        own = max(own, squares);
    }
    raise(most, own);
}

// What a warp makes rows of tokens with; it unpacks their levels by a class of windows.cuh.
template <class Levels> struct Maker {
    const Levels levels;
    const u32* tokens;
    // The lane's parts of the first row and of the first centroid.
    const u8* residuals;
    const Pair* centroids;
    const u32* factors;
    int lowest_level;

    __device__ __forceinline__ Maker(const Segment& segment, const Codec& codec, const Pair* centroids,
                                     const u32* factors)
        : levels(codec), tokens(segment.tokens), residuals(segment.residuals + Levels::lane_offset()),
          centroids(centroids + lane_number() % 4 * STEPS), factors(factors), lowest_level(codec.lowest_level) {}

    // Calls `store` with the lane's chunk of each step of the tile of 8 tokens from `from` on, of which number `last`
    // stands for those after it. Chunks after a row's last one have no meaning: the queries have zeros there.
    template <class Store> __device__ __forceinline__ void tile(u32 from, u32 last, const Store& store) const {
        const u32 g = lane_number() / 4;
        const u32 token = from + min(g, last);
        const u32 word = load(tokens + token);
        const u32 pair = load(factors + weight_of(word));
        const u8* row = residuals + u64{token} * ROW_BYTES;
        const Pair* centroid = centroids + u64{code_of(word)} * CHUNKS;
        // The levels' factor times what they lack.
        const int start = ONE / 2 + (Levels::BIASED ? static_cast<int>(pair) >> 16 : 0) * lowest_level;
#pragma unroll(RUNS <= 2 ? RUNS : 1)
        for (int run = 0; run < RUNS; ++run) {
            auto packed = levels.packed(row, run);
            levels.complete(packed);
#pragma unroll
            for (int c = 0; c < RUN; ++c) {
                const int s = run * RUN + c;
                if (s >= STEPS) continue;
                const Pair of_centroid = lane_number() % 4 * STEPS + s < CHUNKS ? centroid[s] : Pair{0, 0};
                const Pair of_levels = NBITS ? levels.chunk(packed, c) : Pair{0, 0};
                store(s, Pair{blend(pair, of_centroid.x, of_levels.x, start),
                              blend(pair, of_centroid.y, of_levels.y, start)});
            }
        }
    }
};

// A run of passages: the arguments of the kernels below.
struct Passages {
    const Segment& segment;
    u32 base, first, num;
};

template <class Levels>
__device__ __forceinline__ void write_rows(Pair* rows, const Passages& run, const Maker<Levels>& maker) {
    for (u32 at = grid_warp(); at < run.num; at += grid_warps()) {
        const Tokens tokens = tokens_of(run.segment, run.segment.first_pid + run.first + at);
        Pair* tile = rows + (u64{(tokens.start - run.base) / TILE_TOKENS} + at) * (STEPS * WARP) + lane_number();
        for (u32 from = tokens.start; from < tokens.end; from += min(u32{TILE_TOKENS}, tokens.end - from)) {
            maker.tile(from, tokens.end - 1 - from, [&](int s, Pair chunk) { tile[s * WARP] = chunk; });
            tile += STEPS * WARP;
        }
    }
}

template <class Levels>
__device__ __forceinline__ void write_slabs(u32* rows, u32* ends, const Passages& run, const Chosen& chosen,
                                            const Maker<Levels>& maker) {
    for (u32 at = grid_warp(); at < run.num; at += grid_warps()) {
        const u32 number = run.first + at;
        const u32 start = run.segment.offsets[number], end = run.segment.offsets[number + 1];
        const u32 begin = (start - run.base) / TILE_TOKENS + at;
        const u32 tiles = (end - run.base) / TILE_TOKENS + at + 1 - begin;
        const bool dropped = start == end || chosen_pid(chosen, run.segment.first_pid + number) == NO_PID;
        for (u32 n = lane_number(); n < tiles; n += WARP) {
            ends[begin + n] = n + 1 < tiles ? NO_END : dropped ? at | DROPPED : at;
        }
        if (dropped) continue;
        u32* tile = rows + u64{begin} * (2 * STEPS * WARP) + lane_number();
        for (u32 n = 0; n < tiles; ++n) {
            const u32 from = start + min(n * TILE_TOKENS, end - 1 - start);
            maker.tile(from, end - 1 - from, [&](int s, Pair chunk) {
                tile[2 * s * WARP] = chunk.x;
                tile[(2 * s + 1) * WARP] = chunk.y;
            });
            tile += 2 * STEPS * WARP;
        }
    }
}

// As in maxsim.cu: `.._windows` are for rows that windows.cuh unpacks, the others for all that it does not.
constexpr bool WINDOWS = NBITS == 1 || NBITS == 2;

extern "C" __global__ void __launch_bounds__(THREADS, 8)
rows_windows(Pair* rows, Segment segment, Codec codec, const Pair* __restrict__ centroids,
             const u32* __restrict__ factors, u32 base, u32 first, u32 num) {
    if constexpr (WINDOWS) {
        write_rows(rows, {segment, base, first, num}, Maker<WindowLevels>(segment, codec, centroids, factors));
    }
}

extern "C" __global__ void __launch_bounds__(THREADS, 8)
rows(Pair* rows, Segment segment, Codec codec, const Pair* __restrict__ centroids, const u32* __restrict__ factors,
     u32 base, u32 first, u32 num) {
    if constexpr (TRELLIS || !WINDOWS) {
        write_rows(rows, {segment, base, first, num}, Maker<ChunkLevels>(segment, codec, centroids, factors));
    }
}

extern "C" __global__ void __launch_bounds__(THREADS, 8)
slabs_windows(u32* rows, u32* ends, Segment segment, Codec codec, const Pair* __restrict__ centroids,
              const u32* __restrict__ factors, Chosen chosen, u32 base, u32 first, u32 num) {
    if constexpr (WINDOWS) {
        const Maker<WindowLevels> maker(segment, codec, centroids, factors);
        write_slabs(rows, ends, {segment, base, first, num}, chosen, maker);
    }
}

extern "C" __global__ void __launch_bounds__(THREADS, 8)
slabs(u32* rows, u32* ends, Segment segment, Codec codec, const Pair* __restrict__ centroids,
      const u32* __restrict__ factors, Chosen chosen, u32 base, u32 first, u32 num) {
    if constexpr (TRELLIS || !WINDOWS) {
        const Maker<ChunkLevels> maker(segment, codec, centroids, factors);
        write_slabs(rows, ends, {segment, base, first, num}, chosen, maker);
    }
}
