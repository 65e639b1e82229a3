// Any legal plan survives the file; any damaged file is refused in words or read as a legal plan, and never crashes.
#include <gtest/gtest.h>

#include "kvt/plan/plan.h"
#include "support/plans.h"

namespace kvt {
namespace {

TEST(PlanProperty, RandomPlansRoundTripByteForByte) {
    for (uint64_t seed = 0; seed < 500; ++seed) {
        const PrecisionPlan plan = testing::random_plan(seed);
        const std::string   text = write_plan(plan);
        const auto          read = parse_plan(text);
        ASSERT_TRUE(read.ok()) << seed << ": " << read.error().message << "\n" << text;
        ASSERT_EQ(*read, plan) << seed;
        ASSERT_EQ(write_plan(*read), text) << seed;
    }
}

TEST(PlanProperty, EveryTruncationIsRefused) {
    const std::string text = write_plan(testing::rotated_plan());
    for (size_t n = 0; n + 1 < text.size(); ++n) {  // without its last newline it is still whole
        const auto plan = parse_plan(std::string_view(text).substr(0, n));
        ASSERT_FALSE(plan.ok()) << n;
        ASSERT_TRUE(plan.error().message.starts_with("plan: ")) << plan.error().message;
    }
}

// Damage that is accepted must have left a plan that can be written and read again.
void expect_refused_or_legal(const std::string & text, int & accepted) {
    const auto plan = parse_plan(text);
    if (!plan.ok()) {
        ASSERT_TRUE(plan.error().message.starts_with("plan: "));
        ASSERT_LT(plan.error().message.size(), 600u);
        for (const char c : plan.error().message) ASSERT_TRUE(c >= ' ' && c <= '~') << plan.error().message;
        return;
    }
    ++accepted;
    const auto again = parse_plan(write_plan(*plan));
    ASSERT_TRUE(again.ok()) << again.error().message;
}

TEST(PlanProperty, ByteFlipsNeverCrash) {
    const std::string text = write_plan(testing::example_plan());
    SplitMix64        rng(11);
    int               accepted = 0;
    for (int i = 0; i < 20000; ++i) {
        std::string damaged = text;
        for (uint64_t n = 1 + rng.below(3); n > 0; --n) damaged[rng.below(damaged.size())] = static_cast<char>(rng.below(256));
        expect_refused_or_legal(damaged, accepted);
    }
    EXPECT_LT(accepted, 10000);  // most bytes matter
}

TEST(PlanProperty, SplicedTextNeverCrashes) {
    const std::string texts[] = {write_plan(testing::example_plan(Mode::kivi)), write_plan(testing::rotated_plan())};
    const char * bits[] = {"{",       "}",          "[",  "]",   "\"", ",", ":", "null", "-1", "1e308", "99999999999999999999",
                           "\\u0000", "\"layers\"", "{}", "true"};
    SplitMix64   rng(12);
    int          accepted = 0;
    for (int i = 0; i < 20000; ++i) {
        std::string  damaged = texts[i % 2];
        const size_t at      = rng.below(damaged.size());
        damaged.replace(at, std::min(damaged.size() - at, size_t(rng.below(40))), bits[rng.below(std::size(bits))]);
        expect_refused_or_legal(damaged, accepted);
    }
    EXPECT_LT(accepted, 10000);
}

TEST(PlanProperty, MoreBitsNeverTakeFewerBytes) {
    const ModelInfo model = testing::example_model();
    for (const Mode mode : {Mode::per_token_asym, Mode::kivi, Mode::rotated}) {
        for (const uint64_t cells : {32u, 511u, 4096u}) {
            uint64_t last = 0;
            for (const int bits : {2, 3, 4, 5, 6, 8}) {
                const uint64_t bytes = plan_size(uniform_plan(model, mode, bits, bits), cells).bytes;
                EXPECT_GT(bytes, last);
                last = bytes;
            }
        }
    }
}

TEST(PlanProperty, ShortFormsNeverCrash) {
    SplitMix64        rng(13);
    const std::string alphabet = "KkVv0123456789:-hdfkipertoknas";
    for (int i = 0; i < 100000; ++i) {
        std::string text = rng.below(2) == 0 ? "kivi:" : "";
        for (uint64_t n = rng.below(12); n > 0; --n) text += alphabet[rng.below(alphabet.size())];
        const auto form = parse_short_form(text);
        if (form.ok()) {
            EXPECT_TRUE(looks_like_short_form(text)) << text;
            EXPECT_TRUE(parse_pair(pair_name(form->pair.k, form->pair.v)).ok()) << text;
        }
        (void)parse_pair(text);
    }
}

}  // namespace
}  // namespace kvt
