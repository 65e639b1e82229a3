#include "kvt/tuner/pipeline.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>

#include <fmt/format.h>

#include "kvt/base/file_io.h"
#include "kvt/base/sha256.h"
#include "kvt/eval/kld.h"
#include "kvt/eval/kld_scorer.h"
#include "kvt/tuner/artefact.h"

namespace kvt {

namespace {

constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

std::string hash_of(const std::vector<std::string> & parts) {
    std::string all;
    for (const std::string & part : parts) all += fmt::format("{}:{}\n", part.size(), part);
    return sha256_hex(all);
}

// A finished prompt is a table of one prompt in a file of its own.
PromptStore file_store(const std::string & folder, const SensitivityTable & like) {
    const auto  path_of = [folder](int p) { return fmt::format("{}/prompt-{:04}.json", folder, p); };
    PromptStore store;
    store.load = [path_of, like](int p) -> std::optional<std::vector<LayerErrors>> {
        SensitivityTable part;
        // A part of other inputs, or a damaged one, is simply computed again.
        const auto loaded = load_artefact<SensitivityTable>(path_of(p), parse_sensitivity, like.inputs_sha256, part);
        if (!loaded.ok() || *loaded == Artefact::absent) return std::nullopt;
        return std::move(part.layers);
    };
    store.save = [path_of, like](int p, const std::vector<LayerErrors> & layers) {
        SensitivityTable part = like;
        part.n_prompts        = 1;
        part.layers           = layers;
        return write_file_atomic(path_of(p), write_record(part));
    };
    return store;
}

class ScorerObjective final : public Objective {
public:
    explicit ScorerObjective(KldScorer & scorer) : scorer_(scorer) {}
    Result<ObjectiveScore> score(const PrecisionPlan & plan) override {
        KVT_TRY(const KldScore s, scorer_.score(plan));
        return ObjectiveScore{s.mean, s.ci_low, s.ci_high};
    }

private:
    KldScorer & scorer_;
};

CheckedPlan checked(const PlanResult & r, const std::string & label, const std::vector<PairBits> & pairs) {
    CheckedPlan c;
    c.label          = label;
    c.payload_bits   = r.payload_bits;
    c.effective_bits = r.effective_bits;
    c.kld            = r.stats.mean.value;
    c.kld_ci_low     = r.stats.mean.interval ? r.stats.mean.interval->low : kUnknown;
    c.kld_ci_high    = r.stats.mean.interval ? r.stats.mean.interval->high : kUnknown;
    c.p999           = r.stats.p999 ? r.stats.p999->value : kUnknown;
    c.same_top       = r.stats.same_top.value;
    if (r.above_first) {
        c.vs_tuned      = r.above_first->value;
        c.vs_tuned_low  = r.above_first->interval ? r.above_first->interval->low : kUnknown;
        c.vs_tuned_high = r.above_first->interval ? r.above_first->interval->high : kUnknown;
    } else {
        c.vs_tuned_low = c.vs_tuned_high = kUnknown;
    }
    c.pairs = pairs;
    return c;
}

}  // namespace

Result<SensitivityTable> profile_stage(ModelRunner & runner, const ProfileStage & stage, const std::string & path, Redo redo,
                                       Progress & progress) {
    SensitivityTable like;
    like.model         = runner.info();
    like.mode          = stage.options.mode;
    like.eps           = stage.options.eps;
    like.n_generated   = stage.options.n_generate;
    like.data_sha256   = hash_of(stage.prompts);
    like.inputs_sha256 = hash_of({"profile 2", like.model.file_sha256, std::string(mode_name(like.mode)), like.data_sha256,
                                  fmt::format("{} {} {}", like.n_generated, stage.options.max_prompt, like.eps)});
    SensitivityTable table;
    if (redo == Redo::no) {
        KVT_TRY(const Artefact found, load_artefact<SensitivityTable>(path, parse_sensitivity, like.inputs_sha256, table));
        if (found == Artefact::usable) return table;
    }
    const std::string parts = path + ".parts";
    KVT_CHECK_OK(make_folder(parts));
    KVT_TRY(table, run_profile(runner, stage.prompts, stage.options, file_store(parts, like), progress));
    table.data_sha256   = like.data_sha256;
    table.inputs_sha256 = like.inputs_sha256;
    KVT_CHECK_OK(write_file_atomic(path, write_record(table)));
    std::error_code ignored;  // left-over parts do no harm
    std::filesystem::remove_all(parts, ignored);
    return table;
}

Result<Study> search_stage(ModelRunner & runner, const LayerGroups & groups, const ScoringText & text,
                           const SearchOptions & options, const std::string & path, Redo redo, Progress & progress) {
    if (!(groups.model == runner.info())) {
        return Error{fmt::format("the layer groups are of {}, not of the model {}: profile this model first", groups.model.name,
                                 runner.info().name)};
    }
    Study start;
    start.model         = runner.info();
    start.mode          = groups.mode;
    start.groups        = groups;
    start.chunk_tokens  = text.chunk_tokens;
    start.data_sha256   = sha256_hex(text.text);
    start.inputs_sha256 = hash_of({"study 1", start.model.file_sha256, write_record(groups), start.data_sha256,
                                   fmt::format("{} {}", text.chunk_tokens, text.max_chunks)});
    if (redo == Redo::no) {
        Study stored;
        KVT_TRY(const Artefact found, load_artefact<Study>(path, parse_study, start.inputs_sha256, stored));
        if (found == Artefact::usable) {
            const bool same = stored.seed == options.seed && stored.population == options.population &&
                              stored.generations == options.generations;
            if (stored.complete && same) return stored;
            // The order of evaluations is the order of this run: the cache answers for those scored before.
            start.evaluations = stored.evaluations;
            start.floor       = stored.floor;
        }
    }
    KVT_TRY(const auto tokens, runner.tokenize(text.text, AddSpecial::yes));
    ScorerOptions scorer_options;
    scorer_options.n_ctx      = text.chunk_tokens;
    scorer_options.max_chunks = text.max_chunks;
    scorer_options.n_batch = scorer_options.n_ubatch = std::min(text.chunk_tokens, 512);
    scorer_options.n_threads                         = text.n_threads;
    KVT_TRY(KldScorer scorer, KldScorer::create(runner, tokens, scorer_options, progress));
    start.n_chunks = scorer.n_chunks();
    ScorerObjective objective(scorer);
    const SaveStudy save = [&path](const Study & study) { return write_file_atomic(path, write_record(study)); };
    return run_search(std::move(start), objective, options, save, progress);
}

Result<HeldOutCheck> check_stage(ModelRunner & runner, const Study & study, const Choice & choice, const ScoringText & text,
                                 const std::string & path, Redo redo, Progress & progress) {
    const Evaluation & tuned = study.evaluations[static_cast<size_t>(choice.evaluation)];
    std::string        pairs_key;
    for (const PairBits & p : tuned.pairs) pairs_key += pair_name(p.k, p.v) + " ";
    HeldOutCheck check;
    check.model         = study.model;
    check.mode          = study.mode;
    check.data_sha256   = sha256_hex(text.text);
    check.chunk_tokens  = text.chunk_tokens;
    check.inputs_sha256 = hash_of({"held_out 1", study.model.file_sha256, std::string(mode_name(study.mode)), pairs_key,
                                   check.data_sha256, fmt::format("{} {}", text.chunk_tokens, text.max_chunks)});
    if (redo == Redo::no) {
        HeldOutCheck stored;
        const auto   found = load_artefact<HeldOutCheck>(path, parse_held_out, check.inputs_sha256, stored);
        // Another choice from the same study is a normal reason to check again.
        if (found.ok() && *found == Artefact::usable) return stored;
    }
    KldOptions options;
    options.plans.push_back({"tuned", plan_of(study.model, study.mode, tuned.pairs)});
    for (const PairBits & pair : {PairBits{8, 8}, PairBits{8, 4}, PairBits{4, 8}, PairBits{4, 4}}) {
        options.plans.push_back({pair_name(pair.k, pair.v), uniform_plan(study.model, study.mode, pair.k, pair.v)});
    }
    options.n_ctx      = text.chunk_tokens;
    options.max_chunks = text.max_chunks;
    options.n_batch = options.n_ubatch = std::min(text.chunk_tokens, 512);
    options.n_threads                  = text.n_threads;
    options.data_sha256                = check.data_sha256;
    KVT_TRY(const auto tokens, runner.tokenize(text.text, AddSpecial::yes));
    KVT_TRY(const KldRecord record, evaluate_kld(runner, tokens, options, progress));
    check.n_chunks = record.n_chunks;
    check.n_tokens = record.n_tokens;
    for (const FloorResult & floor : record.floors) check.floor = std::max(check.floor, floor.mean);
    for (size_t i = 0; i < record.plans.size(); ++i) {
        std::vector<PairBits> pairs;
        for (const LayerPlan & layer : options.plans[i].plan.layers) pairs.push_back({layer.k.bits, layer.v.bits});
        check.plans.push_back(checked(record.plans[i], options.plans[i].name, pairs));
    }
    KVT_CHECK_OK(write_file_atomic(path, write_record(check)));
    return check;
}

PrecisionPlan finished_plan(const Study & study, const Choice & choice, const HeldOutCheck & check,
                            const SensitivityTable & table, const std::string & tool_version) {
    PrecisionPlan       plan  = plan_of(study.model, study.mode, study.evaluations[static_cast<size_t>(choice.evaluation)].pairs);
    const CheckedPlan & tuned = check.plans.front();
    Measured            kld;
    kld.metric = "kld_mean";
    kld.unit   = "nat";
    kld.value  = tuned.kld;
    kld.floor  = check.floor;
    if (!std::isnan(tuned.kld_ci_low)) {
        kld.ci_low  = tuned.kld_ci_low;
        kld.ci_high = tuned.kld_ci_high;
    }
    kld.n           = check.n_tokens;
    kld.context     = check.chunk_tokens;
    kld.baseline    = "f16-kv";
    kld.data_sha256 = check.data_sha256;
    kld.pass        = "batch";
    kld.prefill     = "quantized";
    plan.measured.push_back(kld);
    plan.provenance.tool_version = tool_version;
    plan.provenance.method       = "nsga2";
    plan.provenance.objective    = "kld_mean";
    plan.provenance.seed         = study.seed;
    plan.provenance.evaluations  = static_cast<int>(study.evaluations.size());
    plan.provenance.inputs       = {{"model", study.model.file_sha256},
                                    {"profile", table.data_sha256},
                                    {"search", study.data_sha256},
                                    {"check", check.data_sha256}};
    return plan;
}

}  // namespace kvt
