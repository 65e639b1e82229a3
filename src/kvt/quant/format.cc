#include "kvt/quant/format.h"

#include <charconv>
#include <optional>

#include <fmt/format.h>

#include "kvt/quant/tile.h"

namespace kvt {

namespace {

constexpr int kMaxHeadDim = 1024;

// Reads a number at the front of `text` and removes it.
std::optional<int> take_int(std::string_view & text) {
    int value               = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{}) return std::nullopt;
    text.remove_prefix(static_cast<size_t>(end - text.data()));
    return value;
}

bool take_prefix(std::string_view & text, std::string_view prefix) {
    if (!text.starts_with(prefix)) return false;
    text.remove_prefix(prefix.size());
    return true;
}

}  // namespace

Status check_format(const Format & f, Side side, int head_dim) {
    if (head_dim < 1 || head_dim > kMaxHeadDim) {
        return Error{fmt::format("head_dim {} is outside of 1..{}", head_dim, kMaxHeadDim)};
    }
    if (f.codec == Codec::f16) {
        if (f == f16_format()) return ok_status();
        return Error{"an f16 format has no axis, group or sealed blocks"};
    }
    if (!is_code_width(f.bits)) return Error{fmt::format("{} bits: this build stores 2, 3, 4, 5, 6, 8 (and f16)", f.bits)};
    if (f.axis == Axis::per_channel) {
        if (side == Side::value) return Error{"values are quantized per token, not per channel"};
        if (f.group != 32 && f.group != 64 && f.group != 128)
            return Error{fmt::format("per-channel group {}: must be 32, 64 or 128 tokens", f.group)};
        if (f.store != Store::sealed_block) return Error{"a per-channel format needs sealed blocks"};
        if (f.params != Params::f16) return Error{"a per-channel format needs f16 parameters"};
        return ok_status();
    }
    if (f.group < 1 || f.group > head_dim) {
        return Error{fmt::format("group {} is outside of 1..{} (head_dim)", f.group, head_dim)};
    }
    if (f.group % 16 != 0 && f.group != head_dim) {
        return Error{fmt::format("group {}: must be head_dim ({}) or a multiple of 16 channels", f.group, head_dim)};
    }
    return ok_status();
}

std::string format_name(const Format & f) {
    if (f.codec == Codec::f16) return "f16";
    return fmt::format("int{}.{}{}{}{}", f.bits, f.axis == Axis::per_channel ? "pc" : "pt", f.group,
                       f.params == Params::byte ? ".byte" : "", f.store == Store::sealed_block ? ".sealed" : "");
}

Result<Format> parse_format_name(std::string_view name) {
    const Error bad{fmt::format(
        "format \"{}\" is unknown (examples: f16, int4.pt64, int4.pt64.byte, int4.pt32.sealed, int4.pc32.sealed)", name)};
    if (name == "f16") return f16_format();
    Format           f{Codec::int_asym, 0, Axis::per_token, Store::on_write, 0, Params::f16};
    std::string_view rest = name;
    if (!take_prefix(rest, "int")) return bad;
    const auto bits = take_int(rest);
    if (!bits || !is_code_width(*bits)) return bad;
    f.bits = static_cast<uint8_t>(*bits);
    if (take_prefix(rest, ".pc")) {
        f.axis = Axis::per_channel;
    } else if (!take_prefix(rest, ".pt")) {
        return bad;
    }
    const auto group = take_int(rest);
    if (!group || *group < 1 || *group > kMaxHeadDim) return bad;
    f.group = static_cast<uint16_t>(*group);
    if (take_prefix(rest, ".byte")) f.params = Params::byte;
    if (take_prefix(rest, ".sealed")) f.store = Store::sealed_block;
    if (!rest.empty() || format_name(f) != name) return bad;
    return f;
}

std::string_view mode_name(Mode mode) {
    switch (mode) {
        case Mode::per_token_asym:
            return "per-token-asym";
        case Mode::kivi:
            return "kivi";
        case Mode::rotated:
            return "rotated";
        case Mode::custom:
            break;
    }
    return "custom";
}

Result<Mode> parse_mode(std::string_view text) {
    if (text == "per-token-asym" || text == "per-token") return Mode::per_token_asym;
    if (text == "kivi") return Mode::kivi;
    if (text == "rotated") return Mode::rotated;
    if (text == "custom") return Mode::custom;
    return Error{fmt::format("mode \"{}\" is unknown: kivi, per-token or rotated", text)};
}

}  // namespace kvt
