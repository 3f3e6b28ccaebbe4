// The state behind the API: devices, contexts, streams, events, memory, modules, graphs. One lock guards all of it; what
// takes time (operations on memory, kernels) runs without.
#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "cuda_api.h"
#include "executor.h"
#include "hazards.h"
#include "options.h"
#include "ptx.h"
#include "quiet.h"

namespace cuda_on_cpu::driver {

struct World;
struct Stream;
struct Context;

struct Allocation {
    char* base = nullptr;
    std::size_t bytes = 0;
    char* device_view = nullptr;  // of the host's memory: where kernels find it
    char* mapping = nullptr;  // with guard pages; null for registered memory
    std::size_t mapping_bytes = 0;
    int device = -1;  // -1: the host's
    std::uint64_t context = 0;
    bool is_freed = false;
    std::unique_ptr<Shadow> shadow;

    ~Allocation();
    bool holds(const char* at, std::size_t count) const {
        return at >= base && at <= base + bytes && count <= static_cast<std::size_t>(base + bytes - at);
    }
    // What is broken in the bytes around it that nobody owns; empty if nothing is.
    std::string broken() const;
};
using AllocationPtr = std::shared_ptr<Allocation>;

struct Device {
    int physical = 0;
    std::uint64_t used = 0;
    bool is_lost = false;
    int retains = 0;
    std::shared_ptr<Context> context;
};

struct Context {
    std::uint64_t handle = 0;
    int device = 0;
    CUresult sticky = CUDA_SUCCESS;
    std::atomic<bool> stop{false};  // true once sticky: kernels that wait give up
    bool is_destroyed = false;
    std::set<int> peers;  // devices whose memory this context's kernels may use
    std::shared_ptr<Stream> legacy;
    std::vector<std::shared_ptr<Stream>> streams;
};
using ContextPtr = std::shared_ptr<Context>;

// The end of one operation in a stream.
struct Signal {
    bool is_done = false;
    std::int64_t nanoseconds = 0;
    Clock clock;
    std::weak_ptr<Stream> stream;
    std::uint64_t sequence = 0;
};
using SignalPtr = std::shared_ptr<Signal>;

// What a device does at once: an operation of a stream, or a graph's node.
struct Work {
    enum class Kind { empty, kernel, copy, set, wait_value, write_value };
    Kind kind = Kind::empty;
    ContextPtr context;
    // kernel
    const Kernel* kernel = nullptr;
    Grid grid;
    std::vector<std::uint64_t> args;  // words, so that the struct is aligned
    // copy and set: `height` rows of `width` bytes
    char* target = nullptr;
    const char* source = nullptr;
    std::shared_ptr<std::vector<char>> staged;  // in place of the source
    std::size_t width = 0, height = 1, target_pitch = 0, source_pitch = 0;
    // set, wait_value, write_value
    std::uint32_t value = 0, flags = 0;
    std::uint32_t element_bytes = 1;
};

struct Node {
    std::uint64_t handle = 0;
    Work work;
    std::vector<std::size_t> after;  // nodes, all with smaller indices
};

struct Graph {
    std::uint64_t handle = 0;
    std::vector<Node> nodes;
};
using GraphPtr = std::shared_ptr<Graph>;

struct GraphExec {
    std::uint64_t handle = 0;
    std::vector<Node> nodes;
    std::vector<std::vector<std::size_t>> chains;  // each in order; a node may wait for nodes of other chains
    std::vector<std::uint32_t> actors;             // of the chains
    ContextPtr context;
    SignalPtr last;  // launches of the same graph follow each other
};
using GraphExecPtr = std::shared_ptr<GraphExec>;

struct Capture {
    GraphPtr graph = std::make_shared<Graph>();
    std::uint64_t origin = 0;
    CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_GLOBAL;
    std::thread::id thread;
    bool is_invalid = false;
    std::vector<std::shared_ptr<Stream>> streams;
};
using CapturePtr = std::shared_ptr<Capture>;

struct Event {
    std::uint64_t handle = 0;
    ContextPtr context;
    unsigned flags = 0;
    SignalPtr record;
    CapturePtr capture;  // where it was last recorded, if in a capture
    std::vector<std::size_t> captured_after;
};
using EventPtr = std::shared_ptr<Event>;

struct Item {
    Work work;
    GraphExecPtr graph;
    std::vector<SignalPtr> waits;
    SignalPtr finished;
    Clock host;
};

struct Stream {
    std::uint64_t handle = 0;
    World* world = nullptr;
    ContextPtr context;
    bool is_blocking = false;  // towards the legacy stream
    int priority = 0;
    std::deque<Item> queue;
    std::condition_variable work;
    std::uint64_t enqueued = 0, started = 0;
    std::uint64_t demanded = 0;  // items up to this number may run
    bool is_closing = false, is_wedged = false, is_running = false;
    SignalPtr tail;
    Clock clock;
    std::uint32_t actor = 0;
    CapturePtr capture;
    std::vector<std::size_t> captured_after;
};
using StreamPtr = std::shared_ptr<Stream>;

struct Module {
    std::uint64_t handle = 0;
    ContextPtr context;
    PtxText ptx;
    std::map<std::string, std::uint64_t> functions;
};
using ModulePtr = std::shared_ptr<Module>;

struct Function {
    std::uint64_t handle = 0;
    ModulePtr module;
    PtxEntry entry;
    const Kernel* kernel = nullptr;
    std::uint32_t dynamic_shared_max = 0;
};
using FunctionPtr = std::shared_ptr<Function>;

// Handles are numbers that never come twice, so that one that was freed stays wrong for ever.
template <typename T>
struct Table {
    std::unordered_map<std::uint64_t, std::shared_ptr<T>> items;

    template <typename Handle>
    std::shared_ptr<T> find(Handle handle) const {
        const auto at = items.find(reinterpret_cast<std::uint64_t>(handle));
        return at == items.end() ? nullptr : at->second;
    }
    void add(const std::shared_ptr<T>& item) { items[item->handle] = item; }
    template <typename Handle>
    void remove(Handle handle) {
        items.erase(reinterpret_cast<std::uint64_t>(handle));
    }
};

struct World {
    std::mutex mutex;
    std::condition_variable done;  // an operation has ended
    bool is_initialised = false, is_abandoned = false;
    Options options;
    std::vector<Device> devices;
    Table<Context> contexts;
    Table<Stream> streams;
    Table<Event> events;
    Table<Module> modules;
    Table<Function> functions;
    Table<Graph> graphs;
    Table<GraphExec> execs;
    std::map<const char*, AllocationPtr> allocations;  // by their end
    std::vector<CapturePtr> captures;
    std::string fault;
    std::uint64_t fail_allocation = 0, fail_launch = 0;
    int fail_launch_kind = 1;
    std::uint64_t memory_limit = ~0ull;
    std::atomic<std::uint64_t> kernels{0};
    std::uint64_t running = 0;  // operations
    std::uint64_t allocated = 0;  // allocations ever
    Hazards hazards;
};

World& world();

struct Lock {
    Quiet quiet;
    std::unique_lock<std::mutex> lock;
    explicit Lock(World& w) : lock(w.mutex) {}
};

std::uint64_t new_handle();

// ---- memory.cpp; all under the lock ----
CUresult allocate_device(World& w, Context& context, std::size_t bytes, AllocationPtr& result);
CUresult allocate_host(World& w, std::size_t bytes, AllocationPtr& result);
CUresult register_host(World& w, char* at, std::size_t bytes);
void release(World& w, const AllocationPtr& allocation);
// The live allocation around the address; null if there is none.
AllocationPtr allocation_at(World& w, const void* at);
// Empty, or which allocation's surroundings were written.
std::string broken_canaries(World& w);

// ---- stream.cpp ----
StreamPtr create_stream(World& w, const ContextPtr& context, unsigned flags, int priority);
void close_stream(Stream& stream);
// Under the lock. Puts an operation behind the others; or into the graph, if the stream is being captured.
CUresult submit(World& w, const StreamPtr& stream, Work work, SignalPtr* finished = nullptr);
SignalPtr enqueue(World& w, const StreamPtr& stream, Item item);
void demand(World& w, const Signal& signal);
void demand_all(World& w);
// Waits without the lock until it is done.
void wait_for(World& w, Lock& lock, SignalPtr signal);
// Under the lock: everything later in the context fails.
void set_fault(World& w, Context& context, CUresult code, const std::string& text);

// ---- graph.cpp ----
void run_graph(World& w, Stream& stream, GraphExec& graph);
CUresult end_capture(World& w, const StreamPtr& stream, GraphPtr& result);
void cut_into_chains(World& w, GraphExec& exec);

// ---- work.cpp: without the lock, on a stream's or a graph's thread ----
void run_work(World& w, const Work& work, std::uint32_t actor, Clock& clock);

}  // namespace cuda_on_cpu::driver
