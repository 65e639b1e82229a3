// Every kernel of every ISA of this machine against the scalar reference, on inputs with known traps. Used by `doctor`
// and by the plugin's kvt_self_test; the unit tests go further.
#pragma once

#include <string>
#include <vector>

namespace kvt {

// --- Interface ---

struct SelfTestLine {
    std::string kernel;  // "encode_token/avx2/int4.pt64/key"
    bool        ok = false;
    std::string detail;  // empty if ok
};

std::vector<SelfTestLine> run_self_test();

}  // namespace kvt
