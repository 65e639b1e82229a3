#include "kvt/tuner/prune/prune.h"

#include <cmath>
#include <limits>
#include <numeric>

namespace kvt {

namespace {

// Whether pair q removes pair p.
bool removes(int q, int p, const std::array<double, 9> & error) {
    const PairBits a = kPairs[static_cast<size_t>(q)], b = kPairs[static_cast<size_t>(p)];
    const int      bits_q = a.k + a.v, bits_p = b.k + b.v;
    const double   e_q = error[static_cast<size_t>(q)], e_p = error[static_cast<size_t>(p)];
    if (bits_q > bits_p || e_q > e_p) return false;
    if (bits_q < bits_p || e_q < e_p) return true;
    return a.k > b.k;
}

}  // namespace

std::vector<int> pareto_pairs(const std::array<double, 9> & e_o) {
    std::array<double, 9> error = e_o;
    for (double & e : error) e = std::isnan(e) ? std::numeric_limits<double>::infinity() : e;
    std::vector<int> kept;
    for (int p = 0; p < static_cast<int>(kPairs.size()); ++p) {
        bool removed = false;
        for (int q = 0; q < static_cast<int>(kPairs.size()); ++q) removed = removed || (q != p && removes(q, p, error));
        if (!removed) kept.push_back(p);
    }
    return kept;
}

CandidateSets prune(const SensitivityTable & table, Pruning pruning) {
    CandidateSets sets;
    sets.model         = table.model;
    sets.mode          = table.mode;
    sets.inputs_sha256 = table.inputs_sha256;
    std::vector<int> all(kPairs.size());
    std::iota(all.begin(), all.end(), 0);
    for (const LayerErrors & layer : table.layers)
        sets.layers.push_back({layer.layer, pruning == Pruning::none ? all : pareto_pairs(layer.e_o)});
    return sets;
}

}  // namespace kvt
