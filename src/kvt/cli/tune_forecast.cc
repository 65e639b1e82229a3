#include "kvt/cli/tune_forecast.h"

#include <algorithm>

#include <fmt/format.h>

namespace kvt::cli {

namespace {

constexpr int kWarmUp = 32, kSteps = 8;

// A forecast is no better than that.
std::string about(double seconds) {
    if (seconds < 100) return fmt::format("{:.0f} s", seconds);
    return seconds < 6000 ? fmt::format("{:.0f} minutes", seconds / 60) : fmt::format("{:.1f} hours", seconds / 3600);
}

}  // namespace

Result<TokenCosts> measure_tokens(ModelRunner & model, std::span<const Token> tokens, int n_slots, int n_threads,
                                  const std::function<double()> & seconds) {
    const auto n = static_cast<int>(std::min<size_t>(tokens.size(), kForecastTokens));
    if (n <= kWarmUp) return Error{fmt::format("{} tokens are too few to measure the cost of one", n)};
    SlotOptions options;
    options.n_slots         = std::max(n_slots, 1);
    options.session.n_ctx   = kForecastTokens + kSteps;
    options.session.n_batch = options.session.n_ubatch = kForecastTokens;
    options.session.n_threads                          = n_threads;
    KVT_TRY(const auto session, model.open_slots(options));
    const LogitsFn ignore = [](int, std::span<const float>) {};
    KVT_CHECK_OK(session->feed(0, tokens.first(kWarmUp), kWarmUp - 1, ignore));
    TokenCosts   costs;
    const int    timed = n - kWarmUp;
    const double start = seconds();
    KVT_CHECK_OK(session->feed(0, tokens.subspan(kWarmUp, static_cast<size_t>(timed)), kWarmUp + timed / 2, ignore));
    costs.prompt = (seconds() - start) / timed;
    if (n_slots <= 0) return costs;
    std::vector<SlotToken> step;
    for (int s = 0; s < n_slots; ++s) step.push_back({s, tokens[0]});
    const double before = seconds();
    for (int i = 0; i < kSteps; ++i) KVT_CHECK_OK(session->step(step, ignore));
    costs.step = (seconds() - before) / kSteps;
    return costs;
}

std::string forecast_text(const TuneWork & work, const TokenCosts & costs) {
    const double a_plan =
        static_cast<double>(work.a_plan.prompt_tokens) * costs.prompt + static_cast<double>(work.a_plan.steps) * costs.step;
    const double others = static_cast<double>(work.other_tokens) * costs.prompt;
    // One plan more: the reference.
    const double all = (work.evaluations + 1) * a_plan + others;
    return fmt::format("about {} ({} plans of {:.1f} s{}, {} for calibration and held-out text), about {:.1f} GiB of memory",
                       about(all), work.evaluations, a_plan, work.a_plan.steps > 0 ? " or less" : "", about(others),
                       static_cast<double>(work.model_bytes + work.a_plan.reference_bytes) / (1 << 30));
}

}  // namespace kvt::cli
