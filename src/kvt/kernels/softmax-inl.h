// The online softmax of one ISA over 32 scores.

namespace kvt {
namespace {

// e^x for x <= 0, relative error below 2^-22; 0 below -87 (f32 would go subnormal at -87.3) and for -inf; NaN stays NaN.
// x = n ln 2 + r with |r| <= ln2 / 2; the degree-6 Taylor remainder at ln2 / 2 is 1.2e-7.
inline F exp_nonpositive(F x) {
    const F limit = set1(-87.0f);
    const F n     = round(mul(x, set1(1.44269504f)));
    F       r     = fma(n, set1(-0.693359375f), x);
    r             = fma(n, set1(2.12194440e-4f), r);
    F p           = set1(1.0f / 720.0f);
    p             = fma(p, r, set1(1.0f / 120.0f));
    p             = fma(p, r, set1(1.0f / 24.0f));
    p             = fma(p, r, set1(1.0f / 6.0f));
    p             = fma(p, r, set1(0.5f));
    p             = fma(p, r, set1(1.0f));
    p             = fma(p, r, set1(1.0f));
    return select_gt(limit, x, zero(), scale_by_power(p, n));
}

// A row that has seen no cell yet, nor does in this tile: weights 0, but a NaN score stays visible.
inline void clear_unseen(float * scores) {
    const F floor = set1(-kInfinity);
    for (int t = 0; t < 32; t += kLanes) {
        const F s = load(scores + t);
        store(scores + t, select_eq(s, floor, zero(), s));
    }
}

// R rows side by side: one row alone waits for its own maximum and sum most of the time.
template <int R>
inline void softmax_rows(float * scores, float * m, float * l, float * factor) {
    static_assert(R <= kLanes);
    constexpr int kVecs = 32 / kLanes;
    float         top[R], rise[kLanes] = {};  // old maximum minus the new one, 0 where it stays; all rows in one vector
    bool          moved = false;
    KVT_UNROLL
    for (int r = 0; r < R; ++r) {
        F most = load(scores + r * 32);
        KVT_UNROLL
        for (int v = 1; v < kVecs; ++v) most = max(load(scores + r * 32 + v * kLanes), most);
        const float tile_max = reduce_max(most);
        top[r]               = tile_max > m[r] ? tile_max : m[r];
        rise[r]              = m[r] == top[r] ? 0.0f : m[r] - top[r];
        moved                = moved || rise[r] != 0.0f;
        factor[r]            = 1.0f;
    }
    if (moved) {
        store(rise, exp_nonpositive(load(rise)));
        KVT_UNROLL
        for (int r = 0; r < R; ++r) factor[r] = rise[r];
    }
    KVT_UNROLL
    for (int r = 0; r < R; ++r) {
        if (top[r] == -kInfinity) {
            clear_unseen(scores + r * 32);
            continue;
        }
        F sum = zero();
        KVT_UNROLL
        for (int v = 0; v < kVecs; ++v) {
            float * const at = scores + r * 32 + v * kLanes;
            const F       e  = exp_nonpositive(sub(load(at), set1(top[r])));
            store(at, e);
            sum = add(sum, e);
        }
        m[r] = top[r];
        l[r] = l[r] * factor[r] + reduce_add(sum);
    }
}

void softmax_step_simd(int n_rows, float * scores, float * m, float * l, float * factor) {
    int r = 0;
    for (; r + 4 <= n_rows; r += 4) softmax_rows<4>(scores + r * 32, m + r, l + r, factor + r);
    for (; r < n_rows; ++r) softmax_rows<1>(scores + r * 32, m + r, l + r, factor + r);
}

void add_mask_simd(const uint16_t * mask, float slope, float * scores) {
    const F floor = set1(-kInfinity);
    for (int t = 0; t < 32; t += kLanes) {
        const F m = load_f16(mask + t);
        store(scores + t, select_eq(m, floor, floor, fma(m, set1(slope), load(scores + t))));
    }
}

}  // namespace
}  // namespace kvt
