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
    UNSUPPORTED_PTX_VERSION = 222,
    INVALID_HANDLE = 400,
    NOT_FOUND = 500,
    NOT_READY = 600,
    ILLEGAL_ADDRESS = 700,
    HOST_MEMORY_ALREADY_REGISTERED = 712,
    HOST_MEMORY_NOT_REGISTERED = 713,
    MISALIGNED_ADDRESS = 716,
    LAUNCH_FAILED = 719,
    NOT_SUPPORTED = 801,
    STREAM_CAPTURE_UNSUPPORTED = 900,
    STREAM_CAPTURE_INVALIDATED = 901,
    STREAM_CAPTURE_MERGE = 902,
    STREAM_CAPTURE_UNMATCHED = 903,
    STREAM_CAPTURE_UNJOINED = 904,
    STREAM_CAPTURE_ISOLATION = 905,
    STREAM_CAPTURE_IMPLICIT = 906,
    CAPTURED_EVENT = 907,
    STREAM_CAPTURE_WRONG_THREAD = 908,
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
    {UNSUPPORTED_PTX_VERSION, "CUDA_ERROR_UNSUPPORTED_PTX_VERSION",
     "the provided PTX was compiled with an unsupported toolchain."},
    {INVALID_HANDLE, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
    {NOT_FOUND, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
    {NOT_READY, "CUDA_ERROR_NOT_READY", "device not ready"},
    {ILLEGAL_ADDRESS, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
    {HOST_MEMORY_ALREADY_REGISTERED, "CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED",
     "part or all of the requested memory range is already mapped"},
    {HOST_MEMORY_NOT_REGISTERED, "CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED",
     "pointer does not correspond to a registered memory region"},
    {MISALIGNED_ADDRESS, "CUDA_ERROR_MISALIGNED_ADDRESS", "misaligned address"},
    {LAUNCH_FAILED, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"},
    {NOT_SUPPORTED, "CUDA_ERROR_NOT_SUPPORTED", "operation not supported"},
    {STREAM_CAPTURE_UNSUPPORTED, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED",
     "operation not permitted when stream is capturing"},
    {STREAM_CAPTURE_INVALIDATED, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED",
     "operation failed due to a previous error during capture"},
    {STREAM_CAPTURE_MERGE, "CUDA_ERROR_STREAM_CAPTURE_MERGE",
     "operation would result in a merge of separate capture sequences"},
    {STREAM_CAPTURE_UNMATCHED, "CUDA_ERROR_STREAM_CAPTURE_UNMATCHED",
     "capture was not ended in the same stream as it began"},
    {STREAM_CAPTURE_UNJOINED, "CUDA_ERROR_STREAM_CAPTURE_UNJOINED",
     "capturing stream has unjoined work"},
    {STREAM_CAPTURE_ISOLATION, "CUDA_ERROR_STREAM_CAPTURE_ISOLATION",
     "dependency created on uncaptured work in another stream"},
    {STREAM_CAPTURE_IMPLICIT, "CUDA_ERROR_STREAM_CAPTURE_IMPLICIT",
     "operation would make the legacy stream depend on a capturing blocking stream"},
    {CAPTURED_EVENT, "CUDA_ERROR_CAPTURED_EVENT",
     "operation not permitted on an event last recorded in a capturing stream"},
    {STREAM_CAPTURE_WRONG_THREAD, "CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD",
     "attempt to terminate a thread-local capture sequence from another thread"},
};

// CUdevice_attribute, and its value on this device.
struct Attribute {
    int number, value;
};
// NVRTC's names of the architectures that the compute capability in the attributes runs.
constexpr const char* ARCHITECTURES[] = {"sm_90", "sm_90a"};
constexpr int SHARED_BYTES = 48 << 10, SHARED_BYTES_OPTIN = 232448, MAX_THREADS = 1024;
constexpr int POOLS_SUPPORTED = 115;
// Of a multiprocessor.
constexpr int THREADS_AT_ONCE = 2048, BLOCKS_AT_ONCE = 32, SHARED_AT_ONCE = 233472, RESERVED_SHARED = 1024;
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
    {39, THREADS_AT_ONCE},               // MAX_THREADS_PER_MULTIPROCESSOR
    {41, 1},                  // UNIFIED_ADDRESSING
    {75, 9},                  // COMPUTE_CAPABILITY_MAJOR
    {76, 0},                  // COMPUTE_CAPABILITY_MINOR
    {81, SHARED_AT_ONCE},             // MAX_SHARED_MEMORY_PER_MULTIPROCESSOR
    {97, SHARED_BYTES_OPTIN}, // MAX_SHARED_MEMORY_PER_BLOCK_OPTIN
    {106, BLOCKS_AT_ONCE},                // MAX_BLOCKS_PER_MULTIPROCESSOR
    {POOLS_SUPPORTED, 1},     // MEMORY_POOLS_SUPPORTED, 0 with EMULATED_POOLS=0
};

} // namespace emulator
