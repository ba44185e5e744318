// Products of a warpgroup that run while its threads go on: `wgmma.mma_async`.
//
// Each of the four warps computes 16 of the 64 rows by itself, so a warp's products are kept together. Sums are held
// back, and their registers poisoned, until a wait delivers them; A and B are read at some time in between.
#pragma once
#include "interface.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace emulator {

// Fields of a matrix descriptor (PTX ISA, "Matrix-descriptor format"), in bytes.
struct Descriptor {
    unsigned start, leading, stride, base, swizzle;

    explicit Descriptor(unsigned long long bits)
        : start((bits & 0x3fff) << 4), leading((bits >> 16 & 0x3fff) << 4), stride((bits >> 32 & 0x3fff) << 4),
          base(bits >> 49 & 7), swizzle(bits >> 62) {}

    // Returns the address within shared memory of byte k of column n, where the bytes of a column follow each other:
    // in core matrices of 8 columns of 16 bytes, or in rows of 128, 64 or 32 bytes whose 16-byte parts are exchanged by
    // the bits of the address from 7 on.
    unsigned address(unsigned n, unsigned k) const {
        if (swizzle == 0) return start + n / 8 * stride + k / 16 * leading + n % 8 * 16 + k % 16;
        const unsigned width = 256 >> swizzle, plain = start + n / 8 * stride + n % 8 * width + k;
        return plain ^ (plain >> 7 & (width / 16 - 1)) << 4;
    }
};

// Pattern of registers whose sums have not arrived.
constexpr int NOT_ARRIVED = 0x5a5a5a5a;

class Products {
public:
    // Begins a product of all lanes. Returns a broken rule, or nothing.
    std::string begin(const Product (&lanes)[32]) {
        const Product& first = lanes[0];
        for (const Product& lane : lanes) {
            const bool same = lane.b == first.b && lane.columns == first.columns && lane.add == first.add;
            if (!same) return "lanes of a warp that name different products";
        }
        auto sums = std::find_if(held.begin(), held.end(), [&](const Held& one) { return one.lanes[0] == first.d; });
        if (sums == held.end()) {
            if (!fenced) return "wgmma without wgmma.fence before it";
            held.emplace_back();
            sums = held.end() - 1;
            for (unsigned lane = 0; lane < 32; ++lane) {
                int* const d = lanes[lane].d;
                sums->lanes[lane] = d;
                sums->sums.insert(sums->sums.end(), d, d + first.columns / 2);
                std::fill(d, d + first.columns / 2, NOT_ARRIVED);
            }
        }
        Begun begun;
        std::copy(lanes, lanes + 32, begun.lanes);
        begun.number = ++number;
        sums->last = number;
        queue.push_back(begun);
        for (std::uint64_t part : {std::uint64_t{first.b}, std::uint64_t{first.columns}, std::uint64_t{first.add}}) {
            trace = (trace ^ part) * 0x9e3779b97f4a7c15u + 1;
        }
        return {};
    }

    void fence() { fenced = true; }

    // Makes the products since the last call a group.
    void commit() { ends.push_back(number); }

    // Computes all products that were begun, reading A and B now. `shared` returns the address of 16 bytes of shared
    // memory, or null outside of it. Returns a broken rule, or nothing.
    template <class Shared> std::string compute(const Shared& shared, std::uint64_t end = ~std::uint64_t{0}) {
        while (!queue.empty() && queue.front().number <= end) {
            const std::string fault = compute(queue.front(), shared);
            if (!fault.empty()) return fault;
            queue.erase(queue.begin());
        }
        return {};
    }

    // Delivers the sums of all groups but the last `groups`.
    template <class Shared> std::string await(std::size_t groups, const Shared& shared) {
        fenced = false;
        if (ends.size() <= groups) return {};
        const std::uint64_t end = ends[ends.size() - groups - 1];
        ends.erase(ends.begin(), ends.end() - static_cast<std::ptrdiff_t>(groups));
        const std::string fault = compute(shared, end);
        const auto deliver = [&](Held& one) {
            if (one.last > end) return false;
            const std::size_t per_lane = one.sums.size() / 32;
            for (std::size_t lane = 0; lane < 32; ++lane) {
                std::memcpy(one.lanes[lane], &one.sums[lane * per_lane], per_lane * sizeof(int));
            }
            return true;
        };
        held.erase(std::remove_if(held.begin(), held.end(), deliver), held.end());
        return fault;
    }

    // Whether sums were not awaited.
    bool outstanding() const { return !held.empty(); }

    // A number that is the same for two warps if they have begun the same products.
    std::uint64_t history() const { return trace; }

private:
    struct Begun {
        Product lanes[32];
        std::uint64_t number;
    };
    struct Held {
        int* lanes[32];
        std::vector<int> sums;
        // The last product that adds to them.
        std::uint64_t last;
    };

    template <class Shared> std::string compute(const Begun& begun, const Shared& shared) {
        const Product& first = begun.lanes[0];
        const Descriptor descriptor(first.b);
        if (descriptor.base != 0) return "a matrix descriptor with a base offset";
        // As halves, which compilers multiply in pairs.
        static thread_local short a[16][32], b[256][32];
        for (unsigned n = 0; n < first.columns; ++n) {
            for (unsigned k = 0; k < 32; k += 16) {
                const unsigned char* from = shared(descriptor.address(n, k));
                if (!from) return "a matrix that is not in dynamic shared memory";
                for (unsigned i = 0; i < 16; ++i) b[n][k + i] = static_cast<signed char>(from[i]);
            }
        }
        for (unsigned lane = 0; lane < 32; ++lane) {
            for (unsigned i = 0; i < 16; ++i) {
                // Register i / 4: the lower or upper half of the rows, then of the columns.
                const unsigned row = lane / 4 + i / 4 % 2 * 8, k = i / 8 * 16 + lane % 4 * 4 + i % 4;
                a[row][k] = static_cast<signed char>(begun.lanes[lane].a[i / 4] >> i % 4 * 8);
            }
        }
        const auto sums =
            std::find_if(held.begin(), held.end(), [&](const Held& one) { return one.lanes[0] == first.d; });
        int* sum = sums->sums.data();
        for (unsigned lane = 0; lane < 32; ++lane) {
            for (unsigned i = 0; i < first.columns / 2; ++i, ++sum) {
                const short *row = a[lane / 4 + i / 2 % 2 * 8], *column = b[i / 4 * 8 + lane % 4 * 2 + i % 2];
                int dot = 0;
                for (unsigned k = 0; k < 32; ++k) dot += row[k] * column[k];
                const unsigned before = first.add ? static_cast<unsigned>(*sum) : 0u;
                *sum = static_cast<int>(before + static_cast<unsigned>(dot));
            }
        }
        return {};
    }

    std::vector<Begun> queue;
    std::vector<Held> held;
    // Number of the last product of each group, and of all.
    std::vector<std::uint64_t> ends;
    std::uint64_t number = 0, trace = 0;
    bool fenced = false;
};

} // namespace emulator
