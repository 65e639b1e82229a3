// Tokens in, logits out, for any KV cache plan. The only door to a language model at tune time.
//
// One ModelRunner loads the weights once; Sessions on it differ in how they store the KV cache. The reference session is
// stock llama.cpp f16 (its own CPU kernels); plan sessions go through the shipped plugin, so what is scored is what is shipped.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kvt/base/result.h"
#include "kvt/plan/plan.h"

namespace kvt {

// --- Interface ---

using Token = int32_t;

// How text becomes tokens.
//   no, yes  the text as it is; `yes` adds what the model wants at the start (BOS)
//   parse    for rendered chat prompts: control tokens written in the text become tokens; BOS is added unless already there
enum class AddSpecial : uint8_t { no, yes, parse };

// Q, K or V of one layer as the model computed them, f32, valid during the callback only.
struct Tap {
    enum class Kind : uint8_t { q, k, v };
    Kind            kind  = Kind::q;
    int             layer = 0, n_tokens = 0, n_heads = 0, head_dim = 0;
    int             n_kv         = 0;        // q only: cells visible before masking
    float           scale        = 0;        // q only: logit scale
    const float *   data         = nullptr;  // element (d, token, head) at data[d + token*stride_token + head*stride_head]
    int64_t         stride_token = 0, stride_head = 0;
    const int64_t * cells = nullptr;  // [n_tokens], k and v only
};
using TapFn = std::function<void(const Tap &)>;

struct SessionOptions {
    std::optional<PrecisionPlan> plan;             // none: stock f16 cache on the CPU backend, the reference
    int                          n_ctx     = 512;  // cells
    int                          n_batch   = 512;  // tokens per call
    int                          n_ubatch  = 512;
    int                          n_threads = 0;  // 0: all cores
    TapFn                        tap;            // needs a plan (an all-f16 plan will do)
};

// logits of one position: [n_vocab] f32, valid during the callback.
using LogitsFn = std::function<void(int position, std::span<const float> logits)>;

class Session {
public:
    virtual ~Session() = default;
    // Empties the cache; the next token stands at `position`, as if so many had gone before (RoPE sees it, memory does not).
    virtual void clear(int position = 0) = 0;
    virtual int  position() const        = 0;
    // Forgets all tokens from `position` on. False, and nothing is changed: the model's memory cannot be cut there (recurrent
    // state, a sliding window that has passed it), or nothing stands there.
    virtual bool rewind(int position) = 0;
    // Appends tokens at the current position in calls of n_batch. `on_logits` is called in order for each position >=
    // first_logits (positions count from where clear put them). Errors: context full, allocation, a plan the plugin refused (its
    // words).
    virtual Status   decode(std::span<const Token> tokens, int first_logits, const LogitsFn & on_logits) = 0;
    virtual uint64_t kv_bytes() const = 0;  // bytes allocated for the cache
};

// Several sequences in one context, each with cells of its own, so that no format mixes them (blocks of a unified cache would).
struct SlotOptions {
    SessionOptions session;  // n_ctx: cells of one slot; no tap
    int            n_slots = 1;
};

struct SlotToken {
    int   slot  = 0;
    Token token = 0;
};

class SlotSession {
public:
    virtual ~SlotSession()              = default;
    virtual int  n_ctx() const          = 0;  // cells of one slot, at least as many as asked for
    virtual int  length(int slot) const = 0;  // tokens it holds
    virtual void clear(int slot)        = 0;
    virtual void copy(int from, int to) = 0;  // `to` then holds what `from` holds, bit by bit
    // Appends tokens to one slot, in calls of n_batch; logits as Session::decode. Errors: as there.
    virtual Status feed(int slot, std::span<const Token> tokens, int first_logits, const LogitsFn & on_logits) = 0;
    // One token for each of several slots (ascending, each once) in one call; on_logits is called with the slot. Errors: as feed.
    virtual Status   step(std::span<const SlotToken> tokens, const LogitsFn & on_logits) = 0;
    virtual uint64_t kv_bytes() const                                                    = 0;  // of all slots
};

// One turn of a conversation, for the chat template.
struct ChatTurn {
    std::string role;  // "system", "user", "assistant"
    std::string text;
};

class ModelRunner {
public:
    virtual ~ModelRunner()                                                               = default;
    virtual const ModelInfo &          info() const                                      = 0;
    virtual int                        n_vocab() const                                   = 0;
    virtual int                        n_q_heads() const                                 = 0;
    virtual int                        n_ctx_train() const                               = 0;
    virtual bool                       adds_bos() const                                  = 0;
    virtual Token                      bos() const                                       = 0;
    virtual bool                       is_end_of_generation(Token) const                 = 0;
    virtual Result<std::vector<Token>> tokenize(std::string_view text, AddSpecial) const = 0;
    virtual std::string                detokenize(std::span<const Token>) const          = 0;
    virtual std::string                piece(Token) const = 0;  // its bytes as they follow others; empty for control tokens
    // The text of a user turn with the model's own chat template and the generation prompt; the text itself if it has none.
    virtual std::string chat_prompt(std::string_view user_text) const = 0;
    virtual std::string chat_template() const                         = 0;  // as the file has it; empty if it has none
    // Turns in a chat template and the generation prompt. `form` is a template's text or name; empty: the model's own.
    // Errors: the model has none, or llama.cpp does not know it.
    virtual Result<std::string>                  render_chat(std::span<const ChatTurn> turns, const std::string & form) const = 0;
    virtual Result<std::unique_ptr<Session>>     open(const SessionOptions &)                                                 = 0;
    virtual Result<std::unique_ptr<SlotSession>> open_slots(const SlotOptions &)                                              = 0;
};

}  // namespace kvt
