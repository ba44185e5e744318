// Streams and events, with the names and types of cuda.h.
#pragma once
#include "work.h"

namespace emulator {

// CUstream_flags and CUevent_record_flags: those that are known here.
constexpr unsigned NON_BLOCKING = 1;
// Greatest priority of a stream: lower numbers come first.
constexpr int MOST_PRIORITY = -5;

inline int create_stream(void** stream, unsigned flags, int priority) {
    Locked locked;
    if (!locked) return locked.code;
    if (flags > NON_BLOCKING) return INVALID_VALUE;
    priority = std::min(0, std::max(MOST_PRIORITY, priority));
    *stream = keep(locked.context->streams, locked.context->new_stream(flags == NON_BLOCKING, priority));
    return SUCCESS;
}

// Returns the event of that handle, of whatever context, or null.
inline std::shared_ptr<Event> event_of(void* handle) {
    for (const Device& device : devices) {
        if (!device.context) continue;
        if (auto event = find(device.context->events, handle)) return event;
    }
    return nullptr;
}

// A wait or a query of an event that a capture recorded is refused, and ends the capture.
inline int refuse_captured(const Event& event) {
    if (!event.capture) return SUCCESS;
    event.capture->invalid = true;
    return CAPTURED_EVENT;
}

// Whether the task is done; if it is not, a bit of the work before it is done now, so that a loop of queries ends.
inline int query(const std::shared_ptr<Task>& task) {
    if (!task || task->done) return SUCCESS;
    if (in_order() || luck() % 2) approach(*task);
    return NOT_READY;
}

// Lets the next work of a stream that captures come after an event of the same capture. A stream that does not capture
// takes part from now on.
inline int join_capture(const std::shared_ptr<Stream>& stream, const Event& event) {
    if (event.capture->invalid) return STREAM_CAPTURE_INVALIDATED;
    if (!stream->capture) {
        stream->capture = event.capture;
        event.capture->streams.push_back(stream);
        stream->frontier.clear();
    } else if (stream->capture != event.capture) {
        invalidate(*event.capture, STREAM_CAPTURE_MERGE);
        return invalidate(*stream->capture, STREAM_CAPTURE_MERGE);
    }
    join(stream->frontier, event.frontier);
    return SUCCESS;
}

extern "C" {

int cuStreamCreate(void** stream, unsigned flags) { return create_stream(stream, flags, 0); }
int cuStreamCreateWithPriority(void** stream, unsigned flags, int priority) {
    return create_stream(stream, flags, priority);
}

int cuStreamGetPriority(void* handle, int* priority) {
    Locked locked(handle);
    if (locked) *priority = locked.stream->priority;
    return locked.code;
}

int cuStreamGetFlags(void* handle, unsigned* flags) {
    Locked locked(handle);
    if (locked) *flags = locked.stream->non_blocking ? NON_BLOCKING : 0;
    return locked.code;
}

int cuStreamGetCtx(void* handle, void** context) {
    Locked locked(handle);
    if (locked) *context = &handles[locked.context->number];
    return locked.code;
}

// Work of the stream still runs.
int cuStreamDestroy_v2(void* handle) {
    Locked locked(handle);
    if (!locked) return locked.code;
    if (locked.stream->capture) invalidate(*locked.stream->capture, STREAM_CAPTURE_INVALIDATED);
    return locked.context->streams.erase(handle) > 0 ? SUCCESS : INVALID_HANDLE;
}

int cuStreamSynchronize(void* handle) {
    Locked locked(handle);
    return locked ? wait_for_stream(locked) : locked.code;
}

int cuStreamQuery(void* handle) {
    Locked locked(handle);
    if (!locked) return locked.code;
    if (const int code = refuse_in_capture(*locked.stream)) return code;
    const int code = query(locked.stream->last);
    return has_ended(*locked.context) ? locked.context->fault : code;
}

int cuStreamWaitEvent(void* handle, void* event_handle, unsigned) {
    Locked locked(handle);
    if (!locked) return locked.code;
    const auto event = event_of(event_handle);
    if (!event) return INVALID_HANDLE;
    if (event->capture) return join_capture(locked.stream, *event);
    if (locked.stream->capture) return invalidate(*locked.stream->capture, STREAM_CAPTURE_ISOLATION);
    // Without a record there is nothing to wait for.
    return event->record ? issue(locked, [] {}, nullptr, event->record) : SUCCESS;
}

int cuEventCreate(void** handle, unsigned flags) {
    Locked locked;
    if (!locked) return locked.code;
    if (flags > ALL_EVENT_FLAGS) return INVALID_VALUE;
    auto event = std::make_shared<Event>();
    event->timing = !(flags & DISABLE_TIMING);
    *handle = keep(locked.context->events, std::move(event));
    return SUCCESS;
}

int cuEventDestroy_v2(void* handle) {
    Locked locked;
    if (!locked) return locked.code;
    return locked.context->events.erase(handle) > 0 ? SUCCESS : INVALID_HANDLE;
}

// The event is of the stream's context.
int cuEventRecord(void* handle, void* stream_handle) {
    Locked locked(stream_handle);
    if (!locked) return locked.code;
    const auto event = find(locked.context->events, handle);
    if (!event) return INVALID_HANDLE;
    const Stream& stream = *locked.stream;
    if (stream.capture) {
        if (stream.capture->invalid) return STREAM_CAPTURE_INVALIDATED;
        event->capture = stream.capture;
        event->frontier = stream.frontier;
        return SUCCESS;
    }
    event->capture = nullptr;
    event->time = std::make_shared<std::chrono::steady_clock::time_point>();
    return issue(locked, [time = event->time] { *time = std::chrono::steady_clock::now(); }, &event->record);
}

int cuEventQuery(void* handle) {
    Locked locked;
    if (!locked) return locked.code;
    const auto event = find(locked.context->events, handle);
    if (!event) return INVALID_HANDLE;
    if (const int code = refuse_captured(*event)) return code;
    const int code = query(event->record);
    return has_ended(*locked.context) ? locked.context->fault : code;
}

int cuEventSynchronize(void* handle) {
    Locked locked;
    if (!locked) return locked.code;
    const auto event = find(locked.context->events, handle);
    if (!event) return INVALID_HANDLE;
    if (const int code = refuse_captured(*event)) return code;
    note("wait");
    finish(event->record);
    locked.device().trim(false);
    return locked.context->fault;
}

int cuEventElapsedTime_v2(float* milliseconds, void* from_handle, void* to_handle) {
    Locked locked;
    if (!locked) return locked.code;
    const auto from = find(locked.context->events, from_handle), to = find(locked.context->events, to_handle);
    if (!from || !to || !from->timing || !to->timing || !from->record || !to->record) return INVALID_HANDLE;
    if (!from->record->done || !to->record->done) return NOT_READY;
    *milliseconds = std::chrono::duration<float, std::milli>(*to->time - *from->time).count();
    return SUCCESS;
}

int cuEventElapsedTime(float* milliseconds, void* from, void* to) {
    return cuEventElapsedTime_v2(milliseconds, from, to);
}

} // extern "C"

} // namespace emulator
