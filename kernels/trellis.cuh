// The row of a trellis nearest to an embedding's components: Viterbi's algorithm around a ring, one embedding
// per warp, for NBITS 1 and 2. crates/backend/src/trellis.rs defines the cost, and cpu/compress/trellis.rs
// beside it says why the search starts at the ring's joint.
//
//   cost'[s'] = min over the NBITS bits a that leave: cost[s] + cost(target, level(w)), the lowest a among equals,
//               w = s' << NBITS | a,  s = w mod STATES
//
// A lane has states `lane + 32 k`. Costs are in shared memory, twice, so that a component needs one __syncwarp; the
// bits that left are in global memory, a byte per lane and component.
#pragma once
#if TRELLIS

constexpr int STATES = 256 >> NBITS;
constexpr int BRANCHES = 1 << NBITS;
constexpr int LANE_STATES = STATES / WARP;
// Components whose own bits are in one byte.
constexpr int PLANES = 8 / NBITS;
// Components of the longest walk: the ring, or JOINT components on each side of its joint.
constexpr int WALK_STEPS = DIM < 2 * JOINT ? 2 * JOINT : DIM;
// More than the cost of any path: 2^15 components of less than 2^13.
constexpr u32 FAR = 1u << 30;

// Levels and targets on one grid: `MetricArgument` of crates/backend/src/cuda/rules.rs.
struct Metric {
    // Level of each label, (TRELLIS_LEVELS).
    const int* levels;
    float factor, bound;
};
static_assert(sizeof(Metric) == 16, "MetricArgument has this layout");
ASSERT_OFFSET(Metric, levels, 0);
ASSERT_OFFSET(Metric, factor, 8);
ASSERT_OFFSET(Metric, bound, 12);

// Scratch memory of a warp.
struct Walk {
    u32 (*costs)[STATES];
    u8* taken;
};

__device__ __forceinline__ u32 label_of(u32 window) {
    return (window ^ window >> 1 ^ window >> (8 - NBITS)) & (TRELLIS_LEVELS - 1);
}

// Number of the component whose bits are the `at`-th of a row.
__device__ __forceinline__ int ordered(int at) { return at % PLANES * ROW_BYTES + at / PLANES; }

// Writes the costs of all states after `steps` components of the ring from `start` on to costs[steps % 2]. Paths start
// in state `begin`, or in any state if `begin` is negative.
template <class Target>
__device__ void walk(const Walk& scratch, const int* levels, Target target, int start, int steps, int begin) {
    const int lane = lane_number();
    for (int k = 0; k < LANE_STATES; ++k) {
        const int state = lane + WARP * k;
        scratch.costs[0][state] = begin < 0 || state == begin ? 0 : FAR;
    }
    __syncwarp();
    for (int step = 0; step < steps; ++step) {
        const u32* before = scratch.costs[step % 2];
        u32* after = scratch.costs[(step + 1) % 2];
        const int goal = target((start + step) % DIM);
        u32 taken = 0;
        for (int k = 0; k < LANE_STATES; ++k) {
            const u32 to = lane + WARP * k;
            u32 least = ~0u, leaves = 0;
            for (u32 a = 0; a < BRANCHES; ++a) {
                const u32 window = to << NBITS | a;
                const int distance = goal - levels[label_of(window)];
                const u32 cost = before[window % STATES] + (static_cast<u32>(distance * distance) >> (16 + NBITS));
                if (cost < least) least = cost, leaves = a;
            }
            after[to] = least;
            taken |= leaves << (k * NBITS);
        }
        scratch.taken[step * WARP + lane] = static_cast<u8>(taken);
        __syncwarp();
    }
}

// Returns the window on the best path to `state` over component number `step` of the last walk.
__device__ __forceinline__ u32 window_before(const Walk& scratch, int step, u32 state) {
    const u32 taken = scratch.taken[step * WARP + state % WARP];
    return state << NBITS | (taken >> (state / WARP * NBITS) & (BRANCHES - 1));
}

// Returns the state of least cost, the lowest among equals, in every lane.
__device__ __forceinline__ u32 cheapest(const u32* costs) {
    u64 least = ~u64{0};
    for (int k = 0; k < LANE_STATES; ++k) {
        const u32 state = lane_number() + WARP * k;
        least = min(least, static_cast<u64>(costs[state]) << 32 | state);
    }
    for (int with = WARP / 2; with > 0; with /= 2) least = min(least, __shfl_xor_sync(ALL_LANES, least, with));
    return static_cast<u32>(least);
}

// Returns the state in which the ring starts and ends.
template <class Target> __device__ u32 joint(const Walk& scratch, const int* levels, Target target) {
    if (DIM <= SHORT_RING) {
        u64 least = ~u64{0};
        for (int state = 0; state < STATES; ++state) {
            walk(scratch, levels, target, 0, DIM, state);
            least = min(least, static_cast<u64>(scratch.costs[DIM % 2][state]) << 32 | static_cast<u32>(state));
            __syncwarp();
        }
        return static_cast<u32>(least);
    }
    walk(scratch, levels, target, (JOINT + DIM - 1) / DIM * DIM - JOINT, 2 * JOINT, -1);
    u32 state = cheapest(scratch.costs[0]);
    for (int step = 2 * JOINT - 1; step >= JOINT; --step) state = window_before(scratch, step, state) % STATES;
    __syncwarp();
    return state;
}

// Writes the nearest row of ROW_BYTES.
template <class Target> __device__ void trellis_row(const Walk& scratch, const int* levels, Target target, u8* row) {
    u32 state = joint(scratch, levels, target);
    walk(scratch, levels, target, 0, DIM, static_cast<int>(state));
    for (int step = DIM - 1; step >= 0 && lane_number() == 0; --step) {
        const u32 window = window_before(scratch, step, state);
        // The window of a byte's first component is the byte.
        if (step % PLANES == 0) row[step / PLANES] = static_cast<u8>(window);
        state = window % STATES;
    }
    __syncwarp();
}
#endif
