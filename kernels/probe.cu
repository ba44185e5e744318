// probe: the best centroids of each query token, by select.cuh over the columns of the table with codes as ids, and the
// missing score of each.
//
// cells: of each column the best `most` entries, and
//
//   missing = min(the last of these, the `rank`-th largest of the sampled maxima), where a maximum is the largest entry
//             of a group of GROUP centroids, and every `step`-th group is sampled
//
//   out    cells (Q, padded) keys, best first; missing (Q) i32
//   in     entries: the table's columns, or the keys of best_of_chunks; table of table.cuh
//   sizes  most, padded: a power of two; step, rank
//
//   block           a query token (blockIdx.x)
//   thread          a sampled group
//   shared memory   of select.cuh, and 1 KiB of maxima
//   bound           latency: a block reads the entries 1 to 8 times, and at most 256 groups of GROUP rows of the table
//
// Versions
//   v1  a launch for the maxima, whose best the host found. Time not yet measured.
//   v2  this one: in the launch that selects. Its gain is not yet measured.

// Returns the missing score of a column. Called by all threads of a block.
__device__ __forceinline__ int missing_score(const Table& table, u32 column, u32 step, u32 rank, int left_out) {
    __shared__ int maxima[DIGITS];
    __shared__ int missing;
    const u32 num_centroids = table.num_centroids;
    const u32 sampled = (((num_centroids + GROUP - 1) / GROUP) + step - 1) / step, group = threadIdx.x;
    int own = NO_MATCH;
    if (group < sampled) {
        const bool narrow = is_narrow(table);
        const u64 entries = first_of_column(num_centroids, column);
        const u32 first = group * step * GROUP, end = min(first + GROUP, num_centroids);
        for (u32 code = first; code < end; ++code) {
            own = max(own, entry_at(table.entries, narrow, entries + u64{code} * PANEL));
        }
    }
    maxima[group] = own;
    __syncthreads();
    // Equal maxima are told apart by their groups.
    u32 larger = 0;
    for (u32 other = 0; other < sampled; ++other) {
        larger += maxima[other] > own || (maxima[other] == own && other < group);
    }
    if (group < sampled && larger == rank - 1) missing = min(own, left_out);
    __syncthreads();
    return missing;
}

// One block per multiprocessor is enough: there are as many as query tokens.
extern "C" __global__ void __launch_bounds__(DIGITS, 1)
cells(u64* cells, int* missing, Entries entries, Table table, u32 most, u32 padded, u32 step, u32 rank) {
    u64* own = cells + u64{blockIdx.x} * padded;
    select_sorted(own, entries, blockIdx.x, most, padded);
    // The cells are read in their order.
    if (padded > MOST_SORTED) sort(own, padded);
    const int left_out = entry_of(own[most - 1]);
    const int score = missing_score(table, blockIdx.x, step, rank, left_out);
    if (threadIdx.x == 0) missing[blockIdx.x] = score;
}
