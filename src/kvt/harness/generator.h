// Lets a model answer many prompts under one KV cache plan: several sequences in one context, a slot taken up again as soon as
// its answer is complete, the common start of all prompts computed once and copied.
//
// Every slot has cells of its own, so no format mixes sequences. An answer may still depend, by rounding, on which others run
// beside it (matrix products of other shapes round differently); the same list of requests always gives the same answers.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "kvt/base/result.h"
#include "kvt/engine/model_runner.h"
#include "kvt/harness/answer_text.h"
#include "kvt/harness/sampler.h"

namespace kvt {

// --- Interface ---

enum class Finish : uint8_t { eog, stop, length, error };
const char * finish_name(Finish finish);  // "eog", "stop", "length", "error"

enum class EndOfText : uint8_t { ends, ignored };  // what a token that ends generation does

struct GenerationRequest {
    std::vector<Token>       prompt;
    int                      max_new_tokens = 0;
    std::vector<std::string> stops;
    Sampling                 sampling;
    uint32_t                 seed        = 0;
    EndOfText                end_of_text = EndOfText::ends;
    std::vector<Token>       other;  // not empty: an answer that this one is held against; generation ends where they differ
};

struct Generation {
    std::vector<Token> tokens;  // without the end token
    std::string        text;    // bytes; without the stop string and what follows
    Finish             finish = Finish::length;
    std::string        error;  // finish error only
    double             prefill_seconds = 0, decode_seconds = 0;
};

struct Likelihood {
    double log_probability = 0;  // nats, summed over the continuation's tokens
    int    n_tokens        = 0;
};

struct GeneratorOptions {
    std::optional<PrecisionPlan> plan;                       // none: stock f16
    int                          n_slots = 4, n_ctx = 4096;  // cells of one slot
    int                          n_batch = 512, n_ubatch = 512, n_threads = 0;
    std::vector<Token>           shared;  // what all prompts begin with; may be empty
};

class Generator {
public:
    // `runner` must outlive the generator. Errors: those of open_slots and of decoding the shared tokens.
    static Result<Generator> open(ModelRunner & runner, const GeneratorOptions & options);

    // Called once per request, in the order in which answers are complete; an Error of its own ends the run.
    using Done = std::function<Status(size_t request, Generation)>;

    // What goes wrong with one request (context too small, decoding, logits that are not finite) is its Generation's error.
    // Errors: "interrupted", and what `done` returns.
    Status generate(std::span<const GenerationRequest> requests, const Done & done);

    // Log-likelihood of each continuation after the prompt, read through the plan's cache; at least one token of the prompt is
    // needed. Needs n_slots >= 2. Errors: context too small, decoding, logits that are not finite, "interrupted".
    Result<std::vector<Likelihood>> likelihood(std::span<const Token> prompt, std::span<const std::vector<Token>> continuations);

private:
    struct Active;

    Generator(ModelRunner & runner, const GeneratorOptions & options, std::unique_ptr<SlotSession> session)
        : runner_(&runner), options_(options), session_(std::move(session)) {}

    void start(int slot, std::span<const Token> prompt);
    void close_gaps(std::span<std::unique_ptr<Active>> slots);
    bool take(Active & active, std::span<const float> logits) const;  // true: the answer is complete

    ModelRunner *                runner_;
    GeneratorOptions             options_;
    std::unique_ptr<SlotSession> session_;  // one slot more when there are shared tokens
};

}  // namespace kvt
