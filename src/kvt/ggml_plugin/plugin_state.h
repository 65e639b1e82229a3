// Process-wide state of the plugin: the plan for new caches, the kernels, the tap, and what has to be said.
//
// One lock guards all of it; it is taken when caches are made and when a tap runs, never inside kernels.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "kvt/kernels/kernel_table.h"
#include "kvt/plan/calibration.h"
#include "kvt/plan/plan.h"
#include "kvt/plugin_api/plugin_api.h"

namespace kvt::plugin {

// --- Interface ---

// Where formats come from: a plan, or a short form that says the same for every layer.
struct plan_source {
    std::optional<PrecisionPlan>   plan;
    ShortForm                      short_form;
    std::shared_ptr<const Tensors> calibration;  // of the plan's transforms, null if it has none
};

// What the plan says of one cache tensor. head_dim 0: not known before the first attention op.
struct tensor_choice {
    Format format;
    int    head_dim = 0;
    Kept   kept{};
};

using HeadTransforms = std::shared_ptr<const std::vector<PackedTransform>>;  // one per KV head, null: none

// The source set by kvt_set_plan, else the one KVT_PLAN names (read at the first call). Errors: not set, unreadable, invalid.
Result<std::shared_ptr<const plan_source>> current_plan();

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
