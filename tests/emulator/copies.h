// Asynchronous copies of a thread: `cp.async`.
//
// The bytes arrive with the wait for their group, so a kernel without the wait reads the old contents.
#pragma once
#include <cstddef>
#include <cstring>
#include <vector>

namespace emulator {

class Copies {
public:
    void add(void* to, const void* from) { copies.push_back({to, from}); }

    // Makes the copies since the last call a group.
    void commit() { ends.push_back(copies.size()); }

    // Performs the copies of all groups but the last `groups`.
    void await(std::size_t groups) {
        if (ends.size() <= groups) return;
        const auto last = ends.end() - static_cast<std::ptrdiff_t>(groups) - 1;
        const std::size_t end = *last;
        for (std::size_t i = 0; i < end; ++i) std::memcpy(copies[i].to, copies[i].from, 16);
        copies.erase(copies.begin(), copies.begin() + static_cast<std::ptrdiff_t>(end));
        ends.erase(ends.begin(), last + 1);
        for (std::size_t& other : ends) other -= end;
    }

    void clear() {
        copies.clear();
        ends.clear();
    }

private:
    struct Copy {
        void* to;
        const void* from;
    };
    std::vector<Copy> copies;
    // Number of copies before the end of each group.
    std::vector<std::size_t> ends;
};

} // namespace emulator
