// An emulated NVRTC, `libnvrtc.so.13`: the system's C++ compiler ($CXX, or c++) compiles a kernel's source to a shared
// library for the emulated driver. That library is the CUBIN, and can be cached like one for a GPU.
//
// EMULATED_OBJECTS is a folder that keeps what was compiled, by the compiler's whole input.
// EMULATED_MUTATION plants a bug: see `mutate`. EMULATED_NVRTC_VERSION is its CUDA version; 13000 by default.
#include "process.h"
#include "settings.h"
#include "source.h"

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#ifndef EMULATOR_FOLDER
#error "EMULATOR_FOLDER has to name the folder of device.h"
#endif

using namespace emulator;

namespace {

// nvrtcResult of nvrtc.h.
enum Code {
    SUCCESS = 0,
    INVALID_INPUT = 3,
    INVALID_PROGRAM = 4,
    INVALID_OPTION = 5,
    COMPILATION = 6,
    INTERNAL = 11,
};
constexpr const char* CODES[] = {
    "NVRTC_SUCCESS",
    "NVRTC_ERROR_OUT_OF_MEMORY",
    "NVRTC_ERROR_PROGRAM_CREATION_FAILURE",
    "NVRTC_ERROR_INVALID_INPUT",
    "NVRTC_ERROR_INVALID_PROGRAM",
    "NVRTC_ERROR_INVALID_OPTION",
    "NVRTC_ERROR_COMPILATION",
    "NVRTC_ERROR_BUILTIN_OPERATION_FAILURE",
    "NVRTC_ERROR_NO_NAME_EXPRESSIONS_AFTER_COMPILATION",
    "NVRTC_ERROR_NO_LOWERED_NAMES_BEFORE_COMPILATION",
    "NVRTC_ERROR_NAME_EXPRESSION_NOT_VALID",
    "NVRTC_ERROR_INTERNAL_ERROR",
};

constexpr const char* ARCHITECTURES[] = {"75", "80", "86", "87", "88", "89", "90", "90a", "100", "100a", "100f", "103",
                                         "103a", "110", "110a", "120", "120a", "121", "121a"};

struct Program {
    std::string name, source, log, cubin;
};

// The parsed options.
struct Options {
    std::vector<std::string> defines;
    // "sm_90" or "compute_90"; NVRTC's default is of the latter kind.
    std::string architecture = "compute_75";
    bool statistics = false;
};

bool starts(const std::string& text, const char* with) { return text.compare(0, std::strlen(with), with) == 0; }

bool known_architecture(const std::string& name) {
    for (const char* known : ARCHITECTURES) {
        if (name == std::string("sm_") + known || name == std::string("compute_") + known) return true;
    }
    return false;
}

// Parses an option; returns an error message, or nothing.
std::string read(const std::string& option, Options& options) {
    const std::string value = option.substr(option.find('=') + 1);
    if (starts(option, "--gpu-architecture=") || starts(option, "-arch=")) {
        options.architecture = value;
        return known_architecture(value) ? "" : "nvrtc: error: invalid value for --gpu-architecture (-arch)\n";
    }
    if (starts(option, "--define-macro=") || starts(option, "-D")) {
        options.defines.push_back("-D" + (option[1] == 'D' ? option.substr(2) : value));
        return {};
    }
    if (option == "--ptxas-options=-v" || option == "-Xptxas=-v") {
        options.statistics = true;
        return {};
    }
    // These have no effect here: multiplication and addition are never fused.
    for (const char* known : {"--std=c++17", "-std=c++17", "--fmad=false", "--fmad=true", "--generate-line-info",
                              "--extra-device-vectorization", "--device-as-default-execution-space", "--restrict"}) {
        if (option == known) return {};
    }
    // Supported by NVRTC, but its divisions and roots would differ from the results of this compiler.
    if (option == "--use_fast_math") return "emulated nvrtc: error: --use_fast_math is not emulated\n";
    return "nvrtc: error: unrecognized option " + option + " found\n";
}

// Returns the text for the compiler: the kernel's source and an entry function for each kernel.
std::string whole(const Program& program, const std::string& source) {
    const auto line = [](const std::string& file) { return "\n#line 1 \"" + file + "\"\n"; };
    std::string text = line(program.name) + source + line("entries of " + program.name);
    for (const std::string& kernel : kernels_of(source)) {
        const std::string visible = "extern \"C\" __attribute__((visibility(\"default\"))) ";
        text += visible + "void emulated_entry_" + kernel + "(void** arguments) { emulator::call(" + kernel +
                ", arguments); }\n";
        text += visible + "unsigned emulated_sizes_" + kernel + "(const unsigned** all) { return emulator::sizes(" +
                kernel + ", all); }\n";
    }
    return text;
}

std::vector<std::string> command(const Options& options, const std::string& source, const std::string& library) {
    const char* compiler = std::getenv("CXX");
    std::vector<std::string> command = {
        "env",
        // Messages in plain ASCII.
        "LC_ALL=C",
        compiler && *compiler ? compiler : "c++",
        "-std=c++17",
        "-O1",
        // Every operation rounds; pointers of any type may alias; integers wrap.
        "-ffp-contract=off",
        "-fno-strict-aliasing",
        "-fwrapv",
        // A load or store whose address is not a multiple of its type's alignment traps, as on a GPU.
        "-fsanitize=alignment",
        "-fsanitize-undefined-trap-on-error",
        "-fno-exceptions",
        "-fno-rtti",
        "-fno-asynchronous-unwind-tables",
        // Functions of the same name in two modules stay separate.
        "-fvisibility=hidden",
        "-fPIC",
        "-shared",
        "-s",
        // No start files: they have variables in .bss.
        "-nostartfiles",
        "-Wl,--build-id=none",
        "-DEMULATED_TOOLKIT=" + std::to_string(nvrtc_version()),
        "-DEMULATED_MODULE=\"" + options.architecture + "\"",
        "-D__CUDA_ARCH__=" + std::to_string(10 * std::atoi(options.architecture.c_str() + 3)),
        "-D__CUDACC__=1",
        "-D__CUDACC_RTC__=1",
        "-include",
        EMULATOR_FOLDER "/device.h",
    };
    command.insert(command.end(), options.defines.begin(), options.defines.end());
    command.insert(command.end(), {"-x", "c++", source, "-o", library});
    return command;
}

// Returns the file that keeps what the compiler makes of a text, or nothing without EMULATED_OBJECTS.
std::string object_of(const Options& options, const std::string& text) {
    const char* folder = std::getenv("EMULATED_OBJECTS");
    if (!folder || !*folder) return {};
    std::string input = text;
    for (const std::string& word : command(options, "", "")) input += '\0' + word;
    return std::string(folder) + "/" + std::to_string(std::hash<std::string>()(input)) + ".so";
}

int compile(Program& program, const Options& options) {
    std::string source = program.source;
    if (const char* mutation = std::getenv("EMULATED_MUTATION")) {
        program.log = mutate(source, program.name, mutation);
        if (!program.log.empty()) return COMPILATION;
    }
    const Folder folder;
    const std::string input = folder.in("kernel.cpp"), output = folder.in("log"), text = whole(program, source);
    const std::string kept = object_of(options, text), made = folder.in("kernel.so");
    const bool is_kept = !kept.empty() && std::ifstream(kept).good();
    const std::string library = is_kept ? kept : made;
    std::ofstream(input, std::ios::binary) << text;
    const int code = is_kept ? 0 : run(command(options, input, library), output);
    program.log = nvrtc_positions(contents(output), program.name);
    if (code == 0 && !is_kept && !kept.empty() && program.log.empty()) {
        // Moved into place, since others may read it; the folder's name is no other compilation's.
        const std::string new_file = kept + "." + std::to_string(std::hash<std::string>()(made));
        std::ofstream(new_file, std::ios::binary) << contents(made);
        std::rename(new_file.c_str(), kept.c_str());
    }
    // 127 is the code of `env` for a missing program.
    if (code < 0 || code == 127) {
        program.log += "emulated nvrtc: the C++ compiler does not run\n";
        return INTERNAL;
    }
    if (code != 0) return COMPILATION;
    if (starts(options.architecture, "sm_")) program.cubin = contents(library);
    if (options.statistics) {
        program.log += "ptxas info    : Used 32 registers, 0 bytes spill stores, 0 bytes spill loads\n";
    }
    return SUCCESS;
}

Program* of(void* handle) { return static_cast<Program*>(handle); }

} // namespace

extern "C" {

int nvrtcVersion(int* major, int* minor) {
    *major = nvrtc_version() / 1000;
    *minor = nvrtc_version() % 1000 / 10;
    return SUCCESS;
}

int nvrtcGetNumSupportedArchs(int* number) {
    *number = 1;
    return SUCCESS;
}

int nvrtcGetSupportedArchs(int* architectures) {
    *architectures = 90;
    return SUCCESS;
}

const char* nvrtcGetErrorString(int code) {
    const int known = static_cast<int>(sizeof CODES / sizeof *CODES);
    return code >= 0 && code < known ? CODES[code] : "NVRTC_ERROR unknown";
}

int nvrtcCreateProgram(void** program, const char* source, const char* name, int headers, const char* const*,
                       const char* const*) {
    if (!program || !source || headers != 0) return INVALID_INPUT;
    *program = new Program{name ? name : "default_program", source, {}, {}};
    return SUCCESS;
}

int nvrtcDestroyProgram(void** program) {
    if (!program || !*program) return INVALID_PROGRAM;
    delete of(*program);
    *program = nullptr;
    return SUCCESS;
}

int nvrtcCompileProgram(void* program, int count, const char* const* texts) {
    if (!program) return INVALID_PROGRAM;
    of(program)->cubin.clear();
    Options options;
    std::string& log = of(program)->log;
    log.clear();
    for (int i = 0; i < count; ++i) log += read(texts[i], options);
    return log.empty() ? compile(*of(program), options) : INVALID_OPTION;
}

// The log is a text that ends with a zero; the CUBIN is bytes.
int nvrtcGetProgramLogSize(void* program, std::size_t* bytes) {
    if (!program) return INVALID_PROGRAM;
    *bytes = of(program)->log.size() + 1;
    return SUCCESS;
}

int nvrtcGetProgramLog(void* program, char* log) {
    if (!program) return INVALID_PROGRAM;
    std::memcpy(log, of(program)->log.c_str(), of(program)->log.size() + 1);
    return SUCCESS;
}

int nvrtcGetCUBINSize(void* program, std::size_t* bytes) {
    if (!program) return INVALID_PROGRAM;
    *bytes = of(program)->cubin.size();
    return SUCCESS;
}

int nvrtcGetCUBIN(void* program, char* cubin) {
    if (!program) return INVALID_PROGRAM;
    std::memcpy(cubin, of(program)->cubin.data(), of(program)->cubin.size());
    return SUCCESS;
}

} // extern "C"
