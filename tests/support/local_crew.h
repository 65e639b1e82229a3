// Crews inside one process: every rank is a thread, and a test can silence one.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "kvt/crew/crew.h"

namespace kvt::testing {

// --- Interface ---

// What the ranks share. A rank that is silent has stopped: nothing comes from it any more, and its silence is long.
struct CrewOffice {
    explicit CrewOffice(int size) : in(static_cast<size_t>(size)), silent(static_cast<size_t>(size)) {}

    std::mutex                             mutex;
    std::condition_variable                changed;
    std::vector<std::deque<Crew::Message>> in;  // by receiver
    std::vector<std::atomic<bool>>         silent;
    std::vector<std::string>               log;  // all messages sent, "0>2 {...}"
};

class LocalCrew final : public Crew {
public:
    LocalCrew(CrewOffice & office, int rank) : office_(office), rank_(rank) {}

    int  rank() const override { return rank_; }
    int  size() const override { return static_cast<int>(office_.in.size()); }
    void send(int to, const std::string & bytes) override {
        const std::lock_guard lock(office_.mutex);
        if (office_.silent[static_cast<size_t>(rank_)]) return;
        office_.log.push_back(std::to_string(rank_) + ">" + std::to_string(to) + " " + bytes);
        office_.in[static_cast<size_t>(to)].push_back({rank_, bytes});
        office_.changed.notify_all();
    }
    std::optional<Message> receive(double seconds) override {
        auto &           in = office_.in[static_cast<size_t>(rank_)];
        std::unique_lock lock(office_.mutex);
        if (!office_.changed.wait_for(lock, std::chrono::duration<double>(seconds), [&] { return !in.empty(); }))
            return std::nullopt;
        Message first = std::move(in.front());
        in.pop_front();
        return first;
    }
    double silence(int rank) const override { return office_.silent[static_cast<size_t>(rank)] ? 1e9 : 0.0; }

private:
    CrewOffice & office_;
    int          rank_;
};

}  // namespace kvt::testing
