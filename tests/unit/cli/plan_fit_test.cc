#include "kvt/cli/plan_fit.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "support/plans.h"

namespace kvt::cli {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;

const FitRow & row_of(const Fit & fit, const std::string & name) {
    const auto at = std::find_if(fit.rows.begin(), fit.rows.end(), [&](const FitRow & r) { return r.name == name; });
    EXPECT_NE(at, fit.rows.end()) << name;
    return *at;
}

LibraryPlan tuned(const std::string & path, double kld) {
    LibraryPlan p{path, testing::example_plan(), {}};
    p.plan.measured[0].value = kld;
    return p;
}

// 4 layers, 2 KV heads of 64 and 64: 1024 elements a token, 2048 bytes at 16 bits.
TEST(PlanFit, SizesOfLlamaCppsOwnTypes) {
    const Fit fit = fit_of(testing::example_model(), {}, {kMiB, {512, 1}});
    EXPECT_DOUBLE_EQ(row_of(fit, "f16").bytes_per_token, 2048);
    EXPECT_EQ(row_of(fit, "f16").bytes, kMiB);
    EXPECT_TRUE(row_of(fit, "f16").fits);
    EXPECT_EQ(row_of(fit, "f16").largest_ctx, 512);
    EXPECT_DOUBLE_EQ(row_of(fit, "q8_0").bytes_per_token, 1088);  // 8.5 bits
    EXPECT_EQ(row_of(fit, "q8_0").largest_ctx, 768);              // 963 tokens, in steps of 256
    EXPECT_EQ(row_of(fit, "q4_0").largest_ctx, 1792);             // 1820
    EXPECT_EQ(fit.rows[static_cast<size_t>(fit.best)].name, "f16");

    const Fit less = fit_of(testing::example_model(), {}, {kMiB - 1, {512, 1}});
    EXPECT_FALSE(row_of(less, "f16").fits);
    EXPECT_EQ(row_of(less, "f16").largest_ctx, 256);
    const Fit two = fit_of(testing::example_model(), {}, {kMiB, {512, 2}});
    EXPECT_EQ(row_of(two, "f16").largest_ctx, 512);  // 256 cells for each
    EXPECT_EQ(row_of(two, "q8_0").largest_ctx, 512);
}

TEST(PlanFit, SizesOfPlansAreWhatThePluginAllocates) {
    const ModelInfo model = testing::example_model();
    for (const int n_seq : {1, 3}) {
        const FitQuestion question{4 * kMiB, {2048, n_seq}};
        const Fit         fit = fit_of(model, {}, question);
        for (const char * name : {"kivi:KV8", "kivi:KV4", "per-token:KV8"}) {
            const FitRow & row  = row_of(fit, name);
            const auto     form = *parse_short_form(name);
            const auto     plan = uniform_plan(model, form.mode, form.pair.k, form.pair.v);
            const auto     size = [&](int64_t ctx) {
                return plan_size(plan, static_cast<uint64_t>(ctx / n_seq), static_cast<uint64_t>(n_seq)).bytes;
            };
            EXPECT_EQ(row.bytes, plan_size(plan, cells_per_sequence(question.shape), static_cast<uint64_t>(n_seq)).bytes) << name;
            EXPECT_LE(size(row.largest_ctx), question.memory) << name;
            EXPECT_GT(size(row.largest_ctx + 256 * n_seq), question.memory) << name;
            EXPECT_EQ(row.largest_ctx % (256 * n_seq), 0);
            EXPECT_NEAR(row.bytes_per_token, static_cast<double>(size(65536 * n_seq) - size(0)) / (65536.0 * n_seq), 1e-9);
        }
    }
}

TEST(PlanFit, TheBestIsF16ThenTheTunedOneThenTheWidest) {
    const std::vector<LibraryPlan> library{tuned("/p/worse.json", 0.02), tuned("/p/better.json", 0.01)};
    const ModelInfo                model = testing::example_model();
    const auto                     best  = [&](const std::vector<LibraryPlan> & plans, uint64_t memory) {
        const Fit fit = fit_of(model, plans, {memory, {4096, 1}});
        return fit.best < 0 ? std::string("none") : fit.rows[static_cast<size_t>(fit.best)].name;
    };
    EXPECT_EQ(best(library, 8 * kMiB), "f16");
    EXPECT_EQ(best(library, 6 * kMiB), "better.json");
    EXPECT_EQ(best({}, 6 * kMiB), "per-token:KV8");  // 8 bits like kivi:KV8, and smaller
    EXPECT_EQ(best({}, 9 * kMiB / 2), "per-token:KV8");
    EXPECT_EQ(best({}, 4 * kMiB), "kivi:K8V4");
    EXPECT_EQ(best(library, kMiB / 8), "none");
    EXPECT_NE(fit_of(model, library, {kMiB / 8, {4096, 1}}).why.find("nothing fits"), std::string::npos);
}

TEST(PlanFit, CalibrationBoundsTheContext) {
    LibraryPlan p{"/p/rotated.json", testing::rotated_plan(), {}};
    p.plan.calibration.positions = 1000;
    const Fit fit                = fit_of(testing::example_model(), {p}, {64 * kMiB, {2048, 1}});
    EXPECT_EQ(row_of(fit, "rotated.json").largest_ctx, 768);
    EXPECT_FALSE(row_of(fit, "rotated.json").fits);
    EXPECT_TRUE(row_of(fit, "rotated:KV4").calibrated);
}

TEST(PlanFit, TextAndJsonSayTheSame) {
    const FitQuestion question{6 * kMiB, {4096, 1}};
    const ModelInfo   model = testing::example_model();
    const Fit         fit   = fit_of(model, {tuned("/p/mine.json", 0.0123)}, question);
    const std::string text  = fit_text(model, fit, question);
    EXPECT_TRUE(text.starts_with("example-4L: cache of 6.00 MiB, 4096 tokens, one sequence\n\n")) << text;
    EXPECT_NE(text.find("\n   f16 "), std::string::npos) << text;
    EXPECT_NE(text.find("\n*  mine.json "), std::string::npos) << text;
    EXPECT_NE(text.find("0.0123\n"), std::string::npos) << text;
    EXPECT_NE(text.find("\n* /p/mine.json: the tuned plan with the smallest KL divergence of those that fit\n"),
              std::string::npos);
    const auto json = fit_json(model, fit, question);
    EXPECT_EQ(json["best"], "mine.json");
    EXPECT_EQ(json["rows"].size(), fit.rows.size());
    EXPECT_EQ(json["rows"][0]["name"], "f16");
    EXPECT_EQ(json["rows"][0]["bytes"], 8 * kMiB);
}

}  // namespace
}  // namespace kvt::cli
