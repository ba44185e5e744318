// The state of the emulated driver: devices, their contexts, and the current context of each thread of the host.
#pragma once
#include "codes.h"
#include "events.h"
#include "memory.h"
#include "modules.h"
#include "pinned.h"
#include "pools.h"
#include "streams.h"

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace emulator {

struct Function {
    std::weak_ptr<Module> module;
    void (*entry)(void**);
    // Bytes of each parameter.
    std::vector<unsigned> sizes;
    std::string name;
    // Bytes of dynamic shared memory that `cuFuncSetAttribute` allowed.
    int allowed_shared_bytes = 0;
};

template <class T> using Handles = std::map<void*, std::shared_ptr<T>>;

template <class T> std::shared_ptr<T> find(const Handles<T>& all, void* handle) {
    const auto at = all.find(handle);
    return at == all.end() ? nullptr : at->second;
}

template <class T> T* keep(Handles<T>& all, std::shared_ptr<T> one) {
    T* handle = one.get();
    all.emplace(handle, std::move(one));
    return handle;
}

// Handles of cuda.h for the default streams; null is the legacy one too.
constexpr std::uintptr_t LEGACY_STREAM = 1, PER_THREAD_STREAM = 2;

// The primary context of a device, alive while it is retained. The host's handles point to objects that it owns.
struct Context {
    int number = 0, retained = 0;
    // The fault that ended the context: from then on every call only returns it.
    int fault = SUCCESS;
    Memory memory;
    std::shared_ptr<Stream> legacy = std::make_shared<Stream>();
    std::map<std::thread::id, std::shared_ptr<Stream>> per_thread;
    Handles<Stream> streams;
    Handles<Event> events;
    Handles<Module> modules;
    Handles<Function> functions;
    Handles<Graph> graphs;
    Handles<Executable> executables;

    Context() { legacy->context = this; }
    Context(const Context&) = delete;
    Context& operator=(const Context&) = delete;
    // Work is lost if no call has waited for it.
    ~Context() {
        const auto of_this = [&](const std::shared_ptr<Stream>& stream) { return stream->context == this; };
        for (const auto& stream : busy) {
            if (!of_this(stream)) continue;
            for (const auto& task : stream->queue) {
                task->done = true;
                task->work = nullptr;
            }
        }
        busy.erase(std::remove_if(busy.begin(), busy.end(), of_this), busy.end());
        memory.each([](const Allocation& allocation) {
            if (allocation.pool) allocation.pool->give(allocation.bytes);
        });
    }

    std::shared_ptr<Stream> new_stream(bool non_blocking, int priority) {
        auto stream = std::make_shared<Stream>();
        stream->context = this;
        stream->non_blocking = non_blocking;
        stream->priority = priority;
        return stream;
    }

    // Returns the stream of that handle, or null.
    std::shared_ptr<Stream> stream(void* handle) {
        const auto number = reinterpret_cast<std::uintptr_t>(handle);
        if (number == 0 || number == LEGACY_STREAM) return legacy;
        if (number != PER_THREAD_STREAM) return find(streams, handle);
        auto& own = per_thread[std::this_thread::get_id()];
        if (!own) own = new_stream(false, 0);
        return own;
    }

    // All streams but the legacy default stream.
    std::vector<std::shared_ptr<Stream>> others() const {
        std::vector<std::shared_ptr<Stream>> all;
        for (const auto& [handle, stream] : streams) all.push_back(stream);
        for (const auto& [thread, stream] : per_thread) all.push_back(stream);
        // Destroyed, but not done yet.
        for (const auto& stream : busy) {
            const bool known = std::find(all.begin(), all.end(), stream) != all.end();
            if (stream->context == this && stream != legacy && !known) all.push_back(stream);
        }
        return all;
    }
};

inline bool has_ended(const Context& context) { return context.fault != SUCCESS; }

struct Device {
    std::unique_ptr<Context> context;
    Pool default_pool;
    // The pool of `cuMemAllocAsync`, and the pools that the host made; they are kept when they are destroyed, since
    // allocations point to them.
    Pool* pool = &default_pool;
    std::vector<std::unique_ptr<Pool>> pools;

    // Bytes of the device that a new allocation cannot have.
    std::size_t taken() const {
        std::size_t bytes = static_cast<std::size_t>(default_pool.reserved);
        for (const auto& made : pools) bytes += static_cast<std::size_t>(made->reserved);
        if (context) {
            context->memory.each([&](const Allocation& one) { bytes += one.pool ? 0 : one.bytes; });
        }
        return bytes;
    }

    // What a call that waits gives back, or with `all` everything that no allocation has.
    void trim(bool all) {
        default_pool.trim(all ? 0 : default_pool.threshold);
        for (const auto& made : pools) made->trim(all || made->destroyed ? 0 : made->threshold);
    }
};

// Guards all of this state; calls come from many threads.
inline std::mutex mutex;
inline bool initialized = false;
inline Device devices[MAX_DEVICES];
// The handle of a context stays the same when the context is created again.
inline int handles[MAX_DEVICES];
// The current context of this thread, and those that it pushed before.
inline thread_local int* current = nullptr;
inline thread_local std::vector<int*> pushed;
inline unsigned long long launches = 0, context_count = 0;

// The handle of a device is not its ordinal, so that a host that takes one for the other is found.
constexpr int FIRST_DEVICE = 0x40;

inline int known(int device) {
    if (!initialized) return NOT_INITIALIZED;
    return device >= FIRST_DEVICE && device < FIRST_DEVICE + number_of_devices() ? SUCCESS : INVALID_DEVICE;
}

// Returns the context of that handle, or null.
inline Context* context_of(void* handle) {
    int* const at = static_cast<int*>(handle);
    return at >= handles && at < handles + MAX_DEVICES ? devices[at - handles].context.get() : nullptr;
}

// The current context of this thread, locked while this object lives; `code` tells why there is none.
struct Locked {
    std::lock_guard<std::mutex> lock{mutex};
    Context* context = nullptr;
    // For calls on a stream.
    std::shared_ptr<Stream> stream;
    int code = NOT_INITIALIZED;

    Locked() {
        if (!initialized) return;
        context = current ? context_of(current) : nullptr;
        code = context ? context->fault : INVALID_CONTEXT;
    }

    explicit Locked(void* handle) : Locked() {
        if (code != SUCCESS) return;
        stream = context->stream(handle);
        if (!stream) code = INVALID_HANDLE;
    }

    explicit operator bool() const { return code == SUCCESS; }
    Device& device() const { return devices[context->number]; }
};

} // namespace emulator
