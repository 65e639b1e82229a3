// A format: how one side (keys or values) of one layer is stored. The unit of choice of the whole project.
//
//   f16          16-bit floats, no scales.
//   int_asym     x' = q * s + z, q in 0 .. 2^bits - 1, with one s and z per group.
//   f16 parameters   s and z as f16 (paper quantizer, KVTuner ICML 2025 eq. 2; method.md 3.1).
//   byte parameters  s and z as one byte each: s a float of 5 exponent and 3 mantissa bits, z a multiple of -s 2^bits / 256.
//                    Half of the overhead; meant for rows that were centered and rotated (transform.h), whose range holds 0.
//   per_token    a group is `group` consecutive channels of one token and KV head (a short last group is legal).
//   per_channel  a group is one channel over the `group` (32, 64 or 128) tokens of a block.
//   on_write     a token is quantized when it is written.
//   sealed_block the tokens of a block wait at 16 bits and are quantized once, when the block is full
//                (the residual window of KIVI, method.md 3.4).
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "kvt/base/result.h"

namespace kvt {

// --- Interface ---

enum class Side : uint8_t { key, value };
enum class Codec : uint8_t { f16, int_asym };
enum class Axis : uint8_t { per_token, per_channel };
enum class Store : uint8_t { on_write, sealed_block };
enum class Params : uint8_t { f16, byte };

// "per-token-asym" and "kivi" of the paper; "rotated": per-token groups of centered and rotated rows with byte parameters;
// "custom" is anything else, also per-layer f16.
enum class Mode : uint8_t { per_token_asym, kivi, rotated, custom };

struct Format {
    Codec    codec  = Codec::f16;
    uint8_t  bits   = 16;  // 2, 3, 4, 5, 6, 8; 16 for f16
    Axis     axis   = Axis::per_token;
    Store    store  = Store::on_write;
    uint16_t group  = 0;  // elements sharing one scale and offset; 0 for f16
    Params   params = Params::f16;

    bool operator==(const Format &) const = default;
};

constexpr Format f16_format() { return Format{}; }

// Bits of a code, ascending: the one list that formats, calibration and search go by.
inline constexpr std::array<int, 6> kCodeWidths{2, 3, 4, 5, 6, 8};

constexpr bool is_code_width(int bits) { return std::find(kCodeWidths.begin(), kCodeWidths.end(), bits) != kCodeWidths.end(); }

// The format that `mode` prescribes for one side; bits 16 gives f16.
//   per-token-asym: per_token, group = head_dim, on_write
//   kivi:           keys per_channel group 32; values per_token group 32; both sealed_block
//   rotated:        per_token, group = head_dim up to 128, on_write, byte parameters
constexpr Format mode_format(Mode mode, Side side, int bits, int head_dim);

// Every format this build stores and computes on, for one side; the tuner and the plugin read this list.
// Errors: what is wrong with `format` on this side and head_dim, in words.
Status check_format(const Format & format, Side side, int head_dim);

// Stable text name, also the key used in plan files: "f16", "int4.pt64" (per_token, group 64),
// "int4.pt32.sealed", "int4.pc32.sealed" (per_channel, 32 tokens), "int4.pt64.byte" (byte parameters).
std::string    format_name(const Format & format);
Result<Format> parse_format_name(std::string_view name);

std::string_view mode_name(Mode mode);          // "per-token-asym", "kivi", "rotated", "custom"
Result<Mode>     parse_mode(std::string_view);  // also accepts "per-token"

// --- Implementation ---

constexpr Format mode_format(Mode mode, Side side, int bits, int head_dim) {
    if (bits == 16) return f16_format();
    if (mode == Mode::kivi) {
        const Axis axis = side == Side::key ? Axis::per_channel : Axis::per_token;
        return Format{Codec::int_asym, uint8_t(bits), axis, Store::sealed_block, 32};
    }
    if (mode == Mode::rotated) {
        const int group = head_dim > 128 && head_dim % 128 == 0 ? 128 : head_dim;
        return Format{Codec::int_asym, uint8_t(bits), Axis::per_token, Store::on_write, uint16_t(group), Params::byte};
    }
    return Format{Codec::int_asym, uint8_t(bits), Axis::per_token, Store::on_write, uint16_t(head_dim)};
}

}  // namespace kvt
