#include "kvt/tasks/math/grade.h"

#include "kvt/tasks/math/answer.h"
#include "kvt/tasks/math/equiv.h"
#include "kvt/tasks/math/prose.h"
#include "kvt/tasks/text.h"

namespace kvt::tasks {

Verdict grade_math(std::string_view gold, std::string_view response, AnswerLine answer_line) {
    const FinalAnswer answer  = final_answer(response, answer_line);
    const bool        strict  = is_equiv(gold, answer.text);
    const bool        lenient = strict || lenient_equal(gold, answer.text);
    // The stated answer is looked for only where no rule found a box or line of its own.
    const bool algebra = lenient || algebra_equal(gold, answer.text) ||
                         ((answer.rule == "dollar" || answer.rule == "whole") && algebra_equal(gold, stated_answer(response)));
    Verdict verdict;
    verdict.extracted = std::string(answer.text);
    verdict.rule      = std::string(answer.rule);
    verdict.scores    = {{"strict", strict ? 1 : 0}, {"lenient", lenient ? 1 : 0}, {"algebra", algebra ? 1 : 0}};
    if (trimmed(answer.text).empty()) verdict.flags.push_back("no_answer");
    if (answer.unclosed) verdict.flags.push_back("unclosed");
    return verdict;
}

std::string boxed_prompt(std::string_view problem) {
    return std::string(problem) + "\n\nPlease reason step by step, and put your final answer within \\boxed{}.";
}

}  // namespace kvt::tasks
