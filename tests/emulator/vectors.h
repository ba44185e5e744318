// CUDA's vector types, with CUDA's alignment.
#pragma once

#define EMULATED_VECTORS(name, scalar)                                                                                 \
    struct alignas(2 * sizeof(scalar)) name##2 {                                                                       \
        scalar x, y;                                                                                                   \
    };                                                                                                                 \
    struct alignas(4 * sizeof(scalar)) name##4 {                                                                       \
        scalar x, y, z, w;                                                                                             \
    };                                                                                                                 \
    inline name##2 make_##name##2(scalar x, scalar y) { return {x, y}; }                                               \
    inline name##4 make_##name##4(scalar x, scalar y, scalar z, scalar w) { return {x, y, z, w}; }

EMULATED_VECTORS(char, signed char)
EMULATED_VECTORS(uchar, unsigned char)
EMULATED_VECTORS(short, short)
EMULATED_VECTORS(ushort, unsigned short)
EMULATED_VECTORS(int, int)
EMULATED_VECTORS(uint, unsigned)
EMULATED_VECTORS(float, float)
#undef EMULATED_VECTORS

struct alignas(16) longlong2 {
    long long x, y;
};
struct alignas(16) ulonglong2 {
    unsigned long long x, y;
};
struct alignas(16) double2 {
    double x, y;
};
inline longlong2 make_longlong2(long long x, long long y) { return {x, y}; }
inline ulonglong2 make_ulonglong2(unsigned long long x, unsigned long long y) { return {x, y}; }
inline double2 make_double2(double x, double y) { return {x, y}; }
inline uint3 make_uint3(unsigned x, unsigned y, unsigned z) { return {x, y, z}; }
