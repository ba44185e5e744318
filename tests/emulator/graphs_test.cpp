// Tests captures and graphs of the emulated driver.
//
//   graphs_test DRIVER NVRTC
#include "host.h"

#include <algorithm>

namespace {

constexpr int N = 64;
constexpr Size BYTES = N * sizeof(int);
// CUstreamCaptureMode.
enum { GLOBAL = 0, THREAD_LOCAL = 1, RELAXED = 2 };

const char* const KERNELS = R"(
extern "C" __global__ void add(int* out, const int* in, int by) { out[threadIdx.x] = in[threadIdx.x] + by; }
)";

std::string cubin;

int begin_capture(void* stream, int mode = GLOBAL) { return call<void*, int>("cuStreamBeginCapture_v2", stream, mode); }
int end_capture(void* stream, void** graph) { return call<void*, void**>("cuStreamEndCapture", stream, graph); }
int run(void* executable, void* stream) { return call<void*, void*>("cuGraphLaunch", executable, stream); }
int status(void* stream) {
    int status = -1;
    check(call<void*, int*>("cuStreamIsCapturing", stream, &status) == 0, "the state of a capture");
    return status;
}

void* instantiate(void* graph) {
    void* executable = nullptr;
    check(call<void**, void*, unsigned long long>("cuGraphInstantiateWithFlags", &executable, graph, 0) == 0,
          "a graph is instantiated");
    return executable;
}

bool all(const int* numbers, int value) {
    return std::all_of(numbers, numbers + N, [&](int number) { return number == value; });
}

// Copy in, kernel, copy out: captured once, launched with other contents of the host memory.
void a_graph_is_launched_often() {
    begin();
    void *stream = new_stream(1), *graph = nullptr;
    void* add = function(cubin, "add");
    Pointer in = allocate(BYTES), out = allocate(BYTES);
    int *source = pinned_ints(N, 1), *result = pinned_ints(N, 0), by = 10;
    check(begin_capture(stream) == 0 && status(stream) == 1, "a capture begins");
    check(upload(in, source, BYTES, stream) == 0, "a copy is captured");
    check(launch(add, 1, N, 0, {&out, &in, &by}, stream) == 0, "a launch is captured");
    check(download(result, out, BYTES, stream) == 0, "the other copy is captured");
    by = 1000;
    check(end_capture(stream, &graph) == 0 && graph && status(stream) == 0, "a capture ends");
    check(call("cuCtxSynchronize") == 0 && all(result, 0), "nothing has run");
    void* executable = instantiate(graph);
    check(call<void*>("cuGraphDestroy", graph) == 0 && call<void*>("cuGraphDestroy", graph) == 1, "destroyed once");
    check(call<void*, void*>("cuGraphUpload", executable, stream) == 0, "uploaded");
    for (int value : {1, 2, 3}) {
        std::fill(source, source + N, value);
        check(run(executable, stream) == 0 && await(stream) == 0, "a launch of the graph");
        check(all(result, value + 10), "the arguments are of the capture, the host memory is of the launch");
    }
    check(run(executable, stream) == 0, "one more");
    check(call<void*>("cuGraphExecDestroy", executable) == 0, "destroyed before it runs");
    std::fill(source, source + N, 4);
    check(await(stream) == 0 && all(result, 14), "it runs nevertheless, late");
    check(run(executable, stream) == 1, "but cannot be named");
    end();
}

// Two branches, which are joined again, under several seeds: an order between them that is missing is found.
void branches() {
    int wrong = 0;
    for (const char* seed : {"0", "1", "2", "3", "4", "5"}) {
        for (bool joined : {true, false}) {
            set_seed(seed);
            begin();
            void *a = new_stream(1), *b = new_stream(1), *fork = new_event(), *join = new_event(), *end_b = new_event();
            void *graph = nullptr;
            void* add = function(cubin, "add");
            Pointer left = allocate(BYTES), right = allocate(BYTES), out = allocate(BYTES);
            int *result = pinned_ints(N, 0), by = 1;
            check(begin_capture(a) == 0 && fill(left, 1, N, a) == 0, "before the fork");
            check(record(fork, a) == 0 && wait_event(b, fork) == 0 && status(b) == 1, "a fork");
            check(launch(add, 1, N, 0, {&right, &left, &by}, b) == 0, "a branch");
            check(record(join, b) == 0, "the end of the branch");
            if (joined) check(wait_event(a, join) == 0, "a join");
            check(launch(add, 1, N, 0, {&out, &right, &by}, a) == 0, "work after the join");
            check(record(end_b, b) == 0 && wait_event(a, end_b) == 0, "a join, perhaps too late");
            check(download(result, out, BYTES, a) == 0, "the result");
            check(end_capture(a, &graph) == 0 && status(b) == 0, "a capture ends in all streams");
            void* executable = instantiate(graph);
            check(run(executable, a) == 0 && await(a) == 0, "a launch");
            if (joined) check(all(result, 3), "branches keep their order");
            else wrong += !all(result, 3);
            end();
        }
    }
    check(wrong > 0, "a join that comes too late is found");
}

void what_a_capture_refuses() {
    set_seed("0");
    begin();
    void *a = new_stream(1), *b = new_stream(1), *blocking = new_stream(0), *event = new_event(), *graph = nullptr;
    void* other = new_event();
    const Pointer memory = allocate(BYTES);
    std::vector<int> read(N);
    Pointer pointer = 0;
    const auto refused = [&](int code, int expected, const char* what) {
        check(code == expected, what);
        check(status(a) == 2, "the capture is invalid");
        check(fill(memory, 1, N, a) == 901, "so is more work");
        check(end_capture(a, &graph) == 901 && !graph && status(a) == 0, "there is no graph");
        check(begin_capture(a) == 0 && fill(memory, 1, N, a) == 0, "the next capture");
    };
    check(begin_capture(nullptr) == 900 && end_capture(a, &graph) == 1, "the default stream cannot be captured");
    check(begin_capture(a) == 0, "a capture");
    refused(await(a), 900, "a wait for the stream");
    refused(call<void*>("cuStreamQuery", a), 900, "a query of the stream");
    refused(call("cuCtxSynchronize"), 900, "a wait for all");
    refused(call<void*, Pointer, Size>("cuMemcpyDtoH_v2", read.data(), memory, BYTES), 900, "a synchronous copy");
    refused(call<Pointer*, Size>("cuMemAlloc_v2", &pointer, 4), 900, "an allocation");
    refused(call<Pointer*, Size, void*>("cuMemAllocAsync", &pointer, 4, a), 900, "a node that is not emulated");
    check(record(event, a) == 0, "an event of the capture");
    refused(call<void*>("cuEventSynchronize", event), 907, "a wait for it");
    check(record(event, a) == 0, "an event of the capture");
    refused(call<void*>("cuEventQuery", event), 907, "a query of it");
    check(fill(memory, 2, N, b) == 0 && record(other, b) == 0, "work outside");
    refused(wait_event(a, other), 905, "a wait for it");
    check(await(b) == 0, "other streams go on");
    check(record(event, a) == 0 && wait_event(b, event) == 0 && fill(memory, 3, N, b) == 0, "a fork");
    check(end_capture(a, &graph) == 904 && !graph && status(b) == 0, "without a join");
    check(begin_capture(a) == 0 && fill(memory, 1, N, a) == 0, "a capture");
    check(begin_capture(b) == 0 && record(other, b) == 0, "and another one");
    refused(wait_event(a, other), 902, "the two are merged");
    check(end_capture(b, &graph) == 901, "both are invalid");
    check(begin_capture(blocking) == 0 && fill(memory, 1, N, nullptr) == 906, "the default stream would wait for it");
    check(end_capture(blocking, &graph) == 901, "it is invalid");
    check(fill(memory, 1, N, nullptr) == 0, "it does not wait for the other one");
    check(record(event, a) == 0 && wait_event(b, event) == 0, "a fork");
    check(end_capture(b, &graph) == 903, "it ends in another stream");
    check(end_capture(a, &graph) == 901, "and is invalid");
    end();
}

// The mode of a capture decides which threads may call what could wait for the device.
void modes() {
    set_seed("0");
    begin();
    void *stream = new_stream(1), *graph = nullptr;
    const Pointer memory = allocate(BYTES);
    const auto allocation = [] {
        Pointer pointer = 0;
        return call<Pointer*, Size>("cuMemAlloc_v2", &pointer, 4);
    };
    const auto elsewhere = [&](auto what) {
        int code = -1;
        std::thread([&] {
            call<void*>("cuCtxSetCurrent", context);
            code = what();
        }).join();
        return code;
    };
    for (int mode : {GLOBAL, THREAD_LOCAL, RELAXED}) {
        check(begin_capture(stream, mode) == 0 && fill(memory, 1, N, stream) == 0, "a capture");
        check(elsewhere(allocation) == (mode == GLOBAL ? 900 : 0), "an allocation in another thread");
        check(end_capture(stream, &graph) == (mode == GLOBAL ? 901 : 0), "an end");
        check(begin_capture(stream, mode) == 0 && fill(memory, 1, N, stream) == 0, "a capture");
        check(allocation() == (mode == RELAXED ? 0 : 900), "an allocation in this thread");
        const int code = elsewhere([&] { return end_capture(stream, &graph); });
        check(code == (mode == RELAXED ? 0 : 908), "an end in another thread");
        if (mode != RELAXED) check(end_capture(stream, &graph) == 901, "the end in this one");
    }
    end();
}

// A fault of a graph ends the context as one of a stream does.
void faults() {
    set_seed("0");
    begin();
    void *stream = new_stream(1), *graph = nullptr;
    const Pointer memory = allocate(BYTES);
    const Pointer other = allocate(BYTES);
    int* result = pinned_ints(N, 0);
    check(begin_capture(stream) == 0 && fill(memory, 1, N, stream) == 0, "a capture");
    check(download(result, other, BYTES, stream) == 0 && end_capture(stream, &graph) == 0, "a graph");
    void* executable = instantiate(graph);
    check(run(executable, stream) == 0 && await(stream) == 0, "it runs");
    check(call<Pointer>("cuMemFree_v2", memory) == 0, "its memory is freed");
    std::fill(result, result + N, 5);
    check(run(executable, stream) == 0 && await(stream) == 700, "it cannot run");
    check(all(result, 5), "nor can what comes after");
    end();
}

} // namespace

int main(int arguments, char** argument) {
    load(arguments, argument);
    call<unsigned>("cuInit", 0);
    cubin = compile("k.cu", KERNELS, {"--gpu-architecture=sm_90"}).cubin;
    set_seed("0");
    a_graph_is_launched_often();
    branches();
    what_a_capture_refuses();
    modes();
    faults();
    std::puts(failures ? "emulated graphs: broken" : "emulated graphs: ok");
    return failures != 0;
}
