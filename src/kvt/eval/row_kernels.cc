#include "kvt/eval/row_kernels.h"

namespace kvt {

// --- Implementation ---

extern const RowKernels kBaseRowKernels;
#if defined(__x86_64__)
extern const RowKernels kAvx2RowKernels;
#endif

const RowKernels & base_row_kernels() { return kBaseRowKernels; }

const RowKernels * avx2_row_kernels() {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2"))
        return &kAvx2RowKernels;
#endif
    return nullptr;
}

const RowKernels & row_kernels() {
    static const RowKernels & best = avx2_row_kernels() != nullptr ? *avx2_row_kernels() : base_row_kernels();
    return best;
}

}  // namespace kvt
