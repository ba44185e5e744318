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
//   out    best (padded) keys, best first if there are at most MOST_SORTED places; found, their number, if it is not
//          null
//   in     entries: scores with the passages that were chosen, or the keys of best_of_chunks
//   sizes  most = k; padded: a power of two, or 0 for keys (k) in no order
//
//   block           all of them
//   shared memory   of select.cuh
//   bound           latency: one block reads all entries 1 to 8 times
//
// unpack: the hits of a search as two arrays, for work that follows on the device
//   out    pids (k) u32, scores (k) f32: after the last hit NO_PID and the lowest f32; no hits of a query that was
//          refused
//   in     outcome of quantize_query.cu: the largest component as bits, and the number of one that was refused; keys
//          (k), best first; step, power: factors of a score's unit
//   sizes  k
//
//   thread          a hit
//   shared memory   none
//   bound           the launch
//
// Versions: of select.cuh; unpack v1.

extern "C" __global__ void __launch_bounds__(DIGITS)
best_of_chunks(u64* best, Entries entries, u32 chunk, u32 most) {
    const u32 begin = blockIdx.x * chunk, end = begin + min(chunk, entries.num - begin);
    u64* own = best + (u64{blockIdx.y} * gridDim.x + blockIdx.x) * most;
    select(own, KeyOfEntry(entries, blockIdx.y), begin, end, most);
}

extern "C" __global__ void __launch_bounds__(DIGITS)
best(u64* best, u32* found, Entries entries, u32 most, u32 padded) {
    const u32 number = select_sorted(best, KeyOfEntry(entries, 0), entries.num, most, padded);
    if (threadIdx.x == 0 && found) *found = number;
}

extern "C" __global__ void __launch_bounds__(DIGITS)
unpack(u32* pids, float* scores, const u32* __restrict__ outcome, const u64* __restrict__ keys, float step, float power,
       u32 k) {
    const u32 at = blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= k) return;
    // The order of the host's multiplications.
    const float unit = __fmul_rn(__fmul_rn(step, __fdiv_rn(__uint_as_float(outcome[0]), 127)), power);
    const u64 key = outcome[1] == NO_PID ? keys[at] : 0;
    pids[at] = key ? id_of(key) : NO_PID;
    scores[at] = key ? __fmul_rn(__int2float_rn(entry_of(key)), unit) : __uint_as_float(0xff7fffff);
}
