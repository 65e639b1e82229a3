#include "kvt/tuner/search/search.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>

#include <fmt/format.h>

// pagmo's headers are not ours to warn about.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#include <pagmo/algorithm.hpp>
#include <pagmo/algorithms/moead.hpp>
#include <pagmo/algorithms/nsga2.hpp>
#include <pagmo/batch_evaluators/member_bfe.hpp>
#include <pagmo/bfe.hpp>
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

WantedPlan wanted_plan(const LayerGroups & groups, const Choices & choice) { return {expand(groups, choice), choice}; }

// Worse than any KLD and any number of bits: what plans over the soft limit start from, so that every other plan beats them.
constexpr double kBeyond = 1e3;

// pagmo's problem: copied freely, so it only points to the state.
struct GroupProblem {
    std::shared_ptr<StudyState> state;
    std::vector<size_t>         free;  // groups with a choice: pagmo's NSGA-II refuses variables whose bounds are equal
    Algorithm                   algorithm = Algorithm::nsga2;
    std::optional<double>       limit;         // payload bits
    double                      kld_unit = 1;  // what KLD is measured in: MOEA/D weighs objectives against each other

    size_t n_pairs(size_t i) const { return state->study().groups.groups[free[i]].pairs.size(); }
    // MOEA/D moves real numbers: each candidate owns an interval of width 1 around its index.
    bool real_numbers() const { return algorithm == Algorithm::moead; }

    WantedPlan wanted(const double * x) const {
        Choices choice(state->study().groups.groups.size(), 0);
        for (size_t i = 0; i < free.size(); ++i)
            choice[free[i]] = std::clamp(static_cast<int>(std::lround(x[i])), 0, static_cast<int>(n_pairs(i)) - 1);
        return wanted_plan(state->study().groups, choice);
    }
    // Of several decision vectors, one after the other, as pagmo has them; so are the fitnesses.
    pagmo::vector_double batch_fitness(const pagmo::vector_double & xs) const {
        std::vector<WantedPlan> plans;
        for (size_t i = 0; i < xs.size(); i += free.size()) plans.push_back(wanted(&xs[i]));
        const auto indices = state->evaluate_all(plans);
        if (!indices.ok()) throw SearchStopped(indices.error().message);
        pagmo::vector_double all;
        for (const int index : *indices) {
            const Evaluation & e = state->at(index);
            if (limit && e.payload_bits > *limit) {
                const double beyond = kBeyond + e.payload_bits - *limit;
                all.insert(all.end(), {beyond, beyond});
            } else {
                all.insert(all.end(), {e.kld / kld_unit, e.effective_bits / (real_numbers() ? 16.0 : 1.0)});
            }
        }
        return all;
    }
    pagmo::vector_double            fitness(const pagmo::vector_double & x) const { return batch_fitness(x); }
    pagmo::vector_double::size_type get_nobj() const { return 2; }
    pagmo::vector_double::size_type get_nix() const { return real_numbers() ? 0 : free.size(); }
    std::pair<pagmo::vector_double, pagmo::vector_double> get_bounds() const {
        pagmo::vector_double low, high;
        const double         margin = real_numbers() ? 0.499 : 0.0;
        for (size_t i = 0; i < free.size(); ++i) {
            low.push_back(-margin);
            high.push_back(static_cast<double>(n_pairs(i) - 1) + margin);
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
    const LayerGroups &     groups = state.study().groups;
    const Choices           best(groups.groups.size(), 0);
    std::vector<WantedPlan> plans{wanted_plan(groups, best)};
    for (size_t g = 0; g < best.size(); ++g) {
        for (int c = 1; c < static_cast<int>(groups.groups[g].pairs.size()); ++c) {
            Choices choice = best;
            choice[g]      = c;
            plans.push_back(wanted_plan(groups, choice));
        }
    }
    KVT_TRY(const std::vector<int> scored, state.evaluate_all(plans));
    std::vector<std::vector<double>> costs;
    auto                             next = scored.begin();
    const double                     base = state.at(*next++).kld;
    for (const LayerGroup & group : groups.groups) {
        costs.push_back({0.0});
        for (size_t c = 1; c < group.pairs.size(); ++c) costs.back().push_back(state.at(*next++).kld - base);
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

// First population by chance.
std::vector<Choices> random_population(const LayerGroups & groups, int population, uint64_t seed) {
    SplitMix64           rng(seed);
    std::vector<Choices> found(static_cast<size_t>(population));
    for (Choices & choice : found) {
        for (const LayerGroup & group : groups.groups) choice.push_back(static_cast<int>(rng.below(group.pairs.size())));
    }
    return found;
}

// KLD of the uniform plan of 2 bits, the scale of what a search sees; 1 if that is nothing.
double worst_kld(const Study & study) {
    for (const Evaluation & e : study.evaluations) {
        if (e.label == "KV2" && e.kld > 0) return e.kld;
    }
    return 1.0;
}

// One run of the sampler.
void sample(const std::shared_ptr<StudyState> & state, const std::vector<size_t> & free, const std::vector<Choices> & first,
            const SearchOptions & options, std::optional<double> limit, unsigned seed) {
    GroupProblem problem{state, free, options.algorithm, limit};
    if (options.algorithm == Algorithm::moead) problem.kld_unit = worst_kld(state->study());
    pagmo::population    population{pagmo::problem{problem}, 0u, seed};
    pagmo::vector_double xs;
    for (const Choices & choice : first)
        for (const size_t g : free) xs.push_back(choice[g]);
    (void)problem.batch_fitness(xs);  // one batch; then each of them is known
    for (size_t i = 0; i < xs.size(); i += free.size()) population.push_back(pagmo::vector_double(&xs[i], &xs[i] + free.size()));
    const auto generations = static_cast<unsigned>(options.generations);
    if (options.algorithm == Algorithm::moead) {
        const auto neighbours = std::min<pagmo::population::size_type>(20, first.size() - 1);
        pagmo::algorithm{pagmo::moead{generations, "grid", "tchebycheff", neighbours, 1.0, 0.5, 20.0, 0.9, 2, true, seed}}.evolve(
            population);
        return;
    }
    // One group mutates per child on average; crossover and distribution indices are Deb's usual ones.
    const double mutation = 1.0 / static_cast<double>(free.size());
    pagmo::nsga2 nsga2{generations, 0.95, 10.0, mutation, 20.0, seed};
    nsga2.set_bfe(pagmo::bfe{pagmo::member_bfe{}});  // a generation is one batch
    pagmo::algorithm{nsga2}.evolve(population);
}

Status check(const Study & study, const SearchOptions & options) {
    for (const double limit : options.soft_limits) {
        if (!(limit >= 2 && limit <= 8)) return Error{fmt::format("soft limit {:g}: must be from 2 to 8 payload bits", limit)};
    }
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
    if (options.first == FirstPlans::chance) isolated = 0;
    const int runs = std::max(1, static_cast<int>(options.soft_limits.size()));
    return static_cast<int>(kPairs.size()) + 1 + isolated + runs * options.population * (options.generations + 1);
}

int generations_of_trials(int trials, int population) { return std::max(1, (trials + population / 2) / population - 1); }

void describe_search(const SearchOptions & options, Study & study) {
    study.method      = options.algorithm == Algorithm::moead ? kMoead : kNsga2;
    study.seed        = options.seed;
    study.population  = options.population;
    study.generations = options.generations;
    study.seeded      = options.first == FirstPlans::isolated_scores;
    study.soft_limits = options.soft_limits;
}

Result<Study> run_search(Study start, Objective & objective, const SearchOptions & options, const SaveStudy & save,
                         Progress & progress, const TimeUsed & time_used) {
    KVT_CHECK_OK(check(start, options));
    describe_search(options, start);
    start.complete   = false;
    const auto state = std::make_shared<StudyState>(std::move(start), objective, save, progress, time_used);
    progress.begin("search", max_evaluations(state->study().groups, options));
    const auto finish = [&](Result<Study> result) {
        progress.end();
        return result.ok() ? result : state->ended_by(result.error());
    };

    std::vector<WantedPlan> uniform{{state->uniform({16, 16}), {}, "KV16"}};
    for (const PairBits & pair : kPairs) uniform.push_back({state->uniform(pair), {}, pair_name(pair.k, pair.v)});
    const auto floor = state->evaluate_all(uniform);
    if (!floor.ok()) return finish(floor.error());
    std::vector<size_t> free;
    for (size_t g = 0; g < state->study().groups.groups.size(); ++g) {
        if (state->study().groups.groups[g].pairs.size() > 1) free.push_back(g);
    }
    std::vector<Choices> seeds;  // the additive front
    if (options.first == FirstPlans::isolated_scores) {
        const auto costs = isolated_costs(*state);
        if (!costs.ok()) return finish(costs.error());
        seeds = additive_front(state->study().groups, *costs);
    }
    try {
        const size_t n_runs = std::max<size_t>(1, options.soft_limits.size());
        for (size_t run = 0; run < n_runs; ++run) {
            const uint64_t             seed  = options.seed + run;
            const std::vector<Choices> first = seeds.empty() ? random_population(state->study().groups, options.population, seed)
                                                             : first_population(state->study().groups, seeds, options);
            if (free.empty()) {  // one plan, and nothing to search
                const auto only = state->evaluate(wanted_plan(state->study().groups, first.front()));
                if (!only.ok()) throw SearchStopped(only.error().message);
                break;
            }
            sample(state, free, first, options,
                   options.soft_limits.empty() ? std::nullopt : std::optional(options.soft_limits[run]),
                   static_cast<unsigned>(seed));
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
