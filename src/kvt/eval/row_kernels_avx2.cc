#include "kvt/eval/row_kernels-inl.h"
#include "kvt/eval/row_kernels.h"

namespace kvt {

// --- Implementation ---

extern const RowKernels kAvx2RowKernels;
const RowKernels        kAvx2RowKernels{"avx2", row_max, row_finite, row_exp, row_cross};

}  // namespace kvt
