// Barriers of arrivals and bytes in shared memory, `mbarrier`, and the bulk copies that arrive at them.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace emulator {

// A barrier, as the eight bytes that it takes: its phase ends when as many threads have arrived as it counts and all
// bytes that the phase expects.
class Phases {
public:
    static Phases of(std::uint64_t bits) {
        Phases all;
        all.valid = bits >> 62 == MAGIC;
        all.odd = bits >> 61 & 1;
        all.count = bits >> 41 & MOST;
        all.left = bits >> 21 & MOST;
        all.bytes = static_cast<int>(bits & 0x1fffff) - BIAS;
        return all;
    }
    std::uint64_t bits() const {
        return MAGIC << 62 | std::uint64_t{odd} << 61 | std::uint64_t{count} << 41 | std::uint64_t{left} << 21 |
               static_cast<std::uint64_t>(bytes + BIAS);
    }

    static constexpr unsigned MOST = 0xfffff;

    // Returns a broken rule, or nothing, as the next ones.
    std::string init(unsigned threads) {
        if (threads == 0 || threads > MOST) return "a wrong count of an mbarrier";
        *this = {};
        valid = true;
        count = left = threads;
        return {};
    }
    std::string expect(unsigned more) {
        if (more > MOST) return "too many bytes for an mbarrier";
        bytes += static_cast<int>(more);
        return {};
    }
    std::string arrive() {
        if (left == 0) return "more arrivals at an mbarrier than it counts";
        --left;
        return turn();
    }
    std::string complete(unsigned arrived) {
        bytes -= static_cast<int>(arrived);
        return turn();
    }

    // Whether it was initialized. Memory that was not has all bits set.
    bool valid = false;
    // The parity of the phase that runs.
    bool odd = false;

private:
    static constexpr std::uint64_t MAGIC = 1;
    static constexpr int BIAS = 1 << 20;

    std::string turn() {
        if (left > 0) return {};
        // While threads have not arrived, one of them may still expect these bytes.
        if (bytes < 0) return "more bytes arrive at an mbarrier than its phase expects";
        if (bytes > 0) return {};
        odd = !odd;
        left = count;
        return {};
    }

    unsigned count = 0, left = 0;
    int bytes = 0;
};

// A copy that was begun: `cp.async.bulk`.
struct BulkCopy {
    unsigned char* to;
    const unsigned char* from;
    unsigned bytes;
    std::uint64_t* barrier;
};

// Pattern of shared memory whose bytes have not arrived.
constexpr int BYTE_NOT_ARRIVED = 0xa5;

} // namespace emulator
