// peak: work that runs at the limits of a GPU, to compare the ops with (benches/alone/peak.rs, benches/roof/).
//
// copy: out = in
//   out    out (num) units of 16 bytes
//   in     in (num)
//   block  runs of LOADS * THREADS units, one after another
//   thread LOADS units of a run, all loaded before the first is stored: 64 bytes in flight
//   bound  memory
// products: int8 products that never leave registers
//   out    out (threads) i32, the sum of all products and of the chains' start values
//   sizes  rounds
//   warp   CHAINS chains of `rounds` products of 16 x 8 x 32 each, of pseudorandom bytes, since products of equal
//          numbers take less power and may run at a higher clock
//   bound  compute: int8 tensor cores by mma.sync
// multiply_adds: f32 multiply-adds that never leave registers
//   out    out (threads) f32, the sum of all chains
//   in     factor f32
//   sizes  rounds
//   thread CHAINS chains of `rounds` multiply-adds each
//   bound  compute: f32 multiply-adds
// fill: pseudorandom bytes
//   out    out (num) units of 16 bytes
//   thread a unit
// gather: reads rows at pseudorandom places
//   out    out (threads) u32, the XOR of all words that the thread has read
//   in     rows (num_rows, row_units) units of 16 bytes
//   sizes  num_rows, row_units (a power of two up to 8), rounds
//   thread one unit of LOADS rows in each round, all in flight at once; the next threads have the row's other units
//   bound  L2 if the rows fit there, memory otherwise
// lop3, prmt, imad, idp: one kind of instruction that never leaves registers
//   out    out (threads) u32, the XOR of all chains
//   sizes  rounds
//   thread CHAINS chains of REPEATS instructions in each round, each with the next chains as its other operands
//   bound  issue: of lop3 and prmt the integer pipe, of imad and idp the one of the multipliers
//
//   shared memory   none
//
// CHAINS independent sums hide the latency of an addition. They start with different numbers, or the compiler would
// compute only one.
//
// Versions
//   v1  copy: one load in flight for each thread; products: of the constants 1 and 2.
//   v2  several loads in flight; products of pseudorandom bytes; gather and the instructions. Time not yet measured.

extern "C" __global__ void __launch_bounds__(THREADS) copy(uint4* out, const uint4* __restrict__ in, u64 num) {
    static_assert(sizeof(uint4) == UNIT_BYTES, "a unit is one load");
    constexpr u64 RUN = u64{LOADS} * THREADS;
    for (u64 run = blockIdx.x * RUN; run < num; run += gridDim.x * RUN) {
        const u64 first = run + threadIdx.x;
        uint4 units[LOADS];
        for (int load = 0; load < LOADS; ++load) {
            if (first + load * THREADS < num) units[load] = in[first + load * THREADS];
        }
        for (int load = 0; load < LOADS; ++load) {
            if (first + load * THREADS < num) out[first + load * THREADS] = units[load];
        }
    }
}

// Pseudorandom bits, the same as crates/backend/src/cuda/peak.rs has.
__device__ __forceinline__ u32 mixed(u32 number) {
    u32 bits = number * 0x9e3779b1u;
    bits = (bits ^ bits >> 15) * 0x85ebca6bu;
    return bits ^ bits >> 13;
}

// Four pseudorandom bytes. -128 is among them: the sums do not care.
__device__ __forceinline__ u32 some_bytes(u32 lane, u32 number) { return mixed(lane * 64 + number); }

extern "C" __global__ void __launch_bounds__(THREADS) products(int* out, u32 rounds) {
    // A chain's left and right side: 2 of one and 4 of the other make 8 different products.
    static_assert(CHAINS == 8, "two left sides by four right sides");
    const u32 lane = threadIdx.x % WARP;
    u32 a[2][4], b[4][2];
    for (u32 at = 0; at < 8; ++at) a[at / 4][at % 4] = some_bytes(lane, at);
    for (u32 at = 0; at < 8; ++at) b[at / 2][at % 2] = some_bytes(lane, 8 + at);
    int sums[CHAINS][4];
    for (int chain = 0; chain < CHAINS; ++chain) {
        for (int& sum : sums[chain]) sum = chain;
    }
    for (u32 round = 0; round < rounds; ++round) {
        for (int chain = 0; chain < CHAINS; ++chain) mma_s8(sums[chain], a[chain % 2], b[chain / 2]);
    }
    u32 all = 0; // wraps, as the sums do
    for (int chain = 0; chain < CHAINS; ++chain) {
        for (const int sum : sums[chain]) all += static_cast<u32>(sum);
    }
    out[blockIdx.x * blockDim.x + threadIdx.x] = static_cast<int>(all);
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

extern "C" __global__ void __launch_bounds__(THREADS) fill(uint4* out, u32 num) {
    const u32 unit = blockIdx.x * blockDim.x + threadIdx.x;
    if (unit < num) out[unit] = {mixed(4 * unit), mixed(4 * unit + 1), mixed(4 * unit + 2), mixed(4 * unit + 3)};
}

extern "C" __global__ void __launch_bounds__(THREADS)
gather(u32* out, const uint4* __restrict__ rows, u32 num_rows, u32 row_units, u32 rounds) {
    const u32 thread = blockIdx.x * blockDim.x + threadIdx.x;
    const u32 unit = thread % row_units, first = thread / row_units * rounds * LOADS;
    u32 all = 0;
    for (u32 round = 0; round < rounds; ++round) {
        uint4 units[LOADS];
        for (u32 load = 0; load < LOADS; ++load) {
            const u64 row = u64{mixed(first + round * LOADS + load)} * num_rows >> 32;
            units[load] = rows[row * row_units + unit];
        }
        for (const uint4& read : units) all ^= read.x ^ read.y ^ read.z ^ read.w;
    }
    out[thread] = all;
}

// Runs the chains of one kind of instruction.
template <typename Step> __device__ __forceinline__ void run_chains(u32* out, u32 rounds, Step step) {
    const u32 thread = blockIdx.x * blockDim.x + threadIdx.x;
    u32 chains[CHAINS];
    for (u32 chain = 0; chain < CHAINS; ++chain) chains[chain] = mixed(thread * CHAINS + chain);
#pragma unroll 1
    for (u32 round = 0; round < rounds; ++round) {
        for (int repeat = 0; repeat < REPEATS; ++repeat) {
            for (int chain = 0; chain < CHAINS; ++chain) {
                chains[chain] = step(chains[chain], chains[(chain + 1) % CHAINS], chains[(chain + 2) % CHAINS]);
            }
        }
    }
    u32 all = 0;
    for (const u32 chain : chains) all ^= chain;
    out[thread] = all;
}

extern "C" __global__ void __launch_bounds__(THREADS) lop3(u32* out, u32 rounds) {
    run_chains(out, rounds, [](u32 x, u32 y, u32 z) { return (x & y) ^ z; });
}

extern "C" __global__ void __launch_bounds__(THREADS) prmt(u32* out, u32 rounds) {
    run_chains(out, rounds, [](u32 x, u32 y, u32) { return __byte_perm(x, y, 0x6143); });
}

extern "C" __global__ void __launch_bounds__(THREADS) imad(u32* out, u32 rounds) {
    run_chains(out, rounds, [](u32 x, u32 y, u32) { return x * y + x; });
}

extern "C" __global__ void __launch_bounds__(THREADS) idp(u32* out, u32 rounds) {
    run_chains(out, rounds, [](u32 x, u32 y, u32) { return __dp4a(x, y, x); });
}
