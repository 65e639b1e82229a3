#include <algorithm>

#include <fmt/format.h>

#include "kvt/base/progress.h"
#include "kvt/base/stopwatch.h"
#include "kvt/harness/answerer.h"

namespace kvt {

// --- Implementation ---

Result<int> slot_cells(const TaskPrompts & prompts, const ModelRunner & model, const AnswerOptions & answers, int n_ctx) {
    int answer = answers.max_new_tokens;
    if (answers.mode == AnswerMode::likelihood) {
        answer = 0;
        for (const TaskItem & item : prompts.items) {
            for (const std::string & text : item.continuations) {
                KVT_TRY(const auto tokens, model.tokenize(text, AddSpecial::parse));
                answer = std::max(answer, static_cast<int>(tokens.size()) + 1);
            }
        }
    }
    const int cells    = n_ctx > 0 ? n_ctx : std::min(prompts.longest + answer, model.n_ctx_train());
    size_t    shortest = SIZE_MAX;
    for (const Prompt & p : prompts.prompts) shortest = std::min(shortest, p.tokens.size());
    if (shortest + static_cast<size_t>(answer) > static_cast<size_t>(cells)) {
        return Error{
            fmt::format("no item fits: the shortest prompt has {} tokens, answers may have {}, and the context has {}; lower "
                        "--max-new-tokens or --shots, or give a larger --ctx",
                        shortest, answer, cells)};
    }
    return cells;
}

const char * answer_mode_name(AnswerMode mode) { return mode == AnswerMode::generate ? "generate" : "likelihood"; }

namespace {

class EngineAnswerer final : public Answerer {
public:
    EngineAnswerer(ModelRunner & runner, Generator generator, size_t n_slots)
        : runner_(runner), generator_(std::move(generator)), n_slots_(n_slots) {}

    size_t group_size() const override { return n_slots_ == 1 ? 1 : n_slots_ * kGroupPerSlot; }

    Status answer(std::span<const Question> questions, const AnswerOptions & options, const Done & done) override {
        return options.mode == AnswerMode::generate ? generate(questions, options, done) : weigh(questions, done);
    }

private:
    Status generate(std::span<const Question> questions, const AnswerOptions & options, const Done & done) {
        std::vector<GenerationRequest> requests;
        for (const Question & q : questions) {
            GenerationRequest r;
            r.prompt         = q.prompt->tokens;
            r.max_new_tokens = options.max_new_tokens;
            r.stops          = options.stops;
            r.sampling       = options.sampling;
            r.seed           = q.seed;
            requests.push_back(std::move(r));
        }
        return generator_.generate(requests, [&](size_t i, Generation g) {
            Answer a;
            a.text            = std::move(g.text);
            a.finish          = finish_name(g.finish);
            a.error           = std::move(g.error);
            a.prompt_tokens   = static_cast<int>(requests[i].prompt.size());
            a.new_tokens      = static_cast<int>(g.tokens.size());
            a.prefill_seconds = g.prefill_seconds;
            a.decode_seconds  = g.decode_seconds;
            return done(i, std::move(a));
        });
    }

    // The tokens of a continuation are those that the whole text has more than the prompt. Where the border itself is tokenized
    // otherwise, the continuation begins at the first token that differs, and so does `prompt`.
    Result<std::vector<Token>> continuation_tokens(const Prompt & prompt, const std::string & text, size_t & border) const {
        KVT_TRY(const auto whole, runner_.tokenize(prompt.text + text, AddSpecial::parse));
        const size_t n = std::min({whole.size(), prompt.tokens.size(), border});
        const auto   differ =
            std::mismatch(prompt.tokens.begin(), prompt.tokens.begin() + static_cast<ptrdiff_t>(n), whole.begin()).first;
        border = static_cast<size_t>(differ - prompt.tokens.begin());
        return whole;
    }

    Result<Answer> weigh_one(const Question & q) {
        Answer a;
        a.finish        = "likelihood";
        a.prompt_tokens = static_cast<int>(q.prompt->tokens.size());
        const Stopwatch                 watch;
        size_t                          border = q.prompt->tokens.size();
        std::vector<std::vector<Token>> wholes, rests;
        for (const std::string & text : q.item->continuations) {
            KVT_TRY(auto whole, continuation_tokens(*q.prompt, text, border));
            wholes.push_back(std::move(whole));
        }
        for (const auto & whole : wholes) rests.emplace_back(whole.begin() + static_cast<ptrdiff_t>(border), whole.end());
        KVT_TRY(a.likelihoods, generator_.likelihood(std::span(q.prompt->tokens).first(border), rests));
        a.prefill_seconds = watch.seconds();
        return a;
    }

    Status weigh(std::span<const Question> questions, const Done & done) {
        for (size_t i = 0; i < questions.size(); ++i) {
            auto answer = weigh_one(questions[i]);
            if (interrupted()) return Error{"interrupted"};
            if (!answer.ok()) {
                Answer failed;
                failed.finish = finish_name(Finish::error);
                failed.error  = answer.error().message;
                answer        = std::move(failed);
            }
            KVT_CHECK_OK(done(i, std::move(*answer)));
        }
        return ok_status();
    }

    ModelRunner & runner_;
    Generator     generator_;
    size_t        n_slots_;
};

}  // namespace

Result<std::unique_ptr<Answerer>> engine_answerer(ModelRunner & runner, const GeneratorOptions & options) {
    KVT_TRY(Generator generator, Generator::open(runner, options));
    return std::unique_ptr<Answerer>(
        std::make_unique<EngineAnswerer>(runner, std::move(generator), static_cast<size_t>(options.n_slots)));
}

}  // namespace kvt
