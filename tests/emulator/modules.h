// Modules of the emulated driver: shared libraries from the emulated NVRTC, one per CUBIN.
#pragma once
#include "codes.h"
#include "machine.h"
#include "settings.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <elf.h>
#include <string>
#include <unistd.h>
#include <vector>

namespace emulator {

// Returns the length of the ELF file at `image`, which the caller does not pass: its table of sections is at the end. 0
// if it is not an ELF file.
inline std::size_t elf_bytes(const void* image) {
    const auto* header = static_cast<const Elf64_Ehdr*>(image);
    if (std::memcmp(image, ELFMAG, SELFMAG) != 0 || header->e_ident[EI_CLASS] != ELFCLASS64) return 0;
    return header->e_shoff + std::size_t{header->e_shnum} * header->e_shentsize;
}

// Loads `image` from a temporary file of its own, since the loader takes two files of one name for the same.
inline void* open_library(const void* image, std::size_t bytes) {
    const char* folder = std::getenv("TMPDIR");
    std::string path = std::string(folder && *folder ? folder : "/tmp") + "/emulated-module-XXXXXX";
    const int file = mkstemp(path.data());
    if (file < 0) return nullptr;
    const auto* at = static_cast<const char*>(image);
    while (bytes > 0) {
        const ssize_t written = write(file, at, bytes);
        if (written <= 0) break;
        at += written;
        bytes -= static_cast<std::size_t>(written);
    }
    close(file);
    void* library = bytes == 0 ? dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL) : nullptr;
    if (!library) std::fprintf(stderr, "emulated GPU: %s\n", bytes == 0 ? dlerror() : "no space for a module");
    unlink(path.c_str());
    return library;
}

// PTX has version numbers of its own: 9.0 came with CUDA 13.0, 8.7 with CUDA 12.8.
inline int ptx_version(int cuda) {
    const int major = cuda / 1000, minor = cuda % 1000 / 10;
    if (major >= 13) return (major - 4) * 10 + minor;
    // 12.6 added none.
    return major == 12 ? 80 + minor - (minor >= 6) : 70 + minor;
}

// Returns why a driver of this version does not load `image` as PTX, SUCCESS if it is none: PTX newer than the driver
// is refused, and no PTX can be run here.
inline int refused_ptx(const void* image) {
    const auto* text = static_cast<const char*>(image);
    if (std::memcmp(text, ELFMAG, SELFMAG) == 0) return SUCCESS;
    if (std::strncmp(text, "//", 2) != 0 && std::strncmp(text, ".version", 8) != 0) return INVALID_IMAGE;
    int major = 0, minor = 0;
    const char* version = std::strstr(text, ".version");
    if (!version || std::sscanf(version, ".version %d.%d", &major, &minor) != 2) return INVALID_IMAGE;
    if (major * 10 + minor > ptx_version(driver_version())) return UNSUPPORTED_PTX_VERSION;
    std::fprintf(stderr, "emulated GPU: PTX is not emulated\n");
    return INVALID_IMAGE;
}

struct Module {
    void* library = nullptr;
    // Architecture that it was compiled for: "sm_90".
    const char* architecture = nullptr;
    // CUDA version of the NVRTC that compiled it: 13000.
    int toolkit = 0;
    unsigned char *shared_begin = nullptr, *shared_end = nullptr;

    std::size_t shared_bytes() const { return static_cast<std::size_t>(shared_end - shared_begin); }

    // Loads `image`; false if it is not a module for this machine.
    bool load(const void* image) {
        const std::size_t bytes = elf_bytes(image);
        library = bytes > 0 ? open_library(image, bytes) : nullptr;
        if (!library) return false;
        architecture = static_cast<const char*>(dlsym(library, "emulated_architecture"));
        const auto attach = reinterpret_cast<bool (*)(Machine*, unsigned, unsigned char**, unsigned char**)>(
            dlsym(library, "emulated_attach"));
        const auto* made_by = static_cast<const int*>(dlsym(library, "emulated_toolkit"));
        if (made_by) toolkit = *made_by;
        return architecture && attach && made_by && attach(&the_machine, INTERFACE, &shared_begin, &shared_end);
    }

    // Returns the kernel of that name, or null.
    void (*entry(const char* name) const)(void**) {
        return reinterpret_cast<void (*)(void**)>(dlsym(library, (std::string("emulated_entry_") + name).c_str()));
    }

    // Returns the bytes of each parameter of the kernel of that name.
    std::vector<unsigned> sizes(const char* name) const {
        const auto get = reinterpret_cast<unsigned (*)(const unsigned**)>(
            dlsym(library, (std::string("emulated_sizes_") + name).c_str()));
        const unsigned* all = nullptr;
        const unsigned number = get ? get(&all) : 0;
        return {all, all + number};
    }

    Module() = default;
    Module(const Module&) = delete;
    Module& operator=(const Module&) = delete;
    ~Module() {
        if (library) dlclose(library);
    }
};

} // namespace emulator
