// Copies and fills, with the names and types of cuda.h.
//
// Host memory, as the driver API's page on synchronization has it: a copy from pageable memory has read it when the
// call returns, but has perhaps not written to the device yet; a copy to pageable memory is complete when the call
// returns. Pinned memory is read and written when the stream comes to the copy.
#pragma once
#include "work.h"

#include <cstring>
#include <initializer_list>
#include <vector>

namespace emulator {

struct Range {
    Pointer pointer;
    std::size_t bytes;
};

// Whether all of `ranges` are in allocations of the context that a call may name.
inline bool named(const Context& context, std::initializer_list<Range> ranges) {
    for (const Range& range : ranges) {
        if (!context.memory.containing(address(range.pointer), range.bytes)) return false;
    }
    return true;
}

// Whether work that runs now can access all of `ranges`; ends the context otherwise.
inline bool usable(Context& context, const char* call, std::initializer_list<Range> ranges) {
    for (const Range& range : ranges) {
        if (context.memory.holds(address(range.pointer), range.bytes)) continue;
        const std::string known = context.memory.around(address(range.pointer));
        const char* other = known.empty() ? "memory that does not exist" : "";
        end(context, ILLEGAL_ADDRESS, call + (": " + known) + other);
        return false;
    }
    return true;
}

inline int copy_to_device(Locked& locked, Pointer to, const void* from, std::size_t bytes,
                          std::shared_ptr<Task>* task = nullptr) {
    Context* const context = locked.context;
    if (!named(*context, {{to, bytes}})) return INVALID_VALUE;
    note("upload");
    std::shared_ptr<std::vector<unsigned char>> staged;
    if (!pinned.holds(from, bytes) && !locked.stream->capture) {
        const auto* first = static_cast<const unsigned char*>(from);
        staged = std::make_shared<std::vector<unsigned char>>(first, first + bytes);
    }
    return issue(locked, [context, to, from, bytes, staged] {
        if (!usable(*context, "cuMemcpyHtoD", {{to, bytes}})) return;
        std::memcpy(address(to), staged ? staged->data() : from, bytes);
    }, task);
}

inline int copy_to_host(Locked& locked, void* to, Pointer from, std::size_t bytes, bool wait) {
    Context* const context = locked.context;
    if (!named(*context, {{from, bytes}})) return INVALID_VALUE;
    note("download");
    std::shared_ptr<Task> task;
    const int code = issue(locked, [context, to, from, bytes] {
        if (usable(*context, "cuMemcpyDtoH", {{from, bytes}})) std::memcpy(to, address(from), bytes);
    }, &task);
    if (code != SUCCESS || !(wait || !pinned.holds(to, bytes))) return code;
    finish(task);
    return context->fault;
}

inline int copy_on_device(Locked& locked, Context* to_context, Pointer to, Context* from_context, Pointer from,
                          std::size_t bytes) {
    if (!to_context || !from_context) return INVALID_CONTEXT;
    if (!named(*to_context, {{to, bytes}}) || !named(*from_context, {{from, bytes}})) return INVALID_VALUE;
    return issue(locked, [=] {
        if (!usable(*to_context, "cuMemcpyDtoD", {{to, bytes}})) return;
        if (usable(*from_context, "cuMemcpyDtoD", {{from, bytes}})) {
            std::memmove(address(to), address(from), bytes);
        }
    });
}

// Fills `n` elements of the stream of a call.
template <class T> int fill(void* stream, Pointer to, T value, std::size_t n) {
    if (to % sizeof value != 0 || n > ~std::size_t{0} / sizeof value) return INVALID_VALUE;
    Locked locked(stream);
    if (!locked) return locked.code;
    Context* const context = locked.context;
    if (!named(*context, {{to, n * sizeof value}})) return INVALID_VALUE;
    note("fill");
    return issue(locked, [=] {
        if (!usable(*context, "cuMemsetD", {{to, n * sizeof value}})) return;
        for (std::size_t i = 0; i < n; ++i) static_cast<T*>(address(to))[i] = value;
    });
}

extern "C" {

int cuMemcpyHtoDAsync_v2(Pointer to, const void* from, std::size_t bytes, void* stream) {
    Locked locked(stream);
    return locked ? copy_to_device(locked, to, from, bytes) : locked.code;
}

int cuMemcpyDtoHAsync_v2(void* to, Pointer from, std::size_t bytes, void* stream) {
    Locked locked(stream);
    return locked ? copy_to_host(locked, to, from, bytes, false) : locked.code;
}

int cuMemcpyDtoDAsync_v2(Pointer to, Pointer from, std::size_t bytes, void* stream) {
    Locked locked(stream);
    if (!locked) return locked.code;
    return copy_on_device(locked, locked.context, to, locked.context, from, bytes);
}

int cuMemcpyPeerAsync(Pointer to, void* to_context, Pointer from, void* from_context, std::size_t bytes, void* stream) {
    Locked locked(stream);
    if (!locked) return locked.code;
    return copy_on_device(locked, context_of(to_context), to, context_of(from_context), from, bytes);
}

// From pageable memory it waits for earlier work, but not for its own write.
int cuMemcpyHtoD_v2(Pointer to, const void* from, std::size_t bytes) {
    Locked locked(nullptr);
    if (!locked) return locked.code;
    if (const int code = refuse_unsafe(*locked.context)) return code;
    if (const int code = wait_for_stream(locked)) return code;
    std::shared_ptr<Task> task;
    const int code = copy_to_device(locked, to, from, bytes, &task);
    if (code == SUCCESS && pinned.holds(from, bytes)) finish(task);
    return code;
}

int cuMemcpyDtoH_v2(void* to, Pointer from, std::size_t bytes) {
    Locked locked(nullptr);
    if (!locked) return locked.code;
    if (const int code = refuse_unsafe(*locked.context)) return code;
    return copy_to_host(locked, to, from, bytes, true);
}

// It does not wait for its own copy.
int cuMemcpyDtoD_v2(Pointer to, Pointer from, std::size_t bytes) {
    Locked locked(nullptr);
    if (!locked) return locked.code;
    if (const int code = refuse_unsafe(*locked.context)) return code;
    return copy_on_device(locked, locked.context, to, locked.context, from, bytes);
}

int cuMemsetD8Async(Pointer to, unsigned char value, std::size_t n, void* stream) {
    return fill(stream, to, value, n);
}

int cuMemsetD32Async(Pointer to, unsigned value, std::size_t n, void* stream) {
    return fill(stream, to, value, n);
}

} // extern "C"

} // namespace emulator
