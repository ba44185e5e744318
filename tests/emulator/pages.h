// Pages of memory between inaccessible guard pages.
#pragma once
#include <cstddef>
#include <new>
#include <sys/mman.h>
#include <unistd.h>
#include <utility>

namespace emulator {

class Pages {
public:
    Pages() = default;

    // At least `bytes`, which read as zeros; inaccessible until `open` if `accessible` is false.
    explicit Pages(std::size_t bytes, bool accessible = true) {
        const std::size_t body = (bytes + page() - 1) / page() * page();
        whole = body + 2 * closed();
        void* at = mmap(nullptr, whole, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (at == MAP_FAILED) throw std::bad_alloc();
        start = static_cast<unsigned char*>(at);
        if (accessible) open();
    }

    Pages(Pages&& other) noexcept : start(std::exchange(other.start, nullptr)), whole(other.whole) {}
    Pages& operator=(Pages&& other) noexcept {
        std::swap(start, other.start);
        std::swap(whole, other.whole);
        return *this;
    }
    ~Pages() {
        if (start) munmap(start, whole);
    }

    unsigned char* begin() const { return start + closed(); }
    unsigned char* end() const { return start + whole - closed(); }

    void open() {
        const auto body = static_cast<std::size_t>(end() - begin());
        if (body > 0 && mprotect(begin(), body, PROT_READ | PROT_WRITE) != 0) throw std::bad_alloc();
    }

    // Frees the memory but keeps its addresses: from now on a read or write there is a fault.
    void close() {
        mmap(start, whole, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    }

    bool around(const void* at) const {
        return start && at >= start && at < start + whole;
    }

    // Inaccessible bytes on either side; they cost addresses only.
    static std::size_t closed() { return 16 * page(); }

    static std::size_t page() {
        static const auto bytes = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
        return bytes;
    }

private:
    unsigned char* start = nullptr;
    std::size_t whole = 0;
};

} // namespace emulator
