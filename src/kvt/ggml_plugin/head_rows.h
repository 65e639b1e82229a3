// Query and output rows of one KV head on their way into the transformed space of its cache and back (quant/transform.h).
#pragma once

#include "kvt/kernels/kernel_table.h"
#include "kvt/quant/transform.h"

namespace kvt::plugin {

// --- Interface ---

// q [n_rows][padded_dim(head_dim)], in place; `t` may be null. With `center_logits` [n_rows], also q . center of each row, which
// is missing from every logit then.
void transform_queries(const KernelTable & kernels, const PackedTransform * t, int n_rows, float * q, float * center_logits);

// o [n_rows][padded_dim(head_dim)], in place; `weights` [n_rows]: the sum of the softmax weights that cells got.
void restore_outputs(const KernelTable & kernels, const PackedTransform * t, int n_rows, const float * weights, float * o);

}  // namespace kvt::plugin
