// Tests of what the emulated machine has of Hopper: products of a warpgroup, bulk copies and their barriers. Layouts
// are compared with formulas of coordinates, written apart from the machine's; planted bugs must be noticed.
#include "checks.h"

#include <set>
#include <vector>

namespace {

using Bytes = std::vector<signed char>;

std::uint64_t state = 1;

signed char random_byte() {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return static_cast<signed char>(state >> 56);
}

// The layout of B in shared memory: the descriptor's swizzle, and bytes between core matrices, or between 8 columns.
struct Layout {
    unsigned swizzle, leading, stride;

    // Returns the place of byte k of column n.
    unsigned place(unsigned n, unsigned k) const {
        const unsigned eight = n / 8, r = n % 8, part = k / 16, rest = k % 16;
        switch (swizzle) {
        case 0: return eight * stride + part * leading + r * 16 + rest;
        // 8 rows of eight, four or two parts; a part changes its place by the number of its line of 128 bytes.
        case 1: return eight * stride + r * 128 + (part ^ r) * 16 + rest;
        case 2: return eight * stride + r * 64 + (part ^ r / 2) * 16 + rest;
        default: return eight * stride + r * 32 + (part ^ r / 4) * 16 + rest;
        }
    }
    unsigned long long descriptor(const void* start) const {
        const unsigned long long at = emulator::matrix_address(start);
        return at / 16 | leading / 16ull << 16 | stride / 16ull << 32 | 1ull * swizzle << 62;
    }
};

// Bugs that are planted in `multiply`.
enum Bug { NONE, NO_WAIT, EARLY_READ, NO_FENCE, CHANGED_A, CHANGED_B, EARLY_B, OTHER_WARP, OTHER_LANE, OUTSIDE, BASE };

// D (groups, 64, columns) = A (groups, 64, 64) B (64, columns) by two products, of B in shared memory. With a swizzle
// of 32 bytes, each half of B's 64 bytes has its own part. Threads are whole warpgroups.
template <int columns, Bug bug> void multiply(const signed char* a, const signed char* b, int* out, Layout layout) {
    DYNAMIC_SHARED(signed char, shared);
    const auto fill = [&] {
        for (unsigned at = threadIdx.x; at < columns * 64; at += blockDim.x) {
            const unsigned n = at / 64, k = at % 64, half = layout.swizzle == 3 ? k / 32 : 0;
            shared[half * columns / 8 * layout.stride + layout.place(n, k - 32 * half)] = b[at];
        }
    };
    if (bug != EARLY_B) fill();
    __syncthreads();
    const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    unsigned held[2][4] = {};
    for (unsigned byte = 0; byte < 32; ++byte) {
        const unsigned step = byte / 16, reg = byte / 4 % 4, e = byte % 4;
        // Row and column of an element of A (PTX ISA, "Register Fragments for wgmma.mma_async.m64nNk32").
        const unsigned row = 16 * warp + lane / 4 + 8 * (reg % 2), column = 4 * (lane % 4) + e + 16 * (reg / 2);
        held[step][reg] |= (static_cast<unsigned>(a[row * 64 + step * 32 + column]) & 0xff) << 8 * e;
    }
    int d[columns / 2];
    for (int& sum : d) sum = 7;
    if (bug != NO_FENCE) emulator::wgmma_fence();
    for (unsigned step = 0; step < 2; ++step) {
        Layout moved = layout;
        if (bug == OUTSIDE) moved.stride += 1024;
        const unsigned halves[] = {2 * layout.leading, 32, 32, columns / 8 * layout.stride};
        unsigned long long from = moved.descriptor(shared + step * halves[layout.swizzle]);
        if (bug == OTHER_LANE && lane == 9) ++from;
        if (bug == BASE) from |= 1ull << 49;
        if (bug != OTHER_WARP || warp != 2) emulator::wgmma_s8<columns>(d, held[step], from, step > 0);
    }
    emulator::wgmma_commit();
    if (bug == CHANGED_A) held[1][0] = 0;
    if (bug == CHANGED_B && lane == 0) shared[layout.place(0, 0)] = 0;
    if (bug == EARLY_B) fill();
    const int early = d[0];
    if (bug != NO_WAIT) emulator::wgmma_wait<0>();
    if (bug == EARLY_READ) d[0] = early;
    for (unsigned i = 0; i < columns / 2; ++i) {
        const unsigned row = 16 * warp + lane / 4 + 8 * (i / 2 % 2), column = 8 * (i / 4) + 2 * (lane % 4) + i % 2;
        out[row * columns + column] = d[i];
    }
}

struct Result {
    std::string fault;
    bool right;
};

template <int columns, Bug bug = NONE> Result multiplied(Layout layout, std::uint64_t seed, unsigned groups = 2) {
    Bytes a(groups * 64 * 64), b(columns * 64);
    for (auto& value : a) value = random_byte();
    for (auto& value : b) value = random_byte();
    std::vector<int> out(groups * 64 * columns, 0), expected;
    for (unsigned row = 0; row < groups * 64; ++row) {
        for (unsigned column = 0; column < columns; ++column) {
            int sum = 0;
            for (unsigned k = 0; k < 64; ++k) sum += a[row * 64 + k] * b[column * 64 + k];
            expected.push_back(sum);
        }
    }
    const unsigned bytes = columns / 8 * layout.stride * (layout.swizzle == 3 ? 2 : 1);
    const auto fault = run_with(bytes, nullptr, multiply<columns, bug>, {}, {groups * 128, 1, 1}, seed, a.data(),
                                b.data(), out.data(), layout);
    return {fault.what, out == expected};
}

constexpr Layout PLAIN = {0, 128, 512};

void products() {
    for (const Layout layout : {PLAIN, Layout{0, 256, 1024}, Layout{1, 16, 1024}, Layout{2, 16, 512},
                               Layout{3, 16, 256}}) {
        for (std::uint64_t seed = 0; seed < 3; ++seed) {
            const Result narrow = multiplied<8>(layout, seed), wide = multiplied<128>(layout, seed);
            check(narrow.fault.empty() && narrow.right, ("8 columns " + narrow.fault).c_str());
            check(wide.fault.empty() && wide.right, ("128 columns " + wide.fault).c_str());
        }
        check(multiplied<256>(layout, 5).right, "256 columns");
    }
}

template <Bug bug> void is_found(const char* what) {
    bool found = true, wrong = false;
    for (std::uint64_t seed = 0; seed < 4; ++seed) {
        const Result of = multiplied<16, bug>(PLAIN, seed);
        found &= what ? of.fault.find(what) != std::string::npos : of.fault.empty();
        wrong |= !of.right;
        if (!found) std::printf("bug %d: %s\n", bug, of.fault.c_str());
    }
    check(found, what ? what : "runs");
    check(what || wrong, "a wrong result");
}

void bugs_of_products() {
    is_found<NO_WAIT>("it ended before products of wgmma were awaited");
    is_found<EARLY_READ>(nullptr);
    is_found<NO_FENCE>("wgmma without wgmma.fence before it");
    is_found<CHANGED_A>(nullptr);
    is_found<CHANGED_B>(nullptr);
    is_found<EARLY_B>(nullptr);
    is_found<OTHER_WARP>("warps 0 and 2 of a warpgroup have begun different products");
    is_found<OTHER_LANE>("lanes of a warp that name different products");
    is_found<OUTSIDE>("a matrix that is not in dynamic shared memory");
    is_found<BASE>("a matrix descriptor with a base offset");
    check(multiplied<16, NO_WAIT>(PLAIN, 0).right == false, "sums arrive with the wait");
}

// Groups of products of two sums: a wait for all but the last delivers the first.
void two_groups(int* out) {
    DYNAMIC_SHARED(signed char, shared);
    for (unsigned at = threadIdx.x; at < 256; at += blockDim.x) shared[at] = 1;
    __syncthreads();
    const unsigned ones[4] = {0x01010101, 0x01010101, 0x01010101, 0x01010101};
    int first[4] = {}, second[4] = {};
    emulator::wgmma_fence();
    for (int round = 0; round < 2; ++round) {
        auto& d = round ? second : first;
        emulator::wgmma_s8<8>(d, ones, Layout{0, 128, 256}.descriptor(shared), true);
        emulator::wgmma_commit();
    }
    emulator::wgmma_wait<1>();
    out[threadIdx.x * 4] = first[0];
    out[threadIdx.x * 4 + 1] = second[3];
    emulator::wgmma_wait<0>();
    out[threadIdx.x * 4 + 2] = second[3];
}

void groups() {
    for (std::uint64_t seed = 0; seed < 3; ++seed) {
        std::vector<int> out(512, 0);
        check(run_with(256, nullptr, two_groups, {}, {128, 1, 1}, seed, out.data()).empty(), "two groups run");
        for (std::size_t at = 0; at < 512; at += 4) {
            check(out[at] == 32 && out[at + 1] == emulator::NOT_ARRIVED && out[at + 2] == 32, "group by group");
        }
    }
}

// Bugs that are planted in `pipeline`.
enum Slip { RIGHT, NO_FULL, SAME_PARITY, LESS, MORE, NO_EMPTY, NO_INIT, TWICE, CROOKED, ABANDONED, EARLY_EMPTY };

// Sums `in (rounds, 64)` by columns: warp 0 copies rounds to two stages, warps 1 and 2 add them.
template <Slip slip> void pipeline(const int* in, int rounds, int* out) {
    DYNAMIC_SHARED(int, shared);
    auto* const full = reinterpret_cast<unsigned long long*>(shared + 128);
    unsigned long long* const empty = full + 2;
    if (threadIdx.x == 0) {
        for (int stage = 0; stage < (slip == NO_INIT ? 1 : 2); ++stage) {
            emulator::mbarrier_init(full + stage, 1);
            emulator::mbarrier_init(empty + stage, 2);
        }
    }
    __syncthreads();
    const unsigned warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    int sum = 0;
    for (int round = 0; round < rounds; ++round) {
        const int stage = round % 2;
        const unsigned parity = round / 2 % 2;
        int* const row = shared + stage * 64;
        if (warp == 0 && lane == 0) {
            if (slip != NO_EMPTY) emulator::mbarrier_wait(empty + stage, parity ^ 1);
            emulator::mbarrier_expect(full + stage, slip == LESS ? 240 : slip == MORE ? 272 : 256);
            if (slip == TWICE) emulator::mbarrier_arrive(full + stage);
            emulator::cp_async_bulk(row, in + round * 64 + (slip == CROOKED), 256, full + stage);
        } else if (warp > 0) {
            const unsigned awaited = slip == SAME_PARITY ? 0 : parity;
            if (slip != NO_FULL && slip != ABANDONED) emulator::mbarrier_wait(full + stage, awaited);
            if (slip == EARLY_EMPTY && lane == 0) emulator::mbarrier_arrive(empty + stage);
            sum += row[(warp - 1) * 32 + lane];
            __syncwarp();
            if (slip != EARLY_EMPTY && lane == 0) emulator::mbarrier_arrive(empty + stage);
        }
    }
    if (warp > 0) out[threadIdx.x - 32] = sum;
}

template <Slip slip> Result piped(std::uint64_t seed, int rounds = 9) {
    alignas(16) static int in[64 * 10];
    std::vector<int> out(64, 0), expected(64, 0);
    for (std::size_t at = 0; at < static_cast<std::size_t>(rounds) * 64; ++at) {
        in[at] = random_byte();
        expected[at % 64] += in[at];
    }
    const auto fault = run_with(512 + 32, nullptr, pipeline<slip>, {}, {96, 1, 1}, seed, &in[0], rounds, out.data());
    return {fault.what, out == expected};
}

template <Slip slip> void slips(const char* what) {
    int wrong = 0;
    for (std::uint64_t seed = 0; seed < 6; ++seed) {
        const Result of = piped<slip>(seed);
        wrong += what ? of.fault.find(what) != std::string::npos : !of.fault.empty() || !of.right;
        if (what && of.fault.find(what) == std::string::npos) std::printf("slip %d: %s\n", slip, of.fault.c_str());
    }
    check(what ? wrong == 6 : wrong >= 4, what ? what : "a wrong sum");
}

void copies() {
    for (std::uint64_t seed = 0; seed < 6; ++seed) {
        const Result of = piped<RIGHT>(seed);
        check(of.fault.empty() && of.right, ("a pipeline " + of.fault).c_str());
    }
    slips<NO_FULL>(nullptr);
    slips<SAME_PARITY>(nullptr);
    slips<NO_EMPTY>(nullptr);
    slips<EARLY_EMPTY>(nullptr);
    slips<LESS>("more bytes arrive at an mbarrier than its phase expects");
    slips<MORE>("of an mbarrier");
    slips<NO_INIT>("an mbarrier that is not initialized");
    slips<TWICE>("more arrivals at an mbarrier than it counts");
    slips<CROOKED>("cp.async.bulk that is not of aligned parts of 16 bytes");
    check(piped<ABANDONED>(0, 2).fault.find("it ended before a bulk copy arrived") != std::string::npos, "left open");
    check(piped<MORE>(0).fault.find("deadlock") != std::string::npos, "bytes that never arrive");
}

void wild_bulk(int* to, const int* from) {
    DYNAMIC_SHARED(unsigned long long, barrier);
    emulator::mbarrier_init(barrier, 1);
    emulator::cp_async_bulk(to, from, 16, barrier);
}
void wild_barrier(unsigned long long* at) { emulator::mbarrier_init(at, 1); }

void faults() {
    alignas(16) int memory[8];
    unsigned long long barrier = 0;
    const std::string to = run_with(16, nullptr, wild_bulk, {}, {}, 0, &memory[0], &memory[4]).what;
    check(to.find("cp.async.bulk to memory that is not shared") != std::string::npos, to.c_str());
    const std::string at = run_with(16, nullptr, wild_barrier, {}, {}, 0, &barrier).what;
    check(at.find("an mbarrier outside of shared memory") != std::string::npos, at.c_str());
}

} // namespace

int main() {
    products();
    bugs_of_products();
    groups();
    copies();
    faults();
    std::puts(failures ? "emulated warpgroups: broken" : "emulated warpgroups: ok");
    return failures != 0;
}
