#include "kvt/tuner/search/front.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include <fmt/format.h>

namespace kvt {

std::vector<int> pareto_front(const std::vector<Evaluation> & evaluations) {
    std::vector<int> order(evaluations.size());
    std::iota(order.begin(), order.end(), 0);
    const auto at = [&](int i) -> const Evaluation & { return evaluations[static_cast<size_t>(i)]; };
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
        if (at(a).effective_bits != at(b).effective_bits) return at(a).effective_bits < at(b).effective_bits;
        return at(a).kld < at(b).kld;
    });
    std::vector<int> front;
    double           best = std::numeric_limits<double>::infinity();
    for (const int i : order) {
        if (at(i).label == "KV16" || !(at(i).kld < best)) continue;
        best = at(i).kld;
        front.push_back(i);
    }
    return front;
}

bool fits_size(const Study & study, const std::vector<PairBits> & pairs, double effective_bits, const Budget & budget) {
    if (budget.max_bits && effective_bits > *budget.max_bits) return false;
    if (!budget.memory) return true;
    const PrecisionPlan plan = plan_of(study, pairs);
    return plan_size(plan, budget.memory->n_cells, budget.memory->n_streams).bytes <= budget.memory->bytes;
}

namespace {

// "4.5 effective bits and 512.0 MiB for 1 x 8192 cells"
std::string size_text(const Budget & budget) {
    std::string text = budget.max_bits ? fmt::format("{:g} effective bits", *budget.max_bits) : "";
    if (!budget.memory) return text;
    return fmt::format("{}{}{:.1f} MiB for {} x {} cells", text, text.empty() ? "" : " and ",
                       static_cast<double>(budget.memory->bytes) / (1 << 20), budget.memory->n_streams, budget.memory->n_cells);
}

std::string memory_text(const PrecisionPlan & plan, const MemoryBudget & limit) {
    return fmt::format(", {:.1f} MiB", static_cast<double>(plan_size(plan, limit.n_cells, limit.n_streams).bytes) / (1 << 20));
}

std::string plan_text(const Study & study, const Evaluation & e, const Budget & budget) {
    const std::string bits = fmt::format("{:.4f} at {:.2f} effective bits", e.kld, e.effective_bits);
    if (!budget.memory) return bits;
    return bits + memory_text(plan_of(study, e.pairs), *budget.memory);
}

}  // namespace

Status check_feasible(const ModelInfo & model, Mode mode, const Budget & budget) {
    Study like;
    like.model = model;
    like.mode  = mode;
    const std::vector<PairBits> smallest(static_cast<size_t>(model.n_layer), PairBits{2, 2});
    const PrecisionPlan         plan = plan_of(like, smallest);
    const double                bits = plan_size(plan, static_cast<uint64_t>(like.at_tokens)).effective_bits;
    if (fits_size(like, smallest, bits, budget)) return ok_status();
    return Error{fmt::format("no plan fits {}: the smallest one, 2 bits everywhere, takes {:.2f} effective bits{}",
                             size_text(budget), bits, budget.memory ? memory_text(plan, *budget.memory) : "")};
}

Result<Choice> choose_within_payload(const Study & study, double payload_bits) {
    int chosen = -1;
    for (const int i : study.front) {
        if (study.evaluations[static_cast<size_t>(i)].payload_bits <= payload_bits) chosen = i;
    }
    if (chosen < 0) {
        double least = INFINITY;
        for (const int i : study.front) least = std::min(least, study.evaluations[static_cast<size_t>(i)].payload_bits);
        return Error{
            fmt::format("no plan has at most {:g} payload bits: the smallest one measured has {:.2f}", payload_bits, least)};
    }
    const Evaluation & e = study.evaluations[static_cast<size_t>(chosen)];
    return Choice{chosen, fmt::format("the lowest KLD within {:g} payload bits: {:.4f} at {:.2f} payload, {:.2f} effective bits",
                                      payload_bits, e.kld, e.payload_bits, e.effective_bits)};
}

Result<Choice> choose_plan(const Study & study, const Budget & budget) {
    if (study.front.empty()) return Error{"the study holds no plans"};
    const auto at = [&](int i) -> const Evaluation & { return study.evaluations[static_cast<size_t>(i)]; };
    // The front ascends in bits and falls in KLD.
    const Evaluation & smallest = at(study.front.front());
    const Evaluation & best     = at(study.front.back());
    if (budget.max_kld) {
        for (const int i : study.front) {
            if (at(i).kld > *budget.max_kld) continue;
            if (!fits_size(study, at(i).pairs, at(i).effective_bits, budget)) break;
            return Choice{
                i, fmt::format("the smallest plan with KLD at most {:g}: {}", *budget.max_kld, plan_text(study, at(i), budget))};
        }
        return Error{fmt::format("no plan has KLD at most {:g}{}: the best one measured has {}", *budget.max_kld,
                                 budget.limits_size() ? " within " + size_text(budget) : "", plan_text(study, best, budget))};
    }
    if (budget.limits_size()) {
        int chosen = -1;
        for (const int i : study.front) {
            if (fits_size(study, at(i).pairs, at(i).effective_bits, budget)) chosen = i;
        }
        if (chosen < 0) {
            return Error{fmt::format("no plan fits {}: the smallest one measured has KLD {}", size_text(budget),
                                     plan_text(study, smallest, budget))};
        }
        return Choice{chosen,
                      fmt::format("the lowest KLD within {}: {}", size_text(budget), plan_text(study, at(chosen), budget))};
    }
    const double limit = kNearlyLossless * study.floor;
    for (const int i : study.front) {
        if (at(i).kld <= limit) {
            return Choice{
                i,
                fmt::format("nearly lossless: the smallest plan whose KLD ({:.4f}) is within {:g} times the noise floor ({:.4f})",
                            at(i).kld, kNearlyLossless, study.floor)};
        }
    }
    return Choice{study.front.back(),
                  fmt::format("no plan comes within {:g} times the noise floor ({:.4f}); this one has the lowest KLD ({:.4f})",
                              kNearlyLossless, study.floor, best.kld)};
}

}  // namespace kvt
