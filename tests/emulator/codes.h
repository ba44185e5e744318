// The codes and attributes of cuda.h that the emulated driver supports.
#pragma once

namespace emulator {

// CUresult.
enum Code {
    SUCCESS = 0,
    INVALID_VALUE = 1,
    OUT_OF_MEMORY = 2,
    NOT_INITIALIZED = 3,
    NO_DEVICE = 100,
    INVALID_DEVICE = 101,
    INVALID_IMAGE = 200,
    INVALID_CONTEXT = 201,
    NO_BINARY_FOR_GPU = 209,
    INVALID_HANDLE = 400,
    NOT_FOUND = 500,
    ILLEGAL_ADDRESS = 700,
    LAUNCH_FAILED = 719,
    NOT_SUPPORTED = 801,
};

struct Named {
    int code;
    const char *name, *text;
};
constexpr Named CODES[] = {
    {SUCCESS, "CUDA_SUCCESS", "no error"},
    {INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {NOT_INITIALIZED, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
    {NO_DEVICE, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
    {INVALID_DEVICE, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {INVALID_IMAGE, "CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid"},
    {INVALID_CONTEXT, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    {NO_BINARY_FOR_GPU, "CUDA_ERROR_NO_BINARY_FOR_GPU", "no kernel image is available for execution on the device"},
    {INVALID_HANDLE, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
    {NOT_FOUND, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
    {ILLEGAL_ADDRESS, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
    {LAUNCH_FAILED, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"},
    {NOT_SUPPORTED, "CUDA_ERROR_NOT_SUPPORTED", "operation not supported"},
};

// CUdevice_attribute, and its value on this device.
struct Attribute {
    int number, value;
};
// NVRTC's names of the architectures that the compute capability in the attributes runs.
constexpr const char* ARCHITECTURES[] = {"sm_90", "sm_90a"};
constexpr int SHARED_BYTES = 48 << 10, SHARED_BYTES_OPTIN = 232448, MAX_THREADS = 1024;
constexpr int MEMORY_POOLS_SUPPORTED = 115;
constexpr Attribute DEVICE_ATTRIBUTES[] = {
    {1, MAX_THREADS},         // MAX_THREADS_PER_BLOCK
    {2, 1024},                // MAX_BLOCK_DIM_X
    {3, 1024},                // MAX_BLOCK_DIM_Y
    {4, 64},                  // MAX_BLOCK_DIM_Z
    {5, 2147483647},          // MAX_GRID_DIM_X
    {6, 65535},               // MAX_GRID_DIM_Y
    {7, 65535},               // MAX_GRID_DIM_Z
    {8, SHARED_BYTES},        // MAX_SHARED_MEMORY_PER_BLOCK
    {10, 32},                 // WARP_SIZE
    {12, 65536},              // MAX_REGISTERS_PER_BLOCK
    {13, 1000000},            // CLOCK_RATE
    {16, 4},                  // MULTIPROCESSOR_COUNT
    {36, 1000000},            // MEMORY_CLOCK_RATE
    {37, 1024},               // GLOBAL_MEMORY_BUS_WIDTH
    {38, 1 << 20},            // L2_CACHE_SIZE
    {39, 2048},               // MAX_THREADS_PER_MULTIPROCESSOR
    {41, 1},                  // UNIFIED_ADDRESSING
    {75, 9},                  // COMPUTE_CAPABILITY_MAJOR
    {76, 0},                  // COMPUTE_CAPABILITY_MINOR
    {81, 233472},             // MAX_SHARED_MEMORY_PER_MULTIPROCESSOR
    {97, SHARED_BYTES_OPTIN}, // MAX_SHARED_MEMORY_PER_BLOCK_OPTIN
    {MEMORY_POOLS_SUPPORTED, 1},
};

} // namespace emulator
