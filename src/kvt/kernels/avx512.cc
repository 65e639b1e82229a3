// The avx512 table. Everything here is internal except the table itself (see kernel_table.h on leaking inline functions).
#include "kvt/kernels/kernel_table.h"
#include "kvt/kernels/simd_avx512.h"
#include "kvt/kernels/encode-inl.h"
#include "kvt/kernels/rotate-inl.h"
#include "kvt/kernels/unpack-inl.h"
#include "kvt/kernels/dot-inl.h"
#include "kvt/kernels/scores-inl.h"
#include "kvt/kernels/softmax-inl.h"
#include "kvt/kernels/values-inl.h"

namespace kvt {

const KernelTable kKernelsAvx512 = {Isa::avx512,      kPackedCodeRows,   kRowsQk,       encode_tokens_simd,
                                    encode_tile_simd, rotate_simd,       unpack_simd,   prepare_queries_simd,
                                    scores_simd,      softmax_step_simd, add_mask_simd, values_simd};

}  // namespace kvt
