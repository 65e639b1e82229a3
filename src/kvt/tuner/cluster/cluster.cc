#include "kvt/tuner/cluster/cluster.h"

#include <cmath>
#include <numeric>

#include <fmt/format.h>

namespace kvt {

namespace {

double distance(const LayerErrors & a, const LayerErrors & b, const std::vector<int> & pairs) {
    double sum = 0;
    for (const int p : pairs) {
        const double d = a.e_o[static_cast<size_t>(p)] - b.e_o[static_cast<size_t>(p)];
        sum += d * d;
    }
    return std::sqrt(sum);
}

size_t root_of(std::vector<size_t> & parent, size_t i) {
    while (parent[i] != i) i = parent[i] = parent[parent[i]];
    return i;
}

Status check(const SensitivityTable & table, const CandidateSets & sets, double eps) {
    if (!(eps >= 0)) return Error{fmt::format("eps {}: must not be negative", eps)};
    if (!(table.model == sets.model) || table.mode != sets.mode || table.layers.size() != sets.layers.size()) {
        return Error{fmt::format("the candidates are of {} ({}), the sensitivities of {} ({}): make both from the same profile",
                                 sets.model.name, mode_name(sets.mode), table.model.name, mode_name(table.mode))};
    }
    for (size_t i = 0; i < table.layers.size(); ++i) {
        if (table.layers[i].layer != sets.layers[i].layer) {
            return Error{fmt::format("entry {} is layer {} in the candidates but layer {} in the sensitivities", i,
                                     sets.layers[i].layer, table.layers[i].layer)};
        }
        if (sets.layers[i].pairs.empty()) return Error{fmt::format("layer {} has no candidate pair", sets.layers[i].layer)};
    }
    return ok_status();
}

}  // namespace

Result<LayerGroups> cluster(const SensitivityTable & table, const CandidateSets & sets, double eps, Clustering clustering) {
    KVT_CHECK_OK(check(table, sets, eps));
    const size_t        n = table.layers.size();
    std::vector<size_t> parent(n);
    std::iota(parent.begin(), parent.end(), size_t{0});
    for (size_t i = 0; i < n; ++i) {
        for (size_t j = i + 1; j < n; ++j) {
            if (clustering == Clustering::none || sets.layers[i].pairs != sets.layers[j].pairs) continue;
            if (distance(table.layers[i], table.layers[j], sets.layers[i].pairs) > eps) continue;
            // The smaller index stays the root, so groups are numbered by their smallest layer.
            const size_t a = root_of(parent, i), b = root_of(parent, j);
            parent[a > b ? a : b] = a > b ? b : a;
        }
    }
    LayerGroups groups;
    groups.model         = table.model;
    groups.mode          = table.mode;
    groups.eps           = eps;
    groups.inputs_sha256 = sets.inputs_sha256;
    std::vector<size_t> group_of(n, n);
    for (size_t i = 0; i < n; ++i) {
        const size_t root = root_of(parent, i);
        if (root == i) {
            group_of[i] = groups.groups.size();
            groups.groups.push_back({{}, sets.layers[i].pairs, std::vector<double>(sets.layers[i].pairs.size(), 0.0)});
        }
        LayerGroup & group = groups.groups[group_of[root]];
        group.layers.push_back(table.layers[i].layer);
        for (size_t p = 0; p < group.pairs.size(); ++p) group.e_o[p] += table.layers[i].e_o[static_cast<size_t>(group.pairs[p])];
    }
    for (LayerGroup & group : groups.groups) {
        for (double & e : group.e_o) e /= static_cast<double>(group.layers.size());
    }
    return groups;
}

double search_space(const LayerGroups & groups) {
    double size = 1;
    for (const LayerGroup & group : groups.groups) size *= static_cast<double>(group.pairs.size());
    return size;
}

}  // namespace kvt
