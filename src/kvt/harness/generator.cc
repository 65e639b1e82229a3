#include "kvt/harness/generator.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/format.h>

#include "kvt/base/progress.h"
#include "kvt/base/stopwatch.h"
#include "kvt/eval/log_softmax.h"

namespace kvt {

// --- Implementation ---

const char * finish_name(Finish finish) {
    switch (finish) {
        case Finish::eog:
            return "eog";
        case Finish::stop:
            return "stop";
        case Finish::length:
            return "length";
        case Finish::error:
            break;
    }
    return "error";
}

namespace {

Error overflow(size_t prompt, int more, int n_ctx) {
    return Error{fmt::format("context_overflow: {} prompt tokens and {} more do not fit in {} cells", prompt, more, n_ctx)};
}

}  // namespace

struct Generator::Active {
    size_t                    request = 0;
    const GenerationRequest * what    = nullptr;
    Sampler                   sampler;
    AnswerText                text;
    Generation                answer;
    Stopwatch                 watch;  // of the prompt, then of the answer

    Active(size_t index, const GenerationRequest & r) : request(index), what(&r), sampler(r.sampling, r.seed), text(r.stops) {}

    Generation take_answer() {
        answer.text           = text.text();
        answer.decode_seconds = watch.seconds();
        return std::move(answer);
    }

    bool fail(const std::string & why) {
        answer.finish = Finish::error;
        answer.error  = why;
        return true;
    }
};

Result<Generator> Generator::open(ModelRunner & runner, const GeneratorOptions & options) {
    SlotOptions so;
    so.session.plan      = options.plan;
    so.session.n_ctx     = options.n_ctx;
    so.session.n_batch   = options.n_batch;
    so.session.n_ubatch  = options.n_ubatch;
    so.session.n_threads = options.n_threads;
    so.n_slots           = options.n_slots + (options.shared.empty() ? 0 : 1);
    KVT_TRY(auto session, runner.open_slots(so));
    if (!options.shared.empty()) {
        KVT_CHECK_OK(session->feed(options.n_slots, options.shared, 0, {}));
    }
    return Generator(runner, options, std::move(session));
}

// The slot holds the shared part of the prompt afterwards, or nothing; at least the prompt's last token is still to be fed.
void Generator::start(int slot, std::span<const Token> prompt) {
    const std::vector<Token> & shared = options_.shared;
    const bool                 fits =
        !shared.empty() && prompt.size() > shared.size() && std::equal(shared.begin(), shared.end(), prompt.begin());
    if (fits) {
        session_->copy(options_.n_slots, slot);
    } else {
        session_->clear(slot);
    }
}

// llama.cpp computes the sequences of a call together only as far as their numbers follow each other: with slots 0, 2 and 5 busy,
// a step would read the weights three times. So the highest busy slot moves into the lowest free one.
void Generator::close_gaps(std::span<std::unique_ptr<Active>> slots) {
    size_t low = 0, end = slots.size();
    while (true) {
        while (low < end && slots[low] != nullptr) ++low;
        while (low < end && slots[end - 1] == nullptr) --end;
        if (low == end) return;
        --end;
        session_->copy(static_cast<int>(end), static_cast<int>(low));
        slots[low] = std::move(slots[end]);
    }
}

bool Generator::take(Active & active, std::span<const float> logits) const {
    const auto token = active.sampler.next(logits);
    if (!token.ok()) return active.fail(token.error().message);
    Generation & answer = active.answer;
    if (active.what->end_of_text == EndOfText::ends && runner_->is_end_of_generation(*token)) {
        answer.finish = Finish::eog;
        return true;
    }
    answer.tokens.push_back(*token);
    const auto & other   = active.what->other;
    const size_t at      = answer.tokens.size() - 1;
    const bool   differs = !other.empty() && (at >= other.size() || other[at] != *token);
    if (active.text.add(runner_->piece(*token)) || differs) {
        answer.finish = Finish::stop;
        return true;
    }
    answer.finish = Finish::length;
    return answer.tokens.size() >= static_cast<size_t>(active.what->max_new_tokens);
}

Status Generator::generate(std::span<const GenerationRequest> requests, const Done & done) {
    std::vector<std::unique_ptr<Active>> slots(static_cast<size_t>(options_.n_slots));
    size_t                               next = 0;
    while (true) {
        // Free slots take up the next requests, lowest slot first.
        for (size_t s = 0; s < slots.size(); ++s) {
            while (slots[s] == nullptr && next < requests.size()) {
                if (interrupted()) return Error{"interrupted"};
                const GenerationRequest & r        = requests[next];
                auto                      active   = std::make_unique<Active>(next++, r);
                bool                      complete = false;
                if (r.prompt.empty()) {
                    complete = active->fail("the prompt has no tokens");
                } else if (r.prompt.size() + static_cast<size_t>(r.max_new_tokens) > static_cast<size_t>(options_.n_ctx)) {
                    complete = active->fail(overflow(r.prompt.size(), r.max_new_tokens, options_.n_ctx).message);
                } else {
                    const int slot = static_cast<int>(s);
                    start(slot, r.prompt);
                    const auto rest = std::span(r.prompt).subspan(static_cast<size_t>(session_->length(slot)));
                    const int  last = static_cast<int>(r.prompt.size()) - 1;
                    const auto fed  = session_->feed(
                         slot, rest, last, [&](int, std::span<const float> logits) { complete = take(*active, logits); });
                    if (interrupted()) return Error{"interrupted"};
                    if (!fed.ok()) complete = active->fail(fed.error().message);
                    active->answer.prefill_seconds = active->watch.seconds();
                    active->watch.restart();
                }
                if (!complete) {
                    slots[s] = std::move(active);
                    break;
                }
                const size_t request = active->request;
                KVT_CHECK_OK(done(request, active->take_answer()));
            }
        }
        close_gaps(slots);
        std::vector<SlotToken> tokens;
        for (size_t s = 0; s < slots.size(); ++s) {
            if (slots[s] != nullptr) tokens.push_back({static_cast<int>(s), slots[s]->answer.tokens.back()});
        }
        if (tokens.empty()) return ok_status();
        if (interrupted()) return Error{"interrupted"};
        std::vector<bool> complete(slots.size(), false);
        const auto        stepped = session_->step(tokens, [&](int slot, std::span<const float> logits) {
            const auto s = static_cast<size_t>(slot);
            complete[s]  = take(*slots[s], logits);
        });
        if (interrupted()) return Error{"interrupted"};
        for (const SlotToken & t : tokens) {
            const auto s = static_cast<size_t>(t.slot);
            if (!stepped.ok()) complete[s] = slots[s]->fail(stepped.error().message);
            if (!complete[s]) continue;
            const auto finished = std::move(slots[s]);
            KVT_CHECK_OK(done(finished->request, finished->take_answer()));
        }
    }
}

Result<std::vector<Likelihood>> Generator::likelihood(std::span<const Token>              prompt,
                                                      std::span<const std::vector<Token>> continuations) {
    constexpr int kPrompt = 0, kWork = 1;
    if (prompt.empty()) return Error{"the prompt has no tokens"};
    if (options_.n_slots < 2) return Error{"log-likelihoods need two slots"};
    for (const auto & c : continuations) {
        if (prompt.size() + c.size() > static_cast<size_t>(options_.n_ctx))
            return overflow(prompt.size(), static_cast<int>(c.size()), options_.n_ctx);
    }
    start(kPrompt, prompt);
    const auto         rest = prompt.subspan(static_cast<size_t>(session_->length(kPrompt)));
    std::vector<float> after_prompt;  // logits that predict the first token of every continuation
    KVT_CHECK_OK(session_->feed(kPrompt, rest, static_cast<int>(prompt.size()) - 1,
                                [&](int, std::span<const float> logits) { after_prompt.assign(logits.begin(), logits.end()); }));
    std::vector<Likelihood> all;
    for (const auto & c : continuations) {
        if (interrupted()) return Error{"interrupted"};
        Likelihood one;
        const auto add = [&](std::span<const float> logits) {
            const Token truth = c[static_cast<size_t>(one.n_tokens++)];
            one.log_probability += static_cast<double>(logits[static_cast<size_t>(truth)]) - log_sum_exp(logits);
        };
        if (!c.empty()) add(after_prompt);
        if (c.size() > 1) {
            session_->copy(kPrompt, kWork);
            KVT_CHECK_OK(session_->feed(kWork, std::span(c).first(c.size() - 1), 0,
                                        [&](int, std::span<const float> logits) { add(logits); }));
        }
        if (!std::isfinite(one.log_probability)) return Error{"the model's logits are not finite numbers"};
        all.push_back(one);
    }
    return all;
}

}  // namespace kvt
