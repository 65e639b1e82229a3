#include "kvt/tuner/task_objective.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "kvt/base/stopwatch.h"
#include "kvt/base/this_process.h"
#include "kvt/harness/answerer.h"
#include "kvt/harness/run_task.h"
#include "kvt/harness/score_stats.h"
#include "kvt/tuner/records.h"

namespace kvt {

namespace {

RunOptions run_options(const Task & task, const TaskScoring & scoring) {
    RunOptions options;
    options.answers.mode           = scoring.score == TaskScore::accuracy ? AnswerMode::generate : AnswerMode::likelihood;
    options.answers.stops          = task.header().stops;
    options.answers.max_new_tokens = task.header().max_new_tokens;
    return options;
}

class TaskObjective final : public Objective {
public:
    TaskObjective(ModelRunner & runner, std::shared_ptr<const Task> task, std::shared_ptr<const TaskPrompts> prompts,
                  const TaskScoring & scoring, int n_ctx, Progress & progress)
        : runner_(&runner),
          task_(std::move(task)),
          prompts_(std::move(prompts)),
          scoring_(scoring),
          n_ctx_(n_ctx),
          progress_(&progress) {}

    // The f16 cache, stock.
    Status run_reference() {
        progress_->begin("reference", static_cast<int64_t>(prompts_->items.size()));
        KVT_TRY(reference_, values({}, [this] { progress_->done(1); }));
        progress_->end();
        if (scoring_.score == TaskScore::loglik) return ok_status();
        if (std::all_of(reference_.begin(), reference_.end(), [](double v) { return v <= 0; })) {
            return Error{fmt::format(
                "the f16 cache gets none of {} items of {} right, so no plan can be told from another: use --score loglik, more "
                "items, or another task",
                reference_.size(), task_->header().name)};
        }
        return ok_status();
    }

    Result<ObjectiveScore> score(const PrecisionPlan & plan) override {
        const Stopwatch watch;
        KVT_TRY(const std::vector<double> found, values(plan, [] {}));
        const PairedScore paired = paired_score(reference_, found);
        ObjectiveScore    score;
        score.seconds = watch.seconds();
        score.worker  = this_process();
        score.kld     = -paired.difference;
        score.ci_low = score.ci_high = std::numeric_limits<double>::quiet_NaN();
        if (paired.interval) {
            score.ci_low  = -paired.interval->high;
            score.ci_high = -paired.interval->low;
        }
        for (size_t i = 0; i < found.size(); ++i) score.clipped.push_back(reference_[i] - found[i]);
        return score;
    }

private:
    // One value an item: the share that is right, or the log-likelihood of a token.
    template <class Done>
    Result<std::vector<double>> values(const std::optional<PrecisionPlan> & plan, const Done & on_item) const {
        GeneratorOptions options;
        options.plan    = plan;
        options.n_slots = scoring_.score == TaskScore::loglik ? 2 : scoring_.n_slots;
        options.n_ctx   = n_ctx_;
        options.n_batch = options.n_ubatch = scoring_.n_batch;
        options.n_threads                  = scoring_.n_threads;
        options.shared                     = prompts_->shared;
        KVT_TRY(const auto answerer, engine_answerer(*runner_, options));
        std::vector<Question> questions;
        for (size_t i = 0; i < prompts_->items.size(); ++i) {
            const TaskItem & item = prompts_->items[i];
            questions.push_back({&item, &prompts_->prompts[i], sampler_seed(task_->header().name, item.id, 0, 0)});
        }
        std::vector<double> values(questions.size(), 0.0);
        // All at once: the same list of questions always gives the same answers (generator.h).
        KVT_CHECK_OK(
            answerer->answer(questions, run_options(*task_, scoring_).answers, [&](size_t i, const Answer & a) -> Status {
                KVT_TRY(values[i], value_of(i, a));
                on_item();
                return ok_status();
            }));
        return values;
    }

    Result<double> value_of(size_t i, const Answer & answer) const {
        const TaskItem & item = prompts_->items[i];
        if (scoring_.score == TaskScore::accuracy) {
            if (!answer.error.empty()) return 0.0;
            const Verdict verdict = task_->score(static_cast<int>(i), answer.text);
            return verdict.scores.empty() ? 0.0 : verdict.scores.front().second;
        }
        if (!answer.error.empty()) return Error{fmt::format("item {} of {}: {}", item.id, task_->header().name, answer.error)};
        const Likelihood & gold = answer.likelihoods.at(static_cast<size_t>(item.gold_continuation));
        return gold.n_tokens > 0 ? gold.log_probability / gold.n_tokens : 0.0;
    }

    ModelRunner *                      runner_;
    std::shared_ptr<const Task>        task_;
    std::shared_ptr<const TaskPrompts> prompts_;
    TaskScoring                        scoring_;
    int                                n_ctx_;
    Progress *                         progress_;
    std::vector<double>                reference_;  // [n_items] of the f16 cache
};

}  // namespace

const char * task_score_name(TaskScore score) { return score == TaskScore::accuracy ? "accuracy" : "loglik"; }

Result<ObjectiveSource> task_objective(std::shared_ptr<const Task> task, std::shared_ptr<const TaskPrompts> prompts,
                                       const TaskScoring & scoring) {
    KVT_CHECK_OK(check_run(*task, *prompts, run_options(*task, scoring)));
    const TaskHeader & header = task->header();
    for (const TaskItem & item : prompts->items) {
        if (scoring.score == TaskScore::loglik && item.gold_continuation >= static_cast<int>(item.continuations.size()))
            return Error{fmt::format("item {} of {} does not say which of its answers is right", item.id, header.name)};
    }
    ObjectiveSource source;
    source.name        = fmt::format("{} {}", header.name, task_score_name(scoring.score));
    source.data_sha256 = prompts->sha256;
    source.settings = fmt::format("{} {} {} {} {} {} {}", header.variant, header.data_sha256, header.shots, header.max_new_tokens,
                                  fmt::join(header.stops, "\n"), scoring.n_slots, scoring.n_batch);
    source.open     = [task, prompts, scoring](ModelRunner & runner, Progress & progress) -> Result<OpenObjective> {
        KVT_TRY(const int n_ctx, slot_cells(*prompts, runner, run_options(*task, scoring).answers, 0));
        auto objective = std::make_unique<TaskObjective>(runner, task, prompts, scoring, n_ctx, progress);
        KVT_CHECK_OK(objective->run_reference());
        const int n_items = static_cast<int>(prompts->items.size());
        return OpenObjective{std::move(objective), n_items};
    };
    source.cost = [prompts, scoring, n_new = header.max_new_tokens](const ModelRunner & runner) -> Result<PlanCost> {
        const auto n_items = static_cast<int64_t>(prompts->items.size()), shared = static_cast<int64_t>(prompts->shared.size());
        PlanCost   cost;
        cost.prompt_tokens = shared;
        for (const Prompt & p : prompts->prompts) cost.prompt_tokens += static_cast<int64_t>(p.tokens.size()) - shared;
        if (scoring.score == TaskScore::accuracy) {
            cost.steps = (n_items + scoring.n_slots - 1) / scoring.n_slots * n_new;
            return cost;
        }
        for (const TaskItem & item : prompts->items) {
            for (const std::string & text : item.continuations) {
                KVT_TRY(const auto tokens, runner.tokenize(text, AddSpecial::parse));
                cost.prompt_tokens += static_cast<int64_t>(tokens.size());
            }
        }
        return cost;
    };
    return source;
}

}  // namespace kvt
