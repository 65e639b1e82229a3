// LiveCodeBench through the real sandbox: the sample's ten verdicts, both kinds of tests, every way to fail.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "kvt/base/file_io.h"
#include "kvt/tasks/json_lines.h"
#include "kvt/tasks/code/lcb_run.h"
#include "kvt/tasks/code/livecodebench.h"
#include "support/sandbox.h"

namespace kvt {
namespace {

const std::string kFolder = std::string(KVT_TEST_ROOT) + "/data/livecodebench/";

TEST(LiveCodeBenchRun, TenVerdictsOfTheSampleAgree) {
    KVT_SANDBOX_OR_SKIP(sandbox);
    TaskOptions o;
    o.name                 = "livecodebench";
    o.data                 = {kFolder + "sample.jsonl"};
    o.allow_code_execution = true;
    const auto task        = open_livecodebench(o);
    ASSERT_TRUE(task.ok()) << task.error().message;
    const std::vector<std::string> verdicts{"0", "-2", "0", "-4", "-3", "0", "0", "-4", "0", "0"};  // what `why` says of each row
    auto                           lines = JsonLines::open(kFolder + "responses.jsonl");
    ASSERT_TRUE(lines.ok());
    for (const std::string & expected : verdicts) {
        const auto row = lines->next();
        ASSERT_TRUE(row.ok() && row->has_value());
        const std::string id    = *(*row)->text("question_id");
        int               index = 0;
        while ((*task)->item(index)->id != id) ++index;
        const Verdict v = (*task)->score(index, *(*row)->text("response"));
        ASSERT_EQ(v.scores.size(), 1u) << v.error;
        EXPECT_EQ(v.scores[0].second == 1.0, (*row)->object["expect_pass"].get<bool>()) << (*row)->object.dump();
        EXPECT_THAT(v.flags, ::testing::Contains("verdict=" + expected)) << (*row)->object.dump();
    }
    EXPECT_FALSE(lines->next()->has_value());
}

LcbProblem stdin_problem(const std::string & input, const std::string & output) {
    LcbProblem p;
    p.head.id = "q";
    p.tests   = {{LcbTest::Kind::standard_io, input, output}};
    return p;
}

LcbProblem functional_problem(const std::string & input, const std::string & output) {
    LcbProblem p    = stdin_problem(input, output);
    p.function      = "f";
    p.tests[0].kind = LcbTest::Kind::functional;
    return p;
}

TEST(LiveCodeBenchRun, ProgramsThatReadStandardInput) {
    KVT_SANDBOX_OR_SKIP(sandbox);
    const LcbProblem p = stdin_problem("3\n1 2 3\n", "6\n");
    const struct {
        std::string program;
        CodeVerdict verdict;
    } cases[] = {
        {"input(); print(sum(map(int, input().split())))", CodeVerdict::passed},
        {"import sys\ndata = sys.stdin.buffer.read().split()\nsys.stdout.write(str(sum(map(int, data[1:]))))\nsys.exit(3)",
         CodeVerdict::passed},
        {"print(6)\nexit()", CodeVerdict::passed},
        {"print(Counter([1])[1] + gcd(10, 5))", CodeVerdict::passed},  // upstream's imports are there
        {"def main():\n    print(6)\nif __name__ == '__main__':\n    main()", CodeVerdict::passed},
        {"import threading, sys\nt = threading.Thread(target=lambda: print(6)); t.start(); t.join()", CodeVerdict::passed},
        {"from dataclasses import dataclass\n@dataclass\nclass A:\n    x: int\nprint(A(6).x)", CodeVerdict::passed},
        {"def deep(n): return 0 if n == 0 else 1 + deep(n - 1)\nprint(6 if deep(20000) else 0)", CodeVerdict::passed},
        {"print(7)", CodeVerdict::wrong},
        {"print(6); print(6)", CodeVerdict::wrong},
        {"print(6); raise ValueError(1)", CodeVerdict::failed},
        {"print(6", CodeVerdict::failed},
        {"", CodeVerdict::wrong},
        {std::string("print('\0')", 10), CodeVerdict::failed},
        {"import time; time.sleep(99)", CodeVerdict::time_limit},
        {"while True: print('x' * 100000)", CodeVerdict::wrong},
        {"x = bytearray(10 << 30); print(6)", CodeVerdict::failed},
        {"import urllib.request as u; u.urlopen('http://127.0.0.1:1'); print(6)", CodeVerdict::failed},
    };
    for (const auto & c : cases) {
        const auto run = run_lcb(*sandbox, p, c.program, 4);
        ASSERT_TRUE(run.ok()) << run.error().message;
        EXPECT_EQ(run->verdict, c.verdict) << c.program;
        EXPECT_EQ(run->test, c.verdict == CodeVerdict::passed ? -1 : 0);
    }
}

TEST(LiveCodeBenchRun, FunctionsThatReturnAValue) {
    KVT_SANDBOX_OR_SKIP(sandbox);
    const auto solution = [](const std::string & value) {
        return "class Solution:\n    def f(self, *a):\n        return " + value;
    };
    const struct {
        std::string output, program;
        CodeVerdict verdict;
    } cases[] = {
        {"[1, 2]", solution("[1, 2]"), CodeVerdict::passed},
        {"[1, 2]", solution("(1, 2)"), CodeVerdict::passed},      // a tuple counts at the top
        {"[[1], 2]", solution("[(1,), 2]"), CodeVerdict::wrong},  // and only there
        {"5", solution("5.0"), CodeVerdict::passed},
        {"true", solution("1"), CodeVerdict::passed},
        {"0.1", solution("0.1"), CodeVerdict::passed},
        {"0.3", solution("0.1 + 0.2"), CodeVerdict::wrong},  // Python's own equality
        {"100000000000000000000000000000", solution("10 ** 29"), CodeVerdict::passed},
        {"100000000000000000000000000000", solution("1e29"), CodeVerdict::wrong},  // the double is another number
        {"NaN", solution("float('nan')"), CodeVerdict::wrong},
        {"\"a\"", solution("'a'"), CodeVerdict::passed},
        {"\"1\"", solution("1"), CodeVerdict::wrong},
        {"{\"1\": 2, \"0\": 3}", solution("{'0': 3, '1': 2}"), CodeVerdict::passed},
        {"{\"1\": 2}", solution("{1: 2}"), CodeVerdict::wrong},
        {"null", solution("None"), CodeVerdict::passed},
        {"[]", solution("set()"), CodeVerdict::wrong},
        {"6", "def f(a, b):\n    print('noise')\n    return a + len(b)", CodeVerdict::passed},  // a function without a class
        {"6", "class Solution:\n    def g(self): return 6", CodeVerdict::failed},
        {"6", "def f(a, b):\n    exit()", CodeVerdict::failed},
        {"6", "def f(a, b):\n    while True: pass", CodeVerdict::time_limit},
        {"6", "def f(a): return 6", CodeVerdict::failed},
        {"6", "class E(int):\n    def __eq__(self, o): return True\ndef f(a, b): return E(7)", CodeVerdict::wrong},
    };
    for (const auto & c : cases) {
        const auto run = run_lcb(*sandbox, functional_problem("4\n[1, 2]", c.output), c.program, 4);
        ASSERT_TRUE(run.ok()) << run.error().message;
        EXPECT_EQ(run->verdict, c.verdict) << c.output << " | " << c.program;
    }
    const auto bad = run_lcb(*sandbox, functional_problem("4", "not json"), "def f(a): return 1");
    ASSERT_FALSE(bad.ok());
    EXPECT_EQ(bad.error().message, "question q: the output of test 0 is not JSON");
}

TEST(LiveCodeBenchRun, StopsAtTheFirstFailure) {
    KVT_SANDBOX_OR_SKIP(sandbox);
    LcbProblem p = stdin_problem("1", "1");
    p.tests.push_back({LcbTest::Kind::standard_io, "2", "2"});
    p.tests.push_back({LcbTest::Kind::standard_io, "3", "3"});
    const auto run = run_lcb(*sandbox, p, "n = int(input()); print(n if n < 2 else 0)");
    ASSERT_TRUE(run.ok());
    EXPECT_EQ(run->verdict, CodeVerdict::wrong);
    EXPECT_EQ(run->test, 1);
}

}  // namespace
}  // namespace kvt
