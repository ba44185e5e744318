// What the emulated driver remembers: devices, their contexts, and which one each thread of the host has set.
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
    // Bytes of dynamic shared memory that `cuFuncSetAttribute` asked for.
    int asked_for = 0;
};

// The one context of a device, alive while somebody retains it. Handles that the host holds point to what it owns.
struct Context {
    int retained = 0;
    // The fault that ended it: from then on no call does anything but say so.
    int fault = SUCCESS;
    Memory memory;
    std::map<void*, std::unique_ptr<int>> streams;
    std::map<void*, std::unique_ptr<Module>> modules;
    std::map<void*, std::unique_ptr<Function>> functions;
};

constexpr int MAX_DEVICES = 16;
// All of this; calls come from many threads.
inline std::mutex mutex;
inline bool initialized = false;
inline std::unique_ptr<Context> contexts[MAX_DEVICES];
// A handle of a context stays what it is when the context is made anew.
inline int handles[MAX_DEVICES];
inline thread_local int* current = nullptr;
inline unsigned long long launches = 0;

inline unsigned long long number(const char* variable, unsigned long long otherwise) {
    const char* text = std::getenv(variable);
    return text && *text ? std::strtoull(text, nullptr, 0) : otherwise;
}

// As many as EMULATED_DEVICES says, one without it.
inline int number_of_devices() {
    const auto devices = number("EMULATED_DEVICES", 1);
    return static_cast<int>(devices < MAX_DEVICES ? devices : MAX_DEVICES);
}

// Of each device: EMULATED_MEMORY bytes, or 1 GiB.
inline std::size_t memory_bytes() { return static_cast<std::size_t>(number("EMULATED_MEMORY", 1ull << 30)); }

inline int known(int device) {
    if (!initialized) return NOT_INITIALIZED;
    return device >= 0 && device < number_of_devices() ? SUCCESS : INVALID_DEVICE;
}

// The context that this thread has set, locked while it lives; `code` says why there is none to work with.
struct Locked {
    std::lock_guard<std::mutex> lock{mutex};
    Context* context = nullptr;
    int code = NOT_INITIALIZED;

    Locked() {
        if (!initialized) return;
        context = current ? contexts[current - handles].get() : nullptr;
        code = context ? context->fault : INVALID_CONTEXT;
    }

    // The same for calls on a stream; null is the stream that each context has.
    explicit Locked(void* stream) : Locked() {
        if (code == SUCCESS && stream && !context->streams.count(stream)) code = INVALID_HANDLE;
    }
};

} // namespace emulator
