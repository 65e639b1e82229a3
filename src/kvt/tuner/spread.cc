#include "kvt/tuner/spread.h"

#include <algorithm>
#include <deque>
#include <limits>
#include <map>
#include <optional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "kvt/base/json_text.h"
#include "kvt/base/optional_json.h"
#include "kvt/base/progress.h"
#include "kvt/plan/json_reader.h"
#include "kvt/plan/plan.h"
#include "kvt/tuner/search/study_state.h"

namespace kvt {

namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kMaxBytes = size_t{16} << 20;
constexpr int    kMaxDepth = 8;
constexpr double kWait     = 0.2;  // between looks at who is silent, and at Ctrl-C
// The coordinator, too, is heard every few seconds; a worker waits longer, so that it does not leave one that gives up others.
constexpr double kCoordinatorLost = 2 * kLostSeconds;

std::string bytes_of(const Json & j) { return json_text(j, -1, JsonChars::ascii); }

std::string score_text(int64_t job, const ObjectiveScore & s) {
    return bytes_of({{"kind", "scored"},
                     {"job", job},
                     {"kld", finite_or_null(s.kld)},
                     {"ci_low", finite_or_null(s.ci_low)},
                     {"ci_high", finite_or_null(s.ci_high)},
                     {"clipped", s.clipped},
                     {"seconds", s.seconds},
                     {"worker", s.worker}});
}

std::string failure_text(int64_t job, const std::string & error) {
    return bytes_of({{"kind", "failed"}, {"job", job}, {"error", error}});
}

std::string job_text(int64_t job, const PrecisionPlan & plan) {
    Json pairs = Json::array();
    for (const PairBits & p : pairs_of(plan)) pairs.push_back(pair_name(p.k, p.v));
    return bytes_of({{"kind", "score"}, {"job", job}, {"pairs", std::move(pairs)}});
}

// What a process of this crew said; `kind` is empty for what no version of it says.
struct Heard {
    std::string           kind, error, study, folder, settings;
    int64_t               job = -1;
    ObjectiveScore        score;
    std::vector<PairBits> pairs;
};

Heard understand(const std::string & bytes) {
    const auto document = parse_strict_json(bytes, kMaxBytes, kMaxDepth);
    if (!document.ok()) return {};
    Complaint    complaint;
    ObjectReader o(*document, "", complaint);
    Heard        h;
    h.kind            = o.choice("kind", {"begin", "ready", "score", "scored", "failed", "end"});
    const auto number = [&o](const char * key) {
        return o.raw(key).is_null() ? std::numeric_limits<double>::quiet_NaN() : o.number(key);
    };
    constexpr int64_t kMost = int64_t{1} << 40;
    if (h.kind == "begin") {
        h.study    = o.text("study");
        h.folder   = o.text("folder");
        h.settings = o.text("settings");
    } else if (h.kind == "score") {
        h.job = o.integer("job", 0, kMost);
        for (const auto & name : o.array("pairs")) {
            const auto pair = parse_pair(name.is_string() ? name.get<std::string>() : "?");
            if (!pair.ok()) o.complain("pairs", pair.error().message);
            if (pair.ok()) h.pairs.push_back(*pair);
        }
    } else if (h.kind == "scored") {
        h.job           = o.integer("job", 0, kMost);
        h.score.kld     = number("kld");
        h.score.ci_low  = number("ci_low");
        h.score.ci_high = number("ci_high");
        h.score.seconds = o.number("seconds");
        h.score.worker  = o.text("worker");
        for (const auto & x : o.array("clipped")) h.score.clipped.push_back(x.is_number() ? x.get<double>() : 0.0);
    } else if (h.kind == "failed") {
        h.job   = o.integer("job", -1, kMost);
        h.error = o.text("error");
    }
    return complaint.empty() ? h : Heard{};
}

}  // namespace

void begin_work(Crew & crew, const Study & setup, const std::string & settings) {
    const std::string text = bytes_of(
        {{"kind", "begin"}, {"study", write_study_head(setup)}, {"folder", setup.calibration.folder}, {"settings", settings}});
    for (int rank = 1; rank < crew.size(); ++rank) crew.send(rank, text);
}

void end_work(Crew & crew) {
    for (int rank = 1; rank < crew.size(); ++rank) crew.send(rank, bytes_of({{"kind", "end"}}));
}

// The plans of one call of score_all.
struct SpreadObjective::Batch {
    const std::vector<PrecisionPlan> & plans;
    const MayBegin &                   may_begin;
    const Scored &                     scored;
    std::deque<size_t>                 waiting{};
    std::map<int64_t, size_t>          jobs{};  // handed out, also to workers that were lost since
    std::vector<bool>                  done{};  // [plans]
    size_t                             n_done = 0;
    std::optional<Error>               stopped{};  // by may_begin: nothing more is handed out

    Status finish(size_t plan, const ObjectiveScore & score) {
        if (done[plan]) return ok_status();  // a worker that had been given up was only slow
        done[plan] = true;
        ++n_done;
        return scored(plan, score);
    }
    bool may() {
        if (stopped) return false;
        const Status asked = may_begin();
        if (!asked.ok()) stopped = asked.error();
        return asked.ok();
    }
    std::optional<size_t> next() {
        while (!waiting.empty() && done[waiting.front()]) waiting.pop_front();
        if (waiting.empty() || !may()) return std::nullopt;
        const size_t plan = waiting.front();
        waiting.pop_front();
        return plan;
    }
};

SpreadObjective::SpreadObjective(Crew & crew, Objective & own)
    : crew_(crew), own_(own), workers_(static_cast<size_t>(crew.size())) {}

Result<ObjectiveScore> SpreadObjective::score(const PrecisionPlan & plan) {
    ObjectiveScore found;
    KVT_CHECK_OK(score_all({plan}, ok_status, [&](size_t, const ObjectiveScore & score) {
        found = score;
        return ok_status();
    }));
    return found;
}

Status SpreadObjective::score_all(const std::vector<PrecisionPlan> & plans, const MayBegin & may_begin, const Scored & scored) {
    Batch batch{plans, may_begin, scored};
    batch.done.resize(plans.size());
    for (size_t i = 0; i < plans.size(); ++i) batch.waiting.push_back(i);
    while (batch.n_done < plans.size()) {
        if (interrupted()) return Error{kInterrupted};
        hand_out(batch);
        const bool working = std::any_of(workers_.begin(), workers_.end(), [&](const Worker & w) {
            return w.state == Worker::State::busy && batch.jobs.contains(w.job);
        });
        if (batch.stopped && !working) return *batch.stopped;
        if (!anyone()) {
            if (const auto plan = batch.next()) {
                KVT_TRY(const ObjectiveScore own, own_.score(plans[*plan]));
                KVT_CHECK_OK(batch.finish(*plan, own));
            }
        }
        KVT_CHECK_OK(hear(batch, anyone() ? kWait : 0.0));
        give_up_silent(batch);
    }
    return ok_status();
}

bool SpreadObjective::anyone() const {
    return std::any_of(workers_.begin() + 1, workers_.end(), [](const Worker & w) { return w.state != Worker::State::lost; });
}

void SpreadObjective::hand_out(Batch & batch) {
    for (size_t rank = 1; rank < workers_.size(); ++rank) {
        Worker & worker = workers_[rank];
        if (worker.state != Worker::State::idle) continue;
        const auto plan = batch.next();
        if (!plan) break;
        worker.state           = Worker::State::busy;
        worker.job             = next_job_++;
        batch.jobs[worker.job] = *plan;
        crew_.send(static_cast<int>(rank), job_text(worker.job, batch.plans[*plan]));
    }
}

// All that has arrived; waits for the first so long.
Status SpreadObjective::hear(Batch & batch, double seconds) {
    for (auto message = crew_.receive(seconds); message; message = crew_.receive(0)) {
        const Heard heard  = understand(message->bytes);
        Worker &    worker = workers_[static_cast<size_t>(message->from)];
        const auto  job    = batch.jobs.find(heard.job);
        if (heard.kind == "ready") {
            worker.state = Worker::State::idle;
        } else if (heard.kind == "scored") {
            worker.state = Worker::State::idle;
            if (job != batch.jobs.end()) KVT_CHECK_OK(batch.finish(job->second, heard.score));
        } else if (heard.kind == "failed" && heard.job < 0) {
            give_up(batch, worker);  // it says why itself, and leaves
        } else if (heard.kind == "failed") {
            worker.state = Worker::State::idle;
            if (job != batch.jobs.end()) return Error{fmt::format("process {}: {}", message->from, heard.error)};
        } else {
            return Error{fmt::format("process {} does not speak this kvtuner's language: start the same version everywhere",
                                     message->from)};
        }
    }
    return ok_status();
}

void SpreadObjective::give_up(Batch & batch, Worker & worker) {
    const auto job = batch.jobs.find(worker.job);
    if (worker.state == Worker::State::busy && job != batch.jobs.end()) batch.waiting.push_front(job->second);
    worker.state = Worker::State::lost;
}

void SpreadObjective::give_up_silent(Batch & batch) {
    for (size_t rank = 1; rank < workers_.size(); ++rank) {
        Worker & worker = workers_[rank];
        if (worker.state != Worker::State::lost && crew_.silence(static_cast<int>(rank)) > kLostSeconds) give_up(batch, worker);
    }
}

Status serve(Crew & crew, const PrepareWork & prepare) {
    Study                      setup;
    std::unique_ptr<Objective> objective;
    while (!interrupted()) {
        const auto message = crew.receive(kWait);
        if (!message) {
            if (crew.silence(0) < kCoordinatorLost) continue;
            return Error{fmt::format(
                "nothing was heard of the coordinator for {:.0f} s: this worker ends; run the same command again to go on",
                kCoordinatorLost)};
        }
        const Heard heard = understand(message->bytes);
        if (heard.kind == "end") return ok_status();
        if (heard.kind == "begin") {
            auto study = parse_study(heard.study, {});
            if (study.ok()) study->calibration.folder = heard.folder;
            auto made = study.ok() ? prepare(*study, heard.settings) : Result<std::unique_ptr<Objective>>(study.error());
            if (!made.ok()) {
                crew.send(0, failure_text(-1, made.error().message));
                return made.error();
            }
            setup     = std::move(*study);
            objective = std::move(*made);
            crew.send(0, bytes_of({{"kind", "ready"}}));
        } else if (heard.kind == "score" && objective && heard.pairs.size() == static_cast<size_t>(setup.model.n_layer)) {
            const auto score = objective->score(plan_of(setup, heard.pairs));
            if (!score.ok() && interrupted()) break;
            crew.send(0, score.ok() ? score_text(heard.job, *score) : failure_text(heard.job, score.error().message));
        } else {
            return Error{"the coordinator does not speak this kvtuner's language: start the same version everywhere"};
        }
    }
    crew.send(0, failure_text(-1, kInterrupted));
    return Error{kInterrupted};
}

}  // namespace kvt
