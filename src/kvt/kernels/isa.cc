#include "kvt/kernels/isa.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace kvt {

namespace {

#if defined(__x86_64__)
// clang 14 does not know this name in __builtin_cpu_supports; the registers it needs are AVX's.
bool has_f16c() {
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_F16C) != 0;
}

// Nor this one: CPUID leaf 7, subleaf 1, EAX bit 4.
bool has_avxvnni() {
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    return __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) != 0 && (eax & (1u << 4)) != 0;
}
#endif

std::vector<Isa> detect() {
    std::vector<Isa> found{Isa::scalar};
#if defined(__x86_64__)
    // The builtin also asks the operating system (XGETBV) whether it saves the wide registers.
    const bool avx2 =
        __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c() && __builtin_cpu_supports("bmi2");
    const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                        __builtin_cpu_supports("avx512vnni");
    if (avx2) found.push_back(Isa::avx2);
    if (avx2 && has_avxvnni()) found.push_back(Isa::avxvnni);
    if (avx512) found.push_back(Isa::avx512);
#elif defined(__aarch64__)
    found.push_back(Isa::neon);
    if ((getauxval(AT_HWCAP2) & HWCAP2_I8MM) != 0) found.push_back(Isa::neoni8);
#endif
    return found;
}

}  // namespace

std::string_view isa_name(Isa isa) {
    switch (isa) {
        case Isa::scalar:
            return "scalar";
        case Isa::avx2:
            return "avx2";
        case Isa::avxvnni:
            return "avxvnni";
        case Isa::avx512:
            return "avx512";
        case Isa::neon:
            return "neon";
        case Isa::neoni8:
            break;
    }
    return "neoni8";
}

const std::vector<Isa> & available_isas() {
    static const std::vector<Isa> isas = detect();
    return isas;
}

Result<Isa> choose_isa(const char * forced) {
    const std::vector<Isa> & isas = available_isas();
    if (forced == nullptr || *forced == '\0') return isas.back();
    std::vector<std::string_view> names;
    for (const Isa isa : isas) {
        if (isa_name(isa) == forced) return isa;
        names.push_back(isa_name(isa));
    }
    return Error{
        fmt::format("KVT_FORCE_ISA={}: not available here; choose one of {}, or unset it", forced, fmt::join(names, ", "))};
}

}  // namespace kvt
