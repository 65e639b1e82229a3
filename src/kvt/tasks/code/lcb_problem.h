// One problem of LiveCodeBench: a row of its files with the tests decoded.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kvt/base/result.h"
#include "kvt/tasks/json_lines.h"

namespace kvt {

// --- Interface ---

struct LcbTest {
    enum class Kind : uint8_t { standard_io, functional };
    Kind        kind = Kind::standard_io;
    std::string input, output;
};

// What a window needs to know of a row, without its tests.
struct LcbHead {
    std::string id, date, difficulty, platform;
};

struct LcbProblem {
    LcbHead              head;
    std::string          statement, starter_code;
    std::string          function;       // of functional tests
    std::vector<LcbTest> tests;          // public, then private
    std::string          private_tests;  // the same private tests as JSON text
};

// Errors name place and field; a date that is none names the question too.
Result<LcbHead> lcb_head(const JsonRow & row);

// Errors, with the question's id: private tests that cannot be unpacked (packed_text.h), test lists that are not as they should
// be, an unknown test type, functional tests without func_name, no tests.
Result<LcbProblem> lcb_problem(const JsonRow & row);

std::string_view test_kind_name(LcbTest::Kind kind);  // "stdin", "functional"

}  // namespace kvt
