// Streams: queues of work that runs late, in an order that the host cannot rely on.
//
// Work of a stream runs in the order of its calls, and only when something waits for it, or at random moments. With
// EMULATED_SEED=0 it never runs before a wait, and a wait runs nothing but what it needs. With a seed, waits also run
// work of other streams, and some calls run work before any call waits for it: a host program that lacks a wait gives
// another result, or a fault.
#pragma once
#include "graphs.h"
#include "settings.h"

#include <algorithm>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

namespace emulator {

struct Context;
struct Stream;

// A piece of work of a stream, and the work of other streams that comes before it.
struct Task {
    Stream* stream = nullptr;
    std::function<void()> work;
    std::vector<std::shared_ptr<Task>> after;
    bool done = false;
};

struct Stream {
    Context* context = nullptr;
    // It neither waits for the legacy default stream nor holds it up.
    bool non_blocking = false;
    int priority = 0;
    std::deque<std::shared_ptr<Task>> queue;
    // The last task, if it is not done.
    std::shared_ptr<Task> last;
    // The capture that it takes part in, and the nodes that its next node comes after.
    std::shared_ptr<Capture> capture;
    std::vector<std::size_t> frontier;
};

// Streams with work, of all contexts; they live until it is done, whoever destroys them.
inline std::vector<std::shared_ptr<Stream>> busy;

// The numbers that decide which work runs when; `in_order` tells whether EMULATED_SEED asks for none.
inline bool in_order() { return seed(1) == 0; }
inline std::uint64_t luck_state = 0;
inline void restart_luck(std::uint64_t nth) { luck_state = seed(nth); }
inline std::uint64_t luck() {
    luck_state = luck_state * 6364136223846793005u + 1442695040888963407u;
    return luck_state >> 33;
}

// Whether a context has ended with a fault: its work does not run any more.
bool has_ended(const Context& context);

// Runs the first task of the stream, which must not wait for another one.
inline void run_first(Stream& stream) {
    const std::shared_ptr<Task> task = stream.queue.front();
    stream.queue.pop_front();
    if (!has_ended(*stream.context)) task->work();
    task->done = true;
    task->work = nullptr;
    task->after.clear();
    if (stream.last == task) stream.last = nullptr;
    if (!stream.queue.empty()) return;
    for (auto at = busy.begin(); at != busy.end(); ++at) {
        if (at->get() == &stream) {
            busy.erase(at);
            break;
        }
    }
}

// Returns a task that `task` waits for, or null.
inline Task* before(const Task& task) {
    for (const auto& other : task.after) {
        if (!other->done) return other.get();
    }
    return nullptr;
}

// Runs one task that has to be done before `task` is, or that one itself.
inline void approach(const Task& task) {
    const Task* needed = task.stream->queue.front().get();
    while (const Task* other = before(*needed)) needed = other->stream->queue.front().get();
    run_first(*needed->stream);
}

// Runs the first task of any stream that need not wait.
inline void run_any() {
    std::vector<Stream*> ready;
    for (const auto& stream : busy) {
        if (!before(*stream->queue.front())) ready.push_back(stream.get());
    }
    if (!ready.empty()) run_first(*ready[luck() % ready.size()]);
}

inline void finish(const std::shared_ptr<Task>& task) {
    while (task && !task->done) {
        if (in_order() || luck() % 2) approach(*task);
        else run_any();
    }
}

inline void finish(const Stream& stream) { finish(std::shared_ptr<Task>(stream.last)); }

// Runs nothing, or a few tasks, as a device that is quick would have done.
inline void perhaps_run() {
    if (in_order() || luck() % 4 != 0) return;
    for (std::uint64_t i = 1 + luck() % 3; i > 0 && !busy.empty(); --i) run_any();
}

// Appends work to a stream that captures nothing.
inline std::shared_ptr<Task> append(const std::shared_ptr<Stream>& stream, std::function<void()> work,
                                    std::vector<std::shared_ptr<Task>> after) {
    auto task = std::make_shared<Task>();
    task->stream = stream.get();
    task->work = std::move(work);
    task->after = std::move(after);
    if (stream->queue.empty()) busy.push_back(stream);
    stream->queue.push_back(task);
    stream->last = task;
    return task;
}

} // namespace emulator
