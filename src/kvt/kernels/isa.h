// Which instruction sets this machine can run, and which one the kernels use. Detected once; never tested inside a loop.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "kvt/base/result.h"

namespace kvt {

// --- Interface ---

// Clusters of features that occur together: avx2 = AVX2 + FMA + F16C + BMI2; avxvnni = avx2 + AVX-VNNI (256-bit u8 x s8 dots);
// avx512 = avx2 + F + BW + DQ + VL + VNNI. neon = what every 64-bit ARM has; neoni8 = neon + I8MM (u8 x s8 dots).
enum class Isa : uint8_t { scalar, avx2, avxvnni, avx512, neon, neoni8 };

std::string_view isa_name(Isa isa);

// ISAs that both this build and this machine (CPU and operating system) support, slowest first; never empty.
const std::vector<Isa> & available_isas();

// The last of available_isas(), or the one that `forced` (the value of KVT_FORCE_ISA, may be null or empty) names.
// Errors: unknown name, or an ISA this machine lacks; the message lists what can be had.
Result<Isa> choose_isa(const char * forced);

}  // namespace kvt
