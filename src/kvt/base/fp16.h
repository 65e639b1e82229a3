// IEEE binary16 <-> binary32, round to nearest even; bit-identical to the F16C instructions for all finite input.
//
// The scalar form is the specification of every stored 16-bit value (keys, values, scales, offsets).
#pragma once

#include <bit>
#include <cstdint>

namespace kvt {

// --- Interface ---

using f16_t = uint16_t;  // storage only

constexpr float kF16Max           = 65504.0f;
constexpr f16_t kF16MinusInfinity = 0xfc00;  // what attention masks hide a cell with

// Values beyond +-65504 become infinity, NaN stays NaN (quiet).
constexpr f16_t f32_to_f16(float value);
constexpr float f16_to_f32(f16_t value);
constexpr bool  f16_is_finite(f16_t value) { return (value & 0x7c00u) != 0x7c00u; }

// --- Implementation ---

constexpr f16_t f32_to_f16(float value) {
    const uint32_t bits = std::bit_cast<uint32_t>(value);
    const uint32_t sign = (bits >> 16) & 0x8000u;
    const uint32_t mag  = bits & 0x7fffffffu;
    if (mag > 0x7f800000u) return f16_t(sign | 0x7e00u | ((mag >> 13) & 0x1ffu));  // NaN, payload kept as F16C does
    if (mag >= 0x477ff000u) return f16_t(sign | 0x7c00u);                          // 65520 and more round to infinity
    if (mag < 0x33000001u) return f16_t(sign);                                     // 2^-25 and less round to zero
    if (mag < 0x38800000u) {                                                       // subnormal result
        const uint32_t shift = 126u - (mag >> 23);
        const uint32_t frac  = (mag & 0x7fffffu) | 0x800000u;
        uint32_t       half  = frac >> shift;
        const uint32_t rest  = frac & ((1u << shift) - 1u);
        const uint32_t mid   = 1u << (shift - 1u);
        if (rest > mid || (rest == mid && (half & 1u))) ++half;
        return f16_t(sign | half);
    }
    uint32_t       half = (mag - 0x38000000u) >> 13;
    const uint32_t rest = mag & 0x1fffu;
    if (rest > 0x1000u || (rest == 0x1000u && (half & 1u))) ++half;
    return f16_t(sign | half);
}

constexpr float f16_to_f32(f16_t value) {
    const uint32_t sign = uint32_t(value & 0x8000u) << 16;
    const uint32_t exp  = (value >> 10) & 0x1fu;
    uint32_t       frac = value & 0x3ffu;
    if (exp == 0x1fu) return std::bit_cast<float>(sign | 0x7f800000u | (frac << 13));
    if (exp != 0) return std::bit_cast<float>(sign | ((exp + 112u) << 23) | (frac << 13));
    if (frac == 0) return std::bit_cast<float>(sign);
    uint32_t e = 113u;
    while (!(frac & 0x400u)) {
        frac <<= 1;
        --e;
    }
    return std::bit_cast<float>(sign | (e << 23) | ((frac & 0x3ffu) << 13));
}

}  // namespace kvt
