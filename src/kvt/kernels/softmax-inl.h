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

float softmax_step_simd(float * scores, float * m, float * l) {
    constexpr int kVecs = 32 / kLanes;
    F             top   = load(scores);
    for (int v = 1; v < kVecs; ++v) top = max(load(scores + v * kLanes), top);
    const float tile_max = reduce_max(top);
    const float new_max  = tile_max > *m ? tile_max : *m;
    const F     floor    = set1(-kInfinity);
    if (new_max == -kInfinity) {
        for (int v = 0; v < kVecs; ++v)
            store(scores + v * kLanes, select_eq(load(scores + v * kLanes), floor, zero(), load(scores + v * kLanes)));
        return 1.0f;
    }
    const float factor = *m == new_max ? 1.0f : reduce_max(exp_nonpositive(set1(*m - new_max)));
    F           sum    = zero();
    for (int v = 0; v < kVecs; ++v) {
        const F e = exp_nonpositive(sub(load(scores + v * kLanes), set1(new_max)));
        store(scores + v * kLanes, e);
        sum = add(sum, e);
    }
    *m = new_max;
    *l = *l * factor + reduce_add(sum);
    return factor;
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
