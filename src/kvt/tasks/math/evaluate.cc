#include "kvt/tasks/math/evaluate.h"

#include <cmath>
#include <complex>
#include <cstdlib>
#include <numbers>
#include <optional>

#include "kvt/base/rng.h"
#include "kvt/tasks/text.h"

namespace kvt::tasks {

namespace {

using Complex = std::complex<double>;

constexpr uint64_t kPrimes[] = {(uint64_t{1} << 61) - 1, 1000000000000000009u};
constexpr int      kPoints   = 6;

uint64_t times(uint64_t a, uint64_t b, uint64_t p) {
    __extension__ typedef unsigned __int128 Wide;
    return static_cast<uint64_t>(static_cast<Wide>(a) * b % p);
}

uint64_t raised(uint64_t base, uint64_t exponent, uint64_t p) {
    uint64_t result = 1;
    for (; exponent > 0; exponent >>= 1, base = times(base, base, p)) {
        if (exponent & 1) result = times(result, base, p);
    }
    return result;
}

// The value of a variable at a point: a function of both, so that both sides see the same.
uint64_t draw(const std::string & name, int point) {
    return splitmix64_finaliser(fnv1a64(name) + 0x9e3779b97f4a7c15u * static_cast<uint64_t>(point + 1));
}

struct Modular {
    using Value = uint64_t;
    uint64_t p;
    int      point;

    std::optional<Value> operand(const Op & op) const {
        if (op.code == OpCode::variable) return draw(op.text, point) % p;
        Value value = 0, scale = 1;
        bool  behind_point = false;
        for (const char c : op.text) {
            if (c == '.') {
                behind_point = true;
                continue;
            }
            value = (times(value, 10, p) + static_cast<uint64_t>(c - '0')) % p;
            if (behind_point) scale = times(scale, 10, p);
        }
        return times(value, raised(scale, p - 2, p), p);
    }
    std::optional<Value> unary(const Op & op, Value x) const {
        if (op.code == OpCode::neg) return (p - x) % p;
        if (op.code != OpCode::pow_integer) return std::nullopt;
        if (op.exponent >= 0) return raised(x, static_cast<uint64_t>(op.exponent), p);
        if (x == 0) return std::nullopt;
        return raised(raised(x, p - 2, p), static_cast<uint64_t>(-op.exponent), p);
    }
    std::optional<Value> binary(const Op & op, Value x, Value y) const {
        if (op.code == OpCode::add) return (x + y) % p;
        if (op.code == OpCode::sub) return (x + p - y) % p;
        if (op.code == OpCode::mul) return times(x, y, p);
        if (op.code != OpCode::div || y == 0) return std::nullopt;
        return times(x, raised(y, p - 2, p), p);
    }
};

Complex applied(Function function, Complex x) {
    switch (function) {
        case Function::sin:
            return std::sin(x);
        case Function::cos:
            return std::cos(x);
        case Function::tan:
            return std::tan(x);
        case Function::sec:
            return 1.0 / std::cos(x);
        case Function::csc:
            return 1.0 / std::sin(x);
        case Function::cot:
            return 1.0 / std::tan(x);
        case Function::ln:
            return std::log(x);
        case Function::log10:
            return std::log10(x);
        case Function::exp:
            return std::exp(x);
        case Function::asin:
            return std::asin(x);
        case Function::acos:
            return std::acos(x);
        case Function::atan:
            return std::atan(x);
    }
    return x;
}

struct Floating {
    using Value = Complex;
    int point;

    std::optional<Value> operand(const Op & op) const {
        if (op.code == OpCode::pi) return Complex(std::numbers::pi);
        if (op.code == OpCode::number) return Complex(std::strtod(op.text.c_str(), nullptr));
        SplitMix64   rng(draw(op.text, point));
        const double re = 4 * rng.uniform() - 2, im = 4 * rng.uniform() - 2;
        return Complex(re, im);
    }
    std::optional<Value> unary(const Op & op, Value x) const {
        if (op.code == OpCode::neg) return Complex(0.0 - x.real(), 0.0 - x.imag());  // no -0: it flips branches of roots
        if (op.code == OpCode::pow_integer) return std::pow(x, op.exponent);
        return applied(op.function, x);
    }
    std::optional<Value> binary(const Op & op, Value x, Value y) const {
        if (op.code == OpCode::add) return x + y;
        if (op.code == OpCode::sub) return x - y;
        if (op.code == OpCode::mul) return x * y;
        return op.code == OpCode::div ? x / y : std::pow(x, y);
    }
};

template <class Field>
std::optional<typename Field::Value> value_of(const Expression & e, const Field & field) {
    std::vector<typename Field::Value> stack;
    for (const Op & op : e.ops) {
        std::optional<typename Field::Value> value;
        if (op.code == OpCode::number || op.code == OpCode::pi || op.code == OpCode::variable) {
            value = field.operand(op);
        } else if (op.code == OpCode::neg || op.code == OpCode::pow_integer || op.code == OpCode::function) {
            if (stack.empty()) return std::nullopt;
            value = field.unary(op, stack.back());
            stack.pop_back();
        } else {
            if (stack.size() < 2) return std::nullopt;
            value = field.binary(op, stack[stack.size() - 2], stack.back());
            stack.resize(stack.size() - 2);
        }
        if (!value) return std::nullopt;
        stack.push_back(*value);
    }
    if (stack.size() != 1) return std::nullopt;
    return stack[0];
}

bool equal_modulo_primes(const Expression & a, const Expression & b) {
    for (const uint64_t p : kPrimes) {
        for (int point = 0; point < 3; ++point) {
            const auto x = value_of(a, Modular{p, point}), y = value_of(b, Modular{p, point});
            if (!x || !y || *x != *y) return false;
        }
    }
    return true;
}

bool is_whole(Complex x) { return x.imag() == 0 && std::abs(x.real()) < 1e15 && x.real() == std::round(x.real()); }

bool close(Complex x, Complex y, double tolerance) {
    if (!std::isfinite(x.real()) || !std::isfinite(x.imag()) || !std::isfinite(y.real()) || !std::isfinite(y.imag()))
        return false;
    return std::abs(x - y) <= tolerance * std::max(std::abs(x), std::abs(y));
}

}  // namespace

bool expressions_equal(const Expression & a, const Expression & b) {
    const bool constants = !a.variable && !b.variable;
    if (a.exact && b.exact) {
        if (equal_modulo_primes(a, b)) return true;
        if (!constants || !(a.decimal || b.decimal)) return false;
    }
    if (!constants && (a.long_number || b.long_number)) return false;
    if (constants && !(a.decimal || b.decimal) && (a.long_number || b.long_number)) return false;
    const double tolerance = constants && (a.decimal || b.decimal) ? 1e-6 : 1e-9;
    for (int point = 0; point < (constants ? 1 : kPoints); ++point) {
        const auto x = value_of(a, Floating{point}), y = value_of(b, Floating{point});
        if (!x || !y || !close(*x, *y, tolerance)) return false;
        if (constants && is_whole(*x) && is_whole(*y)) return *x == *y;
    }
    return true;
}

int proportion_sign(const Expression & a, const Expression & b) {
    if (!a.exact || !b.exact || !a.variable || !b.variable) return 0;
    for (const uint64_t p : kPrimes) {
        const auto a0 = value_of(a, Modular{p, 0}), b0 = value_of(b, Modular{p, 0});
        if (!a0 || !b0 || *a0 == 0 || *b0 == 0) return 0;
        bool varies = false;
        for (int point = 1; point < 4; ++point) {
            const auto x = value_of(a, Modular{p, point}), y = value_of(b, Modular{p, point});
            if (!x || !y || times(*a0, *y, p) != times(*x, *b0, p)) return 0;
            varies |= *x != *a0;
        }
        if (!varies) return 0;
    }
    const auto x = value_of(a, Floating{0}), y = value_of(b, Floating{0});
    if (!x || !y) return 0;
    const double ratio = (*x / *y).real();
    return ratio > 0 ? 1 : ratio < 0 ? -1 : 0;
}

}  // namespace kvt::tasks
