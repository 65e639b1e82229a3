#include "kvt/tuner/search/front.h"

#include <algorithm>
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

Result<Choice> choose_plan(const Study & study, const Budget & budget) {
    if (study.front.empty()) return Error{"the study holds no plans"};
    const auto at = [&](int i) -> const Evaluation & { return study.evaluations[static_cast<size_t>(i)]; };
    // The front ascends in bits and falls in KLD.
    const Evaluation & smallest = at(study.front.front());
    const Evaluation & best     = at(study.front.back());
    if (budget.max_kld) {
        for (const int i : study.front) {
            if (at(i).kld > *budget.max_kld) continue;
            if (budget.max_bits && at(i).effective_bits > *budget.max_bits) break;
            return Choice{i, fmt::format("the smallest plan with KLD at most {:g}: {:.4f} at {:.2f} effective bits",
                                         *budget.max_kld, at(i).kld, at(i).effective_bits)};
        }
        return Error{fmt::format("no plan has KLD at most {:g}{}: the best one measured has {:.4f} at {:.2f} effective bits",
                                 *budget.max_kld, budget.max_bits ? fmt::format(" within {:g} bits", *budget.max_bits) : "",
                                 best.kld, best.effective_bits)};
    }
    if (budget.max_bits) {
        int chosen = -1;
        for (const int i : study.front) {
            if (at(i).effective_bits <= *budget.max_bits) chosen = i;
        }
        if (chosen < 0) {
            return Error{fmt::format("no plan fits {:g} effective bits: the smallest one measured takes {:.2f}", *budget.max_bits,
                                     smallest.effective_bits)};
        }
        return Choice{chosen, fmt::format("the lowest KLD within {:g} effective bits: {:.4f} at {:.2f}", *budget.max_bits,
                                          at(chosen).kld, at(chosen).effective_bits)};
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
