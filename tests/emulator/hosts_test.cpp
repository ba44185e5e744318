// Mutation tests of the emulated streams: small host programs, and the same programs with a bug of the kinds that
// asynchronous host code has. Under two seeds the correct program must give the right result, and the other one must
// not under at least one of them.
//
//   hosts_test DRIVER NVRTC
#include "host.h"

namespace {

constexpr int N = 64;
constexpr Size BYTES = N * sizeof(int);

const char* const KERNELS = R"(
extern "C" __global__ void add(int* out, const int* in, int by) { out[threadIdx.x] = in[threadIdx.x] + by; }
)";

std::string cubin;

// What each program has: two streams that do not wait for the default stream, device memory, and the kernel.
struct Host {
    void *a = new_stream(1), *b = new_stream(1);
    void* add = function(cubin, "add");
    Pointer in = allocate(BYTES), out = allocate(BYTES);
    int codes = 0;

    void operator()(int code) { codes |= code; }
    int add_on(void* stream, Pointer to, Pointer from, int by) {
        return launch(add, 1, N, 0, {&to, &from, &by}, stream);
    }
    // Lets the later work of `waiting` come after the earlier work of `other`.
    void order(void* waiting, void* other) {
        void* event = new_event();
        (*this)(record(event, other));
        (*this)(wait_event(waiting, event));
        (*this)(call<void*>("cuEventDestroy_v2", event));
    }
    bool ends_well(const int* results, int expected) {
        bool right = true;
        for (int i = 0; i < N; ++i) right = right && results[i] == expected;
        (*this)(call("cuCtxSynchronize"));
        return right && codes == 0;
    }
};

// A result that is read before the copy to it is done.
bool result_without_a_wait(Host& host, bool broken) {
    const int* one = pinned_ints(N, 1);
    int* result = pinned_ints(N, 0);
    host(upload(host.in, one, BYTES, host.a));
    host(host.add_on(host.a, host.out, host.in, 4));
    host(download(result, host.out, BYTES, host.a));
    if (!broken) host(await(host.a));
    const std::vector<int> read(result, result + N);
    return host.ends_well(read.data(), 5);
}

// An event that is recorded on another stream than that of the work.
bool event_on_the_wrong_stream(Host& host, bool broken) {
    int* result = pinned_ints(N, 0);
    void *event = new_event(), *other = new_stream(1);
    host(fill(host.in, 3, N, host.a));
    host(host.add_on(host.a, host.out, host.in, 4));
    host(record(event, broken ? other : host.a));
    host(wait_event(host.b, event));
    host(download(result, host.out, BYTES, host.b));
    host(await(host.b));
    const std::vector<int> read(result, result + N);
    return host.ends_well(read.data(), 7);
}

// A pinned buffer that is written for the next copy before the last one has read it.
bool pinned_buffer_reused_too_early(Host& host, bool broken) {
    int *buffer = pinned_ints(N, 1), *result = pinned_ints(N, 0);
    void* sent = new_event();
    host(upload(host.in, buffer, BYTES, host.a));
    host(record(sent, host.a));
    if (!broken) host(call<void*>("cuEventSynchronize", sent));
    for (int i = 0; i < N; ++i) buffer[i] = 2;
    host(upload(host.out, buffer, BYTES, host.a));
    host(download(result, host.in, BYTES, host.a));
    host(await(host.a));
    return host.ends_well(result, 1);
}

// A pinned result that is cleared for the next query while the copy of the last one may still come.
bool pinned_result_cleared_too_early(Host& host, bool broken) {
    int* result = pinned_ints(N, 0);
    host(fill(host.out, 9, N, host.a));
    host(download(result, host.out, BYTES, host.a));
    if (!broken) host(await(host.a));
    for (int i = 0; i < N; ++i) result[i] = -1;
    host(await(host.a));
    return host.ends_well(result, -1);
}

// Memory that is freed in the order of one stream while another one still uses it.
bool memory_freed_while_in_use(Host& host, bool broken) {
    int* result = pinned_ints(N, 0);
    const Pointer memory = allocate_on(host.a, BYTES);
    host(fill(memory, 5, N, host.a));
    host.order(host.b, host.a);
    host(host.add_on(host.b, host.out, memory, 1));
    host(download(result, host.out, BYTES, host.b));
    if (!broken) host.order(host.a, host.b);
    host(free_on(host.a, memory));
    host(await(host.a));
    host(await(host.b));
    return host.ends_well(result, 6);
}

// Memory that another stream uses before the stream that allocates it has come to the allocation.
bool memory_used_before_it_is_there(Host& host, bool broken) {
    int* result = pinned_ints(N, 0);
    host(fill(host.in, 5, N, host.a));
    const Pointer memory = allocate_on(host.a, BYTES);
    if (!broken) host.order(host.b, host.a);
    host(fill(memory, 6, N, host.b));
    host(download(result, memory, BYTES, host.b));
    host(await(host.b));
    return host.ends_well(result, 6);
}

// Device memory of the host's own pool that the next query, on another stream, overwrites.
bool memory_reused_too_early(Host& host, bool broken) {
    int *first = pinned_ints(N, 0), *second = pinned_ints(N, 0);
    host(fill(host.in, 1, N, host.a));
    host(download(first, host.in, BYTES, host.a));
    if (!broken) host.order(host.b, host.a);
    host(fill(host.in, 2, N, host.b));
    host(download(second, host.in, BYTES, host.b));
    host(await(host.b));
    host(await(host.a));
    return host.ends_well(first, 1) && host.ends_well(second, 2);
}

// A stream that is thought to wait for the default stream.
bool default_stream_not_waited_for(Host& host, bool broken) {
    int* result = pinned_ints(N, 0);
    void* stream = new_stream(broken ? 1 : 0);
    host(fill(host.in, 1, N, nullptr));
    host(host.add_on(stream, host.out, host.in, 1));
    host(download(result, host.out, BYTES, stream));
    host(await(stream));
    return host.ends_well(result, 2);
}

// A module that is unloaded before its kernel has run.
bool module_unloaded_too_early(Host& host, bool broken) {
    void *module = nullptr, *add = nullptr;
    host(call<void**, const void*>("cuModuleLoadData", &module, cubin.data()));
    host(call<void**, void*, const char*>("cuModuleGetFunction", &add, module, "add"));
    int* result = pinned_ints(N, 0);
    host(fill(host.in, 1, N, host.a));
    int by = 1;
    host(launch(add, 1, N, 0, {&host.out, &host.in, &by}, host.a));
    host(download(result, host.out, BYTES, host.a));
    if (!broken) host(await(host.a));
    host(call<void*>("cuModuleUnload", module));
    host(await(host.a));
    return host.ends_well(result, 2);
}

struct Program {
    const char* name;
    bool (*run)(Host& host, bool broken);
};
constexpr Program PROGRAMS[] = {
    {"a result without a wait", result_without_a_wait},
    {"an event on the wrong stream", event_on_the_wrong_stream},
    {"a pinned buffer reused too early", pinned_buffer_reused_too_early},
    {"a pinned result cleared too early", pinned_result_cleared_too_early},
    {"memory freed while in use", memory_freed_while_in_use},
    {"memory used before it is there", memory_used_before_it_is_there},
    {"memory reused too early", memory_reused_too_early},
    {"the default stream not waited for", default_stream_not_waited_for},
    {"a module unloaded too early", module_unloaded_too_early},
};

bool goes_well(const Program& program, const char* seed, bool broken) {
    set_seed(seed);
    begin();
    bool right = false;
    {
        Host host;
        right = program.run(host, broken);
    }
    end();
    return right;
}

} // namespace

int main(int arguments, char** argument) {
    load(arguments, argument);
    call<unsigned>("cuInit", 0);
    cubin = compile("k.cu", KERNELS, {"--gpu-architecture=sm_90"}).cubin;
    // Faults of the broken programs are reported there.
    std::freopen("/dev/null", "w", stderr);
    for (const Program& program : PROGRAMS) {
        const std::string name = program.name;
        const bool in_order = goes_well(program, "0", true), by_seed = goes_well(program, "9", true);
        check(!in_order || !by_seed, (name + ": the bug is not found").c_str());
        check(goes_well(program, "0", false), (name + ": the correct program fails, in order").c_str());
        check(goes_well(program, "9", false), (name + ": the correct program fails, by a seed").c_str());
        int found = 0;
        for (int i = 0; i < 20; ++i) {
            found += !goes_well(program, nullptr, true);
            check(goes_well(program, nullptr, false), (name + ": the correct program fails, by any seed").c_str());
        }
        std::printf("%s: found%s%s, %d times of 20 by any seed\n", program.name, in_order ? "" : " in order",
                    by_seed ? "" : " by a seed", found);
    }
    std::puts(failures ? "emulated streams: broken" : "emulated streams: ok");
    return failures != 0;
}
