// Pinned threads that start a piece of work together; the time is from just before the common start to the last end.
#pragma once
#include <pthread.h>
#include <sched.h>

#include <atomic>
#include <barrier>
#include <chrono>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

namespace lk::bench {

class Team {
public:
    explicit Team(int size) : size_(size), start_(size + 1), end_(size + 1) {
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
                    (*work_)(i);
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

    // Calls work(thread) on every thread; returns the seconds that it took.
    double run(const std::function<void(int)>& work) {
        work_ = &work;
        // Before the start: this thread may have to wait for a processor that a worker of the team already uses.
        const auto begin = std::chrono::steady_clock::now();
        start_.arrive_and_wait();
        end_.arrive_and_wait();
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    }

private:
    int size_;
    std::barrier<> start_, end_;
    std::atomic<bool> stop_ = false;
    const std::function<void(int)>* work_ = nullptr;
    std::vector<std::thread> threads_;
};

}  // namespace lk::bench
