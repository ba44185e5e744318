// Unpacks the bits of a residual row to int8 levels, 8 components at a time. Specialized by NBITS and, at 1
// and 2 bits, by TRELLIS.
//
// Chunk `u` of a row is the 8 components whose bits are in the NBITS bytes from `u * NBITS` on: component
// `plane * W + u * NBITS + byte` for each of its bytes and planes. The order of a chunk's components is free, as long
// as query rows have the same one (`arrange` in crates/backend/src/cuda/query_layout.rs); this one needs no shuffle:
// level i (0 .. 3) of word r (0, 1) has its lowest bit, counted from the first bit of the chunk, at
//
//   4 bits   16 r + 4 i             a nibble each
//   2 bits    2 r + 4 i             every other pair, so that pairs (and labels of windows) are in nibbles
//   1 bit     2 r + i / 2 + 4 (i % 2)
//   8 bits   a byte each
//
// At up to 4 bits, four nibbles then name the four levels of a word. Three `__byte_perm` look these up in a
// table of 16 levels, and one in a table of at most 4.
#pragma once

constexpr int ROW_BYTES = DIM / CHUNK * NBITS;

// Returns the lowest bit of level i of word r, counted from the first bit of its chunk.
__device__ __forceinline__ constexpr int bit_of(int r, int i) {
    if (NBITS == 8) return 32 * r + 8 * i;
    if (NBITS == 4) return 16 * r + 4 * i;
    return NBITS == 2 ? 2 * r + 4 * i : 2 * r + i / 2 + 4 * (i % 2);
}

// Returns the component of level i of word r of chunk `u`.
__device__ __forceinline__ constexpr int component_of(int u, int r, int i) {
    if (NBITS == 0) return CHUNK * u + 4 * r + i;
    return bit_of(r, i) % 8 / (NBITS ? NBITS : 1) * ROW_BYTES + u * NBITS + bit_of(r, i) / 8;
}

// The levels that nibbles, or bytes, name.
struct LevelTable {
    u32 words[4];
    const i8* all;

    __device__ __forceinline__ explicit LevelTable(const i8* levels) : all(levels) {
        for (int i = 0; i < 4; ++i) words[i] = reinterpret_cast<const u32*>(levels)[i];
    }

    // Returns four levels, for the four lowest nibbles of `names`.
    __device__ __forceinline__ u32 four(u32 names) const {
        if (NBITS <= 2 && !TRELLIS) return __byte_perm(words[0], words[0], names);
        const u32 low = __byte_perm(words[0], words[1], names & 0x7777);
        const u32 high = __byte_perm(words[2], words[3], names & 0x7777);
        return __byte_perm(low, high, 0x3210 + (names >> 1 & 0x4444));
    }

    // Returns the levels of chunk `u` of a packed row, zeros after the last chunk.
    __device__ __forceinline__ Pair chunk(const u8* row, int u) const {
        if (NBITS == 0 || u >= DIM / CHUNK) return {0, 0};
        const u8* bytes = row + u * NBITS;
        if (NBITS == 8) return {bytes_of(bytes), bytes_of(bytes + 4)};
        if (NBITS == 4) {
            const u32 bits = *reinterpret_cast<const u32*>(bytes);
            return {four(bits & 0xffff), four(bits >> 16)};
        }
        if constexpr (NBITS <= 2) {
            // The windows of a trellis reach into the next byte, and the row is a ring.
            u32 bits = NBITS == 2 ? *reinterpret_cast<const u16*>(bytes) : bytes[0];
            if (TRELLIS) bits |= static_cast<u32>(u + 1 < DIM / CHUNK ? bytes[NBITS] : row[0]) << (8 * NBITS % 32);
            if (NBITS == 2) return {four(names(bits)), four(names(bits >> 2))};
            return {four((names(bits) & 0xff) | (names(bits >> 1) & 0xff) << 8),
                    four((names(bits >> 2) & 0xff) | (names(bits >> 3) & 0xff) << 8)};
        }
        return {0, 0};
    }

private:
    // Returns the buckets, or the labels of the windows, that start at every fourth bit, one in each nibble.
    static __device__ __forceinline__ u32 names(u32 bits) {
        constexpr u32 fields = NBITS == 2 ? 0x3333 : 0x1111;
        if (!TRELLIS) return bits & fields;
        // Bit i of a label is the XOR of bits i, i + 1 and, if the window of 8 bits has it, 8 - NBITS + i.
        return (bits ^ bits >> 1 ^ (bits >> (8 - NBITS) & fields)) & 0xffff;
    }

    __device__ __forceinline__ u32 bytes_of(const u8* bytes) const {
        u32 word = 0;
        for (int i = 0; i < 4; ++i) word |= static_cast<u32>(static_cast<u8>(all[bytes[i]])) << (8 * i);
        return word;
    }
};
