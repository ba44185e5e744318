// Operations of several threads: the barrier of a block, operations of a warp, atomics.
#pragma once

inline void __syncthreads() { emulator::machine->barrier(); }
inline void __threadfence() { emulator::machine->fence(); }
inline void __threadfence_block() { emulator::machine->fence(); }
inline void __trap() { emulator::machine->fail("__trap()"); }

namespace emulator {

// Returns the value of `lane`, and the place of its result.
template <class T> const T& value_of(const unsigned char* values, unsigned lane) {
    return *reinterpret_cast<const T*>(values + lane * LANE_BYTES);
}
template <class T> T& result_of(unsigned char* results, unsigned lane) {
    return *reinterpret_cast<T*>(results + lane * LANE_BYTES);
}

inline bool nothing(unsigned, const unsigned char*, unsigned char*) { return true; }

template <class T> struct Shuffled {
    T value;
    unsigned from;
};

// Each lane receives the value of the lane that it names; for a lane outside of the mask, all ones.
template <class T> bool shuffle(unsigned mask, const unsigned char* values, unsigned char* results) {
    for (unsigned lane = 0; lane < 32; ++lane) {
        if (!(mask >> lane & 1)) continue;
        T& result = result_of<T>(results, lane);
        const unsigned from = value_of<Shuffled<T>>(values, lane).from;
        if (mask >> from & 1) result = value_of<Shuffled<T>>(values, from).value;
        else __builtin_memset(&result, 0xff, sizeof(T));
    }
    return true;
}

template <class T> T shuffle_from(const Operation& operation, unsigned mask, T value, unsigned from) {
    const Shuffled<T> mine{value, from};
    T result;
    machine->warp(mask, operation, &mine, &result);
    return result;
}

// One result for all lanes of the mask: their values, combined by `join`.
template <class T, T (*join)(T, T)> bool reduce(unsigned mask, const unsigned char* values, unsigned char* results) {
    unsigned lane = static_cast<unsigned>(__builtin_ctz(mask));
    T all = value_of<T>(values, lane);
    while (++lane < 32) {
        if (mask >> lane & 1) all = join(all, value_of<T>(values, lane));
    }
    for (lane = 0; lane < 32; ++lane) {
        if (mask >> lane & 1) result_of<T>(results, lane) = all;
    }
    return true;
}

template <class T> T together(const Operation& operation, unsigned mask, T value) {
    T result;
    machine->warp(mask, operation, &value, &result);
    return result;
}

inline unsigned either(unsigned a, unsigned b) { return a | b; }
inline unsigned both(unsigned a, unsigned b) { return a & b; }
inline unsigned differing(unsigned a, unsigned b) { return a ^ b; }
inline unsigned added(unsigned a, unsigned b) { return a + b; }

} // namespace emulator

#define EMULATED_OPERATION(name, value, result, compute)                                                               \
    static constexpr emulator::Operation operation = {name, sizeof(value), sizeof(result), false, compute}

inline void __syncwarp(unsigned mask = ~0u) {
    static constexpr emulator::Operation operation = {"__syncwarp", 0, 0, false, emulator::nothing};
    emulator::machine->warp(mask, operation, &mask, &mask);
}

// `width` divides the warp: a lane reads from lanes of its own part only.
template <class T> T __shfl_sync(unsigned mask, T value, int source, int width = 32) {
    EMULATED_OPERATION("__shfl_sync", emulator::Shuffled<T>, T, emulator::shuffle<T>);
    const unsigned part = static_cast<unsigned>(width) - 1;
    const unsigned from = (emulator::machine->lane & ~part) | (static_cast<unsigned>(source) & part);
    return emulator::shuffle_from(operation, mask, value, from);
}
template <class T> T __shfl_xor_sync(unsigned mask, T value, int with, int width = 32) {
    EMULATED_OPERATION("__shfl_xor_sync", emulator::Shuffled<T>, T, emulator::shuffle<T>);
    const unsigned lane = emulator::machine->lane, from = lane ^ static_cast<unsigned>(with);
    // Lanes of earlier parts can be read, lanes of later parts cannot.
    const unsigned end = (lane | (static_cast<unsigned>(width) - 1)) + 1;
    return emulator::shuffle_from(operation, mask, value, from < end ? from : lane);
}
template <class T> T __shfl_down_sync(unsigned mask, T value, unsigned by, int width = 32) {
    EMULATED_OPERATION("__shfl_down_sync", emulator::Shuffled<T>, T, emulator::shuffle<T>);
    const unsigned lane = emulator::machine->lane, part = static_cast<unsigned>(width) - 1;
    return emulator::shuffle_from(operation, mask, value, (lane & part) + by <= part ? lane + by : lane);
}
template <class T> T __shfl_up_sync(unsigned mask, T value, unsigned by, int width = 32) {
    EMULATED_OPERATION("__shfl_up_sync", emulator::Shuffled<T>, T, emulator::shuffle<T>);
    const unsigned lane = emulator::machine->lane, part = static_cast<unsigned>(width) - 1;
    return emulator::shuffle_from(operation, mask, value, (lane & part) >= by ? lane - by : lane);
}

// Each lane passes in its own bit.
inline unsigned __ballot_sync(unsigned mask, int predicate) {
    EMULATED_OPERATION("__ballot_sync", unsigned, unsigned, (emulator::reduce<unsigned, emulator::either>));
    return emulator::together(operation, mask, predicate ? 1u << emulator::machine->lane : 0u);
}
inline int __any_sync(unsigned mask, int predicate) {
    EMULATED_OPERATION("__any_sync", unsigned, unsigned, (emulator::reduce<unsigned, emulator::either>));
    return static_cast<int>(emulator::together(operation, mask, predicate ? 1u : 0u));
}
inline int __all_sync(unsigned mask, int predicate) {
    EMULATED_OPERATION("__all_sync", unsigned, unsigned, (emulator::reduce<unsigned, emulator::both>));
    return static_cast<int>(emulator::together(operation, mask, predicate ? 1u : 0u));
}

#define EMULATED_REDUCTION(name, type, join)                                                                           \
    inline type name(unsigned mask, type value) {                                                                      \
        EMULATED_OPERATION(#name, type, type, (emulator::reduce<type, join>));                                         \
        return emulator::together(operation, mask, value);                                                             \
    }
EMULATED_REDUCTION(__reduce_max_sync, int, max)
EMULATED_REDUCTION(__reduce_max_sync, unsigned, max)
EMULATED_REDUCTION(__reduce_min_sync, int, min)
EMULATED_REDUCTION(__reduce_min_sync, unsigned, min)
EMULATED_REDUCTION(__reduce_add_sync, unsigned, emulator::added)
EMULATED_REDUCTION(__reduce_or_sync, unsigned, emulator::either)
EMULATED_REDUCTION(__reduce_and_sync, unsigned, emulator::both)
EMULATED_REDUCTION(__reduce_xor_sync, unsigned, emulator::differing)
// Sums wrap, so signed and unsigned sums have the same bits.
inline int __reduce_add_sync(unsigned mask, int value) {
    return static_cast<int>(__reduce_add_sync(mask, static_cast<unsigned>(value)));
}
#undef EMULATED_REDUCTION
#undef EMULATED_OPERATION

namespace emulator {

// Begins an atomic operation: before some of them the thread pauses.
inline void step() {
    if (machine->patience != 0 && --machine->patience == 0) machine->pause();
}

} // namespace emulator

// Threads run one at a time and do not stop within these functions once they read, so plain reads and writes are
// atomic.
#define EMULATED_ATOMIC(name, type, after)                                                                             \
    inline type name(type* at, type value) {                                                                           \
        emulator::step();                                                                                              \
        const type before = *at;                                                                                       \
        *at = (after);                                                                                                 \
        return before;                                                                                                 \
    }
#define EMULATED_INTEGER_ATOMICS(type)                                                                                 \
    EMULATED_ATOMIC(atomicMax, type, max(before, value))                                                               \
    EMULATED_ATOMIC(atomicMin, type, min(before, value))                                                               \
    EMULATED_ATOMIC(atomicOr, type, before | value)                                                                    \
    EMULATED_ATOMIC(atomicAnd, type, before & value)                                                                   \
    EMULATED_ATOMIC(atomicXor, type, before ^ value)                                                                   \
    EMULATED_ATOMIC(atomicExch, type, value)                                                                           \
    inline type atomicCAS(type* at, type expected, type value) {                                                       \
        emulator::step();                                                                                              \
        const type before = *at;                                                                                       \
        if (before == expected) *at = value;                                                                           \
        return before;                                                                                                 \
    }
EMULATED_INTEGER_ATOMICS(int)
EMULATED_INTEGER_ATOMICS(unsigned)
EMULATED_INTEGER_ATOMICS(unsigned long long)
EMULATED_ATOMIC(atomicAdd, int, static_cast<int>(static_cast<unsigned>(before) + static_cast<unsigned>(value)))
EMULATED_ATOMIC(atomicAdd, unsigned, before + value)
EMULATED_ATOMIC(atomicAdd, unsigned long long, before + value)
EMULATED_ATOMIC(atomicAdd, float, before + value)
EMULATED_ATOMIC(atomicAdd, double, before + value)
EMULATED_ATOMIC(atomicSub, int, static_cast<int>(static_cast<unsigned>(before) - static_cast<unsigned>(value)))
EMULATED_ATOMIC(atomicSub, unsigned, before - value)
EMULATED_ATOMIC(atomicExch, float, value)
#undef EMULATED_INTEGER_ATOMICS
#undef EMULATED_ATOMIC
