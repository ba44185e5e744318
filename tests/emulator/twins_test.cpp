// Tests the emulated arithmetic and PTX instructions against independent definitions: loops over whole matrices, one
// bit or one element at a time.
#include "checks.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

namespace {

std::uint64_t state = 1;

unsigned random_bits() {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return static_cast<unsigned>(state >> 32);
}

// Returns the byte of `y:x` that a nibble of a selector chooses.
unsigned permuted(unsigned x, unsigned y, unsigned nibble) {
    unsigned char from[8];
    std::memcpy(from, &x, 4);
    std::memcpy(from + 4, &y, 4);
    return from[nibble % 8];
}

// Returns the same, or eight copies of the byte's sign for a nibble of 8 or more.
unsigned permuted_or_sign(unsigned x, unsigned y, unsigned nibble) {
    const unsigned byte = permuted(x, y, nibble);
    return nibble < 8 ? byte : (byte > 127 ? 255 : 0);
}

// Returns the sum of `c` and of two products of signed halves of `a` with bytes of `b`.
int two_products(unsigned a, const unsigned char* b, int c) {
    std::int16_t halves[2];
    std::memcpy(halves, &a, 4);
    return static_cast<int>(static_cast<std::int64_t>(c) + halves[0] * b[0] + halves[1] * b[1]);
}

void integers() {
    for (int round = 0; round < 1000; ++round) {
        const unsigned x = random_bits(), y = random_bits(), s = random_bits() & 0xffff;
        unsigned expected = 0, with_signs = 0;
        for (int i = 3; i >= 0; --i) {
            expected = expected * 256 + permuted(x, y, s >> 4 * i & 15);
            with_signs = with_signs * 256 + permuted_or_sign(x, y, s >> 4 * i & 15);
        }
        check(__byte_perm(x, y, s | 0xabcd0000u) == expected, "__byte_perm");
        check(emulator::prmt(x, y, s | 0xabcd0000u) == with_signs, "prmt");
        unsigned char bytes[4];
        std::memcpy(bytes, &y, 4);
        check(emulator::dp2a_lo(x, y, -5) == two_products(x, bytes, -5), "dp2a.lo");
        check(emulator::dp2a_hi(x, y, -5) == two_products(x, bytes + 2, -5), "dp2a.hi");
        int dot = static_cast<int>(s);
        unsigned udot = s;
        for (int i = 0; i < 4; ++i) {
            std::int8_t a = 0, b = 0;
            std::memcpy(&a, reinterpret_cast<const char*>(&x) + i, 1);
            std::memcpy(&b, reinterpret_cast<const char*>(&y) + i, 1);
            dot += a * b;
            udot += static_cast<std::uint8_t>(a) * static_cast<unsigned>(static_cast<std::uint8_t>(b));
        }
        check(__dp4a(static_cast<int>(x), static_cast<int>(y), static_cast<int>(s)) == dot, "__dp4a of signed bytes");
        check(__dp4a(x, y, s) == udot, "__dp4a of unsigned bytes");
        std::uint64_t both = static_cast<std::uint64_t>(y) << 32 | x;
        for (unsigned i = 0; i < s % 32; ++i) both /= 2;
        check(__funnelshift_r(x, y, s) == static_cast<unsigned>(both), "__funnelshift_r");
        both = static_cast<std::uint64_t>(y) << 32 | x;
        for (unsigned i = 0; i < s % 32; ++i) both *= 2;
        check(__funnelshift_l(x, y, s) == static_cast<unsigned>(both >> 32), "__funnelshift_l");
    }
    check(__popc(0xf0f1u) == 9 && __popcll(~0ull) == 64 && __clz(0) == 32 && __clz(1) == 31 && __clz(-1) == 0, "bits");
    check(__clzll(0) == 64 && __clzll(1ll << 40) == 23 && __ffs(0) == 0 && __ffs(24) == 4, "more bits");
    check(__vimax3_s32(-5, -3, -9) == -3 && min(1u, ~0u) == 1 && max(-1, 1) == 1, "the largest");
}

void floats() {
    const float nan = std::numeric_limits<float>::quiet_NaN(), infinity = std::numeric_limits<float>::infinity();
    check(__float2int_rn(0.5f) == 0 && __float2int_rn(1.5f) == 2 && __float2int_rn(-2.5f) == -2, "ties to even");
    check(__float2int_rn(infinity) == 2147483647 && __float2int_rn(3e9f) == 2147483647, "most");
    check(__float2int_rn(nan) == 0, "nothing of NaN");
    check(__float2int_rn(-infinity) == -2147483647 - 1 && __float2int_rn(-3e9f) == -2147483647 - 1, "least");
    check(max(nan, 1.0f) == 1 && min(1.0f, nan) == 1 && max(-0.5f, 2.0f) == 2, "numbers before NaN");
    check(__float_as_uint(-1.0f) == 0xbf800000u && __int_as_float(0x40490fdb) > 3.14159f, "the bits of floats");
    check(__fmaf_rn(1.0f + 0x1p-12f, 1.0f + 0x1p-12f, -1.0f) == 0x1p-11f + 0x1p-24f, "rounded once");
    const float rounded = __fmul_rn(1.0f + 0x1p-12f, 1.0f + 0x1p-12f);
    check(__fadd_rn(rounded, -1.0f) == 0x1p-11f, "rounded twice");
    // All halves by their definition, and the numbers between two of them.
    for (unsigned bits = 0; bits < 0x7c00; ++bits) {
        const int exponent = static_cast<int>(bits >> 10), fraction = static_cast<int>(bits & 1023);
        const double value = exponent ? std::ldexp(1024 + fraction, exponent - 25) : std::ldexp(fraction, -24);
        const auto half = static_cast<unsigned short>(bits);
        check(emulator::half_to_float(half) == value, "a half");
        check(emulator::half_to_float(half | 0x8000u) == -value, "a negative half");
        check(emulator::float_to_half(static_cast<float>(-value)) == (half | 0x8000u), "a half of a float");
        if (bits == 0x7bff) continue;
        const float next = emulator::half_to_float(static_cast<unsigned short>(bits + 1));
        const float middle = (static_cast<float>(value) + next) / 2;
        check(emulator::float_to_half(middle) == bits + bits % 2, "a tie between halves");
        check(emulator::float_to_half(std::nextafterf(middle, 0)) == bits, "below a tie");
        check(emulator::float_to_half(std::nextafterf(middle, 1e9f)) == bits + 1, "above a tie");
    }
    check(emulator::float_to_half(65519.9f) == 0x7bff, "the largest half");
    check(emulator::float_to_half(65520.0f) == 0x7c00, "and what is too large for it");
    check(std::isinf(emulator::half_to_float(0xfc00)), "infinity");
    check(std::isnan(emulator::half_to_float(0x7e00)), "NaN");
    check(std::isnan(emulator::half_to_float(emulator::float_to_half(nan))), "NaN stays");
}

// C (16, 8) += A (16, 32) B (32, 8), all in rows.
void multiply_s8(const signed char* a, const signed char* b, int* c) {
    const int lane = static_cast<int>(threadIdx.x), g = lane / 4, t = lane % 4;
    unsigned ra[4] = {}, rb[2] = {};
    for (int i = 0; i < 4; ++i) {
        const auto at = [&](int value) { return (static_cast<unsigned>(value) & 0xff) << 8 * i; };
        ra[0] |= at(a[g * 32 + 4 * t + i]);
        ra[1] |= at(a[(g + 8) * 32 + 4 * t + i]);
        ra[2] |= at(a[g * 32 + 16 + 4 * t + i]);
        ra[3] |= at(a[(g + 8) * 32 + 16 + 4 * t + i]);
        rb[0] |= at(b[(4 * t + i) * 8 + g]);
        rb[1] |= at(b[(16 + 4 * t + i) * 8 + g]);
    }
    int d[4] = {c[g * 8 + 2 * t], c[g * 8 + 2 * t + 1], c[(g + 8) * 8 + 2 * t], c[(g + 8) * 8 + 2 * t + 1]};
    emulator::mma_s8(d, ra, rb);
    c[g * 8 + 2 * t] = d[0];
    c[g * 8 + 2 * t + 1] = d[1];
    c[(g + 8) * 8 + 2 * t] = d[2];
    c[(g + 8) * 8 + 2 * t + 1] = d[3];
}

// C (16, 8) += A (16, 16) B (16, 8) of halves; A is loaded by ldmatrix.
void multiply_f16(const unsigned short* a, const unsigned short* b, float* c) {
    DYNAMIC_SHARED(unsigned short, shared);
    const int lane = static_cast<int>(threadIdx.x), g = lane / 4, t = lane % 4;
    for (int i = lane; i < 256; i += 32) shared[i] = a[i];
    __syncwarp();
    unsigned ra[4], rb[2] = {};
    emulator::ldmatrix_x4(ra, shared + lane % 16 * 16 + lane / 16 * 8);
    for (int i = 0; i < 2; ++i) {
        rb[0] |= static_cast<unsigned>(b[(2 * t + i) * 8 + g]) << 16 * i;
        rb[1] |= static_cast<unsigned>(b[(8 + 2 * t + i) * 8 + g]) << 16 * i;
    }
    float d[4] = {c[g * 8 + 2 * t], c[g * 8 + 2 * t + 1], c[(g + 8) * 8 + 2 * t], c[(g + 8) * 8 + 2 * t + 1]};
    emulator::mma_f16(d, ra, rb);
    c[g * 8 + 2 * t] = d[0];
    c[g * 8 + 2 * t + 1] = d[1];
    c[(g + 8) * 8 + 2 * t] = d[2];
    c[(g + 8) * 8 + 2 * t + 1] = d[3];
}

void products() {
    std::vector<signed char> a(16 * 32), b(32 * 8);
    std::vector<int> c(16 * 8), expected;
    for (auto& value : a) value = static_cast<signed char>(random_bits());
    for (auto& value : b) value = static_cast<signed char>(random_bits());
    for (auto& value : c) value = static_cast<int>(random_bits()) / 4;
    a[0] = b[0] = -128;
    for (std::size_t row = 0; row < 16; ++row) {
        for (std::size_t column = 0; column < 8; ++column) {
            int sum = c[row * 8 + column];
            for (std::size_t k = 0; k < 32; ++k) sum += a[row * 32 + k] * b[k * 8 + column];
            expected.push_back(sum);
        }
    }
    check(run(multiply_s8, {}, {32, 1, 1}, 5, a.data(), b.data(), c.data()).empty() && c == expected, "mma of bytes");
    c.assign(c.size(), 2147483647);
    for (auto& value : a) value = 1;
    for (auto& value : b) value = 1;
    run(multiply_s8, {}, {32, 1, 1}, 5, a.data(), b.data(), c.data());
    check(c[0] == -2147483647 + 30 && c[127] == c[0], "its sums wrap");

    // Small integers as halves: every sum is exact.
    std::vector<unsigned short> ha(256), hb(128);
    std::vector<float> hc(128), sums;
    for (auto& value : ha) value = emulator::float_to_half(static_cast<float>(random_bits() % 65) - 32);
    for (auto& value : hb) value = emulator::float_to_half((static_cast<float>(random_bits() % 65) - 32) / 8);
    for (auto& value : hc) value = static_cast<float>(random_bits() % 65);
    for (std::size_t row = 0; row < 16; ++row) {
        for (std::size_t column = 0; column < 8; ++column) {
            double sum = hc[row * 8 + column];
            for (std::size_t k = 0; k < 16; ++k) {
                sum += static_cast<double>(emulator::half_to_float(ha[row * 16 + k])) *
                       emulator::half_to_float(hb[k * 8 + column]);
            }
            sums.push_back(static_cast<float>(sum));
        }
    }
    const auto run_f16 = [&](unsigned threads) {
        return run_with(512, nullptr, multiply_f16, {}, {threads, 1, 1}, 9, ha.data(), hb.data(), hc.data()).what;
    };
    check(run_f16(32).empty() && hc == sums, "mma of halves");
    const std::string few = run_f16(31);
    check(few.find("ldmatrix x4 in a warp of fewer than 32 lanes") != std::string::npos, few.c_str());
}

// Copies two rows of 16 bytes per thread; with `waits` it waits for the first one, then for both.
template <bool waits> void copied(const int* in, int* out) {
    DYNAMIC_SHARED(int, rows);
    const unsigned first = threadIdx.x * 4, second = (threadIdx.x + blockDim.x) * 4;
    emulator::cp_async_16(rows + first, in + first);
    emulator::cp_async_commit();
    emulator::cp_async_16(rows + second, in + second);
    emulator::cp_async_commit();
    if (waits) emulator::cp_async_wait<1>();
    out[threadIdx.x] = rows[first + 3];
    out[threadIdx.x + 2 * blockDim.x] = rows[second];
    if (waits) emulator::cp_async_wait<0>();
    out[threadIdx.x + blockDim.x] = rows[second + 3];
}

void wild_copy(const int* in, int* out, int by) { emulator::cp_async_16(out, in + by); }
void crooked_copy(const int* in, int by) {
    DYNAMIC_SHARED(int, rows);
    emulator::cp_async_16(rows, in + by);
}
void crooked_row(int by) {
    DYNAMIC_SHARED(int, rows);
    unsigned d[4];
    emulator::ldmatrix_x4(d, rows + by);
}

void copies() {
    alignas(16) int in[64 * 4];
    for (int i = 0; i < 256; ++i) in[i] = i;
    for (std::uint64_t seed = 0; seed < 4; ++seed) {
        std::vector<int> out(96, -2);
        check(run_with(1024, nullptr, copied<true>, {}, {32, 1, 1}, seed, &in[0], out.data()).empty(), "copies");
        for (int i = 0; i < 64; ++i) check(out[static_cast<std::size_t>(i)] == i * 4 + 3, "awaited copies are there");
        int late = 0;
        for (int i = 0; i < 32; ++i) late += out[static_cast<std::size_t>(64 + i)] == -1;
        check(seed ? late > 12 && late < 32 : late == 32, "those that were not awaited need not be");
        run_with(1024, nullptr, copied<false>, {}, {32, 1, 1}, seed, &in[0], out.data());
        late = 0;
        for (int i = 0; i < 64; ++i) late += out[static_cast<std::size_t>(i)] == -1;
        check(seed ? late > 30 : late == 64, "a missing wait is found out");
    }
    const emulator::Fault wild = run_with(64, nullptr, wild_copy, {}, {1, 1, 1}, 0, &in[0], &in[32], 0);
    check(wild.what.find("cp.async to memory that is not shared") != std::string::npos, wild.what.c_str());
    const std::string crooked = run_with(64, nullptr, crooked_copy, {}, {1, 1, 1}, 0, &in[0], 1).what;
    check(crooked.find("16 bytes that are not aligned") != std::string::npos, crooked.c_str());
    const std::string row = run_with(64, nullptr, crooked_row, {}, {32, 1, 1}, 0, 1).what;
    check(row.find("broke a rule of ldmatrix x4") != std::string::npos, row.c_str());
}

} // namespace

int main() {
    integers();
    floats();
    products();
    copies();
    std::puts(failures ? "emulated arithmetic: broken" : "emulated arithmetic: ok");
    return failures != 0;
}
