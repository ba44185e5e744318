// An emulated CUDA driver: what `libcuda.so.1` says on a machine with one GPU, as far as `selvedge devices` asks.
// No kernel runs on it yet.

#include <cstddef>
#include <cstdio>
#include <cstdlib>

namespace {

// CUresult and CUdevice_attribute of cuda.h.
enum { SUCCESS = 0, INVALID_VALUE = 1, NOT_INITIALIZED = 3, NO_DEVICE = 100, INVALID_DEVICE = 101 };
enum { MULTIPROCESSORS = 16, CAPABILITY_MAJOR = 75, CAPABILITY_MINOR = 76 };

bool initialized = false;

// As many devices as EMULATED_DEVICES says, one without it.
int number_of_devices() {
    const char* number = std::getenv("EMULATED_DEVICES");
    return number ? std::atoi(number) : 1;
}

int known(int device) {
    if (!initialized) return NOT_INITIALIZED;
    return device >= 0 && device < number_of_devices() ? SUCCESS : INVALID_DEVICE;
}

} // namespace

extern "C" {

int cuInit(unsigned flags) {
    if (flags != 0) return INVALID_VALUE;
    if (number_of_devices() == 0) return NO_DEVICE;
    initialized = true;
    return SUCCESS;
}

int cuDriverGetVersion(int* version) {
    *version = 13000;
    return SUCCESS;
}

int cuDeviceGetCount(int* count) {
    if (!initialized) return NOT_INITIALIZED;
    *count = number_of_devices();
    return SUCCESS;
}

int cuDeviceGet(int* device, int ordinal) {
    *device = ordinal;
    return known(ordinal);
}

int cuDeviceGetName(char* name, int bytes, int device) {
    std::snprintf(name, static_cast<std::size_t>(bytes), "Emulated GPU %d", device);
    return known(device);
}

int cuDeviceTotalMem_v2(std::size_t* bytes, int device) {
    *bytes = std::size_t{1} << 30;
    return known(device);
}

int cuDeviceGetAttribute(int* value, int attribute, int device) {
    switch (attribute) {
    case MULTIPROCESSORS: *value = 4; break;
    case CAPABILITY_MAJOR: *value = 9; break;
    case CAPABILITY_MINOR: *value = 0; break;
    default: return INVALID_VALUE;
    }
    return known(device);
}

} // extern "C"
