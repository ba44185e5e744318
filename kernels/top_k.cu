// top_k: the best k of the selected passages, by select.cuh over one column with pids as ids. The head of
// select.cuh states the work of a block, shared memory, expected bound and versions.
//
//   out    best (k) keys, in no order, zeros after the last
//   in     scores (C) i32, pids (C) u32 or null for 0 .. C
