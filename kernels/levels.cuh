// From the bits of a packed residual row to int8 levels, 8 components at a time. For NBITS and, at 1 and 2 bits, TRELLIS.
//
// Chunk `u` of a row is the 8 components whose bits lie in the NBITS bytes from `u * NBITS` on: component
// `plane * W + u * NBITS + byte` for each of its bytes and planes. In which order a chunk's components come is free, as
// long as query rows come in the same one (`arrange` in crates/backend/src/cuda/query.rs); this one spares shuffling:
// level i (0 .. 3) of word r (0, 1) has its lowest bit, counted from the chunk's first, at
//
//   4 bits   16 r + 4 i             a nibble each
//   2 bits    2 r + 4 i             every other pair, so that pairs (and windows' labels) lie in nibbles
//   1 bit     2 r + i / 2 + 4 (i % 2)
//   8 bits   a byte each
//
// so that the four levels of a word are named by four nibbles, which is what one `__byte_perm` looks up.
#pragma once

constexpr int ROW_BYTES = DIM / 8 * NBITS;

// The lowest bit of level i of word r, counted from its chunk's first.
__device__ __forceinline__ constexpr int bit_of(int r, int i) {
    return NBITS == 8 ? 32 * r + 8 * i : NBITS == 4 ? 16 * r + 4 * i : NBITS == 2 ? 2 * r + 4 * i : 2 * r + i / 2 + 4 * (i % 2);
}

// The component that it is of.
__device__ __forceinline__ constexpr int component_of(int u, int r, int i) {
    if (NBITS == 0) return 8 * u + 4 * r + i;
    return bit_of(r, i) % 8 / (NBITS ? NBITS : 1) * ROW_BYTES + u * NBITS + bit_of(r, i) / 8;
}

// The levels that nibbles name.
struct LevelTable {
    u32 words[4];
    const i8* all;

    __device__ __forceinline__ explicit LevelTable(const i8* levels) : all(levels) {
        for (int i = 0; i < 4; ++i) words[i] = reinterpret_cast<const u32*>(levels)[i];
    }

    // Four levels for the four lowest nibbles of `names`.
    __device__ __forceinline__ u32 four(u32 names) const {
        if (NBITS <= 2 && !TRELLIS) return __byte_perm(words[0], words[0], names);
        const u32 low = __byte_perm(words[0], words[1], names & 0x7777);
        const u32 high = __byte_perm(words[2], words[3], names & 0x7777);
        return __byte_perm(low, high, 0x3210 + (names >> 1 & 0x4444));
    }

    // The levels of chunk `u` of a packed row.
    __device__ __forceinline__ Pair chunk(const u8* row, int u) const {
        if (NBITS == 0 || u >= DIM / 8) return {0, 0};
        const u8* bytes = row + u * NBITS;
        if (NBITS == 8) return {bytes_of(bytes), bytes_of(bytes + 4)};
        if (NBITS == 4) {
            const u32 bits = *reinterpret_cast<const u32*>(bytes);
            return {four(bits & 0xffff), four(bits >> 16)};
        }
        if constexpr (NBITS <= 2) {
            // A trellis' windows reach into the next byte, and the row is a ring.
            u32 bits = NBITS == 2 ? *reinterpret_cast<const u16*>(bytes) : bytes[0];
            if (TRELLIS) bits |= static_cast<u32>(u + 1 < DIM / 8 ? bytes[NBITS] : row[0]) << (8 * NBITS % 32);
            if (NBITS == 2) return {four(names(bits)), four(names(bits >> 2))};
            return {four((names(bits) & 0xff) | (names(bits >> 1) & 0xff) << 8),
                    four((names(bits >> 2) & 0xff) | (names(bits >> 3) & 0xff) << 8)};
        }
        return {0, 0};
    }

private:
    // What the fields, or windows, that begin at every fourth bit name, a nibble each.
    static __device__ __forceinline__ u32 names(u32 bits) {
        constexpr u32 fields = NBITS == 2 ? 0x3333 : 0x1111;
        if (!TRELLIS) return bits & fields;
        // A label: bits i, i + 1 and, where the window of 8 still has it, 8 - NBITS + i.
        return (bits ^ bits >> 1 ^ (bits >> (8 - NBITS) & fields)) & 0xffff;
    }

    __device__ __forceinline__ u32 bytes_of(const u8* bytes) const {
        u32 word = 0;
        for (int i = 0; i < 4; ++i) word |= static_cast<u32>(static_cast<u8>(all[bytes[i]])) << (8 * i);
        return word;
    }
};
