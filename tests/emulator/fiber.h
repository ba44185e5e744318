// Fibers: functions that can stop anywhere and continue later, each on a stack of its own.
//
// x86-64 switches with a dozen instructions, which save the registers that a function must preserve; other machines use
// ucontext, which costs two system calls per switch.
#pragma once
#include "pages.h"

#include <cstddef>
#include <cstdint>

#if !defined(__x86_64__) || defined(EMULATOR_UCONTEXT)
#define EMULATOR_PORTABLE 1
#include <ucontext.h>
#endif

namespace emulator {

// Size of a stack; kernels keep large arrays in shared memory.
constexpr std::size_t STACK_BYTES = 64 << 10;

#ifdef EMULATOR_PORTABLE

class Fiber {
public:
    Fiber() : stack(STACK_BYTES) {}

    // Prepares the fiber to run `body`, which must not return.
    void prepare(void (*body)()) {
        getcontext(&context);
        context.uc_stack.ss_sp = stack.begin();
        context.uc_stack.ss_size = STACK_BYTES;
        context.uc_link = nullptr;
        makecontext(&context, body, 0);
    }

    // Switches from the caller to the fiber, until it leaves.
    void enter() { swapcontext(&caller, &context); }

    // Switches from the fiber back to its caller.
    void leave() { swapcontext(&context, &caller); }

    // Whether `at` is on its stack, or in the guard pages around it.
    bool on_stack(const void* at) const { return stack.around(at); }

private:
    Pages stack;
    ucontext_t context, caller;
};

#else

extern "C" void emulator_switch(void** save, void* load);
asm(R"(
.text
.weak emulator_switch
.hidden emulator_switch
.type emulator_switch,@function
emulator_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size emulator_switch,.-emulator_switch
)");

class Fiber {
public:
    Fiber() : stack(STACK_BYTES) {}

    // Prepares the fiber to run `body`, which must not return.
    void prepare(void (*body)()) {
        void** top = reinterpret_cast<void**>(stack.end());
        *--top = nullptr; // return address of `body`; it aligns the stack as a call does
        *--top = reinterpret_cast<void*>(body);
        for (int saved = 0; saved < 6; ++saved) *--top = nullptr;
        pointer = top;
    }

    // Switches from the caller to the fiber, until it leaves.
    void enter() { emulator_switch(&caller, pointer); }

    // Switches from the fiber back to its caller.
    void leave() { emulator_switch(&pointer, caller); }

    // Whether `at` is on its stack, or in the guard pages around it.
    bool on_stack(const void* at) const { return stack.around(at); }

private:
    Pages stack;
    void* pointer = nullptr;
    void* caller = nullptr;
};

#endif

} // namespace emulator
