// top_k: the best k of the selected passages: select.cuh over one column, whose ids are pids.
//
//   in    scores (C) i32, pids (C) or none for 0 .. C
//   out   best (k) keys, in no order, zeros behind the last
