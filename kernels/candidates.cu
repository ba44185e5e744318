// candidates: the passages of the probed cells, with approximate scores from the entries of those cells alone.
//
//   gain(i, c)  = max(0, T[c][i] - missing_i) >> gain_shift
//   approx(p)   = sum over i of (max over the probed cells c of i whose list has p of gain(i, c))
//   gain_shift  = the number of bits by which sum over i of (largest entry of i - missing_i) exceeds SUM_BITS
//
// gather: the states of the passages: twice the sum, and 1 more for a passage of a cell without gain
//   in and out  states (P) u32, zeros before
//   in          segments, parts (num_parts): runs of PART_PASSAGES passages of a segment; cells (Q, padded) keys, best
//               first, and missing (Q) i32, as probe.cu writes them
//   sizes       padded, nprobe, query_len = Q
//
//   block           a part (blockIdx.x) and a query token (blockIdx.y): its cells one after another, best first, so
//                   that the first list with a passage has the largest gain
//   thread          an entry of a list at a time
//   shared memory   PART_PASSAGES bits, of the passages that were met, and the part of 32 lists
//   bound           latency of L2: two atomic operations per entry of a list
//
// drain: the best `most` of the passages with a state, of a chunk of passages, as select.cuh orders them, and zeros in
// place of the states
//   out         best (chunks, most) keys, in no order
//   in and out  states (P) u32
//   in          set: address of a word that has the address of a bitmap of the passages that may be candidates, or 0
//   sizes       num = P, chunk, most
//
//   block           a chunk; as best_of_chunks of select.cuh
//   bound           memory: 4 P bytes, 2 to 9 times
//
// Versions
//   v1  these. Time not yet measured.

// A run of passages: `PartArgument` of crates/backend/src/cuda/search/index.rs.
struct Part {
    u32 segment, first;
};
static_assert(sizeof(Part) == 8, "PartArgument has this layout");

// Returns the gain of a cell before it is shifted.
__device__ __forceinline__ u32 gain_of(int entry, int missing) {
    return entry > missing ? static_cast<u32>(entry) - static_cast<u32>(missing) : 0;
}

// Returns gain_shift. Called by all threads of a block.
__device__ __forceinline__ u32 gain_shift(const u64* __restrict__ cells, const int* __restrict__ missing, u32 padded,
                                          u32 query_len) {
    __shared__ u64 most;
    if (threadIdx.x == 0) most = 0;
    __syncthreads();
    u64 own = 0;
    for (u32 i = threadIdx.x; i < query_len; i += blockDim.x) {
        own += gain_of(entry_of(cells[u64{i} * padded]), missing[i]);
    }
    if (own > 0) atomicAdd(&most, own);
    __syncthreads();
    const int bits = 64 - __clzll(static_cast<long long>(most));
    return bits > SUM_BITS ? static_cast<u32>(bits - SUM_BITS) : 0;
}

// Returns the first entry from `low` to before `end` that is at least `pid`.
__device__ __forceinline__ u64 first_at_least(const u32* __restrict__ pids, u64 low, u64 end, u32 pid) {
    while (low < end) {
        const u64 middle = low + (end - low) / 2;
        if (pids[middle] < pid) {
            low = middle + 1;
        } else {
            end = middle;
        }
    }
    return low;
}

extern "C" __global__ void __launch_bounds__(THREADS)
gather(u32* states, const Segment* __restrict__ segments, const Part* __restrict__ parts, const u64* __restrict__ cells,
       const int* __restrict__ missing, u32 padded, u32 nprobe, u32 query_len) {
    __shared__ u32 met[PART_PASSAGES / 32];
    __shared__ u64 begins[WARP], ends[WARP];
    __shared__ u32 gains[WARP];
    const Part part = parts[blockIdx.x];
    const Segment& segment = segments[part.segment];
    const u32 passages = min(u32{PART_PASSAGES}, segment.num_passages - part.first);
    const u64* own = cells + u64{blockIdx.y} * padded;
    const int left_out = missing[blockIdx.y];
    for (u32 word = threadIdx.x; word < PART_PASSAGES / 32; word += blockDim.x) met[word] = 0;
    const u32 shift = gain_shift(cells, missing, padded, query_len);
    for (u32 first = 0; first < nprobe; first += WARP) {
        const u32 lists = min(u32{WARP}, nprobe - first);
        __syncthreads(); // the lists before are read, and the bits are zeros
        if (threadIdx.x < lists) {
            const u64 cell = own[first + threadIdx.x];
            const u32 code = id_of(cell);
            const u64 begin = segment.list_starts[code], end = segment.list_starts[code + 1];
            begins[threadIdx.x] = first_at_least(segment.list_pids, begin, end, part.first);
            ends[threadIdx.x] = first_at_least(segment.list_pids, begin, end, part.first + passages);
            gains[threadIdx.x] = gain_of(entry_of(cell), left_out) >> shift;
        }
        __syncthreads();
        for (u32 list = 0; list < lists; ++list) {
            const u32 gain = gains[list];
            for (u64 e = begins[list] + threadIdx.x; e < ends[list]; e += blockDim.x) {
                // Corrupt lists may have any numbers.
                const u32 number = segment.list_pids[e] - part.first;
                if (number >= passages) continue;
                const u32 bit = 1u << (number % 32);
                if (atomicOr(&met[number / 32], bit) & bit) continue;
                u32* state = states + segment.first_pid + part.first + number;
                if (gain > 0) {
                    atomicAdd(state, 2 * gain);
                } else {
                    atomicOr(state, 1u);
                }
            }
            __syncthreads(); // before a cell that is no better
        }
    }
}

// Keys of the passages that have a state and are in the set.
struct KeyOfState {
    const u32* states;
    const u32* bits;

    __device__ __forceinline__ u64 operator()(u32 pid) const {
        const u32 state = states[pid];
        if (state == 0 || (bits && !(bits[pid / 32] >> (pid % 32) & 1))) return 0;
        // Without the lowest bit, which only a passage whose sum is 0 needs.
        return key_of(static_cast<int>(state / 2), pid);
    }
};

extern "C" __global__ void __launch_bounds__(DIGITS)
drain(u64* best, u32* states, const u64* __restrict__ set, u32 num, u32 chunk, u32 most) {
    const u32 begin = blockIdx.x * chunk, end = begin + min(chunk, num - begin);
    select(best + u64{blockIdx.x} * most, KeyOfState{states, reinterpret_cast<const u32*>(*set)}, begin, end, most);
    for (u32 pid = begin + threadIdx.x; pid < end; pid += blockDim.x) states[pid] = 0;
}
