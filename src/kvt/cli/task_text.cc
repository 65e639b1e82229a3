#include "kvt/cli/task_text.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "kvt/cli/retrieval_text.h"
#include "kvt/cli/table.h"
#include "kvt/harness/summary.h"

namespace kvt::cli {

namespace {

constexpr size_t kFlipsShown = 20;

bool is_share(const std::string & name) { return name != kLogLikelihood; }

// A score in its unit: percent, or nats.
std::string value(const std::string & name, double v) {
    return is_share(name) ? fmt::format("{:.1f}", 100 * v) : fmt::format("{:.4f}", v);
}

std::string with_error(const std::string & name, const Json & s) {
    if (s["se"].is_null()) return value(name, s["mean"].get<double>());
    return fmt::format("{} +- {}", value(name, s["mean"].get<double>()), value(name, s["se"].get<double>()));
}

// One line, whatever the answer holds.
std::string one_line(std::string text) {
    for (char & c : text) {
        if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) > 0x7e) c = ' ';
    }
    return text.size() <= 40 ? text : text.substr(0, 37) + "...";
}

std::string short_answer(const ItemLine & line) { return one_line(line.error.empty() ? line.extracted : "error: " + line.error); }

std::string difference_text(const ScoreDifference & d) {
    const PairedScore & p    = d.paired;
    const char *        unit = is_share(d.name) ? " points" : " nats";
    std::string         out  = fmt::format("  {}: {} against {}, difference {:+.{}f}{}", d.name, value(d.name, d.second.mean),
                                           value(d.name, d.first.mean), is_share(d.name) ? 100 * p.difference : p.difference,
                                  is_share(d.name) ? 2 : 4, unit);
    if (p.interval) {
        const double scale = is_share(d.name) ? 100 : 1;
        out += fmt::format(" (95 %: {:+.2f} .. {:+.2f}, {} items)", scale * p.interval->low, scale * p.interval->high, p.n);
    }
    if (p.p)
        out += fmt::format(", right only in the reference {}, only here {}, McNemar exact P = {:.3g}", p.only_first,
                           p.only_second, *p.p);
    return out + "\n";
}

std::string margin_text(const ScoreDifference & d, double margin) {
    if (!is_share(d.name) || !d.paired.smallest_margin) return {};
    const double least = 100 * *d.paired.smallest_margin;
    if (*d.paired.smallest_margin <= margin)
        return fmt::format("  {}: equivalent within {:.2f} points at 95 % (and within {:.2f})\n", d.name, 100 * margin, least);
    return fmt::format(
        "  {}: not shown to be equivalent within {:.2f} points at 95 %; the smallest margin these {} items show is {:.2f}\n",
        d.name, 100 * margin, d.paired.n, least);
}

std::string flips_text(const RunComparison & c) {
    if (c.flips.empty()) return "  no item changed its verdict\n";
    Table table({{"item", Align::left},
                 {"gold", Align::left},
                 {c.first, Align::left},
                 {c.second, Align::left},
                 {"verdict", Align::left}});
    for (size_t i = 0; i < std::min(c.flips.size(), kFlipsShown); ++i) {
        const Flip & f = c.flips[i];
        table.row({f.first->sample == 0 ? f.first->item : fmt::format("{} sample {}", f.first->item, f.first->sample),
                   one_line(f.first->gold), short_answer(*f.first), short_answer(*f.second),
                   f.first_score > f.second_score ? "lost" : "won"});
    }
    std::string out = fmt::format("  {} answers changed their verdict:\n", c.flips.size()) + table.text(4);
    if (c.flips.size() > kFlipsShown)
        out += fmt::format("    ... and {} more (--json has all, with the responses)\n", c.flips.size() - kFlipsShown);
    return out;
}

// A share with its 95 % interval: "45.0 (40.1 .. 50.0)".
std::string with_interval(const Json & s) {
    const auto share = [](const Json & v) { return 100 * v.get<double>(); };
    if (s["ci_low"].is_null()) return fmt::format("{:.1f}", share(s["mean"]));
    return fmt::format("{:.1f} ({:.1f} .. {:.1f})", share(s["mean"]), share(s["ci_low"]), share(s["ci_high"]));
}

// Several answers per item: avg@n and pass@k of every score, a run and score a row.
std::string samples_text(const std::vector<TaskRecord> & records) {
    std::vector<std::string> names;
    for (const Json & sample : records[0].summary.value("samples", Json::array())) {
        const auto name = sample["name"].get<std::string>();
        if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    }
    if (names.empty()) return {};
    std::vector<Table::Column> columns{{"plan", Align::left}, {"score", Align::left}};
    for (const std::string & name : names) columns.push_back({name + " % (95 %)"});
    Table table(std::move(columns));
    for (const TaskRecord & r : records) {
        std::vector<std::pair<std::string, std::vector<std::string>>> rows;  // score, cells
        for (const Json & sample : r.summary.value("samples", Json::array())) {
            const auto score = sample["score"].get<std::string>();
            if (rows.empty() || rows.back().first != score) rows.push_back({score, {run_name(r), score}});
            rows.back().second.push_back(with_interval(sample));
        }
        for (auto & [score, cells] : rows) table.row(std::move(cells));
    }
    return "\n" + table.text();
}

}  // namespace

std::string runs_text(const std::vector<TaskRecord> & records) {
    if (records.empty()) return {};
    std::vector<std::string>   names;
    std::vector<Table::Column> columns{{"plan", Align::left}, {"eff.bits"}};
    for (const auto & [name, score] : records[0].summary["scores"].items()) {
        names.push_back(name);
        columns.push_back({is_share(name) ? name + " %" : name});
    }
    for (const char * title : {"items", "errors", "at the limit", "no answer"}) columns.push_back({title});
    Table table(std::move(columns));
    for (const TaskRecord & r : records) {
        std::vector<std::string> cells{
            run_name(r), r.header.contains("plan") ? fmt::format("{:.2f}", r.header["plan"].value("effective_bits", 0.0)) : "-"};
        const Json & s = r.summary;
        for (const std::string & name : names)
            cells.push_back(s["scores"].contains(name) ? with_error(name, s["scores"][name]) : "-");
        for (const char * field : {"n_items", "n_error", "n_length", "n_no_answer"})
            cells.push_back(fmt::format("{}", s.value(field, 0)));
        table.row(std::move(cells));
    }
    std::string out = table.text() + samples_text(records) + retrieval_text(records);
    out += "\n" + settings_text(records[0]) + "\n";
    for (const TaskRecord & r : records) {
        out += fmt::format("record: {}\n", r.path);
        if (const int n = r.summary.value("n_unscored", 0); n > 0)
            out += fmt::format("warning: {} answers of {} are not scored\n", n, run_name(r));
    }
    for (const auto & warning : records[0].header.value("warnings", Json::array()))
        out += fmt::format("warning: {}\n", warning.get<std::string>());
    return out;
}

std::string comparison_text(const RunComparison & c, double margin) {
    std::string out = fmt::format("\n{} against {}, {} answers", c.second, c.first, c.n_answers);
    out += c.n_texts > 0 ? fmt::format(": {} of {} are the same text\n", c.n_same_text, c.n_texts) : "\n";
    for (const ScoreDifference & d : c.scores) out += difference_text(d);
    for (const ScoreDifference & d : c.scores) out += margin_text(d, margin);
    return out + flips_text(c);
}

}  // namespace kvt::cli
