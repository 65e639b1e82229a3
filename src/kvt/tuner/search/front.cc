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

bool fits(const Study & study, const std::vector<PairBits> & pairs, double effective_bits, const Budget & budget) {
    if (budget.max_bits && effective_bits > *budget.max_bits) return false;
    if (budget.speed && budget.speed->factor_of(pairs) < budget.speed->factor) return false;
    if (!budget.memory) return true;
    const PrecisionPlan plan = plan_of(study, pairs);
    return plan_size(plan, budget.memory->n_cells, budget.memory->n_streams).bytes <= budget.memory->bytes;
}

namespace {

// "4.5 effective bits and 512.0 MiB for 1 x 8192 cells"
std::string limits_text(const Budget & budget) {
    std::string text;
    const auto  add = [&text](const std::string & part) { text += (text.empty() ? "" : " and ") + part; };
    if (budget.max_bits) add(fmt::format("{:g} effective bits", *budget.max_bits));
    if (budget.memory) {
        add(fmt::format("{:.1f} MiB for {} x {} cells", static_cast<double>(budget.memory->bytes) / (1 << 20),
                        budget.memory->n_streams, budget.memory->n_cells));
    }
    if (budget.speed) {
        add(fmt::format("attention {:g} times as fast as f16 at {} cells", budget.speed->factor, budget.speed->costs.n_cells));
    }
    return text;
}

std::string memory_text(const PrecisionPlan & plan, const MemoryBudget & limit) {
    return fmt::format(", {:.1f} MiB", static_cast<double>(plan_size(plan, limit.n_cells, limit.n_streams).bytes) / (1 << 20));
}

// "KLD", or what else was minimized.
std::string loss_name(const Study & study) { return scored_on_text(study) ? "KLD" : study.objective + " loss"; }

std::string plan_text(const Study & study, const Evaluation & e, const Budget & budget) {
    const std::string bits = fmt::format("{:.4f} at {:.2f} effective bits", e.kld, e.effective_bits);
    return bits + (budget.memory ? memory_text(plan_of(study, e.pairs), *budget.memory) : "") +
           (budget.speed ? fmt::format(", {:.2f} times", budget.speed->factor_of(e.pairs)) : "");
}

// The front of the plans that are fast enough.
std::vector<int> fast_front(const Study & study, const Budget & budget) {
    Budget speed;
    speed.speed = budget.speed;
    std::vector<int>        origin;
    std::vector<Evaluation> fast;
    for (size_t i = 0; i < study.evaluations.size(); ++i) {
        const Evaluation & e = study.evaluations[i];
        if (!fits(study, e.pairs, e.effective_bits, speed)) continue;
        origin.push_back(static_cast<int>(i));
        fast.push_back(e);
    }
    std::vector<int> front = pareto_front(fast);
    for (int & i : front) i = origin[static_cast<size_t>(i)];
    return front;
}

}  // namespace

double nearly_lossless(const Study & study) {
    const double by_floor = kNearlyLossless * study.floor;
    return scored_on_text(study) ? by_floor : std::max(by_floor, kSmallLoss);
}

Status check_feasible(const ModelInfo & model, Mode mode, const Budget & budget) {
    Study like;
    like.model = model;
    like.mode  = mode;
    const std::vector<PairBits> smallest(static_cast<size_t>(model.n_layer), PairBits{2, 2});
    const PrecisionPlan         plan = plan_of(like, smallest);
    const double                bits = plan_size(plan, static_cast<uint64_t>(like.at_tokens)).effective_bits;
    if (budget.speed) {
        const AttentionCosts & costs   = budget.speed->costs;
        const auto             fastest = [](const auto & by_width) {
            return kCodeWidths[static_cast<size_t>(std::min_element(by_width.begin(), by_width.end()) - by_width.begin())];
        };
        const PairBits pair{fastest(costs.k), fastest(costs.v)};
        const double   factor = budget.speed->factor_of({pair});
        if (factor < budget.speed->factor) {
            return Error{
                fmt::format("--speed {:g}x: the fastest plan, {} everywhere, attends {:.2f} times as fast as f16 at {} cells",
                            budget.speed->factor, pair_name(pair.k, pair.v), factor, costs.n_cells)};
        }
    }
    Budget size = budget;
    size.speed.reset();
    if (fits(like, smallest, bits, size)) return ok_status();
    return Error{fmt::format("no plan fits {}: the smallest one, 2 bits everywhere, takes {:.2f} effective bits{}",
                             limits_text(size), bits, budget.memory ? memory_text(plan, *budget.memory) : "")};
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
    return Choice{chosen, fmt::format("the lowest {} within {:g} payload bits: {:.4f} at {:.2f} payload, {:.2f} effective bits",
                                      loss_name(study), payload_bits, e.kld, e.payload_bits, e.effective_bits)};
}

Result<Choice> choose_plan(const Study & study, const Budget & budget) {
    if (study.front.empty()) return Error{"the study holds no plans"};
    const auto             at    = [&](int i) -> const Evaluation & { return study.evaluations[static_cast<size_t>(i)]; };
    const std::vector<int> front = budget.speed ? fast_front(study, budget) : study.front;
    if (front.empty()) {
        const auto slower = [&](int a, int b) {
            return budget.speed->factor_of(at(a).pairs) < budget.speed->factor_of(at(b).pairs);
        };
        const int fastest = *std::max_element(study.front.begin(), study.front.end(), slower);
        return Error{fmt::format("no plan has {}: the fastest one measured has {}", limits_text(budget),
                                 plan_text(study, at(fastest), budget))};
    }
    // The front ascends in bits and falls in KLD.
    const Evaluation & smallest = at(front.front());
    const Evaluation & best     = at(front.back());
    if (budget.max_kld) {
        for (const int i : front) {
            if (at(i).kld > *budget.max_kld) continue;
            if (!fits(study, at(i).pairs, at(i).effective_bits, budget)) break;
            return Choice{i, fmt::format("the smallest plan with {} at most {:g}: {}", loss_name(study), *budget.max_kld,
                                         plan_text(study, at(i), budget))};
        }
        return Error{fmt::format("no plan has {} at most {:g}{}: the best one measured has {}", loss_name(study), *budget.max_kld,
                                 budget.limits_plans() ? " within " + limits_text(budget) : "", plan_text(study, best, budget))};
    }
    if (budget.limits_plans()) {
        int chosen = -1;
        for (const int i : front) {
            if (fits(study, at(i).pairs, at(i).effective_bits, budget)) chosen = i;
        }
        if (chosen < 0) {
            return Error{fmt::format("no plan fits {}: the smallest one measured has {} {}", limits_text(budget),
                                     loss_name(study), plan_text(study, smallest, budget))};
        }
        return Choice{chosen, fmt::format("the lowest {} within {}: {}", loss_name(study), limits_text(budget),
                                          plan_text(study, at(chosen), budget))};
    }
    const double      limit = nearly_lossless(study);
    const std::string limit_text =
        limit > kNearlyLossless * study.floor
            ? fmt::format("is at most {:g}", limit)
            : fmt::format("is within {:g} times the noise floor ({:.4f})", kNearlyLossless, study.floor);
    for (const int i : front) {
        if (at(i).kld <= limit) {
            return Choice{i, fmt::format("nearly lossless: the smallest plan whose {} ({:.4f}) {}", loss_name(study), at(i).kld,
                                         limit_text)};
        }
    }
    return Choice{front.back(), fmt::format("there is no plan whose {} {}; this one has the lowest ({:.4f})", loss_name(study),
                                            limit_text, best.kld)};
}

}  // namespace kvt
