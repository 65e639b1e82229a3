// What scoring on many processes costs the coordinator: a crew of any size whose workers answer at once, and the study's commits.
// docs/design/0009-scale-out.md computes with the figures.   usage: scale_out_bench [FOLDER for the study, default .]
#include <cstdio>
#include <deque>
#include <filesystem>
#include <string>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "kvt/base/stopwatch.h"
#include "kvt/tuner/spread.h"
#include "kvt/tuner/study_store.h"

namespace kvt {
namespace {

constexpr int kLayers = 32, kChunks = 64, kPlans = 20000;

// Answers every plan as soon as it is sent.
class EchoCrew final : public Crew {
public:
    explicit EchoCrew(int size) : size_(size) {
        for (int rank = 1; rank < size; ++rank) in_.push_back({rank, "{\"kind\": \"ready\"}"});
    }
    int  rank() const override { return 0; }
    int  size() const override { return size_; }
    void send(int to, const std::string & bytes) override {
        const auto          job = nlohmann::json::parse(bytes)["job"].get<int64_t>();
        std::vector<double> clipped(kChunks, 0.012345678901234567);
        nlohmann::json      score{{"kind", "scored"},
                             {"job", job},
                             {"kld", 0.0123456789012345},
                             {"ci_low", 0.0112345678901234},
                             {"ci_high", 0.01345678901234567},
                             {"clipped", clipped},
                             {"seconds", 5.43210987654321},
                             {"worker", "node-0123:1234567"}};
        const std::string   text = score.dump();
        sent += bytes.size();
        received += text.size();
        in_.push_back({to, text});
    }
    std::optional<Message> receive(double) override {
        if (in_.empty()) return std::nullopt;
        Message first = std::move(in_.front());
        in_.pop_front();
        return first;
    }
    double silence(int) const override { return 0; }
    size_t sent = 0, received = 0;

private:
    int                 size_;
    std::deque<Message> in_;
};

class Refuses final : public Objective {
public:
    Result<ObjectiveScore> score(const PrecisionPlan &) override { return Error{"the coordinator has workers"}; }
};

Study example_study() {
    Study s;
    s.model         = {"Meta-Llama-3.1-8B", "llama", std::string(64, 'a'), kLayers, 8, 128, 128};
    s.method        = kKnapsack;
    s.data_sha256   = std::string(64, 'b');
    s.chunk_tokens  = 512;
    s.n_chunks      = kChunks;
    s.inputs_sha256 = std::string(64, 'c');
    return s;
}

std::vector<PairBits> pairs_number(int i) {
    std::vector<PairBits> pairs(kLayers, {4, 4});
    for (size_t l = 0; i != 0; i /= 6, ++l) pairs[l].k = kCodeWidths[static_cast<size_t>(i % 6)];
    return pairs;
}

// The echo's own time is small beside it and counted in.
int measure_coordinator() {
    std::vector<PrecisionPlan> plans;
    for (int i = 0; i < kPlans; ++i) plans.push_back(plan_of(example_study(), pairs_number(i)));
    for (const int workers : {1, 10, 100, 1000}) {
        EchoCrew        crew(workers + 1);
        Refuses         own;
        SpreadObjective spread(crew, own);
        const Stopwatch watch;
        const Status    done = spread.score_all(plans, ok_status, [](size_t, const ObjectiveScore &) { return ok_status(); });
        if (!done.ok()) {
            fmt::print(stderr, "scale_out_bench: {}\n", done.error().message);
            return 1;
        }
        fmt::print("{:5} workers: {:6.1f} us of the coordinator a plan; {} bytes out, {} bytes in a plan\n", workers,
                   1e6 * watch.seconds() / kPlans, crew.sent / kPlans, crew.received / kPlans);
    }
    return 0;
}

int measure_commits(const std::string & folder) {
    const std::string path  = folder + "/scale_out_bench.sqlite";
    Study             study = example_study();
    auto              store = StudyStore::create(path, study);
    if (!store.ok()) {
        fmt::print(stderr, "scale_out_bench: {}\n", store.error().message);
        return 1;
    }
    constexpr int   kCommits = 300;
    const Stopwatch watch;
    for (int i = 0; i < kCommits; ++i) {
        Evaluation e;
        e.pairs   = pairs_number(i);
        e.kld     = 0.0123456789012345;
        e.clipped = std::vector<double>(kChunks, 0.012345678901234567);
        study.evaluations.push_back(std::move(e));
        if (const Status done = store->save(study); !done.ok()) {
            fmt::print(stderr, "scale_out_bench: {}\n", done.error().message);
            return 1;
        }
    }
    fmt::print("study: {:.2f} ms a synchronous commit, ", 1e3 * watch.seconds() / kCommits);
    { const StudyStore closed = std::move(*store); }
    fmt::print("{} bytes of file a plan\n", std::filesystem::file_size(path) / kCommits);
    std::filesystem::remove(path);
    return 0;
}

}  // namespace
}  // namespace kvt

int main(int argc, char ** argv) {
    const int failed = kvt::measure_coordinator();
    return failed != 0 ? failed : kvt::measure_commits(argc > 1 ? argv[1] : ".");
}
