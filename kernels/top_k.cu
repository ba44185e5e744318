// top_k: the best of the scored passages, by select.cuh.
//
// best_of_chunks: the best `most` of each chunk of entries, of each column
//   out    best (columns, chunks, most) keys, in no order, zeros for none
//   in     entries
//   sizes  chunk, most
//
//   block           a chunk (blockIdx.x) of a column (blockIdx.y)
//   shared memory   of select.cuh
//   bound           memory: L2, 1 to 8 passes over the entries, most of which a block has read before
//
// best
//   out    best (padded) keys, best first; found, their number, if it is not null
//   in     entries: scores with the passages that were chosen, or the keys of best_of_chunks
//   sizes  most = k, padded: a power of two
//
//   block           all of them
//   shared memory   of select.cuh
//   bound           latency: one block reads all entries 1 to 8 times
//
// Versions: of select.cuh.

extern "C" __global__ void __launch_bounds__(DIGITS)
best_of_chunks(u64* best, Entries entries, u32 chunk, u32 most) {
    const u32 begin = blockIdx.x * chunk, end = begin + min(chunk, entries.num - begin);
    u64* own = best + (u64{blockIdx.y} * gridDim.x + blockIdx.x) * most;
    select(own, KeyOfEntry{entries, blockIdx.y}, begin, end, most);
}

extern "C" __global__ void __launch_bounds__(DIGITS)
best(u64* best, u32* found, Entries entries, u32 most, u32 padded) {
    const u32 number = select_sorted(best, entries, 0, most, padded);
    if (threadIdx.x == 0 && found) *found = number;
}
