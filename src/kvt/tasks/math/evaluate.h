// Decides whether two expressions are the same function, by exact modular arithmetic where that is possible, else in complex
// doubles.
#pragma once

#include "kvt/tasks/math/expression.h"

namespace kvt::tasks {

// --- Interface ---

// Rationals and polynomials: values modulo two primes of 60 bits at random points (Schwartz-Zippel). Constants of which one has a
// decimal point: relative tolerance 1e-6, integers exactly. Roots, pi, functions: 1e-9 at 6 complex points.
bool expressions_equal(const Expression & a, const Expression & b);

// Sign of the constant c with a = c * b for all values of the variables: 1, -1, or 0 if there is none. Exact expressions only.
int proportion_sign(const Expression & a, const Expression & b);

}  // namespace kvt::tasks
