// The loops over a row of logits that searches and samplers spend their time in, for the best vector unit of this machine.
//
// exp is a float polynomial (relative error below 2e-7), sums are double: a vocabulary of 49152 has too many small terms for
// float sums. Results differ between vector units in the last bits; the double path of log_softmax.h is the specification.
#pragma once

#include <cstddef>

namespace kvt {

// --- Interface ---

struct RowKernels {
    const char * name;
    // Largest element; n >= 1.
    float (*max)(const float * x, size_t n);
    // Whether no element is NaN or infinite.
    bool (*finite)(const float * x, size_t n);
    // weights[i] = exp(x[i] - max). sum: of the weights. weighted_sum: of weights[i] * (x[i] - max).
    void (*exp_row)(const float * x, size_t n, float max, float * weights, double * sum, double * weighted_sum);
    // sum: of exp(x[i] - max). cross: of p[i] * (x[i] - max).
    void (*cross_row)(const float * x, const float * p, size_t n, float max, double * sum, double * cross);
};

const RowKernels & base_row_kernels();  // any machine
const RowKernels * avx2_row_kernels();  // null where not compiled or not supported
const RowKernels & row_kernels();       // the best one, chosen once

}  // namespace kvt
