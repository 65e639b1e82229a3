#include "kvt/tasks/code/lcb_problem.h"

#include <fmt/format.h>

#include "kvt/tasks/code/lcb_window.h"
#include "kvt/tasks/code/packed_text.h"

namespace kvt {

namespace {

using nlohmann::json;

class TestReader {
public:
    TestReader(const JsonRow & row, LcbProblem & problem) : row_(row), problem_(problem) {}

    Status add(const char * field, std::string_view text) {
        const json list = json::parse(text, nullptr, false);
        if (!list.is_array()) return bad(fmt::format("{} is not a JSON list", field));
        for (size_t i = 0; i < list.size(); ++i) {
            const json & test = list[i];
            const auto   is   = [&test](const char * key) { return test.contains(key) && test[key].is_string(); };
            if (!test.is_object() || !is("input") || !is("output") || !is("testtype"))
                return bad(fmt::format("test {} of {} has no texts input, output and testtype", i, field));
            const auto & kind = test["testtype"].get_ref<const std::string &>();
            if (kind != "stdin" && kind != "functional")
                return bad(fmt::format("test {} of {} has testtype \"{}\"", i, field, kind));
            problem_.tests.push_back({kind == "stdin" ? LcbTest::Kind::standard_io : LcbTest::Kind::functional,
                                      test["input"].get<std::string>(), test["output"].get<std::string>()});
        }
        return ok_status();
    }

    Status functions(std::string_view metadata) {
        const json facts = json::parse(metadata, nullptr, false);
        if (!facts.is_object()) return bad("metadata is not a JSON object");
        if (facts.contains("func_name") && facts["func_name"].is_string())
            problem_.function = facts["func_name"].get<std::string>();
        if (problem_.tests.empty()) return bad("it has no tests");
        for (const LcbTest & test : problem_.tests) {
            if (test.kind == LcbTest::Kind::functional && problem_.function.empty())
                return bad("it has functional tests, and its metadata has no func_name");
        }
        return ok_status();
    }

    Error bad(std::string_view what) const {
        return Error{fmt::format("{}: question {}: {}", row_.where, problem_.head.id, what)};
    }

private:
    const JsonRow & row_;
    LcbProblem &    problem_;
};

}  // namespace

std::string_view test_kind_name(LcbTest::Kind kind) { return kind == LcbTest::Kind::functional ? "functional" : "stdin"; }

Result<LcbHead> lcb_head(const JsonRow & row) {
    LcbHead head;
    KVT_TRY(head.id, row.text("question_id"));
    KVT_TRY(head.date, row.text("contest_date"));
    KVT_TRY(head.difficulty, row.text("difficulty"));
    KVT_TRY(head.platform, row.text("platform"));
    if (head.id.empty()) return Error{fmt::format("{}: question_id is empty", row.where)};
    if (!is_contest_date(head.date))
        return Error{fmt::format("{}: question {}: contest_date \"{}\" is not a date", row.where, head.id, head.date)};
    return head;
}

Result<LcbProblem> lcb_problem(const JsonRow & row) {
    LcbProblem problem;
    KVT_TRY(problem.head, lcb_head(row));
    KVT_TRY(problem.statement, row.text("question_content"));
    KVT_TRY(problem.starter_code, row.text("starter_code"));
    KVT_TRY(const std::string public_tests, row.text("public_test_cases"));
    KVT_TRY(problem.private_tests, row.text("private_test_cases"));
    KVT_TRY(const std::string metadata, row.text("metadata"));
    for (const char * field : {"question_title", "contest_id"}) KVT_CHECK_OK(row.text(field));

    TestReader reader(row, problem);
    if (!problem.private_tests.starts_with('[')) {
        auto text = unpack_text(problem.private_tests);
        if (!text.ok()) return reader.bad(fmt::format("private_test_cases: {}", text.error().message));
        problem.private_tests = std::move(*text);
    }
    KVT_CHECK_OK(reader.add("public_test_cases", public_tests));
    KVT_CHECK_OK(reader.add("private_test_cases", problem.private_tests));
    KVT_CHECK_OK(reader.functions(metadata));
    return problem;
}

}  // namespace kvt
