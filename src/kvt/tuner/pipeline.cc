#include "kvt/tuner/pipeline.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <optional>
#include <tuple>

#include <fmt/format.h>

#include "kvt/base/file_io.h"
#include "kvt/base/file_lock.h"
#include "kvt/base/sha256.h"
#include "kvt/base/stopwatch.h"
#include "kvt/base/this_process.h"
#include "kvt/eval/kld.h"
#include "kvt/eval/kld_scorer.h"
#include "kvt/plan/calibration.h"
#include "kvt/tuner/artefact.h"
#include "kvt/tuner/calibrate/calibrate.h"
#include "kvt/tuner/spread.h"
#include "kvt/tuner/study_store.h"

namespace kvt {

namespace {

constexpr int    kMostPositions = 32768;
constexpr double kUnknown       = std::numeric_limits<double>::quiet_NaN();

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
    explicit ScorerObjective(KldScorer scorer) : scorer_(std::move(scorer)) {}
    Result<ObjectiveScore> score(const PrecisionPlan & plan) override {
        const Stopwatch watch;
        KVT_TRY(const KldScore s, scorer_.score(plan));
        return ObjectiveScore{s.mean, s.ci_low, s.ci_high, s.clipped_means, watch.seconds(), this_process()};
    }

private:
    KldScorer scorer_;
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

// Every position costs a little quality at all others (0.0154 at 2048, 0.0180 at 8192 positions for rotated:KV4), so very long
// contexts must be asked for.
int default_positions(int n_ctx_train) { return n_ctx_train > 0 ? std::min(n_ctx_train, kMostPositions) : 4096; }

struct Rival {
    PairBits pair;
    bool     kivi = false;
};

// What a user would take without a tuner.
std::vector<Rival> rivals_of(const std::string & method) {
    if (method != kKnapsack) return {{{8, 8}}, {{8, 4}}, {{4, 8}}, {{4, 4}}};
    return {{{8, 8}}, {{6, 6}}, {{6, 4}}, {{5, 5}}, {{5, 4}}, {{4, 4}}, {{8, 8}, true}, {{4, 4}, true}};
}

// The stored study of equal inputs, if there is one. `start` takes over its evaluations: the search goes through its own order
// again, and those scored before are not scored twice.
Result<std::optional<Study>> resume_study(Study & start, const std::string & path, Redo redo) {
    const std::string file = study_file(path);
    if (redo == Redo::yes || file.empty()) return std::optional<Study>{};
    KVT_TRY(Study stored, read_study(file));
    if (stored.model.file_sha256 != start.model.file_sha256) {
        return Error{fmt::format(
            "{} is a study of the model \"{}\" ({:.12}), not of \"{}\" ({:.12}): choose another output, or start over "
            "with --fresh",
            file, stored.model.name, stored.model.file_sha256, start.model.name, start.model.file_sha256)};
    }
    if (stored.inputs_sha256 != start.inputs_sha256) {
        return Error{fmt::format(
            "{} was made from another text or with other settings (mode, chunks, calibration): choose another output, "
            "or start over with --fresh",
            file)};
    }
    start.evaluations = stored.evaluations;
    start.ahead       = stored.ahead;
    start.floor       = stored.floor;
    return std::optional<Study>{std::move(stored)};
}

// A study of so far nothing, but its inputs.   kind  of the search, in the hash
Study new_study(const ModelInfo & model, Mode mode, const ObjectiveSource & objective, std::vector<std::string> kind) {
    Study start;
    start.model        = model;
    start.mode         = mode;
    start.objective    = objective.name;
    start.chunk_tokens = objective.chunk_tokens;
    start.data_sha256  = objective.data_sha256;
    kind.insert(kind.begin() + 1, model.file_sha256);
    for (const std::string & part : {objective.data_sha256, objective.settings}) kind.push_back(part);
    if (!scored_on_text(start)) kind.push_back(objective.name);
    start.inputs_sha256 = hash_of(kind);
    return start;
}

// Runs a search whose plans are scored by `source` and go into the file at `path`.
template <class Search>
Result<Study> scored_study(ModelRunner & runner, Study start, const std::optional<Study> & stored, const ObjectiveSource & source,
                           const std::string & path, Progress & progress, Crew * crew, const Search & search) {
    if (crew != nullptr) begin_work(*crew, start, source.settings);
    KVT_TRY(const OpenObjective own, source.open(runner, progress));
    start.n_chunks = own.n_parts;
    std::optional<SpreadObjective> spread;
    if (crew != nullptr) spread.emplace(*crew, *own.objective);
    Objective & objective = spread ? static_cast<Objective &>(*spread) : *own.objective;
    KVT_TRY(StudyStore store, stored ? StudyStore::resume(path, *stored) : StudyStore::create(path, start));
    const SaveStudy save = [&store](const Study & study) { return store.save(study); };
    return search(std::move(start), objective, save);
}

}  // namespace

ObjectiveSource kld_objective(const ScoringText & text) {
    ObjectiveSource source;
    source.name         = kKldObjective;
    source.data_sha256  = sha256_hex(text.text);
    source.settings     = fmt::format("{} {}", text.chunk_tokens, text.max_chunks);
    source.chunk_tokens = text.chunk_tokens;
    source.open         = [text](ModelRunner & runner, Progress & progress) -> Result<OpenObjective> {
        KVT_TRY(const auto tokens, runner.tokenize(text.text, AddSpecial::yes));
        ScorerOptions options;
        options.n_ctx      = text.chunk_tokens;
        options.max_chunks = text.max_chunks;
        options.n_batch = options.n_ubatch = std::min(text.chunk_tokens, 512);
        options.n_threads                  = text.n_threads;
        KVT_TRY(KldScorer scorer, KldScorer::create(runner, tokens, options, progress));
        const int n_chunks = scorer.n_chunks();
        return OpenObjective{std::make_unique<ScorerObjective>(std::move(scorer)), n_chunks};
    };
    source.cost = [text](const ModelRunner & runner) -> Result<PlanCost> {
        KVT_TRY(const auto tokens, runner.tokenize(text.text, AddSpecial::yes));
        KVT_TRY(const Chunks chunks, make_chunks(runner, tokens, text.chunk_tokens, text.max_chunks));
        const auto n_chunks = static_cast<int64_t>(chunks.tokens.size());
        return PlanCost{n_chunks * chunks.n_ctx, 0,
                        static_cast<uint64_t>(n_chunks) * static_cast<uint64_t>(chunks.scored_per_chunk()) *
                            static_cast<uint64_t>(runner.n_vocab()) * sizeof(float)};
    };
    return source;
}

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
    SensitivityTable  table;
    const std::string parts        = path + ".parts";
    const auto        remove_parts = [&parts] {
        std::error_code ignored;  // they do no harm
        std::filesystem::remove_all(parts, ignored);
    };
    if (redo == Redo::no) {
        KVT_TRY(const Artefact found, load_artefact<SensitivityTable>(path, parse_sensitivity, like.inputs_sha256, table));
        if (found == Artefact::usable) {
            remove_parts();  // a run may have been killed between the table and this
            return table;
        }
    }
    KVT_CHECK_OK(make_folder(parts));
    KVT_TRY(table, run_profile(runner, stage.prompts, stage.options, file_store(parts, like), progress));
    table.data_sha256   = like.data_sha256;
    table.inputs_sha256 = like.inputs_sha256;
    KVT_CHECK_OK(write_file_atomic(path, write_record(table)));
    remove_parts();
    return table;
}

Result<CalibrationRef> calibrate_stage(ModelRunner & runner, const CalibrateStage & stage, const std::string & path, Redo redo,
                                       Progress & progress) {
    const ModelInfo & model = runner.info();
    KVT_TRY(std::vector<Token> tokens, runner.tokenize(stage.text, AddSpecial::no));
    if (static_cast<int>(tokens.size()) > stage.max_tokens) tokens.erase(tokens.begin(), tokens.end() - stage.max_tokens);
    // llama.cpp rounds contexts up to 256 cells.
    const int         wanted    = stage.positions > 0 ? stage.positions : default_positions(runner.n_ctx_train());
    const int         positions = (wanted + 255) / 256 * 256;
    const std::string text_sha  = sha256_hex(stage.text);
    const std::string inputs =
        hash_of({"calibration 1", model.file_sha256, text_sha, fmt::format("{} {}", tokens.size(), positions)});
    if (redo == Redo::no && file_exists(path)) {
        KVT_TRY(const std::string bytes, read_file(path));
        const auto stored = parse_safetensors(bytes);
        if (!stored.ok() || !stored->metadata.contains("inputs_sha256"))
            return Error{
                fmt::format("{} exists and is not a calibration file: use --fresh to overwrite it, or another name", path)};
        if (stored->metadata.at("inputs_sha256") == inputs) return calibration_ref(path, bytes, stored->metadata);
        return Error{fmt::format(
            "{} was made from other inputs (model, text, tokens or positions): use --fresh to overwrite it, or another name",
            path)};
    }
    KVT_TRY(const auto moments, measure_moments(runner, tokens, positions, stage.n_threads, progress));
    SafetensorsFile file;
    file.tensors            = design_transforms(moments);
    file.metadata           = {{std::string(kPositionsKey), std::to_string(positions)},
                               {"inputs_sha256", inputs},
                               {std::string(kModelKey), model.file_sha256},
                               {"text_sha256", text_sha},
                               {"tokens", std::to_string(tokens.size())}};
    const std::string bytes = write_safetensors(file);
    KVT_CHECK_OK(write_file_atomic(path, bytes));
    return calibration_ref(path, bytes, file.metadata);
}

Result<Study> search_stage(ModelRunner & runner, const LayerGroups & groups, const ObjectiveSource & objective,
                           const SearchOptions & options, const std::string & path, Redo redo, Progress & progress,
                           const SearchMeans & means) {
    if (!(groups.model == runner.info())) {
        return Error{fmt::format("the layer groups are of {}, not of the model {}: profile this model first", groups.model.name,
                                 runner.info().name)};
    }
    Study start  = new_study(runner.info(), groups.mode, objective, {"study 1", write_record(groups)});
    start.groups = groups;
    KVT_TRY(const FileLock lock, FileLock::take(path));
    KVT_TRY(auto stored, resume_study(start, path, redo));
    Study wanted;
    describe_search(options, wanted);
    const auto how = [](const Study & s) {
        return std::tie(s.method, s.seed, s.population, s.generations, s.seeded, s.soft_limits);
    };
    if (stored && stored->complete && how(*stored) == how(wanted)) return std::move(*stored);
    return scored_study(runner, std::move(start), stored, objective, path, progress, means.crew,
                        [&](Study study, Objective & scored, const SaveStudy & save) {
                            return run_search(std::move(study), scored, options, save, progress, means.time_used);
                        });
}

Result<Study> allocation_stage(ModelRunner & runner, Mode mode, const CalibrationRef & calibration,
                               const ObjectiveSource & objective, const Budget & budget, const std::string & path, Redo redo,
                               Progress & progress, const SearchMeans & means) {
    Study start  = new_study(runner.info(), mode, objective, {"allocation 2", std::string(mode_name(mode)), calibration.sha256});
    start.method = kKnapsack;
    start.calibration = calibration;
    KVT_TRY(const FileLock lock, FileLock::take(path));
    KVT_TRY(const auto stored, resume_study(start, path, redo));  // another budget may ask for plans that a finished study lacks
    return scored_study(runner, std::move(start), stored, objective, path, progress, means.crew,
                        [&](Study study, Objective & scored, const SaveStudy & save) {
                            return run_allocation(std::move(study), scored, budget, save, progress, means.time_used);
                        });
}

Status work_stage(ModelRunner & runner, const ObjectiveSource & objective, Crew & crew) {
    return serve(crew, [&](const Study & setup, const std::string & settings) -> Result<std::unique_ptr<Objective>> {
        if (!(setup.model == runner.info()))
            return Error{fmt::format(
                "{}: the model is {} ({:.12}), the coordinator's {} ({:.12}): give all processes the same file", this_process(),
                runner.info().name, runner.info().file_sha256, setup.model.name, setup.model.file_sha256)};
        if (setup.objective != objective.name)
            return Error{fmt::format("{}: the objective is {}, the coordinator's {}: start all processes with the same options",
                                     this_process(), objective.name, setup.objective)};
        if (setup.data_sha256 != objective.data_sha256 || settings != objective.settings)
            return Error{fmt::format("{}: {} to search on is not the coordinator's: give all processes the same files",
                                     this_process(), scored_on_text(setup) ? "the text" : "the task")};
        KVT_TRY(OpenObjective opened, objective.open(runner, no_progress()));
        return std::move(opened.objective);
    });
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
    check.inputs_sha256 = hash_of({"held_out 2", study.method, study.calibration.sha256, study.model.file_sha256,
                                   std::string(mode_name(study.mode)), pairs_key, check.data_sha256,
                                   fmt::format("{} {}", text.chunk_tokens, text.max_chunks)});
    if (redo == Redo::no) {
        HeldOutCheck stored;
        const auto   found = load_artefact<HeldOutCheck>(path, parse_held_out, check.inputs_sha256, stored);
        // Another choice from the same study is a normal reason to check again.
        if (found.ok() && *found == Artefact::usable) return stored;
    }
    KldOptions options;
    options.plans.push_back({"tuned", plan_of(study, tuned.pairs)});
    for (const Rival & rival : rivals_of(study.method)) {
        const std::vector<PairBits> pairs(tuned.pairs.size(), rival.pair);
        const std::string           name = pair_name(rival.pair.k, rival.pair.v);
        if (rival.kivi && study.mode != Mode::kivi) {
            options.plans.push_back({"kivi:" + name, plan_of(study.model, Mode::kivi, pairs)});
        } else {
            options.plans.push_back({name, plan_of(study, pairs)});
        }
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
        check.plans.push_back(checked(record.plans[i], options.plans[i].name, pairs_of(options.plans[i].plan)));
    }
    KVT_CHECK_OK(write_file_atomic(path, write_record(check)));
    return check;
}

PrecisionPlan searched_plan(const Study & study, const Choice & choice, const std::string & tool_version) {
    PrecisionPlan plan           = plan_of(study, study.evaluations[static_cast<size_t>(choice.evaluation)].pairs);
    plan.provenance.tool_version = tool_version;
    plan.provenance.method       = study.method;
    plan.provenance.objective    = scored_on_text(study) ? "kld_mean" : study.objective;
    plan.provenance.seed         = study.seed;
    plan.provenance.evaluations  = static_cast<int>(study.evaluations.size());
    plan.provenance.inputs       = {{"model", study.model.file_sha256}, {"search", study.data_sha256}};
    return plan;
}

PrecisionPlan finished_plan(const Study & study, const Choice & choice, const HeldOutCheck & check,
                            const std::string & profile_sha256, const std::string & tool_version) {
    PrecisionPlan       plan  = searched_plan(study, choice, tool_version);
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
    auto & inputs = plan.provenance.inputs;
    if (!profile_sha256.empty()) inputs.insert(inputs.end() - 1, {"profile", profile_sha256});
    inputs.push_back({"check", check.data_sha256});
    return plan;
}

}  // namespace kvt
