// Tests what the emulated driver promises about streams, events and the host memory of copies.
//
//   streams_test DRIVER NVRTC
#include "host.h"

#include <algorithm>
#include <memory>
#include <set>

namespace {

constexpr int N = 64, NOT_READY = 600;
constexpr Size BYTES = N * sizeof(int);

const char* const KERNELS = R"(
extern "C" __global__ void add(int* out, const int* in, int by) { out[threadIdx.x] = in[threadIdx.x] + by; }
extern "C" __global__ void line_up(int* places, int* next, int who) { places[atomicAdd(next, 1)] = who; }
)";

std::string cubin;

// Whether all of the first `n` numbers are `value`.
bool all(const int* numbers, int value, int n = N) {
    return std::all_of(numbers, numbers + n, [&](int number) { return number == value; });
}

// Numbers of device memory, read after all work.
std::vector<int> numbers(Pointer memory) {
    std::vector<int> read(N);
    call("cuCtxSynchronize");
    check(call<void*, Pointer, Size>("cuMemcpyDtoH_v2", read.data(), memory, BYTES) == 0, "numbers are read");
    return read;
}

void host_memory() {
    set_seed("0");
    begin();
    void* stream = new_stream(1);
    const Pointer memory = allocate(BYTES);
    std::vector<int> pageable(N, 1);
    check(upload(memory, pageable.data(), BYTES, stream) == 0, "from pageable memory");
    std::fill(pageable.begin(), pageable.end(), 2);
    check(all(numbers(memory).data(), 1), "pageable memory was read when the call returned");

    int* pinned = pinned_ints(N, 1);
    check(upload(memory, pinned, BYTES, stream) == 0, "from pinned memory");
    std::fill(pinned, pinned + N, 2);
    check(all(numbers(memory).data(), 2), "pinned memory is read when the stream runs");

    check(fill(memory, 3, N, stream) == 0 && download(pinned, memory, BYTES, stream) == 0, "to pinned memory");
    check(all(pinned, 2), "pinned memory is not written yet");
    check(await(stream) == 0 && all(pinned, 3), "it is after a wait");
    check(fill(memory, 4, N, stream) == 0, "fours");
    check(download(pageable.data(), memory, BYTES, stream) == 0, "to pageable memory");
    check(all(pageable.data(), 4), "pageable memory is written when the call returns");

    // The first half of the range is pinned only.
    const auto unpinned = std::make_unique<int[]>(N);
    std::fill(unpinned.get(), unpinned.get() + N, 5);
    check(call<void*, Size, unsigned>("cuMemHostRegister_v2", unpinned.get(), BYTES / 2, 0) == 0, "a range is pinned");
    check(call<void*, Size, unsigned>("cuMemHostRegister_v2", unpinned.get() + 1, 4, 0) == 712, "but not twice");
    check(upload(memory, unpinned.get(), BYTES, stream) == 0, "from half pinned memory");
    std::fill(unpinned.get(), unpinned.get() + N, 6);
    check(all(numbers(memory).data(), 5), "which is pageable");
    check(upload(memory, unpinned.get(), BYTES / 2, stream) == 0, "from pinned memory");
    std::fill(unpinned.get(), unpinned.get() + N, 7);
    check(all(numbers(memory).data(), 7, N / 2), "which is read late");
    check(upload(memory, unpinned.get(), BYTES / 2, stream) == 0, "from memory that is unpinned next");
    check(call<void*>("cuMemHostUnregister", unpinned.get()) == 0, "which waits");
    std::fill(unpinned.get(), unpinned.get() + N, 9);
    check(all(numbers(memory).data(), 7, N / 2), "for all copies");
    check(call<void*>("cuMemHostUnregister", unpinned.get()) == 713, "once");

    check(upload(memory, pinned, BYTES, stream) == 0, "from memory that is freed next");
    std::fill(pinned, pinned + N, 8);
    check(call<void*>("cuMemFreeHost", pinned) == 0, "a free waits");
    check(all(numbers(memory).data(), 8), "for all copies");
    check(call<void*>("cuMemFreeHost", pinned) == 1, "freed once");
    end();
}

void synchronous_copies() {
    set_seed("0");
    begin();
    void *beside = new_stream(1), *stream = new_stream(0);
    const Pointer memory = allocate(BYTES), other = allocate(BYTES);
    int* pinned = pinned_ints(N, 0);
    const std::vector<int> ones(N, 1);
    check(fill(memory, 7, N, beside) == 0 && await(beside) == 0, "sevens");
    check(call<Pointer, const void*, Size>("cuMemcpyHtoD_v2", memory, ones.data(), BYTES) == 0, "a copy");
    check(download(pinned, memory, BYTES, beside) == 0 && await(beside) == 0, "a stream that does not wait for it");
    check(all(pinned, 7), "from pageable memory, the write may come later");
    check(download(pinned, memory, BYTES, stream) == 0 && await(stream) == 0, "a stream that waits");
    check(all(pinned, 1), "sees it");
    check(fill(memory, 2, N, stream) == 0, "work that the default stream waits for");
    check(call<Pointer, Pointer, Size>("cuMemcpyDtoD_v2", other, memory, BYTES) == 0, "on the device");
    std::vector<int> read(N);
    check(call<void*, Pointer, Size>("cuMemcpyDtoH_v2", read.data(), other, BYTES) == 0, "to the host");
    check(all(read.data(), 2), "in order");
    check(call<void*, Pointer, Size>("cuMemcpyDtoH_v2", read.data(), other + 4, BYTES) == 1, "too far");
    end();
}

// With EMULATED_SEED=0 nothing runs but what a wait needs.
void waits_run_what_they_need() {
    set_seed("0");
    begin();
    void *a = new_stream(1), *b = new_stream(1), *event = new_event();
    const Pointer memory = allocate(BYTES);
    int *of_a = pinned_ints(N, 0), *of_b = pinned_ints(N, 0);
    check(fill(memory, 1, N, a) == 0 && download(of_a, memory, BYTES, a) == 0, "work of one stream");
    check(record(event, a) == 0, "an event");
    check(fill(memory, 2, N, a) == 0 && download(of_b, memory, BYTES, b) == 0, "work of both");
    check(await(b) == 0 && of_b[0] == -1 && of_a[0] == 0, "the other stream has not run");
    check(call<void*>("cuEventSynchronize", event) == 0 && all(of_a, 1), "the event has");
    check(download(of_b, memory, BYTES, b) == 0 && await(b) == 0 && all(of_b, 1), "and nothing after it");
    check(call("cuCtxSynchronize") == 0 && all(numbers(memory).data(), 2), "then all has");

    const Pointer freed = allocate(BYTES);
    check(fill(freed, 1, N, a) == 0 && call<Pointer>("cuMemFree_v2", freed) == 0, "memory is freed");
    check(call("cuCtxSynchronize") == 0, "after all work that may use it");
    check(fill(memory, 3, N, a) == 0 && call<void*>("cuStreamDestroy_v2", a) == 0, "a stream is destroyed");
    check(await(a) == 400 && call<void*>("cuStreamQuery", a) == 400, "and cannot be named");
    check(all(numbers(memory).data(), 3), "its work still runs");
    end();
}

void queries_end() {
    for (const char* seed : {"0", "5", "6"}) {
        set_seed(seed);
        begin();
        void *stream = new_stream(1), *event = new_event();
        const Pointer memory = allocate(BYTES);
        check(call<void*>("cuEventQuery", event) == 0, "an event without a record is done");
        check(call<void*>("cuEventSynchronize", event) == 0, "and not waited for");
        check(call<void*>("cuStreamQuery", stream) == 0, "a stream without work is done");
        for (int i = 0; i < 4; ++i) check(fill(memory, 1, N, stream) == 0, "work");
        check(record(event, stream) == 0, "an event");
        int turns = 0, code = NOT_READY;
        for (; turns < 1000 && code == NOT_READY; ++turns) code = call<void*>("cuStreamQuery", stream);
        check(code == 0, "queries of a stream end");
        if (*seed == '0') check(turns > 4, "each lets a bit of the work run");
        check(call<void*>("cuEventQuery", event) == 0, "the event is done too");
        for (int i = 0; i < 4; ++i) check(fill(memory, 1, N, stream) == 0, "work");
        check(record(event, stream) == 0, "the event again");
        code = NOT_READY;
        for (turns = 0; turns < 1000 && code == NOT_READY; ++turns) code = call<void*>("cuEventQuery", event);
        check(code == 0, "queries of an event end");
        end();
    }
}

void events() {
    set_seed("0");
    begin();
    void *a = new_stream(1), *b = new_stream(1), *event = new_event(), *later = new_event(), *untimed = nullptr;
    const Pointer memory = allocate(BYTES);
    int* pinned = pinned_ints(N, 0);
    float time = -1;
    const auto elapsed = [&](void* from, void* to) {
        return call<float*, void*, void*>("cuEventElapsedTime", &time, from, to);
    };
    check(elapsed(event, later) == 400, "without records there is no time");
    check(fill(memory, 1, N, a) == 0 && record(event, a) == 0, "a record");
    check(wait_event(b, event) == 0 && download(pinned, memory, BYTES, b) == 0, "another stream waits");
    check(fill(memory, 2, N, a) == 0 && record(event, a) == 0, "the event is recorded again");
    check(await(b) == 0 && all(pinned, 1), "the wait is for the record at its call");
    check(record(later, a) == 0 && elapsed(event, later) == NOT_READY, "no time before both are done");
    check(await(a) == 0 && elapsed(event, later) == 0 && time >= 0, "then there is one");
    check(call<float*, void*, void*>("cuEventElapsedTime_v2", &time, event, later) == 0, "its new name");
    check(call<void**, unsigned>("cuEventCreate", &untimed, 2) == 0 && record(untimed, a) == 0, "without a time");
    check(await(a) == 0 && elapsed(event, untimed) == 400, "none");
    check(call<void**, unsigned>("cuEventCreate", &untimed, 64) == 1, "no such flag");
    check(fill(memory, 3, N, a) == 0 && record(event, a) == 0 && wait_event(b, event) == 0, "a wait");
    check(call<void*>("cuEventDestroy_v2", event) == 0, "for a destroyed event");
    check(download(pinned, memory, BYTES, b) == 0 && await(b) == 0 && all(pinned, 3), "is still one");
    check(record(event, a) == 400 && wait_event(b, event) == 400, "it cannot be named");
    end();
}

void default_streams() {
    set_seed("0");
    void* const legacy = reinterpret_cast<void*>(1);
    void* const own = reinterpret_cast<void*>(2);
    for (void* handle : {static_cast<void*>(nullptr), legacy}) {
        begin();
        void *blocking = new_stream(0), *beside = new_stream(1);
        const Pointer memory = allocate(BYTES);
        int* pinned = pinned_ints(N, 0);
        const auto seen_by = [&](void* stream) {
            check(download(pinned, memory, BYTES, stream) == 0 && await(stream) == 0, "a stream runs");
            return pinned[0];
        };
        check(fill(memory, 1, N, handle) == 0 && seen_by(beside) == -1, "it does not wait for the default stream");
        check(seen_by(blocking) == 1, "this one does");
        check(fill(memory, 2, N, blocking) == 0 && seen_by(handle) == 2, "and the default stream for it");
        check(fill(memory, 3, N, beside) == 0 && seen_by(handle) == 2, "but not for the other one");
        check(await(beside) == 0 && fill(memory, 4, N, own) == 0, "the default stream of this thread");
        check(seen_by(handle) == 4, "the default stream waits for it too");
        check(fill(memory, 5, N, own) == 0, "again");
        std::thread([&] {
            check(call<void*>("cuCtxSetCurrent", context) == 0 && await(own) == 0, "that of another thread");
        }).join();
        check(seen_by(beside) == 4, "is another one");
        check(seen_by(own) == 5, "this one has run");
        end();
    }
}

void faults() {
    set_seed("0");
    begin();
    void *a = new_stream(1), *b = new_stream(1);
    void* add = function(cubin, "add");
    const Pointer memory = allocate_on(a, BYTES), out = allocate(BYTES);
    int* pinned = pinned_ints(N, 0);
    int by = 1;
    check(await(a) == 0 && free_on(a, memory) == 0, "memory is freed");
    check(free_on(a, memory) == 1, "once");
    check(launch(add, 1, N, 0, {const_cast<Pointer*>(&out), const_cast<Pointer*>(&memory), &by}, a) == 0, "and used");
    check(fill(out, 5, N, a) == 0, "no call tells before one waits");
    int* later = pinned_ints(N, 0);
    check(download(later, out, BYTES, a) == 0, "nor does this one");
    check(download(pinned, out, BYTES, b) == 0 && await(b) == 0, "the work of another stream is done");
    check(await(a) == 700, "the wait does");
    check(all(later, 0), "work after the fault does not run");
    check(fill(out, 5, N, b) == 700 && await(b) == 700, "all calls do");
    check(call<void*>("cuCtxSetCurrent", context) == 0, "but not this one");
    end();
    begin();
    check(call("cuCtxSynchronize") == 0, "a new context has no fault");
    end();
}

void arguments_are_values() {
    set_seed("0");
    begin();
    void* stream = new_stream(1);
    const Pointer memory = allocate(BYTES);
    int by = 5;
    Pointer out = memory, in = memory;
    check(fill(memory, 1, N, stream) == 0, "ones");
    check(launch(function(cubin, "add"), 1, N, 0, {&out, &in, &by}, stream) == 0, "a launch");
    by = 100;
    out = in = 0;
    check(all(numbers(memory).data(), 6), "its arguments are those of the call");
    end();
}

// Under seeds, streams take turns, always in their own order; some work runs before anything waits for it.
void orders() {
    std::set<std::vector<int>> seen;
    int early = 0;
    const auto run = [&](const char* seed) {
        set_seed(seed);
        begin();
        void* streams[] = {new_stream(1), new_stream(1)};
        void* kernel = function(cubin, "line_up");
        Pointer places = allocate(BYTES), next = allocate(4);
        int* pinned = pinned_ints(N, 0);
        check(fill(next, 7, 1, streams[0]) == 0 && download(pinned, next, 4, streams[0]) == 0, "a copy");
        early += pinned[0] != 0;
        check(fill(next, 0, 1, streams[0]) == 0 && call("cuCtxSynchronize") == 0, "a counter");
        for (int i = 0; i < 16; ++i) {
            int who = i % 2 * 8 + i / 2;
            check(launch(kernel, 1, 1, 0, {&places, &next, &who}, streams[i % 2]) == 0, "a launch");
        }
        const std::vector<int> out = numbers(places);
        std::vector<int> of_each[2];
        for (int i = 0; i < 16; ++i) of_each[out[static_cast<Size>(i)] / 8].push_back(out[static_cast<Size>(i)] % 8);
        for (const auto& one : of_each) check(std::is_sorted(one.begin(), one.end()), "a stream keeps its order");
        end();
        return out;
    };
    for (int i = 0; i < 40; ++i) seen.insert(run(nullptr));
    check(seen.size() > 30, "without a seed, each context has another order");
    check(early > 0 && early < 40, "a copy is sometimes done before the wait");
    check(run("7") == run("7") && run("7") != run("8"), "a seed decides the order");
}

} // namespace

int main(int arguments, char** argument) {
    load(arguments, argument);
    call<unsigned>("cuInit", 0);
    cubin = compile("k.cu", KERNELS, {"--gpu-architecture=sm_90"}).cubin;
    host_memory();
    synchronous_copies();
    waits_run_what_they_need();
    queries_end();
    events();
    default_streams();
    faults();
    arguments_are_values();
    orders();
    std::puts(failures ? "emulated streams: broken" : "emulated streams: ok");
    return failures != 0;
}
