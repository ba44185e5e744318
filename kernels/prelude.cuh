// What every kernel begins with: short names, and the only inline PTX of the house.
//
// Kernels include no CUDA header, so that no machine needs one. Where EMULATED is defined a C++ compiler of the host
// compiles them (tests/emulator/); what stands for PTX there is in the same function, beside it.
#pragma once

typedef signed char i8;
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

// Lanes of a warp.
constexpr int WARP = 32;
constexpr u32 ALL_LANES = 0xffffffffu;

// The score of a passage without tokens.
constexpr int NO_MATCH = -2147483647 - 1;

// Rows, and columns, of a product's result, and the bytes that it takes of each at a time.
constexpr int TILE_ROWS = 16;
constexpr int TILE_COLUMNS = 8;
constexpr int TILE_DEPTH = 32;

// Eight bytes, in one load.
struct alignas(8) Pair {
    u32 x, y;
};

__device__ __forceinline__ int lane_number() { return static_cast<int>(threadIdx.x) % WARP; }
__device__ __forceinline__ int warp_number() { return static_cast<int>(threadIdx.x) / WARP; }
// The warp's number within the grid, of blocks of one dimension.
__device__ __forceinline__ u32 grid_warp() { return (blockIdx.x * blockDim.x + threadIdx.x) / WARP; }
__device__ __forceinline__ u32 grid_warps() { return gridDim.x * (blockDim.x / WARP); }

// d += a * b of int8: `a` 16 rows of 32, `b` 32 rows of 8, sums exact. With g = lane / 4 and t = lane % 4 a lane has of
// row g the bytes 4t .. 4t+3 in a[0] and 16+4t .. in a[2], of row g + 8 likewise in a[1] and a[3]; of column g
// the same two words in b; of the sums those of row g, columns 2t and 2t + 1, in d[0] and d[1], of row g + 8 in d[2] and
// d[3] (PTX ISA, "Matrix Fragments for mma.m16n8k32"). Any order of the 32 will do, if it is the same in a and b.
__device__ __forceinline__ void mma_s8(int (&d)[4], const u32 (&a)[4], const u32 (&b)[2]) {
#ifdef EMULATED
    emulator::mma_s8(d, a, b);
#else
    asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}

// Four matrices of 8 rows of 16 bytes from shared memory: lane `8 m + r` says where row r of matrix m lies (a multiple
// of 16), and gets of each matrix the bytes 4t .. 4t+3 of row g, as mma_s8 takes them.
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

// Begins to copy 16 bytes to shared memory, both sides at multiples of 16.
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

// Ends a group of copies; waits until but the last `groups` are done, of this thread.
__device__ __forceinline__ void commit_copies() {
#ifdef EMULATED
    emulator::cp_async_commit();
#else
    asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}
template <int groups> __device__ __forceinline__ void wait_for_copies() {
#ifdef EMULATED
    emulator::cp_async_wait<groups>();
#else
    asm volatile("cp.async.wait_group %0;" ::"n"(groups) : "memory");
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
