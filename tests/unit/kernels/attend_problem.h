// One attention problem: packed heads, masks, open blocks and sinks, with the answer of attend() and that of a float64 softmax
// over what the cells read back as.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "kvt/base/aligned_buffer.h"
#include "kvt/kernels/attend.h"
#include "support/inputs.h"

namespace kvt::test {

// --- Interface ---

struct Problem {
    int   n_rows = 3, head_dim = 64, n_cells = 100;
    Mode  mode   = Mode::kivi;
    int   k_bits = 4, v_bits = 4, k_group = 0;  // k_group: tokens of a channel group, 0: the mode's
    float softcap = 0;
    bool  mask = true, slopes = false, bias = false;

    std::vector<int32_t> sinks;              // cells kept at 16 bits, -1: a free slot
    bool                 v_sinks    = true;  // of values too
    int                  open_block = -1;    // block that waits at 16 bits; of keys only if those of values are shorter
};

// Keys or values of one head, with what each cell reads back as.
struct Head {
    TileSpec             spec, open;
    AlignedBuffer        tiles, open_tiles;
    std::vector<int32_t> open_blocks, sink_cells;
    std::vector<f16_t>   sink_rows;
    std::vector<float>   decoded;  // [n_cells rounded up][head_dim]

    Head(const Format & f, Side side, int head_dim, int n_cells, uint64_t seed)
        : spec(make_tile_spec(f, side, head_dim)), open(make_tile_spec(f16_format(), side, head_dim)) {
        const int n_tokens = tile_tokens(f), n_blocks = (n_cells + n_tokens - 1) / n_tokens;
        tiles.reserve(static_cast<size_t>(n_blocks) * spec.bytes + 64);
        decoded.resize(static_cast<size_t>(n_blocks * n_tokens * head_dim));
        const auto rows = make_values(Shape::outlier_channel, n_blocks * n_tokens, head_dim, seed);
        for (int b = 0; b < n_blocks; ++b) {
            uint8_t *                tile = tiles.data() + static_cast<size_t>(b) * spec.bytes;
            const std::vector<float> block(rows.begin() + b * n_tokens * head_dim, rows.begin() + (b + 1) * n_tokens * head_dim);
            if (f.codec == Codec::f16) {
                for (int t = 0; t < n_tokens; ++t)
                    (void)encode_token(f, side, head_dim, t, &block[static_cast<size_t>(t * head_dim)], nullptr, tile);
            } else {
                (void)encode_tile(f, side, head_dim, make_f16_tile(block, side, head_dim).data(), kAllValid, nullptr, tile);
            }
            for (int t = 0; t < n_tokens; ++t) decode_token(f, side, head_dim, t, tile, row_of(b * n_tokens + t));
        }
    }

    float * row_of(int cell) { return &decoded[static_cast<size_t>(cell * spec.head_dim)]; }

    // Other values than the packed tile has: what is read shows where it came from.
    void open_at_16_bits(int block, uint64_t seed) {
        const int  n_tokens = spec.n_parts * kBlockTokens;
        const auto rows     = make_values(Shape::outlier_channel, n_tokens, spec.head_dim, seed);
        open_blocks         = {-1, block};
        open_tiles.reserve(open_stride() * open_blocks.size() + 64);
        for (int t = 0; t < n_tokens; ++t) {
            uint8_t * tile = open_tiles.data() + open_stride() + static_cast<size_t>(t / kBlockTokens) * open.bytes;
            (void)encode_token(open.format, open.side, spec.head_dim, t % kBlockTokens,
                               &rows[static_cast<size_t>(t * spec.head_dim)], nullptr, tile);
            decode_token(open.format, open.side, spec.head_dim, t % kBlockTokens, tile, row_of(block * n_tokens + t));
        }
    }
    void keep_sinks(const std::vector<int32_t> & cells, uint64_t seed) {
        const auto rows = make_values(Shape::outlier_channel, static_cast<int>(cells.size()), spec.head_dim, seed);
        sink_cells      = cells;
        for (const float x : rows) sink_rows.push_back(f32_to_f16(x));
        for (size_t s = 0; s < cells.size(); ++s) {
            for (int d = 0; d < spec.head_dim && cells[s] >= 0; ++d)
                row_of(cells[s])[d] = f16_to_f32(sink_rows[s * static_cast<size_t>(spec.head_dim) + static_cast<size_t>(d)]);
        }
    }

    size_t    open_stride() const { return open.bytes * static_cast<size_t>(spec.n_parts); }
    HeadTiles view() const {
        return {&spec,
                &open,
                tiles.data(),
                open_blocks.data(),
                open_tiles.data(),
                open_stride(),
                static_cast<int>(open_blocks.size()),
                sink_cells.data(),
                sink_rows.data(),
                static_cast<int>(sink_cells.size())};
    }
};

inline Format key_format(const Problem & p) {
    Format f = mode_format(p.mode, Side::key, p.k_bits, p.head_dim);
    if (p.k_group != 0) f.group = static_cast<uint16_t>(p.k_group);
    return f;
}

// State of attend() with its memory.
struct States {
    std::vector<float> memory;
    AttendState        state;

    States(int n_rows, int head_dim) : memory(static_cast<size_t>(n_rows * (padded_dim(head_dim) + 2))) {
        state = {memory.data(), memory.data() + n_rows, memory.data() + 2 * n_rows};
        attend_init(state, n_rows, head_dim);
    }
};

class AttendCase {
public:
    explicit AttendCase(const Problem & problem)
        : p(problem),
          k(key_format(p), Side::key, p.head_dim, p.n_cells, 1),
          v(mode_format(p.mode, Side::value, p.v_bits, p.head_dim), Side::value, p.head_dim, p.n_cells, 2) {
        if (p.open_block >= 0) {
            k.open_at_16_bits(p.open_block, 5);
            if (v.spec.n_parts == k.spec.n_parts) v.open_at_16_bits(p.open_block, 6);
        }
        k.keep_sinks(p.sinks, 7);
        if (p.v_sinks) v.keep_sinks({p.sinks.rbegin(), p.sinks.rend()}, 8);  // slots of keys and values need not agree
        const auto   values = make_values(Shape::normal, p.n_rows, p.head_dim, 3);
        const size_t stride = static_cast<size_t>(padded_dim(p.head_dim)), n = static_cast<size_t>(p.n_rows);
        const size_t n_units = static_cast<size_t>(p.n_cells + kBlockTokens - 1) / kBlockTokens;
        SplitMix64   rng(4);
        queries_.resize(n * stride, 0.0f);
        masks_.resize(n, std::vector<f16_t>(static_cast<size_t>(p.n_cells), 0));
        seen_.resize(n, std::vector<Visibility>(n_units));
        for (size_t r = 0; r < n; ++r) {
            std::copy_n(&values[r * static_cast<size_t>(p.head_dim)], p.head_dim, &queries_[r * stride]);
            for (int c = 0; c < p.n_cells; ++c) {
                f16_t &   m   = masks_[r][static_cast<size_t>(c)];
                const int row = static_cast<int>(r);
                if (p.slopes) m = f32_to_f16(-std::abs(static_cast<float>(c - 40)));
                if (c > p.n_cells - p.n_rows + row || (c >= 32 && c < 64 && row != 1) || rng.below(7) == 0) m = 0xfc00;
            }
            masks_[r][0] = 0;
            find_visibility(masks_[r].data(), p.n_cells, seen_[r].data());
            mask_rows_.push_back(masks_[r].data());
            seen_rows_.push_back(seen_[r].data());
            slopes_.push_back(p.slopes ? 0.01f * static_cast<float>(r + 1) : 1.0f);
            bias_.push_back(p.bias ? 6.0f * static_cast<float>(r) - 10.0f : 0.0f);
        }
    }

    // Shows or hides a cell from a row.
    void set_mask(int row, int cell, bool visible) {
        const auto r                         = static_cast<size_t>(row);
        masks_[r][static_cast<size_t>(cell)] = visible ? 0 : 0xfc00;
        find_visibility(masks_[r].data(), p.n_cells, seen_[r].data());
    }

    // [n_rows][head_dim]; split_at: the cells from there on are another state, merged afterwards.
    std::vector<float> output(Isa isa, int64_t split_at = 0) const {
        const KernelTable & kernels = *kernel_table(isa);
        const AttendRows    rows{p.n_rows,
                              queries_.data(),
                              p.mask ? mask_rows_.data() : nullptr,
                              p.mask ? seen_rows_.data() : nullptr,
                              p.slopes ? slopes_.data() : nullptr,
                              p.softcap,
                              p.bias ? bias_.data() : nullptr};
        AlignedBuffer       scratch(attend_scratch_bytes(k.spec, v.spec));
        const States        a(p.n_rows, p.head_dim), b(p.n_rows, p.head_dim);
        attend(kernels, k.view(), v.view(), rows, 0, split_at == 0 ? p.n_cells : split_at, a.state, scratch.data());
        if (split_at != 0) {
            attend(kernels, k.view(), v.view(), rows, split_at, p.n_cells, b.state, scratch.data());
            attend_merge(a.state, b.state, p.n_rows, p.head_dim);
        }
        attend_finish(a.state, p.n_rows, p.head_dim);
        std::vector<float> out;
        for (int r = 0; r < p.n_rows; ++r) {
            const float * row = a.state.o + r * padded_dim(p.head_dim);
            out.insert(out.end(), row, row + p.head_dim);
        }
        return out;
    }

    std::vector<double> exact() const {
        const auto          D = static_cast<size_t>(p.head_dim), stride = static_cast<size_t>(padded_dim(p.head_dim));
        std::vector<double> out;
        for (size_t r = 0; r < static_cast<size_t>(p.n_rows); ++r) {
            std::vector<double> logits, o(D, 0.0);
            double              top = -std::numeric_limits<double>::infinity(), sum = 0;
            for (size_t c = 0; c < static_cast<size_t>(p.n_cells); ++c) {
                double s = double{bias_[r]};
                for (size_t d = 0; d < D; ++d) s += double{queries_[r * stride + d]} * double{k.decoded[c * D + d]};
                if (p.softcap != 0) s = double{p.softcap} * std::tanh(s / double{p.softcap});
                const f16_t m = p.mask ? masks_[r][c] : f16_t{0};
                s = m == 0xfc00 ? -std::numeric_limits<double>::infinity() : s + double{slopes_[r]} * double{f16_to_f32(m)};
                logits.push_back(s);
                top = std::max(top, s);
            }
            for (size_t c = 0; c < logits.size(); ++c) {
                const double w = std::exp(logits[c] - top);
                sum += w;
                for (size_t d = 0; d < D && w != 0.0; ++d) o[d] += w * double{v.decoded[c * D + d]};
            }
            for (const double x : o) out.push_back(x / sum);
        }
        return out;
    }

    Problem p;
    Head    k, v;

private:
    std::vector<float>                   queries_, slopes_, bias_;
    std::vector<std::vector<f16_t>>      masks_;
    std::vector<std::vector<Visibility>> seen_;
    std::vector<const f16_t *>           mask_rows_;
    std::vector<const Visibility *>      seen_rows_;
};

// Largest distance of any element, relative to the largest size of an element of `v`. NaN counts as infinite.
template <class T>
double distance(const std::vector<float> & a, const std::vector<T> & b, const Head & v) {
    double largest = 0, worst = 0;
    for (const float x : v.decoded) largest = std::abs(double{x}) > largest ? std::abs(double{x}) : largest;
    for (size_t i = 0; i < a.size(); ++i) {
        const double d = std::abs(double{a[i]} - double{b[i]});
        worst          = d <= worst ? worst : d == d ? d : std::numeric_limits<double>::infinity();
    }
    return worst / largest;
}

// Logits reach about 200 here, so one f32 rounding of a logit moves a weight by 200 * 2^-24 = 1.2e-5, which may carry it over the
// border between two of its 4095 steps: 2.4e-4, for one or two tokens.
constexpr double kFloats = 5e-4;
// With integer queries an outlier key channel (range 20) multiplies a rounding of half a step: a logit moves by up to
// 20 * |q| / 254 with narrow queries (2 |q| / 8000 else), and weights by as much; measured 0.12 and 0.003.
constexpr double rounding(int k_bits) { return k_bits == 16 ? 1e-3 : k_bits <= kNarrowBits ? 0.3 : 0.01; }

inline std::string describe(const Problem & p) {
    return std::string(mode_name(p.mode)) + " K" + std::to_string(p.k_bits) + "V" + std::to_string(p.v_bits) + " group " +
           std::to_string(p.k_group) + " d" + std::to_string(p.head_dim) + " rows " + std::to_string(p.n_rows) + " cells " +
           std::to_string(p.n_cells);
}

}  // namespace kvt::test
