// Shared by the tests of the emulated machine: a count of failed checks, and launches of kernels of the same program.
#pragma once
// The machine comes first: CUDA's names must not reach the headers of the C++ library.
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

// Launches a kernel with `dynamic_shared` bytes of shared memory and returns its fault.
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

// Launches a kernel and returns the text of its fault, empty if there is none.
template <class... A, class... B>
std::string run(void (*kernel)(A...), dim3 grid, dim3 threads, std::uint64_t seed, B... arguments) {
    return run_with(0, nullptr, kernel, grid, threads, seed, arguments...).what;
}
