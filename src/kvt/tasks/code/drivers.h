// The Python programs that run inside the sandbox around a solution, from python/, built into the program.
#pragma once

#include <string_view>

namespace kvt::drivers {

// --- Interface ---

std::string_view prefix();      // imports that upstream LiveCodeBench puts before every solution
std::string_view stdin_run();   // solution.py reads standard input and writes standard output
std::string_view functional();  // calls a function of solution.py; prints the canonical text of its result
std::string_view expected();    // canonical texts of expected results
std::string_view humaneval();   // solution.py with its checks; exits with 42 if they pass

}  // namespace kvt::drivers
