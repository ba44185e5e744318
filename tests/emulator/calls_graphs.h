// Captures of streams and graphs, with the names and types of cuda.h.
#pragma once
#include "work.h"

namespace emulator {

// Ends a capture in all streams that take part.
inline void leave_capture(Capture& capture) {
    for (const auto& weak : capture.streams) {
        const auto stream = weak.lock();
        if (!stream || stream->capture.get() != &capture) continue;
        stream->frontier.clear();
        stream->capture = nullptr;
    }
}

// Whether all that was captured comes before the last nodes of the stream where the capture began.
inline bool is_joined(const Capture& capture, const Stream& origin) {
    const std::vector<bool> reached = capture.ancestors(origin.frontier);
    for (const auto& weak : capture.streams) {
        const auto stream = weak.lock();
        if (!stream || stream->capture.get() != &capture) continue;
        for (std::size_t node : stream->frontier) {
            if (!reached[node]) return false;
        }
    }
    return std::find(reached.begin(), reached.end(), false) == reached.end();
}

// Returns why the capture cannot become a graph.
inline int end_capture(const Capture& capture, const Stream& stream) {
    if (capture.invalid) return STREAM_CAPTURE_INVALIDATED;
    if (capture.origin != &stream) return STREAM_CAPTURE_UNMATCHED;
    return is_joined(capture, stream) ? SUCCESS : STREAM_CAPTURE_UNJOINED;
}

extern "C" {

int cuStreamBeginCapture_v2(void* handle, int mode) {
    Locked locked(handle);
    if (!locked) return locked.code;
    if (mode < ALL_THREADS || mode > RELAXED) return INVALID_VALUE;
    if (locked.stream == locked.context->legacy) return STREAM_CAPTURE_UNSUPPORTED;
    if (locked.stream->capture) return invalidate(*locked.stream->capture, STREAM_CAPTURE_UNSUPPORTED);
    auto capture = std::make_shared<Capture>();
    capture->origin = locked.stream.get();
    capture->mode = mode;
    capture->thread = std::this_thread::get_id();
    capture->streams.push_back(locked.stream);
    locked.stream->capture = std::move(capture);
    locked.stream->frontier.clear();
    return SUCCESS;
}

int cuStreamEndCapture(void* handle, void** graph) {
    Locked locked(handle);
    *graph = nullptr;
    if (!locked) return locked.code;
    const std::shared_ptr<Capture> capture = locked.stream->capture;
    if (!capture) return INVALID_VALUE;
    if (capture->mode != RELAXED && capture->thread != std::this_thread::get_id()) return STREAM_CAPTURE_WRONG_THREAD;
    const int code = end_capture(*capture, *locked.stream);
    if (code == STREAM_CAPTURE_UNMATCHED) return invalidate(*capture, code);
    leave_capture(*capture);
    capture->invalid = true;
    if (code == SUCCESS) *graph = keep(locked.context->graphs, std::make_shared<Graph>(std::move(capture->graph)));
    return code;
}

int cuStreamIsCapturing(void* handle, int* status) {
    Locked locked(handle);
    if (!locked) return locked.code;
    const auto& capture = locked.stream->capture;
    *status = !capture ? NO_CAPTURE : capture->invalid ? INVALIDATED : ACTIVE;
    return SUCCESS;
}

int cuGraphInstantiateWithFlags(void** executable, void* handle, unsigned long long) {
    Locked locked;
    if (!locked) return locked.code;
    const auto graph = find(locked.context->graphs, handle);
    if (!graph) return INVALID_VALUE;
    auto made = std::make_shared<Executable>();
    made->nodes = graph->nodes;
    *executable = keep(locked.context->executables, std::move(made));
    return SUCCESS;
}

int cuGraphUpload(void* handle, void* stream) {
    Locked locked(stream);
    if (!locked) return locked.code;
    return find(locked.context->executables, handle) ? SUCCESS : INVALID_VALUE;
}

int cuGraphLaunch(void* handle, void* stream) {
    Locked locked(stream);
    if (!locked) return locked.code;
    const auto graph = find(locked.context->executables, handle);
    if (!graph) return INVALID_VALUE;
    // A graph within a graph is not emulated.
    if (const int code = refuse_in_capture(*locked.stream)) return code;
    Context* const context = locked.context;
    const auto run = [context, graph] {
        const auto pick = [](std::size_t n) { return in_order() ? 0 : luck() % n; };
        run_nodes(graph->nodes, pick, [&] { return has_ended(*context); });
    };
    return issue(locked, run, &graph->last, std::shared_ptr<Task>(graph->last));
}

// Launches that have not run yet still run.
int cuGraphExecDestroy(void* handle) {
    Locked locked;
    if (!locked) return locked.code;
    return locked.context->executables.erase(handle) > 0 ? SUCCESS : INVALID_VALUE;
}

int cuGraphDestroy(void* handle) {
    Locked locked;
    if (!locked) return locked.code;
    return locked.context->graphs.erase(handle) > 0 ? SUCCESS : INVALID_VALUE;
}

} // extern "C"

} // namespace emulator
