// kvtuner eval as a user runs it: the real program on the tiny model, good and bad input.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
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

TEST(EvalCommand, SeveralContextsAndErrorByPosition) {
    const auto both = kvtuner({"eval", "kld", "-m", kModel, "--text", kText, "-t", "1", "-p", "kivi:KV4", "--ctx", "64,128",
                               "--chunks", "9", "--no-floors", "--json"});
    ASSERT_EQ(both.code, 0) << both.err;
    const auto records = nlohmann::json::parse(both.out);
    ASSERT_EQ(records.size(), 2u);
    EXPECT_EQ(records[0]["settings"]["n_ctx"], 64);
    EXPECT_EQ(records[1]["settings"]["n_ctx"], 128);
    const auto bins = records[1]["plans"][0]["by_position"];
    ASSERT_EQ(bins.size(), 8u);
    EXPECT_EQ(bins[0]["first"], 64);
    EXPECT_EQ(bins[7]["last"], 126);
    double sum = 0;
    for (const auto & bin : bins) sum += bin["kld"].get<double>() * (bin["last"].get<int>() - bin["first"].get<int>() + 1);
    EXPECT_NEAR(sum / 63, records[1]["plans"][0]["kld"]["mean"]["value"].get<double>(), 1e-9);
    const auto text = kvtuner({"eval", "kld", "-m", kModel, "--text", kText, "-t", "1", "-p", "kivi:KV4", "--ctx", "64,128",
                               "--chunks", "9", "--no-floors", "--decode"});
    EXPECT_THAT(text.out, AllOf(HasSubstr("chunks of 64, decode mode"), HasSubstr("chunks of 128, decode mode"),
                                HasSubstr("KLD by position"), HasSubstr("64-70")));
}

TEST(EvalCommand, Agreement) {
    const std::string prompts = temp("prompts.txt"), file = temp("agreement.json");
    std::ofstream(prompts) << "Once upon a time\n\nTom had a red car that\n";
    const std::vector<std::string> run{"eval", "agreement", "-m", kModel, "-t", "1", "-p", "kivi:KV2", "-l", "32", "-n", "8"};
    auto                           more = run;
    more.insert(more.end(), {"--prompt-tokens", "16", "-o", file});
    const auto text = kvtuner(more);
    ASSERT_EQ(text.code, 0) << text.err;
    EXPECT_THAT(text.out, AllOf(HasSubstr("f16 (plugin)"), HasSubstr("kivi:KV2"),
                                HasSubstr("32 generated greedily after each of 8 prompts")));
    const auto record = nlohmann::json::parse(slurp(file));
    EXPECT_EQ(record["plans"][0]["share_equal"], 1.0) << "the floor on an f32 model";
    EXPECT_LT(record["plans"][1]["mean"], 32);
    more = run;
    more.insert(more.end(), {"--prompts", prompts, "--json"});
    const auto json = kvtuner(more);
    ASSERT_EQ(json.code, 0) << json.err;
    EXPECT_EQ(nlohmann::json::parse(json.out)["settings"]["n_prompts"], 2);
    EXPECT_THAT(json.out, HasSubstr("holds 2 prompts, fewer than the 8 asked for"));
    EXPECT_THAT(json.err, Not(HasSubstr("KVT:"))) << "the plugin has nothing to say about reference sessions";
    EXPECT_THAT(kvtuner({"eval", "agreement", "-m", kModel, "-p", "kivi:KV2", "-l", "4000"}).err,
                HasSubstr("the model was trained on"));
    for (const auto & path : {prompts, file}) ::unlink(path.c_str());
}

// A record as kvtuner writes it, with one item that is right where `right` says so.
std::string record_text(const std::string & plan, const std::string & right) {
    using Json = nlohmann::ordered_json;
    std::string text =
        Json{{"schema", "kvtuner.eval.task"}, {"schema_version", 1}, {"task", "fake"}, {"plan", {{"name", plan}}}}.dump() + "\n";
    for (size_t i = 0; i < right.size(); ++i) {
        const bool ok = right[i] == '1';
        text += Json{{"item", std::to_string(i)},
                     {"sample", 0},
                     {"seed", 1},
                     {"prompt_tokens", 5},
                     {"new_tokens", 3},
                     {"finish", "eog"},
                     {"prompt_sha256", "p"},
                     {"response", ok ? "yes" : "no"},
                     {"extracted", ok ? "yes" : "no"},
                     {"rule", "all"},
                     {"gold", "yes"},
                     {"scores", {{"exact", ok ? 1.0 : 0.0}}},
                     {"flags", Json::array()},
                     {"error", ""},
                     {"prefill_seconds", 0.1},
                     {"decode_seconds", 0.2}}
                    .dump() +
                "\n";
    }
    return text + Json{{"summary", {{"n_items", right.size()}, {"scores", {{"exact", {{"mean", 0.5}, {"se", 0.1}}}}}}}}.dump() +
           "\n";
}

TEST(EvalCommand, CompareTwoRecords) {
    const std::string a = temp("a.jsonl"), b = temp("b.jsonl"), c = temp("c.jsonl");
    std::ofstream(a) << record_text("f16 (stock)", "111100");
    std::ofstream(b) << record_text("kivi:KV2", "110001");
    std::ofstream(c) << record_text("kivi:KV4", "11110");
    const auto text = kvtuner({"eval", "compare", a, b});
    ASSERT_EQ(text.code, 0) << text.err;
    EXPECT_THAT(text.out, AllOf(HasSubstr("difference -16.67 points"), HasSubstr("right only in the reference 2, only here 1"),
                                HasSubstr("3 answers changed their verdict")));
    const auto json = kvtuner({"eval", "compare", a, b, "--json", "--margin", "99"});
    ASSERT_EQ(json.code, 0) << json.err;
    const auto comparison = nlohmann::json::parse(json.out);
    EXPECT_EQ(comparison["schema"], "kvtuner.eval.comparison");
    EXPECT_EQ(comparison["scores"]["exact"]["equivalent"], true);
    EXPECT_EQ(comparison["flips"].size(), 3u);
    const auto unequal = kvtuner({"eval", "compare", a, c});
    EXPECT_EQ(unequal.code, 1);
    EXPECT_THAT(unequal.err, HasSubstr("lacks item 5"));
    EXPECT_THAT(kvtuner({"eval", "compare", a, kText}).err, HasSubstr("line 1"));
    EXPECT_EQ(kvtuner({"eval", "compare", a}).code, 2);
    for (const auto & path : {a, b, c}) ::unlink(path.c_str());
}

TEST(EvalCommand, TasksThatCannotRun) {
    const auto refused = [](std::vector<std::string> more) {
        std::vector<std::string> all{"eval", "nosuchtask"};
        all.insert(all.end(), more.begin(), more.end());
        const auto o = kvtuner(all);
        EXPECT_EQ(o.code, 1) << o.out;
        EXPECT_EQ(o.out, "");
        return o.err;
    };
    EXPECT_THAT(refused({"-m", kModel}), HasSubstr("nosuchtask"));
    EXPECT_THAT(refused({}), HasSubstr("give -m MODEL, or --server URL"));
    EXPECT_THAT(refused({"--server", "http://127.0.0.1:1", "-m", kModel, "-p", "f16"}),
                HasSubstr("--plan and --server exclude each other"));
    EXPECT_THAT(refused({"--server", "http://127.0.0.1:1", "--likelihood"}), HasSubstr("exclude each other"));
    EXPECT_THAT(refused({"-m", kModel, "-p", "kivi:K7V2"}), HasSubstr("K7V2"));
    EXPECT_EQ(kvtuner({"eval", "nosuchtask", "-m", kModel, "--top-p", "0"}).code, 2);
    EXPECT_EQ(kvtuner({"eval", "nosuchtask", "-m", kModel, "--samples", "0"}).code, 2);
    EXPECT_EQ(kvtuner({"eval", "nosuchtask", "-m", kModel, "--temperature", "-1"}).code, 2);
    EXPECT_FALSE(std::filesystem::exists("kvtuner-eval")) << "nothing is made before the input is known to be good";
}

TEST(EvalCommand, CtrlCEndsItWithoutAFile) {
    const std::string record = temp("interrupted.json");
    const auto o = kvtuner(eval("kld", {"-p", "kivi:KV4", "-p", "kivi:KV2", "--decode", "--chunks", "150", "-o", record}), 0.7);
    EXPECT_EQ(o.code, 130) << o.out << o.err;
    EXPECT_THAT(o.err, HasSubstr("interrupted"));
    EXPECT_FALSE(std::ifstream(record).good());
}

}  // namespace
