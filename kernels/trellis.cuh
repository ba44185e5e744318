// The row of a trellis nearest to an embedding's components: Viterbi's algorithm around a ring, an embedding a warp. For
// NBITS 1 and 2. What is minimized, and why the search begins where it does: crates/backend/src/trellis.rs.
//
//   cost'[s'] = min over the NBITS bits a that leave: cost[s] + cost(target, level(w)), the lowest a among equals,
//               w = s' << NBITS | a,  s = w mod STATES
//
// A lane has states `lane + 32 k`. Costs lie in shared memory, twice, so that a component needs one meeting of the
// warp; the bits that left lie in global memory, a byte a lane and component.
#pragma once
#if TRELLIS

constexpr int STATES = 256 >> NBITS;
constexpr int BRANCHES = 1 << NBITS;
constexpr int OF_LANE = STATES / WARP;
// Components whose own bits are in one byte.
constexpr int PLANES = 8 / NBITS;
// Components on each side of the ring's joint that decide in which state it begins; rings so short that all are tried.
constexpr int JOINT = 40;
constexpr int SHORT_RING = 32;
// More than any path costs: 2^15 components of less than 2^13.
constexpr u32 FAR = 1u << 30;

// As `crates/backend/src/cuda/compress.rs` has it.
struct Metric {
    // Of each label, (16).
    const int* levels;
    float factor, bound;
};

// A warp's room.
struct Walk {
    u32 (*costs)[STATES];
    u8* taken;
};

__device__ __forceinline__ u32 label_of(u32 window) { return (window ^ window >> 1 ^ window >> (8 - NBITS)) & 15; }

// The number of the component whose bits come `at`-th in a row.
__device__ __forceinline__ int ordered(int at) { return at % PLANES * ROW_BYTES + at / PLANES; }

// Costs of all states after `steps` components of the ring from `start` on, in costs[steps % 2]; from state `begin`, or,
// where it is none, from any.
template <class Target>
__device__ void walk(const Walk& room, const int* levels, Target target, int start, int steps, int begin) {
    const int lane = lane_number();
    for (int k = 0; k < OF_LANE; ++k) {
        const int state = lane + WARP * k;
        room.costs[0][state] = begin < 0 || state == begin ? 0 : FAR;
    }
    __syncwarp();
    for (int step = 0; step < steps; ++step) {
        const u32* before = room.costs[step % 2];
        u32* behind = room.costs[(step + 1) % 2];
        const int wanted = target((start + step) % DIM);
        u32 taken = 0;
        for (int k = 0; k < OF_LANE; ++k) {
            const u32 to = lane + WARP * k;
            u32 least = ~0u, leaves = 0;
            for (u32 a = 0; a < BRANCHES; ++a) {
                const u32 window = to << NBITS | a;
                const int distance = wanted - levels[label_of(window)];
                const u32 cost = before[window % STATES] + (static_cast<u32>(distance * distance) >> (16 + NBITS));
                if (cost < least) least = cost, leaves = a;
            }
            behind[to] = least;
            taken |= leaves << (k * NBITS);
        }
        room.taken[step * WARP + lane] = static_cast<u8>(taken);
        __syncwarp();
    }
}

// The window on the best way to `state` over component number `step` of the last walk.
__device__ __forceinline__ u32 window_before(const Walk& room, int step, u32 state) {
    const u32 taken = room.taken[step * WARP + state % WARP];
    return state << NBITS | (taken >> (state / WARP * NBITS) & (BRANCHES - 1));
}

// The state of least cost, the lowest among equals, in every lane.
__device__ __forceinline__ u32 cheapest(const u32* costs) {
    u64 least = ~u64{0};
    for (int k = 0; k < OF_LANE; ++k) {
        const u32 state = lane_number() + WARP * k;
        least = min(least, static_cast<u64>(costs[state]) << 32 | state);
    }
    for (int with = WARP / 2; with > 0; with /= 2) least = min(least, __shfl_xor_sync(ALL_LANES, least, with));
    return static_cast<u32>(least);
}

// The state in which the ring begins and ends.
template <class Target> __device__ u32 joint(const Walk& room, const int* levels, Target target) {
    if (DIM <= SHORT_RING) {
        u64 least = ~u64{0};
        for (int state = 0; state < STATES; ++state) {
            walk(room, levels, target, 0, DIM, state);
            least = min(least, static_cast<u64>(room.costs[DIM % 2][state]) << 32 | static_cast<u32>(state));
            __syncwarp();
        }
        return static_cast<u32>(least);
    }
    walk(room, levels, target, (JOINT + DIM - 1) / DIM * DIM - JOINT, 2 * JOINT, -1);
    u32 state = cheapest(room.costs[0]);
    for (int step = 2 * JOINT - 1; step >= JOINT; --step) state = window_before(room, step, state) % STATES;
    __syncwarp();
    return state;
}

// Writes the nearest row of ROW_BYTES.
template <class Target> __device__ void trellis_row(const Walk& room, const int* levels, Target target, u8* row) {
    u32 state = joint(room, levels, target);
    walk(room, levels, target, 0, DIM, static_cast<int>(state));
    for (int step = DIM - 1; step >= 0 && lane_number() == 0; --step) {
        const u32 window = window_before(room, step, state);
        // The window of a byte's first component is the byte.
        if (step % PLANES == 0) row[step / PLANES] = static_cast<u8>(window);
        state = window % STATES;
    }
    __syncwarp();
}
#endif
