// An emulated CUDA driver, `libcuda.so.1` of a machine with GPUs of compute capability 9.0: the functions that the host
// code calls, with the names and types of cuda.h.
//
// Work of a stream runs late, as streams.h says. Kernels are those that the emulated NVRTC compiled. A kernel's fault
// is written to stderr and ends its context; a call that waits, or a later call, returns it.
//
//   EMULATED_DEVICES          number of devices; 1 by default
//   EMULATED_MEMORY           bytes of memory of each device; 1 GiB by default
//   EMULATED_POOLS            0: the devices have no memory pools
//   EMULATED_DRIVER_VERSION   the driver's CUDA version; 13000 by default
//   EMULATED_SEED             seed of the order of streams, and of threads and blocks in all launches; 0: work runs
//                             when something waits for it, threads and blocks by their numbers. If it is not set, every
//                             launch has another seed.
#include "calls_copies.h"
#include "calls_graphs.h"
#include "calls_memory.h"
#include "calls_modules.h"
#include "calls_streams.h"

#include <cstddef>
#include <cstdio>

namespace emulator {

template <const char* Named::* member> int described(int code, const char** text) {
    *text = nullptr;
    for (const Named& known : CODES) {
        if (known.code == code) *text = known.*member;
    }
    return *text ? SUCCESS : INVALID_VALUE;
}

extern "C" {

int cuInit(unsigned flags) {
    if (flags != 0) return INVALID_VALUE;
    if (number_of_devices() == 0) return NO_DEVICE;
    std::lock_guard<std::mutex> lock(emulator::mutex);
    initialized = true;
    return SUCCESS;
}

int cuDriverGetVersion(int* version) {
    *version = driver_version();
    return SUCCESS;
}

int cuGetErrorName(int code, const char** name) { return described<&Named::name>(code, name); }
int cuGetErrorString(int code, const char** text) { return described<&Named::text>(code, text); }

int cuDeviceGetCount(int* count) {
    if (!initialized) return NOT_INITIALIZED;
    *count = number_of_devices();
    return SUCCESS;
}

int cuDeviceGet(int* device, int ordinal) {
    if (const int code = known(ordinal < MAX_DEVICES ? ordinal + FIRST_DEVICE : ordinal)) return code;
    *device = ordinal + FIRST_DEVICE;
    return SUCCESS;
}

int cuDeviceGetName(char* name, int bytes, int device) {
    std::snprintf(name, static_cast<std::size_t>(bytes), "Emulated GPU %d", device - FIRST_DEVICE);
    return known(device);
}

int cuDeviceGetUuid_v2(unsigned char* uuid, int device) {
    if (const int code = known(device)) return code;
    for (int i = 0; i < 16; ++i) uuid[i] = static_cast<unsigned char>(0xe0 + i);
    uuid[15] = static_cast<unsigned char>(device);
    return SUCCESS;
}

int cuDeviceTotalMem_v2(std::size_t* bytes, int device) {
    *bytes = memory_bytes();
    return known(device);
}

int cuDeviceGetAttribute(int* value, int attribute, int device) {
    for (const Attribute& known_one : DEVICE_ATTRIBUTES) {
        if (known_one.number != attribute) continue;
        *value = attribute == POOLS_SUPPORTED ? pools_supported() : known_one.value;
        return known(device);
    }
    return INVALID_VALUE;
}

int cuDevicePrimaryCtxRetain(void** context, int handle) {
    std::lock_guard<std::mutex> lock(emulator::mutex);
    if (const int code = known(handle)) return code;
    const int number = handle - FIRST_DEVICE;
    auto& primary = devices[number].context;
    if (!primary) {
        primary = std::make_unique<Context>();
        primary->number = number;
        restart_luck(++context_count);
    }
    ++primary->retained;
    *context = &handles[number];
    return SUCCESS;
}

int cuDevicePrimaryCtxRelease_v2(int handle) {
    std::lock_guard<std::mutex> lock(emulator::mutex);
    if (const int code = known(handle)) return code;
    Device& device = devices[handle - FIRST_DEVICE];
    if (!device.context) return INVALID_CONTEXT;
    if (--device.context->retained > 0) return SUCCESS;
    device.context.reset();
    device.trim(false);
    return SUCCESS;
}

// Whether a fault has ended the context is told by the calls that use it, not by this one.
int cuCtxSetCurrent(void* context) {
    std::lock_guard<std::mutex> lock(emulator::mutex);
    if (!initialized) return NOT_INITIALIZED;
    if (context && !context_of(context)) return INVALID_CONTEXT;
    current = static_cast<int*>(context);
    return SUCCESS;
}

int cuCtxPushCurrent_v2(void* context) {
    std::lock_guard<std::mutex> lock(emulator::mutex);
    if (!initialized) return NOT_INITIALIZED;
    if (!context_of(context)) return INVALID_CONTEXT;
    pushed.push_back(current);
    current = static_cast<int*>(context);
    return SUCCESS;
}

int cuCtxPopCurrent_v2(void** context) {
    if (!initialized) return NOT_INITIALIZED;
    if (!current) return INVALID_CONTEXT;
    if (context) *context = current;
    current = pushed.empty() ? nullptr : pushed.back();
    if (!pushed.empty()) pushed.pop_back();
    return SUCCESS;
}

int cuCtxGetCurrent(void** context) {
    *context = current;
    return initialized ? SUCCESS : NOT_INITIALIZED;
}

int cuCtxGetDevice(int* device) {
    if (!initialized) return NOT_INITIALIZED;
    if (!current) return INVALID_CONTEXT;
    *device = static_cast<int>(current - handles) + FIRST_DEVICE;
    return SUCCESS;
}

int cuCtxGetStreamPriorityRange(int* least, int* greatest) {
    Locked locked;
    if (!locked) return locked.code;
    if (least) *least = 0;
    if (greatest) *greatest = MOST_PRIORITY;
    return SUCCESS;
}

int cuCtxSynchronize() {
    Locked locked;
    if (!locked) return locked.code;
    if (const int code = refuse_unsafe(*locked.context)) return code;
    return wait_for_all(*locked.context);
}

} // extern "C"

} // namespace emulator
