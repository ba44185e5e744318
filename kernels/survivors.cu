// survivors: the passages of which one may be among the k best, by the sums of filter.cu, where the proof stands.
//
// begin:     the first values of a batch's sums: 0, or NO_MATCH for passages without tokens, passages that are not
//            chosen, and pids of no segment
//   out    sums (P) i32 of each query of the batch
//   in     batch, segments, chosen: a set
//   sizes  num_segments, num_pids = P
// threshold: a - 2 s, with a the k-th largest sum and
//            s = ceil((sum over i of (weight + |q8[i]| * distance + 2^shift)) / step * (1 + 2^-30) + 1)
//   out    survivors (slots) keys, all 0; threshold; number: 0, or NONE_CERTIFIED if an entry of the centroid table may
//          be clamped
//   in     best (k) keys of the largest sums, found: their number; rows (Q, D) i8; bound
//   sizes  k, slots, query_len = Q, dim = D, shift = ceil(log2(Q))
// survivors: the chosen passages whose sum is at least the threshold
//   out    survivors: keys, in any order, as far as there are slots; number of the survivors, which is raised
//   in     sums (P) i32, threshold, chosen: a set
//   sizes  num_pids = P, slots
//
//   block           threshold: clears a share of the slots; the first one computes the threshold, too
//   warp            threshold: a query token at a time
//   thread          begin, survivors: a passage at a time
//   shared memory   threshold: 136 bytes
//   bound           memory: 4 P bytes, of each query for begin, and L2: 8 bytes of a slot
//
// The margin of s: a squared length is exact, and the f64 roundings of a length, a product, a quotient and a sum of up
// to 2^16 numbers, none of which is negative, are below 2^-33 of the result.
//
// Versions
//   v1  this one. Time not yet measured.

// What bounds the distance of a sum from a score: `BoundArgument` of crates/backend/src/cuda/survivors.rs.
struct Bound {
    // A component of a row as a real number, and the largest distance of a row from its token.
    double step, distance;
    // The largest centroid weight.
    double weight;
    // Largest length of a query's row with which no entry of the centroid table is clamped.
    double most_length;
};
static_assert(sizeof(Bound) == 32, "BoundArgument has this layout");
ASSERT_OFFSET(Bound, weight, 16);

constexpr int WARPS = THREADS / WARP;

extern "C" __global__ void __launch_bounds__(THREADS)
begin(Batch batch, const Segment* __restrict__ segments, Chosen chosen, u32 num_segments, u32 num_pids) {
    const u64 threads = u64{gridDim.x} * blockDim.x;
    for (u64 at = u64{blockIdx.x} * blockDim.x + threadIdx.x; at < num_pids; at += threads) {
        const u32 pid = static_cast<u32>(at);
        const Tokens tokens = tokens_of(segment_of(segments, num_segments, pid), chosen_pid(chosen, pid));
        const int sum = tokens.start < tokens.end ? 0 : NO_MATCH;
        for (u32 query = 0; query < batch.num; ++query) batch.asked[query].sums[pid] = sum;
    }
}

// Returns the smallest entry of `num` keys. Called by all threads of a block, as the next one.
__device__ __forceinline__ int smallest_entry(const u64* __restrict__ keys, u32 num) {
    __shared__ int smallest;
    if (threadIdx.x == 0) smallest = 0x7fffffff;
    __syncthreads();
    int own = 0x7fffffff;
    for (u32 at = threadIdx.x; at < num; at += blockDim.x) own = min(own, entry_of(keys[at]));
    atomicMin(&smallest, own);
    __syncthreads();
    return smallest;
}

// The lengths of a query's rows.
struct Lengths {
    double sum, largest;
};

__device__ __forceinline__ Lengths lengths_of(const i8* __restrict__ rows, u32 query_len, u32 dim) {
    __shared__ Lengths of_warps[WARPS];
    Lengths own = {0, 0};
    for (u32 i = warp_number(); i < query_len; i += WARPS) {
        int squares = 0;
        for (u32 d = lane_number(); d < dim; d += WARP) squares += rows[i * dim + d] * rows[i * dim + d];
        const double length = sqrt(static_cast<double>(warp_sum(squares)));
        own = {own.sum + length, max(own.largest, length)};
    }
    if (lane_number() == 0) of_warps[warp_number()] = own;
    __syncthreads();
    Lengths all = {0, 0};
    for (const Lengths& of_warp : of_warps) all = {all.sum + of_warp.sum, max(all.largest, of_warp.largest)};
    return all;
}

extern "C" __global__ void __launch_bounds__(THREADS)
threshold(u64* survivors, int* threshold, u32* number, const u64* __restrict__ best, const u32* __restrict__ found,
          const i8* __restrict__ rows, Bound bound, u32 k, u32 slots, u32 query_len, u32 dim, u32 shift) {
    for (u32 at = blockIdx.x * blockDim.x + threadIdx.x; at < slots; at += gridDim.x * blockDim.x) survivors[at] = 0;
    if (blockIdx.x != 0) return;
    const int smallest = smallest_entry(best, min(k, *found));
    const Lengths lengths = lengths_of(rows, query_len, dim);
    if (threadIdx.x != 0) return;
    const double of_weights = bound.weight * query_len;
    const double of_rows = lengths.sum * bound.distance;
    const double of_shift = static_cast<double>(u64{query_len} << shift);
    const double slack = ceil((of_weights + of_rows + of_shift) / bound.step * (1 + 1.0 / (1 << 30)) + 1);
    const double least = smallest - 2 * slack;
    const bool certified = lengths.largest <= bound.most_length;
    // Of fewer than k passages, all survive.
    const bool all = *found < k || least <= NO_MATCH;
    *threshold = !certified ? 0x7fffffff : all ? NO_MATCH + 1 : static_cast<int>(least);
    *number = certified ? 0 : NONE_CERTIFIED;
}

extern "C" __global__ void __launch_bounds__(THREADS)
survivors(u64* survivors, u32* number, const int* __restrict__ sums, const int* __restrict__ threshold, Chosen chosen,
          u32 num_pids, u32 slots) {
    const int least = *threshold;
    const u64 threads = u64{gridDim.x} * blockDim.x;
    for (u64 from = u64{grid_warp()} * WARP; from < num_pids; from += threads) {
        const u32 at = static_cast<u32>(from) + lane_number();
        const int sum = from + lane_number() < num_pids ? sums[at] : NO_MATCH;
        const bool kept = sum >= least && chosen_pid(chosen, at) != NO_PID;
        const u32 of_warp = __ballot_sync(ALL_LANES, kept);
        if (of_warp == 0) continue;
        u32 place = lane_number() == 0 ? atomicAdd(number, static_cast<u32>(__popc(of_warp))) : 0;
        place = __shfl_sync(ALL_LANES, place, 0) + __popc(of_warp & ((1u << lane_number()) - 1));
        if (kept && place < slots) survivors[place] = key_of(sum, at);
    }
}
