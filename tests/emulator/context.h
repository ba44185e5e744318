// The state of the emulated driver: devices, their contexts, and the current context of each thread of the host.
#pragma once
#include "codes.h"
#include "memory.h"
#include "modules.h"

#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <string>

namespace emulator {

struct Function {
    Module* module;
    void (*entry)(void**);
    std::string name;
    // Bytes of dynamic shared memory that `cuFuncSetAttribute` allowed.
    int allowed_shared_bytes = 0;
};

// The primary context of a device, alive while it is retained. The host's handles point to objects that it owns.
struct Context {
    int retained = 0;
    // The fault that ended the context: from then on every call only returns it.
    int fault = SUCCESS;
    Memory memory;
    std::map<void*, std::unique_ptr<int>> streams;
    std::map<void*, std::unique_ptr<Module>> modules;
    std::map<void*, std::unique_ptr<Function>> functions;
};

constexpr int MAX_DEVICES = 16;
// Guards all of this state; calls come from many threads.
inline std::mutex mutex;
inline bool initialized = false;
inline std::unique_ptr<Context> contexts[MAX_DEVICES];
// The handle of a context stays the same when the context is created again.
inline int handles[MAX_DEVICES];
inline thread_local int* current = nullptr;
inline unsigned long long launches = 0;

inline unsigned long long number(const char* variable, unsigned long long otherwise) {
    const char* text = std::getenv(variable);
    return text && *text ? std::strtoull(text, nullptr, 0) : otherwise;
}

// The value of EMULATED_DEVICES, or 1 if it is not set.
inline int number_of_devices() {
    const auto devices = number("EMULATED_DEVICES", 1);
    return static_cast<int>(devices < MAX_DEVICES ? devices : MAX_DEVICES);
}

// Memory of each device in bytes: the value of EMULATED_MEMORY, or 1 GiB if it is not set.
inline std::size_t memory_bytes() { return static_cast<std::size_t>(number("EMULATED_MEMORY", 1ull << 30)); }

// The `CUdevice` of device 0: a number that is no ordinal, so that whoever takes one for the other is found.
constexpr int FIRST_DEVICE = 40;

inline int known(int device) {
    if (!initialized) return NOT_INITIALIZED;
    return device >= FIRST_DEVICE && device < FIRST_DEVICE + number_of_devices() ? SUCCESS : INVALID_DEVICE;
}

// The current context of this thread, locked while this object lives; `code` tells why there is none.
struct Locked {
    std::lock_guard<std::mutex> lock{mutex};
    Context* context = nullptr;
    int code = NOT_INITIALIZED;

    Locked() {
        if (!initialized) return;
        context = current ? contexts[current - handles].get() : nullptr;
        code = context ? context->fault : INVALID_CONTEXT;
    }

    // For calls on a stream; null is the default stream of the context.
    explicit Locked(void* stream) : Locked() {
        if (code == SUCCESS && stream && !context->streams.count(stream)) code = INVALID_HANDLE;
    }
};

} // namespace emulator
