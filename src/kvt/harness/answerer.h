// Who answers the prompts of a task: the engine under one plan, or a server.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kvt/base/result.h"
#include "kvt/harness/generator.h"
#include "kvt/harness/prompt.h"

namespace kvt {

// --- Interface ---

// generate: the model's own words. likelihood: how probable it finds the item's continuations.
enum class AnswerMode : uint8_t { generate, likelihood };
const char * answer_mode_name(AnswerMode mode);  // "generate", "likelihood"

struct Question {
    const TaskItem * item   = nullptr;
    const Prompt *   prompt = nullptr;
    uint32_t         seed   = 0;
};

struct AnswerOptions {
    AnswerMode               mode = AnswerMode::generate;
    Sampling                 sampling;
    std::vector<std::string> stops;
    int                      max_new_tokens = 0;
};

struct Answer {
    std::string             text, finish, error;  // bytes; finish_name(), or "likelihood"
    int                     prompt_tokens = 0, new_tokens = 0;
    std::vector<Likelihood> likelihoods;  // one per continuation
    double                  prefill_seconds = 0, decode_seconds = 0;
};

// Cells that a slot needs for the longest prompt and answer, at most what the model was trained on; `n_ctx` if that is not 0.
// Errors: not even the shortest prompt leaves room for an answer.
Result<int> slot_cells(const TaskPrompts & prompts, const ModelRunner & model, const AnswerOptions & answers, int n_ctx);

class Answerer {
public:
    virtual ~Answerer() = default;

    // Called once per question, in the order in which answers are complete; an Error of its own ends the run.
    using Done = std::function<Status(size_t question, Answer)>;
    // What goes wrong with one question is its Answer's error. Errors: "interrupted", what `done` returns, a server that is gone.
    virtual Status answer(std::span<const Question> questions, const AnswerOptions & options, const Done & done) = 0;

    // Questions that are answered side by side and whose answers depend on each other by rounding: those of one group are always
    // asked together and in the same order, also when some are known already. 1: each stands for itself.
    virtual size_t group_size() const = 0;
};

// Groups hold so many questions for every slot: enough that slots seldom stand idle, few enough that taking up an unfinished run
// repeats little.
inline constexpr size_t kGroupPerSlot = 8;

// `runner` must outlive the answerer. Errors: those of Generator::open.
Result<std::unique_ptr<Answerer>> engine_answerer(ModelRunner & runner, const GeneratorOptions & options);

}  // namespace kvt
