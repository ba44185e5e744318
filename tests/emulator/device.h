// What kernels are compiled with where there is no GPU: CUDA's names, for the machine of machine.h.
#pragma once
#include "interface.h"

#define EMULATED 1

// Shared variables are all that a module has in .bss, so that the machine can overwrite what the block before left; a
// section of their own is no way, since compilers forget it in templates. What has to last is kept out of there.
#define EMULATED_LASTING __attribute__((section("emulated_lasting")))

namespace emulator {
// The machine that the kernel runs on.
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
// Blocks run one after another, so that one copy for all is each block's own. The compiler is told that others use it.
#define __shared__ static __attribute__((used))
// The block's dynamic shared memory, as a pointer.
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

// Calls a kernel with its arguments as `cuLaunchKernel` gets them: a pointer to each.
template <class... A> void call(void (*kernel)(A...), void** arguments) {
    call(kernel, arguments, typename Below<sizeof...(A)>::Type{});
}

} // namespace emulator

// The module's own two calls; neither is there where a program includes this beside the machine.
#ifdef EMULATED_MODULE
extern "C" {
// The linker's names for both ends of .bss.
extern unsigned char __bss_start[] __attribute__((visibility("hidden")));
extern unsigned char _end[] __attribute__((visibility("hidden")));

// Of what architecture it is.
__attribute__((visibility("default"))) extern const char emulated_architecture[] = EMULATED_MODULE;

// Gives the kernels their machine, and tells it where their static shared memory lies. False if they know another one.
__attribute__((visibility("default"))) bool emulated_attach(emulator::Machine* machine, unsigned interface,
                                                            unsigned char** shared_begin, unsigned char** shared_end) {
    emulator::machine = machine;
    *shared_begin = __bss_start;
    *shared_end = _end;
    return interface == emulator::INTERFACE;
}
}
#endif
