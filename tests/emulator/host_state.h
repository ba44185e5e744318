// What a process shares with every user of the driver in it: the stack of contexts of each thread, and memory pools.
#pragma once
#include "context.h"

#include <cstdint>
#include <vector>

namespace emulator {

inline bool pools_supported() { return number("EMULATED_POOLS", 1) != 0; }

// A pool of memory. Freed memory is reused at once, so its attributes are kept and change nothing.
struct Pool {
    // Attributes 1 to 3, which allow three ways of reuse, and 4, the release threshold.
    std::uint64_t attributes[5] = {0, 1, 1, 1, 0};
    std::uint64_t allocations = 0;
};
inline Pool default_pools[MAX_DEVICES];
inline std::map<void*, std::unique_ptr<Pool>> pools;

// Returns the pool of that handle, or null.
inline Pool* pool_of(void* handle) {
    std::lock_guard<std::mutex> lock(emulator::mutex);
    for (Pool& pool : default_pools) {
        if (handle == &pool) return &pool;
    }
    const auto at = pools.find(handle);
    return at == pools.end() ? nullptr : at->second.get();
}

// Contexts under the current one, of each thread.
inline thread_local std::vector<int*> below;

// The begin of `CUmemPoolProps`, which is 88 bytes long in all versions.
struct PoolProperties {
    int allocation, handles, location, device;
    void* security;
    std::size_t most_bytes;
    unsigned char reserved[56];
};
static_assert(sizeof(PoolProperties) == 88, "the size in cuda.h");

} // namespace emulator

extern "C" {

__attribute__((used)) inline int cuCtxPushCurrent_v2(void* context) {
    std::lock_guard<std::mutex> lock(emulator::mutex);
    if (!emulator::initialized) return emulator::NOT_INITIALIZED;
    int* handle = static_cast<int*>(context);
    const std::ptrdiff_t at = handle - emulator::handles;
    if (!handle || at < 0 || at >= emulator::MAX_DEVICES || !emulator::contexts[at]) return emulator::INVALID_CONTEXT;
    emulator::below.push_back(emulator::current);
    emulator::current = handle;
    return emulator::SUCCESS;
}

__attribute__((used)) inline int cuCtxPopCurrent_v2(void** context) {
    if (!emulator::initialized) return emulator::NOT_INITIALIZED;
    if (!emulator::current) return emulator::INVALID_CONTEXT;
    *context = emulator::current;
    emulator::current = emulator::below.empty() ? nullptr : emulator::below.back();
    if (!emulator::below.empty()) emulator::below.pop_back();
    return emulator::SUCCESS;
}

__attribute__((used)) inline int cuDeviceGetDefaultMemPool(void** pool, int device) {
    if (const int code = emulator::known(device)) return code;
    if (!emulator::pools_supported()) return emulator::NOT_SUPPORTED;
    *pool = &emulator::default_pools[device - emulator::FIRST_DEVICE];
    return emulator::SUCCESS;
}

__attribute__((used)) inline int cuMemPoolCreate(void** pool, const void* properties) {
    if (!emulator::pools_supported()) return emulator::NOT_SUPPORTED;
    const auto* wanted = static_cast<const emulator::PoolProperties*>(properties);
    // Pinned memory (1) of a device (1), whose number is an ordinal here and no CUdevice.
    if (wanted->allocation != 1 || wanted->location != 1) return emulator::INVALID_VALUE;
    if (const int code = emulator::known(wanted->device + emulator::FIRST_DEVICE)) return code;
    auto made = std::make_unique<emulator::Pool>();
    *pool = made.get();
    std::lock_guard<std::mutex> lock(emulator::mutex);
    emulator::pools.emplace(*pool, std::move(made));
    return emulator::SUCCESS;
}

__attribute__((used)) inline int cuMemPoolDestroy(void* pool) {
    std::lock_guard<std::mutex> lock(emulator::mutex);
    return emulator::pools.erase(pool) > 0 ? emulator::SUCCESS : emulator::INVALID_VALUE;
}

__attribute__((used)) inline int cuMemPoolTrimTo(void* pool, std::size_t) {
    return emulator::pool_of(pool) ? emulator::SUCCESS : emulator::INVALID_VALUE;
}

__attribute__((used)) inline int cuMemPoolSetAttribute(void* pool, int attribute, void* value) {
    emulator::Pool* found = emulator::pool_of(pool);
    if (!found || !value || attribute < 1 || attribute > 4) return emulator::INVALID_VALUE;
    found->attributes[attribute] =
        attribute == 4 ? *static_cast<std::uint64_t*>(value) : static_cast<std::uint64_t>(*static_cast<int*>(value));
    return emulator::SUCCESS;
}

__attribute__((used)) inline int cuMemPoolGetAttribute(void* pool, int attribute, void* value) {
    emulator::Pool* found = emulator::pool_of(pool);
    if (!found || !value || attribute < 1 || attribute > 4) return emulator::INVALID_VALUE;
    if (attribute == 4) *static_cast<std::uint64_t*>(value) = found->attributes[4];
    else *static_cast<int*>(value) = static_cast<int>(found->attributes[attribute]);
    return emulator::SUCCESS;
}

} // extern "C"
