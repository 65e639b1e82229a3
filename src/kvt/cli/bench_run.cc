#include "kvt/cli/bench_run.h"

#include <algorithm>
#include <memory>

#include <fmt/format.h>

#include "kvt/base/rng.h"
#include "kvt/base/stats.h"

namespace kvt::cli {

namespace {

constexpr uint64_t kTokenSeed = 1;

// Random tokens, as llama-bench uses: speed does not depend on which they are.
std::vector<Token> random_tokens(const ModelRunner & runner, size_t n) {
    SplitMix64         rng(kTokenSeed);
    std::vector<Token> tokens;
    for (size_t i = 0; i < n; ++i) tokens.push_back(static_cast<Token>(rng.below(static_cast<uint64_t>(runner.n_vocab()))));
    return tokens;
}

struct Sample {
    double prefill = 0, generation = 0;  // tokens per second
};

class Bench {
public:
    Bench(const std::vector<Token> & tokens, const std::function<double()> & seconds) : tokens_(tokens), seconds_(seconds) {}

    Result<Sample> measure(Session & session, int depth) const {
        // What an earlier measurement left in front of this depth is the same tokens: at 64k filling again would take hours.
        if (!session.rewind(std::min(session.position(), depth))) session.clear();
        KVT_CHECK_OK(feed(session, depth - session.position(), kBenchPrefillTokens));
        Sample       sample;
        const double generation_start = seconds_();
        for (int i = 0; i < kBenchGenerateTokens; ++i) KVT_CHECK_OK(feed(session, 1, 1));
        sample.generation = kBenchGenerateTokens / (seconds_() - generation_start);

        if (depth == 0 && !session.rewind(0)) session.clear();
        const double prefill_start = seconds_();
        KVT_CHECK_OK(feed(session, kBenchPrefillTokens, kBenchPrefillTokens));
        sample.prefill = kBenchPrefillTokens / (seconds_() - prefill_start);
        return sample;
    }

private:
    // Appends n tokens in calls of `at_most`, so that Ctrl-C is seen soon; logits of the last one only, as in use.
    Status feed(Session & session, int n, int at_most) const {
        for (int fed = 0; fed < n;) {
            if (interrupted()) return Error{"interrupted"};
            const int  now  = std::min(at_most, n - fed);
            const int  at   = session.position();
            const auto part = std::span<const Token>(tokens_).subspan(static_cast<size_t>(at), static_cast<size_t>(now));
            KVT_CHECK_OK(session.decode(part, at + now - 1, [](int, std::span<const float>) {}));
            fed += now;
        }
        return ok_status();
    }

    const std::vector<Token> &      tokens_;
    const std::function<double()> & seconds_;
};

}  // namespace

Speed summarize(const std::vector<double> & samples, const std::vector<double> & reference) {
    std::vector<double> sorted = samples, ratios;
    for (size_t i = 0; i < samples.size(); ++i) ratios.push_back(samples[i] / reference[i]);
    std::sort(sorted.begin(), sorted.end());
    std::sort(ratios.begin(), ratios.end());
    return {percentile_sorted(sorted, 0.5), sorted.front(), sorted.back(), percentile_sorted(ratios, 0.5)};
}

Result<std::vector<BenchRow>> run_bench(ModelRunner & runner, const std::vector<BenchSubject> & subjects,
                                        const BenchOptions & options, Progress & progress,
                                        const std::function<double()> & seconds) {
    const int deepest = *std::max_element(options.depths.begin(), options.depths.end());
    const int n_ctx   = deepest + kBenchGenerateTokens + kBenchPrefillTokens;

    std::vector<std::unique_ptr<Session>> sessions;
    for (const BenchSubject & subject : subjects) {
        SessionOptions session;
        session.plan      = subject.plan;
        session.n_ctx     = n_ctx;
        session.n_threads = options.n_threads;
        auto opened       = runner.open(session);
        if (!opened.ok()) return Error{fmt::format("{}: {}", subject.label, opened.error().message)};
        sessions.push_back(std::move(opened).value());
    }

    const std::vector<Token> tokens = random_tokens(runner, static_cast<size_t>(n_ctx));
    const Bench              bench(tokens, seconds);
    std::vector<BenchRow>    rows;
    progress.begin("bench", static_cast<int64_t>(options.depths.size() * subjects.size()) * (options.repetitions + 1));
    for (const int depth : options.depths) {
        std::vector<std::vector<double>> prefill(subjects.size()), generation(subjects.size());  // [subjects][repetitions]
        for (int repetition = -1; repetition < options.repetitions; ++repetition) {              // -1 warms up
            for (size_t s = 0; s < subjects.size(); ++s) {
                progress.note(fmt::format("depth {}, {}", depth, subjects[s].label));
                KVT_TRY(const Sample sample, bench.measure(*sessions[s], depth));
                progress.done(1);
                if (repetition < 0) continue;
                prefill[s].push_back(sample.prefill);
                generation[s].push_back(sample.generation);
            }
        }
        for (size_t s = 0; s < subjects.size(); ++s) {
            rows.push_back({subjects[s].label, depth, summarize(prefill[s], prefill[0]), summarize(generation[s], generation[0]),
                            sessions[s]->kv_bytes()});
        }
    }
    progress.note("");
    progress.end();
    return rows;
}

}  // namespace kvt::cli
