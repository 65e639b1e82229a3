// The scalar table: plain loops over the specification of quant/codec.h. Never optimised; what every other ISA is tested against.
#include <cmath>
#include <cstring>
#include <limits>

#include "kvt/kernels/kernel_table.h"

namespace kvt {

namespace {

Encoded encode_token_scalar(const TileSpec & spec, int t, const float * row, uint8_t * tile) {
    return encode_token(spec.format, spec.side, spec.head_dim, t, row, tile);
}

Encoded encode_tile_scalar(const TileSpec & spec, const f16_t * src, uint32_t valid, uint8_t * tile) {
    return encode_tile(spec.format, spec.side, spec.head_dim, src, valid, tile);
}

void decode_scalar(const TileSpec & spec, const uint8_t * tile, float * out) {
    if (spec.side == Side::key) return decode_tile(spec.format, spec.side, spec.head_dim, tile, out);
    for (int t = 0; t < kBlockTokens; ++t) {
        float * row = out + static_cast<ptrdiff_t>(t) * spec.stride;
        decode_token(spec.format, spec.side, spec.head_dim, t, tile, row);
        for (int d = spec.head_dim; d < spec.stride; ++d) row[d] = 0.0f;
    }
}

void qk_scalar(int n_rows, int head_dim, const float * q, int q_stride, const float * k, float * scores) {
    for (int r = 0; r < n_rows; ++r) {
        for (int t = 0; t < kBlockTokens; ++t) {
            float sum = 0.0f;
            for (int d = 0; d < head_dim; ++d) sum += q[r * q_stride + d] * k[d * kBlockTokens + t];
            scores[r * kBlockTokens + t] = sum;
        }
    }
}

float softmax_step_scalar(float * scores, float * m, float * l) {
    float top = *m;
    for (int t = 0; t < kBlockTokens; ++t) top = scores[t] > top ? scores[t] : top;
    if (top == -std::numeric_limits<float>::infinity()) {
        for (int t = 0; t < kBlockTokens; ++t) scores[t] = scores[t] == top ? 0.0f : scores[t];  // a NaN score stays visible
        return 1.0f;
    }
    const float factor = std::exp(*m - top);
    float       sum    = 0.0f;
    for (int t = 0; t < kBlockTokens; ++t) {
        scores[t] = std::exp(scores[t] - top);
        sum += scores[t];
    }
    *m = top;
    *l = *l * factor + sum;
    return factor;
}

void add_mask_scalar(const f16_t * mask, float slope, float * scores) {
    constexpr f16_t kMinusInf = 0xfc00;
    for (int t = 0; t < kBlockTokens; ++t) {
        if (mask[t] == kMinusInf) {
            scores[t] = -std::numeric_limits<float>::infinity();
        } else {
            scores[t] += slope * f16_to_f32(mask[t]);
        }
    }
}

void pv_scalar(int n_rows, int stride, const float * p, const float * factor, const float * v, float * acc) {
    for (int r = 0; r < n_rows; ++r) {
        for (int d = 0; d < stride; ++d) {
            float sum = acc[r * stride + d] * factor[r];
            for (int t = 0; t < kBlockTokens; ++t) sum += p[r * kBlockTokens + t] * v[t * stride + d];
            acc[r * stride + d] = sum;
        }
    }
}

}  // namespace

const KernelTable kKernelsScalar = {Isa::scalar, encode_token_scalar, encode_tile_scalar, decode_scalar,
                                    qk_scalar,   softmax_step_scalar, add_mask_scalar,    pv_scalar};

}  // namespace kvt
