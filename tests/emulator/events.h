// Events: marks in the work of a stream.
#pragma once
#include "streams.h"

#include <chrono>
#include <memory>
#include <vector>

namespace emulator {

// CUevent_flags.
enum EventFlag { DISABLE_TIMING = 2, ALL_EVENT_FLAGS = 7 };

struct Event {
    bool timing = true;
    // The last record, and the time when the stream came to it; null before the first one.
    std::shared_ptr<Task> record;
    std::shared_ptr<std::chrono::steady_clock::time_point> time;
    // If the last record was captured: the capture, and the nodes before it.
    std::shared_ptr<Capture> capture;
    std::vector<std::size_t> frontier;
};

} // namespace emulator
