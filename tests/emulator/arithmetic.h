// CUDA's arithmetic functions, as its programming guide and its math reference define them.
#pragma once

// Declarations of libm, whose headers would take longer to read than most kernels.
extern "C" {
#define EMULATED_FUNCTION(name)                                                                                        \
    double name(double) noexcept;                                                                                      \
    float name##f(float) noexcept;
EMULATED_FUNCTION(sqrt)
EMULATED_FUNCTION(cbrt)
EMULATED_FUNCTION(exp)
EMULATED_FUNCTION(exp2)
EMULATED_FUNCTION(expm1)
EMULATED_FUNCTION(log)
EMULATED_FUNCTION(log2)
EMULATED_FUNCTION(log10)
EMULATED_FUNCTION(log1p)
EMULATED_FUNCTION(sin)
EMULATED_FUNCTION(cos)
EMULATED_FUNCTION(tanh)
EMULATED_FUNCTION(erf)
EMULATED_FUNCTION(fabs)
EMULATED_FUNCTION(floor)
EMULATED_FUNCTION(ceil)
EMULATED_FUNCTION(trunc)
EMULATED_FUNCTION(rint)
EMULATED_FUNCTION(round)
#undef EMULATED_FUNCTION
#define EMULATED_FUNCTION(name)                                                                                        \
    double name(double, double) noexcept;                                                                              \
    float name##f(float, float) noexcept;
EMULATED_FUNCTION(pow)
EMULATED_FUNCTION(fmod)
EMULATED_FUNCTION(fmin)
EMULATED_FUNCTION(fmax)
EMULATED_FUNCTION(copysign)
#undef EMULATED_FUNCTION
double fma(double, double, double) noexcept;
float fmaf(float, float, float) noexcept;
double ldexp(double, int) noexcept;
float ldexpf(float, int) noexcept;
}
inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }

namespace emulator {
template <class To, class From> To bits(From from) {
    static_assert(sizeof(To) == sizeof(From), "as many bits");
    To to;
    __builtin_memcpy(&to, &from, sizeof(To));
    return to;
}
} // namespace emulator

inline int __float_as_int(float x) { return emulator::bits<int>(x); }
inline unsigned __float_as_uint(float x) { return emulator::bits<unsigned>(x); }
inline float __int_as_float(int x) { return emulator::bits<float>(x); }
inline float __uint_as_float(unsigned x) { return emulator::bits<float>(x); }
inline long long __double_as_longlong(double x) { return emulator::bits<long long>(x); }
inline double __longlong_as_double(long long x) { return emulator::bits<double>(x); }

// Round to nearest, ties to even, after each operation: C++ does so when contraction is off.
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fsqrt_rn(float a) { return sqrtf(a); }
inline float __frcp_rn(float a) { return 1.0f / a; }
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline float __int2float_rn(int x) { return static_cast<float>(x); }
inline float __uint2float_rn(unsigned x) { return static_cast<float>(x); }
inline float __ll2float_rn(long long x) { return static_cast<float>(x); }

// Values out of range saturate; NaN becomes 0.
inline int __float2int_rn(float x) {
    if (x != x) return 0;
    if (x >= 2147483648.0f) return 2147483647;
    if (x < -2147483648.0f) return -2147483647 - 1;
    return static_cast<int>(rintf(x));
}
inline unsigned __float2uint_rn(float x) {
    if (!(x > 0.0f)) return 0;
    return x >= 4294967296.0f ? ~0u : static_cast<unsigned>(static_cast<long long>(rintf(x)));
}
inline int __float2int_rz(float x) { return __float2int_rn(truncf(x)); }
inline int __float2int_rd(float x) { return __float2int_rn(floorf(x)); }

#define EMULATED_MIN_MAX(type)                                                                                         \
    inline type min(type a, type b) { return b < a ? b : a; }                                                          \
    inline type max(type a, type b) { return a < b ? b : a; }
EMULATED_MIN_MAX(int)
EMULATED_MIN_MAX(unsigned)
EMULATED_MIN_MAX(long)
EMULATED_MIN_MAX(unsigned long)
EMULATED_MIN_MAX(long long)
EMULATED_MIN_MAX(unsigned long long)
#undef EMULATED_MIN_MAX
// Given a number and NaN, these return the number.
inline float min(float a, float b) { return fminf(a, b); }
inline float max(float a, float b) { return fmaxf(a, b); }
inline double min(double a, double b) { return fmin(a, b); }
inline double max(double a, double b) { return fmax(a, b); }

inline int __vimax3_s32(int a, int b, int c) { return max(max(a, b), c); }
inline int __vimin3_s32(int a, int b, int c) { return min(min(a, b), c); }

inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __clz(int x) { return x == 0 ? 32 : __builtin_clz(static_cast<unsigned>(x)); }
inline int __clzll(long long x) { return x == 0 ? 64 : __builtin_clzll(static_cast<unsigned long long>(x)); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __ffsll(long long x) { return __builtin_ffsll(x); }
inline unsigned __brev(unsigned x) {
    unsigned reversed = 0;
    for (int bit = 0; bit < 32; ++bit) reversed |= (x >> bit & 1) << (31 - bit);
    return reversed;
}

// Returns 32 bits of the 64-bit number `high:low`, shifted by the lowest five bits of `by`.
inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned by) {
    return static_cast<unsigned>((static_cast<unsigned long long>(high) << 32 | low) >> (by & 31));
}
inline unsigned __funnelshift_l(unsigned low, unsigned high, unsigned by) {
    return static_cast<unsigned>((static_cast<unsigned long long>(high) << 32 | low) << (by & 31) >> 32);
}

// Each nibble of `selector` chooses a byte of `y:x`, numbered from the lowest byte of `x`, by its lower three bits.
inline unsigned __byte_perm(unsigned x, unsigned y, unsigned selector) {
    const unsigned long long bytes = static_cast<unsigned long long>(y) << 32 | x;
    unsigned chosen = 0;
    for (unsigned at = 0; at < 32; at += 8, selector >>= 4) {
        chosen |= (static_cast<unsigned>(bytes >> (selector & 7) * 8) & 0xff) << at;
    }
    return chosen;
}

// Returns the sum of four products of bytes and `c`; it wraps.
inline unsigned __dp4a(unsigned a, unsigned b, unsigned c) {
    for (int at = 0; at < 32; at += 8) c += (a >> at & 0xff) * (b >> at & 0xff);
    return c;
}
inline int __dp4a(int a, int b, int c) {
    unsigned sum = static_cast<unsigned>(c);
    for (int at = 0; at < 32; at += 8) {
        sum += static_cast<unsigned>(static_cast<signed char>(a >> at) * static_cast<signed char>(b >> at));
    }
    return static_cast<int>(sum);
}

// Returns the sum of `c` and the products of the halves of `a` with the two lower, or upper, bytes of `b`; it wraps.
namespace emulator {
inline int two_products(int a, int b, int c) {
    unsigned sum = static_cast<unsigned>(c);
    for (int at = 0; at < 2; ++at) {
        sum += static_cast<unsigned>(static_cast<short>(a >> 16 * at) * static_cast<signed char>(b >> 8 * at));
    }
    return static_cast<int>(sum);
}
} // namespace emulator
inline int __dp2a_lo(int a, int b, int c) { return emulator::two_products(a, b, c); }
inline int __dp2a_hi(int a, int b, int c) { return emulator::two_products(a, b >> 16, c); }
