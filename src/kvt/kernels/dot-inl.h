// Sums of products of codes with integers of one ISA: what the loops of scores-inl.h and values-inl.h are made of.
//
// Integers of 13 bits, `wide`, are multiplied in two parts of 8 bits where one instruction sums four products in 32 bits. Plain
// AVX2 has none: it would take three instructions for each part. There codes are split into words of 16 bits instead, in
// registers, and multiplied with the whole integer at once: two instructions for 16 codes, no parts.
// Integers of 8 bits, `narrow`, meet codes of up to 4 bits: AVX2 sums kNarrowQuads quads of them in 16 bits before it widens.

namespace kvt {
namespace {

// Fetches the next portion, as far as the range that it begins in. Into L2: a line fetched into L1 occupies one of the few
// buffers for its misses until it comes from memory (docs/design/0004).
inline void fetch(Ahead & ahead) {
    const uint8_t * at = ahead.at;
    if (at >= ahead.end) {
        if (ahead.next == nullptr) return;
        at         = ahead.next;
        ahead.end  = ahead.next_end;
        ahead.next = nullptr;
    }
    for (int i = 0; i < ahead.lines; ++i) __builtin_prefetch(at + 64 * static_cast<ptrdiff_t>(i), 0, 2);
    ahead.at = at + 64 * static_cast<ptrdiff_t>(ahead.lines);
}

// Codes of Bits bits as a tile stores them: a row of words serves the quads of 8 / Bits rows of bytes. Bits = 8: bytes.
template <int Bits>
constexpr int kQuadsOfRow = 8 / Bits;

template <int Bits>
inline I codes_of(I words, int i) {
    if constexpr (Bits == 8) {
        return words;
    } else {
        return bit_and(i == 0 ? words : shift_right(words, i * Bits), ((1 << Bits) - 1) * 0x01010101);
    }
}

constexpr int kVecs16 = 16 / kLanes;  // of 16 integers, the unit in which rows of them are stored

// Rows of integers: `stride` of them in 2 * stride bytes. A quad's four are one operand, or two.
inline void store_narrow(int8_t * row, int at, const I (&i)[kVecs16]) { store_bytes_16(row + at, i); }

#if defined(KVT_DOT_WORDS)

constexpr int kNarrowQuads = 8;  // 8 * 2 * 15 * 127 < 2^15

struct WideCodes {
    I even, odd;  // the first and third code of each word as 16-bit words, the second and fourth
};
struct WideSum {
    I sum;
};

inline void store_wide(int8_t * row, int /*stride*/, int at, const I (&i)[kVecs16]) {
    store_even_odd_16(row + 2 * static_cast<ptrdiff_t>(at), i);
}

inline WideCodes wide_codes(I words) { return {bit_and(words, 0x00ff00ff), high_bytes(words)}; }

inline void add_wide(WideSum & sum, const WideCodes & codes, const int8_t * row, int /*stride*/, int quad) {
    const int8_t * at = row + 8 * static_cast<ptrdiff_t>(quad);
    sum.sum           = dot_words(dot_words(sum.sum, codes.even, at), codes.odd, at + 4);
}
inline I total(const WideSum & sum) { return sum.sum; }

inline I add_narrow(I sum, I words, const int8_t * row, int quad) { return dot_pairs(sum, words, row + 4 * quad); }
inline I widened(I pairs) { return sum_pairs(pairs); }

#else

constexpr int kNarrowQuads = 1 << 16;  // all of them

using WideCodes = I;
struct WideSum {
    I low, high;
};

// i = 64 * high + low with low in -32 .. 31.
inline void store_wide(int8_t * row, int stride, int at, const I (&i)[kVecs16]) {
    I low[kVecs16], high[kVecs16];
    KVT_UNROLL
    for (int v = 0; v < kVecs16; ++v) {
        high[v] = shift_right_signed(add_words(i[v], set1_words(32)), 6);
        low[v]  = sub_words(i[v], shift_left(high[v], 6));
    }
    store_bytes_16(row + stride + at, high);
    store_bytes_16(row + at, low);
}

inline WideCodes wide_codes(I words) { return words; }

inline void add_wide(WideSum & sum, WideCodes codes, const int8_t * row, int stride, int quad) {
    sum.low  = dot(sum.low, codes, row + 4 * quad);
    sum.high = dot(sum.high, codes, row + stride + 4 * quad);
}
inline I total(const WideSum & sum) { return add_words(sum.low, shift_left(sum.high, 6)); }

inline I add_narrow(I sum, I words, const int8_t * row, int quad) { return dot(sum, words, row + 4 * quad); }
inline I widened(I sum) { return sum; }

#endif

}  // namespace
}  // namespace kvt
