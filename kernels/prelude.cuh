// Types, constants and inline PTX that every kernel's source begins with. No other file has inline PTX.
//
// No CUDA header is included: a machine needs the driver and NVRTC, but no toolkit. Where EMULATED is defined, a C++
// compiler of the host compiles the kernels (tests/emulator/); the replacement of each PTX instruction is in the same
// function.
//
// Constants that launchers share are macros. Their values are written once, in Rust, and come as compiler options
// (crates/backend/src/cuda/constants.rs):
//
//   every op       WARP, NO_MATCH, TILE_ROWS, TILE_COLUMNS, TILE_DEPTH, CHUNK, PANEL
//   an op's own    THREADS of a block, limits and sizes: `CONSTANTS` of the launcher
//   a variant's    DIM, NBITS, TRELLIS
#pragma once

typedef signed char i8;
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

constexpr u32 ALL_LANES = 0xffffffffu;

static_assert(WARP == 32, "ALL_LANES and the shuffles have 32 lanes");
static_assert(TILE_ROWS == 16 && TILE_COLUMNS == 8 && TILE_DEPTH == 32, "the shape of mma.m16n8k32");

// A chunk of a row: eight bytes, in one load.
struct alignas(8) Pair {
    u32 x, y;
};
static_assert(sizeof(Pair) == CHUNK, "a chunk is one load");

// The block's dynamic shared memory.
#ifndef EMULATED
#define DYNAMIC_SHARED(type, name)                                                                                     \
    extern __shared__ __align__(128) unsigned char dynamic_shared[];                                                   \
    type* const name = reinterpret_cast<type*>(dynamic_shared)
#endif

// The widest load or store of a lane.
struct alignas(16) Quad {
    u32 words[4];
};

// Loads of memory that the kernel does not write, from addresses that the compiler cannot tell to be of global memory.
__device__ __forceinline__ u8 load(const u8* at) { return __ldg(at); }
__device__ __forceinline__ u16 load(const u16* at) { return __ldg(at); }
__device__ __forceinline__ u32 load(const u32* at) { return __ldg(at); }
__device__ __forceinline__ Pair load(const Pair* at) {
    const uint2 pair = __ldg(reinterpret_cast<const uint2*>(at));
    return {pair.x, pair.y};
}
__device__ __forceinline__ Quad load(const Quad* at) {
    const uint4 quad = __ldg(reinterpret_cast<const uint4*>(at));
    return {{quad.x, quad.y, quad.z, quad.w}};
}

// Loads of memory that is read once, and of memory that is read often: of the former, L1 keeps nothing, and L2 gives up
// the lines first, of the latter last. Without HINTS they are plain loads.
//
// An L2 policy is a number, one for the whole kernel, which the compiler holds in registers of the warp.
#ifdef EMULATED
template <bool HINTS> __device__ __forceinline__ u32 load_once(const u32* at) { return load(at); }
template <bool HINTS> __device__ __forceinline__ Pair load_once(const Pair* at) { return load(at); }
template <bool HINTS> __device__ __forceinline__ Quad load_often(const Quad* at) { return load(at); }
#else
__device__ __forceinline__ u64 evicted_first() {
    u64 policy;
    asm("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy));
    return policy;
}
__device__ __forceinline__ u64 evicted_last() {
    u64 policy;
    asm("createpolicy.fractional.L2::evict_last.b64 %0, 1.0;" : "=l"(policy));
    return policy;
}
template <bool HINTS> __device__ __forceinline__ u32 load_once(const u32* at) {
    if (!HINTS) return load(at);
    u32 word;
    asm("ld.global.nc.L1::no_allocate.L2::cache_hint.u32 %0, [%1], %2;"
        : "=r"(word)
        : "l"(__cvta_generic_to_global(at)), "l"(evicted_first()));
    return word;
}
template <bool HINTS> __device__ __forceinline__ Pair load_once(const Pair* at) {
    if (!HINTS) return load(at);
    Pair pair;
    asm("ld.global.nc.L1::no_allocate.L2::cache_hint.v2.u32 {%0,%1}, [%2], %3;"
        : "=r"(pair.x), "=r"(pair.y)
        : "l"(__cvta_generic_to_global(at)), "l"(evicted_first()));
    return pair;
}
template <bool HINTS> __device__ __forceinline__ Quad load_often(const Quad* at) {
    if (!HINTS) return load(at);
    Quad quad;
    asm("ld.global.nc.L2::cache_hint.v4.u32 {%0,%1,%2,%3}, [%4], %5;"
        : "=r"(quad.words[0]), "=r"(quad.words[1]), "=r"(quad.words[2]), "=r"(quad.words[3])
        : "l"(__cvta_generic_to_global(at)), "l"(evicted_last()));
    return quad;
}
#endif

// Asserts the offset of a member of a structure that the host passes; the Rust structure asserts the same.
// NVRTC has no offsetof, so offsets are checked only where the emulated NVRTC compiles the same source. Sizes
// are checked by both.
#ifdef EMULATED
#define ASSERT_OFFSET(type, member, bytes) static_assert(__builtin_offsetof(type, member) == (bytes), #member)
#else
#define ASSERT_OFFSET(type, member, bytes) static_assert(true, #member)
#endif

__device__ __forceinline__ int lane_number() { return static_cast<int>(threadIdx.x) % WARP; }
__device__ __forceinline__ int warp_number() { return static_cast<int>(threadIdx.x) / WARP; }
// Number of the warp within the grid, for blocks of one dimension.
__device__ __forceinline__ u32 grid_warp() { return (blockIdx.x * blockDim.x + threadIdx.x) / WARP; }
__device__ __forceinline__ u32 grid_warps() { return gridDim.x * (blockDim.x / WARP); }

// Returns round(clamp(x, -bound, bound)), ties to even, and 0 for NaN, as the CPU does: fminf and fmaxf alone would
// make a bound of NaN.
__device__ __forceinline__ int round_clamped(float x, float bound) {
    return x == x ? __float2int_rn(fmaxf(-bound, fminf(bound, x))) : 0;
}

// d += a * b of int8, where `a` has 16 rows of 32 bytes and `b` has 8 columns of 32 bytes; the sums are
// exact. With g = lane / 4 and t = lane % 4, a lane holds (PTX ISA, "Matrix Fragments for mma.m16n8k32"):
//
//   a[0], a[2]   bytes 4t .. 4t + 3 and 4t + 16 .. 4t + 19 of row g
//   a[1], a[3]   the same bytes of row g + 8
//   b[0], b[1]   the same bytes of column g
//   d[0], d[1]   the sums of row g, columns 2t and 2t + 1
//   d[2], d[3]   the sums of row g + 8, the same columns
//
// The order of the 32 bytes is free, if `a` and `b` have the same one.
__device__ __forceinline__ void mma_s8(int (&d)[4], const u32 (&a)[4], const u32 (&b)[2]) {
#ifdef EMULATED
    emulator::mma_s8(d, a, b);
#else
    // `volatile`: all lanes of the warp take part, so the compiler must not move it into a branch.
    asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 "
                 "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}

// Returns `sum` and the lower half of `pair`, an i16, times the lowest byte of `bytes`, a u8; or the upper half times
// the highest byte. The two bytes between are 0.
__device__ __forceinline__ int add_low(u32 pair, u32 bytes, int sum) {
#ifdef EMULATED
    return emulator::dp2a_lo(pair, bytes, sum);
#else
    int result;
    asm("dp2a.lo.s32.u32 %0, %1, %2, %3;" : "=r"(result) : "r"(pair), "r"(bytes), "r"(sum));
    return result;
#endif
}
__device__ __forceinline__ int add_high(u32 pair, u32 bytes, int sum) {
#ifdef EMULATED
    return emulator::dp2a_hi(pair, bytes, sum);
#else
    int result;
    asm("dp2a.hi.s32.u32 %0, %1, %2, %3;" : "=r"(result) : "r"(pair), "r"(bytes), "r"(sum));
    return result;
#endif
}

// Returns four bytes of `y:x`, one for each nibble of the lower half of `names`: the byte of that number, or 0 if the
// nibble is 8 or more, for bytes that are not negative. (`__byte_perm` takes three bits of a nibble.)
__device__ __forceinline__ u32 choose_bytes(u32 x, u32 y, u32 names) {
#ifdef EMULATED
    return emulator::prmt(x, y, names);
#else
    u32 chosen;
    asm("prmt.b32 %0, %1, %2, %3;" : "=r"(chosen) : "r"(x), "r"(y), "r"(names));
    return chosen;
#endif
}

// Loads four matrices of 8 rows of 16 bytes from shared memory. Lane `8 m + r` passes the address of row r of
// matrix m, a multiple of 16. Each lane receives bytes 4t .. 4t + 3 of row g of each matrix, as mma_s8 takes
// them.
__device__ __forceinline__ void load_matrices(u32 (&d)[4], const void* row) {
#ifdef EMULATED
    emulator::ldmatrix_x4(d, row);
#else
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
                 : "r"(static_cast<u32>(__cvta_generic_to_shared(row)))
                 : "memory");
#endif
}

// Starts to copy 16 bytes to shared memory; both addresses are multiples of 16.
__device__ __forceinline__ void copy_async(void* to, const void* from) {
#ifdef EMULATED
    emulator::cp_async_16(to, from);
#else
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;"
                 :
                 : "r"(static_cast<u32>(__cvta_generic_to_shared(to))), "l"(__cvta_generic_to_global(from))
                 : "memory");
#endif
}

// Ends a group of this thread's copies.
__device__ __forceinline__ void commit_copies() {
#ifdef EMULATED
    emulator::cp_async_commit();
#else
    asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}
// Waits until at most the last `groups` of this thread's groups are unfinished.
template <int groups> __device__ __forceinline__ void wait_for_copies() {
#ifdef EMULATED
    emulator::cp_async_wait<groups>();
#else
    asm volatile("cp.async.wait_group %0;" ::"n"(groups) : "memory");
#endif
}

// Columns of a product of a warpgroup.
constexpr int WIDE_COLUMNS = 128;

// Returns the descriptor of a matrix in shared memory, whose core matrices (8 columns of 16 bytes, one column after
// another) are `leading` bytes apart along the columns, and `stride` bytes apart from one 8 columns to the next
// (PTX ISA, "Matrix-descriptor format", without swizzling).
__device__ __forceinline__ u64 matrix_descriptor(const void* matrix, u32 leading, u32 stride) {
#ifdef EMULATED
    const u32 start = emulator::matrix_address(matrix);
#else
    const u32 start = static_cast<u32>(__cvta_generic_to_shared(matrix)) & 0x3ffff;
#endif
    return u64{start >> 4} | u64{leading >> 4} << 16 | u64{stride >> 4} << 32;
}

// Begins d = a * b of int8 (+ d, if `add`), by the four warps of a warpgroup, on sm_90a. `a` has 64 rows of 32 bytes,
// 16 of each warp, which its lanes hold as in mma_s8; `b` names 128 columns of 32 bytes. d[4 j .. 4 j + 3] are the sums
// that mma_s8 gives for columns 8 j .. 8 j + 7. Neither registers nor matrix may be touched before the wait.
__device__ __forceinline__ void begin_product(int (&d)[WIDE_COLUMNS / 2], const u32 (&a)[4], u64 b, bool add) {
#ifdef EMULATED
    emulator::wgmma_s8<WIDE_COLUMNS>(d, a, b, add);
#else
    asm volatile("{.reg .pred add; setp.ne.b32 add, %69, 0;"
                 "wgmma.mma_async.sync.aligned.m64n128k32.s32.s8.s8 "
                 "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,"
                 "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31,"
                 "%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,"
                 "%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63}, "
                 "{%64,%65,%66,%67}, %68, add;}"
                 : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3]), "+r"(d[4]), "+r"(d[5]), "+r"(d[6]),
                   "+r"(d[7]), "+r"(d[8]), "+r"(d[9]), "+r"(d[10]), "+r"(d[11]), "+r"(d[12]), "+r"(d[13]),
                   "+r"(d[14]), "+r"(d[15]), "+r"(d[16]), "+r"(d[17]), "+r"(d[18]), "+r"(d[19]), "+r"(d[20]),
                   "+r"(d[21]), "+r"(d[22]), "+r"(d[23]), "+r"(d[24]), "+r"(d[25]), "+r"(d[26]), "+r"(d[27]),
                   "+r"(d[28]), "+r"(d[29]), "+r"(d[30]), "+r"(d[31]), "+r"(d[32]), "+r"(d[33]), "+r"(d[34]),
                   "+r"(d[35]), "+r"(d[36]), "+r"(d[37]), "+r"(d[38]), "+r"(d[39]), "+r"(d[40]), "+r"(d[41]),
                   "+r"(d[42]), "+r"(d[43]), "+r"(d[44]), "+r"(d[45]), "+r"(d[46]), "+r"(d[47]), "+r"(d[48]),
                   "+r"(d[49]), "+r"(d[50]), "+r"(d[51]), "+r"(d[52]), "+r"(d[53]), "+r"(d[54]), "+r"(d[55]),
                   "+r"(d[56]), "+r"(d[57]), "+r"(d[58]), "+r"(d[59]), "+r"(d[60]), "+r"(d[61]), "+r"(d[62]),
                   "+r"(d[63])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(static_cast<int>(add)));
#endif
}

// Orders earlier accesses to the registers of products before the products that begin next.
__device__ __forceinline__ void fence_products() {
#ifdef EMULATED
    emulator::wgmma_fence();
#else
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#endif
}

// Waits for all products of this warp, whose sums are `d`.
__device__ __forceinline__ void wait_for_products(int (&d)[WIDE_COLUMNS / 2]) {
#ifdef EMULATED
    emulator::wgmma_commit();
    emulator::wgmma_wait<0>();
#else
    asm volatile("wgmma.commit_group.sync.aligned; wgmma.wait_group.sync.aligned 0;" ::: "memory");
    // The compiler must not read them before.
#pragma unroll
    for (int& sum : d) asm volatile("" : "+r"(sum)::"memory");
#endif
}

#ifndef EMULATED
__device__ __forceinline__ u32 shared_address(const void* at) {
    return static_cast<u32>(__cvta_generic_to_shared(at));
}
#endif

// Makes a barrier of shared memory whose phases end when `threads` threads have arrived, and all bytes that they
// expect. Other threads see it after a barrier of the block. On sm_90, as all that follows.
__device__ __forceinline__ void make_barrier(u64* barrier, u32 threads) {
#ifdef EMULATED
    emulator::mbarrier_init(barrier, threads);
#else
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1; fence.mbarrier_init.release.cluster;" ::"r"(
                     shared_address(barrier)),
                 "r"(threads)
                 : "memory");
#endif
}

// Arrives; what this thread has read and written before is done for those who wait for the phase.
__device__ __forceinline__ void arrive(u64* barrier) {
#ifdef EMULATED
    emulator::mbarrier_arrive(barrier);
#else
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(barrier)) : "memory");
#endif
}

// Arrives, and expects that many bytes of copies.
__device__ __forceinline__ void arrive_and_expect(u64* barrier, u32 bytes) {
#ifdef EMULATED
    emulator::mbarrier_expect(barrier, bytes);
#else
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(barrier)), "r"(bytes)
                 : "memory");
#endif
}

// Waits for the end of the phase of this parity: 0 for the first, third, .. one; the one before the first has ended.
__device__ __forceinline__ void wait_for_phase(u64* barrier, u32 parity) {
#ifdef EMULATED
    emulator::mbarrier_wait(barrier, parity);
#else
    u32 has_ended = 0;
    while (has_ended == 0) {
        asm volatile("{.reg .pred ended; mbarrier.try_wait.parity.shared::cta.b64 ended, [%1], %2;"
                     "selp.u32 %0, 1, 0, ended;}"
                     : "=r"(has_ended)
                     : "r"(shared_address(barrier)), "r"(parity)
                     : "memory");
    }
#endif
}

// Starts to copy bytes to shared memory; they arrive at the barrier. Addresses and number are multiples of 16.
__device__ __forceinline__ void copy_bulk(void* to, const void* from, u32 bytes, u64* barrier) {
#ifdef EMULATED
    emulator::cp_async_bulk(to, from, bytes, barrier);
#else
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(
                     shared_address(to)),
                 "l"(__cvta_generic_to_global(from)), "r"(bytes), "r"(shared_address(barrier))
                 : "memory");
#endif
}

// Sums and maxima over a warp, in every lane.
__device__ __forceinline__ float warp_sum(float x) {
    for (int with = WARP / 2; with > 0; with /= 2) x += __shfl_xor_sync(ALL_LANES, x, with);
    return x;
}
__device__ __forceinline__ int warp_sum(int x) {
    for (int with = WARP / 2; with > 0; with /= 2) x += __shfl_xor_sync(ALL_LANES, x, with);
    return x;
}
__device__ __forceinline__ float warp_max(float x) {
    for (int with = WARP / 2; with > 0; with /= 2) x = fmaxf(x, __shfl_xor_sync(ALL_LANES, x, with));
    return x;
}
