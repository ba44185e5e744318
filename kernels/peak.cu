// peak: no op, but what a GPU can do at most, for the ops to be held against: benches/peak.rs.
//
// copy            out = in, (N) units of 16 bytes; a thread goes on by as many units as there are threads
// products        int8 products that never leave registers: a warp CHAINS chains of `rounds` each, out (threads) i32 their sum
// multiply_adds   the same with f32, a chain a thread's own, out (threads) f32
//
// No shared memory. Chains begin with numbers of their own, or the compiler would take them for one.

// Sums that are added to in turn: the warps of a multiprocessor times these hide what an addition takes.
constexpr int CHAINS = 8;

extern "C" __global__ void __launch_bounds__(256) copy(const uint4* in, u64 num, uint4* out) {
    const u64 stride = u64{gridDim.x} * blockDim.x;
    for (u64 at = u64{blockIdx.x} * blockDim.x + threadIdx.x; at < num; at += stride) out[at] = in[at];
}

extern "C" __global__ void __launch_bounds__(256) products(u32 rounds, int* out) {
    const u32 ones[4] = {0x01010101, 0x01010101, 0x01010101, 0x01010101}, twos[2] = {0x02020202, 0x02020202};
    int sums[CHAINS][4];
    for (int chain = 0; chain < CHAINS; ++chain) {
        for (int& sum : sums[chain]) sum = chain;
    }
    for (u32 round = 0; round < rounds; ++round) {
        for (int chain = 0; chain < CHAINS; ++chain) mma_s8(sums[chain], ones, twos);
    }
    int all = 0;
    for (int chain = 0; chain < CHAINS; ++chain) {
        for (const int sum : sums[chain]) all += sum;
    }
    out[blockIdx.x * blockDim.x + threadIdx.x] = all;
}

extern "C" __global__ void __launch_bounds__(256) multiply_adds(u32 rounds, float factor, float* out) {
    float sums[CHAINS];
    for (int chain = 0; chain < CHAINS; ++chain) sums[chain] = chain;
    for (u32 round = 0; round < rounds; ++round) {
        for (int chain = 0; chain < CHAINS; ++chain) sums[chain] = __fmaf_rn(sums[chain], factor, 1.0f);
    }
    float all = 0;
    for (const float sum : sums) all += sum;
    out[blockIdx.x * blockDim.x + threadIdx.x] = all;
}
