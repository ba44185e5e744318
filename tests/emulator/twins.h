// The PTX instructions that kernels use, as functions with the same meaning.
//
// Fragments have the layout of the PTX ISA: lane = 4 g + t holds rows g and g + 8 of A and of the accumulator and
// column g of B, and of these the elements that the functions below name.
#pragma once

namespace emulator {

inline float half_to_float(unsigned short half) {
    const unsigned sign = (half & 0x8000u) << 16, exponent = half >> 10 & 31, fraction = half & 0x3ff;
    if (exponent == 31) return bits<float>(sign | 0x7f800000u | fraction << 13);
    if (exponent != 0) return bits<float>(sign | (exponent + 112) << 23 | fraction << 13);
    // Subnormal: a multiple of 2^-24.
    const float small = static_cast<float>(fraction) * 0x1p-24f;
    return sign ? -small : small;
}

// Rounds to the nearest half, ties to even.
inline unsigned short float_to_half(float x) {
    const unsigned all = bits<unsigned>(x), sign = all >> 16 & 0x8000u, magnitude = all & 0x7fffffffu;
    if (magnitude > 0x7f800000u) return static_cast<unsigned short>(sign | 0x7fffu);
    if (magnitude >= 0x477ff000u) return static_cast<unsigned short>(sign | 0x7c00u);
    if (magnitude < 0x38800000u) {
        // The last bit of the sum is worth 2^-24, so the addition rounds.
        const unsigned rounded = bits<unsigned>(bits<float>(magnitude) + 0.5f) - bits<unsigned>(0.5f);
        return static_cast<unsigned short>(sign | rounded);
    }
    const unsigned odd = magnitude >> 13 & 1;
    return static_cast<unsigned short>(sign | (magnitude - 0x38000000u + 0xfffu + odd) >> 13);
}

template <class D> struct Fragments {
    unsigned a[4], b[2];
    D d[4];
};

// Multiplies the registers of all lanes as matrices: A (16, K), B (K, 8) by columns, D (16, 8). A register holds `per`
// elements of a row of A, or of a column of B.
template <class Element, class D, int K, Element (*element)(unsigned, int)>
bool multiply(unsigned, const unsigned char* values, unsigned char* results) {
    constexpr int per = K / 8;
    Element a[16][K], b[8][K];
    for (int lane = 0; lane < 32; ++lane) {
        const auto& mine = value_of<Fragments<D>>(values, static_cast<unsigned>(lane));
        const int g = lane / 4, t = lane % 4;
        for (int i = 0; i < per; ++i) {
            for (int half = 0; half < 2; ++half) {
                const int k = half * K / 2 + t * per + i;
                a[g][k] = element(mine.a[2 * half], i);
                a[g + 8][k] = element(mine.a[2 * half + 1], i);
                b[g][k] = element(mine.b[half], i);
            }
        }
    }
    for (int lane = 0; lane < 32; ++lane) {
        const auto& mine = value_of<Fragments<D>>(values, static_cast<unsigned>(lane));
        auto& sums = result_of<D[4]>(results, static_cast<unsigned>(lane));
        for (int i = 0; i < 4; ++i) {
            const Element *row = a[lane / 4 + i / 2 * 8], *column = b[lane % 4 * 2 + i % 2];
            D sum = mine.d[i];
            for (int k = 0; k < K; ++k) sum += static_cast<D>(row[k] * column[k]);
            sums[i] = sum;
        }
    }
    return true;
}

inline int signed_byte(unsigned reg, int i) { return static_cast<signed char>(reg >> 8 * i); }
inline float half_of(unsigned reg, int i) { return half_to_float(static_cast<unsigned short>(reg >> 16 * i)); }

template <class D, class Sum>
void multiply_add(const Operation& operation, D (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    Fragments<Sum> mine;
    __builtin_memcpy(mine.a, a, sizeof a);
    __builtin_memcpy(mine.b, b, sizeof b);
    __builtin_memcpy(mine.d, d, sizeof d);
    machine->warp(~0u, operation, &mine, d);
}

// d += a b: `mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32`, whose sums wrap.
inline void mma_s8(int (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    static constexpr Operation operation = {"mma m16n8k32 s8", sizeof(Fragments<unsigned>), sizeof d, true,
                                            multiply<int, unsigned, 32, signed_byte>};
    multiply_add<int, unsigned>(operation, d, a, b);
}

// d += a b: `mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32`. Products are exact; a GPU adds them in another order.
inline void mma_f16(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    static constexpr Operation operation = {"mma m16n8k16 f16", sizeof(Fragments<float>), sizeof d, true,
                                            multiply<float, float, 16, half_of>};
    multiply_add<float, float>(operation, d, a, b);
}

// `prmt.b32`: as `__byte_perm`, but where the nibble's highest bit is set, the result is 0xff or 0, by the sign of the
// byte that the lower bits choose.
inline unsigned prmt(unsigned x, unsigned y, unsigned selector) {
    unsigned chosen = __byte_perm(x, y, selector);
    for (unsigned at = 0; at < 4; ++at) {
        if (!(selector >> 4 * at & 8)) continue;
        const unsigned byte = 0xffu << 8 * at, sign = 0x80u << 8 * at;
        chosen = chosen & sign ? chosen | byte : chosen & ~byte;
    }
    return chosen;
}

// `dp2a.lo.s32.u32` and `dp2a.hi.s32.u32`: the sum of `c` and the products of the signed halves of `a` with the lower,
// or the upper, two unsigned bytes of `b`; it wraps.
inline int dp2a(unsigned a, unsigned b, int c, unsigned from) {
    unsigned sum = static_cast<unsigned>(c);
    for (unsigned i = 0; i < 2; ++i) {
        const int half = static_cast<short>(a >> 16 * i), byte = static_cast<int>(b >> 8 * (from + i) & 0xff);
        sum += static_cast<unsigned>(half * byte);
    }
    return static_cast<int>(sum);
}
inline int dp2a_lo(unsigned a, unsigned b, int c) { return dp2a(a, b, c, 0); }
inline int dp2a_hi(unsigned a, unsigned b, int c) { return dp2a(a, b, c, 2); }

// Lanes 8 i to 8 i + 7 give the addresses of the rows of matrix i: eight rows of eight halves.
inline bool load_matrices(unsigned, const unsigned char* values, unsigned char* results) {
    for (unsigned lane = 0; lane < 32; ++lane) {
        if (reinterpret_cast<unsigned long>(value_of<const void*>(values, lane)) % 16 != 0) return false;
    }
    for (unsigned lane = 0; lane < 32; ++lane) {
        for (unsigned matrix = 0; matrix < 4; ++matrix) {
            const auto* row = value_of<const unsigned char*>(values, matrix * 8 + lane / 4);
            __builtin_memcpy(&result_of<unsigned[4]>(results, lane)[matrix], row + lane % 4 * 4, 4);
        }
    }
    return true;
}

// `ldmatrix.sync.aligned.m8n8.x4.shared.b16`: each lane gives the address of a row of 16 bytes, and receives two halves
// of each of four matrices.
inline void ldmatrix_x4(unsigned (&d)[4], const void* row) {
    static constexpr Operation operation = {"ldmatrix x4", sizeof row, sizeof d, true, load_matrices};
    machine->warp(~0u, operation, &row, d);
}

// `cp.async.cg.shared.global` of 16 bytes, `cp.async.commit_group` and `cp.async.wait_group`.
inline void cp_async_16(void* to_shared, const void* from_global) { machine->copy_later(to_shared, from_global); }
inline void cp_async_commit() { machine->commit_copies(); }
template <int n> void cp_async_wait() {
    static_assert(n >= 0, "a number of groups");
    machine->await_copies(n);
}

// `wgmma.mma_async.sync.aligned.m64nNk32.s32.s8.s8` with A in registers, its fence, groups and wait.
template <int columns>
void wgmma_s8(int (&d)[columns / 2], const unsigned (&a)[4], unsigned long long b, bool add) {
    static_assert(columns % 8 == 0 && columns >= 8 && columns <= 256, "columns of wgmma");
    machine->product({d, a, b, columns, add});
}
inline void wgmma_fence() { machine->fence_products(); }
inline void wgmma_commit() { machine->commit_products(); }
template <int n> void wgmma_wait() {
    static_assert(n >= 0, "a number of groups");
    machine->await_products(n);
}

// The address in a matrix descriptor. Matrices are in dynamic shared memory here, which begins at 0.
inline unsigned matrix_address(const void* matrix) {
    const auto from = static_cast<const char*>(matrix) - static_cast<const char*>(machine->dynamic_shared);
    if (from < 0 || from >= 1 << 18 || from % 16 != 0) machine->fail("a matrix that is not in dynamic shared memory");
    return static_cast<unsigned>(from);
}

// `mbarrier.init`, `mbarrier.arrive`, `mbarrier.arrive.expect_tx`, a loop of `mbarrier.try_wait.parity`, and
// `cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes`.
inline void mbarrier_init(unsigned long long* barrier, unsigned threads) { machine->init_barrier(barrier, threads); }
inline void mbarrier_arrive(unsigned long long* barrier) { machine->arrive(barrier, 0); }
inline void mbarrier_expect(unsigned long long* barrier, unsigned bytes) { machine->arrive(barrier, bytes); }
inline void mbarrier_wait(unsigned long long* barrier, unsigned parity) { machine->await_phase(barrier, parity); }
inline void cp_async_bulk(void* to, const void* from, unsigned bytes, unsigned long long* barrier) {
    machine->copy_bulk(to, from, bytes, barrier);
}

} // namespace emulator
