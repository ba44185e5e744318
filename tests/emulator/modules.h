// Modules of the emulated driver: shared libraries from the emulated NVRTC, one per CUBIN.
#pragma once
#include "machine.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <elf.h>
#include <string>
#include <unistd.h>

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

struct Module {
    void* library = nullptr;
    // Architecture that it was compiled for: "sm_90".
    const char* architecture = nullptr;
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
        return architecture && attach && attach(&the_machine, INTERFACE, &shared_begin, &shared_end);
    }

    // Returns the kernel of that name, or null.
    void (*entry(const char* name) const)(void**) {
        return reinterpret_cast<void (*)(void**)>(dlsym(library, (std::string("emulated_entry_") + name).c_str()));
    }

    Module() = default;
    Module(const Module&) = delete;
    Module& operator=(const Module&) = delete;
    ~Module() {
        if (library) dlclose(library);
    }
};

} // namespace emulator
