// peak: three kinds of work that run at the limits of a GPU, to compare the ops with (benches/alone/peak.rs).
//
// copy: out = in
//   out    out (num) units of 16 bytes
//   in     in (num)
//   thread every `stride`-th unit, where `stride` is the number of threads
//   bound  memory
// products: int8 products that never leave registers
//   out    out (threads) i32, the sum of all products and of the chains' start values
//   sizes  rounds
//   warp   CHAINS chains of `rounds` products of 16 x 8 x 32 each
//   bound  compute: int8 tensor cores by mma.sync
// multiply_adds: f32 multiply-adds that never leave registers
//   out    out (threads) f32, the sum of all chains
//   in     factor f32
//   sizes  rounds
//   thread CHAINS chains of `rounds` multiply-adds each
//   bound  compute: f32 multiply-adds
//
//   shared memory   none
//
// CHAINS independent sums hide the latency of an addition. They start with different numbers, or the compiler would
// compute only one.
//
// Versions
//   v1  this one. Time not yet measured.

extern "C" __global__ void __launch_bounds__(THREADS) copy(uint4* out, const uint4* __restrict__ in, u64 num) {
    static_assert(sizeof(uint4) == UNIT_BYTES, "a unit is one load");
    const u64 stride = u64{gridDim.x} * blockDim.x;
    for (u64 at = u64{blockIdx.x} * blockDim.x + threadIdx.x; at < num; at += stride) out[at] = in[at];
}

extern "C" __global__ void __launch_bounds__(THREADS) products(int* out, u32 rounds) {
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

extern "C" __global__ void __launch_bounds__(THREADS) multiply_adds(float* out, float factor, u32 rounds) {
    float sums[CHAINS];
    for (int chain = 0; chain < CHAINS; ++chain) sums[chain] = chain;
    for (u32 round = 0; round < rounds; ++round) {
        for (int chain = 0; chain < CHAINS; ++chain) sums[chain] = __fmaf_rn(sums[chain], factor, 1.0f);
    }
    float all = 0;
    for (const float sum : sums) all += sum;
    out[blockIdx.x * blockDim.x + threadIdx.x] = all;
}
