// maxsim: scores straight from the compressed bytes.
//
//   sim(i, t) = centroid_weights[j] * T[code][i] + residual_weights[j] * dot(q8[i], levels of t)
//   score     = sum over i of (max over t of sim(i, t)) >> shift
//
//   out    scores (C) i32, NO_MATCH for a passage without tokens
//   in     segments, codec, table of table.cuh, query (ceil(Q / 32) * 4, STEPS, 32) chunks of 8 i8 in the order of
//          levels.cuh, chosen: the C passages
//   sizes  num_segments, num_chosen = C, query_len = Q, shift = ceil(log2(Q))
//
//   warp            a panel of 32 query tokens after another, for each a passage at a time, 16 tokens at a time
//   lane            (g, t) = (lane / 4, lane % 4) unpacks its chunks of tokens g and g + 8 straight into the left side
//                   of the product, so levels never leave registers
//   shared memory   none
//   bound           compute: issue, 205 instructions (sm_90a, D = 128, 2 bits, trellis) for 16 tokens by 32 query
//                   tokens, of which 16 are products (103 clocks at 62 % of the int8 peak); by pipe: kernels/README.md
//
// Columns after Q add nothing: their query rows and table entries are 0, and so are their maxima.
//
// Versions
//   v1  token numbers overflow u32 where a passage's offsets are corrupt. 80 registers, 1,038 instructions in all
//       (sm_90, D = 128, 2 bits, trellis). Time not yet measured.
//   v2  sums stay within the passage's tokens. 80 registers, 6 instructions more in all; no gain in time was intended,
//       and none is measured yet.
//   v3  passages of all segments in one launch. A segment is found by halving, and its addresses come from memory,
//       where they were arguments; no time is measured yet. 619 instructions per tile, ALU 357, FMA 104 (sm_90a, D =
//       128, 2 bits, trellis).
//   v4  names of 32 components at once (windows.cuh), the query and the start of the sums in registers, a
//       word per token, a vector load per row of the table, the next tile's rows loaded ahead. 205 instructions per
//       tile, ALU 88, FMA 85, 126 registers, with entries of i16. Time not yet measured.
//   v5  v4 with hints for the caches (CACHE_HINTS), by which the stream of rows is to leave the table in L2: 50 MB,
//       where the table has 16.8 MB at 2^18 centroids and entries of i16. The same instructions in the loop. Its gain
//       is not yet measured.

// Whether a panel's sides of the products are held in registers: 32 of them at most.
constexpr bool HELD = STEPS <= 4;

// A panel of the query.
class Panel {
public:
    __device__ __forceinline__ Panel(const Pair* __restrict__ query, u32 number)
        : query(query + u64{number} * PANEL_TILES * STEPS * WARP + lane_number()) {
        if constexpr (HELD) {
            for (int at = 0; at < PANEL_TILES * STEPS; ++at) held[at] = load(this->query + at * WARP);
        }
    }

    // Adds to `sums` the products of step `s` with the tokens' side `a`.
    __device__ __forceinline__ void multiply(int (&sums)[PANEL_TILES][4], const u32 (&a)[4], int s) const {
        const Pair* of_step = query + s * WARP;
        for (int tile = 0; tile < PANEL_TILES; ++tile) {
            const Pair chunk = HELD ? held[tile * STEPS + s] : load(of_step + tile * STEPS * WARP);
            const u32 b[2] = {chunk.x, chunk.y};
            mma_s8(sums[tile], a, b);
        }
    }

private:
    const Pair* query;
    Pair held[HELD ? PANEL_TILES * STEPS : 1];
};

// Where the sums of a lane's columns start, PANEL_TILES pairs: the lowest level times the sums of the query's rows, if
// levels are steps above the lowest one.
template <class Levels>
__device__ __forceinline__ void start_sums(int (&bias)[PANEL_TILES][2], const Panel& panel, int lowest_level) {
    int sums[PANEL_TILES][4] = {};
    const u32 lowest = static_cast<u8>(lowest_level) * 0x01010101u;
    const u32 a[4] = {lowest, lowest, lowest, lowest};
    for (int s = 0; s < (Levels::BIASED ? STEPS : 0); ++s) panel.multiply(sums, a, s);
    for (int tile = 0; tile < PANEL_TILES; ++tile) {
        for (int i = 0; i < 2; ++i) bias[tile][i] = sums[tile][i];
    }
}

// A token's entries of the table and weights, for a lane's columns. An Entry is an i16 or an i32.
template <class Entry> struct Token {
    static constexpr int QUADS = LANE_COLUMNS * sizeof(Entry) / sizeof(Quad);
    static constexpr int PITCH = PANEL * sizeof(Entry) / sizeof(Quad);

    Quad quads[QUADS];
    Weights weights;

    // `entries` are the lane's entries of the first centroid.
    __device__ __forceinline__ Token(const Quad* entries, const Weights* all_weights, u32 token) {
        for (int i = 0; i < QUADS; ++i) quads[i] = load_often<CACHE_HINTS>(entries + u64{code_of(token)} * PITCH + i);
        const Pair pair = load(reinterpret_cast<const Pair*>(all_weights + weight_of(token)));
        weights = {pair.x, static_cast<int>(pair.y)};
    }

    // Returns the similarity to column i of a tile, of which `sum` is the product with the levels.
    __device__ __forceinline__ int similarity(int tile, int i, int sum) const {
        const int residual = weights.residual * sum;
        if constexpr (sizeof(Entry) == 2) {
            const u32 pair = quads[0].words[tile];
            return i ? add_high(pair, weights.centroid, residual) : add_low(pair, weights.centroid, residual);
        } else {
            const int entry = quads[tile / 2].words[tile % 2 * 2 + i];
            return static_cast<int>(weights.centroid & 0xff) * entry + residual;
        }
    }
};

// Returns the sum of the maxima over all tokens, shifted, in every lane.
__device__ __forceinline__ int sum_of_maxima(const int (&best)[PANEL_TILES][2], u32 shift) {
    int own[LANE_COLUMNS];
    for (int i = 0; i < LANE_COLUMNS; ++i) own[i] = best[i / 2][i % 2];
    return __reduce_add_sync(ALL_LANES, largest_of_lanes(own) >> shift);
}

// The tokens of a passage, from which a lane reads two of each 16: numbers g and g + 8. The last token stands for those
// after it, which changes no maximum.
template <class Levels> struct Passage {
    const u32* tokens;
    // The lane's part of the first row.
    const u8* rows;
    u32 last;

    __device__ __forceinline__ Passage(const Segment& segment, Tokens of)
        : tokens(segment.tokens + of.start),
          rows(segment.residuals + u64{of.start} * ROW_BYTES + Levels::lane_offset()), last(of.end - 1 - of.start) {}

    // Numbers of the lane's tokens of the 16 from `first` on. They exceed u32 after the last ones only.
    __device__ __forceinline__ u32 low(u32 first) const { return min(first + lane_number() / 4u, last); }
    __device__ __forceinline__ u32 high(u32 first) const { return min(first + lane_number() / 4u + 8, last); }

    __device__ __forceinline__ u32 token(u32 number) const { return load(at(tokens, number, sizeof(u32))); }
    __device__ __forceinline__ const u8* row(u32 number) const { return at(rows, number, ROW_BYTES); }

private:
    // Returns an address by one multiplication, where steps of a pointer's type take two additions on the integer pipe.
    template <class T> static __device__ __forceinline__ const T* at(const T* first, u32 number, u32 bytes) {
        return reinterpret_cast<const T*>(reinterpret_cast<u64>(first) + u64{number} * bytes);
    }
};

// Returns the part of a passage's score that a panel of the query has.
template <class Levels, class Entry>
__device__ __forceinline__ int score_of(const Passage<Levels>& passage, const Levels& levels, const Panel& panel,
                                        const int (&bias)[PANEL_TILES][2], const Quad* entries, const Weights* weights,
                                        u32 shift) {
    int best[PANEL_TILES][2];
    for (auto& pair : best) pair[0] = pair[1] = NO_MATCH;
    u32 token_low = passage.token(passage.low(0)), token_high = passage.token(passage.high(0));
    const u8 *row_low = passage.row(passage.low(0)), *row_high = passage.row(passage.high(0));
    auto run_low = levels.packed(row_low, 0), run_high = levels.packed(row_high, 0);
    // `first` may be 0 again after 2^32 tokens, so the tiles are counted.
    u32 first = 0;
    for (u32 tiles = passage.last / TILE_ROWS + 1; tiles > 0; --tiles) {
        const Token<Entry> low(entries, weights, token_low), high(entries, weights, token_high);
        int sums[PANEL_TILES][4];
        for (int tile = 0; tile < PANEL_TILES; ++tile) {
            for (int i = 0; i < 4; ++i) sums[tile][i] = bias[tile][i % 2];
        }
        // If several runs were in line, the compiler would load the query before the tiles, to too few registers.
#pragma unroll 1
        for (int run = 0; run < (NBITS ? RUNS : 0); ++run) {
            if (run > 0) run_low = levels.packed(row_low, run), run_high = levels.packed(row_high, run);
            levels.complete(run_low), levels.complete(run_high);
#pragma unroll
            for (int c = 0; c < RUN; ++c) {
                if (run * RUN + c >= STEPS) continue;
                const Pair at_low = levels.chunk(run_low, c), at_high = levels.chunk(run_high, c);
                panel.multiply(sums, {at_low.x, at_high.x, at_low.y, at_high.y}, run * RUN + c);
            }
        }
        // The words and rows of the next tile, in the registers of this one's: the compiler loads them once these are
        // unpacked, 160 instructions before they are needed (sm_90a, D = 128, 2 bits).
        first += TILE_ROWS;
        const u32 next_low = passage.low(first), next_high = passage.high(first);
        token_low = passage.token(next_low), token_high = passage.token(next_high);
        row_low = passage.row(next_low), row_high = passage.row(next_high);
        run_low = levels.packed(row_low, 0), run_high = levels.packed(row_high, 0);
        for (int tile = 0; tile < PANEL_TILES; ++tile) {
            for (int i = 0; i < 2; ++i) {
                const int of_low = low.similarity(tile, i, sums[tile][i]);
                const int of_high = high.similarity(tile, i, sums[tile][2 + i]);
                best[tile][i] = max(max(best[tile][i], of_low), of_high);
            }
        }
    }
    return sum_of_maxima(best, shift);
}

// The arguments of the kernel.
struct Job {
    int* scores;
    const Segment* segments;
    Codec codec;
    Table table;
    const Pair* query;
    Chosen chosen;
    u32 num_segments, num_chosen, query_len, shift;
};

// Scores the passages of the warp.
template <class Levels, class Entry> __device__ __forceinline__ void score_passages(const Job& job) {
    const Levels levels(job.codec);
    for (u32 number = 0; number * PANEL < job.query_len; ++number) {
        const Panel panel(job.query, number);
        int bias[PANEL_TILES][2];
        start_sums<Levels>(bias, panel, job.codec.lowest_level);
        const u64 first = first_of_column(job.table.num_centroids, number * PANEL + lane_number() % 4 * 2);
        const Quad* entries = reinterpret_cast<const Quad*>(static_cast<const Entry*>(job.table.entries) + first);
        for (u32 at = grid_warp(); at < job.num_chosen; at += grid_warps()) {
            const u32 pid = chosen_pid(job.chosen, at);
            const Segment& segment = segment_of(job.segments, job.num_segments, pid);
            const Tokens tokens = tokens_of(segment, pid);
            int score = NO_MATCH;
            if (tokens.start < tokens.end) {
                const Passage<Levels> passage(segment, tokens);
                score = score_of<Levels, Entry>(passage, levels, panel, bias, entries, job.codec.weights, job.shift);
                if (number > 0) score += job.scores[at];
            }
            __syncwarp();
            if (lane_number() == 0) job.scores[at] = score;
        }
    }
}

// The three kernels have the same parameters. Each is compiled by itself: together they would need more registers.

constexpr bool WINDOWS = NBITS == 1 || NBITS == 2;

// Rows of 1 and 2 bits, entries of i16.
extern "C" __global__ void __launch_bounds__(THREADS, 4)
maxsim_narrow(int* scores, const Segment* __restrict__ segments, Codec codec, Table table,
              const Pair* __restrict__ query, Chosen chosen, u32 num_segments, u32 num_chosen, u32 query_len,
              u32 shift) {
    const Job job = {scores, segments, codec, table, query, chosen, num_segments, num_chosen, query_len, shift};
    if constexpr (WINDOWS) {
        if (is_narrow(table)) score_passages<WindowLevels, short>(job);
    }
}

// The same rows, entries of i32.
extern "C" __global__ void __launch_bounds__(THREADS, 4)
maxsim_windows(int* scores, const Segment* __restrict__ segments, Codec codec, Table table,
              const Pair* __restrict__ query, Chosen chosen, u32 num_segments, u32 num_chosen, u32 query_len,
              u32 shift) {
    const Job job = {scores, segments, codec, table, query, chosen, num_segments, num_chosen, query_len, shift};
    if constexpr (WINDOWS) {
        if (!is_narrow(table)) score_passages<WindowLevels, int>(job);
    }
}

// All other rows. At 8 bits 128 registers are too few.
extern "C" __global__ void __launch_bounds__(THREADS, NBITS == 8 ? 3 : 4)
maxsim(int* scores, const Segment* __restrict__ segments, Codec codec, Table table, const Pair* __restrict__ query,
       Chosen chosen, u32 num_segments, u32 num_chosen, u32 query_len, u32 shift) {
    const Job job = {scores, segments, codec, table, query, chosen, num_segments, num_chosen, query_len, shift};
    if constexpr (TRELLIS || !WINDOWS) score_passages<ChunkLevels, int>(job);
}
