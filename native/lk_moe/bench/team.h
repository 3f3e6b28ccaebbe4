// Pinned threads that start a piece of work together. The time is the processor time of the slowest of them: waiting
// for memory counts, as it must, and being put aside for somebody else's process does not.
#pragma once
#include <pthread.h>
#include <sched.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <barrier>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

namespace lk::bench {

class Team {
public:
    explicit Team(int size) : size_(size), start_(size + 1), end_(size + 1), seconds_(static_cast<std::size_t>(size)) {
        cpu_set_t allowed;
        sched_getaffinity(0, sizeof allowed, &allowed);
        std::vector<int> cpus;
        for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
            if (CPU_ISSET(cpu, &allowed)) cpus.push_back(cpu);
        }
        for (int i = 0; i < size; ++i) {
            threads_.emplace_back([this, i, cpu = cpus[static_cast<std::size_t>(i) % cpus.size()]] {
                cpu_set_t one;
                CPU_ZERO(&one);
                CPU_SET(cpu, &one);
                pthread_setaffinity_np(pthread_self(), sizeof one, &one);
                for (;;) {
                    start_.arrive_and_wait();
                    if (stop_) return;
                    const double begin = processor_seconds();
                    (*work_)(i);
                    seconds_[static_cast<std::size_t>(i)] = processor_seconds() - begin;
                    end_.arrive_and_wait();
                }
            });
        }
    }
    ~Team() {
        stop_ = true;
        start_.arrive_and_wait();
        for (auto& thread : threads_) thread.join();
    }

    int size() const { return size_; }

    // Calls work(thread) on every thread; returns the seconds of the slowest.
    double run(const std::function<void(int)>& work) {
        work_ = &work;
        start_.arrive_and_wait();
        end_.arrive_and_wait();
        return *std::max_element(seconds_.begin(), seconds_.end());
    }

private:
    static double processor_seconds() {
        timespec now;
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
        return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
    }

    int size_;
    std::barrier<> start_, end_;
    std::vector<double> seconds_;
    std::atomic<bool> stop_ = false;
    const std::function<void(int)>* work_ = nullptr;
    std::vector<std::thread> threads_;
};

}  // namespace lk::bench
