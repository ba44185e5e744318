// Tests devices, contexts, memory pools, pointers, versions and the rest of the emulated driver's objects.
//
//   objects_test DRIVER NVRTC
#include "host.h"

namespace {

constexpr Size KIB = 1024, MIB = KIB * KIB;
enum { RELEASE_THRESHOLD = 4, RESERVED = 5, USED = 7, USED_HIGH = 8 };

const char* const KERNELS = R"(
extern "C" __global__ void add(int* out, const int* in, int by) {
    __shared__ int values[4096];
    values[threadIdx.x] = in[threadIdx.x];
    __syncthreads();
    out[threadIdx.x] = values[threadIdx.x] + by;
}
)";

// CUmemPoolProps of cuda.h.
struct PoolProperties {
    int allocation_type = 1, handle_types = 0, location_type = 1, location_id = 0;
    void* security = nullptr;
    Size most = 0;
    unsigned short usage = 0;
    unsigned char reserved[54] = {};
};

// CUlaunchConfig of cuda.h.
struct LaunchConfig {
    unsigned grid[3] = {1, 1, 1}, block[3] = {1, 1, 1}, dynamic_shared = 0;
    void *stream = nullptr, *attributes = nullptr;
    unsigned number_of_attributes = 0;
};

unsigned long long attribute(void* pool, int which) {
    unsigned long long value = ~0ull;
    check(call<void*, int, void*>("cuMemPoolGetAttribute", pool, which, &value) == 0, "an attribute of a pool");
    return value;
}

int set_attribute(void* pool, int which, unsigned long long value) {
    return call<void*, int, void*>("cuMemPoolSetAttribute", pool, which, &value);
}

Size free_bytes() {
    Size free = 0, total = 0;
    check(call<Size*, Size*>("cuMemGetInfo_v2", &free, &total) == 0, "memory info");
    return free;
}

void devices() {
    setenv("EMULATED_DEVICES", "2", 1);
    int count = 0, handle = -1, current = -1;
    unsigned char uuids[2][16];
    check(call<int*>("cuDeviceGetCount", &count) == 0 && count == 2, "two devices");
    void *contexts[2], *now = nullptr;
    for (int ordinal : {0, 1}) {
        const int number = device(ordinal);
        check(number != ordinal, "a device is not its ordinal");
        check(call<void**, int>("cuDevicePrimaryCtxRetain", &contexts[ordinal], ordinal) == 101, "which is none");
        check(call<void**, int>("cuDevicePrimaryCtxRetain", &contexts[ordinal], number) == 0, "a context");
        check(call<unsigned char*, int>("cuDeviceGetUuid_v2", uuids[ordinal], number) == 0, "a UUID");
    }
    check(std::memcmp(uuids[0], uuids[1], 16) != 0, "each has its own");
    check(call<int*, int>("cuDeviceGet", &handle, 2) == 101 && handle == -1, "there is no third one");

    check(call<void*>("cuCtxSetCurrent", nullptr) == 0, "no context");
    check(call<void**>("cuCtxPopCurrent_v2", &now) == 201, "there is none to pop");
    check(call<int*>("cuCtxGetDevice", &current) == 201, "no device");
    check(call<void*>("cuCtxPushCurrent_v2", contexts[0]) == 0, "one is pushed");
    check(call<void*>("cuCtxPushCurrent_v2", contexts[1]) == 0, "and another one");
    check(call<int*>("cuCtxGetDevice", &current) == 0 && current == device(1), "its device");
    void *stream = new_stream(1), *of_stream = nullptr;
    check(call<void*, void**>("cuStreamGetCtx", stream, &of_stream) == 0 && of_stream == contexts[1], "its stream");
    const Pointer there = allocate(64);
    check(fill(there, 5, 16, stream) == 0, "work");
    check(call<void**>("cuCtxPopCurrent_v2", &now) == 0 && now == contexts[1], "it is popped");
    check(call<void**>("cuCtxGetCurrent", &now) == 0 && now == contexts[0], "the first one is current");
    check(await(stream) == 400, "which does not know the stream");

    // A stream waits for an event of another device, and copies from it.
    void* event = nullptr;
    check(call<void*>("cuCtxSetCurrent", contexts[1]) == 0, "the other device");
    event = new_event();
    check(record(event, stream) == 0 && call<void*>("cuCtxSetCurrent", contexts[0]) == 0, "an event");
    const Pointer here = allocate(64);
    void* own = new_stream(1);
    check(record(event, own) == 400, "an event is recorded in its context");
    check(wait_event(own, event) == 0, "but waited for in all");
    check(call<Pointer, void*, Pointer, void*, Size, void*>("cuMemcpyPeerAsync", here, contexts[0], there, contexts[1],
                                                            64, own) == 0, "a copy between devices");
    int read[16];
    check(download(read, here, 64, own) == 0 && read[0] == 5 && read[15] == 5, "it came after the event");

    int ordinal = -1;
    unsigned type = 0;
    void* of_pointer = nullptr;
    const auto ask = [](void* data, int which, Pointer pointer) {
        return call<void*, int, Pointer>("cuPointerGetAttribute", data, which, pointer);
    };
    check(ask(&ordinal, 9, there + 60) == 0 && ordinal == 1, "the device of a pointer, by its ordinal");
    check(ask(&type, 2, there) == 0 && type == 2, "it is memory of a device");
    check(ask(&of_pointer, 1, there) == 0 && of_pointer == contexts[1], "of that context");
    int local = 0;
    const Pointer unknown = reinterpret_cast<unsigned long long>(&local);
    check(ask(&type, 2, unknown) == 1, "host memory is unknown");
    int* pinned = pinned_ints(4, 0);
    check(ask(&type, 2, reinterpret_cast<unsigned long long>(pinned)) == 0 && type == 1, "unless it is pinned");
    int wanted[] = {9, 2};
    void* data[] = {&ordinal, &type};
    const auto ask_all = [&](Pointer pointer) {
        return call<unsigned, int*, void**, Pointer>("cuPointerGetAttributes", 2, wanted, data, pointer);
    };
    check(ask_all(here) == 0 && ordinal == 0 && type == 2, "several attributes");
    check(ask_all(unknown) == 0 && ordinal == -2 && type == 0, "of an unknown pointer");
    for (int i : {0, 1}) check(call<int>("cuDevicePrimaryCtxRelease_v2", device(i)) == 0, "released");
    unsetenv("EMULATED_DEVICES");
}

void pools() {
    set_seed("0");
    begin();
    void *pool = nullptr, *own = nullptr, *now = nullptr, *stream = new_stream(1);
    check(call<void**, int>("cuDeviceGetDefaultMemPool", &pool, device()) == 0, "the default pool");
    check(attribute(pool, RELEASE_THRESHOLD) == 0, "its threshold, unless somebody sets it");
    const Size all = free_bytes();
    Pointer memory = allocate_on(stream, MIB);
    check(attribute(pool, USED) == MIB && all - free_bytes() == MIB, "an allocation of it");
    check(free_on(stream, memory) == 0 && await(stream) == 0, "is freed");
    check(attribute(pool, USED) == 0 && attribute(pool, USED_HIGH) == MIB && free_bytes() == all, "and given back");
    check(set_attribute(pool, RELEASE_THRESHOLD, ~0ull) == 0 && attribute(pool, RELEASE_THRESHOLD) == ~0ull, "set");
    memory = allocate_on(stream, MIB);
    check(free_on(stream, memory) == 0 && await(stream) == 0, "freed");
    check(attribute(pool, RESERVED) == MIB && all - free_bytes() == MIB, "the pool keeps it");
    check(set_attribute(pool, RESERVED, 0) == 1, "some attributes can only be read");
    check(call<void*, Size>("cuMemPoolTrimTo", pool, 4 * KIB) == 0 && all - free_bytes() == 4 * KIB, "most of it");
    memory = allocate_on(stream, MIB);
    check(free_on(stream, memory) == 0 && await(stream) == 0, "the pool keeps it again");
    check(call<Pointer*, Size>("cuMemAlloc_v2", &memory, all) == 0, "but gives it to those who need it");
    check(call<Pointer>("cuMemFree_v2", memory) == 0, "freed");
    memory = allocate(16);
    check(free_on(stream, memory) == 1, "memory of no pool is not freed so");

    PoolProperties properties;
    properties.most = MIB;
    check(call<void**, PoolProperties*>("cuMemPoolCreate", &own, &properties) == 0 && own != pool, "a pool");
    const auto from_own = [&](Size bytes) {
        return call<Pointer*, Size, void*, void*>("cuMemAllocFromPoolAsync", &memory, bytes, own, stream);
    };
    check(from_own(MIB) == 0 && attribute(own, USED) == MIB && attribute(pool, USED) == 0, "an allocation of it");
    Pointer more = memory;
    check(from_own(1) == 2, "more than its limit");
    check(fill(more, 7, 4, stream) == 0 && await(stream) == 0, "it is used");
    check(call<void*>("cuMemPoolDestroy", own) == 0 && from_own(1) == 1, "destroyed");
    check(fill(more, 7, 4, stream) == 0 && free_on(stream, more) == 0 && await(stream) == 0, "its allocation lives on");
    check(call<void*>("cuMemPoolDestroy", pool) == 1, "the default pool stays");
    properties.most = 0;
    check(call<void**, PoolProperties*>("cuMemPoolCreate", &own, &properties) == 0, "another pool");
    check(call<int, void*>("cuDeviceSetMemPool", device(), own) == 0, "of the device");
    check(call<void**, int>("cuDeviceGetMemPool", &now, device()) == 0 && now == own, "is known");
    memory = allocate_on(stream, KIB);
    check(attribute(own, USED) == KIB, "allocations come from it");
    check(call<void*>("cuMemPoolDestroy", own) == 0, "it is destroyed");
    check(call<void**, int>("cuDeviceGetMemPool", &now, device()) == 0 && now == pool, "the default is back");

    // A loop that frees all it allocates fits, though nothing has run yet.
    for (int i = 0; i < 8; ++i) {
        memory = allocate_on(stream, 400 * MIB);
        check(free_on(stream, memory) == 0, "freed in order");
    }
    check(await(stream) == 0, "it ends");

    setenv("EMULATED_POOLS", "0", 1);
    int supported = 1;
    check(call<int*, int, int>("cuDeviceGetAttribute", &supported, 115, device()) == 0 && !supported, "no pools");
    check(call<Pointer*, Size, void*>("cuMemAllocAsync", &memory, 4, stream) == 801 && free_on(stream, memory) == 801,
          "no allocations in order");
    check(call<void**, int>("cuDeviceGetDefaultMemPool", &now, device()) == 801, "no default pool");
    check(call<void**, PoolProperties*>("cuMemPoolCreate", &own, &properties) == 801, "no pool of one's own");
    check(call<Pointer>("cuMemFree_v2", allocate(16)) == 0, "other memory is there");
    unsetenv("EMULATED_POOLS");
    end();
    begin();
    check(attribute(pool, RELEASE_THRESHOLD) == ~0ull, "a threshold outlives the context");
    set_attribute(pool, RELEASE_THRESHOLD, 0);
    end();
}

void versions(const std::string& cubin) {
    begin();
    int version = 0, major = 0, minor = 0;
    void* module = nullptr;
    const auto load_data = [&](const std::string& image) {
        return call<void**, const void*>("cuModuleLoadData", &module, image.data());
    };
    const std::string ptx = "//\n.version 9.0\n.target sm_90\n";
    check(call<int*>("cuDriverGetVersion", &version) == 0 && version == 13000, "the driver's version");
    check(load_data(ptx) == 200, "PTX is not emulated");
    setenv("EMULATED_DRIVER_VERSION", "12080", 1);
    check(call<int*>("cuDriverGetVersion", &version) == 0 && version == 12080, "an older driver");
    check(load_data(cubin) == 200, "does not load a CUBIN of CUDA 13");
    check(load_data(ptx) == 222 && load_data("//\n.version 8.7\n") == 200, "nor newer PTX");
    setenv("EMULATED_NVRTC_VERSION", "12090", 1);
    check(call<int*, int*>("nvrtcVersion", &major, &minor) == 0 && major == 12 && minor == 9, "NVRTC's version");
    check(load_data(compile("k.cu", KERNELS, {"--gpu-architecture=sm_90"}).cubin) == 0, "loads one of its number");
    unsetenv("EMULATED_DRIVER_VERSION");
    unsetenv("EMULATED_NVRTC_VERSION");
    end();
}

void launches(const std::string& cubin) {
    begin();
    void* add = function(cubin, "add");
    Pointer in = allocate(64), out = allocate(64);
    int by = 2, blocks = 0, read[16];
    const auto fit = [&](int threads, Size shared) {
        check(call<int*, void*, int, Size>("cuOccupancyMaxActiveBlocksPerMultiprocessor", &blocks, add, threads,
                                           shared) == 0, "occupancy");
        return blocks;
    };
    check(fit(1024, 0) == 2 && fit(33, 0) == 13 && fit(32, 100 * KIB) == 1, "threads and shared memory bound it");
    LaunchConfig config;
    config.block[0] = 16;
    config.stream = new_stream(1);
    void* arguments[] = {&out, &in, &by};
    const auto launch_with = [&] {
        return call<LaunchConfig*, void*, void**, void**>("cuLaunchKernelEx", &config, add, arguments, nullptr);
    };
    check(fill(in, 3, 16, config.stream) == 0 && launch_with() == 0, "a launch");
    check(download(read, out, 64, config.stream) == 0 && read[0] == 5 && read[15] == 5, "its result");
    config.number_of_attributes = 1;
    check(launch_with() == 801, "attributes are not emulated");
    void* stream = nullptr;
    int priority = 0, least = 1, greatest = 1;
    check(call<int*, int*>("cuCtxGetStreamPriorityRange", &least, &greatest) == 0, "priorities");
    check(least == 0 && greatest < 0, "their range");
    check(call<void**, unsigned, int>("cuStreamCreateWithPriority", &stream, 1, -2) == 0, "a stream with a priority");
    check(call<void*, int*>("cuStreamGetPriority", stream, &priority) == 0 && priority == -2, "that one");
    end();
}

} // namespace

int main(int arguments, char** argument) {
    load(arguments, argument);
    call<unsigned>("cuInit", 0);
    const std::string cubin = compile("k.cu", KERNELS, {"--gpu-architecture=sm_90"}).cubin;
    devices();
    pools();
    versions(cubin);
    launches(cubin);
    std::puts(failures ? "emulated driver: broken" : "emulated driver: ok");
    return failures != 0;
}
