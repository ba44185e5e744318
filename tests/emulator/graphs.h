// Graphs: work that was captured from streams, to be run as often as it is launched.
#pragma once
#include <algorithm>
#include <cstddef>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

namespace emulator {

struct Stream;
struct Task;

// A piece of work, and the numbers of the nodes that come before it. Kernels get the arguments of the capture; host
// memory is read and written when the node runs.
struct Node {
    std::function<void()> work;
    std::vector<std::size_t> after;
};

struct Graph {
    std::vector<Node> nodes;
};

struct Executable {
    std::vector<Node> nodes;
    // Its last launch: launches of one graph run one after the other.
    std::shared_ptr<Task> last;
};

// CUstreamCaptureMode: whose calls that may wait for the device are refused during a capture.
enum CaptureMode { ALL_THREADS = 0, OWN_THREAD = 1, RELAXED = 2 };
// CUstreamCaptureStatus.
enum CaptureStatus { NO_CAPTURE = 0, ACTIVE = 1, INVALIDATED = 2 };

struct Capture {
    Graph graph;
    Stream* origin = nullptr;
    int mode = ALL_THREADS;
    std::thread::id thread;
    bool invalid = false;
    // All streams that take part.
    std::vector<std::weak_ptr<Stream>> streams;

    std::size_t add(std::function<void()> work, std::vector<std::size_t> after) {
        graph.nodes.push_back({std::move(work), std::move(after)});
        return graph.nodes.size() - 1;
    }

    // Returns for each node whether it is in `last` or comes before a node of `last`.
    std::vector<bool> ancestors(const std::vector<std::size_t>& last) const {
        std::vector<bool> reached(graph.nodes.size());
        for (std::size_t node : last) reached[node] = true;
        for (std::size_t node = graph.nodes.size(); node-- > 0;) {
            if (!reached[node]) continue;
            for (std::size_t before : graph.nodes[node].after) reached[before] = true;
        }
        return reached;
    }
};

inline void join(std::vector<std::size_t>& nodes, const std::vector<std::size_t>& others) {
    for (std::size_t node : others) {
        if (std::find(nodes.begin(), nodes.end(), node) == nodes.end()) nodes.push_back(node);
    }
}

// Runs all nodes until `ended`, each after those that come before it; `pick` chooses among `n` that may run.
template <class Pick, class Ended> void run_nodes(const std::vector<Node>& nodes, Pick pick, Ended ended) {
    std::vector<bool> done(nodes.size());
    for (std::size_t count = 0; count < nodes.size() && !ended(); ++count) {
        std::vector<std::size_t> ready;
        for (std::size_t node = 0; node < nodes.size(); ++node) {
            const auto is_done = [&](std::size_t before) { return done[before]; };
            const auto& after = nodes[node].after;
            if (!done[node] && std::all_of(after.begin(), after.end(), is_done)) ready.push_back(node);
        }
        const std::size_t next = ready[pick(ready.size())];
        nodes[next].work();
        done[next] = true;
    }
}

} // namespace emulator
