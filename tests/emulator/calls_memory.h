// Allocations, pools and pinned memory, with the names and types of cuda.h.
#pragma once
#include "work.h"

#include <cstdlib>
#include <cstring>

namespace emulator {

// Whether the device has `bytes` more; what makes it so, if it is needed, is the end of all work and what the pools
// keep.
template <class Lacks> bool has_room(Locked& locked, Lacks lacks) {
    const auto fits = [&] {
        const std::size_t taken = locked.device().taken(), all = memory_bytes();
        return taken <= all && lacks() <= all - taken;
    };
    if (fits()) return true;
    locked.device().trim(true);
    if (fits()) return true;
    wait_for_all(*locked.context);
    locked.device().trim(true);
    return fits();
}

// Allocates in the order of the stream of a call: before the stream comes to it, the memory cannot be accessed.
inline int allocate_later(Locked& locked, Pointer* pointer, std::size_t bytes, Pool* pool) {
    Context* const context = locked.context;
    if (bytes == 0 || !pool || pool->destroyed) return INVALID_VALUE;
    // A graph would have a node for it, which is not emulated.
    if (const int code = refuse_in_capture(*locked.stream)) return code;
    if (pool->most != 0 && bytes > pool->most - pool->used) return OUT_OF_MEMORY;
    if (!has_room(locked, [&] { return pool->lacks(bytes); })) return context->fault ? context->fault : OUT_OF_MEMORY;
    void* const at = context->memory.reserve(bytes, pool);
    pool->take(bytes);
    *pointer = reinterpret_cast<std::uintptr_t>(at);
    return issue(locked, [context, at] { context->memory.starting(at)->open(); });
}

inline void free_now(Context& context, void* at) {
    const Allocation* allocation = context.memory.starting(at);
    if (allocation->pool) allocation->pool->give(allocation->bytes);
    context.memory.free(at);
}

inline Pool* known_pool(void* handle) {
    for (Device& device : devices) {
        if (handle == &device.default_pool) return &device.default_pool;
        for (const auto& pool : device.pools) {
            if (handle == pool.get() && !pool->destroyed) return pool.get();
        }
    }
    return nullptr;
}

inline bool is_default(const Pool* pool) {
    return std::any_of(devices, devices + MAX_DEVICES, [&](const Device& one) { return pool == &one.default_pool; });
}

// The device of that handle, if it has pools.
inline int device_with_pools(int handle, Device** device) {
    if (const int code = known(handle)) return code;
    if (!pools_supported()) return NOT_SUPPORTED;
    *device = &devices[handle - FIRST_DEVICE];
    return SUCCESS;
}

// CUmemPoolProps.
struct PoolProperties {
    int allocation_type, handle_types;
    struct {
        int type, id;
    } location;
    void* security;
    std::size_t most;
    unsigned short usage;
    unsigned char reserved[54];
};

inline int allocate_pinned(void** pointer, std::size_t bytes) {
    Locked locked;
    if (!locked) return locked.code;
    if (bytes == 0) return INVALID_VALUE;
    if (const int code = refuse_unsafe(*locked.context)) return code;
    const std::size_t page = Pages::page();
    *pointer = std::aligned_alloc(page, (bytes + page - 1) / page * page);
    if (!*pointer) return OUT_OF_MEMORY;
    std::memset(*pointer, 0xff, bytes);
    pinned.add(*pointer, bytes, true);
    return SUCCESS;
}

// Ends the pinning of memory, once no work can use it any more.
inline int unpin(void* pointer, bool owned, int unknown) {
    Locked locked;
    if (!locked) return locked.code;
    if (const int code = refuse_unsafe(*locked.context)) return code;
    while (!busy.empty()) finish(*busy.front());
    return pinned.remove(pointer, owned) ? SUCCESS : unknown;
}

// CUpointer_attribute: those that are known here.
enum PointerAttribute { CONTEXT = 1, MEMORY_TYPE = 2, DEVICE_POINTER = 3, HOST_POINTER = 4, DEVICE_ORDINAL = 9,
                        RANGE_START = 11, RANGE_SIZE = 12 };
enum MemoryType { HOST_MEMORY = 1, DEVICE_MEMORY = 2 };

template <class T> int put(void* data, T value) {
    std::memcpy(data, &value, sizeof value);
    return SUCCESS;
}

// Writes an attribute of a pointer, or returns INVALID_VALUE if CUDA does not know the pointer.
inline int attribute_of(Pointer pointer, int attribute, void* data) {
    for (const Device& device : devices) {
        const Context* context = device.context.get();
        const Allocation* allocation = context ? context->memory.containing(address(pointer), 1) : nullptr;
        if (!allocation) continue;
        switch (attribute) {
        case CONTEXT: return put<void*>(data, &handles[context->number]);
        case MEMORY_TYPE: return put<unsigned>(data, DEVICE_MEMORY);
        case DEVICE_POINTER: return put(data, pointer);
        case DEVICE_ORDINAL: return put(data, context->number);
        case RANGE_START: return put<Pointer>(data, reinterpret_cast<std::uintptr_t>(allocation->body));
        case RANGE_SIZE: return put(data, allocation->bytes);
        default: return INVALID_VALUE;
        }
    }
    if (!pinned.holds(address(pointer), 1)) return INVALID_VALUE;
    switch (attribute) {
    case CONTEXT: return put<void*>(data, current);
    case MEMORY_TYPE: return put<unsigned>(data, HOST_MEMORY);
    case DEVICE_POINTER: case HOST_POINTER: return put(data, pointer);
    case DEVICE_ORDINAL: return put(data, static_cast<int>(current - handles));
    default: return INVALID_VALUE;
    }
}

extern "C" {

int cuMemAlloc_v2(Pointer* pointer, std::size_t bytes) {
    Locked locked;
    if (!locked) return locked.code;
    if (bytes == 0) return INVALID_VALUE;
    if (const int code = refuse_unsafe(*locked.context)) return code;
    if (!has_room(locked, [&] { return bytes; })) return OUT_OF_MEMORY;
    *pointer = reinterpret_cast<std::uintptr_t>(locked.context->memory.allocate(bytes));
    return SUCCESS;
}

// It waits for all work, of whatever stream.
int cuMemFree_v2(Pointer pointer) {
    Locked locked;
    if (!locked) return locked.code;
    if (const int code = refuse_unsafe(*locked.context)) return code;
    const Allocation* allocation = locked.context->memory.starting(address(pointer));
    if (!allocation || allocation->is_freed) return INVALID_VALUE;
    if (const int code = wait_for_all(*locked.context)) return code;
    free_now(*locked.context, address(pointer));
    return SUCCESS;
}

int cuMemAllocAsync(Pointer* pointer, std::size_t bytes, void* stream) {
    Locked locked(stream);
    if (!locked) return locked.code;
    return pools_supported() ? allocate_later(locked, pointer, bytes, locked.device().pool) : NOT_SUPPORTED;
}

int cuMemAllocFromPoolAsync(Pointer* pointer, std::size_t bytes, void* pool, void* stream) {
    Locked locked(stream);
    if (!locked) return locked.code;
    return pools_supported() ? allocate_later(locked, pointer, bytes, known_pool(pool)) : NOT_SUPPORTED;
}

// Work of other streams that still uses the memory finds it inaccessible once this stream has come to the free.
int cuMemFreeAsync(Pointer pointer, void* stream) {
    Locked locked(stream);
    if (!locked) return locked.code;
    if (!pools_supported()) return NOT_SUPPORTED;
    Context* const context = locked.context;
    Allocation* allocation = context->memory.starting(address(pointer));
    if (!allocation || allocation->is_freed || !allocation->pool) return INVALID_VALUE;
    if (const int code = refuse_in_capture(*locked.stream)) return code;
    allocation->is_freed = true;
    return issue(locked, [context, pointer] {
        if (context->memory.starting(address(pointer))->is_open) return free_now(*context, address(pointer));
        end(*context, ILLEGAL_ADDRESS, "cuMemFreeAsync: " + context->memory.around(address(pointer)));
    });
}

int cuMemGetInfo_v2(std::size_t* free, std::size_t* total) {
    Locked locked;
    if (!locked) return locked.code;
    *total = memory_bytes();
    const std::size_t taken = locked.device().taken();
    *free = taken < *total ? *total - taken : 0;
    return SUCCESS;
}

int cuDeviceGetDefaultMemPool(void** pool, int handle) {
    Device* device = nullptr;
    const int code = device_with_pools(handle, &device);
    if (code == SUCCESS) *pool = &device->default_pool;
    return code;
}

int cuDeviceGetMemPool(void** pool, int handle) {
    Device* device = nullptr;
    const int code = device_with_pools(handle, &device);
    if (code == SUCCESS) *pool = device->pool;
    return code;
}

int cuDeviceSetMemPool(int handle, void* pool) {
    std::lock_guard<std::mutex> lock(emulator::mutex);
    Device* device = nullptr;
    if (const int code = device_with_pools(handle, &device)) return code;
    Pool* const known = known_pool(pool);
    if (!known) return INVALID_VALUE;
    device->pool = known;
    return SUCCESS;
}

// The location may be given by the device's ordinal or by its handle: cuda.h does not say which.
int cuMemPoolCreate(void** pool, const PoolProperties* properties) {
    std::lock_guard<std::mutex> lock(emulator::mutex);
    const int id = properties->location.id, ordinal = id >= FIRST_DEVICE ? id - FIRST_DEVICE : id;
    // CU_MEM_ALLOCATION_TYPE_PINNED and CU_MEM_LOCATION_TYPE_DEVICE.
    if (properties->allocation_type != 1 || properties->location.type != 1) return INVALID_VALUE;
    Device* device = nullptr;
    if (const int code = device_with_pools(ordinal + FIRST_DEVICE, &device)) return code;
    device->pools.push_back(std::make_unique<Pool>());
    device->pools.back()->most = properties->most;
    *pool = device->pools.back().get();
    return SUCCESS;
}

// Allocations of the pool live on; the pool of `cuMemAllocAsync` is the default one again.
int cuMemPoolDestroy(void* pool) {
    std::lock_guard<std::mutex> lock(emulator::mutex);
    Pool* const known = known_pool(pool);
    if (!known || is_default(known)) return INVALID_VALUE;
    for (Device& device : devices) {
        if (device.pool == known) device.pool = &device.default_pool;
    }
    known->destroyed = true;
    known->trim(0);
    return SUCCESS;
}

int cuMemPoolTrimTo(void* pool, std::size_t kept) {
    std::lock_guard<std::mutex> lock(emulator::mutex);
    Pool* const known = known_pool(pool);
    if (known) known->trim(kept);
    return known ? SUCCESS : INVALID_VALUE;
}

int cuMemPoolSetAttribute(void* pool, int attribute, void* value) {
    std::lock_guard<std::mutex> lock(emulator::mutex);
    Pool* const known = known_pool(pool);
    return known && value && known->set(attribute, value) ? SUCCESS : INVALID_VALUE;
}

int cuMemPoolGetAttribute(void* pool, int attribute, void* value) {
    std::lock_guard<std::mutex> lock(emulator::mutex);
    const Pool* const known = known_pool(pool);
    return known && value && known->get(attribute, value) ? SUCCESS : INVALID_VALUE;
}

int cuMemHostAlloc(void** pointer, std::size_t bytes, unsigned flags) {
    return flags <= 7 ? allocate_pinned(pointer, bytes) : INVALID_VALUE;
}
int cuMemAllocHost_v2(void** pointer, std::size_t bytes) { return allocate_pinned(pointer, bytes); }

// It waits for all work, of whatever stream.
int cuMemFreeHost(void* pointer) {
    const int code = unpin(pointer, true, INVALID_VALUE);
    if (code == SUCCESS) std::free(pointer);
    return code;
}

int cuMemHostRegister_v2(void* pointer, std::size_t bytes, unsigned) {
    Locked locked;
    if (!locked) return locked.code;
    if (!pointer || bytes == 0) return INVALID_VALUE;
    if (const int code = refuse_unsafe(*locked.context)) return code;
    return pinned.add(pointer, bytes, false) ? SUCCESS : HOST_MEMORY_ALREADY_REGISTERED;
}

int cuMemHostUnregister(void* pointer) { return unpin(pointer, false, HOST_MEMORY_NOT_REGISTERED); }

int cuMemHostGetDevicePointer_v2(Pointer* pointer, void* host, unsigned flags) {
    Locked locked;
    if (!locked) return locked.code;
    if (flags != 0 || !pinned.holds(host, 1)) return INVALID_VALUE;
    *pointer = reinterpret_cast<std::uintptr_t>(host);
    return SUCCESS;
}

int cuPointerGetAttribute(void* data, int attribute, Pointer pointer) {
    Locked locked;
    return locked ? attribute_of(pointer, attribute, data) : locked.code;
}

// A pointer that CUDA does not know is no error here: its attributes are zero.
int cuPointerGetAttributes(unsigned count, int* attributes, void** data, Pointer pointer) {
    Locked locked;
    if (!locked) return locked.code;
    const bool known = attribute_of(pointer, MEMORY_TYPE, data[0]) == SUCCESS;
    for (unsigned i = 0; i < count; ++i) {
        const int attribute = attributes[i];
        const bool small = attribute == MEMORY_TYPE || attribute == DEVICE_ORDINAL;
        std::memset(data[i], 0, small ? sizeof(int) : sizeof(Pointer));
        if (known && attribute_of(pointer, attribute, data[i]) != SUCCESS) return INVALID_VALUE;
        // The value that stands for no device.
        if (!known && attribute == DEVICE_ORDINAL) put(data[i], -2);
    }
    return SUCCESS;
}

} // extern "C"

} // namespace emulator
