#include "kvt/harness/run_task.h"

#include <algorithm>
#include <set>

#include <sys/resource.h>

#include <fmt/format.h>

#include "kvt/base/stopwatch.h"
#include "kvt/harness/retrieval_map.h"

namespace kvt {

// --- Implementation ---

Status check_run(const Task & task, const TaskPrompts & prompts, const RunOptions & options) {
    if (options.n_samples < 1) return Error{fmt::format("number of samples {} must be at least 1", options.n_samples)};
    KVT_CHECK_OK(check_sampling(options.answers.sampling));
    if (options.answers.mode == AnswerMode::likelihood) {
        if (options.n_samples > 1) return Error{"log-likelihoods are no samples: leave --samples at 1"};
        for (const TaskItem & item : prompts.items) {
            if (item.continuations.empty())
                return Error{fmt::format("item {} of {} has no reference answer whose likelihood could be measured", item.id,
                                         task.header().name)};
        }
        return ok_status();
    }
    if (options.n_samples > 1 && options.answers.sampling.greedy())
        return Error{fmt::format("{} samples of greedy answers are all alike: give --temperature too", options.n_samples)};
    if (options.answers.max_new_tokens < 1)
        return Error{fmt::format("number of new tokens {} must be at least 1", options.answers.max_new_tokens)};
    return ok_status();
}

Json run_header(const Task & task, const TaskPrompts & prompts, const RunOptions & options) {
    const TaskHeader &    t = task.header();
    const AnswerOptions & a = options.answers;
    return Json{{"schema", kTaskSchema},
                {"schema_version", 1},
                {"task", t.name},
                {"variant", t.variant},
                {"data_name", t.data_name},
                {"data_sha256", t.data_sha256},
                {"n_items", t.n_items},
                {"prompts_sha256", prompts.sha256},
                {"shots", t.shots},
                {"samples", options.n_samples},
                {"mode", answer_mode_name(a.mode)},
                {"max_new_tokens", a.max_new_tokens},
                {"stops", a.stops},
                {"sampling", {{"temperature", a.sampling.temperature}, {"top_p", a.sampling.top_p}, {"top_k", a.sampling.top_k}}},
                {"seed", options.seed},
                {"private_text", t.private_text},
                {"warnings", t.warnings}};
}

namespace {

struct Key {
    int item = 0, sample = 0;
};

class Run {
public:
    Run(const Task & task, const TaskPrompts & prompts, const RunOptions & options, RecordFile & file, Progress & progress)
        : task_(task), prompts_(prompts), options_(options), file_(file), progress_(progress) {
        for (const ItemLine & line : file.record().lines) {
            if (line.error.empty() || options.retry == RetryErrors::no) done_.insert({line.item, line.sample});
        }
        for (int i = 0; i < static_cast<int>(prompts.items.size()); ++i) {
            for (int k = 0; k < options.n_samples; ++k) keys_.push_back({i, k});
        }
    }

    size_t open_answers() const {
        return static_cast<size_t>(std::count_if(keys_.begin(), keys_.end(), [&](const Key & k) { return !known(k); }));
    }
    size_t size() const { return keys_.size(); }

    Status go(Answerer & answerer) {
        const size_t group = answerer.group_size();
        if (group <= 1) {
            std::vector<Key> missing;
            std::copy_if(keys_.begin(), keys_.end(), std::back_inserter(missing), [&](const Key & k) { return !known(k); });
            return ask(answerer, missing);
        }
        for (size_t at = 0; at < keys_.size(); at += group) {
            const std::vector<Key> part(keys_.begin() + static_cast<ptrdiff_t>(at),
                                        keys_.begin() + static_cast<ptrdiff_t>(std::min(at + group, keys_.size())));
            if (std::all_of(part.begin(), part.end(), [&](const Key & k) { return known(k); })) continue;
            KVT_CHECK_OK(ask(answerer, part));
        }
        return ok_status();
    }

    // Answers that could not be scored when they were given (code without consent) are scored once they can be.
    Status score_stored() {
        std::vector<ItemLine> unscored;  // copies: appending moves the record's own lines
        std::copy_if(file_.record().lines.begin(), file_.record().lines.end(), std::back_inserter(unscored),
                     [](const ItemLine & l) { return l.scores.empty() && l.error.empty() && l.response.has_value(); });
        for (ItemLine & line : unscored) {
            const auto item =
                std::find_if(prompts_.items.begin(), prompts_.items.end(), [&](const TaskItem & i) { return i.id == line.item; });
            if (item == prompts_.items.end()) continue;
            apply(task_.score(static_cast<int>(item - prompts_.items.begin()), *line.response), line);
            if (line.scores.empty() && line.error.empty()) continue;
            KVT_CHECK_OK(file_.append(std::move(line)));
        }
        return ok_status();
    }

private:
    const TaskItem & item_of(const Key & k) const { return prompts_.items[static_cast<size_t>(k.item)]; }
    bool             known(const Key & k) const { return done_.contains({item_of(k).id, k.sample}); }
    uint32_t seed_of(const Key & k) const { return sampler_seed(task_.header().name, item_of(k).id, k.sample, options_.seed); }

    Status ask(Answerer & answerer, const std::vector<Key> & keys) {
        std::vector<Question> questions;
        for (const Key & k : keys) questions.push_back({&item_of(k), &prompts_.prompts[static_cast<size_t>(k.item)], seed_of(k)});
        return answerer.answer(questions, options_.answers, [&](size_t i, Answer answer) -> Status {
            const Key & key = keys[i];
            if (known(key)) {  // asked again for the company of others
                progress_.note("repeating the group that was interrupted");
                return ok_status();
            }
            done_.insert({item_of(key).id, key.sample});
            KVT_CHECK_OK(file_.append(judge(key, std::move(answer))));
            progress_.done(1);
            progress_.note(note());
            return ok_status();
        });
    }

    ItemLine judge(const Key & key, Answer answer) {
        const TaskItem & item   = item_of(key);
        const Prompt &   prompt = prompts_.prompts[static_cast<size_t>(key.item)];
        ItemLine         line;
        line.item            = item.id;
        line.sample          = key.sample;
        line.seed            = seed_of(key);
        line.prompt_tokens   = answer.prompt_tokens;
        line.new_tokens      = answer.new_tokens;
        line.finish          = answer.finish;
        line.prompt_sha256   = prompt.sha256;
        line.gold            = item.gold;
        line.groups          = item.groups;
        line.prefill_seconds = answer.prefill_seconds;
        line.decode_seconds  = answer.decode_seconds;
        if (prompt.control_text) line.flags.push_back("control_text");
        if (!answer.error.empty()) {
            // A server's own words may quote the prompt.
            line.error = task_.header().private_text ? answer.error.substr(0, answer.error.find(':')) : answer.error;
        } else if (options_.answers.mode == AnswerMode::likelihood) {
            judge_likelihoods(item, answer, line);
        } else {
            apply(task_.score(key.item, answer.text), line);
            if (!task_.header().private_text) line.response = std::move(answer.text);
        }
        if (!line.scores.empty()) sum_ += line.scores[0].second;
        ++n_;
        return line;
    }

    static void apply(const Verdict & verdict, ItemLine & line) {
        line.extracted = verdict.extracted;
        line.rule      = verdict.rule;
        line.scores    = verdict.scores;
        line.error     = verdict.error;
        for (const std::string & flag : verdict.flags) {
            if (std::find(line.flags.begin(), line.flags.end(), flag) == line.flags.end()) line.flags.push_back(flag);
        }
    }

    static void judge_likelihoods(const TaskItem & item, const Answer & answer, ItemLine & line) {
        size_t best = 0;
        for (size_t i = 0; i < answer.likelihoods.size(); ++i) {
            line.log_probabilities.push_back(answer.likelihoods[i].log_probability);
            line.continuation_tokens.push_back(answer.likelihoods[i].n_tokens);
            if (line.log_probabilities[i] > line.log_probabilities[best]) best = i;
        }
        const auto gold = static_cast<size_t>(item.gold_continuation);
        if (gold >= answer.likelihoods.size()) {
            line.error = fmt::format("continuation {} is the right one, but there are {}", gold, answer.likelihoods.size());
            return;
        }
        line.rule = "likelihood";
        if (answer.likelihoods.size() > 1) {
            line.extracted = fmt::format("{}", best);
            line.scores.emplace_back("accuracy", best == gold ? 1.0 : 0.0);
        }
        const Likelihood & right = answer.likelihoods[gold];
        if (right.n_tokens > 0) line.scores.emplace_back(kLogLikelihood, right.log_probability / right.n_tokens);
    }

    std::string note() const { return fmt::format("mean score {:.3f}", n_ > 0 ? sum_ / n_ : 0.0); }

    const Task &                          task_;
    const TaskPrompts &                   prompts_;
    const RunOptions &                    options_;
    RecordFile &                          file_;
    Progress &                            progress_;
    std::vector<Key>                      keys_;
    std::set<std::pair<std::string, int>> done_;
    double                                sum_ = 0;
    int                                   n_   = 0;
};

int64_t peak_rss_bytes() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    return static_cast<int64_t>(usage.ru_maxrss) * 1024;
}

}  // namespace

Result<TaskRecord> run_task(const Task & task, const TaskPrompts & prompts, const RunOptions & options, const Json & header,
                            const std::string & path, const OpenAnswerer & open, Progress & progress) {
    const Stopwatch watch;
    KVT_TRY(RecordFile file, RecordFile::open(path, header));
    Run run(task, prompts, options, file, progress);
    KVT_CHECK_OK(run.score_stored());
    const size_t left = run.open_answers();
    if (left == 0 && !file.record().summary.is_null()) return file.record();
    if (left > 0) {
        KVT_TRY(const auto answerer, open());
        const Json plan = header.value("plan", Json::object());
        progress.begin(fmt::format("{} under {}", task.header().name, plan.value("name", "server")), static_cast<int64_t>(left));
        const Status status = run.go(*answerer);
        if (!status.ok() && interrupted()) {
            return Error{fmt::format("interrupted after {} of {} answers; the same command goes on ({})",
                                     run.size() - run.open_answers(), run.size(), path)};
        }
        KVT_CHECK_OK(status);
        progress.end();
    }
    Json summary = to_json(summarize(file.record().lines));
    if (const auto cells = retrieval_map(file.record().lines); !cells.empty()) summary["retrieval"] = to_json(cells);
    summary["wall_seconds"]   = watch.seconds();
    summary["peak_rss_bytes"] = peak_rss_bytes();
    KVT_CHECK_OK(file.finish(summary));
    return file.record();
}

}  // namespace kvt
