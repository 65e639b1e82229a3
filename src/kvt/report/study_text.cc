#include "kvt/report/study_text.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace kvt {

namespace {

constexpr int kColumns = 64, kRows = 16;

std::string row_text(const Study & study, int i, int chosen) {
    const Evaluation & e        = study.evaluations[static_cast<size_t>(i)];
    const std::string  interval = std::isnan(e.kld_ci_low) ? "" : fmt::format("  [{:.4f}, {:.4f}]", e.kld_ci_low, e.kld_ci_high);
    return fmt::format("  {} {:<6} {:>12.2f} {:>14.2f} {:>9.4f}{}{}\n", i == chosen ? '>' : ' ',
                       e.label.empty() ? "mixed" : e.label, e.payload_bits, e.effective_bits, e.kld, interval,
                       on_front(study, i) ? "" : "  (beaten)");
}

}  // namespace

bool on_front(const Study & study, int i) { return std::find(study.front.begin(), study.front.end(), i) != study.front.end(); }

std::vector<int> listed_evaluations(const Study & study, int chosen) {
    std::vector<int> listed = study.front;
    for (int i = 0; i < static_cast<int>(study.evaluations.size()); ++i) {
        const std::string & label = study.evaluations[static_cast<size_t>(i)].label;
        if (!on_front(study, i) && ((!label.empty() && label != "KV16") || i == chosen)) listed.push_back(i);
    }
    const auto bits = [&](int i) { return study.evaluations[static_cast<size_t>(i)].effective_bits; };
    std::stable_sort(listed.begin(), listed.end(), [&](int a, int b) { return bits(a) < bits(b); });
    return listed;
}

BitStrips bits_by_layer(const std::vector<PairBits> & pairs) {
    const auto symbol = [](int bits) { return bits == 16 ? 'f' : static_cast<char>('0' + bits); };
    BitStrips  strips;
    for (const PairBits & p : pairs) {
        strips.k += symbol(p.k);
        strips.v += symbol(p.v);
    }
    return strips;
}

std::vector<std::string> pattern_cells(const LayerErrors & layer) {
    const size_t n_heads = layer.patterns.size();
    HeadPattern  mean;
    int          n_streaming = 0;
    for (const HeadPattern & p : layer.patterns) {
        mean.sparsity += p.sparsity / static_cast<double>(n_heads);
        mean.sink_mass += p.sink_mass / static_cast<double>(n_heads);
        mean.recent_mass += p.recent_mass / static_cast<double>(n_heads);
        n_streaming += is_streaming(p);
    }
    return {fmt::format("{}", layer.layer), fmt::format("{:.2f}", mean.sparsity), fmt::format("{:.2f}", mean.sink_mass),
            fmt::format("{:.2f}", mean.recent_mass), fmt::format("{} of {}", n_streaming, n_heads)};
}

std::string loss_title(const Study & study) { return scored_on_text(study) ? "KLD" : "loss"; }

std::string scored_on(const Study & study) {
    if (scored_on_text(study)) return fmt::format("{} chunks of {} tokens", study.n_chunks, study.chunk_tokens);
    return fmt::format("{} items: {} lost against f16, {}", study.n_chunks, study.objective,
                       study.objective.ends_with(" loglik") ? "nats a token" : "share of the items");
}

std::string study_text(const Study & study, int chosen) {
    std::string text =
        fmt::format("{} plans scored on {}; noise floor {:.4f}{}; effective bits at {} tokens\n", study.evaluations.size(),
                    scored_on(study), study.floor, scored_on_text(study) ? " nats" : "", study.at_tokens);
    text += fmt::format("    plan   payload bits effective bits {:>9}\n", loss_title(study));
    for (const int i : listed_evaluations(study, chosen)) text += row_text(study, i, chosen);
    return text + "\n" + frontier_plot(study, chosen);
}

std::string frontier_plot(const Study & study, int chosen) {
    double     low_bits = INFINITY, high_bits = -INFINITY, low = INFINITY, high = -INFINITY;
    const auto height = [](double kld) { return std::log10(kld); };
    for (const Evaluation & e : study.evaluations) {
        if (e.label == "KV16") continue;
        low_bits  = std::min(low_bits, e.effective_bits);
        high_bits = std::max(high_bits, e.effective_bits);
        if (e.kld > 0) {
            low  = std::min(low, height(e.kld));
            high = std::max(high, height(e.kld));
        }
    }
    if (!(high_bits >= low_bits) || !(high >= low)) return "";
    if (study.floor > 0) low = std::min(low, height(study.floor));
    std::vector<std::string> canvas(kRows, std::string(kColumns, ' '));
    const auto               place = [&](double bits, double kld, char mark) {
        const double x = high_bits > low_bits ? (bits - low_bits) / (high_bits - low_bits) : 0.5;
        const double y = high > low && kld > 0 ? (height(kld) - low) / (high - low) : 0.0;
        canvas[static_cast<size_t>(std::lround((1.0 - y) * (kRows - 1)))][static_cast<size_t>(std::lround(x * (kColumns - 1)))] =
            mark;
    };
    if (study.floor > 0) {
        for (int c = 0; c < kColumns; c += 2) place(low_bits + (high_bits - low_bits) * c / (kColumns - 1), study.floor, '-');
    }
    const auto draw = [&](auto wanted, char mark) {
        for (int i = 0; i < static_cast<int>(study.evaluations.size()); ++i) {
            const Evaluation & e = study.evaluations[static_cast<size_t>(i)];
            if (e.label != "KV16" && wanted(i, e)) place(e.effective_bits, e.kld, mark);
        }
    };
    draw([&](int i, const Evaluation & e) { return e.label.empty() && !on_front(study, i); }, '.');
    draw([&](int i, const Evaluation & e) { return !e.label.empty() && !on_front(study, i); }, 'o');
    draw([&](int i, const Evaluation &) { return on_front(study, i); }, '*');
    draw([&](int i, const Evaluation &) { return i == chosen; }, '#');
    std::string text = fmt::format("  {}\n", loss_title(study));
    for (int r = 0; r < kRows; ++r) {
        const double kld = std::pow(10.0, high - (high - low) * r / (kRows - 1));
        text += fmt::format("  {:>8} |{}\n", r % 5 == 0 ? fmt::format("{:.4f}", kld) : "",
                            canvas[static_cast<size_t>(r)].substr(0, canvas[static_cast<size_t>(r)].find_last_not_of(' ') + 1));
    }
    text += fmt::format("           +{}\n            {:<30.2f}{:>34.2f}\n", std::string(kColumns, '-'), low_bits, high_bits);
    text += "            effective bits   # chosen  * front  o uniform pair  . other  - noise floor\n";
    return text;
}

}  // namespace kvt
