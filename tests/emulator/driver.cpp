// An emulated CUDA driver, `libcuda.so.1` of a machine with one GPU of compute capability 9.0: the functions that the
// host code calls, with the names and types of cuda.h. All calls are synchronous.
//
// Kernels are those that the emulated NVRTC compiled. A kernel's fault is written to stderr and ends its context.
//
//   EMULATED_DEVICES   number of devices; 1 by default
//   EMULATED_MEMORY    bytes of memory of each device; 1 GiB by default
//   EMULATED_POOLS     0: the device has no memory pools
//   EMULATED_DRIVER_VERSION   what cuDriverGetVersion says; 13000 by default
//   EMULATED_SEED      seed of the order of threads and blocks in all launches; 0: in order of their numbers. If it is
//                      not set, every launch has another seed.
#include "host_state.h"

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <initializer_list>

using namespace emulator;

namespace {

using Pointer = unsigned long long; // CUdeviceptr

void* address(Pointer pointer) { return reinterpret_cast<void*>(pointer); }

struct Range {
    Pointer pointer;
    std::size_t bytes;
};

// Does `work` if all of `ranges` are in allocations.
template <class Work> int with_memory(void* stream, std::initializer_list<Range> ranges, Work work) {
    Locked locked(stream);
    if (locked.code != SUCCESS) return locked.code;
    for (const Range& range : ranges) {
        if (!locked.context->memory.holds(address(range.pointer), range.bytes)) return INVALID_VALUE;
    }
    work();
    return SUCCESS;
}

template <class T> int find(const std::map<void*, std::unique_ptr<T>>& all, void* handle, T** found) {
    const auto at = all.find(handle);
    if (at == all.end()) return INVALID_HANDLE;
    *found = at->second.get();
    return SUCCESS;
}

template <class T> T* keep(std::map<void*, std::unique_ptr<T>>& all, std::unique_ptr<T> one) {
    T* handle = one.get();
    all.emplace(handle, std::move(one));
    return handle;
}

int allocate(Pointer* pointer, std::size_t bytes, void* stream) {
    Locked locked(stream);
    if (locked.code != SUCCESS) return locked.code;
    if (bytes == 0) return INVALID_VALUE;
    Memory& memory = locked.context->memory;
    if (bytes > memory_bytes() || memory.in_use() > memory_bytes() - bytes) return OUT_OF_MEMORY;
    *pointer = reinterpret_cast<std::uintptr_t>(memory.allocate(bytes));
    return SUCCESS;
}

int release(Pointer pointer, void* stream) {
    Locked locked(stream);
    if (locked.code != SUCCESS) return locked.code;
    return locked.context->memory.free(address(pointer)) ? SUCCESS : INVALID_VALUE;
}

// Returns a seed for each launch, the same in every run of the program.
std::uint64_t next_seed() {
    std::uint64_t seed = ++launches * 0x9e3779b97f4a7c15u;
    seed = (seed ^ seed >> 30) * 0xbf58476d1ce4e5b9u;
    return number("EMULATED_SEED", seed >> 32 | 1);
}

// Describes a request of a launch that exceeds the device, or returns null.
const char* too_much(const Function& function, dim3 grid, dim3 threads, std::size_t dynamic_shared) {
    const auto within = [](dim3 size, unsigned x, unsigned y, unsigned z) {
        return size.x > 0 && size.y > 0 && size.z > 0 && size.x <= x && size.y <= y && size.z <= z;
    };
    if (!within(grid, 2147483647, 65535, 65535)) return "no such grid";
    if (!within(threads, 1024, 1024, 64) || threads.x * threads.y * threads.z > MAX_THREADS) return "no such block";
    const std::size_t fixed = function.module->shared_bytes(), all = fixed + dynamic_shared;
    if (fixed > SHARED_BYTES) return "more than 48 KiB of shared variables";
    if (all > SHARED_BYTES && dynamic_shared > static_cast<std::size_t>(function.allowed_shared_bytes)) {
        return "more than 48 KiB of shared memory, without cuFuncSetAttribute allowing it";
    }
    return all > SHARED_BYTES_OPTIN ? "more shared memory than a block can have" : nullptr;
}

int report(Context& context, const Function& function, std::uint64_t seed, const Fault& fault) {
    std::fprintf(stderr, "emulated GPU: kernel %s, EMULATED_SEED=%llu: %s\n", function.name.c_str(),
                 static_cast<unsigned long long>(seed), fault.what.c_str());
    return context.fault = fault.memory ? ILLEGAL_ADDRESS : LAUNCH_FAILED;
}

} // namespace

extern "C" {

int cuInit(unsigned flags) {
    if (flags != 0) return INVALID_VALUE;
    if (number_of_devices() == 0) return NO_DEVICE;
    std::lock_guard<std::mutex> lock(emulator::mutex);
    initialized = true;
    return SUCCESS;
}

int cuDriverGetVersion(int* version) {
    *version = static_cast<int>(number("EMULATED_DRIVER_VERSION", 13000));
    return SUCCESS;
}

int cuGetErrorName(int code, const char** name) {
    *name = nullptr;
    for (const Named& known : CODES) {
        if (known.code == code) *name = known.name;
    }
    return *name ? SUCCESS : INVALID_VALUE;
}

int cuGetErrorString(int code, const char** text) {
    *text = nullptr;
    for (const Named& known : CODES) {
        if (known.code == code) *text = known.text;
    }
    return *text ? SUCCESS : INVALID_VALUE;
}

int cuDeviceGetCount(int* count) {
    if (!initialized) return NOT_INITIALIZED;
    *count = number_of_devices();
    return SUCCESS;
}

int cuDeviceGet(int* device, int ordinal) {
    *device = ordinal + FIRST_DEVICE;
    return known(*device);
}

int cuDeviceGetName(char* name, int bytes, int device) {
    std::snprintf(name, static_cast<std::size_t>(bytes), "Emulated GPU %d", device - FIRST_DEVICE);
    return known(device);
}

int cuDeviceTotalMem_v2(std::size_t* bytes, int device) {
    *bytes = memory_bytes();
    return known(device);
}

int cuDeviceGetAttribute(int* value, int attribute, int device) {
    for (const Attribute& known_one : DEVICE_ATTRIBUTES) {
        if (known_one.number != attribute) continue;
        *value = attribute == MEMORY_POOLS_SUPPORTED && !pools_supported() ? 0 : known_one.value;
        return known(device);
    }
    return INVALID_VALUE;
}

int cuDevicePrimaryCtxRetain(void** context, int device) {
    std::lock_guard<std::mutex> lock(emulator::mutex);
    if (const int code = known(device)) return code;
    device -= FIRST_DEVICE;
    if (!contexts[device]) contexts[device] = std::make_unique<Context>();
    ++contexts[device]->retained;
    *context = &handles[device];
    return SUCCESS;
}

int cuDevicePrimaryCtxRelease_v2(int device) {
    std::lock_guard<std::mutex> lock(emulator::mutex);
    if (const int code = known(device)) return code;
    device -= FIRST_DEVICE;
    if (!contexts[device]) return INVALID_CONTEXT;
    if (--contexts[device]->retained == 0) contexts[device].reset();
    return SUCCESS;
}

int cuCtxSetCurrent(void* context) {
    std::lock_guard<std::mutex> lock(emulator::mutex);
    if (!initialized) return NOT_INITIALIZED;
    int* handle = static_cast<int*>(context);
    if (handle && (handle < handles || handle >= handles + MAX_DEVICES || !contexts[handle - handles])) {
        return INVALID_CONTEXT;
    }
    current = handle;
    return handle ? contexts[handle - handles]->fault : SUCCESS;
}

int cuCtxGetCurrent(void** context) {
    *context = current;
    return initialized ? SUCCESS : NOT_INITIALIZED;
}

int cuCtxSynchronize() { return Locked().code; }

int cuStreamCreate(void** stream, unsigned) {
    Locked locked;
    if (locked.code == SUCCESS) *stream = keep(locked.context->streams, std::make_unique<int>(0));
    return locked.code;
}

int cuStreamDestroy_v2(void* stream) {
    Locked locked(stream);
    if (locked.code != SUCCESS) return locked.code;
    return locked.context->streams.erase(stream) > 0 ? SUCCESS : INVALID_HANDLE;
}

int cuStreamSynchronize(void* stream) { return Locked(stream).code; }

int cuMemAlloc_v2(Pointer* pointer, std::size_t bytes) { return allocate(pointer, bytes, nullptr); }
int cuMemFree_v2(Pointer pointer) { return release(pointer, nullptr); }

int cuMemGetInfo_v2(std::size_t* free, std::size_t* total) {
    Locked locked;
    if (locked.code != SUCCESS) return locked.code;
    *total = memory_bytes();
    *free = *total - locked.context->memory.in_use();
    return SUCCESS;
}

int cuMemAllocAsync(Pointer* pointer, std::size_t bytes, void* stream) {
    return pools_supported() ? allocate(pointer, bytes, stream) : NOT_SUPPORTED;
}

int cuMemAllocFromPoolAsync(Pointer* pointer, std::size_t bytes, void* pool, void* stream) {
    if (!pools_supported()) return NOT_SUPPORTED;
    Pool* found = pool_of(pool);
    if (!found) return INVALID_VALUE;
    const int code = allocate(pointer, bytes, stream);
    if (code == SUCCESS) found->allocations += 1;
    return code;
}

int cuMemFreeAsync(Pointer pointer, void* stream) {
    return pools_supported() ? release(pointer, stream) : NOT_SUPPORTED;
}

int cuMemcpyHtoDAsync_v2(Pointer to, const void* from, std::size_t bytes, void* stream) {
    return with_memory(stream, {{to, bytes}}, [&] { std::memcpy(address(to), from, bytes); });
}

int cuMemcpyDtoHAsync_v2(void* to, Pointer from, std::size_t bytes, void* stream) {
    return with_memory(stream, {{from, bytes}}, [&] { std::memcpy(to, address(from), bytes); });
}

int cuMemcpyDtoDAsync_v2(Pointer to, Pointer from, std::size_t bytes, void* stream) {
    return with_memory(stream, {{to, bytes}, {from, bytes}}, [&] { std::memmove(address(to), address(from), bytes); });
}

int cuMemsetD8Async(Pointer to, unsigned char value, std::size_t n, void* stream) {
    return with_memory(stream, {{to, n}}, [&] { std::memset(address(to), value, n); });
}

int cuMemsetD32Async(Pointer to, unsigned value, std::size_t n, void* stream) {
    if (to % sizeof value != 0 || n > ~std::size_t{0} / sizeof value) return INVALID_VALUE;
    return with_memory(stream, {{to, n * sizeof value}}, [&] {
        for (std::size_t i = 0; i < n; ++i) static_cast<unsigned*>(address(to))[i] = value;
    });
}

int cuModuleLoadData(void** handle, const void* image) {
    Locked locked;
    if (locked.code != SUCCESS) return locked.code;
    auto module = std::make_unique<Module>();
    if (!module->load(image)) return INVALID_IMAGE;
    const std::string architecture = module->architecture;
    if (architecture != ARCHITECTURES[0] && architecture != ARCHITECTURES[1]) return NO_BINARY_FOR_GPU;
    *handle = keep(locked.context->modules, std::move(module));
    return SUCCESS;
}

int cuModuleUnload(void* handle) {
    Locked locked;
    if (locked.code != SUCCESS) return locked.code;
    auto& functions = locked.context->functions;
    for (auto at = functions.begin(); at != functions.end();) {
        at = at->second->module == handle ? functions.erase(at) : std::next(at);
    }
    return locked.context->modules.erase(handle) > 0 ? SUCCESS : INVALID_HANDLE;
}

int cuModuleGetFunction(void** handle, void* module_handle, const char* name) {
    Locked locked;
    Module* module = nullptr;
    if (locked.code != SUCCESS) return locked.code;
    if (const int code = find(locked.context->modules, module_handle, &module)) return code;
    const auto entry = module->entry(name);
    if (!entry) return NOT_FOUND;
    *handle = keep(locked.context->functions, std::make_unique<Function>(Function{module, entry, name}));
    return SUCCESS;
}

int cuFuncGetAttribute(int* value, int attribute, void* handle) {
    Locked locked;
    Function* function = nullptr;
    if (locked.code != SUCCESS) return locked.code;
    if (const int code = find(locked.context->functions, handle, &function)) return code;
    switch (attribute) {
    case 0: *value = MAX_THREADS; break;                                         // MAX_THREADS_PER_BLOCK
    case 1: *value = static_cast<int>(function->module->shared_bytes()); break;  // SHARED_SIZE_BYTES
    case 2: case 3: *value = 0; break;                                           // CONST_, LOCAL_SIZE_BYTES
    case 4: *value = 32; break;                                                  // NUM_REGS
    case 8: *value = function->allowed_shared_bytes; break;                      // MAX_DYNAMIC_SHARED_SIZE_BYTES
    default: return INVALID_VALUE;
    }
    return SUCCESS;
}

int cuFuncSetAttribute(void* handle, int attribute, int value) {
    Locked locked;
    Function* function = nullptr;
    if (locked.code != SUCCESS) return locked.code;
    if (const int code = find(locked.context->functions, handle, &function)) return code;
    if (attribute == 9) return SUCCESS; // PREFERRED_SHARED_MEMORY_CARVEOUT
    const int most = SHARED_BYTES_OPTIN - static_cast<int>(function->module->shared_bytes());
    if (attribute != 8 || value < 0 || value > most) return INVALID_VALUE;
    function->allowed_shared_bytes = value;
    return SUCCESS;
}

int cuLaunchKernel(void* handle, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x, unsigned block_y,
                   unsigned block_z, unsigned dynamic_shared, void* stream, void** arguments, void** extra) {
    Locked locked(stream);
    Function* function = nullptr;
    if (locked.code != SUCCESS) return locked.code;
    if (const int code = find(locked.context->functions, handle, &function)) return code;
    const dim3 grid{grid_x, grid_y, grid_z}, threads{block_x, block_y, block_z};
    if (extra) return INVALID_VALUE;
    if (const char* what = too_much(*function, grid, threads, dynamic_shared)) {
        std::fprintf(stderr, "emulated GPU: kernel %s is not launched: %s\n", function->name.c_str(), what);
        return INVALID_VALUE;
    }
    const Kernel kernel{function->entry, function->module->shared_begin, function->module->shared_end};
    const std::uint64_t seed = next_seed();
    Context& context = *locked.context;
    Fault fault = launch(kernel, grid, threads, dynamic_shared, arguments, seed, &context.memory);
    if (fault.empty()) fault = {context.memory.damage(), true};
    return fault.empty() ? SUCCESS : report(context, *function, seed, fault);
}

} // extern "C"
