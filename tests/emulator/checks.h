// What the tests of the emulated machine share: a count of what is broken, and launches of kernels in the same program.
#pragma once
// The machine first: CUDA's names are not for the headers of the C++ library.
#include "machine.h"

#include "device.h"

#include <cstdio>
#include <string>
#include <tuple>

inline int failures = 0;

inline void check(bool holds, const char* what) {
    if (holds) return;
    std::printf("FAILED: %s\n", what);
    ++failures;
}

// How a launch went that got `dynamic_shared` bytes.
template <class... A, class... B>
emulator::Fault run_with(std::size_t dynamic_shared, const emulator::Memory* memory, void (*kernel)(A...), dim3 grid,
                         dim3 threads, std::uint64_t seed, B... arguments) {
    static void (*entry)(A...);
    entry = kernel;
    std::tuple<A...> values(arguments...);
    void* pointers[sizeof...(A) + 1];
    std::apply([&](auto&... value) { int i = 0; ((pointers[i++] = &value), ...); }, values);
    emulator::machine = &emulator::the_machine;
    const emulator::Kernel called{[](void** all) { emulator::call(entry, all); }, nullptr, nullptr};
    return emulator::launch(called, grid, threads, dynamic_shared, pointers, seed, memory);
}

// What went wrong in a launch, or nothing.
template <class... A, class... B>
std::string run(void (*kernel)(A...), dim3 grid, dim3 threads, std::uint64_t seed, B... arguments) {
    return run_with(0, nullptr, kernel, grid, threads, seed, arguments...).what;
}
