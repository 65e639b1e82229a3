// Reads one LaTeX or plain expression into postfix order; what it does not know for certain it refuses.
//
// Without recursion: LaTeX commands are rewritten into brackets and operators, then Dijkstra's shunting yard orders them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kvt::tasks {

// --- Interface ---

enum class OpCode : uint8_t { number, pi, variable, add, sub, mul, div, pow, pow_integer, neg, function };

enum class Function : uint8_t { sin, cos, tan, sec, csc, cot, ln, log10, exp, asin, acos, atan };

struct Op {
    OpCode      code = OpCode::number;
    std::string text{};        // number: its digits; variable: its name
    int         exponent = 0;  // pow_integer
    Function    function = Function::sin;
};

struct Expression {
    std::vector<Op> ops;                  // postfix
    bool            exact       = true;   // only rationals, variables, + - * / and integer powers: exact in modular arithmetic
    bool            decimal     = false;  // a number with a decimal point
    bool            variable    = false;
    bool            sum         = false;  // + or - between two operands
    bool            product     = false;  // a written multiplication sign
    bool            power       = false;  // ^ (a root is none), or a function
    bool            long_number = false;  // a number of more than 9 digits: too long for a double beside others
};

// Words (3 letters in a row), unknown commands, "|", "!", "=" and commas are refused, as is anything longer than 2000 bytes.
std::optional<Expression> parse_expression(std::string_view latex);

}  // namespace kvt::tasks
