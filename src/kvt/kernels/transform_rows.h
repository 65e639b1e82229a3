// Rows of one KV head on their way into the transformed space of its cache and back (quant/transform.h), rotated by the kernels
// of one ISA; the same bits as one row at a time. All rows have spec.stride = padded_dim(head_dim) floats and are changed in
// place; `t` may be null: nothing is done.
#pragma once

#include "kvt/kernels/kernel_table.h"
#include "kvt/quant/transform.h"

namespace kvt {

// --- Interface ---

// Keys or values, as they are stored.
void transform_rows(const KernelTable & kernels, const PackedTransform * t, int n_rows, float * x);

// With `center_logits` [n_rows], also q . center of each row, which is missing from every logit then. Columns past head_dim
// become 0.
void transform_queries(const KernelTable & kernels, const PackedTransform * t, int n_rows, float * q, float * center_logits);

// Sums of stored rows.   weights [n_rows]  the sum of the softmax weights that cells got; null: 1, for stored rows themselves
void restore_rows(const KernelTable & kernels, const PackedTransform * t, int n_rows, const float * weights, float * o);

}  // namespace kvt
