#include "kvt/tuner/calibrate/calibrate.h"

#include <fmt/format.h>

#include "kvt/base/parallel_errors.h"
#include "kvt/plan/calibration.h"
#include "kvt/tuner/calibrate/design.h"

namespace kvt {

Tensors design_transforms(const std::vector<LayerMoments> & moments) {
    // Heads are independent, and the linear algebra of one takes up to a second for head_dim 128.
    std::vector<Tensors> by_layer(moments.size());
    ParallelErrors       errors;
#pragma omp parallel for schedule(dynamic)
    for (size_t l = 0; l < moments.size(); ++l) {
        errors.run([&] {
            const LayerMoments & m     = moments[l];
            const int            layer = static_cast<int>(l);
            const int dim_k = static_cast<int>(m.k.front().mean.size()), dim_v = static_cast<int>(m.v.front().mean.size());
            for (const Rotation rotation : {Rotation::dense, Rotation::hadamard}) {
                for (const int bits : kCodeWidths) {
                    std::vector<HeadTransform> heads;
                    for (const HeadMoments & head : m.k) heads.push_back(design_key_transform(head, rotation, bits));
                    put_head_transforms(layer, Side::key, key_transform_name(rotation, bits), heads, dim_k, by_layer[l]);
                }
            }
            std::vector<HeadTransform> heads;
            for (const HeadMoments & head : m.v) heads.push_back(design_value_transform(head));
            put_head_transforms(layer, Side::value, value_transform_name(), heads, dim_v, by_layer[l]);
        });
    }
    errors.rethrow();
    Tensors all;
    for (Tensors & layer : by_layer) all.merge(layer);
    return all;
}

Result<Tensors> tensors_of_plan(const PrecisionPlan & plan, const Tensors & all) {
    Tensors used;
    for (const LayerPlan & layer : plan.layers) {
        for (const Side side : {Side::key, Side::value}) {
            const std::string & name = side == Side::key ? layer.k_transform : layer.v_transform;
            if (name.empty()) continue;
            const std::string prefix = transform_prefix(layer.layer, side, name);
            auto              it     = all.lower_bound(prefix);
            if (it == all.end() || !it->first.starts_with(prefix))
                return Error{fmt::format("the calibration has no tensors {}*: calibrate again with this version", prefix)};
            for (; it != all.end() && it->first.starts_with(prefix); ++it) used.insert(*it);
        }
    }
    return used;
}

}  // namespace kvt
