#include "kvt/report/needle_map.h"

#include <algorithm>

#include "kvt/base/optional_json.h"

namespace kvt {

namespace {

bool has_length(const NeedleMap & map, int length) {
    return std::any_of(map.plans.begin(), map.plans.end(), [&](const NeedlePlan & plan) {
        return std::any_of(plan.cells.begin(), plan.cells.end(),
                           [&](const NeedleCell & cell) { return cell.found.length == length; });
    });
}

// The map that a run belongs to: of its task, with none of its lengths yet.
NeedleMap & map_for(const TaskRun & run, std::vector<NeedleMap> & maps) {
    const auto is_new = [&](const NeedleMap & map) {
        for (const TaskPlan & plan : run.plans)
            for (const RetrievalCell & cell : plan.cells)
                if (has_length(map, cell.length)) return false;
        return true;
    };
    const auto found = std::find_if(maps.begin(), maps.end(), [&](const NeedleMap & map) {
        return map.task == run.task && map.variant == run.variant && is_new(map);
    });
    return found != maps.end() ? *found : maps.emplace_back(NeedleMap{run.task, run.variant, {}});
}

NeedlePlan & plan_for(const std::string & name, NeedleMap & map) {
    const auto found =
        std::find_if(map.plans.begin(), map.plans.end(), [&](const NeedlePlan & plan) { return plan.name == name; });
    return found != map.plans.end() ? *found : map.plans.emplace_back(NeedlePlan{name, {}});
}

const RetrievalCell * same_place(const std::vector<RetrievalCell> & cells, const RetrievalCell & wanted) {
    const auto found = std::find_if(cells.begin(), cells.end(), [&](const RetrievalCell & cell) {
        return cell.length == wanted.length && cell.depth == wanted.depth;
    });
    return found != cells.end() ? &*found : nullptr;
}

void add_run(const TaskRun & run, NeedleMap & map) {
    const TaskPlan & reference = run.plans.front();
    for (const TaskPlan & plan : run.plans) {
        if (!plan.complete) continue;
        NeedlePlan & row = plan_for(plan.name, map);
        for (const RetrievalCell & cell : plan.cells) {
            const RetrievalCell * there = reference.complete ? same_place(reference.cells, cell) : nullptr;
            NeedleCell            shown{cell, {}, there == nullptr || there->mean >= kInformativeScore};
            if (there != nullptr && &plan != &reference) shown.reference = there->mean;
            row.cells.push_back(shown);
        }
    }
}

}  // namespace

std::vector<NeedleMap> needle_maps(const std::vector<TaskRun> & runs) {
    std::vector<NeedleMap> maps;
    for (const TaskRun & run : runs) {
        if (std::any_of(run.plans.begin(), run.plans.end(), [](const TaskPlan & p) { return p.complete && !p.cells.empty(); }))
            add_run(run, map_for(run, maps));
    }
    for (NeedleMap & map : maps) {
        for (NeedlePlan & plan : map.plans) {
            std::sort(plan.cells.begin(), plan.cells.end(), [](const NeedleCell & a, const NeedleCell & b) {
                return std::pair(a.found.length, a.found.depth) < std::pair(b.found.length, b.found.depth);
            });
        }
    }
    return maps;
}

Json needle_maps_json(const std::vector<NeedleMap> & maps) {
    Json out = Json::array();
    for (const NeedleMap & map : maps) {
        Json plans = Json::array();
        for (const NeedlePlan & plan : map.plans) {
            Json cells = Json::array();
            for (const NeedleCell & cell : plan.cells) {
                cells.push_back({{"length", cell.found.length},
                                 {"depth", cell.found.depth},
                                 {"n", cell.found.n},
                                 {"mean", cell.found.mean},
                                 {"reference", or_null(cell.reference)},
                                 {"informative", cell.informative}});
            }
            plans.push_back({{"name", plan.name}, {"cells", std::move(cells)}});
        }
        out.push_back({{"task", map.task}, {"variant", map.variant}, {"plans", std::move(plans)}});
    }
    return out;
}

}  // namespace kvt
