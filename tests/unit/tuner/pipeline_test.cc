#include "kvt/tuner/pipeline.h"

#include <algorithm>
#include <filesystem>

#include <gtest/gtest.h>

#include "kvt/base/file_io.h"
#include "kvt/base/file_lock.h"
#include "kvt/tuner/cluster/cluster.h"
#include "kvt/tuner/profile/prompt_errors.h"
#include "kvt/tuner/prune/prune.h"
#include "kvt/tuner/study_store.h"
#include "support/tap_runner.h"

namespace kvt::testing {
namespace {

namespace fs = std::filesystem;

class Pipeline : public ::testing::Test {
protected:
    void SetUp() override {
        folder_ = ::testing::TempDir() + "kvt_pipeline_" + ::testing::UnitTest::GetInstance()->current_test_info()->name();
        fs::remove_all(folder_);
        ASSERT_TRUE(make_folder(folder_).ok());
        stage_.prompts            = {"How many clips did she sell in April and May altogether?", "A short one.",
                                     "And a third prompt, of some length."};
        stage_.options.n_generate = 6;
        stage_.options.max_prompt = 64;
        stage_.options.n_threads  = 1;
        for (int i = 0; i < 60; ++i) text_.text += "Some line of text, number " + std::to_string(i * i) + ".\n";
        text_.chunk_tokens = 64;
        text_.max_chunks   = 10;
        text_.n_threads    = 1;
    }
    void TearDown() override { fs::remove_all(folder_); }

    std::string path(const char * name) const { return folder_ + "/" + name; }
    std::string bytes(const char * name) const { return *read_file(path(name)); }

    // The study's record, as text.
    std::string record() const { return write_record(read_study(path("study.sqlite")).value()); }

    Result<SensitivityTable> profile(TapRunner & runner, Redo redo = Redo::no) {
        return profile_stage(runner, stage_, path("sensitivity.json"), redo, no_progress());
    }
    LayerGroups groups(TapRunner & runner) {
        const auto table = profile(runner);
        EXPECT_TRUE(table.ok());
        return *cluster(*table, prune(*table));
    }
    Result<Study> search(TapRunner & runner, const LayerGroups & g, Redo redo = Redo::no) {
        return search_stage(runner, g, kld_objective(text_), options_, path("study.sqlite"), redo, no_progress());
    }

    std::string   folder_;
    ProfileStage  stage_;
    ScoringText   text_;
    SearchOptions options_{8, 3, 1};
};

TEST_F(Pipeline, ProfileMeasuresWhatTheTapsShowed) {
    TapRunner  runner;
    const auto table = profile(runner);
    ASSERT_TRUE(table.ok()) << table.error().message;
    EXPECT_EQ(table->n_prompts, 3);
    EXPECT_EQ(table->n_generated, 6);
    ASSERT_EQ(table->layers.size(), 2u);

    std::vector<LayerErrors> expected;  // layer 1, worked out without a runner
    for (const std::string & prompt : stage_.prompts) {
        LayerCapture c;
        c.n_kv_heads = 1;
        c.n_q_heads  = 2;
        c.head_dim_k = c.head_dim_v = 32;
        c.n_steps                   = 6;
        c.n_tokens                  = std::min(static_cast<int>(prompt.size()), 64) + 6;
        c.scale                     = 0.18f;
        for (int t = 0; t < c.n_tokens; ++t) {
            for (int d = 0; d < 32; ++d) {
                c.k.push_back(TapRunner::value(Tap::Kind::k, 1, t, d));
                c.v.push_back(TapRunner::value(Tap::Kind::v, 1, t, d));
            }
            for (int i = 0; t >= c.n_tokens - 6 && i < 64; ++i) c.q.push_back(TapRunner::value(Tap::Kind::q, 1, t, i % 32));
        }
        expected.push_back(prompt_errors(c, Mode::kivi, 1e-6));
    }
    const LayerErrors mean = mean_errors(expected);
    EXPECT_EQ(table->layers[1].layer, 1);
    EXPECT_EQ(table->layers[1].e_k, mean.e_k);
    EXPECT_EQ(table->layers[1].e_o, mean.e_o);
    EXPECT_EQ(table->layers[1].e_o_head, mean.e_o_head);
    EXPECT_FALSE(file_exists(path("sensitivity.json.parts")));
}

TEST_F(Pipeline, ProfileIsNotRepeatedAndNotReplaced) {
    TapRunner first, second;
    ASSERT_TRUE(profile(first).ok());
    const std::string before = bytes("sensitivity.json");
    const auto        again  = profile(second);
    ASSERT_TRUE(again.ok());
    EXPECT_EQ(second.sessions, 0);
    EXPECT_EQ(write_record(*again), before);

    stage_.options.n_generate = 7;  // other inputs: refused, the file stays
    const auto other          = profile(second);
    ASSERT_FALSE(other.ok());
    EXPECT_NE(other.error().message.find("sensitivity.json"), std::string::npos) << other.error().message;
    EXPECT_NE(other.error().message.find("--fresh"), std::string::npos) << other.error().message;
    EXPECT_EQ(bytes("sensitivity.json"), before);
    const auto fresh = profile(second, Redo::yes);
    ASSERT_TRUE(fresh.ok());
    EXPECT_EQ(fresh->n_generated, 7);
}

TEST_F(Pipeline, ProfileResumesAfterFinishedPrompts) {
    TapRunner whole;
    ASSERT_TRUE(profile(whole).ok());
    const std::string expected = bytes("sensitivity.json");
    fs::remove(path("sensitivity.json"));

    // Parts of the first two prompts, as an interrupt in the third leaves them.
    std::vector<std::string>              all = stage_.prompts;
    TapRunner                             cut;
    int                                   saved = 0;
    std::vector<std::vector<LayerErrors>> parts(3);
    const PromptStore                     store{[](int) { return std::optional<std::vector<LayerErrors>>{}; },
                            [&](int p, const std::vector<LayerErrors> & done) -> Status {
                                if (saved == 2) return Error{"disk full"};
                                parts[static_cast<size_t>(p)] = done;
                                ++saved;
                                return ok_status();
                            }};
    const auto                            stopped = run_profile(cut, all, stage_.options, store, no_progress());
    ASSERT_FALSE(stopped.ok());
    EXPECT_EQ(stopped.error().message, "disk full");

    TapRunner         rest;
    const PromptStore resume{[&](int p) -> std::optional<std::vector<LayerErrors>> {
                                 if (p < 2) return parts[static_cast<size_t>(p)];
                                 return std::nullopt;
                             },
                             [](int, const std::vector<LayerErrors> &) { return ok_status(); }};
    auto              table = run_profile(rest, all, stage_.options, resume, no_progress());
    ASSERT_TRUE(table.ok());
    EXPECT_EQ(rest.decoded, static_cast<int>(all[2].size()) + 6);  // the third prompt only
    const auto full = parse_sensitivity(expected);
    ASSERT_TRUE(full.ok());
    for (size_t l = 0; l < 2; ++l) EXPECT_EQ(table->layers[l].e_o, full->layers[l].e_o);
}

TEST_F(Pipeline, ProfileRefusesWhatItCannotMeasure) {
    TapRunner silent;
    silent.silent   = true;
    const auto none = profile(silent);
    ASSERT_FALSE(none.ok());
    EXPECT_NE(none.error().message.find("cannot be profiled"), std::string::npos) << none.error().message;
    EXPECT_FALSE(file_exists(path("sensitivity.json")));
    TapRunner runner;
    stage_.prompts = {""};
    EXPECT_FALSE(profile(runner).ok());
    stage_.prompts = {};
    EXPECT_FALSE(profile(runner).ok());
    stage_.prompts            = {"a prompt"};
    stage_.options.n_generate = 0;
    EXPECT_FALSE(profile(runner).ok());
}

TEST_F(Pipeline, DamagedArtefactIsNamedNotUsed) {
    TapRunner runner;
    ASSERT_TRUE(profile(runner).ok());
    const std::string whole = bytes("sensitivity.json");
    ASSERT_TRUE(write_file_atomic(path("sensitivity.json"), whole.substr(0, whole.size() / 2)).ok());
    const auto damaged = profile(runner);
    ASSERT_FALSE(damaged.ok());
    EXPECT_NE(damaged.error().message.find("sensitivity.json"), std::string::npos) << damaged.error().message;
}

TEST_F(Pipeline, SearchScoresAndIsReused) {
    TapRunner         runner;
    const LayerGroups g     = groups(runner);
    const auto        study = search(runner, g);
    ASSERT_TRUE(study.ok()) << study.error().message;
    EXPECT_TRUE(study->complete);
    EXPECT_EQ(study->n_chunks, 10);
    // The fake model's divergence depends on payload bits alone and falls as they rise.
    for (const Evaluation & a : study->evaluations) {
        for (const Evaluation & b : study->evaluations) {
            if (a.payload_bits > b.payload_bits) {
                EXPECT_LT(a.kld, b.kld);
            }
        }
    }
    EXPECT_NEAR(study->floor, 0.0, 1e-6);  // 16 bits add no wave; the scorer's fast path is exact to 1e-6
    TapRunner  second;
    const auto again = search(second, g);
    ASSERT_TRUE(again.ok());
    EXPECT_EQ(second.sessions, 0);
    EXPECT_EQ(write_record(*again), record());
}

TEST_F(Pipeline, SearchResumesFromWhatWasSaved) {
    TapRunner         runner;
    const LayerGroups g = groups(runner);
    ASSERT_TRUE(search(runner, g).ok());
    const std::string expected = record();
    const int         used     = runner.sessions;
    fs::remove(path("study.sqlite"));

    TapRunner cut;
    cut.fail_session   = used / 2;
    const auto stopped = search(cut, g);
    ASSERT_FALSE(stopped.ok());
    const auto partial = read_study(path("study.sqlite"));
    ASSERT_TRUE(partial.ok());
    EXPECT_FALSE(partial->complete);
    TapRunner  rest;
    const auto resumed = search(rest, g);
    ASSERT_TRUE(resumed.ok());
    EXPECT_EQ(record(), expected);
    EXPECT_LT(rest.sessions, used);
}

// A folder of an earlier kvtuner goes on: nothing that was scored is scored again, and the study moves into SQLite.
TEST_F(Pipeline, StudyInJsonIsGoneOnWith) {
    TapRunner         runner;
    const LayerGroups g = groups(runner);
    ASSERT_TRUE(search(runner, g).ok());
    const std::string expected = record();
    const int         used     = runner.sessions;
    Study             earlier  = *read_study(path("study.sqlite"));
    const size_t      scored   = earlier.evaluations.size() / 2;
    earlier.complete           = false;
    earlier.front.clear();
    earlier.evaluations.resize(scored);
    fs::remove(path("study.sqlite"));
    ASSERT_TRUE(write_file_atomic(path("study.json"), write_record(earlier)).ok());
    TapRunner rest;
    ASSERT_TRUE(search(rest, g).ok());
    EXPECT_EQ(record(), expected);
    EXPECT_LE(rest.sessions, used - static_cast<int>(scored));
    EXPECT_FALSE(file_exists(path("study.json")));
}

TEST_F(Pipeline, SearchRefusesAnotherModelAndShortText) {
    TapRunner   runner;
    LayerGroups g    = groups(runner);
    g.model.name     = "another";
    const auto other = search(runner, g);
    ASSERT_FALSE(other.ok());
    EXPECT_NE(other.error().message.find("another"), std::string::npos) << other.error().message;
    text_.text       = "too short";
    const auto small = search(runner, groups(runner));
    ASSERT_FALSE(small.ok());
    EXPECT_FALSE(file_exists(path("study.sqlite")));
}

TEST_F(Pipeline, StudyInUseIsRefusedAndOtherInputsToo) {
    TapRunner         runner;
    const LayerGroups g = groups(runner);
    {
        const auto held    = FileLock::take(path("study.sqlite"));
        const auto refused = search(runner, g);
        ASSERT_FALSE(refused.ok());
        EXPECT_NE(refused.error().message.find("is being written by another kvtuner"), std::string::npos)
            << refused.error().message;
        EXPECT_FALSE(file_exists(path("study.sqlite")));
    }
    ASSERT_TRUE(search(runner, g).ok());
    EXPECT_FALSE(file_exists(path("study.sqlite.lock")));
    const std::string whole = bytes("study.sqlite");
    text_.chunk_tokens      = 32;
    const auto other        = search(runner, g);
    ASSERT_FALSE(other.ok());
    EXPECT_NE(other.error().message.find("was made from another text or with other settings"), std::string::npos)
        << other.error().message;
    text_.chunk_tokens = 64;
    ASSERT_TRUE(write_file_atomic(path("study.sqlite"), whole.substr(0, whole.size() / 2)).ok());
    const auto damaged = search(runner, g);
    ASSERT_FALSE(damaged.ok());
    EXPECT_NE(damaged.error().message.find("study.sqlite: damaged"), std::string::npos) << damaged.error().message;
    EXPECT_EQ(bytes("study.sqlite").size(), whole.size() / 2) << "what was there is left alone";
}

TEST_F(Pipeline, HeldOutCheckAndFinishedPlan) {
    TapRunner  runner;
    const auto table = profile(runner);
    ASSERT_TRUE(table.ok());
    const auto study = search(runner, *cluster(*table, prune(*table)));
    ASSERT_TRUE(study.ok());
    const auto choice = choose_plan(*study, {7.9, {}});
    ASSERT_TRUE(choice.ok()) << choice.error().message;
    std::reverse(text_.text.begin(), text_.text.end());  // another text
    const auto check = check_stage(runner, *study, *choice, text_, path("held_out.json"), Redo::no, no_progress());
    ASSERT_TRUE(check.ok()) << check.error().message;
    const Evaluation & chosen = study->evaluations[static_cast<size_t>(choice->evaluation)];
    ASSERT_GE(check->plans.size(), 2u);
    EXPECT_EQ(check->plans[0].label, "tuned");
    EXPECT_EQ(check->plans[0].pairs, chosen.pairs);
    EXPECT_EQ(check->plans[0].vs_tuned, 0.0);
    for (const CheckedPlan & p : check->plans) {
        EXPECT_NEAR(p.vs_tuned, p.kld - check->plans[0].kld, 1e-12) << p.label;
        EXPECT_NE(check->data_sha256, study->data_sha256);
    }

    const PrecisionPlan plan = finished_plan(*study, *choice, *check, table->data_sha256, "0.1.0");
    const auto          read = parse_plan(write_plan(plan));
    ASSERT_TRUE(read.ok()) << read.error().message;
    ASSERT_EQ(read->measured.size(), 1u);
    EXPECT_EQ(read->measured[0].value, check->plans[0].kld);
    EXPECT_EQ(read->measured[0].data_sha256, check->data_sha256);
    EXPECT_EQ(read->provenance.evaluations, static_cast<int>(study->evaluations.size()));
    for (size_t l = 0; l < read->layers.size(); ++l) {
        EXPECT_EQ(read->layers[l].k.bits, chosen.pairs[l].k);
        EXPECT_EQ(read->layers[l].v.bits, chosen.pairs[l].v);
    }

    // The same choice is not measured again, another one is.
    TapRunner second;
    ASSERT_TRUE(check_stage(second, *study, *choice, text_, path("held_out.json"), Redo::no, no_progress()).ok());
    EXPECT_EQ(second.sessions, 0);
    ASSERT_TRUE(
        check_stage(second, *study, {study->front.front(), ""}, text_, path("held_out.json"), Redo::no, no_progress()).ok());
    EXPECT_GT(second.sessions, 0);
}

}  // namespace
}  // namespace kvt::testing
