#include "kvt/tuner/search/search.h"

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <map>
#include <memory>
#include <set>
#include <stdexcept>

#include <fmt/format.h>

// pagmo's headers are not ours to warn about.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#include <pagmo/algorithm.hpp>
#include <pagmo/algorithms/nsga2.hpp>
#include <pagmo/population.hpp>
#include <pagmo/problem.hpp>
#pragma GCC diagnostic pop

#include "kvt/base/rng.h"
#include "kvt/tuner/search/additive.h"
#include "kvt/tuner/search/front.h"

namespace kvt {

namespace {

using Choices = std::vector<int>;  // one index per group

// Carries our Error through pagmo's loop, which knows exceptions only.
struct SearchStopped : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// The plan of a choice for every group.
std::vector<PairBits> expand(const LayerGroups & groups, const Choices & choice) {
    std::map<int, PairBits> by_layer;
    for (size_t g = 0; g < choice.size(); ++g) {
        const LayerGroup & group = groups.groups[g];
        for (const int layer : group.layers)
            by_layer[layer] = kPairs[static_cast<size_t>(group.pairs[static_cast<size_t>(choice[g])])];
    }
    std::vector<PairBits> pairs;
    for (const auto & [layer, pair] : by_layer) pairs.push_back(pair);
    return pairs;
}

// pagmo's problem: copied freely, so it only points to the state.
struct GroupProblem {
    std::shared_ptr<StudyState> state;
    std::vector<size_t>         free;  // groups with a choice: pagmo's NSGA-II refuses variables whose bounds are equal

    pagmo::vector_double fitness(const pagmo::vector_double & x) const {
        Choices choice(state->study().groups.groups.size(), 0);
        for (size_t i = 0; i < x.size(); ++i) choice[free[i]] = static_cast<int>(x[i]);
        const auto index = state->evaluate(expand(state->study().groups, choice), choice, "");
        if (!index.ok()) throw SearchStopped(index.error().message);
        const Evaluation & e = state->study().evaluations[static_cast<size_t>(*index)];
        return {e.kld, e.effective_bits};
    }
    pagmo::vector_double::size_type                       get_nobj() const { return 2; }
    pagmo::vector_double::size_type                       get_nix() const { return free.size(); }
    std::pair<pagmo::vector_double, pagmo::vector_double> get_bounds() const {
        pagmo::vector_double low, high;
        for (const size_t g : free) {
            low.push_back(0.0);
            high.push_back(static_cast<double>(state->study().groups.groups[g].pairs.size() - 1));
        }
        return {low, high};
    }
    template <class Archive>
    void serialize(Archive &, unsigned) {}
};

// The candidate of `group` nearest to `pair`; of two equally near ones that with more key bits.
int nearest(const LayerGroup & group, PairBits pair) {
    int best = 0, best_distance = std::numeric_limits<int>::max();
    for (size_t i = 0; i < group.pairs.size(); ++i) {
        const PairBits c        = kPairs[static_cast<size_t>(group.pairs[i])];
        const int      distance = std::abs(c.k - pair.k) + std::abs(c.v - pair.v);
        if (distance < best_distance) {
            best          = static_cast<int>(i);
            best_distance = distance;
        }
    }
    return best;
}

// What each candidate of each group costs alone: KLD of the plan in which only this group leaves its first candidate, above
// the plan in which none does.   [n_groups][n_candidates]
Result<std::vector<std::vector<double>>> isolated_costs(StudyState & state) {
    const auto score = [&state](const Choices & choice) {
        return state.evaluate(expand(state.study().groups, choice), choice, "");
    };
    const auto    kld = [&state](int index) { return state.study().evaluations[static_cast<size_t>(index)].kld; };
    const size_t  n   = state.study().groups.groups.size();
    const Choices best(n, 0);
    KVT_TRY(const int base, score(best));
    std::vector<std::vector<double>> costs;
    for (size_t g = 0; g < n; ++g) {
        costs.push_back({0.0});
        for (int c = 1; c < static_cast<int>(state.study().groups.groups[g].pairs.size()); ++c) {
            Choices choice = best;
            choice[g]      = c;
            KVT_TRY(const int index, score(choice));
            costs.back().push_back(kld(index) - kld(base));
        }
    }
    return costs;
}

// First population: uniform-like choices, plans evenly spaced on the additive front, and some of those with groups moved by
// one step.
std::vector<Choices> first_population(const LayerGroups & groups, const std::vector<Choices> & additive,
                                      const SearchOptions & options) {
    const size_t         n = static_cast<size_t>(options.population);
    std::vector<Choices> found;
    const auto           add = [&](const Choices & c) {
        if (found.size() < n && std::find(found.begin(), found.end(), c) == found.end()) found.push_back(c);
    };
    for (const PairBits & pair : {PairBits{8, 4}, PairBits{4, 4}}) {
        Choices c;
        for (const LayerGroup & group : groups.groups) c.push_back(nearest(group, pair));
        add(c);
    }
    const size_t n_spaced = n - found.size() - n / 8;
    for (size_t i = 1; i <= n_spaced; ++i) add(additive[i * (additive.size() - 1) / n_spaced]);
    SplitMix64   rng(options.seed);
    const size_t n_parents = found.size();
    for (int attempt = 0; attempt < 8 * options.population && found.size() < n; ++attempt) {
        Choices c = found[rng.below(n_parents)];
        for (size_t g = 0; g < c.size(); ++g) {
            const int step = static_cast<int>(rng.below(3)) - 1;
            c[g]           = std::clamp(c[g] + step, 0, static_cast<int>(groups.groups[g].pairs.size()) - 1);
        }
        add(c);
    }
    while (found.size() < n) found.push_back(found[found.size() % n_parents]);  // tiny spaces: duplicates cost nothing
    return found;
}

Status check(const Study & study, const SearchOptions & options) {
    if (options.population < 8 || options.population % 4 != 0)
        return Error{fmt::format("population {}: must be a multiple of 4, at least 8", options.population)};
    if (options.generations < 1) return Error{fmt::format("generations {}: must be at least 1", options.generations)};
    std::vector<int> layers;
    for (const LayerGroup & group : study.groups.groups) {
        if (group.layers.empty() || group.pairs.empty()) return Error{"a layer group is empty"};
        layers.insert(layers.end(), group.layers.begin(), group.layers.end());
    }
    std::sort(layers.begin(), layers.end());
    if (layers.empty() || std::adjacent_find(layers.begin(), layers.end()) != layers.end() ||
        static_cast<int>(layers.size()) != study.model.n_layer) {
        return Error{fmt::format("the layer groups do not cover the {} layers of the model once each", study.model.n_layer)};
    }
    return ok_status();
}

}  // namespace

int max_evaluations(const LayerGroups & groups, const SearchOptions & options) {
    int isolated = 1;
    for (const LayerGroup & group : groups.groups) isolated += static_cast<int>(group.pairs.size()) - 1;
    return static_cast<int>(kPairs.size()) + 1 + isolated + options.population * (options.generations + 1);
}

Result<Study> run_search(Study start, Objective & objective, const SearchOptions & options, const SaveStudy & save,
                         Progress & progress) {
    KVT_CHECK_OK(check(start, options));
    start.seed        = options.seed;
    start.population  = options.population;
    start.generations = options.generations;
    start.complete    = false;
    start.method      = kNsga2;
    const auto state  = std::make_shared<StudyState>(std::move(start), objective, save, progress);
    progress.begin("search", max_evaluations(state->study().groups, options));
    const auto finish = [&](Result<Study> result) {
        progress.end();
        return result;
    };

    const auto floor = state->evaluate(state->uniform({16, 16}), {}, "KV16");
    if (!floor.ok()) return finish(floor.error());
    for (const PairBits & pair : kPairs) {
        const auto done = state->evaluate(state->uniform(pair), {}, pair_name(pair.k, pair.v));
        if (!done.ok()) return finish(done.error());
    }
    const auto costs = isolated_costs(*state);
    if (!costs.ok()) return finish(costs.error());
    std::vector<size_t> free;
    for (size_t g = 0; g < state->study().groups.groups.size(); ++g) {
        if (state->study().groups.groups[g].pairs.size() > 1) free.push_back(g);
    }
    try {
        const auto                 seed = static_cast<unsigned>(options.seed);
        const std::vector<Choices> first =
            first_population(state->study().groups, additive_front(state->study().groups, *costs), options);
        if (free.empty()) {  // one plan, and nothing to search
            const auto only = state->evaluate(expand(state->study().groups, first.front()), first.front(), "");
            if (!only.ok()) throw SearchStopped(only.error().message);
        } else {
            pagmo::population population{pagmo::problem{GroupProblem{state, free}}, 0u, seed};
            for (const Choices & choice : first) {
                pagmo::vector_double x;
                for (const size_t g : free) x.push_back(choice[g]);
                population.push_back(x);
            }
            // One group mutates per child on average; crossover and distribution indices are Deb's usual ones.
            const double     mutation = 1.0 / static_cast<double>(free.size());
            pagmo::algorithm nsga2{pagmo::nsga2{static_cast<unsigned>(options.generations), 0.95, 10.0, mutation, 20.0, seed}};
            population = nsga2.evolve(population);
        }
    } catch (const SearchStopped & e) {
        return finish(Error{e.what()});
    } catch (const std::exception & e) {
        return finish(Error{fmt::format("the search failed: {}", e.what())});
    }
    state->study().complete = true;
    state->study().front    = pareto_front(state->study().evaluations);
    KVT_CHECK_OK(save(state->study()));
    return finish(std::move(state->study()));
}

}  // namespace kvt
