#include "kvt/eval/ppl.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "kvt/base/json_text.h"
#include "kvt/base/optional_json.h"
#include "kvt/eval/log_softmax.h"
#include "kvt/plan/model_json.h"

namespace kvt {

// --- Implementation ---

namespace {

// Scores one cache over all chunks; only the nll of TokenScore is filled.
Result<std::vector<ChunkScores>> token_nll(ModelRunner & runner, const Chunks & chunks, std::optional<PrecisionPlan> plan,
                                           const KldOptions & options, Progress & progress) {
    SessionOptions so;
    so.plan      = std::move(plan);
    so.n_ctx     = chunks.n_ctx;
    so.n_batch   = std::min(options.n_batch, chunks.n_ctx);
    so.n_ubatch  = std::min(options.n_ubatch, so.n_batch);
    so.n_threads = options.n_threads;
    KVT_TRY(const auto session, runner.open(so));
    std::vector<ChunkScores> scores(chunks.tokens.size());
    for (size_t c = 0; c < chunks.tokens.size(); ++c) {
        if (interrupted()) return Error{fmt::format("interrupted after {} of {} chunks", c, chunks.tokens.size())};
        Status trouble = ok_status();
        session->clear();
        for (const auto slice : chunk_slices(chunks, c, options.mode, options.n_batch)) {
            KVT_CHECK_OK(session->decode(slice, chunks.first_scored(), [&](int at, std::span<const float> logits) {
                if (at > chunks.n_ctx - 2) return;
                const auto   truth = static_cast<size_t>(chunks.tokens[c][static_cast<size_t>(at) + 1]);
                const double nll   = log_sum_exp(logits) - static_cast<double>(logits[truth]);
                if (!std::isfinite(nll))
                    trouble = Error{fmt::format("the logits of chunk {} at position {} are not finite numbers", c, at)};
                TokenScore score;
                score.nll_ref = score.nll_cand = nll;
                scores[c].push_back(score);
            }));
        }
        KVT_CHECK_OK(trouble);
        progress.done(1);
    }
    return scores;
}

}  // namespace

Result<PplRecord> evaluate_ppl(ModelRunner & runner, std::span<const Token> tokens, const KldOptions & options,
                               Progress & progress) {
    if (options.n_batch < 1 || options.n_ubatch < 1) {
        return Error{fmt::format("n_batch {} and n_ubatch {} must be at least 1", options.n_batch, options.n_ubatch)};
    }
    const int max_chunks =
        options.max_chunks == 0 && options.mode == EvalMode::decode ? kDefaultDecodeChunks : options.max_chunks;
    KVT_TRY(const Chunks chunks, make_chunks(runner, tokens, options.n_ctx, max_chunks, options.long_context));
    const ChunkDraws draws(chunks.tokens.size(), options.resamples, options.seed);
    PplRecord        record;
    record.model        = runner.info();
    record.tool_version = options.tool_version;
    record.data_name    = options.data_name;
    record.data_sha256  = options.data_sha256;
    record.n_ctx        = chunks.n_ctx;
    record.n_chunks     = static_cast<int>(chunks.tokens.size());
    record.n_batch      = std::min(options.n_batch, chunks.n_ctx);
    record.n_ubatch     = std::min(options.n_ubatch, record.n_batch);
    record.n_threads    = options.n_threads;
    record.n_tokens     = static_cast<int64_t>(chunks.tokens.size()) * chunks.scored_per_chunk();
    record.mode         = options.mode;
    record.seed         = options.seed;
    record.resamples    = options.resamples;
    record.warnings     = options.warnings;

    progress.begin("measuring perplexity", static_cast<int64_t>(chunks.tokens.size() * (options.plans.size() + 1)));
    for (size_t i = 0; i <= options.plans.size(); ++i) {
        const NamedPlan * named = i == 0 ? nullptr : &options.plans[i - 1];
        PplRow            row;
        row.name = named != nullptr ? named->name : "f16 (stock)";
        progress.note(row.name);
        auto scores = token_nll(runner, chunks, named != nullptr ? std::optional(named->plan) : std::nullopt, options, progress);
        if (!scores.ok()) return error_in(row.name, scores.error());
        KVT_TRY(const KldStats stats, kld_stats(*scores, draws));
        row.ppl = stats.ppl_cand;
        if (named != nullptr) {
            row.payload_bits   = payload_bits(named->plan);
            row.effective_bits = plan_size(named->plan, kSizeAtTokens).effective_bits;
        }
        record.rows.push_back(std::move(row));
    }
    progress.end();
    return record;
}

std::string write_record(const PplRecord & r) {
    using Json = nlohmann::ordered_json;
    Json j{{"schema", "kvtuner.eval.ppl"}, {"schema_version", 1}, {"tool_version", r.tool_version}};
    j["model"]    = model_name_json(r.model);
    j["data"]     = {{"name", r.data_name}, {"sha256", r.data_sha256}};
    j["settings"] = {{"n_ctx", r.n_ctx},         {"n_chunks", r.n_chunks},
                     {"n_batch", r.n_batch},     {"n_ubatch", r.n_ubatch},
                     {"n_threads", r.n_threads}, {"mode", eval_mode_name(r.mode)},
                     {"flash_attention", true},  {"seed", r.seed},
                     {"resamples", r.resamples}, {"effective_bits_at", kSizeAtTokens}};
    j["n_tokens"] = r.n_tokens;
    j["rows"]     = Json::array();
    for (const PplRow & row : r.rows) {
        Json one{{"name", row.name},
                 {"payload_bits", row.payload_bits},
                 {"effective_bits", row.effective_bits},
                 {"ppl", row.ppl.value},
                 {"error", or_null(row.ppl.error)}};
        put_interval(one, row.ppl.interval);
        j["rows"].push_back(std::move(one));
    }
    j["warnings"] = r.warnings;
    return json_text(j, 2) + "\n";
}

}  // namespace kvt
