// Shared by the tests of the emulated libraries: calls by the names of cuda.h and nvrtc.h.
#pragma once
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <string>
#include <thread>
#include <vector>

inline void *driver = nullptr, *nvrtc = nullptr;
inline int failures = 0;

inline void check(bool holds, const char* what) {
    if (holds) return;
    std::printf("FAILED: %s\n", what);
    ++failures;
}

// Calls the function of that name with arguments of exactly these types.
template <class... A> int call(const char* name, A... arguments) {
    void* function = dlsym(std::strncmp(name, "nvrtc", 5) == 0 ? nvrtc : driver, name);
    if (!function) {
        std::printf("FAILED: no %s\n", name);
        std::exit(1);
    }
    return reinterpret_cast<int (*)(A...)>(function)(arguments...);
}

using Pointer = unsigned long long;
using Size = std::size_t;

struct Compiled {
    int code;
    std::string log, cubin;
};

// Loads the libraries that the arguments `DRIVER NVRTC` of a test program name.
inline void load(int arguments, char** argument) {
    if (arguments != 3) std::exit(2);
    driver = dlopen(argument[1], RTLD_NOW | RTLD_LOCAL);
    nvrtc = dlopen(argument[2], RTLD_NOW | RTLD_LOCAL);
    if (driver && nvrtc) return;
    std::printf("%s\n", dlerror());
    std::exit(1);
}

inline Compiled compile(const char* name, const char* source, std::vector<const char*> options) {
    void* program = nullptr;
    check(call<void**, const char*, const char*, int, const char* const*, const char* const*>(
              "nvrtcCreateProgram", &program, source, name, 0, nullptr, nullptr) == 0, "a program is created");
    Compiled out;
    out.code = call<void*, int, const char* const*>("nvrtcCompileProgram", program, static_cast<int>(options.size()),
                                                    options.data());
    Size bytes = 0;
    call<void*, Size*>("nvrtcGetProgramLogSize", program, &bytes);
    out.log.resize(bytes);
    call<void*, char*>("nvrtcGetProgramLog", program, &out.log[0]);
    call<void*, Size*>("nvrtcGetCUBINSize", program, &bytes);
    out.cubin.resize(bytes);
    call<void*, char*>("nvrtcGetCUBIN", program, &out.cubin[0]);
    check(call<void**>("nvrtcDestroyProgram", &program) == 0 && !program, "a program is destroyed");
    return out;
}

inline void* function(const std::string& cubin, const char* name) {
    void *module = nullptr, *found = nullptr;
    check(call<void**, const void*>("cuModuleLoadData", &module, cubin.data()) == 0, "a module is loaded");
    check(call<void**, void*, const char*>("cuModuleGetFunction", &found, module, "none") == 500, "unknown kernel");
    check(call<void**, void*, const char*>("cuModuleGetFunction", &found, module, name) == 0, name);
    return found;
}

inline int launch(void* kernel, unsigned blocks, unsigned threads, unsigned shared, std::vector<void*> arguments,
                  void* stream = nullptr) {
    return call<void*, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void*, void**, void**>(
        "cuLaunchKernel", kernel, blocks, 1, 1, threads, 1, 1, shared, stream, arguments.data(), nullptr);
}

inline int upload(Pointer to, const void* from, Size bytes, void* stream) {
    return call<Pointer, const void*, Size, void*>("cuMemcpyHtoDAsync_v2", to, from, bytes, stream);
}

inline int download(void* to, Pointer from, Size bytes, void* stream) {
    return call<void*, Pointer, Size, void*>("cuMemcpyDtoHAsync_v2", to, from, bytes, stream);
}

inline int fill(Pointer to, unsigned value, Size n, void* stream) {
    return call<Pointer, unsigned, Size, void*>("cuMemsetD32Async", to, value, n, stream);
}

// Pinned memory for `n` numbers, all `value`.
inline int* pinned_ints(Size n, int value) {
    void* memory = nullptr;
    check(call<void**, Size, unsigned>("cuMemHostAlloc", &memory, n * sizeof value, 0) == 0, "pinned memory");
    for (Size i = 0; i < n; ++i) static_cast<int*>(memory)[i] = value;
    return static_cast<int*>(memory);
}

inline void set_seed(const char* seed) { seed ? setenv("EMULATED_SEED", seed, 1) : unsetenv("EMULATED_SEED"); }

inline int record(void* event, void* stream) { return call<void*, void*>("cuEventRecord", event, stream); }
inline int wait_event(void* stream, void* event) {
    return call<void*, void*, unsigned>("cuStreamWaitEvent", stream, event, 0);
}

// Allocates and frees in the order of a stream.
inline Pointer allocate_on(void* stream, Size bytes) {
    Pointer pointer = 0;
    check(call<Pointer*, Size, void*>("cuMemAllocAsync", &pointer, bytes, stream) == 0, "memory in a stream's order");
    return pointer;
}
inline int free_on(void* stream, Pointer pointer) { return call<Pointer, void*>("cuMemFreeAsync", pointer, stream); }

inline int await(void* stream) { return call<void*>("cuStreamSynchronize", stream); }

inline void* new_stream(unsigned flags) {
    void* stream = nullptr;
    check(call<void**, unsigned>("cuStreamCreate", &stream, flags) == 0, "a stream is created");
    return stream;
}

inline void* new_event() {
    void* event = nullptr;
    check(call<void**, unsigned>("cuEventCreate", &event, 0) == 0, "an event is created");
    return event;
}

inline Pointer allocate(Size bytes) {
    Pointer pointer = 0;
    check(call<Pointer*, Size>("cuMemAlloc_v2", &pointer, bytes) == 0, "memory is allocated");
    return pointer;
}

inline void* context = nullptr;

inline int device(int ordinal = 0) {
    int handle = -1;
    check(call<int*, int>("cuDeviceGet", &handle, ordinal) == 0, "a device");
    return handle;
}

inline void begin() {
    check(call<void**, int>("cuDevicePrimaryCtxRetain", &context, device()) == 0, "a context is retained");
    check(call<void*>("cuCtxSetCurrent", context) == 0, "a context is set");
}

inline void end() { check(call<int>("cuDevicePrimaryCtxRelease_v2", device()) == 0, "a context is released"); }
