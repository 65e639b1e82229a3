#include <algorithm>
#include <vector>

#include <fmt/format.h>
#include <llama.h>

#include "kvt/engine/llama/context.h"
#include "kvt/engine/llama/llama_runner.h"
#include "kvt/engine/llama/token_batch.h"

namespace kvt {

// --- Implementation ---

namespace {

constexpr int kMaxSlots = 256;      // llama.cpp's own bound
constexpr int kMaxCells = 1 << 26;  // of all slots

class LlamaSlots final : public SlotSession {
public:
    LlamaSlots(std::shared_ptr<const LoadedModel> model, SlotOptions options, LlamaContext context)
        : model_(std::move(model)),
          options_(std::move(options)),
          context_(std::move(context)),
          memory_(llama_get_memory(context_.get())),
          lengths_(static_cast<size_t>(options_.n_slots), 0) {}

    int  n_ctx() const override { return static_cast<int>(llama_n_ctx_seq(context_.get())); }
    int  length(int slot) const override { return lengths_[static_cast<size_t>(slot)]; }
    void clear(int slot) override {
        llama_memory_seq_rm(memory_, slot, -1, -1);
        lengths_[static_cast<size_t>(slot)] = 0;
    }

    void copy(int from, int to) override {
        if (from == to) return;
        llama_memory_seq_rm(memory_, to, -1, -1);
        llama_memory_seq_cp(memory_, from, to, -1, -1);
        lengths_[static_cast<size_t>(to)] = lengths_[static_cast<size_t>(from)];
    }

    Status feed(int slot, std::span<const Token> tokens, int first_logits, const LogitsFn & on_logits) override {
        KVT_CHECK_OK(check_slot(slot));
        int & length = lengths_[static_cast<size_t>(slot)];
        if (tokens.size() > static_cast<size_t>(n_ctx() - length)) return full(slot, tokens.size());
        while (!tokens.empty()) {
            const auto n = std::min(tokens.size(), static_cast<size_t>(options_.session.n_batch));
            batch_.clear();
            for (size_t i = 0; i < n; ++i) {
                const int at = length + static_cast<int>(i);
                KVT_CHECK_OK(add(slot, tokens[i], at, at >= first_logits && on_logits));
            }
            KVT_CHECK_OK(decode());
            for (size_t i = 0; i < n; ++i) {
                const int at = length + static_cast<int>(i);
                if (at < first_logits || !on_logits) continue;
                KVT_CHECK_OK(deliver(i, at, on_logits));
            }
            length += static_cast<int>(n);
            tokens = tokens.subspan(n);
        }
        return ok_status();
    }

    Status step(std::span<const SlotToken> tokens, const LogitsFn & on_logits) override {
        batch_.clear();
        for (const SlotToken & t : tokens) {
            KVT_CHECK_OK(check_slot(t.slot));
            if (length(t.slot) >= n_ctx()) return full(t.slot, 1);
            KVT_CHECK_OK(add(t.slot, t.token, length(t.slot), true));
        }
        KVT_CHECK_OK(decode());
        for (size_t i = 0; i < tokens.size(); ++i) {
            ++lengths_[static_cast<size_t>(tokens[i].slot)];
            KVT_CHECK_OK(deliver(i, tokens[i].slot, on_logits));
        }
        return ok_status();
    }

    uint64_t kv_bytes() const override {
        const auto &        plan = options_.session.plan;
        const PrecisionPlan used = plan ? *plan : f16_plan(model_->info);
        return plan_size(used, static_cast<uint64_t>(n_ctx()), static_cast<uint64_t>(options_.n_slots)).bytes;
    }

private:
    Error full(int slot, size_t n) const {
        return Error{fmt::format("context full: {} tokens after position {} do not fit in the {} cells of slot {}", n,
                                 length(slot), n_ctx(), slot)};
    }

    Status check_slot(int slot) const {
        if (slot >= 0 && slot < options_.n_slots) return ok_status();
        return Error{fmt::format("there is no slot {}: the session has {}", slot, options_.n_slots)};
    }

    Status add(int slot, Token token, int position, bool logits) {
        KVT_CHECK_OK(check_token(*model_, token));
        batch_.add(token, position, slot, logits);
        return ok_status();
    }

    Status decode() {
        const std::string why = decode_batch(*model_, context_.get(), batch_.view(), options_.session.plan.has_value());
        if (why.empty()) return ok_status();
        if (why == kInterrupted) return Error{why};
        return Error{fmt::format("decoding {} tokens from position {} of slot {} failed: {}", batch_.size(),
                                 batch_.first_position(), batch_.first_sequence(), why)};
    }

    Status deliver(size_t i, int about, const LogitsFn & on_logits) {
        KVT_TRY(const auto logits, logits_of(*model_, context_.get(), i));
        on_logits(about, logits);
        return ok_status();
    }

    std::shared_ptr<const LoadedModel> model_;
    SlotOptions                        options_;
    LlamaContext                       context_;
    llama_memory_t                     memory_;
    std::vector<int>                   lengths_;  // [n_slots]
    TokenBatch                         batch_;
};

}  // namespace

Result<std::unique_ptr<SlotSession>> open_slot_session(std::shared_ptr<const LoadedModel> model, const SlotOptions & given) {
    SlotOptions options = given;
    if (options.n_slots < 1 || options.n_slots > kMaxSlots)
        return Error{fmt::format("number of slots {} is not in 1 .. {}", options.n_slots, kMaxSlots)};
    if (options.session.tap) return Error{"slots have no taps: use a session of one sequence"};
    if (options.session.n_ctx > kMaxCells / options.n_slots)
        return Error{
            fmt::format("{} slots of {} cells are more than {} cells", options.n_slots, options.session.n_ctx, kMaxCells)};
    // A step of all slots is one call.
    options.session.n_batch = std::max(options.session.n_batch, options.n_slots);
    KVT_TRY(auto context, make_context(*model, options.session, static_cast<uint32_t>(options.n_slots)));
    return std::unique_ptr<SlotSession>(std::make_unique<LlamaSlots>(std::move(model), std::move(options), std::move(context)));
}

}  // namespace kvt
