// Fixed-width vectors of the avx2 cluster. Included by avx2.cc only.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace kvt {
namespace {

constexpr int kLanes  = 8;
constexpr int kRowsQk = 6;  // 6 rows x 2 vectors of tokens = 12 accumulators of 16 registers
constexpr int kRowsPv = 6;  // 6 rows x 2 vectors of channels = 12 accumulators
constexpr int kVecsPv = 2;

using F = __m256;
using I = __m256i;

inline F    load(const float * p) { return _mm256_loadu_ps(p); }
inline void store(float * p, F x) { _mm256_storeu_ps(p, x); }
inline F    set1(float x) { return _mm256_set1_ps(x); }
inline F    zero() { return _mm256_setzero_ps(); }
inline F    fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
inline F    add(F a, F b) { return _mm256_add_ps(a, b); }
inline F    sub(F a, F b) { return _mm256_sub_ps(a, b); }
inline F    mul(F a, F b) { return _mm256_mul_ps(a, b); }
inline F    div(F a, F b) { return _mm256_div_ps(a, b); }
inline F    min(F a, F b) { return _mm256_min_ps(a, b); }
inline F    max(F a, F b) { return _mm256_max_ps(a, b); }

inline float reduce_add(F x) {
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    s        = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}
inline float reduce_max(F x) {
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    s        = _mm_max_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
}
inline float reduce_min(F x) {
    __m128 s = _mm_min_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    s        = _mm_min_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_min_ss(s, _mm_movehdup_ps(s)));
}

inline I    load_words(const uint8_t * p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i *>(p)); }
inline void store_words(uint8_t * p, I x) { _mm256_storeu_si256(reinterpret_cast<__m256i *>(p), x); }
inline I    shift_right(I x, int n) { return _mm256_srl_epi32(x, _mm_cvtsi32_si128(n)); }
inline I    shift_left(I x, int n) { return _mm256_sll_epi32(x, _mm_cvtsi32_si128(n)); }
inline I    bit_and(I x, int mask) { return _mm256_and_si256(x, _mm256_set1_epi32(mask)); }
inline I    bit_or(I a, I b) { return _mm256_or_si256(a, b); }
inline I    zero_words() { return _mm256_setzero_si256(); }
inline F    to_float(I x) { return _mm256_cvtepi32_ps(x); }
inline I    to_int(F x) { return _mm256_cvtps_epi32(x); }  // round half to even (default MXCSR)
inline F    load_f16(const void * p) { return _mm256_cvtph_ps(_mm_loadu_si128(static_cast<const __m128i *>(p))); }
inline void store_f16(void * p, F x) {
    _mm_storeu_si128(static_cast<__m128i *>(p), _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
inline void store_bytes(uint8_t * p, I x) {
    const __m128i words = _mm_packus_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
    _mm_storel_epi64(reinterpret_cast<__m128i *>(p), _mm_packus_epi16(words, words));
}

// x where a > b (false for NaN), else y.
inline F select_gt(F a, F b, F x, F y) { return _mm256_blendv_ps(y, x, _mm256_cmp_ps(a, b, _CMP_GT_OQ)); }
// x where a == b, else y.
inline F select_eq(F a, F b, F x, F y) { return _mm256_blendv_ps(y, x, _mm256_cmp_ps(a, b, _CMP_EQ_OQ)); }
// a * 2^n for integral n in -126 .. 127.
inline F scale_by_power(F a, F n) {
    const __m256i exponent = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
    return _mm256_mul_ps(a, _mm256_castsi256_ps(exponent));
}
inline F round(F x) { return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }

}  // namespace
}  // namespace kvt
