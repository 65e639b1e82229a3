// kvtuner eval as a user runs it: the real program on the tiny model, good and bad input.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

const std::string kData  = std::string(KVT_TEST_ROOT) + "/data/stories260K/";
const std::string kModel = kData + "stories260K-hd64-f32.gguf";
const std::string kText  = kData + "selfgen-corpus.txt";

struct Outcome {
    int         code = 0;
    std::string out, err;
};

std::string slurp(const std::string & path) {
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
}

std::string temp(const std::string & name) {
    return ::testing::TempDir() + "kvt_eval_" + std::to_string(::getpid()) + "_" + name;
}

// Runs the program; with `interrupt_after` seconds it gets a SIGINT then.
Outcome kvtuner(std::vector<std::string> arguments, double interrupt_after = 0) {
    const std::string out = temp("out"), err = temp("err");
    const pid_t       child = ::fork();
    if (child == 0) {
        if (std::freopen(out.c_str(), "w", stdout) == nullptr || std::freopen(err.c_str(), "w", stderr) == nullptr) ::_exit(120);
        std::vector<char *> argv{const_cast<char *>(KVT_TEST_PROGRAM)};
        for (std::string & a : arguments) argv.push_back(a.data());
        argv.push_back(nullptr);
        ::execv(KVT_TEST_PROGRAM, argv.data());
        ::_exit(121);
    }
    if (interrupt_after > 0) {
        ::usleep(static_cast<useconds_t>(interrupt_after * 1e6));
        ::kill(child, SIGINT);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    Outcome o{WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), slurp(out), slurp(err)};
    ::unlink(out.c_str());
    ::unlink(err.c_str());
    return o;
}

std::vector<std::string> eval(const char * what, std::vector<std::string> more) {
    std::vector<std::string> all{"eval", what, "-m", kModel, "--text", kText, "--ctx", "128", "-t", "1"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
}

TEST(EvalCommand, KldAsTableAndAsJson) {
    const std::string file  = temp("record.json");
    const auto        table = kvtuner(eval("kld", {"--plan", "kivi:KV8", "--plan", "kivi:KV2", "--chunks", "9", "-o", file}));
    ASSERT_EQ(table.code, 0) << table.err;
    EXPECT_THAT(table.out,
                AllOf(HasSubstr("kivi:KV8"), HasSubstr("noise floor Fk"), HasSubstr("567 tokens scored in 9 chunks of 128")));
    const auto json = kvtuner(eval("kld", {"--plan", "kivi:KV8", "--plan", "kivi:KV2", "--chunks", "9", "--json"}));
    ASSERT_EQ(json.code, 0) << json.err;
    const auto record = nlohmann::json::parse(json.out);
    EXPECT_EQ(record["schema"], "kvtuner.eval.kld");
    EXPECT_LT(record["plans"][0]["kld"]["mean"]["value"], record["plans"][1]["kld"]["mean"]["value"]);
    EXPECT_EQ(nlohmann::json::parse(slurp(file)), record) << "the same command gives the same record";
    EXPECT_THAT(json.err, Not(HasSubstr("llama")));
    ::unlink(file.c_str());
}

TEST(EvalCommand, PplAndBaseFile) {
    const auto ppl = kvtuner(eval("ppl", {"--plan", "per-token:KV8", "--chunks", "4"}));
    ASSERT_EQ(ppl.code, 0) << ppl.err;
    EXPECT_THAT(ppl.out, AllOf(HasSubstr("f16 (stock)"), HasSubstr("per-token:KV8")));
    const auto base = kvtuner({"eval", "kld", "-m", kModel, "-t", "1", "--logits-base", kData + "ref/hd64_f16_c128_4chunks.kld"});
    ASSERT_EQ(base.code, 0) << base.err;
    EXPECT_THAT(base.out, AllOf(HasSubstr("f16 (stock)"), HasSubstr("3.2233"), HasSubstr("rule: compat")));
}

// Calibrate, make a plan, measure it; then the same with a calibration that is not what it was.
TEST(EvalCommand, PlansWithTransforms) {
    const std::string calibration = temp("all.safetensors"), plan = temp("rotated.json"), beside = temp("rotated.safetensors");
    const std::vector<std::string> calibrate{"calibrate", "-m", kModel, "--calibration-text", kText,
                                             "-t",        "1",  "-o",   calibration};
    const auto                     made = kvtuner(calibrate);
    ASSERT_EQ(made.code, 0) << made.err;
    EXPECT_THAT(made.out, AllOf(HasSubstr("wrote " + calibration), HasSubstr("good for 512 positions")));
    const auto written = kvtuner({"plan", "make", "rotated:KV4", "-m", kModel, "--calibration", calibration, "-o", plan});
    ASSERT_EQ(written.code, 0) << written.err;

    const auto json = kvtuner(eval("kld", {"-p", plan, "-p", "rotated:KV4", "--calibration", calibration, "-p", "per-token:KV4",
                                           "--chunks", "9", "--json"}));
    ASSERT_EQ(json.code, 0) << json.err;
    const auto plans = nlohmann::json::parse(json.out)["plans"];
    EXPECT_EQ(plans[0]["kld"], plans[1]["kld"]) << "the plan's own file holds the same transforms";
    EXPECT_LT(plans[0]["kld"]["mean"]["value"], plans[2]["kld"]["mean"]["value"].get<double>() / 10);

    const auto refused = [](const std::vector<std::string> & arguments) {
        const auto o = kvtuner(arguments);
        EXPECT_EQ(o.code, 1) << o.out;
        return o.err;
    };
    EXPECT_THAT(refused(eval("kld", {"-p", "rotated:KV4", "--chunks", "9"})),
                HasSubstr("\"rotated:KV4\" needs a calibration: make one with kvtuner calibrate and give it with --calibration"));
    EXPECT_THAT(refused(eval("kld", {"-p", "rotated:KV4", "--calibration", kText, "--chunks", "9"})),
                HasSubstr("not a safetensors file"));
    std::fstream(beside, std::ios::in | std::ios::out | std::ios::binary).seekp(5000) << "damage";
    EXPECT_THAT(refused(eval("kld", {"-p", plan, "--chunks", "9"})), HasSubstr("is not the one the plan was made with"));
    ::unlink(beside.c_str());
    EXPECT_THAT(refused(eval("kld", {"-p", plan, "--chunks", "9"})), HasSubstr("cannot read \"" + beside + "\""));

    std::vector<std::string> fewer = calibrate;
    fewer.insert(fewer.end(), {"--positions", "256"});
    EXPECT_THAT(refused(fewer), HasSubstr("was made from other inputs"));
    fewer.push_back("--fresh");
    EXPECT_EQ(kvtuner(fewer).code, 0);
    EXPECT_THAT(
        refused({"eval", "kld", "-m", kModel, "--text", kText, "-t", "1", "-p", "rotated:KV4", "--calibration", calibration}),
        HasSubstr("calibrated for 256 positions, the cache has 512 cells"));
    for (const auto & path : {calibration, plan}) ::unlink(path.c_str());
}

TEST(EvalCommand, BadInputIsOneMessageAndNoFile) {
    const std::string empty = temp("empty.txt"), brief = temp("brief.txt"), garbage = temp("plan.json"),
                      record = temp("none.json");
    std::ofstream{empty};
    std::ofstream(brief) << "Once upon a time.";
    std::ofstream(garbage) << "{\"schema\": 7";
    struct Case {
        std::vector<std::string> arguments;
        std::string              says;
    };
    const std::vector<Case> cases{
        {{"eval", "kld", "-m", "/nowhere.gguf", "-p", "f16"}, "/nowhere.gguf"},
        {{"eval", "kld", "-m", kText, "-p", "f16"}, "not a GGUF file"},
        {{"eval", "kld", "-m", kModel, "-p", "f16", "--text", "/nowhere.txt"}, "/nowhere.txt"},
        {{"eval", "kld", "-m", kModel, "-p", "f16", "--text", empty}, "is empty"},
        {{"eval", "kld", "-m", kModel, "-p", "f16", "--text", brief}, "at least 1024 are needed"},
        {{"eval", "ppl", "-m", kModel, "--text", brief}, "at least 1024 are needed"},
        {{"eval", "kld", "-m", kModel, "--text", kText}, "--plan"},
        {eval("kld", {"-p", "kivi:K7V2"}), "K7V2"},
        {eval("kld", {"-p", "/nowhere.json"}), "/nowhere.json"},
        {eval("kld", {"-p", garbage}), garbage},
        {{"eval", "kld", "-m", kModel, "-p", "f16", "--text", kText, "--ctx", "1024"}, "trained on"},
        {eval("kld", {"-p", "f16", "--chunks", "1"}), "at least 100 are needed"},
        {eval("kld", {"-p", "f16", "--plugin", "/nowhere.so"}), "/nowhere.so"},
        {eval("kld", {"-p", "f16", "--chunks", "9", "-o", "/nowhere/record.json"}), "/nowhere/record.json"},
        {{"eval", "kld", "-m", kModel, "--logits-base", kText}, "not a base file"},
    };
    for (const Case & c : cases) {
        const auto o = kvtuner(c.arguments);
        EXPECT_EQ(o.code, 1) << c.says << ": " << o.err;
        EXPECT_THAT(o.err, AllOf(HasSubstr("kvtuner:"), HasSubstr(c.says)));
        EXPECT_EQ(o.out, "") << c.says;
    }
    EXPECT_EQ(kvtuner(eval("kld", {"-p", "f16", "--chunks", "-3"})).code, 2);
    EXPECT_EQ(kvtuner({"eval"}).code, 2);
    EXPECT_FALSE(std::ifstream(record).good());
    for (const auto & path : {empty, brief, garbage}) ::unlink(path.c_str());
}

TEST(EvalCommand, CtrlCEndsItWithoutAFile) {
    const std::string record = temp("interrupted.json");
    const auto o = kvtuner(eval("kld", {"-p", "kivi:KV4", "-p", "kivi:KV2", "--decode", "--chunks", "150", "-o", record}), 0.7);
    EXPECT_EQ(o.code, 130) << o.out << o.err;
    EXPECT_THAT(o.err, HasSubstr("interrupted"));
    EXPECT_FALSE(std::ifstream(record).good());
}

}  // namespace
