// How many physical cores this process may use.
#pragma once

namespace kvt {

// --- Interface ---

// Cores in the affinity mask, hardware threads of one core counted once; at least 1. Attention and matrix products are
// bound by memory or by the vector units, which hardware threads share.
int usable_cores();

}  // namespace kvt
