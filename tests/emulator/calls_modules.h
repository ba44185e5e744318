// Modules, functions and launches, with the names and types of cuda.h.
#pragma once
#include "work.h"

#include <cstring>

namespace emulator {

// The launch of a kernel with the values that its arguments had at the call.
struct Launched {
    std::shared_ptr<Function> function;
    dim3 grid, threads;
    std::size_t dynamic_shared;
    std::vector<std::unique_ptr<unsigned char[]>> values;
    // The module of the call, which the host must not unload before the kernel has run.
    std::weak_ptr<Module> module;
};

// Describes a request of a launch that exceeds the device, or returns null.
inline const char* too_much(const Function& function, const Module& module, const Launched& launched) {
    const auto within = [](dim3 size, unsigned x, unsigned y, unsigned z) {
        return size.x > 0 && size.y > 0 && size.z > 0 && size.x <= x && size.y <= y && size.z <= z;
    };
    const dim3& threads = launched.threads;
    if (!within(launched.grid, 2147483647, 65535, 65535)) return "no such grid";
    if (!within(threads, 1024, 1024, 64) || threads.x * threads.y * threads.z > MAX_THREADS) return "no such block";
    const std::size_t fixed = module.shared_bytes(), all = fixed + launched.dynamic_shared;
    if (fixed > SHARED_BYTES) return "more than 48 KiB of shared variables";
    if (all > SHARED_BYTES && launched.dynamic_shared > static_cast<std::size_t>(function.allowed_shared_bytes)) {
        return "more than 48 KiB of shared memory, without cuFuncSetAttribute allowing it";
    }
    return all > SHARED_BYTES_OPTIN ? "more shared memory than a block can have" : nullptr;
}

// Runs a kernel; its fault ends the context.
inline void run_kernel(Context& context, const Launched& launched) {
    const Function& function = *launched.function;
    const auto module = launched.module.lock();
    if (!module) {
        return end(context, LAUNCH_FAILED, "kernel " + function.name + ": its module was unloaded before it ran");
    }
    std::vector<void*> arguments;
    for (const auto& value : launched.values) arguments.push_back(value.get());
    const Kernel kernel{function.entry, module->shared_begin, module->shared_end};
    const std::uint64_t number = seed(++launches);
    note("launch", function.name.c_str());
    Fault fault = launch(kernel, launched.grid, launched.threads, launched.dynamic_shared, arguments.data(), number,
                         &context.memory);
    if (fault.empty()) fault = {context.memory.damage(), true};
    if (fault.empty()) return;
    const int code = fault.misaligned ? MISALIGNED_ADDRESS : fault.memory ? ILLEGAL_ADDRESS : LAUNCH_FAILED;
    end(context, code, "kernel " + function.name + ", EMULATED_SEED=" + std::to_string(number) + ": " + fault.what);
}

inline int launch_later(Locked& locked, void* handle, dim3 grid, dim3 threads, std::size_t dynamic_shared,
                        void** arguments) {
    const auto function = find(locked.context->functions, handle);
    const auto module = function ? function->module.lock() : nullptr;
    if (!module) return INVALID_HANDLE;
    auto launched = std::make_shared<Launched>();
    launched->function = function;
    launched->grid = grid;
    launched->threads = threads;
    launched->dynamic_shared = dynamic_shared;
    launched->module = module;
    if (const char* what = too_much(*function, *module, *launched)) {
        std::fprintf(stderr, "emulated GPU: kernel %s is not launched: %s\n", function->name.c_str(), what);
        return INVALID_VALUE;
    }
    for (std::size_t i = 0; i < function->sizes.size(); ++i) {
        launched->values.push_back(std::make_unique<unsigned char[]>(function->sizes[i]));
        std::memcpy(launched->values.back().get(), arguments[i], function->sizes[i]);
    }
    Context* const context = locked.context;
    return issue(locked, [context, launched] { run_kernel(*context, *launched); });
}

// CUlaunchConfig.
struct LaunchConfig {
    unsigned grid_x, grid_y, grid_z, block_x, block_y, block_z, dynamic_shared;
    void* stream;
    void* attributes;
    unsigned number_of_attributes;
};

inline int load_module(Locked& locked, void** handle, const void* image) {
    if (const int code = refused_ptx(image)) return code;
    auto module = std::make_shared<Module>();
    if (!module->load(image)) return INVALID_IMAGE;
    // Versions of one major number load each other's CUBINs.
    if (module->toolkit / 1000 > driver_version() / 1000) {
        std::fprintf(stderr, "emulated GPU: a CUBIN of CUDA %d is not loaded by a driver for CUDA %d\n",
                     module->toolkit / 1000, driver_version() / 1000);
        return INVALID_IMAGE;
    }
    const std::string architecture = module->architecture;
    if (architecture != ARCHITECTURES[0] && architecture != ARCHITECTURES[1]) return NO_BINARY_FOR_GPU;
    *handle = keep(locked.context->modules, std::move(module));
    return SUCCESS;
}

// Blocks of the function that a multiprocessor runs at the same time.
inline int blocks_at_once(const Function& function, int threads, std::size_t dynamic_shared) {
    const auto module = function.module.lock();
    const int shared = static_cast<int>((module ? module->shared_bytes() : 0) + dynamic_shared) + RESERVED_SHARED;
    const int whole_warps = (threads + 31) / 32 * 32;
    return std::min({BLOCKS_AT_ONCE, THREADS_AT_ONCE / whole_warps, SHARED_AT_ONCE / shared});
}

extern "C" {

int cuModuleLoadData(void** handle, const void* image) {
    Locked locked;
    return locked ? load_module(locked, handle, image) : locked.code;
}

int cuModuleUnload(void* handle) {
    Locked locked;
    if (!locked) return locked.code;
    const auto module = find(locked.context->modules, handle);
    if (!module) return INVALID_HANDLE;
    auto& functions = locked.context->functions;
    for (auto at = functions.begin(); at != functions.end();) {
        at = at->second->module.lock() == module ? functions.erase(at) : std::next(at);
    }
    locked.context->modules.erase(handle);
    return SUCCESS;
}

int cuModuleGetFunction(void** handle, void* module_handle, const char* name) {
    Locked locked;
    if (!locked) return locked.code;
    const auto module = find(locked.context->modules, module_handle);
    if (!module) return INVALID_HANDLE;
    auto function = std::make_shared<Function>();
    function->module = module;
    function->entry = module->entry(name);
    function->sizes = module->sizes(name);
    function->name = name;
    if (!function->entry) return NOT_FOUND;
    *handle = keep(locked.context->functions, std::move(function));
    return SUCCESS;
}

int cuFuncGetAttribute(int* value, int attribute, void* handle) {
    Locked locked;
    if (!locked) return locked.code;
    const auto function = find(locked.context->functions, handle);
    const auto module = function ? function->module.lock() : nullptr;
    if (!module) return INVALID_HANDLE;
    switch (attribute) {
    case 0: *value = MAX_THREADS; break;                               // MAX_THREADS_PER_BLOCK
    case 1: *value = static_cast<int>(module->shared_bytes()); break;  // SHARED_SIZE_BYTES
    case 2: case 3: *value = 0; break;                                 // CONST_, LOCAL_SIZE_BYTES
    case 4: *value = 32; break;                                        // NUM_REGS
    case 8: *value = function->allowed_shared_bytes; break;            // MAX_DYNAMIC_SHARED_SIZE_BYTES
    default: return INVALID_VALUE;
    }
    return SUCCESS;
}

int cuFuncSetAttribute(void* handle, int attribute, int value) {
    Locked locked;
    if (!locked) return locked.code;
    const auto function = find(locked.context->functions, handle);
    const auto module = function ? function->module.lock() : nullptr;
    if (!module) return INVALID_HANDLE;
    if (attribute == 9) return SUCCESS; // PREFERRED_SHARED_MEMORY_CARVEOUT
    const int most = SHARED_BYTES_OPTIN - static_cast<int>(module->shared_bytes());
    if (attribute != 8 || value < 0 || value > most) return INVALID_VALUE;
    function->allowed_shared_bytes = value;
    return SUCCESS;
}

int cuOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, void* handle, int threads, std::size_t dynamic_shared) {
    Locked locked;
    if (!locked) return locked.code;
    const auto function = find(locked.context->functions, handle);
    if (!function) return INVALID_HANDLE;
    if (threads <= 0 || threads > MAX_THREADS) return INVALID_VALUE;
    *blocks = blocks_at_once(*function, threads, dynamic_shared);
    return SUCCESS;
}

int cuLaunchKernel(void* handle, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x, unsigned block_y,
                   unsigned block_z, unsigned dynamic_shared, void* stream, void** arguments, void** extra) {
    Locked locked(stream);
    if (!locked) return locked.code;
    if (extra) return INVALID_VALUE;
    const dim3 grid{grid_x, grid_y, grid_z}, threads{block_x, block_y, block_z};
    return launch_later(locked, handle, grid, threads, dynamic_shared, arguments);
}

// Attributes, such as the size of a cluster, are not emulated.
int cuLaunchKernelEx(const LaunchConfig* config, void* handle, void** arguments, void** extra) {
    if (config->number_of_attributes != 0) return NOT_SUPPORTED;
    return cuLaunchKernel(handle, config->grid_x, config->grid_y, config->grid_z, config->block_x, config->block_y,
                          config->block_z, config->dynamic_shared, config->stream, arguments, extra);
}

} // extern "C"

} // namespace emulator
