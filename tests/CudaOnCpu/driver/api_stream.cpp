// Streams, events and captures.
#include <algorithm>

#include "api.h"

namespace cuda_on_cpu::driver {

CUresult refuse_in_capture(World& w) {
    bool is_refused = false;
    for (const CapturePtr& capture : w.captures) {
        const bool is_own = capture->thread == std::this_thread::get_id();
        if (capture->mode == CU_STREAM_CAPTURE_MODE_RELAXED) continue;
        if (capture->mode == CU_STREAM_CAPTURE_MODE_THREAD_LOCAL && !is_own) continue;
        capture->is_invalid = true;
        is_refused = true;
    }
    return is_refused ? CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED : CUDA_SUCCESS;
}

namespace {

CUresult find_event(World& w, CUevent handle, EventPtr& event) {
    event = w.events.find(handle);
    if (event == nullptr) return CUDA_ERROR_INVALID_HANDLE;
    return event->context->sticky;
}

// A wait between captured streams becomes an edge; it draws the waiting stream into the capture.
CUresult wait_captured(Stream& stream, const StreamPtr& shared, const Event& event) {
    const CapturePtr& capture = event.capture;
    if (capture->graph->handle != 0) return CUDA_ERROR_CAPTURED_EVENT;
    if (stream.capture != nullptr && stream.capture != capture) {
        stream.capture->is_invalid = capture->is_invalid = true;
        return CUDA_ERROR_STREAM_CAPTURE_MERGE;
    }
    if (capture->is_invalid) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
    if (stream.capture == nullptr) {
        stream.capture = capture;
        stream.captured_after.clear();
        capture->streams.push_back(shared);
    }
    for (const std::size_t node : event.captured_after) {
        if (std::find(stream.captured_after.begin(), stream.captured_after.end(), node) == stream.captured_after.end()) {
            stream.captured_after.push_back(node);
        }
    }
    return CUDA_SUCCESS;
}

// A stream that is captured has nothing to wait for or to ask.
CUresult refuse_captured(Stream& stream) {
    if (stream.capture == nullptr) return CUDA_SUCCESS;
    stream.capture->is_invalid = true;
    return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
}

}  // namespace

}  // namespace cuda_on_cpu::driver

using namespace cuda_on_cpu::driver;

CUresult cuStreamCreateWithPriority(CUstream* result, unsigned flags, int priority) {
    return with_context([&](World& w, Lock&, const ContextPtr& context) {
        if (result == nullptr || flags > CU_STREAM_NON_BLOCKING) return CUDA_ERROR_INVALID_VALUE;
        const StreamPtr stream = create_stream(w, context, flags, priority);
        w.streams.add(stream);
        *result = reinterpret_cast<CUstream>(stream->handle);
        return CUDA_SUCCESS;
    });
}

CUresult cuStreamDestroy_v2(CUstream handle) {
    return with_driver([&](World& w, Lock&) {
        const StreamPtr stream = w.streams.find(handle);
        if (stream == nullptr) return CUDA_ERROR_INVALID_HANDLE;
        if (stream->capture != nullptr) stream->capture->is_invalid = true;
        w.streams.remove(handle);
        std::erase(stream->context->streams, stream);
        close_stream(*stream);
        return stream->context->sticky;
    });
}

CUresult cuStreamSynchronize(CUstream handle) {
    return with_driver([&](World& w, Lock& lock) -> CUresult {
        StreamPtr stream;
        if (const CUresult result = find_stream(w, handle, stream); result != CUDA_SUCCESS) return result;
        if (const CUresult refused = refuse_captured(*stream); refused != CUDA_SUCCESS) return refused;
        if (const CUresult refused = refuse_in_capture(w); refused != CUDA_SUCCESS) return refused;
        wait_for(w, lock, stream->tail);
        if (!w.options.is_stub && stream->context->sticky == CUDA_SUCCESS) {
            if (const std::string broken = broken_canaries(w); !broken.empty()) {
                set_fault(w, *stream->context, CUDA_ERROR_ILLEGAL_ADDRESS, broken);
            }
        }
        return stream->context->sticky;
    });
}

CUresult cuStreamQuery(CUstream handle) {
    return with_driver([&](World& w, Lock& lock) -> CUresult {
        StreamPtr stream;
        if (const CUresult result = find_stream(w, handle, stream); result != CUDA_SUCCESS) return result;
        if (const CUresult refused = refuse_captured(*stream); refused != CUDA_SUCCESS) return refused;
        if (const CUresult refused = refuse_in_capture(w); refused != CUDA_SUCCESS) return refused;
        if (stream->tail == nullptr) return CUDA_SUCCESS;
        demand(w, *stream->tail);
        if (!stream->tail->is_done) return CUDA_ERROR_NOT_READY;
        wait_for(w, lock, stream->tail);
        return stream->context->sticky;
    });
}

CUresult cuStreamWaitEvent(CUstream handle, CUevent event_handle, unsigned flags) {
    return with_driver([&](World& w, Lock&) -> CUresult {
        StreamPtr stream;
        EventPtr event;
        if (const CUresult result = find_stream(w, handle, stream); result != CUDA_SUCCESS) return result;
        if (const CUresult result = find_event(w, event_handle, event); result != CUDA_SUCCESS) return result;
        if (flags != 0) return CUDA_ERROR_INVALID_VALUE;
        if (event->capture != nullptr) return wait_captured(*stream, stream, *event);
        if (event->record == nullptr || w.options.ignores_waits) return CUDA_SUCCESS;
        if (stream->capture != nullptr) {
            stream->capture->is_invalid = true;
            return CUDA_ERROR_STREAM_CAPTURE_ISOLATION;
        }
        Item item;
        item.work.context = stream->context;
        item.waits.push_back(event->record);
        enqueue(w, stream, std::move(item));
        return CUDA_SUCCESS;
    });
}

CUresult cuStreamBeginCapture_v2(CUstream handle, CUstreamCaptureMode mode) {
    return with_driver([&](World& w, Lock&) -> CUresult {
        StreamPtr stream;
        if (const CUresult result = find_stream(w, handle, stream); result != CUDA_SUCCESS) return result;
        if (mode < CU_STREAM_CAPTURE_MODE_GLOBAL || mode > CU_STREAM_CAPTURE_MODE_RELAXED) return CUDA_ERROR_INVALID_VALUE;
        if (stream->capture != nullptr) return CUDA_ERROR_ILLEGAL_STATE;
        const auto capture = std::make_shared<Capture>();
        capture->origin = stream->handle;
        capture->mode = mode;
        capture->thread = std::this_thread::get_id();
        capture->streams.push_back(stream);
        stream->capture = capture;
        stream->captured_after.clear();
        w.captures.push_back(capture);
        return CUDA_SUCCESS;
    });
}

CUresult cuStreamEndCapture(CUstream handle, CUgraph* graph) {
    return with_driver([&](World& w, Lock&) -> CUresult {
        StreamPtr stream;
        if (graph == nullptr) return CUDA_ERROR_INVALID_VALUE;
        *graph = nullptr;
        if (const CUresult result = find_stream(w, handle, stream); result != CUDA_SUCCESS) return result;
        GraphPtr captured;
        const CUresult result = end_capture(w, stream, captured);
        if (result == CUDA_SUCCESS) *graph = reinterpret_cast<CUgraph>(captured->handle);
        return result;
    });
}

CUresult cuStreamIsCapturing(CUstream handle, CUstreamCaptureStatus* status) {
    return with_driver([&](World& w, Lock&) -> CUresult {
        StreamPtr stream;
        if (const CUresult result = find_stream(w, handle, stream); result != CUDA_SUCCESS) return result;
        if (status == nullptr) return CUDA_ERROR_INVALID_VALUE;
        *status = stream->capture == nullptr      ? CU_STREAM_CAPTURE_STATUS_NONE
                  : stream->capture->is_invalid ? CU_STREAM_CAPTURE_STATUS_INVALIDATED
                                                : CU_STREAM_CAPTURE_STATUS_ACTIVE;
        return CUDA_SUCCESS;
    });
}

CUresult cuEventCreate(CUevent* result, unsigned flags) {
    return with_context([&](World& w, Lock&, const ContextPtr& context) {
        if (result == nullptr || flags > 7) return CUDA_ERROR_INVALID_VALUE;
        const auto event = std::make_shared<Event>();
        event->handle = new_handle();
        event->context = context;
        event->flags = flags;
        w.events.add(event);
        *result = reinterpret_cast<CUevent>(event->handle);
        return CUDA_SUCCESS;
    });
}

CUresult cuEventRecord(CUevent handle, CUstream stream_handle) {
    return with_driver([&](World& w, Lock&) -> CUresult {
        StreamPtr stream;
        EventPtr event;
        if (const CUresult result = find_stream(w, stream_handle, stream); result != CUDA_SUCCESS) return result;
        if (const CUresult result = find_event(w, handle, event); result != CUDA_SUCCESS) return result;
        if (event->context != stream->context) return CUDA_ERROR_INVALID_HANDLE;
        if (stream->capture != nullptr) {
            if (stream->capture->is_invalid) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
            event->capture = stream->capture;
            event->captured_after = stream->captured_after;
            return CUDA_SUCCESS;
        }
        event->capture = nullptr;
        Item item;
        item.work.context = stream->context;
        event->record = enqueue(w, stream, std::move(item));
        return CUDA_SUCCESS;
    });
}

CUresult cuEventQuery(CUevent handle) {
    return with_driver([&](World& w, Lock& lock) -> CUresult {
        EventPtr event;
        if (const CUresult result = find_event(w, handle, event); result != CUDA_SUCCESS) return result;
        if (event->capture != nullptr) return CUDA_ERROR_CAPTURED_EVENT;
        if (const CUresult refused = refuse_in_capture(w); refused != CUDA_SUCCESS) return refused;
        if (event->record == nullptr) return CUDA_SUCCESS;
        demand(w, *event->record);
        if (!event->record->is_done) return CUDA_ERROR_NOT_READY;
        wait_for(w, lock, event->record);
        return event->context->sticky;
    });
}

CUresult cuEventSynchronize(CUevent handle) {
    return with_driver([&](World& w, Lock& lock) -> CUresult {
        EventPtr event;
        if (const CUresult result = find_event(w, handle, event); result != CUDA_SUCCESS) return result;
        if (event->capture != nullptr) return CUDA_ERROR_CAPTURED_EVENT;
        if (const CUresult refused = refuse_in_capture(w); refused != CUDA_SUCCESS) return refused;
        wait_for(w, lock, SignalPtr(event->record));
        return event->context->sticky;
    });
}

CUresult cuEventElapsedTime(float* milliseconds, CUevent start_handle, CUevent end_handle) {
    return with_driver([&](World& w, Lock&) -> CUresult {
        EventPtr start, end;
        if (milliseconds == nullptr) return CUDA_ERROR_INVALID_VALUE;
        if (const CUresult result = find_event(w, start_handle, start); result != CUDA_SUCCESS) return result;
        if (const CUresult result = find_event(w, end_handle, end); result != CUDA_SUCCESS) return result;
        if (start->capture != nullptr || end->capture != nullptr) return CUDA_ERROR_CAPTURED_EVENT;
        if (start->context != end->context || start->record == nullptr || end->record == nullptr ||
            ((start->flags | end->flags) & CU_EVENT_DISABLE_TIMING) != 0) {
            return CUDA_ERROR_INVALID_HANDLE;
        }
        if (!start->record->is_done || !end->record->is_done) return CUDA_ERROR_NOT_READY;
        *milliseconds = static_cast<float>(end->record->nanoseconds - start->record->nanoseconds) * 1e-6f;
        return CUDA_SUCCESS;
    });
}

CUresult cuEventDestroy_v2(CUevent handle) {
    return with_driver([&](World& w, Lock&) {
        const EventPtr event = w.events.find(handle);
        if (event == nullptr) return CUDA_ERROR_INVALID_HANDLE;
        w.events.remove(handle);
        return event->context->sticky;
    });
}
