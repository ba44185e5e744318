// probe: the best centroids of each query token, by select.cuh over the columns of the table with codes as ids, and the
// missing score of each.
//
// cells: of each column the best `most` entries, which are among the GROUP entries of each of the best `most` groups:
// an entry of another group is below `most` maxima, or equal to some of lower codes. And
//
//   missing = min(the last of these, the `rank`-th largest of the sampled maxima), where a maximum is the largest entry
//             of a group of GROUP centroids, and every `step`-th group is sampled
//
//   out    cells (Q, padded) keys, best first; groups (Q, num_best): memory of the kernel; missing (Q) i32
//   in     entries: the table's maxima, or the keys of best_of_chunks of these; table of table.cuh
//   sizes  most, padded: a power of two; num_best: groups that are selected, `most` or all; step, rank
//
//   block           a query token (blockIdx.x)
//   thread          a sampled group
//   shared memory   of select.cuh, and 1 KiB of maxima
//   bound           latency: a block reads the maxima 1 to 8 times, and once the entries of `most` groups
//
// Versions
//   v1  a launch for the maxima, whose best the host found. Time not yet measured.
//   v2  in the launch that selects. Its gain is not yet measured.
//   v3  this one: the groups are selected first, by maxima that centroid_table.cu writes. A pass over a column read K
//       sectors of 32 bytes, 268 MB for 32 columns of 2^18 centroids and 49 us at 5.5 TB/s of L2; now an eighth of
//       that. Its gain is not yet measured.

// Returns the missing score of a column. Called by all threads of a block.
__device__ __forceinline__ int missing_score(const Table& table, u32 column, u32 step, u32 rank, int left_out) {
    __shared__ int maxima[DIGITS];
    __shared__ int missing;
    const u32 num_groups = (table.num_centroids + GROUP - 1) / GROUP;
    const u32 sampled = (num_groups + step - 1) / step, group = threadIdx.x;
    int own = NO_MATCH;
    if (group < sampled) {
        const u64 at = first_of_column(num_groups, column) + u64{group} * step * PANEL;
        own = entry_at(table.maxima, is_narrow(table), at);
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

// Keys of the entries of some groups of a column.
struct KeyOfMember {
    const u64* groups;
    const void* entries;
    bool narrow;
    u64 first;
    u32 num_centroids;

    __device__ __forceinline__ u64 operator()(u32 e) const {
        const u64 group = groups[e / GROUP];
        const u32 code = id_of(group) * GROUP + e % GROUP;
        if (group == 0 || code >= num_centroids) return 0;
        return key_of(entry_at(entries, narrow, first + u64{code} * PANEL), code);
    }
};

// One block per multiprocessor is enough: there are as many as query tokens.
extern "C" __global__ void __launch_bounds__(DIGITS, 1)
cells(u64* cells, u64* groups, int* missing, Entries entries, Table table, u32 most, u32 padded, u32 num_best, u32 step,
      u32 rank) {
    u64 *own = cells + u64{blockIdx.x} * padded, *best = groups + u64{blockIdx.x} * num_best;
    select(best, KeyOfEntry(entries, blockIdx.x), 0, entries.num, num_best);
    const u64 first = first_of_column(table.num_centroids, blockIdx.x);
    const KeyOfMember member = {best, table.entries, is_narrow(table), first, table.num_centroids};
    select_sorted(own, member, num_best * GROUP, most, padded);
    // The cells are read in their order.
    if (padded > MOST_SORTED) sort(own, padded);
    const int left_out = entry_of(own[most - 1]);
    const int score = missing_score(table, blockIdx.x, step, rank, left_out);
    if (threadIdx.x == 0) missing[blockIdx.x] = score;
}
