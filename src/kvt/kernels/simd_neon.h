// Fixed-width vectors of the neon and neoni8 clusters. Included by neon.cc and neoni8.cc only.
#pragma once

#include <arm_neon.h>

#include <cstdint>

// Loops over registers of an array: unrolled early, so that g++ keeps the array in registers.
#define KVT_UNROLL _Pragma("GCC unroll 8")

namespace kvt {
namespace {

constexpr int kLanes          = 4;
constexpr int kRowsDot        = 2;  // query rows x 2 parts x 2 vectors of words = 8 accumulators of 32 registers
constexpr int kRowsOneDot     = 4;  // the same with one part
constexpr int kRowsQk         = 8;  // 8 rows x 2 vectors of tokens = 16 accumulators
constexpr int kPackedCodeRows = 0;  // no machine to measure on
constexpr int kRowsPv         = 4;  // 4 rows x 4 vectors of channels = 16 accumulators
constexpr int kVecsPv         = 4;

using F = float32x4_t;
using I = int32x4_t;

inline F    load(const float * p) { return vld1q_f32(p); }
inline void store(float * p, F x) { vst1q_f32(p, x); }
inline F    set1(float x) { return vdupq_n_f32(x); }
inline F    zero() { return vdupq_n_f32(0.0f); }
inline F    fma(F a, F b, F c) { return vfmaq_f32(c, a, b); }
inline F    add(F a, F b) { return vaddq_f32(a, b); }
inline F    sub(F a, F b) { return vsubq_f32(a, b); }
inline F    mul(F a, F b) { return vmulq_f32(a, b); }
inline F    div(F a, F b) { return vdivq_f32(a, b); }
// As on x86: the second operand if either is NaN.
inline F min(F a, F b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
inline F max(F a, F b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
// Lanes exchanged with those `Distance` away.
template <int Distance>
inline F exchange(F x) {
    if constexpr (Distance == 1) return vrev64q_f32(x);
    if constexpr (Distance == 2) return vextq_f32(x, x, 2);
}

inline float reduce_add(F x) { return vaddvq_f32(x); }
inline float reduce_max(F x) { return vmaxvq_f32(x); }
inline float reduce_min(F x) { return vminvq_f32(x); }

inline I set1_words(int x) { return vdupq_n_s32(x); }
// acc + dot products of 4 unsigned bytes of `u` with the 4 signed bytes at `s` in each word.
inline I dot(I acc, I u, const void * s) {
    int32_t word;
    __builtin_memcpy(&word, s, 4);
    const uint8x16_t codes  = vreinterpretq_u8_s32(u);
    const int8x16_t  number = vreinterpretq_s8_s32(vdupq_n_s32(word));
#if defined(__ARM_FEATURE_MATMUL_INT8)
    return vusdotq_s32(acc, codes, number);
#else
    // Products fit 16 bits (255 * 127); pairs of them 32.
    const int16x8_t wide = vmovl_s8(vget_low_s8(number));
    const int16x8_t low  = vmulq_s16(vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(codes))), wide);
    const int16x8_t high = vmulq_s16(vreinterpretq_s16_u16(vmovl_u8(vget_high_u8(codes))), wide);
    return vaddq_s32(acc, vpaddq_s32(vpaddlq_s16(low), vpaddlq_s16(high)));
#endif
}
inline I add_words(I a, I b) { return vaddq_s32(a, b); }
inline I sub_words(I a, I b) { return vsubq_s32(a, b); }
inline I shift_right_signed(I x, int n) { return vshlq_s32(x, vdupq_n_s32(-n)); }
inline F abs(F x) { return vabsq_f32(x); }
// a * b where `a` is not zero, else 0 whatever b is.
inline F mul_nonzero(F a, F b) {
    const uint32x4_t is_zero = vceqq_f32(a, vdupq_n_f32(0.0f));
    return vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(vmulq_f32(a, b)), is_zero));
}

inline I    load_words(const uint8_t * p) { return vreinterpretq_s32_u8(vld1q_u8(p)); }
inline void store_words(uint8_t * p, I x) { vst1q_u8(p, vreinterpretq_u8_s32(x)); }
inline I    shift_right(I x, int n) { return vreinterpretq_s32_u32(vshlq_u32(vreinterpretq_u32_s32(x), vdupq_n_s32(-n))); }
inline I    shift_left(I x, int n) { return vshlq_s32(x, vdupq_n_s32(n)); }
inline I    bit_and(I x, int mask) { return vandq_s32(x, vdupq_n_s32(mask)); }
inline I    bit_or(I a, I b) { return vorrq_s32(a, b); }
inline I    zero_words() { return vdupq_n_s32(0); }
inline F    to_float(I x) { return vcvtq_f32_s32(x); }
inline I    to_int(F x) { return vcvtnq_s32_f32(x); }  // round half to even
inline F    load_f16(const void * p) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(static_cast<const uint16_t *>(p)))); }
// Four bytes as 16-bit numbers.
inline uint16x4_t widen_bytes(const void * p) {
    uint32_t four;
    __builtin_memcpy(&four, p, 4);
    return vget_low_u16(vmovl_u8(vreinterpret_u8_u32(vdup_n_u32(four))));
}
// The f16 numbers whose bits 14..7 are the bytes at p; the bytes at p as numbers.
inline F load_f16_bytes(const void * p) { return vcvt_f32_f16(vreinterpret_f16_u16(vshl_n_u16(widen_bytes(p), 7))); }
inline F load_bytes(const void * p) { return vcvtq_f32_u32(vmovl_u16(widen_bytes(p))); }
// The low bytes of words.
inline void store_bytes(void * p, I x) {
    const uint16x4_t halves = vmovn_u32(vreinterpretq_u32_s32(x));
    const uint8x8_t  bytes  = vmovn_u16(vcombine_u16(halves, halves));
    const uint32_t   four   = vget_lane_u32(vreinterpret_u32_u8(bytes), 0);
    __builtin_memcpy(p, &four, 4);
}
inline void store_bytes_16(void * p, const I (&x)[4]) {
    const int16x8_t low  = vcombine_s16(vmovn_s32(x[0]), vmovn_s32(x[1]));
    const int16x8_t high = vcombine_s16(vmovn_s32(x[2]), vmovn_s32(x[3]));
    vst1q_s8(static_cast<int8_t *>(p), vcombine_s8(vmovn_s16(low), vmovn_s16(high)));
}

inline float half_to_float(uint16_t h) {
    __fp16 x;
    __builtin_memcpy(&x, &h, 2);
    return static_cast<float>(x);
}
inline uint16_t float_to_half(float x) {
    const __fp16 half = static_cast<__fp16>(x);
    uint16_t     h;
    __builtin_memcpy(&h, &half, 2);
    return h;
}

// x where a > b (false for NaN), else y.
inline F select_gt(F a, F b, F x, F y) { return vbslq_f32(vcgtq_f32(a, b), x, y); }
// x where a == b, else y.
inline F select_eq(F a, F b, F x, F y) { return vbslq_f32(vceqq_f32(a, b), x, y); }
// a * 2^n for integral n in -126 .. 127.
inline F scale_by_power(F a, F n) {
    const int32x4_t exponent = vshlq_n_s32(vaddq_s32(vcvtnq_s32_f32(n), vdupq_n_s32(127)), 23);
    return vmulq_f32(a, vreinterpretq_f32_s32(exponent));
}
inline F round(F x) { return vrndnq_f32(x); }

}  // namespace
}  // namespace kvt
