#include "kvt/tuner/records.h"

#include <cmath>
#include <functional>
#include <limits>

#include <gtest/gtest.h>

#include "kvt/base/rng.h"
#include "kvt/tuner/attention_costs.h"
#include "kvt/tuner/cluster/cluster.h"
#include "kvt/tuner/prune/prune.h"
#include "planted.h"

namespace kvt::testing {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

SensitivityTable table() {
    SensitivityTable t = planted_table(3, {{"V1", "1"}});
    t.n_prompts        = 20;
    t.n_generated      = 32;
    t.data_sha256      = std::string(64, 'c');
    t.inputs_sha256    = std::string(64, 'd');
    for (LayerErrors & e : t.layers) {
        e.e_k      = {0.001, 0.1 / 3, 0.7};
        e.e_v      = {1e-300, 0.2, 1.5};
        e.e_a      = {0, 1e-5, 2e-4};
        e.e_k_head = {e.e_k};
        e.e_v_head = {e.e_v};
        e.e_a_head = {e.e_a, e.e_a};
        e.e_o_head = {e.e_o, e.e_o};
        e.patterns = {{0.5, 0.25, 0.7}, {0.1, 0.2, 1.0 / 3}};
    }
    return t;
}

LayerGroups groups() { return *cluster(table(), prune(table())); }

Study study() {
    Study s;
    s.model = s.groups.model = table().model;
    s.groups                 = groups();
    s.seed                   = 18446744073709551615u;  // all 64 bits
    s.population             = 24;
    s.generations            = 6;
    s.chunk_tokens           = 512;
    s.n_chunks               = 4;
    s.floor                  = 0.0034;
    s.data_sha256            = std::string(64, 'e');
    s.inputs_sha256          = s.groups.inputs_sha256;
    s.complete               = true;
    s.evaluations            = {{{}, "KV16", 16, 16, 0.0034, kNaN, kNaN, {{16, 16}, {16, 16}, {16, 16}}},
                                {{1, 0}, "", 6.5, 7.9, 0.01, 0.009, 0.011, {{8, 4}, {8, 8}, {8, 4}}}};
    s.front                  = {1};
    return s;
}

HeldOutCheck held_out() {
    HeldOutCheck c;
    c.model         = table().model;
    c.data_sha256   = std::string(64, 'f');
    c.inputs_sha256 = std::string(64, '0');
    c.chunk_tokens  = 512;
    c.n_chunks      = 12;
    c.n_tokens      = 3060;
    c.floor         = 0.0034;
    c.plans         = {{"tuned", 6.5, 7.9, 0.008, 0.007, 0.009, 0.2, 0.97, 0, 0, 0, {{8, 4}, {8, 8}, {8, 4}}},
                       {"KV4", 4, 5.25, 0.02, kNaN, kNaN, kNaN, 0.93, 0.012, kNaN, kNaN, {{4, 4}, {4, 4}, {4, 4}}}};
    return c;
}

// One record kind, seen as text only.
struct Kind {
    const char *                                            name;
    std::string                                             text;
    std::function<Result<std::string>(const std::string &)> rewrite;  // parse, then write
};

AttentionCosts costs() {
    AttentionCosts c;
    c.mode      = Mode::kivi;
    c.isa       = "avx2";
    c.n_q_heads = 4, c.n_kv_heads = 2, c.head_dim_k = c.head_dim_v = 64, c.n_threads = 3, c.n_cells = 8192;
    c.k         = {1e-4, 1.25e-4, 1.5e-4, 2e-4, 2.25e-4, 3e-4};
    c.v         = {2e-4, 2.25e-4, 2.5e-4, 3e-4, 3.25e-4, 4e-4};
    c.f16       = 1e-3;
    c.worst_sum = 0.03;
    return c;
}

template <class Record>
std::function<Result<std::string>(const std::string &)> rewriter(Result<Record> (*parse)(std::string_view)) {
    return [parse](const std::string & text) -> Result<std::string> {
        auto record = parse(text);
        if (!record.ok()) return record.error();
        return write_record(*record);
    };
}

std::vector<Kind> kinds() {
    return {{"sensitivity", write_record(table()), rewriter(parse_sensitivity)},
            {"candidates", write_record(prune(table())), rewriter(parse_candidates)},
            {"groups", write_record(groups()), rewriter(parse_groups)},
            {"study", write_record(study()), rewriter(parse_study)},
            {"held_out", write_record(held_out()), rewriter(parse_held_out)},
            {"attention_costs", write_record(costs()), rewriter(parse_attention_costs)}};
}

std::string replaced(std::string text, const std::string & from, const std::string & to) {
    const size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return at == std::string::npos ? text : text.replace(at, from.size(), to);
}

TEST(Records, RewriteIsByteIdentical) {
    for (const Kind & kind : kinds()) {
        const auto again = kind.rewrite(kind.text);
        ASSERT_TRUE(again.ok()) << again.error().message;
        EXPECT_EQ(*again, kind.text) << kind.name;
    }
}

// Files of older versions lack what newer ones added; they are read, and written as the newest.
TEST(Records, FilesOfOlderVersionsAreRead) {
    Study             old = study();
    const std::string v3  = write_record(old);
    std::string       v2  = replaced(v3, "\"schema_version\": 3", "\"schema_version\": 2");
    v2                    = replaced(v2, " \"objective\": \"kld\",\n", "");
    std::string v1        = replaced(v2, "\"schema_version\": 2", "\"schema_version\": 1");
    v1                    = replaced(v1, " \"seeded\": true,\n \"soft_limits\": [],\n", "");
    for (const std::string & text : {v2, v1}) {
        const auto read = parse_study(text);
        ASSERT_TRUE(read.ok()) << read.error().message;
        EXPECT_EQ(write_record(*read), v3);
    }
    old.objective = "gsm8k loglik";
    EXPECT_EQ(parse_study(write_record(old))->objective, "gsm8k loglik");
    const auto newer = parse_study(replaced(v3, "\"schema_version\": 3", "\"schema_version\": 4"));
    ASSERT_FALSE(newer.ok());
    EXPECT_NE(newer.error().message.find("schema_version"), std::string::npos) << newer.error().message;

    SensitivityTable profile = table();
    for (LayerErrors & e : profile.layers) e.patterns.clear();
    std::string text = replaced(write_record(profile), "\"schema_version\": 2", "\"schema_version\": 1");
    for (size_t at; (at = text.find(",\n   \"patterns\": []")) != std::string::npos;) text.erase(at, 19);
    const auto without = parse_sensitivity(text);
    ASSERT_TRUE(without.ok()) << without.error().message;
    EXPECT_EQ(write_record(*without), write_record(profile));
}

TEST(Records, AttentionCostsOfAPlan) {
    const AttentionCosts c = costs();
    EXPECT_NEAR(attention_seconds(c, {{8, 8}, {4, 2}}), 3e-4 + 4e-4 + 1.5e-4 + 2e-4, 1e-12);
    EXPECT_NEAR(attention_seconds(c, {{16, 16}, {16, 2}}), 1e-3 + 0.5e-3 + 2e-4, 1e-12);
    EXPECT_EQ(parse_attention_costs(write_record(c))->k, c.k);
    EXPECT_TRUE(c.same_inputs(*parse_attention_costs(write_record(c))));
    AttentionCosts other = c;
    other.n_cells        = 4096;
    EXPECT_FALSE(c.same_inputs(other));
    other.f16 = 0;
    EXPECT_NE(parse_attention_costs(write_record(other)).error().message.find("f16_seconds"), std::string::npos);
}

TEST(Records, ValuesSurvive) {
    const auto t = parse_sensitivity(write_record(table()));
    ASSERT_TRUE(t.ok());
    EXPECT_EQ(t->model, table().model);
    EXPECT_EQ(t->layers[1].e_k[1], 0.1 / 3);
    EXPECT_EQ(t->layers[1].e_v[0], 1e-300);
    EXPECT_EQ(t->layers[1].e_o, planted_row("V1").e_o);
    EXPECT_EQ(t->layers[2].e_o_head.size(), 2u);

    const auto s = parse_study(write_record(study()));
    ASSERT_TRUE(s.ok());
    EXPECT_EQ(s->seed, 18446744073709551615u);
    EXPECT_TRUE(std::isnan(s->evaluations[0].kld_ci_low));
    EXPECT_EQ(s->evaluations[1].kld_ci_high, 0.011);
    EXPECT_EQ(s->evaluations[1].choice, (std::vector<int>{1, 0}));
    EXPECT_EQ(s->evaluations[1].pairs[1], (PairBits{8, 8}));
    EXPECT_EQ(s->groups.groups[1].layers, groups().groups[1].layers);
    EXPECT_TRUE(s->complete);

    const auto c = parse_held_out(write_record(held_out()));
    ASSERT_TRUE(c.ok());
    EXPECT_TRUE(std::isnan(c->plans[1].p999));
    EXPECT_EQ(c->plans[0].same_top, 0.97);
}

TEST(Records, EveryTruncationIsAnError) {
    for (const Kind & kind : kinds()) {
        // The last two characters are the closing brace and a newline; without the newline the text is still whole.
        for (size_t n = 0; n + 1 < kind.text.size(); ++n)
            ASSERT_FALSE(kind.rewrite(kind.text.substr(0, n)).ok()) << kind.name << " cut at " << n;
    }
}

TEST(Records, FlippedBytesNeverThrow) {
    SplitMix64 rng(5);
    for (const Kind & kind : kinds()) {
        int refused = 0;
        for (int round = 0; round < 3000; ++round) {
            std::string text = kind.text;
            for (uint64_t i = 0; i <= rng.below(3); ++i) text[rng.below(text.size())] = static_cast<char>(rng.below(256));
            EXPECT_NO_THROW({ refused += kind.rewrite(text).ok() ? 0 : 1; }) << kind.name << " round " << round;
        }
        EXPECT_GT(refused, 1000) << kind.name;
    }
}

TEST(Records, ErrorsNameThePlace) {
    const auto message = [](const Result<std::string> & r) { return r.ok() ? std::string("accepted") : r.error().message; };
    for (const Kind & kind : kinds()) {
        const std::string other = message(kind.rewrite(replaced(kind.text, "kvtuner." + std::string(kind.name), "kvtuner.plan")));
        EXPECT_NE(other.find("/schema"), std::string::npos) << other;
        const std::string newer = message(kind.rewrite(replaced(kind.text, "\"schema_version\": ", "\"schema_version\": 9")));
        EXPECT_NE(newer.find("/schema_version"), std::string::npos) << newer;
        const std::string unknown = message(kind.rewrite(replaced(kind.text, "\"mode\"", "\"extra\": 1, \"mode\"")));
        EXPECT_NE(unknown.find("/extra"), std::string::npos) << unknown;
        const std::string mode = message(kind.rewrite(replaced(kind.text, "\"kivi\"", "\"magic\"")));
        EXPECT_NE(mode.find("/mode"), std::string::npos) << mode;
    }
    const std::string pair = message(kinds()[1].rewrite(replaced(kinds()[1].text, "\"K8V4\"", "\"K5V4\"")));
    EXPECT_NE(pair.find("/layers/0/pairs"), std::string::npos) << pair;
    const std::string number = message(kinds()[0].rewrite(replaced(kinds()[0].text, "1e-300", "\"much\"")));
    EXPECT_NE(number.find("/layers/0/e_v"), std::string::npos) << number;
}

// A hostile GGUF file may call itself anything.
TEST(Records, NamesThatAreNotTextAreWritten) {
    SensitivityTable t = table();
    t.model.name       = "bad \xff\xfe name";
    std::string text;
    ASSERT_NO_THROW(text = write_record(t));
    EXPECT_TRUE(parse_sensitivity(text).ok());
}

TEST(Records, StudyIndicesMustPointSomewhere) {
    Study s = study();
    s.front = {2};
    EXPECT_FALSE(parse_study(write_record(s)).ok());
    s                       = study();
    s.evaluations[1].choice = {7, 0};  // group 0 has five candidates
    EXPECT_FALSE(parse_study(write_record(s)).ok());
    s                       = study();
    s.evaluations[1].choice = {1};
    EXPECT_FALSE(parse_study(write_record(s)).ok());
    s = study();
    s.evaluations[1].pairs.pop_back();
    EXPECT_FALSE(parse_study(write_record(s)).ok());
}

TEST(Records, GroupsMustPartitionTheLayers) {
    LayerGroups g = groups();
    g.groups[0].layers.push_back(1);
    EXPECT_FALSE(parse_groups(write_record(g)).ok());
    g = groups();
    g.groups.pop_back();
    EXPECT_FALSE(parse_groups(write_record(g)).ok());
    g = groups();
    g.groups[0].e_o.pop_back();
    EXPECT_FALSE(parse_groups(write_record(g)).ok());
}

}  // namespace
}  // namespace kvt::testing
