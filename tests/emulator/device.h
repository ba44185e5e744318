// CUDA's names for kernels that are compiled for the machine of machine.h. Included before each kernel's source.
#pragma once
#include "interface.h"

#define EMULATED 1

// A module's .bss holds its shared variables and nothing else, so the machine can overwrite them before each block.
// Compilers ignore a section attribute in templates, so shared variables cannot have a section of their own; instead,
// variables that must keep their value are placed elsewhere.
#define EMULATED_LASTING __attribute__((section("emulated_lasting")))

namespace emulator {
// The machine that runs the kernel.
EMULATED_LASTING static Machine* machine = nullptr;
} // namespace emulator

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __align__(bytes) __attribute__((aligned(bytes)))
#define __constant__ EMULATED_LASTING static
// The machine exchanges the contents when it switches between blocks. `used`: other threads access it too.
#define __shared__ static __attribute__((used))
// Declares a pointer to the block's dynamic shared memory.
#define DYNAMIC_SHARED(type, name) type* const name = static_cast<type*>(emulator::machine->dynamic_shared)

#define threadIdx (emulator::machine->thread)
#define blockIdx (emulator::machine->block)
#define blockDim (emulator::machine->threads)
#define gridDim (emulator::machine->blocks)
constexpr int warpSize = 32;
using size_t = decltype(sizeof 0);

template <class T> T __ldg(const T* at) { return *at; }

#include "vectors.h"

#include "arithmetic.h"

#include "warp.h"

#include "twins.h"

namespace emulator {

template <int...> struct Numbers {};
template <int n, int... rest> struct Below : Below<n - 1, n - 1, rest...> {};
template <int... all> struct Below<0, all...> {
    using Type = Numbers<all...>;
};

template <class... A, int... at> void call(void (*kernel)(A...), void** arguments, Numbers<at...>) {
    kernel(*static_cast<A*>(arguments[at])...);
}

// Calls a kernel with arguments in the form of `cuLaunchKernel`: a pointer to each.
template <class... A> void call(void (*kernel)(A...), void** arguments) {
    call(kernel, arguments, typename Below<sizeof...(A)>::Type{});
}

// Returns the number of a kernel's parameters, and the bytes of each.
template <class... A> unsigned sizes(void (*)(A...), const unsigned** all) {
    static constexpr unsigned bytes[] = {sizeof(A)..., 0};
    *all = bytes;
    return sizeof...(A);
}

} // namespace emulator

// The module's two functions for the driver; a program that includes this together with the machine has neither.
#ifdef EMULATED_MODULE
extern "C" {
// The linker's names of both ends of .bss.
extern unsigned char __bss_start[] __attribute__((visibility("hidden")));
extern unsigned char _end[] __attribute__((visibility("hidden")));

// Architecture that the module was compiled for.
__attribute__((visibility("default"))) extern const char emulated_architecture[] = EMULATED_MODULE;
// CUDA version of the emulated NVRTC.
__attribute__((visibility("default"))) extern const int emulated_toolkit = EMULATED_TOOLKIT;

// Gives the kernels their machine and returns the bounds of their static shared memory; false if the interface differs.
__attribute__((visibility("default"))) bool emulated_attach(emulator::Machine* machine, unsigned interface,
                                                            unsigned char** shared_begin, unsigned char** shared_end) {
    emulator::machine = machine;
    *shared_begin = __bss_start;
    *shared_end = _end;
    return interface == emulator::INTERFACE;
}
}
#endif
