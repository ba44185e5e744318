// Tests the emulated driver and the emulated NVRTC as a host program uses them: by the names of cuda.h and nvrtc.h.
//
//   drive DRIVER NVRTC
#include "host.h"

namespace {

const char* const KERNELS = R"(
template <int times> __device__ int multiplied(int x) {
    __shared__ int values[64];
    const int before = values[threadIdx.x];
    values[threadIdx.x] = x;
    __syncthreads();
    return before == -1 ? times * values[threadIdx.x ^ 1] : 0;
}
// extern "C" __global__ void not_this(int x) {}
extern "C" __global__ void __launch_bounds__(64) exchanged(int* out, const int* in, int add) {
    __shared__ int sum;
    if (threadIdx.x == 0) sum = add;
    __syncthreads();
    out[blockIdx.x * blockDim.x + threadIdx.x] = multiplied<TIMES>(in[threadIdx.x]) + sum;
}
extern "C" __global__ void too_far(int* out, int at, int free_of_division) {
    DYNAMIC_SHARED(int, values);
    values[threadIdx.x] = 1;
    out[at] = values[0] / free_of_division;
}
extern "C" __global__ void pairs(int* out, int at) { *reinterpret_cast<int2*>(out + at) = make_int2(1, 2); }
extern "C" __global__ void line_up(int* places, int* next) { places[atomicAdd(next, 1)] = threadIdx.x; }
extern "C" __global__ __launch_bounds__(64) void stuck(int* out) {
    if (threadIdx.x == 3) __syncwarp();
    else __syncthreads();
    out[threadIdx.x] = 1;
}
)";

void compiler() {
    int major = 0, minor = 0;
    check(call<int*, int*>("nvrtcVersion", &major, &minor) == 0 && major == 13 && minor == 0, "NVRTC's version");
    const char *sm = "--gpu-architecture=sm_90", *times = "-DTIMES=3";
    const Compiled good = compile("k.cu", KERNELS, {sm, times, "--std=c++17", "--fmad=false", "--ptxas-options=-v"});
    check(good.code == 0 && good.cubin.compare(0, 4, "\x7f" "ELF") == 0, good.log.c_str());
    check(good.log.find("registers") != std::string::npos, "statistics are in the log");
    check(compile("k.cu", KERNELS, {times, sm}).cubin == good.cubin, "twice the same");
    check(compile("k.cu", KERNELS, {"--gpu-architecture=sm_80", times}).cubin != good.cubin, "not for another GPU");
    check(compile("k.cu", KERNELS, {"--gpu-architecture=compute_90", times}).cubin.empty(), "no CUBIN without sm_..");
    const Compiled wrong = compile("k.cu", KERNELS, {sm});
    check(wrong.code == 6 && wrong.log.find("k.cu(14): error: ") != std::string::npos && wrong.cubin.empty(),
          wrong.log.c_str());
    const Compiled odd = compile("k.cu", KERNELS, {sm, times, "--odd-option"});
    check(odd.code == 5 && odd.log.find("--odd-option") != std::string::npos, odd.log.c_str());
    check(compile("k.cu", KERNELS, {"--gpu-architecture=sm_1", times}).code == 5, "no such architecture");
    check(compile("k.cu", KERNELS, {sm, times, "--use_fast_math"}).code == 5, "fast math is refused");

    std::vector<std::thread> threads;
    std::vector<int> codes(4, -1);
    for (std::size_t i = 0; i < codes.size(); ++i) {
        threads.emplace_back([&, i] { codes[i] = compile("k.cu", KERNELS, {sm, times}).code; });
    }
    for (std::thread& thread : threads) thread.join();
    check(codes == std::vector<int>(4, 0), "several at once");
}

// Returns the output of a kernel for 64 numbers, in two blocks.
std::vector<int> exchanged(const std::string& cubin) {
    begin();
    void* stream = new_stream(1);
    std::vector<int> in(64), out(128);
    for (int i = 0; i < 64; ++i) in[static_cast<Size>(i)] = i * i;
    Pointer from = allocate(256), to = allocate(512);
    check(call<Pointer, const void*, Size, void*>("cuMemcpyHtoDAsync_v2", from, in.data(), 256, stream) == 0, "to");
    int add = 7;
    check(launch(function(cubin, "exchanged"), 2, 64, 0, {&to, &from, &add}, stream) == 0, "a launch");
    check(call<void*>("cuStreamSynchronize", stream) == 0, "a stream is waited for");
    check(call<void*, Pointer, Size, void*>("cuMemcpyDtoHAsync_v2", out.data(), to, 512, stream) == 0, "and back");
    check(call<void*, Pointer, Size, void*>("cuMemcpyDtoHAsync_v2", out.data(), to + 4, 512, stream) == 1, "too far");
    check(call<void*>("cuStreamDestroy_v2", stream) == 0, "a stream is destroyed");
    check(call<void*>("cuStreamSynchronize", stream) == 400, "a stream that is no more");
    end();
    return out;
}

std::vector<int> expected(int times) {
    std::vector<int> out;
    for (int i = 0; i < 128; ++i) out.push_back(times * (i % 64 ^ 1) * (i % 64 ^ 1) + 7);
    return out;
}

void kernels() {
    const char *sm = "--gpu-architecture=sm_90", *times = "-DTIMES=3";
    const Compiled compiled = compile("k.cu", KERNELS, {sm, times});
    check(exchanged(compiled.cubin) == expected(3), "what the kernel makes");
    check(exchanged(compile("k.cu", KERNELS, {sm, "--define-macro=TIMES=5"}).cubin) == expected(5), "of another TIMES");
    setenv("EMULATED_MUTATION", "k\nin[threadIdx.x]\nin[threadIdx.x] + 1", 1);
    const Compiled mutated = compile("k.cu", KERNELS, {sm, times});
    check(compile("other.cu", KERNELS, {sm, times}).cubin.size() == compiled.cubin.size(), "others are left alone");
    check(mutated.code == 0 && exchanged(mutated.cubin) != expected(3), "a planted bug");
    setenv("EMULATED_MUTATION", "k\nthreadIdx.x\n0", 1);
    const Compiled twice = compile("k.cu", KERNELS, {sm, times});
    check(twice.code == 6 && twice.log.find("'threadIdx.x' does not occur once in k.cu") == 19, twice.log.c_str());
    unsetenv("EMULATED_MUTATION");

    // Each of these faults ends its context, and all later calls return it.
    struct Wrong {
        const char* kernel;
        int at, division, code;
    };
    for (const Wrong& wrong : {Wrong{"too_far", 4, 1, 700}, {"too_far", -1, 1, 700}, {"too_far", 1 << 12, 1, 700},
                               {"too_far", 3, 1, 0}, {"too_far", 3, 0, 719}, {"stuck", 0, 0, 719}, {"pairs", 1, 0, 716},
                               {"pairs", 2, 0, 0}}) {
        begin();
        Pointer out = allocate(16);
        int at = wrong.at, division = wrong.division;
        const int code = launch(function(compiled.cubin, wrong.kernel), 1, 32, 128, {&out, &at, &division});
        check(code == 0, "a launch does not wait for its fault");
        const std::string what = "the code of " + std::string(wrong.kernel) + " " + std::to_string(at);
        check(await(nullptr) == wrong.code, what.c_str());
        check(call("cuCtxSynchronize") == wrong.code, "it stays");
        check(call<void*>("cuCtxSetCurrent", context) == 0, "the context can be made current");
        check(call<Pointer>("cuMemFree_v2", out) == wrong.code, "for all calls");
        end();
    }
    begin();
    void* kernel = function(compiled.cubin, "too_far");
    Pointer out = allocate(16);
    int at = 0, division = 1;
    const std::vector<void*> arguments = {&out, &at, &division};
    check(launch(kernel, 1, 33, 128, arguments) == 0 && await(nullptr) == 700, "too little dynamic shared memory");
    end();
    begin();
    kernel = function(compiled.cubin, "too_far");
    out = allocate(16);
    check(launch(kernel, 0, 32, 128, arguments) == 1, "a grid of nothing");
    check(launch(kernel, 1, 0, 128, arguments) == 1, "a block of nothing");
    check(launch(kernel, 1, 1025, 8192, arguments) == 1, "too many threads");
    check(launch(kernel, 1, 1, 60000, arguments) == 1, "over 48 KiB of shared memory needs the attribute");
    check(call<void*, int, int>("cuFuncSetAttribute", kernel, 8, 60000) == 0, "the attribute is set");
    check(launch(kernel, 1, 1, 60000, arguments) == 0 && await(nullptr) == 0, "then it is allowed");
    check(call<void*, int, int>("cuFuncSetAttribute", kernel, 8, 232449) == 1, "more than a block can have");
    check(call<Pointer>("cuMemFree_v2", out) == 0, "freed");
    check(launch(kernel, 1, 1, 4, arguments) == 0 && await(nullptr) == 700, "used after it was freed");
    end();

    begin();
    const Compiled other = compile("k.cu", KERNELS, {"--gpu-architecture=sm_80", times});
    void* module = nullptr;
    check(call<void**, const void*>("cuModuleLoadData", &module, other.cubin.data()) == 209, "made for another GPU");
    end();
}

// Seeds of launches: the same for all, or a different one for each.
void seeds() {
    begin();
    const Compiled compiled = compile("k.cu", KERNELS, {"--gpu-architecture=sm_90", "-DTIMES=1"});
    void* kernel = function(compiled.cubin, "line_up");
    Pointer places = allocate(256), next = allocate(4);
    const auto turns = [&](const char* seed) {
        seed ? setenv("EMULATED_SEED", seed, 1) : unsetenv("EMULATED_SEED");
        std::vector<int> out(64);
        call<Pointer, unsigned char, Size, void*>("cuMemsetD8Async", next, 0, 4, nullptr);
        check(launch(kernel, 1, 64, 0, {&places, &next}) == 0, "a launch with a seed");
        call<void*, Pointer, Size, void*>("cuMemcpyDtoHAsync_v2", out.data(), places, 256, nullptr);
        return out;
    };
    const std::vector<int> sorted = turns("0");
    for (int i = 0; i < 64; ++i) check(sorted[static_cast<Size>(i)] == i, "by their numbers");
    check(turns("5") == turns("5") && turns("5") != sorted, "by a seed");
    check(turns(nullptr) != turns(nullptr), "by another seed each time");
    end();
}

void host() {
    int value = 0;
    check(call("cuCtxSynchronize") == 3, "nothing before cuInit");
    check(call<unsigned>("cuInit", 0) == 0, "cuInit");
    check(call("cuCtxSynchronize") == 201, "no context");
    begin();
    check(call<int*, int, int>("cuDeviceGetAttribute", &value, 97, device()) == 0 && value == 232448, "an attribute");
    const char* text = nullptr;
    check(call<int, const char**>("cuGetErrorName", 719, &text) == 0, "the name of a code");
    check(text && !std::strcmp(text, "CUDA_ERROR_LAUNCH_FAILED"), text);
    check(call<int, const char**>("cuGetErrorString", 12345, &text) == 1 && !text, "no text for an unknown code");
    int code = 0;
    std::thread([&] { code = call("cuCtxSynchronize"); }).join();
    check(code == 201, "another thread has not set it");
    Pointer pointer = 0;
    check(call<Pointer*, Size>("cuMemAlloc_v2", &pointer, 0) == 1, "an allocation of 0 bytes is invalid");
    check(call<Pointer*, Size>("cuMemAlloc_v2", &pointer, (Size{1} << 30) + 1) == 2, "more than the device has");
    pointer = allocate(Size{1} << 20);
    Size free = 0, total = 0;
    check(call<Size*, Size*>("cuMemGetInfo_v2", &free, &total) == 0 && total - free == 1 << 20, "memory in use");
    check(call<Pointer*, Size>("cuMemAlloc_v2", &pointer, Size{1} << 30) == 2, "more than the free memory");
    check(call<Pointer, unsigned, Size, void*>("cuMemsetD32Async", pointer + 4, 5, 3, nullptr) == 0, "words");
    check(call<Pointer, unsigned, Size, void*>("cuMemsetD32Async", pointer + 2, 5, 3, nullptr) == 1, "aligned words");
    const Size too_many = (1 << 20) + 1;
    check(call<Pointer, unsigned char, Size, void*>("cuMemsetD8Async", pointer, 5, too_many, nullptr) == 1, "bytes");
    const auto word = [&](Size at) {
        unsigned word = 0;
        call<void*, Pointer, Size, void*>("cuMemcpyDtoHAsync_v2", &word, pointer + at, 4, nullptr);
        return word;
    };
    check(word(0) == ~0u && word(4) == 5 && word(12) == 5 && word(16) == ~0u, "those words, and no others");
    check(call<Pointer, Pointer, Size, void*>("cuMemcpyDtoDAsync_v2", pointer, pointer + 4, 8, nullptr) == 0, "moved");
    check(word(0) == 5, "there");
    check(call<Pointer>("cuMemFree_v2", pointer) == 0 && call<Pointer>("cuMemFree_v2", pointer) == 1, "freed once");
    void* module = nullptr;
    const std::string no_elf(64, '?');
    check(call<void**, const void*>("cuModuleLoadData", &module, no_elf.data()) == 200, "no module");
    end();
    check(call("cuCtxSynchronize") == 201, "a released context");
}

} // namespace

int main(int arguments, char** argument) {
    load(arguments, argument);
    host();
    compiler();
    kernels();
    seeds();
    std::puts(failures ? "emulated libraries: broken" : "emulated libraries: ok");
    return failures != 0;
}
