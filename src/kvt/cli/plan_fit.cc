#include "kvt/cli/plan_fit.h"

#include <algorithm>
#include <functional>

#include <fmt/format.h>

#include "kvt/base/file_io.h"
#include "kvt/cli/console.h"
#include "kvt/cli/table.h"
#include "kvt/plan/schema.h"
#include "kvt/recipes/ggml_types.h"

namespace kvt::cli {

namespace {

constexpr int64_t kMaxCells = 1 << 24;  // of one sequence; no model was trained for more

constexpr const char * kUniform[] = {"kivi:KV8",     "per-token:KV8", "rotated:KV8", "rotated:KV6",  "kivi:K8V4", "rotated:KV5",
                                     "rotated:K5V4", "kivi:KV4",      "rotated:KV4", "rotated:K4V3", "kivi:K4V2"};

// Bytes for so many cells of each sequence.
using SizeFn = std::function<uint64_t(int64_t cells)>;

// The most cells that fit, in steps of kCellStep; 0 if the smallest do not.
int64_t largest_cells(const SizeFn & size, uint64_t memory) {
    int64_t fits = 0, too_many = kMaxCells / kCellStep + 1;  // in steps
    while (too_many - fits > 1) {
        const int64_t middle                                   = fits + (too_many - fits) / 2;
        (size(middle * kCellStep) <= memory ? fits : too_many) = middle;
    }
    return fits * kCellStep;
}

void measure(FitRow & row, const SizeFn & size, double elements, const FitQuestion & question) {
    const auto    wanted = static_cast<int64_t>(cells_per_sequence(question.shape));
    const int64_t n_seq  = question.shape.n_seq;
    row.bytes            = size(wanted);
    row.bits             = 8.0 * static_cast<double>(row.bytes) / (elements * static_cast<double>(wanted * n_seq));
    int64_t cells        = largest_cells(size, question.memory);
    if (row.positions > 0) cells = std::min<int64_t>(cells, row.positions / kCellStep * kCellStep);
    row.largest_ctx = cells * n_seq;
    row.fits        = cells >= wanted;
}

// Elements of one token: K and V of all layers.
double elements_per_token(const ModelInfo & m, size_t n_layers) {
    return static_cast<double>(n_layers) * m.n_kv_heads * (m.head_dim_k + m.head_dim_v);
}

FitRow plan_row(FitRow::Kind kind, const std::string & name, const PrecisionPlan & plan, const FitQuestion & question) {
    FitRow row;
    row.kind             = kind;
    row.name             = name;
    row.payload          = payload_bits(plan);
    row.positions        = plan.calibration.positions;
    row.kld              = measured_kld(plan);
    row.bytes_per_token  = schema::memory_of(plan).bytes_per_token();
    const auto n_streams = static_cast<uint64_t>(question.shape.n_seq);
    measure(
        row, [&](int64_t cells) { return plan_size(plan, static_cast<uint64_t>(cells), n_streams).bytes; },
        elements_per_token(plan.model, plan.layers.size()), question);
    return row;
}

void add_stock(const ModelInfo & model, const FitQuestion & question, std::vector<FitRow> & rows) {
    const double elements = elements_per_token(model, static_cast<size_t>(model.n_layer));
    for (const recipes::GgmlType & type : recipes::kGgmlTypes) {
        const bool whole = model.head_dim_k % recipes::kGgmlBlock == 0 && model.head_dim_v % recipes::kGgmlBlock == 0;
        if (!type.stock || (type.bits != 16 && !whole)) continue;
        FitRow row;
        row.name            = type.name;
        row.bytes_per_token = elements * type.stored / 8;
        const double all    = row.bytes_per_token * question.shape.n_seq;
        measure(
            row, [all](int64_t cells) { return static_cast<uint64_t>(all * static_cast<double>(cells)); }, elements, question);
        rows.push_back(row);
    }
}

void add_uniform(const ModelInfo & model, const FitQuestion & question, std::vector<FitRow> & rows) {
    for (const char * name : kUniform) {
        const auto form = parse_short_form(name);
        if (!form) continue;
        const PrecisionPlan plan = uniform_plan(model, form->mode, form->pair.k, form->pair.v);
        if (plan.layers.empty() || !check_formats(plan.layers.front(), model)) continue;
        FitRow row     = plan_row(FitRow::Kind::uniform, name, plan, question);
        row.calibrated = !plan.transforms.empty();
        rows.push_back(row);
    }
}

void choose(Fit & fit) {
    const auto pick = [&fit](const std::function<bool(const FitRow &)> &                 wanted,
                             const std::function<bool(const FitRow &, const FitRow &)> & better) {
        for (size_t i = 0; i < fit.rows.size(); ++i) {
            const FitRow & row = fit.rows[i];
            if (!row.fits || !wanted(row)) continue;
            if (fit.best < 0 || better(row, fit.rows[static_cast<size_t>(fit.best)])) fit.best = static_cast<int>(i);
        }
        return fit.best >= 0;
    };
    const auto never = [](const FitRow &, const FitRow &) { return false; };
    const auto wider = [](const FitRow & a, const FitRow & b) {
        return a.payload != b.payload ? a.payload > b.payload : a.bytes < b.bytes;
    };
    if (pick([](const FitRow & r) { return r.name == "f16"; }, never)) {
        fit.why = "the 16-bit cache fits, nothing has to be given up";
    } else if (pick([](const FitRow & r) { return r.kind == FitRow::Kind::tuned && r.kld.has_value(); },
                    [](const FitRow & a, const FitRow & b) { return a.kld->value < b.kld->value; })) {
        fit.why = "the tuned plan with the smallest KL divergence of those that fit";
    } else if (pick([](const FitRow & r) { return r.kind == FitRow::Kind::uniform && !r.calibrated; }, wider)) {
        fit.why = "the widest format that fits and needs no calibration; kvtuner tune finds a better plan of this size";
    } else if (pick([](const FitRow & r) { return r.kind != FitRow::Kind::stock; }, wider)) {
        fit.why = "nothing without calibration fits; kvtuner tune makes such a plan";
    } else {
        fit.why = "nothing fits: a smaller --ctx or more --memory is needed";
    }
}

const char * kind_name(FitRow::Kind kind) {
    return kind == FitRow::Kind::stock ? "llama.cpp" : kind == FitRow::Kind::uniform ? "uniform" : "tuned";
}

}  // namespace

Fit fit_of(const ModelInfo & model, const std::vector<LibraryPlan> & library, const FitQuestion & question) {
    Fit fit;
    add_stock(model, question, fit.rows);
    add_uniform(model, question, fit.rows);
    for (const LibraryPlan & p : library) {
        FitRow row = plan_row(FitRow::Kind::tuned, file_name(p.path), p.plan, question);
        row.path   = p.path;
        fit.rows.push_back(row);
    }
    std::stable_sort(fit.rows.begin(), fit.rows.end(), [](const FitRow & a, const FitRow & b) { return a.bits > b.bits; });
    choose(fit);
    return fit;
}

std::string fit_text(const ModelInfo & model, const Fit & fit, const FitQuestion & question) {
    std::string text =
        fmt::format("{}: cache of {} MiB, {} tokens, {}\n\n", model.name, mib_text(question.memory), question.shape.n_ctx,
                    question.shape.n_seq == 1 ? "one sequence" : fmt::format("{} sequences", question.shape.n_seq));
    Table table({{"", Align::left},
                 {"cache", Align::left},
                 {"kind", Align::left},
                 {"bits"},
                 {"bytes/token"},
                 {"MiB"},
                 {"fits", Align::left},
                 {"largest context"},
                 {"KLD"}});
    bool  notes = false;
    for (size_t i = 0; i < fit.rows.size(); ++i) {
        const FitRow & row = fit.rows[i];
        notes              = notes || row.calibrated;
        table.row({static_cast<int>(i) == fit.best ? "*" : "", row.name + (row.calibrated ? " (1)" : ""), kind_name(row.kind),
                   fmt::format("{:.2f}", row.bits), fmt::format("{:.0f}", row.bytes_per_token), mib_text(row.bytes),
                   row.fits ? "yes" : "no", std::to_string(row.largest_ctx), kld_figure(row.kld)});
    }
    text += table.text();
    if (notes) text += "(1) needs kvtuner tune, or kvtuner calibrate and kvtuner plan make, first\n";
    if (fit.best < 0) return text + fmt::format("\n{}\n", fit.why);
    const FitRow & best = fit.rows[static_cast<size_t>(fit.best)];
    return text + fmt::format("\n* {}: {}\n", best.path.empty() ? best.name : best.path, fit.why);
}

nlohmann::ordered_json fit_json(const ModelInfo & model, const Fit & fit, const FitQuestion & question) {
    nlohmann::ordered_json out{{"schema", "kvtuner.plan_fit"},
                               {"schema_version", 1},
                               {"model", model.name},
                               {"memory", question.memory},
                               {"n_ctx", question.shape.n_ctx},
                               {"n_seq", question.shape.n_seq},
                               {"best", nullptr},
                               {"why", fit.why},
                               {"rows", nlohmann::ordered_json::array()}};
    if (fit.best >= 0) out["best"] = fit.rows[static_cast<size_t>(fit.best)].name;
    for (const FitRow & row : fit.rows) {
        nlohmann::ordered_json j{{"name", row.name},
                                 {"kind", kind_name(row.kind)},
                                 {"effective_bits", row.bits},
                                 {"bytes_per_token", row.bytes_per_token},
                                 {"bytes", row.bytes},
                                 {"fits", row.fits},
                                 {"largest_ctx", row.largest_ctx},
                                 {"needs_calibration", row.calibrated},
                                 {"kld_mean", kld_json(row.kld)}};
        if (!row.path.empty()) j["path"] = row.path;
        if (row.positions > 0) j["positions"] = row.positions;
        out["rows"].push_back(std::move(j));
    }
    return out;
}

}  // namespace kvt::cli
