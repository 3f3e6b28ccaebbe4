// Captures, graphs and their execution: branches that do not depend on each other run at once.
#include <algorithm>
#include <functional>

#include "world.h"

namespace cuda_on_cpu::driver {

namespace {

// Threads for the branches of graphs beyond the first. It grows, because branches wait for each other.
struct Pool {
    std::mutex mutex;
    std::condition_variable work;
    std::deque<std::function<void()>> tasks;
    std::size_t idle = 0;

    void submit(std::function<void()> task) {
        const std::lock_guard lock(mutex);
        tasks.push_back(std::move(task));
        if (tasks.size() > idle) {
            std::thread([this] { serve(); }).detach();
        } else {
            work.notify_one();
        }
    }

    void serve() {
        const Quiet quiet;
        std::unique_lock lock(mutex);
        for (;;) {
            ++idle;
            work.wait(lock, [&] { return !tasks.empty(); });
            --idle;
            const auto task = std::move(tasks.front());
            tasks.pop_front();
            lock.unlock();
            task();
            lock.lock();
        }
    }
};

Pool& pool() {
    static auto& pool = *new Pool;
    return pool;
}

struct Run {
    std::vector<char> is_done;
    std::vector<Clock> clocks;
    std::size_t open = 0;  // branches
};

void run_chain(World& w, GraphExec& graph, std::size_t index, Run& run) {
    const auto& chain = graph.chains[index];
    const std::uint32_t actor = graph.actors[index];
    for (const std::size_t n : chain) {
        const Node& node = graph.nodes[n];
        Clock clock;
        {
            Lock lock(w);
            for (const std::size_t before : node.after) {
                w.done.wait(lock.lock, [&] { return run.is_done[before] != 0 || w.is_abandoned; });
                if (w.is_abandoned) return;
                join(run.clocks[n], run.clocks[before]);
            }
            clock = run.clocks[n];
        }
        for (const std::size_t before : node.after) edge_to(&run.is_done[before]);
        run_work(w, node.work, actor, clock);
        edge_from(&run.is_done[n]);
        Lock lock(w);
        run.clocks[n] = std::move(clock);
        run.is_done[n] = 1;
        w.done.notify_all();
    }
}

bool precedes(const Graph& graph, std::size_t node, const std::vector<std::size_t>& after) {
    std::vector<char> seen(graph.nodes.size());
    std::vector<std::size_t> open = after;
    while (!open.empty()) {
        const std::size_t n = open.back();
        open.pop_back();
        if (n == node) return true;
        if (seen[n]) continue;
        seen[n] = 1;
        open.insert(open.end(), graph.nodes[n].after.begin(), graph.nodes[n].after.end());
    }
    return false;
}

}  // namespace

void cut_into_chains(World& w, GraphExec& exec) {
    std::map<std::size_t, std::size_t> ends;  // last node → chain
    for (std::size_t n = 0; n < exec.nodes.size(); ++n) {
        std::size_t chain = exec.chains.size();
        for (const std::size_t before : exec.nodes[n].after) {
            if (const auto end = ends.find(before); end != ends.end()) {
                chain = end->second;
                ends.erase(end);
                break;
            }
        }
        if (chain == exec.chains.size()) {
            exec.chains.emplace_back();
            exec.actors.push_back(new_actor(w.hazards, "branch " + std::to_string(exec.chains.size()) + " of graph " +
                                                          std::to_string(exec.handle / 16)));
        }
        exec.chains[chain].push_back(n);
        ends[n] = chain;
    }
}

void run_graph(World& w, Stream& stream, GraphExec& graph) {
    if (graph.chains.size() <= 1) {
        for (const Node& node : graph.nodes) run_work(w, node.work, stream.actor, stream.clock);
        return;
    }
    const auto run = std::make_shared<Run>();
    run->is_done.resize(graph.nodes.size());
    run->clocks.resize(graph.nodes.size(), stream.clock);
    run->open = graph.chains.size();
    // Roots come after what came before the launch.
    edge_from(run.get());
    for (std::size_t i = 1; i < graph.chains.size(); ++i) {
        pool().submit([&w, &graph, run, i] {
            edge_to(run.get());
            run_chain(w, graph, i, *run);
            Lock lock(w);
            --run->open;
            w.done.notify_all();
        });
    }
    run_chain(w, graph, 0, *run);
    {
        Lock lock(w);
        --run->open;
        w.done.wait(lock.lock, [&] { return run->open == 0 || w.is_abandoned; });
        for (const Clock& clock : run->clocks) join(stream.clock, clock);
    }
    for (const char& each : run->is_done) edge_to(&each);
}

CUresult end_capture(World& w, const StreamPtr& stream, GraphPtr& result) {
    const CapturePtr capture = stream->capture;
    if (capture == nullptr) return CUDA_ERROR_ILLEGAL_STATE;
    if (capture->origin != stream->handle) return CUDA_ERROR_STREAM_CAPTURE_UNMATCHED;
    if (capture->mode != CU_STREAM_CAPTURE_MODE_RELAXED && capture->thread != std::this_thread::get_id()) {
        return CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD;
    }
    bool is_joined = true;
    for (const StreamPtr& each : capture->streams) {
        for (const std::size_t node : each->captured_after) {
            is_joined = is_joined && precedes(*capture->graph, node, stream->captured_after);
        }
    }
    for (const StreamPtr& each : capture->streams) {
        each->capture = nullptr;
        each->captured_after.clear();
    }
    std::erase(w.captures, capture);
    if (capture->is_invalid) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
    if (!is_joined) return CUDA_ERROR_STREAM_CAPTURE_UNJOINED;
    result = capture->graph;
    result->handle = new_handle();
    w.graphs.add(result);
    return CUDA_SUCCESS;
}

}  // namespace cuda_on_cpu::driver
