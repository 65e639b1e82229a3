// LaTeX or plain mathematics cut into tokens, with fractions, roots, powers and functions rewritten into brackets and operators.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kvt/tasks/math/expression.h"

namespace kvt::tasks {

// --- Interface ---

struct Token {
    enum class Kind : uint8_t { number, pi, variable, function, op, open, close, command };
    Kind        kind = Kind::op;
    std::string text{};            // op: + - * / ^, m: plus in a mixed number, r: ^ of a root
    bool        glued    = false;  // number: directly behind the character before
    Function    function = Function::sin;
};

// Numbers come out whole; brackets are "(" and ")" and match. Nothing: refused.
std::optional<std::vector<Token>> infix_tokens(std::string_view latex);

}  // namespace kvt::tasks
