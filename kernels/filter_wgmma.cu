// filter_wgmma: the sums of filter.cu, by products of warpgroups: sm_90a.
//
//   A(p) = sum over i of max over t of dot(q8[i], x8[t])                exact integers; NO_MATCH without tokens
//
//   out    sums (P) i32 of each query, from pid `first_pid` on, to which is added what the passages of a run have;
//          they begin with 0, or NO_MATCH (`begin` of survivors.cu)
//   in     batch: as in filter.cu; rows, ends: of the run, as `slabs` of rows.cu makes them
//   sizes  tiles
//
//   block           a run of passages: those that begin within its share of the tiles. Its first thread copies slabs of
//                   16 tiles to shared memory, AHEAD of the one that is multiplied
//   warpgroup       four sides, 16 tokens of a query each: 64 rows, which stay in registers as the left side of the
//                   products. It multiplies them with each slab, 128 columns. While it looks for maxima, the other
//                   warpgroups of the block multiply, up to MOST_GROUPS in all, of 128 registers a thread
//   warp            a side, as the rows of m64n128k32 are divided; sums of a query's sides meet by atomic additions
//   lane            query tokens g and g + 8 by tokens 2t and 2t + 1 of each tile. A maximum over tokens is one over
//                   its own registers up to the end of a passage, and two shuffles and a sum over the warp there
//   shared memory   STAGES slabs with the ends of their tiles, dynamic; two barriers of each
//   bound           compute: tensor cores. 64 query tokens by 8 tokens are 4 products of 64 x 8 x 32, 16 clocks of all
//                   tensor cores of a multiprocessor at their peak
//
// That a batch loses no passage is proved in filter.cu.
//
// The order of additions does not matter: they are integers, and each is below 2^30 (MOST_COMPONENTS of
// crates/backend/src/cuda/search/batch.rs). The tiles of a slab after a block's last one are left over from before, or
// were never written; no passage of the block has them.
//
// Versions
//   v1  this one. Time not yet measured.

constexpr int SIDE = TILE_ROWS;
constexpr int GROUP_THREADS = SIDES * WARP;
constexpr u32 TILE_WORDS = 2 * STEPS * WARP;
constexpr u32 TILE_BYTES = 4 * TILE_WORDS;
// Bytes between two core matrices of a tile, 16 bytes of 8 columns.
constexpr u32 CORE_BYTES = 128;
static_assert(SLAB_TILES * TILE_COLUMNS == WIDE_COLUMNS, "a slab is the right side of a product");
// Slabs that are copied before the one that is multiplied. The stage of a copy is that of a slab two before, so that
// its thread hardly ever waits for slower warps.
constexpr u32 AHEAD = STAGES - 2;
static_assert(STEPS <= MOST_STEPS, "left sides stay in registers");

struct Stage {
    alignas(128) u32 rows[SLAB_TILES * TILE_WORDS];
};

// The dynamic shared memory: `shared_bytes` of crates/backend/src/cuda/filter_wgmma.rs.
struct Shared {
    Stage stages[STAGES];
    alignas(16) u32 ends[STAGES][TABLE];
    // Of each stage: phases of `full` end when a copy has arrived, phases of `empty` when all warps have read it.
    u64 full[STAGES], empty[STAGES];
};
static_assert(sizeof(Shared) == (STAGES * (SLAB_TILES * TILE_BYTES + 4 * TABLE + 16) + 127) / 128 * 128,
              "shared_bytes of the launcher");
static_assert(TABLE % 4 == 0 && TABLE >= SLAB_TILES + 3, "ends are copied by whole parts of 16 bytes");

// The place of a slab: the number of its stage, and the parity of its phase.
struct Place {
    u32 stage = 0, parity = 0;

    __device__ __forceinline__ void next() {
        if (++stage == STAGES) {
            stage = 0;
            parity ^= 1;
        }
    }
};

// Returns the first tile from `tile` on that begins a passage, or `tiles`. Called by whole warps.
__device__ __forceinline__ u32 next_begin(const u32* __restrict__ ends, u32 tile, u32 tiles) {
    if (tile == 0) return 0;
    for (u32 from = tile - 1; from < tiles; from += WARP) {
        const u32 at = from + lane_number();
        const u32 found = __ballot_sync(ALL_LANES, at < tiles && ends[at] != NO_END);
        if (found != 0) return from + static_cast<u32>(__ffs(static_cast<int>(found)));
    }
    return tiles;
}

// A query, and the first of its tokens that a warp has; no query after the last side.
struct Side {
    u32 query, token;
};

__device__ __forceinline__ u32 sides_of(u32 query_len) { return (query_len + SIDE - 1) / SIDE; }

__device__ __forceinline__ Side side_of(const Batch& batch, u32 number) {
    for (u32 query = 0; query < batch.num; ++query) {
        const u32 sides = sides_of(batch.asked[query].query_len);
        if (number < sides) return {query, number * SIDE};
        number -= sides;
    }
    return {MOST_QUERIES, 0};
}

// Loads a warp's rows at each step. Tokens after the last are zeros: they add nothing.
__device__ __forceinline__ void load_side(u32 (&a)[STEPS][4], const Batch& batch, Side side) {
    const bool there = side.query < batch.num;
    const Pair* query = there ? batch.asked[side.query].query : nullptr;
    const u32 tiles = there ? (batch.asked[side.query].query_len + TILE_COLUMNS - 1) / TILE_COLUMNS : 0;
#pragma unroll
    for (int s = 0; s < STEPS; ++s) {
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            const u32 tile = side.token / TILE_COLUMNS + half;
            const Pair chunk = tile < tiles ? query[(u64{tile} * STEPS + s) * WARP + lane_number()] : Pair{0, 0};
            a[s][half] = chunk.x;
            a[s][half + 2] = chunk.y;
        }
    }
}

// The copies of a block's slabs, tiles `tile` to before `end`. One thread makes them.
struct Slabs {
    Shared& shared;
    const u32 *rows, *ends;
    u32 tile, end;
    Place place;

    // Starts the next copy, once its stage is empty.
    __device__ __forceinline__ void copy() {
        if (tile >= end) return;
        // The phase before the first one counts as ended.
        wait_for_phase(&shared.empty[place.stage], place.parity ^ 1);
        const u32 bytes = min(u32{SLAB_TILES}, end - tile) * TILE_BYTES;
        u64* full = &shared.full[place.stage];
        arrive_and_expect(full, bytes + 4 * TABLE);
        copy_bulk(shared.stages[place.stage].rows, rows + u64{tile} * TILE_WORDS, bytes, full);
        copy_bulk(shared.ends[place.stage], ends + tile / 4 * 4, 4 * TABLE, full);
        place.next();
        tile += SLAB_TILES;
    }
};

// Returns the sum over a warp's query tokens of the maxima over the lanes that share them.
__device__ __forceinline__ int reduce(const int (&best)[2]) {
    // Of each two lanes the first keeps row g, the second row g + 8.
    const bool second = lane_number() % 2 != 0;
    int most = second ? best[1] : best[0];
    most = max(most, __shfl_xor_sync(ALL_LANES, second ? best[0] : best[1], 1));
    most = max(most, __shfl_xor_sync(ALL_LANES, most, 2));
    // Each row counts twice: below 2^31, as MOST_COMPONENTS bounds half of it by 2^30.
    return __reduce_add_sync(ALL_LANES, most) >> 1;
}

// Multiplies a side with the slabs, and adds the maxima of each passage to `sums`, which may be null.
__device__ __forceinline__ void multiply_slabs(Slabs& slabs, const u32 (&a)[STEPS][4], int* sums) {
    Shared& shared = slabs.shared;
    const u32 end = slabs.end;
    int best[2] = {NO_MATCH, NO_MATCH};
    Place place;
    u32 tile = slabs.tile;
    for (u32 copies = 0; copies < (threadIdx.x == 0 ? AHEAD : 0); ++copies) slabs.copy();
    for (; tile < end; tile += SLAB_TILES) {
        if (threadIdx.x == 0) slabs.copy();
        wait_for_phase(&shared.full[place.stage], place.parity);
        const u64 slab = matrix_descriptor(shared.stages[place.stage].rows, CORE_BYTES, TILE_BYTES);
        int products[WIDE_COLUMNS / 2];
        __syncwarp(); // thread 0 has copied
        fence_products();
#pragma unroll
        for (int s = 0; s < STEPS; ++s) begin_product(products, a[s], slab + s * (2 * CORE_BYTES / 16), s > 0);
        const bool inside = lane_number() < min(u32{SLAB_TILES}, end - tile);
        const u32 ended = inside ? shared.ends[place.stage][tile % 4 + lane_number()] : NO_END;
        wait_for_products(products);
        __syncwarp(); // all lanes have read
        if (lane_number() == 0) arrive(&shared.empty[place.stage]);
        const u32 mask = __ballot_sync(ALL_LANES, ended != NO_END);
        int sum = 0;
#pragma unroll
        for (int n = 0; n < SLAB_TILES; ++n) {
            best[0] = max(best[0], max(products[4 * n], products[4 * n + 1]));
            best[1] = max(best[1], max(products[4 * n + 2], products[4 * n + 3]));
            if (mask >> n & 1) {
                const int of_passage = reduce(best);
                sum = lane_number() == n ? of_passage : sum;
                best[0] = best[1] = NO_MATCH;
            }
        }
        if (ended < DROPPED && sums) atomicAdd(sums + ended, sum);
        place.next();
    }
}

extern "C" __global__ void __launch_bounds__(MOST_GROUPS * GROUP_THREADS, 1)
filter_wgmma(Batch batch, const u32* __restrict__ rows, const u32* __restrict__ ends, u32 first_pid, u32 tiles) {
    DYNAMIC_SHARED(Shared, shared);
    const u32 groups = blockDim.x / GROUP_THREADS;
    const Side side = side_of(batch, blockIdx.y * groups * SIDES + warp_number());
    // Warpgroups of which at least one warp has a side.
    u32 busy = 0;
    while (busy < groups && side_of(batch, (blockIdx.y * groups + busy) * SIDES).query < batch.num) ++busy;
    if (threadIdx.x == 0) {
        for (int stage = 0; stage < STAGES; ++stage) {
            make_barrier(&shared->full[stage], 1);
            make_barrier(&shared->empty[stage], busy * SIDES);
        }
    }
    __syncthreads(); // the barriers are there
    const u32 begin = next_begin(ends, static_cast<u32>(u64{blockIdx.x} * tiles / gridDim.x), tiles);
    const u32 end = next_begin(ends, static_cast<u32>((u64{blockIdx.x} + 1) * tiles / gridDim.x), tiles);
    if (warp_number() >= busy * SIDES) return;
    u32 a[STEPS][4];
    load_side(a, batch, side);
    int* sums = side.query < batch.num ? batch.asked[side.query].sums + first_pid : nullptr;
    Slabs slabs{*shared, rows, ends, begin, end, {}};
    multiply_slabs(slabs, a, sums);
}
