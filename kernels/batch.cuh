// The queries of a batch, as filter.cu and filter_wgmma.cu take them.
#pragma once

// A query of a batch: `AskedArgument` of crates/backend/src/cuda/filter.rs.
struct Asked {
    // (ceil(Q / 8), STEPS, 32).
    const Pair* query;
    // (P).
    int* sums;
    u32 query_len, unused;
};
static_assert(sizeof(Asked) == 24, "AskedArgument has this layout");
ASSERT_OFFSET(Asked, query_len, 16);

// The queries of a launch: `BatchArgument` of crates/backend/src/cuda/filter.rs.
struct Batch {
    Asked asked[MOST_QUERIES];
    u64 num;
};
static_assert(sizeof(Batch) == 24 * MOST_QUERIES + 8, "BatchArgument has this layout");
