// Streams: each is a thread of its own that runs its queue in order.
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>

#include "world.h"

namespace cuda_on_cpu::driver {

namespace {

std::int64_t now() { return std::chrono::steady_clock::now().time_since_epoch().count(); }

bool may_start(const World& w, const Stream& s) {
    return !s.is_wedged && (w.options.timing != Timing::lazy || s.is_closing || s.started < s.demanded);
}

// A kernel may wait for what another stream's does: what is awaited for so long needs the others, too.
constexpr auto kPatience = std::chrono::milliseconds(50);

void wait_done(World& w, Lock& lock, const Signal& signal) {
    const auto is_over = [&] { return signal.is_done || w.is_abandoned; };
    demand(w, signal);
    if (w.options.timing == Timing::lazy) {
        while (!w.done.wait_for(lock.lock, kPatience, is_over)) demand_all(w);
    } else {
        w.done.wait(lock.lock, is_over);
    }
}

// Waits for what the item has to wait for; false if the world ended meanwhile.
bool await(World& w, Lock& lock, const Item& item) {
    for (const SignalPtr& signal : item.waits) {
        wait_done(w, lock, *signal);
        if (w.is_abandoned) return false;
    }
    return true;
}

void delay(std::minstd_rand& random) {
    // Most operations start at once, some after so long that other streams have gone on by several.
    if (random() % 4 == 0) usleep(random() % 300);
}

void run_item(World& w, Stream& s, Item& item, Lock& lock) {
    const bool is_dead = s.context->sticky != CUDA_SUCCESS || s.context->is_destroyed;
    lock.lock.unlock();
    for (const SignalPtr& signal : item.waits) edge_to(signal.get());
    edge_to(item.finished.get());
    if (!is_dead) {
        if (item.graph != nullptr) {
            run_graph(w, s, *item.graph);
        } else if (item.work.kind != Work::Kind::empty) {
            run_work(w, item.work, s.actor, s.clock);
        }
    }
    edge_from(item.finished.get());
    lock.lock.lock();
}

void run_stream(World& w, const StreamPtr& stream) {
    Stream& s = *stream;
    std::minstd_rand random(static_cast<std::uint32_t>(w.options.seed * 7919 + s.handle));
    Lock lock(w);
    for (;;) {
        s.work.wait(lock.lock, [&] {
            return w.is_abandoned || (s.queue.empty() ? s.is_closing : may_start(w, s));
        });
        if (w.is_abandoned || s.queue.empty()) return;
        Item item = std::move(s.queue.front());
        s.queue.pop_front();
        ++s.started;
        if (!await(w, lock, item)) return;
        if (w.options.timing == Timing::random) {
            lock.lock.unlock();
            delay(random);
            lock.lock.lock();
        }
        if (w.options.wedge_after != 0 && s.started > w.options.wedge_after) s.is_wedged = true;
        if (s.is_wedged) {
            s.work.wait(lock.lock, [&] { return w.is_abandoned || !s.is_wedged; });
            if (w.is_abandoned) return;
        }
        s.is_running = true;
        ++w.running;
        join(s.clock, item.host);
        for (const SignalPtr& signal : item.waits) join(s.clock, signal->clock);
        run_item(w, s, item, lock);
        --w.running;
        s.is_running = false;
        item.finished->is_done = true;
        item.finished->nanoseconds = now();
        item.finished->clock = s.clock;
        w.done.notify_all();
    }
}

}  // namespace

StreamPtr create_stream(World& w, const ContextPtr& context, unsigned flags, int priority) {
    auto stream = std::make_shared<Stream>();
    stream->handle = new_handle();
    stream->world = &w;
    stream->context = context;
    stream->is_blocking = (flags & CU_STREAM_NON_BLOCKING) == 0;
    stream->priority = priority;
    stream->actor = new_actor(w.hazards, "stream " + std::to_string(stream->handle / 16) + " of device " +
                                            std::to_string(context->device));
    context->streams.push_back(stream);
    std::thread([&w, stream] {
        const Quiet quiet;
        run_stream(w, stream);
    }).detach();
    return stream;
}

void close_stream(Stream& stream) {
    stream.is_closing = true;
    stream.work.notify_all();
}

void demand(World& w, const Signal& signal) {
    if (w.options.timing != Timing::lazy || signal.is_done) return;
    const StreamPtr stream = signal.stream.lock();
    if (stream == nullptr || stream->demanded >= signal.sequence) return;
    stream->demanded = signal.sequence;
    stream->work.notify_all();
}

void demand_all(World& w) {
    if (w.options.timing != Timing::lazy) return;
    for (const auto& [handle, context] : w.contexts.items) {
        for (const StreamPtr& stream : context->streams) {
            stream->demanded = stream->enqueued;
            stream->work.notify_all();
        }
    }
}

// The signal is held here: a stream's last one may be replaced, and go, while the lock is free.
void wait_for(World& w, Lock& lock, SignalPtr signal) {
    if (signal == nullptr) return;
    wait_done(w, lock, *signal);
    join(w.hazards.host, signal->clock);
    edge_to(signal.get());
}

void set_fault(World& w, Context& context, CUresult code, const std::string& text) {
    std::fprintf(stderr, "cuda_on_cpu: fault on device %d: %s\n", context.device, text.c_str());
    if (w.fault.empty()) w.fault = text;
    if (context.sticky == CUDA_SUCCESS) context.sticky = code;
    context.stop = true;
}

SignalPtr enqueue(World& w, const StreamPtr& stream, Item item) {
    item.finished = std::make_shared<Signal>();
    item.finished->stream = stream;
    item.finished->sequence = ++stream->enqueued;
    item.host = tick_host(w.hazards);
    Context& context = *stream->context;
    // The legacy stream and blocking streams wait for each other.
    if (stream == context.legacy) {
        for (const StreamPtr& other : context.streams) {
            if (other != stream && other->is_blocking && other->tail != nullptr) item.waits.push_back(other->tail);
        }
    } else if (stream->is_blocking && context.legacy != nullptr && context.legacy->tail != nullptr) {
        item.waits.push_back(context.legacy->tail);
    }
    stream->tail = item.finished;
    edge_from(item.finished.get());
    stream->queue.push_back(std::move(item));
    stream->work.notify_all();
    return stream->tail;
}

CUresult submit(World& w, const StreamPtr& stream, Work work, SignalPtr* finished) {
    if (stream->capture != nullptr) {
        Capture& capture = *stream->capture;
        if (capture.is_invalid) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
        Node node;
        node.handle = new_handle();
        node.work = std::move(work);
        node.after = stream->captured_after;
        stream->captured_after = {capture.graph->nodes.size()};
        capture.graph->nodes.push_back(std::move(node));
        return CUDA_SUCCESS;
    }
    Item item;
    item.work = std::move(work);
    const SignalPtr signal = enqueue(w, stream, std::move(item));
    if (finished != nullptr) *finished = signal;
    return CUDA_SUCCESS;
}

}  // namespace cuda_on_cpu::driver
