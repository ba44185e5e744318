// Issuing work to streams, waiting for it, and what a capture does to both.
#pragma once
#include "context.h"
#include "log.h"

#include <cstdio>
#include <functional>
#include <string>
#include <vector>

namespace emulator {

using Pointer = unsigned long long; // CUdeviceptr

inline void* address(Pointer pointer) { return reinterpret_cast<void*>(pointer); }

// Ends a context: what the host learns of it is `code`, from the next call on.
inline void end(Context& context, int code, const std::string& what) {
    std::fprintf(stderr, "emulated GPU: %s\n", what.c_str());
    context.fault = code;
}

// The capture cannot become a graph any more.
inline int invalidate(Capture& capture, int code) {
    if (capture.invalid) return STREAM_CAPTURE_INVALIDATED;
    capture.invalid = true;
    return code;
}

// Refuses a call that is not allowed on a stream that captures.
inline int refuse_in_capture(const Stream& stream) {
    return stream.capture ? invalidate(*stream.capture, STREAM_CAPTURE_UNSUPPORTED) : SUCCESS;
}

// Refuses a call that may wait for the device, if a capture of the context forbids it.
inline int refuse_unsafe(const Context& context) {
    int code = SUCCESS;
    for (const auto& stream : context.others()) {
        if (!stream->capture) continue;
        const Capture& capture = *stream->capture;
        const bool own = capture.thread == std::this_thread::get_id();
        if (capture.mode == ALL_THREADS || (capture.mode == OWN_THREAD && own)) code = refuse_in_capture(*stream);
    }
    return code;
}

// Refuses work on the legacy default stream while a stream captures that it would wait for.
inline int refuse_implicit(const Context& context) {
    int code = SUCCESS;
    for (const auto& stream : context.others()) {
        if (stream->capture && !stream->non_blocking) code = invalidate(*stream->capture, STREAM_CAPTURE_IMPLICIT);
    }
    return code;
}

// The work that new work of `stream` waits for because of the legacy default stream.
inline std::vector<std::shared_ptr<Task>> implicit(const Context& context, const std::shared_ptr<Stream>& stream) {
    std::vector<std::shared_ptr<Task>> after;
    if (stream == context.legacy) {
        for (const auto& other : context.others()) {
            if (!other->non_blocking && other->last) after.push_back(other->last);
        }
    } else if (!stream->non_blocking && context.legacy->last) {
        after.push_back(context.legacy->last);
    }
    return after;
}

// Issues work to the stream of a call, or adds it to what the stream captures. `issued` receives the task, null during
// a capture.
inline int issue(Locked& locked, std::function<void()> work, std::shared_ptr<Task>* issued = nullptr,
                 const std::shared_ptr<Task>& before = nullptr) {
    Stream& stream = *locked.stream;
    if (stream.capture) {
        if (stream.capture->invalid) return STREAM_CAPTURE_INVALIDATED;
        stream.frontier = {stream.capture->add(std::move(work), stream.frontier)};
        return SUCCESS;
    }
    if (locked.stream == locked.context->legacy) {
        if (const int code = refuse_implicit(*locked.context)) return code;
    }
    auto after = implicit(*locked.context, locked.stream);
    if (before && !before->done) after.push_back(before);
    const auto task = append(locked.stream, std::move(work), std::move(after));
    if (issued) *issued = task;
    perhaps_run();
    return SUCCESS;
}

// Waits for all work of the stream of a call. To wait for the legacy default stream is to wait for those that it waits
// for.
inline int wait_for_stream(Locked& locked) {
    note("wait");
    if (const int code = refuse_in_capture(*locked.stream)) return code;
    std::shared_ptr<Task> last = locked.stream->last;
    if (locked.stream == locked.context->legacy) {
        if (const int code = issue(locked, [] {}, &last)) return code;
    }
    finish(last);
    locked.device().trim(false);
    return locked.context->fault;
}

// Waits for all work of a context.
inline int wait_for_all(Context& context) {
    for (const auto& stream : context.others()) finish(*stream);
    finish(*context.legacy);
    devices[context.number].trim(false);
    return context.fault;
}

} // namespace emulator
