// ThreadSanitizer shall see what CUDA's model orders, and nothing else: not the locks, queues and counts with which this
// library does it. So the library's own code runs unseen (Quiet), what an operation does to memory runs seen (Seen), and
// each edge of the model is drawn by hand (edge_from, edge_to).
#pragma once

#if defined(__SANITIZE_THREAD__)
#define CUDA_ON_CPU_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define CUDA_ON_CPU_TSAN 1
#endif
#endif

#ifdef CUDA_ON_CPU_TSAN
extern "C" {
void AnnotateIgnoreReadsBegin(const char* file, int line);
void AnnotateIgnoreReadsEnd(const char* file, int line);
void AnnotateIgnoreWritesBegin(const char* file, int line);
void AnnotateIgnoreWritesEnd(const char* file, int line);
void AnnotateIgnoreSyncBegin(const char* file, int line);
void AnnotateIgnoreSyncEnd(const char* file, int line);
void __tsan_acquire(void* at);
void __tsan_release(void* at);
}
#endif

namespace cuda_on_cpu::driver {

#ifdef CUDA_ON_CPU_TSAN
inline thread_local int quiet_depth = 0;

inline void tsan_ignore(bool begin) {
    if (begin) {
        AnnotateIgnoreSyncBegin(__FILE__, __LINE__);
        AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
        AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
    } else {
        AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
        AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
        AnnotateIgnoreSyncEnd(__FILE__, __LINE__);
    }
}

struct Quiet {
    Quiet() {
        if (quiet_depth++ == 0) tsan_ignore(true);
    }
    ~Quiet() {
        if (--quiet_depth == 0) tsan_ignore(false);
    }
    Quiet(const Quiet&) = delete;
};

struct Seen {
    int depth = quiet_depth;
    Seen() {
        if (depth != 0) tsan_ignore(false);
        quiet_depth = 0;
    }
    ~Seen() {
        if (depth != 0) tsan_ignore(true);
        quiet_depth = depth;
    }
    Seen(const Seen&) = delete;
};

// What this thread has done until now happens before what follows edge_to of the same thing.
inline void edge_from(const void* what) {
    const Seen seen;
    __tsan_release(const_cast<void*>(what));
}
inline void edge_to(const void* what) {
    const Seen seen;
    __tsan_acquire(const_cast<void*>(what));
}
#else
struct Quiet {
    Quiet() {}
};
struct Seen {
    Seen() {}
};
inline void edge_from(const void*) {}
inline void edge_to(const void*) {}
#endif

}  // namespace cuda_on_cpu::driver
