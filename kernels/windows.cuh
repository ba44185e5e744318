// Unpacks residual rows of 1 and 2 bits to the left sides of products, four chunks (levels.cuh) of a row at a time, in
// few instructions of the integer pipe: buckets, and trellises whose levels are at most 127 apart.
//
// A run is the bits r of four chunks and the bits after them; a row is a ring. A trellis has the window of a component
// name its level: bit i of the name is r[i] ^ r[i + 1], and for i < NBITS also ^ r[i + 8 - NBITS]. For all bits of a
// run at once,
//
//   y = r ^ r >> 1, z = r >> (8 - NBITS)
//   (y ^ (z & fields << k)) >> k               fields: the lowest NBITS bits of each nibble
//
// has in its nibbles the names of the components whose bits begin at k, k + 4, k + 8 ... Four nibbles look up four
// levels, as steps above the lowest level, which are 0 to 127. `choose_bytes` gives 0 for a nibble of 8 or more. So the
// nibbles look up the names below 8, their complement looks up the others in the upper half of the table, which
// is stored from its end, and the sum is the level. A product of a query's row with steps lacks the lowest level times
// the sum of the row, at which the accumulators start (`bias` of maxsim.cu).
#pragma once

// Chunks of a run, and runs of a lane.
constexpr int RUN = 4, RUNS = (STEPS + RUN - 1) / RUN;
// Whether each lane has whole runs, which are then aligned.
constexpr bool WHOLE_RUNS = CHUNKS % (4 * RUN) == 0;

// The bits of a run, and at least 8 - NBITS bits after them.
struct Run {
    u32 words[NBITS + 1];
};

// The levels of rows of 1 and 2 bits.
class WindowLevels {
public:
    using Packed = Run;
    // Whether levels are steps above the lowest one.
    static constexpr bool BIASED = TRELLIS;

    __device__ __forceinline__ explicit WindowLevels(const Codec& codec) : minus_one(codec.minus_one) {
        const u32* table = reinterpret_cast<const u32*>(codec.levels + (TRELLIS ? STEPS_AT : 0));
        for (int i = 0; i < 4; ++i) words[i] = table[i];
    }

    // Returns the number of bytes from a row to the lane's part of it.
    static __device__ __forceinline__ u32 lane_offset() {
        return WHOLE_RUNS ? lane_number() % 4 * STEPS * NBITS : 0;
    }

    // Loads run number `number` of a lane from its part of a row; `complete` adds the bits after it if there is only
    // one.
    __device__ __forceinline__ Run packed(const u8* row, int number) const {
        Run run;
        const u8* bytes = row + number * RUN * NBITS;
        if constexpr (WHOLE_RUNS && NBITS == 2) {
            const Pair pair = load_once<CACHE_HINTS>(reinterpret_cast<const Pair*>(bytes));
            run.words[0] = pair.x;
            run.words[1] = pair.y;
        } else if constexpr (WHOLE_RUNS) {
            run.words[0] = load_once<CACHE_HINTS>(reinterpret_cast<const u32*>(bytes));
        } else {
            const int u = lane_number() % 4 * STEPS + number * RUN;
            for (int c = 0; c < RUN; ++c) {
                const u32 bits = chunk_at(row, u + c) << (8 * NBITS * c % 32);
                run.words[c * NBITS / 4] = c * NBITS % 4 ? run.words[c * NBITS / 4] | bits : bits;
            }
            run.words[NBITS] = chunk_at(row, u + RUN);
        }
        if constexpr (WHOLE_RUNS && RUNS > 1) {
            const bool ends = number + 1 == RUNS && lane_number() % 4 == 3;
            run.words[NBITS] = load(bytes + RUN * NBITS - (ends ? ROW_BYTES : 0));
        }
        return run;
    }

    // Adds the bits after the only run: with them begins the run of the next of the four lanes that share the row. No
    // name of a bucket has them.
    __device__ __forceinline__ void complete(Run& run) const {
        if (!TRELLIS || !WHOLE_RUNS || RUNS > 1) return;
        run.words[NBITS] = __shfl_sync(ALL_LANES, run.words[0], lane_number() + 1, 4);
    }

    // Returns the levels of chunk `c` of a run.
    __device__ __forceinline__ Pair chunk(const Run& run, int c) const {
        if constexpr (NBITS == 2) {
            const int word = c / 2, half = c % 2 * 16;
            return {four(names(run, word, 0, half)), four(names(run, word, 2, half))};
        } else {
            // Byte c of the names of two bits has the names of the chunk.
            const u32 bytes = c | (c + 4) << 4;
            return {four(choose_bytes(names(run, 0, 0, 0), names(run, 0, 1, 0), bytes)),
                    four(choose_bytes(names(run, 0, 2, 0), names(run, 0, 3, 0), bytes))};
        }
    }

private:
    u32 words[4];
    u32 minus_one;

    // Returns the bits of a chunk; the chunks are a ring.
    static __device__ __forceinline__ u32 chunk_at(const u8* row, int u) {
        const u8* bytes = row + u % CHUNKS * NBITS;
        return NBITS == 2 ? load(reinterpret_cast<const u16*>(bytes)) : load(bytes);
    }

    // Returns the names of the components whose bits begin at every fourth bit from `k + by` of a word on. There are 8,
    // or 4 if `by` is 16.
    static __device__ __forceinline__ u32 names(const Run& run, int word, int k, int by) {
        constexpr u32 fields = NBITS == 2 ? 0x33333333 : 0x11111111;
        if (!TRELLIS) return run.words[word] >> (k + by) & fields;
        return __funnelshift_r(mixed(run, word, fields << k), mixed(run, word + 1, fields << k), k + by);
    }

    // Returns y ^ (z & mask) of a word, and y of the last one, of which no z is needed.
    static __device__ __forceinline__ u32 mixed(const Run& run, int word, u32 mask) {
        const u32 own = run.words[word];
        if (word == NBITS) return own ^ own >> 1;
        const u32 next = run.words[word + 1];
        return own ^ __funnelshift_r(own, next, 1) ^ (__funnelshift_r(own, next, 8 - NBITS) & mask);
    }

    // Returns four levels, for the four lowest nibbles of `names`.
    __device__ __forceinline__ u32 four(u32 names) const {
        if (!TRELLIS) return choose_bytes(words[0], words[0], names);
        // -names - 1 by a multiplication, to spare the integer pipe: hence a factor that the compiler does not know.
        const u32 complement = names * minus_one + minus_one;
        return choose_bytes(words[0], words[1], names) + choose_bytes(words[2], words[3], complement);
    }
};

// The levels of all other rows, which are unpacked chunk by chunk.
class ChunkLevels {
public:
    struct Packed {
        const u8* row;
        int number;
    };
    static constexpr bool BIASED = false;

    __device__ __forceinline__ explicit ChunkLevels(const Codec& codec) : table(codec.levels) {}

    static __device__ __forceinline__ u32 lane_offset() { return 0; }
    __device__ __forceinline__ Packed packed(const u8* row, int number) const { return {row, number}; }
    __device__ __forceinline__ void complete(Packed&) const {}
    __device__ __forceinline__ Pair chunk(const Packed& packed, int c) const {
        return table.chunk(packed.row, lane_number() % 4 * STEPS + packed.number * RUN + c);
    }

private:
    LevelTable table;
};
