// What llama.cpp and ggml have to say, kept instead of printed, so that a failure can be explained.
#pragma once

#include <string>

namespace kvt {

// --- Interface ---

// Starts llama.cpp once per process and redirects its log. Cheap when called again.
void start_llama();

// Forgets what was collected; call before a step whose failure is to be explained.
void clear_host_log();

// The last errors, or failing those the last warnings, joined by "; "; empty if there were none.
std::string host_complaints();

// While one of these lives, a failed assertion inside ggml on this thread becomes a std::runtime_error instead of the end of
// the process. llama.cpp asserts on some headers that are well formed but absurd. Used while a model is loaded and a context
// is made, where the calling thread works alone.
class AssertionsThrow {
public:
    AssertionsThrow();
    ~AssertionsThrow();
    AssertionsThrow(const AssertionsThrow &)             = delete;
    AssertionsThrow & operator=(const AssertionsThrow &) = delete;
};

}  // namespace kvt
