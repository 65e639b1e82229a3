// Bodies of the row kernels, compiled once per instruction set: everything here has internal linkage, and no other header is
// included, so that no inline function built with wide vector flags can replace a baseline copy at link time.
//
// Plain loops over fixed blocks, no intrinsics: g++ -O3 turns each inner loop into full vectors.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace {

constexpr size_t kBlock = 16;  // floats; 4 x SSE, 2 x AVX2

// exp(x) for x <= 0. x = n ln 2 + r with |r| <= 0.347, Taylor to r^7 (remainder 0.347^8 / 8! = 5e-9), 2^n by its bits.
// Below -87 the result stays at exp(-87) = 1.6e-38.
inline float exp_of_nonpositive(float x) {
    constexpr float kToInteger = 12582912.0f;  // 1.5 * 2^23: adding it leaves the rounded integer in the low mantissa bits
    x                          = x < -87.0f ? -87.0f : x;
    const float shifted        = x * 1.44269504f + kToInteger;
    const float n              = shifted - kToInteger;
    const float r              = (x - n * 0.693359375f) + n * 2.12194440e-4f;  // ln 2 in two parts, the first exact times n
    float       y              = 1.0f / 5040.0f;
    y                          = y * r + 1.0f / 720.0f;
    y                          = y * r + 1.0f / 120.0f;
    y                          = y * r + 1.0f / 24.0f;
    y                          = y * r + 1.0f / 6.0f;
    y                          = y * r + 0.5f;
    y                          = y * r + 1.0f;
    y                          = y * r + 1.0f;
    const uint32_t bits        = (__builtin_bit_cast(uint32_t, shifted) << 23) + 0x3f800000u;
    return y * __builtin_bit_cast(float, bits);
}

float row_max(const float * x, size_t n) {
    float best[kBlock];
    for (size_t j = 0; j < kBlock; ++j) best[j] = x[0];
    size_t i = 0;
    for (; i + kBlock <= n; i += kBlock) {
        for (size_t j = 0; j < kBlock; ++j) best[j] = x[i + j] > best[j] ? x[i + j] : best[j];
    }
    for (; i < n; ++i) best[0] = x[i] > best[0] ? x[i] : best[0];
    for (size_t j = 1; j < kBlock; ++j) best[0] = best[j] > best[0] ? best[j] : best[0];
    return best[0];
}

bool row_finite(const float * x, size_t n) {
    constexpr uint32_t kExponent   = 0x7f800000u;  // all ones: NaN or infinity
    uint32_t           bad[kBlock] = {};
    size_t             i           = 0;
    const auto         not_finite  = [x](size_t at) -> uint32_t {
        return (__builtin_bit_cast(uint32_t, x[at]) & kExponent) == kExponent ? 1u : 0u;
    };
    for (; i + kBlock <= n; i += kBlock) {
        for (size_t j = 0; j < kBlock; ++j) bad[j] |= not_finite(i + j);
    }
    for (; i < n; ++i) bad[0] |= not_finite(i);
    for (size_t j = 1; j < kBlock; ++j) bad[0] |= bad[j];
    return bad[0] == 0;
}

double total(const double * lanes) {
    double sum = 0;
    for (size_t j = 0; j < kBlock; ++j) sum += lanes[j];
    return sum;
}

void row_exp(const float * x, size_t n, float max, float * weights, double * sum, double * weighted_sum) {
    double s[kBlock] = {}, t[kBlock] = {};
    size_t i = 0;
    for (; i + kBlock <= n; i += kBlock) {
        float d[kBlock], w[kBlock];
        for (size_t j = 0; j < kBlock; ++j) {
            d[j] = x[i + j] - max;
            w[j] = exp_of_nonpositive(d[j]);
        }
        for (size_t j = 0; j < kBlock; ++j) weights[i + j] = w[j];
        for (size_t j = 0; j < kBlock; ++j) s[j] += static_cast<double>(w[j]);
        for (size_t j = 0; j < kBlock; ++j) t[j] += static_cast<double>(w[j]) * static_cast<double>(d[j]);
    }
    for (; i < n; ++i) {
        const float d = x[i] - max;
        weights[i]    = exp_of_nonpositive(d);
        s[0] += static_cast<double>(weights[i]);
        t[0] += static_cast<double>(weights[i]) * static_cast<double>(d);
    }
    *sum          = total(s);
    *weighted_sum = total(t);
}

void row_cross(const float * x, const float * p, size_t n, float max, double * sum, double * cross) {
    double s[kBlock] = {}, c[kBlock] = {};
    size_t i = 0;
    for (; i + kBlock <= n; i += kBlock) {
        float d[kBlock], w[kBlock];
        for (size_t j = 0; j < kBlock; ++j) {
            d[j] = x[i + j] - max;
            w[j] = exp_of_nonpositive(d[j]);
        }
        for (size_t j = 0; j < kBlock; ++j) s[j] += static_cast<double>(w[j]);
        for (size_t j = 0; j < kBlock; ++j) c[j] += static_cast<double>(p[i + j]) * static_cast<double>(d[j]);
    }
    for (; i < n; ++i) {
        const float d = x[i] - max;
        s[0] += static_cast<double>(exp_of_nonpositive(d));
        c[0] += static_cast<double>(p[i]) * static_cast<double>(d);
    }
    *sum   = total(s);
    *cross = total(c);
}

}  // namespace
