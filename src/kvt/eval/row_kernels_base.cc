#include "kvt/eval/row_kernels-inl.h"
#include "kvt/eval/row_kernels.h"

namespace kvt {

// --- Implementation ---

extern const RowKernels kBaseRowKernels;
const RowKernels        kBaseRowKernels{"base", row_max, row_finite, row_exp, row_cross};

}  // namespace kvt
