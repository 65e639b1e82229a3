#include "kvt/harness/generator.h"

#include <cmath>
#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/fake_runner.h"

namespace kvt {
namespace {

using ::testing::Contains;
using testing::fake_tokens;
using testing::FakeRunner;
using ::testing::HasSubstr;
using ::testing::Not;

GenerationRequest request(std::vector<Token> prompt, int n) {
    GenerationRequest r;
    r.prompt         = std::move(prompt);
    r.max_new_tokens = n;
    return r;
}

// What the arithmetic model says greedily, worked out without slots.
std::vector<Token> greedy(const FakeRunner & runner, std::vector<Token> history, int n) {
    std::vector<Token> out;
    while (static_cast<int>(out.size()) < n) {
        const auto row  = FakeRunner::logits(history, runner.n_vocab(), 0);
        const auto best = static_cast<Token>(std::max_element(row.begin(), row.end()) - row.begin());
        if (runner.is_end_of_generation(best)) break;
        out.push_back(best);
        history.push_back(best);
    }
    return out;
}

std::map<size_t, Generation> run(FakeRunner & runner, const GeneratorOptions & options,
                                 const std::vector<GenerationRequest> & requests) {
    auto generator = Generator::open(runner, options);
    EXPECT_TRUE(generator.ok());
    std::map<size_t, Generation> answers;
    const Status                 status = generator->generate(requests, [&](size_t i, Generation g) -> Status {
        EXPECT_FALSE(answers.contains(i));
        answers[i] = std::move(g);
        return ok_status();
    });
    EXPECT_TRUE(status.ok()) << status.error().message;
    return answers;
}

TEST(Generator, AnswersEveryRequestAsIfItWereAlone) {
    FakeRunner                     runner;
    std::vector<GenerationRequest> requests;
    for (int i = 0; i < 9; ++i) requests.push_back(request(fake_tokens(static_cast<size_t>(5 + 3 * i)), 3 + (i * 5) % 11));
    GeneratorOptions options;
    options.n_ctx = 64;
    for (const int n_slots : {1, 2, 4}) {
        options.n_slots    = n_slots;
        const auto answers = run(runner, options, requests);
        ASSERT_EQ(answers.size(), requests.size());
        for (const auto & [i, g] : answers) {
            EXPECT_EQ(g.tokens, greedy(runner, requests[i].prompt, requests[i].max_new_tokens)) << i << " of " << n_slots;
            EXPECT_NE(g.finish, Finish::error);
        }
    }
}

TEST(Generator, SharedTokensAreComputedOnceAndCopied) {
    FakeRunner                     runner;
    const auto                     shared = fake_tokens(20);
    std::vector<GenerationRequest> requests;
    for (Token t = 3; t < 8; ++t) {
        auto prompt = shared;
        prompt.push_back(t);
        requests.push_back(request(prompt, 4));
    }
    requests.push_back(request(fake_tokens(3), 4));  // has another start
    GeneratorOptions options;
    options.n_slots = 2, options.n_ctx = 64;
    const auto plain = run(runner, options, requests);
    EXPECT_THAT(runner.calls, Not(Contains(HasSubstr("copy"))));
    runner.calls.clear();
    options.shared  = shared;
    const auto with = run(runner, options, requests);
    for (size_t i = 0; i < requests.size(); ++i) EXPECT_EQ(with.at(i).tokens, plain.at(i).tokens);
    EXPECT_EQ(runner.calls[0], "feed 2 20") << "the slot after the last one keeps it";
    EXPECT_EQ(std::count(runner.calls.begin(), runner.calls.end(), "feed 2 20"), 1);
    EXPECT_EQ(std::count_if(runner.calls.begin(), runner.calls.end(), [](const auto & c) { return c.starts_with("copy 2"); }), 5);
    EXPECT_THAT(runner.calls, Contains("feed 0 1"));
    EXPECT_THAT(runner.calls, Contains(HasSubstr(" 3")));  // the whole of the other prompt
}

TEST(Generator, FreeSlotsAreTakenUpAgain) {
    FakeRunner                     runner;
    std::vector<GenerationRequest> requests{request(fake_tokens(5), 12), request(fake_tokens(6), 2), request(fake_tokens(7), 9)};
    for (auto & r : requests) r.end_of_text = EndOfText::ignored;
    GeneratorOptions options;
    options.n_slots = 2, options.n_ctx = 32;
    run(runner, options, requests);
    // The second answer is complete after one step; the third prompt takes its slot while the first goes on.
    const std::vector<std::string> begin(runner.calls.begin(), runner.calls.begin() + 5);
    EXPECT_EQ(begin, (std::vector<std::string>{"feed 0 5", "feed 1 6", "step 0 1", "feed 1 7", "step 0 1"}));
}

TEST(Generator, LastAnswersMoveTogetherSoThatAStepStaysOneBatch) {
    FakeRunner                     runner;
    std::vector<GenerationRequest> requests{request(fake_tokens(5), 3), request(fake_tokens(6), 7), request(fake_tokens(7), 2),
                                            request(fake_tokens(8), 6)};
    for (auto & r : requests) r.end_of_text = EndOfText::ignored;
    GeneratorOptions options;
    options.n_slots = 4, options.n_ctx = 32;
    const auto beside = run(runner, options, requests);
    const auto steps  = std::vector<std::string>(runner.calls.begin() + 4, runner.calls.end());
    EXPECT_EQ(steps, (std::vector<std::string>{"step 0 1 2 3", "copy 3 2", "step 0 1 2", "copy 2 0", "step 0 1", "step 0 1",
                                               "step 0 1", "copy 1 0", "step 0"}));
    options.n_slots  = 1;
    const auto alone = run(runner, options, requests);
    for (size_t i = 0; i < requests.size(); ++i) EXPECT_EQ(beside.at(i).tokens, alone.at(i).tokens);
}

TEST(Generator, StopStringsEndTokensAndLimits) {
    FakeRunner runner(128);
    auto       r  = request(fake_tokens(6, 128), 20);
    r.end_of_text = EndOfText::ignored;
    GeneratorOptions options;
    options.n_slots = 1, options.n_ctx = 64;
    const Generation whole = run(runner, options, {r})[0];
    EXPECT_EQ(whole.finish, Finish::length);
    ASSERT_EQ(whole.tokens.size(), 20u);
    ASSERT_EQ(whole.text.size(), 20u);  // one byte a token here
    r.stops              = {whole.text.substr(7, 3)};
    const Generation cut = run(runner, options, {r})[0];
    EXPECT_EQ(cut.finish, Finish::stop);
    EXPECT_EQ(cut.text, whole.text.substr(0, whole.text.find(r.stops[0])));
}

TEST(Generator, EndsWhereAnotherAnswerDiffers) {
    FakeRunner runner;
    auto       r  = request(fake_tokens(6), 16);
    r.end_of_text = EndOfText::ignored;
    GeneratorOptions options;
    options.n_slots = 1, options.n_ctx = 64;
    const auto whole = run(runner, options, {r})[0].tokens;
    r.other          = whole;
    EXPECT_EQ(run(runner, options, {r})[0].tokens, whole);
    r.other[5] = (whole[5] + 1) % 50;
    EXPECT_EQ(run(runner, options, {r})[0].tokens, std::vector<Token>(whole.begin(), whole.begin() + 6));
}

TEST(Generator, WhatGoesWrongWithOneRequestIsItsError) {
    FakeRunner       runner;
    GeneratorOptions options;
    options.n_slots = 2, options.n_ctx = 32;
    std::vector<GenerationRequest> requests{request(fake_tokens(30), 8), request({}, 4), request(fake_tokens(8), 4)};
    auto                           answers = run(runner, options, requests);
    EXPECT_THAT(answers[0].error, HasSubstr("context_overflow: 30 prompt tokens and 8 more do not fit in 32 cells"));
    EXPECT_THAT(answers[1].error, HasSubstr("no tokens"));
    EXPECT_EQ(answers[0].finish, Finish::error);
    EXPECT_EQ(answers[2].finish, Finish::length);
    runner.poison_position = 9;  // hit by the third only
    answers                = run(runner, options, requests);
    EXPECT_THAT(answers[2].error, HasSubstr("not finite"));
}

TEST(Generator, AnErrorOfTheReceiverEndsTheRun) {
    FakeRunner                           runner;
    GeneratorOptions                     options;
    auto                                 generator = Generator::open(runner, options);
    const std::vector<GenerationRequest> requests(5, request(fake_tokens(5), 2));
    EXPECT_EQ(
        generator->generate(requests, [](size_t, const Generation &) -> Status { return Error{"disk full"}; }).error().message,
        "disk full");
}

TEST(Likelihood, SumsLogProbabilitiesOfTheContinuation) {
    FakeRunner                            runner;
    const auto                            prompt = fake_tokens(9);
    const std::vector<std::vector<Token>> continuations{{4, 7, 1}, {9}, {}};
    for (const size_t n_shared : {size_t{0}, size_t{4}}) {
        GeneratorOptions options;
        options.n_slots = 2, options.n_ctx = 32;
        options.shared.assign(prompt.begin(), prompt.begin() + static_cast<ptrdiff_t>(n_shared));
        auto       generator = Generator::open(runner, options);
        const auto all       = generator->likelihood(prompt, continuations);
        ASSERT_TRUE(all.ok()) << all.error().message;
        for (size_t c = 0; c < continuations.size(); ++c) {
            auto   history  = prompt;
            double expected = 0;
            for (const Token t : continuations[c]) {
                const auto row = FakeRunner::logits(history, 50, 0);
                double     sum = 0;
                for (const float v : row) sum += std::exp(static_cast<double>(v));
                expected += static_cast<double>(row[static_cast<size_t>(t)]) - std::log(sum);
                history.push_back(t);
            }
            EXPECT_NEAR((*all)[c].log_probability, expected, 1e-9);
            EXPECT_EQ((*all)[c].n_tokens, static_cast<int>(continuations[c].size()));
        }
    }
}

TEST(Likelihood, BadRequestsAreErrors) {
    FakeRunner       runner;
    GeneratorOptions options;
    options.n_slots = 1, options.n_ctx = 8;
    const std::vector<std::vector<Token>> one{{1, 2}};
    EXPECT_THAT(Generator::open(runner, options)->likelihood(fake_tokens(3), one).error().message, HasSubstr("two slots"));
    options.n_slots = 2;
    EXPECT_THAT(Generator::open(runner, options)->likelihood({}, one).error().message, HasSubstr("no tokens"));
    EXPECT_THAT(Generator::open(runner, options)->likelihood(fake_tokens(7), one).error().message, HasSubstr("context_overflow"));
}

}  // namespace
}  // namespace kvt
