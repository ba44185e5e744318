// A log of what the host asks for and the device does, a line each: for tests that count.
#pragma once
#include <cstdio>
#include <cstdlib>

namespace emulator {

// Appends a line to the file that EMULATED_LOG names; nothing if it names none. The file is opened each time, so that a
// test may empty it.
inline void note(const char* what, const char* of = "") {
    const char* path = std::getenv("EMULATED_LOG");
    if (!path || !*path) return;
    if (std::FILE* file = std::fopen(path, "a")) {
        std::fprintf(file, "%s %s\n", what, of);
        std::fclose(file);
    }
}

} // namespace emulator
