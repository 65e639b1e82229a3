#include "kvt/tasks/math/expression.h"

#include <charconv>

#include "kvt/tasks/math/tokens.h"

namespace kvt::tasks {

namespace {

using Kind = Token::Kind;

constexpr size_t kExactDigits = 9;  // a double holds 15; sums and products of a few such numbers stay apart at 1e-9
constexpr int    kMaxExponent = 1000;

int precedence(std::string_view op) {
    if (op == "+" || op == "-") return 1;
    if (op == "*" || op == "/") return 2;
    if (op == "neg") return 3;
    if (op == "^" || op == "r") return 4;
    return op == "m" ? 5 : 6;  // a function binds tightest: its bracket follows it
}

class Yard {
public:
    std::optional<Expression> run(const std::vector<Token> & tokens) {
        for (const Token & token : tokens) {
            if (!take(token)) return std::nullopt;
        }
        if (!operand_) return std::nullopt;
        while (!stack_.empty()) pop();
        return broken_ ? std::nullopt : std::optional(std::move(out_));
    }

private:
    bool take(const Token & token) {
        if (token.kind == Kind::op) return take_operator(token);
        if (token.kind == Kind::close) {
            if (!operand_) return false;
            while (stack_.back().kind != Kind::open) pop();
            stack_.pop_back();
            if (!stack_.empty() && stack_.back().kind == Kind::function) pop();
            return true;
        }
        if (token.kind == Kind::command) return false;
        if (operand_) {  // a product without a sign; "1 000" and "x2" are none
            if (token.kind == Kind::number && (last_ == Kind::number || last_ == Kind::variable)) return false;
            push({Kind::op, "*"});
        }
        last_    = token.kind;
        operand_ = token.kind == Kind::number || token.kind == Kind::variable || token.kind == Kind::pi;
        if (!operand_) {
            stack_.push_back(token);
            return true;
        }
        put_operand(token);
        return true;
    }

    bool take_operator(const Token & token) {
        last_ = Kind::op;
        if (!operand_) {
            if (token.text == "-") stack_.push_back({Kind::op, "neg"});
            return token.text == "-" || token.text == "+";
        }
        if (token.text == "+" || token.text == "-") out_.sum = true;
        if (token.text == "*") out_.product = true;
        if (token.text == "^") out_.power = true;
        push(token);
        operand_ = false;
        return true;
    }

    void push(const Token & op) {
        const bool right = op.text == "^" || op.text == "r";
        while (!stack_.empty() && stack_.back().kind != Kind::open) {
            const int top = precedence(stack_.back().text), own = precedence(op.text);
            if (top < own || (top == own && right)) break;
            pop();
        }
        stack_.push_back(op);
    }

    void put_operand(const Token & token) {
        Op op;
        op.code = token.kind == Kind::number ? OpCode::number : token.kind == Kind::pi ? OpCode::pi : OpCode::variable;
        op.text = token.text;
        if (token.kind == Kind::number) {
            const bool decimal = token.text.find('.') != std::string::npos;
            out_.decimal |= decimal;
            out_.long_number |= token.text.size() - (decimal ? 1 : 0) > kExactDigits;
        }
        out_.variable |= token.kind == Kind::variable;
        out_.exact &= token.kind != Kind::pi;
        out_.ops.push_back(std::move(op));
    }

    void pop() {
        const Token top = stack_.back();
        stack_.pop_back();
        if (top.kind == Kind::open) {
            broken_ = true;
            return;
        }
        Op op;
        if (top.kind == Kind::function) {
            op.code     = OpCode::function;
            op.function = top.function;
            out_.power  = true;
            out_.exact  = false;
        } else if (top.text == "^" || top.text == "r") {
            if (fold_integer_exponent()) return;
            op.code    = OpCode::pow;
            out_.exact = false;
        } else {
            op.code = top.text == "neg"                    ? OpCode::neg
                      : top.text == "+" || top.text == "m" ? OpCode::add
                      : top.text == "-"                    ? OpCode::sub
                      : top.text == "*"                    ? OpCode::mul
                                                           : OpCode::div;
        }
        out_.ops.push_back(std::move(op));
    }

    // "3" or "3 neg" at the end becomes part of the power.
    bool fold_integer_exponent() {
        auto &       ops      = out_.ops;
        const bool   negative = ops.back().code == OpCode::neg && ops.size() >= 2;
        const size_t place    = ops.size() - (negative ? 2 : 1);
        if (ops[place].code != OpCode::number) return false;
        const std::string & text  = ops[place].text;
        int                 value = 0;
        const auto [end, error]   = std::from_chars(text.data(), text.data() + text.size(), value);
        if (error != std::errc{} || end != text.data() + text.size() || value > kMaxExponent) return false;
        ops.resize(place);
        Op op;
        op.code     = OpCode::pow_integer;
        op.exponent = negative ? -value : value;
        ops.push_back(std::move(op));
        return true;
    }

    Expression         out_;
    std::vector<Token> stack_;
    bool               operand_ = false;  // whether the last token ended an operand
    bool               broken_  = false;
    Kind               last_    = Kind::op;
};

}  // namespace

std::optional<Expression> parse_expression(std::string_view latex) {
    const auto tokens = infix_tokens(latex);
    if (!tokens) return std::nullopt;
    return Yard().run(*tokens);
}

}  // namespace kvt::tasks
