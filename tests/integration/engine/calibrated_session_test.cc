// Plans with transforms through the plugin: what they store, and what is refused when their calibration is not at hand.
#include <cmath>
#include <filesystem>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kvt/base/sha256.h"
#include "support/calibrated.h"
#include "support/logits.h"
#include "support/tiny_model.h"

namespace kvt {
namespace {

using ::testing::AllOf;
using testing::Calibration;
using ::testing::HasSubstr;
using testing::mean_distance;
using testing::Rows;
using testing::tiny_corpus;
using testing::tiny_model;

const std::vector<Token> & corpus() {
    static const std::vector<Token> tokens = *tiny_model().tokenize(tiny_corpus(), AddSpecial::yes);
    return tokens;
}

const Calibration & calibration() {
    static const Calibration made(tiny_model(), corpus());
    return made;
}

SessionOptions with(PrecisionPlan plan) {
    SessionOptions options;
    options.plan = std::move(plan);
    return options;
}

Rows run(Session & session, int n_tokens, int batch) {
    Rows rows;
    for (int at = 0; at < n_tokens; at += batch) {
        const auto status =
            session.decode(std::span(corpus()).subspan(static_cast<size_t>(at), static_cast<size_t>(batch)), n_tokens / 2,
                           [&](int, std::span<const float> logits) { rows.emplace_back(logits.begin(), logits.end()); });
        EXPECT_TRUE(status.ok()) << status.error().message;
    }
    return rows;
}

Rows run(const SessionOptions & options, int n_tokens, int batch) {
    auto session = tiny_model().open(options);
    EXPECT_TRUE(session.ok()) << session.error().message;
    return session.ok() ? run(**session, n_tokens, batch) : Rows{};
}

std::string refusal(const PrecisionPlan & plan, int n_ctx = 512) {
    SessionOptions options = with(plan);
    options.n_ctx          = n_ctx;
    const auto session     = tiny_model().open(options);
    return session.ok() ? "accepted" : session.error().message;
}

TEST(CalibratedSession, FewerBitsAreFurtherFromTheReference) {
    const Rows   ref = run({}, 256, 256);
    const double d8  = mean_distance(ref, run(with(calibration().plan(8, 8)), 256, 256)),
                 d4  = mean_distance(ref, run(with(calibration().plan(4, 4)), 256, 256)),
                 d2  = mean_distance(ref, run(with(calibration().plan(2, 2)), 256, 256)),
                 p4  = mean_distance(ref, run(with(uniform_plan(tiny_model().info(), Mode::per_token_asym, 4, 4)), 256, 256));
    EXPECT_LT(d8, d4);
    EXPECT_LT(d4, d2);
    EXPECT_LT(d4, p4 / 3) << "without transforms";
}

TEST(CalibratedSession, TokenByTokenIsAsCloseAsInOneBatch) {
    const Rows   ref     = run({}, 64, 64);
    const double batch   = mean_distance(ref, run(with(calibration().plan(4, 4)), 64, 64)),
                 decoded = mean_distance(ref, run(with(calibration().plan(4, 4)), 64, 1));
    EXPECT_LT(decoded, 2 * batch + 0.01);
    EXPECT_LT(batch, 2 * decoded + 0.01);
}

TEST(CalibratedSession, ClearedSessionsRepeatExactly) {
    auto session = tiny_model().open(with(calibration().plan(4, 4)));
    ASSERT_TRUE(session.ok()) << session.error().message;
    const Rows first = run(**session, 96, 32);
    (*session)->clear();
    EXPECT_EQ(run(**session, 96, 32), first);
}

TEST(CalibratedSession, BytesAreThoseOfThePlan) {
    const PrecisionPlan plan    = calibration().plan(4, 3);
    auto                session = tiny_model().open(with(plan));
    ASSERT_TRUE(session.ok()) << session.error().message;
    EXPECT_EQ((*session)->kv_bytes(), plan_size(plan, 512).bytes);
}

TEST(CalibratedSession, AMissingCalibrationIsRefusedInWords) {
    PrecisionPlan plan = calibration().plan(4, 4);
    plan.calibration   = {};
    EXPECT_THAT(refusal(plan), HasSubstr("/calibration: is null, but transforms need one (kvtuner calibrate)"));
    plan                  = calibration().plan(4, 4);
    plan.calibration.file = "gone.safetensors", plan.calibration.sha256 = std::string(64, '0');
    EXPECT_THAT(refusal(plan), AllOf(HasSubstr("cannot read"), HasSubstr("gone.safetensors\": No such file or directory")));
    plan.calibration.file = "../all.safetensors";
    EXPECT_THAT(refusal(plan), HasSubstr("must be a file in the plan's folder"));
}

TEST(CalibratedSession, AnotherOrADamagedCalibrationIsRefused) {
    PrecisionPlan     plan    = calibration().plan(4, 4);
    const std::string whole   = *read_file(calibration().path());
    const std::string damaged = std::filesystem::path(calibration().path()).replace_filename("damaged.safetensors");
    plan.calibration.file     = "damaged.safetensors";
    std::string bytes         = whole;
    bytes[bytes.size() / 2]   = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
    ASSERT_TRUE(write_file_atomic(damaged, bytes).ok());
    plan.calibration.sha256.front() =
        plan.calibration.sha256.front() == '0' ? '1' : '0';  // the plugin keeps the file it read last
    EXPECT_THAT(refusal(plan), HasSubstr("is not the one the plan was made with"));

    // With a hash that agrees, the content is what is refused.
    const auto now_with = [&](const std::string & content) {
        EXPECT_TRUE(write_file_atomic(damaged, content).ok());
        plan.calibration.sha256 = sha256_hex(content);
        return refusal(plan);
    };
    EXPECT_THAT(now_with(whole.substr(0, whole.size() / 2)), HasSubstr("damaged.safetensors"));
    EXPECT_THAT(now_with(""), HasSubstr("not a safetensors file"));
    auto tensors = parse_safetensors(whole)->tensors;
    tensors.erase("blk.3.key.dense4.matrix");
    EXPECT_THAT(now_with(write_safetensors({tensors, {}})), HasSubstr("the calibration has no tensor blk.3.key.dense4.matrix"));
    tensors.at("blk.2.value.hadamard.scale").values[5] = 0;
    EXPECT_THAT(now_with(write_safetensors({tensors, {}})), HasSubstr("blk.2.value.hadamard.: a scale is 0"));
    EXPECT_EQ(refusal(calibration().plan(4, 4)), "accepted") << "a refused plan does no harm to the next";
}

TEST(CalibratedSession, ALongerContextThanCalibratedIsRefused) {
    PrecisionPlan plan         = calibration().plan(4, 4);
    plan.calibration.positions = 256;
    EXPECT_EQ(refusal(plan, 256), "accepted");
    EXPECT_THAT(refusal(plan, 512),
                HasSubstr("the plan was calibrated for 256 positions, the cache has 512 cells: use -c 256 or less"));
    plan = uniform_plan(tiny_model().info(), Mode::per_token_asym, 4, 4);
    EXPECT_EQ(refusal(plan, 512), "accepted") << "nothing to calibrate";
}

}  // namespace
}  // namespace kvt
