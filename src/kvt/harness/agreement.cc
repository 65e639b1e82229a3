#include "kvt/harness/agreement.h"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "kvt/base/json_text.h"
#include "kvt/base/optional_json.h"
#include "kvt/base/sha256.h"
#include "kvt/harness/generator.h"
#include "kvt/harness/score_stats.h"
#include "kvt/plan/model_json.h"

namespace kvt {

// --- Implementation ---

namespace {

using Tokens = std::vector<Token>;

class Measurement {
public:
    Measurement(ModelRunner & runner, const std::vector<Tokens> & prompts, const AgreementOptions & options, int n_ctx,
                Progress & progress)
        : runner_(runner), prompts_(prompts), options_(options), n_ctx_(n_ctx), progress_(progress) {}

    // The greedy answers of a cache. With `others` each ends at the first token that differs.
    Result<std::vector<Tokens>> answers(const std::optional<PrecisionPlan> & plan, const std::vector<Tokens> * others) {
        GeneratorOptions go;
        go.plan      = plan;
        go.n_slots   = options_.n_slots;
        go.n_ctx     = n_ctx_;
        go.n_batch   = options_.n_batch;
        go.n_ubatch  = options_.n_ubatch;
        go.n_threads = options_.n_threads;
        KVT_TRY(Generator generator, Generator::open(runner_, go));
        std::vector<GenerationRequest> requests(prompts_.size());
        for (size_t i = 0; i < prompts_.size(); ++i) {
            requests[i].prompt         = prompts_[i];
            requests[i].max_new_tokens = options_.n_tokens;
            requests[i].end_of_text    = EndOfText::ignored;
            if (others != nullptr) requests[i].other = (*others)[i];
        }
        std::vector<Tokens> all(prompts_.size());
        KVT_CHECK_OK(generator.generate(requests, [&](size_t i, Generation g) -> Status {
            if (g.finish == Finish::error) return Error{fmt::format("prompt {}: {}", i, g.error)};
            all[i] = std::move(g.tokens);
            progress_.done(1);
            return ok_status();
        }));
        return all;
    }

    AgreementRow row(std::string name, const std::vector<Tokens> & reference, const std::vector<Tokens> & answers) const {
        AgreementRow        r;
        std::vector<double> lengths;
        r.name = std::move(name);
        for (size_t i = 0; i < answers.size(); ++i) {
            const auto differ =
                std::mismatch(answers[i].begin(), answers[i].end(), reference[i].begin(), reference[i].end()).first;
            r.first_difference.push_back(static_cast<int>(differ - answers[i].begin()));
            lengths.push_back(r.first_difference.back());
        }
        const auto equal = std::count(r.first_difference.begin(), r.first_difference.end(), options_.n_tokens);
        r.share_equal    = static_cast<double>(equal) / static_cast<double>(answers.size());
        r.interval       = bootstrap_items(lengths);
        r.mean           = mean(lengths);
        std::sort(lengths.begin(), lengths.end());
        r.median = percentile_sorted(lengths, 0.5);
        return r;
    }

private:
    ModelRunner &               runner_;
    const std::vector<Tokens> & prompts_;
    const AgreementOptions &    options_;
    int                         n_ctx_;
    Progress &                  progress_;
};

std::string hash_of(const std::vector<Tokens> & prompts) {
    std::string text;
    for (const Tokens & prompt : prompts) {
        for (const Token t : prompt) text += fmt::format("{} ", t);
        text += '\n';
    }
    return sha256_hex(text);
}

}  // namespace

Result<AgreementRecord> measure_agreement(ModelRunner & runner, const std::vector<Tokens> & prompts,
                                          const AgreementOptions & options, Progress & progress) {
    if (prompts.empty()) return Error{"there are no prompts"};
    if (options.n_tokens < 1) return Error{fmt::format("number of tokens {} must be at least 1", options.n_tokens)};
    if (options.plans.empty()) return Error{"nothing to measure: no plan given"};
    size_t longest = 0;
    for (const Tokens & prompt : prompts) longest = std::max(longest, prompt.size());
    const int n_ctx = static_cast<int>(longest) + options.n_tokens;
    if (n_ctx > runner.n_ctx_train()) {
        return Error{fmt::format("prompts of {} tokens and {} more exceed the {} tokens the model was trained on", longest,
                                 options.n_tokens, runner.n_ctx_train())};
    }
    Measurement measurement(runner, prompts, options, n_ctx, progress);
    progress.begin("greedy agreement", static_cast<int64_t>(prompts.size() * (options.plans.size() + 2)));
    progress.note("f16 (stock)");
    KVT_TRY(const auto reference, measurement.answers(std::nullopt, nullptr));

    AgreementRecord record;
    progress.note("floor");
    KVT_TRY(const auto floor, measurement.answers(f16_plan(runner.info()), &reference));
    record.rows.push_back(measurement.row("f16 (plugin)", reference, floor));
    for (const NamedPlan & p : options.plans) {
        progress.note(p.name);
        auto answers = measurement.answers(p.plan, &reference);
        if (!answers.ok()) return error_in(p.name, answers.error());
        AgreementRow row   = measurement.row(p.name, reference, *answers);
        row.plan_sha256    = sha256_hex(write_plan(p.plan));
        row.payload_bits   = payload_bits(p.plan);
        row.effective_bits = plan_size(p.plan, kSizeAtTokens).effective_bits;
        record.rows.push_back(std::move(row));
    }
    progress.end();
    record.model          = runner.info();
    record.tool_version   = options.tool_version;
    record.data_name      = options.data_name;
    record.data_sha256    = options.data_sha256;
    record.prompts_sha256 = hash_of(prompts);
    record.n_prompts      = static_cast<int>(prompts.size());
    record.n_tokens       = options.n_tokens;
    record.n_ctx          = n_ctx;
    record.n_slots        = options.n_slots;
    record.n_batch        = options.n_batch;
    record.n_ubatch       = options.n_ubatch;
    record.n_threads      = options.n_threads;
    record.warnings       = options.warnings;
    return record;
}

Result<std::vector<Tokens>> cut_prompts(const ModelRunner & runner, std::span<const Token> text, int n, int length) {
    if (n < 1 || length < 1) return Error{fmt::format("{} prompts of {} tokens: both must be at least 1", n, length)};
    const auto wanted = static_cast<size_t>(n), each = static_cast<size_t>(length);
    if (text.size() / wanted < each) {
        return Error{fmt::format("the text has {} tokens, {} prompts of {} need {}: use a longer text, fewer or shorter prompts",
                                 text.size(), n, length, wanted * each)};
    }
    const size_t        stride = text.size() / wanted;
    std::vector<Tokens> prompts;
    for (size_t i = 0; i < wanted; ++i) {
        Tokens & prompt = prompts.emplace_back();
        if (runner.adds_bos()) prompt.push_back(runner.bos());
        const auto piece = text.subspan(i * stride, each);
        prompt.insert(prompt.end(), piece.begin(), piece.end());
    }
    return prompts;
}

std::string write_record(const AgreementRecord & r) {
    using Json = nlohmann::ordered_json;
    Json j{{"schema", "kvtuner.eval.agreement"}, {"schema_version", 1}, {"tool_version", r.tool_version}};
    j["model"]    = model_name_json(r.model);
    j["data"]     = {{"name", r.data_name}, {"sha256", r.data_sha256}, {"prompts_sha256", r.prompts_sha256}};
    j["settings"] = {{"n_prompts", r.n_prompts}, {"n_tokens", r.n_tokens},  {"n_ctx", r.n_ctx},
                     {"n_slots", r.n_slots},     {"n_batch", r.n_batch},    {"n_ubatch", r.n_ubatch},
                     {"n_threads", r.n_threads}, {"flash_attention", true}, {"effective_bits_at", kSizeAtTokens}};
    j["plans"]    = Json::array();
    for (const AgreementRow & row : r.rows) {
        Json one{{"name", row.name}};
        one["plan_sha256"]    = text_or_null(row.plan_sha256);
        one["payload_bits"]   = row.payload_bits;
        one["effective_bits"] = row.effective_bits;
        one["median"]         = row.median;
        one["mean"]           = row.mean;
        put_interval(one, row.interval);
        one["share_equal"]      = row.share_equal;
        one["first_difference"] = row.first_difference;
        j["plans"].push_back(std::move(one));
    }
    j["warnings"] = r.warnings;
    return json_text(j, 2) + "\n";
}

}  // namespace kvt
