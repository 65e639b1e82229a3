// What KVT_PLAN may name: one plan for whatever model comes, or the plans of several models and a short form for all others.
//
// Several plans are a map file (JSON, docs/formats/plan-map.md), a folder of plans, or a list "a.json;b.json;kivi:KV8".
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kvt/base/result.h"
#include "kvt/plan/plan.h"

namespace kvt {

// --- Interface ---

struct NamedPlanFile {
    std::string   path;
    PrecisionPlan plan;
};

struct PlanSet {
    std::string                name;        // as the user gave it
    std::vector<NamedPlanFile> plans;       // one a model file
    std::optional<ShortForm>   others;      // for models without a plan of their own; none: they are refused
    std::vector<std::string>   unreadable;  // of a folder: one message a file
};

// Whether `text` names several plans: a folder, a list, or a file whose "schema" is that of a map.
bool names_plan_set(const std::string & text);

// Errors: a file that cannot be read, a plan that is not the one of the fingerprint it stands under, two plans for one model
// file (in a folder the newer one counts), a path that leaves the map's folder, nothing to be found.
Result<PlanSet> read_plan_set(const std::string & text);

// A cache tensor as the run time sees it.
struct CacheRow {
    int     layer  = 0;
    Side    side   = Side::key;
    int64_t n_embd = 0;  // elements of a row
};

// Index of the plan whose model has such a cache; none: the short form for others is meant. A plan fits if it has all these
// layers with such rows. Those of a plan of just these layers are taken first, then those of a plan that has more, unless they
// are its first ones only: llama.cpp keeps sliding and full layers apart, and may leave the first layers to another device, but
// a cache of a few layers from 0 on is that of a smaller model.
// Errors: no plan fits and there is no short form; the plans of two models fit.
Result<std::optional<size_t>> find_plan(const PlanSet & set, const std::vector<CacheRow> & rows);

// Whether the model of `plan` can have all of these, and more that are still to come.
bool may_fit(const PrecisionPlan & plan, const std::vector<CacheRow> & rows);

}  // namespace kvt
