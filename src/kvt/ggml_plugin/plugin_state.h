// Process-wide state of the plugin: the plans for new caches, the kernels, the tap, and what has to be said.
//
// One lock guards all of it; it is taken when caches are made and when a tap runs, never inside kernels.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "kvt/kernels/kernel_table.h"
#include "kvt/plan/calibration.h"
#include "kvt/plan/plan.h"
#include "kvt/plan/plan_set.h"
#include "kvt/plugin_api/plugin_api.h"

namespace kvt::plugin {

// --- Interface ---

// Layers whose cache was made under a plan.
struct layers_here {
    std::mutex    lock;
    std::set<int> numbers;
};

// Where formats come from: a plan, or a short form that says the same for every layer.
struct plan_source {
    std::optional<PrecisionPlan>   plan;
    ShortForm                      short_form;
    std::shared_ptr<const Tensors> calibration{};  // of the plan's transforms, null if it has none
    std::shared_ptr<layers_here>   here = std::make_shared<layers_here>();
};

// What the plan says of one cache tensor. head_dim 0: not known before the first attention op.
struct tensor_choice {
    Format format;
    int    head_dim = 0;
    Kept   kept{};
};

using HeadTransforms = std::shared_ptr<const std::vector<PackedTransform>>;  // one per KV head, null: none

// What new caches may follow.
struct plan_sources {
    std::shared_ptr<const plan_source> only;  // whatever the model is; null: one of those below
    PlanSet                            set;
    std::vector<plan_source>           parsed;  // those of set.plans, then the short form for others; without calibrations
};

// Set by kvt_set_plan, else by KVT_PLAN (read at the first call). Errors: not set, unreadable, invalid.
Result<std::shared_ptr<const plan_sources>> current_plans();

// Out of several: those that a model may follow whose cache has these rows, and more.
std::vector<const plan_source *> possible_sources(const plan_sources & plans, const std::vector<CacheRow> & rows);
// The one for a model whose cache has these rows, with its calibration. Errors: find_plan(), the calibration is unreadable.
Result<std::shared_ptr<const plan_source>> source_of(const plan_sources & plans, const std::vector<CacheRow> & rows);

// `text` null: back to KVT_PLAN. `folder`: of the calibration file that JSON text names.
Status set_plan(const char * text, const char * folder);

// Chooses for layer `layer`, whose rows hold n_embd elements. Errors: no such layer in the plan, other row length.
Result<tensor_choice> choose(const plan_source & source, Side side, int layer, int64_t n_embd);

// The transforms of one side of one layer, ready for use. Errors: the calibration does not fit the plan.
Result<HeadTransforms> transforms_of(const plan_source & source, Side side, int layer);

// Kernels of the best ISA, or of KVT_FORCE_ISA. Errors: unknown or unavailable ISA.
Result<const KernelTable *> current_kernels();

// Says an error on stderr (through the log callback if the host set the plan itself) and keeps it for kvt_last_error.
void fail(std::string_view message) noexcept;
// The same for what may happen at every token: equal messages are logged once in a row.
void         fail_once(std::string_view message) noexcept;
const char * last_error() noexcept;

void set_tap(kvt_tap_fn fn, void * user);
void run_tap(const kvt_tap & tap);
bool tap_active() noexcept;

}  // namespace kvt::plugin
