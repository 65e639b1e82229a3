// Fixed-width vectors of the avx2 and avxvnni clusters. Included by avx2.cc and avxvnni.cc only.
#pragma once

#include <immintrin.h>

#include <cstdint>

// Loops over registers of an array: unrolled early, so that g++ keeps the array in registers.
#define KVT_UNROLL _Pragma("GCC unroll 8")

namespace kvt {
namespace {

constexpr int kLanes = 8;
#if defined(__AVXVNNI__)
constexpr int kRowsDot = 2;  // query rows x 2 parts x 2 vectors of words = 8 accumulators of 16 registers
#else
#define KVT_DOT_WORDS
constexpr int kRowsDot = 4;  // 4 rows x 2 vectors of words = 8 accumulators, beside 4 registers of codes
#endif
constexpr int kRowsOneDot = 4;  // one part: 4 rows x 2 vectors
constexpr int kRowsQk =
    4;  // 4 rows x 2 vectors of tokens: the rows of one KV head of most models, as many sums as FMAs in flight
// Codes are always unpacked first: with 16 registers the loops that decode on the way spill (K4V4 80 us instead of 70, Zen 4).
constexpr int kPackedCodeRows = 0;
constexpr int kRowsPv         = 4;  // 4 rows x 2 vectors of channels
constexpr int kVecsPv         = 2;

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

// Lanes exchanged with those `Distance` away.
template <int Distance>
inline F exchange(F x) {
    if constexpr (Distance == 1) return _mm256_permute_ps(x, 0xb1);
    if constexpr (Distance == 2) return _mm256_permute_ps(x, 0x4e);
    if constexpr (Distance == 4) return _mm256_permute2f128_ps(x, x, 1);
}

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

inline I set1_words(int x) { return _mm256_set1_epi32(x); }
inline I load_operand(const void * s) {
    int word;
    __builtin_memcpy(&word, s, 4);
    return set1_words(word);
}
#if defined(__AVXVNNI__)
// acc + dot products of 4 unsigned bytes of `u` with the 4 signed bytes at `s` in each word. As an instruction, because g++ 12
// copies the accumulator around the intrinsic.
inline I dot(I acc, I u, const void * s) {
    asm("%{vex%} vpdpbusd %2, %1, %0" : "+x"(acc) : "x"(u), "x"(load_operand(s)));
    return acc;
}
#else
// acc + x, where it is: g++ 12 gives the sum of the intrinsic another register, copies it back, and runs out of registers.
inline void accumulate_words(I & acc, I x) { asm("vpaddd %1, %0, %0" : "+x"(acc) : "x"(x)); }
inline void accumulate_pairs(I & acc, I x) { asm("vpaddw %1, %0, %0" : "+x"(acc) : "x"(x)); }
// acc + dot products of the two 16-bit words of each 32 bits of `u` with the two at `s`.
inline I dot_words(I acc, I u, const void * s) {
    accumulate_words(acc, _mm256_madd_epi16(u, load_operand(s)));
    return acc;
}
// acc + products of unsigned bytes of `u` with the 4 signed bytes at `s`, pairs of them summed in 16 bits; the words of that.
inline I dot_pairs(I acc, I u, const void * s) {
    accumulate_pairs(acc, _mm256_maddubs_epi16(u, load_operand(s)));
    return acc;
}
inline I sum_pairs(I x) { return _mm256_madd_epi16(x, _mm256_set1_epi16(1)); }
// The second and the fourth byte of each word, as 16 bits.
inline I high_bytes(I x) { return _mm256_srli_epi16(x, 8); }
// Words in 16 bits, each four of them in the order 0 2 1 3.
inline void store_even_odd_16(void * p, const I (&x)[2]) {
    const __m256i order  = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15));
    const __m256i halves = _mm256_shuffle_epi8(_mm256_packs_epi32(x[0], x[1]), order);
    _mm256_storeu_si256(static_cast<__m256i *>(p), _mm256_permute4x64_epi64(halves, 0xd8));
}
#endif
inline I add_words(I a, I b) { return _mm256_add_epi32(a, b); }
inline I sub_words(I a, I b) { return _mm256_sub_epi32(a, b); }
inline I shift_right_signed(I x, int n) { return _mm256_sra_epi32(x, _mm_cvtsi32_si128(n)); }
inline F abs(F x) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x); }
// a * b where `a` is not zero, else 0 whatever b is.
inline F mul_nonzero(F a, F b) { return _mm256_and_ps(_mm256_mul_ps(a, b), _mm256_cmp_ps(a, _mm256_setzero_ps(), _CMP_NEQ_UQ)); }

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
// The f16 numbers whose bits 14..7 are the bytes at p; the bytes at p as numbers.
inline F load_f16_bytes(const void * p) {
    const __m128i wide = _mm_cvtepu8_epi16(_mm_loadl_epi64(static_cast<const __m128i *>(p)));
    return _mm256_cvtph_ps(_mm_slli_epi16(wide, 7));
}
inline F load_bytes(const void * p) {
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(static_cast<const __m128i *>(p))));
}
inline float    half_to_float(uint16_t h) { return _cvtsh_ss(h); }
inline uint16_t float_to_half(float x) { return static_cast<uint16_t>(_cvtss_sh(x, _MM_FROUND_TO_NEAREST_INT)); }
// The low bytes of words in -128 .. 255.
inline void store_bytes(void * p, I x) {
    const __m256i low   = _mm256_and_si256(x, _mm256_set1_epi32(0xff));
    const __m128i words = _mm_packus_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1));
    _mm_storel_epi64(static_cast<__m128i *>(p), _mm_packus_epi16(words, words));
}
// Of words in -128 .. 127.
inline void store_bytes_16(void * p, const I (&x)[2]) {
    const __m256i halves = _mm256_permute4x64_epi64(_mm256_packs_epi32(x[0], x[1]), 0xd8);
    const __m128i bytes  = _mm_packs_epi16(_mm256_castsi256_si128(halves), _mm256_extracti128_si256(halves, 1));
    _mm_storeu_si128(static_cast<__m128i *>(p), bytes);
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
