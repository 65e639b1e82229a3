#include "kvt/report/task_markdown.h"

#include <algorithm>
#include <map>
#include <set>

#include <fmt/format.h>

#include "kvt/report/markdown_row.h"
#include "kvt/report/needle_map.h"

namespace kvt {

namespace {

using markdown::plain;
using markdown::row;

constexpr size_t kChangedShown = 20;  // of each plan

// A score or a difference of scores in its unit: percent or points, or nats.
std::string score_text(const std::string & name, double x, bool is_difference = false) {
    const bool nats = name == kLogLikelihood;
    return is_difference ? fmt::format("{:+.{}f}", nats ? x : 100 * x, nats ? 4 : 2)
                         : fmt::format("{:.{}f}", nats ? x : 100 * x, nats ? 4 : 1);
}

std::string score_interval(const std::string & name, const std::optional<Interval> & x, bool is_difference = false) {
    return x ? score_text(name, x->low, is_difference) + " to " + score_text(name, x->high, is_difference) : "";
}

std::string equivalence(const PairedScore & p, double margin) {
    if (!p.smallest_margin) return "";
    return *p.smallest_margin <= margin ? "yes" : fmt::format("not shown, only within {:.2f}", 100 * *p.smallest_margin);
}

std::string tasks(const Results & results) {
    if (results.tasks.empty()) return "";
    std::string text = "## Tasks\n\n";
    for (const TaskRun & run : results.tasks) {
        text += "* " + plain(run.settings) + "\n";
        for (const std::string & warning : run.warnings) text += "  * warning: " + plain(warning) + "\n";
    }
    text += fmt::format(
        "\nScores in percent, differences to the first plan of the task in points (log-likelihoods: nats a token).\n\n"
        "| task | plan | items | score | value | 95 % interval | difference | 95 % interval | McNemar P | equal within {:g} "
        "points "
        "|\n|---|---|---:|---|---:|---|---:|---|---:|---|\n",
        100 * results.margin);
    for (const TaskRun & run : results.tasks) {
        for (const TaskPlan & plan : run.plans) {
            const std::string items = plan.complete ? fmt::format("{}", plan.summary.n_items)
                                                    : fmt::format("{} of {}, unfinished", plan.summary.n_items, run.n_items);
            for (const auto & [name, score] : plan.summary.scores) {
                const ScoreDifference *  d = difference_of(plan, name);
                std::vector<std::string> cells{
                    plain(task_title(run.task, run.variant)), plain(plan.name), items, plain(name), score_text(name, score.mean),
                    score_interval(name, score.interval)};
                if (d != nullptr) {
                    const PairedScore & p = d->paired;
                    cells.insert(cells.end(), {score_text(name, p.difference, true), score_interval(name, p.interval, true),
                                               p.p ? fmt::format("{:.3g}", *p.p) : "", equivalence(p, results.margin)});
                }
                cells.resize(10);
                text += row(cells);
            }
        }
    }
    return text + "\n";
}

std::string changed_answers(const std::vector<TaskRun> & runs) {
    if (!compared(runs)) return "";
    std::string text;
    size_t      left_out = 0;
    for (const TaskRun & run : runs) {
        for (const TaskPlan & plan : run.plans) {
            for (size_t i = 0; i < std::min(plan.changed.size(), kChangedShown); ++i) {
                const ChangedAnswer & c    = plan.changed[i];
                const std::string     item = c.sample == 0 ? c.item : fmt::format("{} sample {}", c.item, c.sample);
                const auto            said = [](const std::optional<std::string> & x) { return x ? plain(*x) : "not shown"; };
                text += row({plain(task_title(run.task, run.variant)), plain(plan.name), plain(item), said(c.gold),
                             said(c.reference), said(c.answer), c.score < c.reference_score ? "lost" : "won"});
            }
            left_out += plan.changed.size() - std::min(plan.changed.size(), kChangedShown);
        }
    }
    if (text.empty()) return "## Changed answers\n\nNo answer changed its verdict.\n\n";
    text =
        "## Changed answers\n\n| task | plan | item | gold | first plan of the task | this plan | verdict "
        "|\n|---|---|---|---|---|---|---|\n" +
        text + "\n";
    return left_out == 0 ? text : text + fmt::format("{} more are in the HTML report and with --csv.\n\n", left_out);
}

std::string share_text(const NeedleCell & cell) {
    const std::string share = fmt::format("{:.0f}", 100 * cell.found.mean);
    return cell.informative ? share : "(" + share + ")";
}

std::string needles(const std::vector<NeedleMap> & maps) {
    std::string text;
    for (const NeedleMap & map : maps) {
        std::set<int> depths;
        for (const NeedlePlan & plan : map.plans)
            for (const NeedleCell & cell : plan.cells) depths.insert(cell.found.depth);
        text += fmt::format(
            "## Needles: {}\n\nPercent found by depth of the needle in percent of the text; (..): the first plan finds less than "
            "{:g}, so the cell says nothing.\n\n",
            plain(task_title(map.task, map.variant)), 100 * kInformativeScore);
        std::vector<std::string> head{"length", "plan"};
        for (const int depth : depths) head.push_back(tenth_name(depth));
        text += row(head) + row(std::vector<std::string>(head.size(), "---"));
        for (const NeedlePlan & plan : map.plans) {
            std::map<int, std::map<int, std::string>> lines;  // length, depth
            for (const NeedleCell & cell : plan.cells) lines[cell.found.length][cell.found.depth] = share_text(cell);
            for (auto & [length, by_depth] : lines) {
                std::vector<std::string> cells{fmt::format("{}", length), plain(plan.name)};
                for (const int depth : depths) cells.push_back(by_depth[depth]);
                text += row(cells);
            }
        }
        text += "\n";
    }
    return text;
}

}  // namespace

std::string task_markdown(const Results & results) {
    return tasks(results) + changed_answers(results.tasks) + needles(needle_maps(results.tasks));
}

}  // namespace kvt
