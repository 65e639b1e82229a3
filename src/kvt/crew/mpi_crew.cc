#include "kvt/crew/mpi_crew.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <mutex>
#include <thread>
#include <vector>

#include <dlfcn.h>

#include <fmt/format.h>

#include "kvt/base/stopwatch.h"
#include "kvt/base/this_process.h"
#include "kvt/crew/mpi_shim.h"

namespace kvt {

namespace {

constexpr auto   kPoll         = std::chrono::milliseconds(2);  // an evaluation takes seconds
constexpr double kLifeSeconds  = 5;                             // between signs of life
constexpr double kLeaveSeconds = 10;                            // for the others to leave too

// One thread makes all calls of MPI, so that a process gives signs of life while it computes. The state is shared with that
// thread, which may outlive the crew where MPI waits for a process that was lost.
struct Shared {
    std::mutex                mutex;
    std::condition_variable   changed;
    std::deque<Crew::Message> in, out;  // out: `from` is the receiver
    std::vector<double>       heard;    // [size] seconds_now()
    std::string               error;
    int                       rank = 0, size = 0;
    bool                      started = false, leaving = false, left = false;
};

double silence_of(Shared & s, int rank) {
    const std::lock_guard lock(s.mutex);
    return seconds_now() - s.heard[static_cast<size_t>(rank)];
}

// Coordinator and workers hear of each other; workers need not know of other workers.
std::vector<int> peers_of(int rank, int size) {
    if (rank != 0) return {0};
    std::vector<int> workers;
    for (int r = 1; r < size; ++r) workers.push_back(r);
    return workers;
}

bool start(const kvt_mpi & mpi, Shared & s) {
    char                  error[256] = {};
    int                   rank = 0, size = 0;
    const bool            good = mpi.init(&rank, &size, error, sizeof error) == 0;
    const std::lock_guard lock(s.mutex);
    s.rank    = rank;
    s.size    = size;
    s.error   = good ? "" : error;
    s.started = true;
    s.heard.assign(static_cast<size_t>(size), seconds_now());
    s.changed.notify_all();
    return good;
}

void take_incoming(const kvt_mpi & mpi, Shared & s) {
    int from = 0;
    for (long n; (n = mpi.probe(&from)) >= 0;) {
        std::string bytes(static_cast<size_t>(n), '\0');
        if (mpi.receive(from, bytes.data(), bytes.size()) != 0) continue;
        const std::lock_guard lock(s.mutex);
        s.heard[static_cast<size_t>(from)] = seconds_now();
        if (bytes.empty()) continue;  // a sign of life
        s.in.push_back({from, std::move(bytes)});
        s.changed.notify_all();
    }
}

void run(const kvt_mpi & mpi, const std::shared_ptr<Shared> & s) {
    if (!start(mpi, *s)) return;
    const std::vector<int> peers = peers_of(s->rank, s->size);
    Stopwatch              life;
    for (bool leaving = false; !leaving;) {
        std::deque<Crew::Message> out;
        {
            std::unique_lock lock(s->mutex);
            s->changed.wait_for(lock, kPoll, [&] { return !s->out.empty() || s->leaving; });
            out.swap(s->out);
            leaving = s->leaving;
        }
        for (const Crew::Message & m : out) mpi.send(m.from, m.bytes.data(), m.bytes.size());
        if (life.seconds() > kLifeSeconds) {
            for (const int peer : peers) {
                // What is sent to a dead process is never taken, and would pile up.
                if (silence_of(*s, peer) < 2 * kLostSeconds) mpi.send(peer, "", 0);
            }
            life.restart();
        }
        take_incoming(mpi, *s);
    }
    for (const Stopwatch watch; mpi.unsent() > 0 && watch.seconds() < 1;) {
        take_incoming(mpi, *s);
        std::this_thread::sleep_for(kPoll);
    }
    mpi.finalize();
    const std::lock_guard lock(s->mutex);
    s->left = true;
    s->changed.notify_all();
}

class MpiCrew final : public Crew {
public:
    MpiCrew(std::shared_ptr<Shared> shared, std::thread thread) : s_(std::move(shared)), thread_(std::move(thread)) {}

    ~MpiCrew() override {
        std::unique_lock lock(s_->mutex);
        s_->leaving = true;
        s_->changed.notify_all();
        const bool left = s_->changed.wait_for(lock, std::chrono::duration<double>(kLeaveSeconds), [&] { return s_->left; });
        lock.unlock();
        if (left) {
            thread_.join();
        } else {
            thread_.detach();  // MPI waits for a process that was lost; the work is done
        }
    }

    int rank() const override { return s_->rank; }
    int size() const override { return s_->size; }

    void send(int to, const std::string & bytes) override {
        const std::lock_guard lock(s_->mutex);
        s_->out.push_back({to, bytes});
        s_->changed.notify_all();
    }

    std::optional<Message> receive(double seconds) override {
        std::unique_lock lock(s_->mutex);
        if (!s_->changed.wait_for(lock, std::chrono::duration<double>(seconds), [&] { return !s_->in.empty(); }))
            return std::nullopt;
        Message first = std::move(s_->in.front());
        s_->in.pop_front();
        return first;
    }

    double silence(int rank) const override { return silence_of(*s_, rank); }

private:
    std::shared_ptr<Shared> s_;
    std::thread             thread_;
};

bool started_by_mpirun() {
    const char * size = std::getenv("OMPI_COMM_WORLD_SIZE");
    return size != nullptr && std::atoi(size) > 1;
}

Result<std::string> find_library() {
    namespace fs = std::filesystem;
    std::error_code error;
    KVT_TRY(const fs::path folder, program_folder());
    for (const fs::path & place : {folder, folder / ".." / "lib" / "kvtuner"}) {
        const fs::path file = (place / "libkvtuner-mpi.so").lexically_normal();
        if (fs::is_regular_file(file, error)) return file.string();
    }
    return Error{
        fmt::format("mpirun started this process, but libkvtuner-mpi.so is not beside it in {}: install Open MPI "
                    "(scripts/deps.sh) and build again, or run kvtuner without mpirun",
                    folder.string())};
}

}  // namespace

Result<std::unique_ptr<Crew>> join_mpi_crew() {
    if (!started_by_mpirun()) return std::unique_ptr<Crew>{};
    KVT_TRY(const std::string library, find_library());
    // Open MPI loads parts of itself that look for its symbols among the global ones.
    void * loaded = ::dlopen(library.c_str(), RTLD_NOW | RTLD_GLOBAL);
    if (loaded == nullptr) return Error{fmt::format("the library for mpirun cannot be loaded: {}", ::dlerror())};
    const auto entry = reinterpret_cast<kvt_mpi_entry_fn>(::dlsym(loaded, "kvt_mpi_entry"));
    if (entry == nullptr) return Error{fmt::format("{} is not kvtuner's library for MPI", library)};
    auto             shared = std::make_shared<Shared>();
    std::thread      thread([mpi = entry(), shared] { run(*mpi, shared); });
    std::unique_lock lock(shared->mutex);
    shared->changed.wait(lock, [&] { return shared->started; });
    const std::string error = shared->error;
    lock.unlock();
    if (!error.empty()) {
        thread.join();
        return Error{error};
    }
    return std::unique_ptr<Crew>(std::make_unique<MpiCrew>(std::move(shared), std::move(thread)));
}

}  // namespace kvt
