// quantize_query: a query's embeddings rotated and rounded to int8, to the bits of the CPU:
//
//   max = max |x| over all rotated components, q8 = clamp(round(x * (127 / max)), -127, 127), ties to even
//
//   out    outcome; rows (Q, D) i8; arranged (ceil(Q / 32) * 4, STEPS, 32) chunks of 8 i8 in the order of levels.cuh,
//          zeros after the last row and chunk; norm: the largest squared length of the rows; rotated (Q, D) f32
//   in     job: where the embeddings are, and their type; signs (rounds, D) f32, +1 or -1
//   sizes  query_len = Q, rounds, window of a round's transform, its scale f32
//
//   block           the query: the largest component is that of all rows
//   warp            a row at a time
//   shared memory   a row per warp, up to SHARED_DIM components; longer rows are in `rotated`
//   bound           latency: three or six rounds of log2(D) steps, one after another
//
// Versions
//   v1  time not yet measured.
//   v2  this one: finds the norm, and arranges whole panels. Time not yet measured.

// The order of a search: `JobArgument` of crates/backend/src/cuda/search/lane.rs.
struct Job {
    // Address of the embeddings, (Q, D).
    u64 embeddings;
    // Address of the bitmap of the passages that may be found; 0 for all.
    u64 set;
    // Type of a component.
    u32 type, unused;
};
static_assert(sizeof(Job) == 24, "JobArgument has this layout");

// What a search returns beside its hits: `OutcomeArgument` of crates/backend/src/cuda/search/lane.rs.
struct Outcome {
    // Largest absolute value of the rotated components.
    float largest;
    // Number of the first component that is not finite or too large, and its bits; NO_PID if there is none.
    u32 refused, bits;
    // Candidates, candidates that were scored with their residuals, and hits.
    u32 candidates, rescored, found;
};
static_assert(sizeof(Outcome) == 24, "OutcomeArgument has this layout");

// Returns a component as f32, exactly.
__device__ __forceinline__ float component(const Job& job, u32 at) {
    if (job.type == TYPE_F32) return reinterpret_cast<const float*>(job.embeddings)[at];
    const u32 half = reinterpret_cast<const u16*>(job.embeddings)[at];
    if (job.type == TYPE_BF16) return __uint_as_float(half << 16);
    const u32 sign = (half & 0x8000) << 16, rest = (half & 0x7fff) << 13;
    // Not finite: all bits of the exponent. Otherwise 2^112 is the difference of the exponents' biases.
    if ((half & 0x7c00) == 0x7c00) return __uint_as_float(sign | 0x7f800000 | rest);
    return __uint_as_float(__float_as_uint(__fmul_rn(__uint_as_float(rest), __uint_as_float(239u << 23))) | sign);
}

// Rotates a row in place. Called by all lanes of a warp.
__device__ __forceinline__ void rotate(float* row, const float* __restrict__ signs, u32 rounds, u32 window,
                                       float scale) {
    for (u32 round = 0; round < rounds; ++round) {
        for (u32 d = lane_number(); d < DIM; d += WARP) row[d] = __fmul_rn(row[d], signs[round * DIM + d]);
        __syncwarp();
        float* x = row + (round % 2 ? DIM - window : 0);
        for (u32 half = 1; half < window; half *= 2) {
            for (u32 pair = lane_number(); pair < window / 2; pair += WARP) {
                const u32 low = pair / half * 2 * half + pair % half;
                const float a = x[low], b = x[low + half];
                x[low] = __fadd_rn(a, b);
                x[low + half] = __fsub_rn(a, b);
            }
            __syncwarp();
        }
        for (u32 d = lane_number(); d < window; d += WARP) x[d] = __fmul_rn(x[d], scale);
        __syncwarp();
    }
}

extern "C" __global__ void __launch_bounds__(THREADS)
quantize_query(Outcome* outcome, i8* rows, i8* arranged, u32* norm, float* rotated, const Job* __restrict__ job,
               const float* __restrict__ signs, u32 query_len, u32 rounds, u32 window, float scale) {
    __shared__ float held[DIM <= SHARED_DIM ? THREADS / WARP * DIM : 1];
    __shared__ u32 refused, largest, longest;
    if (threadIdx.x == 0) {
        refused = NO_PID;
        largest = longest = 0;
    }
    __syncthreads();
    for (u32 i = warp_number(); i < query_len; i += THREADS / WARP) {
        float* of_query = rotated + u64{i} * DIM;
        float* row = DIM <= SHARED_DIM ? held + warp_number() * DIM : of_query;
        for (u32 d = lane_number(); d < DIM; d += WARP) {
            const u32 at = i * DIM + d;
            row[d] = component(*job, at);
            // False for NaN.
            if (!(fabsf(row[d]) <= MAX_COMPONENT)) atomicMin(&refused, at);
        }
        __syncwarp();
        rotate(row, signs, rounds, window, scale);
        float most = 0;
        for (u32 d = lane_number(); d < DIM; d += WARP) {
            most = fmaxf(most, fabsf(row[d]));
            of_query[d] = row[d];
        }
        // The order of floats that are not negative is that of their bits.
        atomicMax(&largest, __float_as_uint(most));
        __syncwarp();
    }
    __syncthreads();
    const float most = __uint_as_float(largest), inverse = most > 0 ? __fdiv_rn(127, most) : 0;
    for (u32 at = threadIdx.x; at < query_len * DIM; at += blockDim.x) {
        rows[at] = static_cast<i8>(round_clamped(__fmul_rn(rotated[at], inverse), 127));
    }
    __syncthreads();
    for (u32 i = warp_number(); i < query_len; i += THREADS / WARP) {
        int squares = 0;
        for (u32 d = lane_number(); d < DIM; d += WARP) squares += rows[i * DIM + d] * rows[i * DIM + d];
        squares = warp_sum(squares);
        if (lane_number() == 0) atomicMax(&longest, static_cast<u32>(squares));
    }
    const u32 places = (query_len + PANEL - 1) / PANEL * PANEL_TILES * STEPS * WARP * CHUNK;
    for (u32 place = threadIdx.x; place < places; place += blockDim.x) {
        const u32 within = place % CHUNK, lane = place / CHUNK % WARP, step = place / (CHUNK * WARP) % STEPS;
        const u32 row = place / (CHUNK * WARP * STEPS) * TILE_COLUMNS + lane / 4, chunk = lane % 4 * STEPS + step;
        const bool there = row < query_len && chunk < CHUNKS;
        arranged[place] = there ? rows[row * DIM + component_of(chunk, within / 4, within % 4)] : 0;
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        *norm = longest;
        const u32 bits = refused == NO_PID ? 0 : __float_as_uint(component(*job, refused));
        *outcome = {most, refused, bits, 0, 0, 0};
    }
}
