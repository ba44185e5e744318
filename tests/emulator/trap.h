// Faults of a kernel that the CPU finds: inaccessible memory, a division by zero, and the instruction by which the
// compiler's check of an address reports that it is not aligned.
//
// While a launch runs, their signals end it with a report instead of ending the program. Signals of other threads are
// handled as before.
#pragma once
#include <csetjmp>
#include <csignal>
#include <cstddef>
#include <memory>

namespace emulator {

class Trap {
public:
    Trap() : stack(new char[STACK]) {
        active = this;
        stack_t own{};
        own.ss_sp = stack.get();
        own.ss_size = STACK;
        sigaltstack(&own, &stack_before);
        struct sigaction action {};
        action.sa_sigaction = caught;
        action.sa_flags = SA_SIGINFO | SA_ONSTACK;
        sigemptyset(&action.sa_mask);
        for (int i = 0; i < SIGNALS; ++i) sigaction(signals[i], &action, &before[i]);
    }
    ~Trap() {
        for (int i = 0; i < SIGNALS; ++i) sigaction(signals[i], &before[i], nullptr);
        sigaltstack(&stack_before, nullptr);
        active = nullptr;
    }
    Trap(const Trap&) = delete;
    Trap& operator=(const Trap&) = delete;

    // Execution continues here after a signal: `sigsetjmp` has to fill it before the kernel runs.
    sigjmp_buf back;
    int signal = 0;
    const void* address = nullptr;

private:
    static constexpr std::size_t STACK = 64 << 10;
    static constexpr int SIGNALS = 5;
    static constexpr int signals[SIGNALS] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
    static inline struct sigaction before[SIGNALS];
    static inline thread_local Trap* active = nullptr;

    static void caught(int number, siginfo_t* info, void*) {
        if (!active) {
            // Not the thread of a launch: the instruction runs again, and its signal is then handled as before.
            for (int i = 0; i < SIGNALS; ++i) {
                if (signals[i] == number) sigaction(number, &before[i], nullptr);
            }
            return;
        }
        active->signal = number;
        active->address = info->si_addr;
        siglongjmp(active->back, 1);
    }

    std::unique_ptr<char[]> stack;
    stack_t stack_before{};
};

} // namespace emulator
