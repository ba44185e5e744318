// centroid_sums: the sum of each code's embeddings, added in f64 in the order of the embeddings, so that the result
// does not depend on the order in which threads run.
//
// The embeddings are first sorted by code, with equal codes in their order: a radix sort of 8 bits at a time, from the
// lowest to the highest that a code has. Each pass counts the digits of each tile (count_digits), makes them places
// (scan), and moves codes and numbers there (move). Then starts looks up where each code begins.
//
//   count_digits
//     out    counts (DIGITS, tiles) u32
//     in     codes (N) u32
//   scan
//     inout  counts (num) u32, which become the sum of all before
//   move
//     out    sorted (N) u32, sorted_numbers (N) u32
//     in     places (DIGITS, tiles) u32, codes (N) u32, numbers (N) u32: of the embeddings, null for 0, 1, 2 ...
//   starts
//     out    starts (K + 1) u32
//     in     sorted (N) u32
//   centroid_sums
//     inout  sums (K, D) f64, to which the embeddings are added
//     in     embeddings (N, D) f32, order (N) u32: numbers of the embeddings, by code and then by number,
//            starts (K + 1) u32: start of each code's numbers in `order`
//   sizes    dim = D, num = N or of counts, num_centroids = K, tiles
//
//   count_digits, move   a warp a tile of 512 codes, 32 at a time; the lanes of equal digits find each other by eight
//                        votes, so that an earlier one has the lower place
//   scan                 one block, an entry per thread
//   starts               a thread per code: binary search
//   centroid_sums        a block per code (blockIdx.x), a thread a component of 128 at a time
//   shared memory        count_digits and move 4,096 bytes: a counter per digit and warp; scan 128 bytes
//   bound                memory, or the upload: 4 D bytes per embedding, one addition each; the sort moves 24 bytes per
//                        embedding and pass
//
// Versions
//   v1  sorted on the host. Time not yet measured.
//   v2  this one: sorted on the device, so that codes never leave it. Its gain is not yet measured.

static_assert(DIGITS == 256, "a digit has 8 bits");
constexpr int DIGIT_BITS = 8;

// Begin and end of the tile of this warp.
struct Tile {
    u32 number, begin, end;

    __device__ __forceinline__ explicit Tile(u32 num)
        : number(grid_warp()), begin(min(number * SORT_TILE, num)), end(min(begin + SORT_TILE, num)) {}
};

__device__ __forceinline__ u32 digit_of(u32 code, u32 shift) { return code >> shift & (DIGITS - 1); }

extern "C" __global__ void __launch_bounds__(THREADS)
count_digits(u32* counts, const u32* __restrict__ codes, u32 shift, u32 num, u32 tiles) {
    __shared__ u32 all[THREADS / WARP][DIGITS];
    u32(&own)[DIGITS] = all[warp_number()];
    const Tile tile(num);
    for (int digit = lane_number(); digit < DIGITS; digit += WARP) own[digit] = 0;
    __syncwarp();
    for (u32 at = tile.begin + lane_number(); at < tile.end; at += WARP) {
        atomicAdd(&own[digit_of(codes[at], shift)], 1u);
    }
    __syncwarp();
    if (tile.number >= tiles) return;
    for (int digit = lane_number(); digit < DIGITS; digit += WARP) {
        counts[u64{static_cast<u32>(digit)} * tiles + tile.number] = own[digit];
    }
}

// Returns the sum of the values of this lane and all before it.
__device__ __forceinline__ u32 sum_to_lane(u32 value) {
    for (int by = 1; by < WARP; by *= 2) {
        const u32 before = __shfl_up_sync(ALL_LANES, value, by);
        if (lane_number() >= by) value += before;
    }
    return value;
}

extern "C" __global__ void __launch_bounds__(SCAN_THREADS) scan(u32* counts, u32 num) {
    static_assert(SCAN_THREADS == WARP * WARP, "a lane of the first warp for each warp");
    __shared__ u32 of_warps[WARP];
    u32 before = 0;
    for (u32 first = 0; first < num; first += SCAN_THREADS) {
        const u32 at = first + threadIdx.x, own = at < num ? counts[at] : 0, through = sum_to_lane(own);
        if (lane_number() == WARP - 1) of_warps[warp_number()] = through;
        __syncthreads(); // the sum of each warp is there
        if (warp_number() == 0) of_warps[lane_number()] = sum_to_lane(of_warps[lane_number()]);
        __syncthreads(); // and of all warps to each
        if (at < num) counts[at] = before + (warp_number() > 0 ? of_warps[warp_number() - 1] : 0) + through - own;
        before += of_warps[WARP - 1];
        __syncthreads(); // all have read them
    }
}

extern "C" __global__ void __launch_bounds__(THREADS)
move(u32* sorted, u32* sorted_numbers, const u32* __restrict__ places, const u32* __restrict__ codes,
     const u32* __restrict__ numbers, u32 shift, u32 num, u32 tiles) {
    __shared__ u32 all[THREADS / WARP][DIGITS];
    u32(&next)[DIGITS] = all[warp_number()];
    const Tile tile(num);
    if (tile.number >= tiles) return;
    for (int digit = lane_number(); digit < DIGITS; digit += WARP) {
        next[digit] = places[u64{static_cast<u32>(digit)} * tiles + tile.number];
    }
    __syncwarp();
    const u32 lanes_before = (1u << lane_number()) - 1;
    for (u32 first = tile.begin; first < tile.end; first += WARP) {
        const u32 at = first + lane_number();
        const bool has_code = at < tile.end;
        const u32 code = has_code ? codes[at] : 0, digit = digit_of(code, shift);
        u32 equal = __ballot_sync(ALL_LANES, has_code);
        for (int bit = 0; bit < DIGIT_BITS; ++bit) {
            const u32 set = __ballot_sync(ALL_LANES, digit >> bit & 1);
            equal &= digit >> bit & 1 ? set : ~set;
        }
        const u32 rank = __popc(equal & lanes_before), place = next[digit] + rank;
        __syncwarp(); // all have read the place
        if (has_code) {
            if (rank == 0) next[digit] += __popc(equal);
            sorted[place] = code;
            sorted_numbers[place] = numbers ? numbers[at] : at;
        }
        __syncwarp(); // before it is read again
    }
}

extern "C" __global__ void __launch_bounds__(THREADS)
starts(u32* starts, const u32* __restrict__ sorted, u32 num, u32 num_centroids) {
    const u32 code = blockIdx.x * blockDim.x + threadIdx.x;
    if (code > num_centroids) return;
    u32 low = 0, high = num; // all before `low` are below the code, and none from `high` on is
    while (low < high) {
        const u32 middle = low + (high - low) / 2;
        if (sorted[middle] < code) low = middle + 1;
        else high = middle;
    }
    starts[code] = low;
}

extern "C" __global__ void __launch_bounds__(THREADS)
centroid_sums(double* sums, const float* __restrict__ embeddings, const u32* __restrict__ order,
              const u32* __restrict__ starts, u32 dim) {
    const u32 code = blockIdx.x, start = starts[code], end = starts[code + 1];
    if (start == end) return;
    for (u32 d = threadIdx.x; d < dim; d += blockDim.x) {
        double sum = sums[u64{code} * dim + d];
        for (u32 i = start; i < end; ++i) sum += static_cast<double>(embeddings[u64{order[i]} * dim + d]);
        sums[u64{code} * dim + d] = sum;
    }
}
