// Fixed-width vectors of the avx512 cluster. Included by avx512.cc only.
#pragma once

#include <immintrin.h>

#include <cstdint>

// Loops over registers of an array: unrolled early, so that g++ keeps the array in registers.
#define KVT_UNROLL _Pragma("GCC unroll 8")

namespace kvt {
namespace {

constexpr int kLanes          = 16;
constexpr int kRowsDot        = 4;  // query rows x 2 parts x 2 vectors of words = 16 accumulators of 32 registers
constexpr int kRowsOneDot     = 8;  // the same with one part
constexpr int kPackedCodeRows = 8;  // codes of 2 and 4 bits are decoded on the way for up to so many rows
constexpr int kRowsQk         = 8;  // 8 rows x 2 vectors of tokens = 16 accumulators
constexpr int kRowsPv         = 4;  // 4 rows x 4 vectors of channels = 16 accumulators
constexpr int kVecsPv         = 4;

using F = __m512;
using I = __m512i;

inline F    load(const float * p) { return _mm512_loadu_ps(p); }
inline void store(float * p, F x) { _mm512_storeu_ps(p, x); }
inline F    set1(float x) { return _mm512_set1_ps(x); }
inline F    zero() { return _mm512_setzero_ps(); }
inline F    fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
inline F    add(F a, F b) { return _mm512_add_ps(a, b); }
inline F    sub(F a, F b) { return _mm512_sub_ps(a, b); }
inline F    mul(F a, F b) { return _mm512_mul_ps(a, b); }
inline F    div(F a, F b) { return _mm512_div_ps(a, b); }
inline F    min(F a, F b) { return _mm512_min_ps(a, b); }
inline F    max(F a, F b) { return _mm512_max_ps(a, b); }
// Lanes exchanged with those `Distance` away.
template <int Distance>
inline F exchange(F x) {
    if constexpr (Distance == 1) return _mm512_permute_ps(x, 0xb1);
    if constexpr (Distance == 2) return _mm512_permute_ps(x, 0x4e);
    if constexpr (Distance == 4) return _mm512_shuffle_f32x4(x, x, 0xb1);
    if constexpr (Distance == 8) return _mm512_shuffle_f32x4(x, x, 0x4e);
}

inline float reduce_add(F x) { return _mm512_reduce_add_ps(x); }
inline float reduce_max(F x) { return _mm512_reduce_max_ps(x); }
inline float reduce_min(F x) { return _mm512_reduce_min_ps(x); }

// acc + dot products of 4 unsigned bytes of `u` with the 4 signed bytes at `s` in each word. Written as an instruction because
// g++ 12 copies the accumulator around the intrinsic (2 moves a dot, half of the speed) and does not fold the broadcast.
inline I dot(I acc, I u, const void * s) {
    asm("vpdpbusd %2%{1to16%}, %1, %0" : "+v"(acc) : "v"(u), "m"(*static_cast<const int32_t *>(s)));
    return acc;
}
inline I set1_words(int x) { return _mm512_set1_epi32(x); }
inline I add_words(I a, I b) { return _mm512_add_epi32(a, b); }
inline I sub_words(I a, I b) { return _mm512_sub_epi32(a, b); }
inline I shift_right_signed(I x, int n) { return _mm512_sra_epi32(x, _mm_cvtsi32_si128(n)); }
inline F abs(F x) { return _mm512_abs_ps(x); }
// a * b where `a` is not zero, else 0 whatever b is.
inline F mul_nonzero(F a, F b) { return _mm512_maskz_mul_ps(_mm512_cmp_ps_mask(a, _mm512_setzero_ps(), _CMP_NEQ_UQ), a, b); }

inline I    load_words(const uint8_t * p) { return _mm512_loadu_si512(p); }
inline void store_words(uint8_t * p, I x) { _mm512_storeu_si512(p, x); }
inline I    shift_right(I x, int n) { return _mm512_srl_epi32(x, _mm_cvtsi32_si128(n)); }
inline I    shift_left(I x, int n) { return _mm512_sll_epi32(x, _mm_cvtsi32_si128(n)); }
inline I    bit_and(I x, int mask) { return _mm512_and_si512(x, _mm512_set1_epi32(mask)); }
inline I    bit_or(I a, I b) { return _mm512_or_si512(a, b); }
inline I    zero_words() { return _mm512_setzero_si512(); }
inline F    to_float(I x) { return _mm512_cvtepi32_ps(x); }
inline I    to_int(F x) { return _mm512_cvtps_epi32(x); }  // round half to even (default MXCSR)
inline F    load_f16(const void * p) { return _mm512_cvtph_ps(_mm256_loadu_si256(static_cast<const __m256i *>(p))); }
// The f16 numbers whose bits 14..7 are the bytes at p; the bytes at p as numbers.
inline F load_f16_bytes(const void * p) {
    const __m256i wide = _mm256_cvtepu8_epi16(_mm_loadu_si128(static_cast<const __m128i *>(p)));
    return _mm512_cvtph_ps(_mm256_slli_epi16(wide, 7));
}
inline F load_bytes(const void * p) {
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(static_cast<const __m128i *>(p))));
}
inline float    half_to_float(uint16_t h) { return _cvtsh_ss(h); }
inline uint16_t float_to_half(float x) { return static_cast<uint16_t>(_cvtss_sh(x, _MM_FROUND_TO_NEAREST_INT)); }
inline void     store_bytes(void * p, I x) { _mm_storeu_si128(static_cast<__m128i *>(p), _mm512_cvtepi32_epi8(x)); }  // low bytes
inline void     store_bytes_16(void * p, const I (&x)[1]) { store_bytes(p, x[0]); }

// x where a > b (false for NaN), else y.
inline F select_gt(F a, F b, F x, F y) { return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_GT_OQ), y, x); }
// x where a == b, else y.
inline F select_eq(F a, F b, F x, F y) { return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ), y, x); }
// a * 2^round(n), n within the exponent range.
inline F scale_by_power(F a, F n) { return _mm512_scalef_ps(a, n); }
inline F round(F x) { return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }

}  // namespace
}  // namespace kvt
