// The scalar table: plain loops, never optimised; the specification that every other ISA is tested against. Encoding, unpacking
// and rounding to integers give the same bits everywhere, float sums differ in their order only.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "kvt/kernels/kernel_table.h"
#include "kvt/quant/tile.h"
#include "kvt/quant/transform.h"

namespace kvt {

namespace {

float half_at(const uint8_t * p) {
    f16_t h;
    std::memcpy(&h, p, sizeof h);
    return f16_to_f32(h);
}

GroupScale scale_of(const TileSpec & spec, const uint8_t * tile, int index) {
    return scale_at(spec.format, spec.side, spec.head_dim, index, tile);
}

Encoded encode_tokens_scalar(const TileSpec & spec, const f16_t * feedback, int n, const float * rows, ptrdiff_t row_stride,
                             const TokenPlace * places) {
    Encoded result = Encoded::ok;
    for (int i = 0; i < n; ++i) {
        const Encoded one =
            encode_token(spec.format, spec.side, spec.head_dim, places[i].token, rows + i * row_stride, feedback, places[i].tile);
        if (one != Encoded::ok) result = one;
    }
    return result;
}

Encoded encode_tile_scalar(const TileSpec & spec, const f16_t * src, const uint32_t * valid, const f16_t * feedback,
                           uint8_t * tile) {
    return encode_tile(spec.format, spec.side, spec.head_dim, src, valid, feedback, tile);
}

void rotate_scalar(const RotationSpec & spec, int n_rows, float * x) {
    for (int r = 0; r < n_rows; ++r, x += spec.stride) rotate_row(spec.columns, spec.head_dim, spec.stride, spec.block, x);
}

// Codes as an 8-bit tile stores them; f16 parts as floats, keys [head_dim][32], values [32][stride].
const uint8_t * unpack_scalar(const TileSpec & spec, const uint8_t * tile, int part, uint8_t * scratch) {
    const uint8_t * codes = tile + static_cast<size_t>(part) * spec.part_bytes;
    if (spec.is_f16) {
        float * out = reinterpret_cast<float *>(scratch);
        for (int t = 0; t < kBlockTokens; ++t) {
            for (int d = 0; d < spec.head_dim; ++d) {
                const float x = half_at(codes + 2 * f16_place(spec.side, spec.head_dim, t, d));
                out[spec.side == Side::key ? d * kBlockTokens + t : t * spec.stride + d] = x;
            }
        }
        return scratch;
    }
    if (spec.bits == 8) return codes;
    const Format bytes{Codec::int_asym, 8, Axis::per_token, Store::on_write, spec.format.group};
    std::memset(scratch, 0, operand_bytes(spec.head_dim) / 4);  // codes past head_dim are 0
    for (int t = 0; t < kBlockTokens; ++t) {
        for (int d = 0; d < spec.head_dim; ++d) {
            scratch[code_place(bytes, spec.side, spec.head_dim, t, d, Plane::low).byte] =
                static_cast<uint8_t>(code_at(spec.format, spec.side, spec.head_dim, part * kBlockTokens + t, d, tile));
        }
    }
    return scratch;
}

void prepare_queries_scalar(const TileSpec & spec, const uint8_t * tile, const QueryRows & rows) {
    if (spec.is_f16) return;
    const bool  narrow   = spec.bits <= kNarrowBits;
    const float limit    = static_cast<float>(narrow ? kQueryLimitNarrow : kQueryLimit);
    const float middle   = 0.5f * static_cast<float>((1 << spec.bits) - 1);
    const int   n_groups = spec.per_channel ? 1 : spec.n_groups, group = spec.per_channel ? spec.head_dim : spec.group;
    for (int r = 0; r < rows.n_rows; ++r) {
        const float * q = rows.q + static_cast<ptrdiff_t>(r) * rows.stride;
        float         x[1024], largest = 0, constant = 0;
        for (int d = 0; d < spec.head_dim; ++d) {
            x[d]    = spec.per_channel ? q[d] * scale_of(spec, tile, d).s : q[d];
            largest = std::abs(x[d]) > largest ? std::abs(x[d]) : largest;  // NaN does not count, it returns through `constant`
            constant += q[d] * (spec.per_channel ? scale_of(spec, tile, d).z : 0.0f);
        }
        const float inverse = largest > 0.0f ? limit / largest : 0.0f;
        int8_t *    low     = rows.parts + static_cast<ptrdiff_t>(r) * 2 * rows.stride;
        rows.step[r]        = largest / limit;
        std::memset(low, 0, 2 * static_cast<size_t>(rows.stride));
        for (int g = 0; g < n_groups; ++g) {
            float rest = 0, sum = 0;
            for (int d = g * group; d < std::min((g + 1) * group, spec.head_dim); ++d) {
                const float i        = std::nearbyint(x[d] * inverse);
                const int   whole    = std::isfinite(i) ? static_cast<int>(i) : 0;
                const int   high     = narrow ? 0 : (whole + 32) >> 6;
                low[d]               = static_cast<int8_t>(whole - 64 * high);
                low[rows.stride + d] = static_cast<int8_t>(high);
                rest += x[d] - i * rows.step[r];
                sum += x[d];
            }
            rows.shift[r * rows.max_groups + g]  = constant + middle * rest;
            rows.weight[r * rows.max_groups + g] = sum;
        }
    }
}

void scores_scalar(const TileSpec & spec, const uint8_t * tile, const Operand & unpacked, const QueryRows & rows, Ahead &,
                   float * scores) {
    const uint8_t * operand  = unpacked.at;
    const float *   k        = reinterpret_cast<const float *>(operand);  // of f16 parts
    const int       n_groups = spec.is_f16 || spec.per_channel ? 1 : spec.n_groups;
    const int       group    = n_groups == 1 ? spec.head_dim : spec.group;
    for (int r = 0; r < rows.n_rows; ++r) {
        const int8_t * low = rows.parts + static_cast<ptrdiff_t>(r) * 2 * rows.stride;
        for (int t = 0; t < kBlockTokens; ++t) {
            float sum = 0;
            if (spec.is_f16) {
                for (int d = 0; d < spec.head_dim; ++d) sum += rows.q[r * rows.stride + d] * k[d * kBlockTokens + t];
            }
            for (int g = 0; g < n_groups && !spec.is_f16; ++g) {
                int whole = 0;
                for (int d = g * group; d < std::min((g + 1) * group, spec.head_dim); ++d)
                    whole += (low[d] + 64 * low[rows.stride + d]) * operand[(d / 4 * kBlockTokens + t) * 4 + d % 4];
                const float x = rows.step[r] * static_cast<float>(whole) + rows.shift[r * rows.max_groups + g];
                if (spec.per_channel) {
                    sum += x;
                } else {
                    const GroupScale p = scale_of(spec, tile, g * kBlockTokens + t);
                    sum += p.s * x + p.z * rows.weight[r * rows.max_groups + g];
                }
            }
            scores[r * kBlockTokens + t] = sum;
        }
    }
}

float softmax_row(float * scores, float * m, float * l) {
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

void softmax_step_scalar(int n_rows, float * scores, float * m, float * l, float * factor) {
    for (int r = 0; r < n_rows; ++r) factor[r] = softmax_row(scores + r * kBlockTokens, m + r, l + r);
}

void add_mask_scalar(const f16_t * mask, float slope, float * scores) {
    for (int t = 0; t < kBlockTokens; ++t) {
        if (mask[t] == kF16MinusInfinity) {
            scores[t] = -std::numeric_limits<float>::infinity();
        } else {
            scores[t] += slope * f16_to_f32(mask[t]);
        }
    }
}

// What the weights of one row become for one group of channels.
struct Weights {
    int   whole[kBlockTokens];
    float step = 0, constant = 0;
};

Weights weigh(const TileSpec & spec, const uint8_t * tile, int g, const float * p, int steps) {
    float largest = 0;  // of tokens that take part: what other cells hold must not move the rounding
    for (int t = 0; t < kBlockTokens; ++t) {
        const float scaled = p[t] != 0.0f ? p[t] * scale_of(spec, tile, g * kBlockTokens + t).s : 0.0f;
        largest            = scaled > largest ? scaled : largest;
    }
    const float limit   = static_cast<float>(steps);
    const float inverse = largest > 0.0f ? limit / largest : 0.0f;
    Weights     out;
    out.step = largest / limit;
    for (int t = 0; t < kBlockTokens; ++t) {
        const GroupScale scale = scale_of(spec, tile, g * kBlockTokens + t);
        out.whole[t] = p[t] != 0.0f && std::isfinite(scale.s) ? static_cast<int>(std::nearbyint(p[t] * scale.s * inverse)) : 0;
        if (p[t] != 0.0f) out.constant += p[t] * scale.z;
    }
    return out;
}

void values_scalar(const TileSpec & spec, const uint8_t * tile, const Operand & unpacked, int n_rows, const float * p,
                   const float * factor, const float * sum_of, Ahead &, float * acc, float * /*constant*/) {
    const uint8_t * operand = unpacked.at;
    const float *   v       = reinterpret_cast<const float *>(operand);  // of f16 parts
    for (int r = 0; r < n_rows; ++r) {
        const float * row = p + r * kBlockTokens;
        float *       out = acc + r * spec.stride;
        float         top = 0;
        for (int t = 0; t < kBlockTokens; ++t) top = row[t] > top ? row[t] : top;
        const bool narrow = spec.bits <= kNarrowBits && !(top * kNarrowShare > sum_of[r]);
        const int  steps  = narrow ? kWeightLimitNarrow : kWeightLimit;
        for (int g = 0; g < spec.n_groups; ++g) {
            const Weights weights = spec.is_f16 ? Weights{} : weigh(spec, tile, g, row, steps);
            for (int d = g * spec.group; d < std::min((g + 1) * spec.group, spec.head_dim); ++d) {
                float sum   = 0;
                int   whole = 0;
                for (int t = 0; t < kBlockTokens; ++t) {
                    if (spec.is_f16) {
                        if (row[t] != 0.0f) sum += row[t] * v[t * spec.stride + d];
                    } else {
                        whole += weights.whole[t] * operand[(t / 4 * spec.head_dim + d) * 4 + t % 4];
                    }
                }
                out[d] = out[d] * factor[r] + (spec.is_f16 ? sum : weights.step * static_cast<float>(whole) + weights.constant);
            }
        }
    }
}

}  // namespace

const KernelTable kKernelsScalar = {Isa::scalar,
                                    0,
                                    0,
                                    encode_tokens_scalar,
                                    encode_tile_scalar,
                                    rotate_scalar,
                                    unpack_scalar,
                                    prepare_queries_scalar,
                                    scores_scalar,
                                    softmax_step_scalar,
                                    add_mask_scalar,
                                    values_scalar};

}  // namespace kvt
