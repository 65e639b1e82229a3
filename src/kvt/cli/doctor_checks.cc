#include "kvt/cli/doctor_checks.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <sstream>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <kvt_build_info.h>

#include "kvt/base/file_io.h"
#include "kvt/cli/machine.h"
#include "kvt/engine/llama/llama_library.h"
#include "kvt/engine/llama/plugin.h"
#include "kvt/plan/calibration.h"
#include "kvt/plan/plan.h"
#include "kvt/plan/plan_set.h"
#include "kvt/plugin_api/llama_versions.h"

namespace kvt::cli {

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr uint64_t kWantedMemory    = uint64_t(2) << 30;  // tuning a 135M model needs 0.6 GiB, a 0.5B one 1.3 GiB
constexpr size_t   kBandwidthBytes  = size_t(256) << 20;
constexpr int      kBandwidthPasses = 5;

Check fine(std::string name, std::string found) { return {std::move(name), Check::State::ok, std::move(found), {}}; }

Check problem(std::string name, std::string found, std::string advice) {
    return {std::move(name), Check::State::problem, std::move(found), std::move(advice)};
}

std::string variable(const char * name) {
    const char * value = std::getenv(name);
    return value == nullptr ? "" : value;
}

std::vector<std::string> isas_of(const std::string & describe) {
    std::vector<std::string> names;
    const json               about = json::parse(describe, nullptr, false);
    if (about.is_object() && about.contains("isa_available") && about["isa_available"].is_array()) {
        for (const json & name : about["isa_available"]) {
            if (name.is_string()) names.push_back(name.get<std::string>());
        }
    }
    return names;
}

Check check_processor(const std::string & describe) {
    const Processor   processor = find_processor();
    const std::string machine   = fmt::format("{}, {} hardware threads", processor.name, processor.cores);
    const auto        isas      = isas_of(describe);
    if (isas.empty()) return problem("processor", machine + ", ISA unknown", "the plugin tells the ISA: see the plugin line");
    const std::string found = fmt::format("{}, usable ISAs: {}", machine, fmt::join(isas, ", "));
    if (isas == std::vector<std::string>{"scalar"}) {
        return problem("processor", found,
                       "only the slow reference kernels can run: use a machine with AVX2 (x86-64 of 2013 or later)");
    }
    return fine("processor", found);
}

Check check_llama() {
    const char advice[] = "run scripts/llama_cpp.sh, then build kvtuner again";
    const auto library  = llama_library();
    if (!library.ok()) return problem("llama.cpp", library.error().message, advice);
    const std::string wanted = std::string("libllama.so.") + (build_info::kLlamaVersion + 1);  // without the v
    if (!wanted.starts_with(library->filename().string())) {  // a package may leave the end of the name out
        return problem("llama.cpp",
                       fmt::format("{} is loaded, this build is for {}", library->string(), build_info::kLlamaVersion), advice);
    }
    return fine("llama.cpp", fmt::format("{} from {}", build_info::kLlamaVersion, library->string()));
}

// The two that kvtuner starts itself.
Check check_programs() {
    const char advice[] = "run scripts/llama_cpp.sh, or name your own with --bin (only kvtuner serve and run need them)";
    const auto library  = llama_library();
    if (!library.ok()) return problem("llama.cpp programs", library.error().message, advice);
    const fs::path           folder = library->parent_path();
    std::vector<std::string> found, missing;
    for (const char * name : {"llama-completion", "llama-server"}) {
        (file_exists((folder / name).string()) ? found : missing).push_back(name);
    }
    if (missing.empty()) return fine("llama.cpp programs", fmt::format("{} in {}", fmt::join(found, ", "), folder.string()));
    return problem("llama.cpp programs", fmt::format("{} not in {}", fmt::join(missing, ", "), folder.string()), advice);
}

Check check_plan_variable(const std::string & value) {
    const auto named = [&](const auto & result) {
        return result.ok() ? fine("KVT_PLAN", fmt::format("\"{}\" is a valid plan", value))
                           : problem("KVT_PLAN", result.error().message,
                                     "unset KVT_PLAN, or set it to a plan file or a short form such as kivi:K8V4");
    };
    if (names_plan_set(value)) {
        const auto set = read_plan_set(value);
        if (!set.ok()) return named(set);
        for (const NamedPlanFile & file : set->plans) {
            if (Check one = check_plan_variable(file.path); one.state != Check::State::ok) return one;
        }
        return fine("KVT_PLAN", fmt::format("\"{}\": plans for {} models{}", value, set->plans.size(),
                                            set->others ? ", and a short form for others" : ""));
    }
    if (looks_like_short_form(value)) {
        const auto form = parse_short_form(value);
        if (form.ok() && form->mode == Mode::rotated)
            return problem("KVT_PLAN", fmt::format("\"{}\" needs a calibration", value),
                           "make a plan file of it: kvtuner plan make");
        return named(form);
    }
    if (value.starts_with("{")) return named(parse_plan(value));
    const auto plan = read_plan_file(value);
    if (plan.ok() && !plan->transforms.empty()) {
        if (const auto tensors = load_calibration(plan->calibration); !tensors.ok()) return named(tensors);
    }
    return named(plan);
}

}  // namespace

Check check_memory_size() {
    const auto memory = find_memory();
    if (!memory.ok()) return problem("memory", memory.error().message, "is /proc mounted?");
    const auto        gib = [](uint64_t bytes) { return static_cast<double>(bytes) / static_cast<double>(uint64_t(1) << 30); };
    const std::string found =
        fmt::format("{:.1f} GiB, {:.1f} GiB available", gib(memory->total_bytes), gib(memory->available_bytes));
    if (memory->available_bytes >= kWantedMemory) return fine("memory", found);
    return problem("memory", found, "free some memory: tuning even a small model wants 2 GiB");
}

Check check_bandwidth() {
    const Processor processor = find_processor();
    const auto      speed     = measure_read_bandwidth(kBandwidthBytes, processor.cores, kBandwidthPasses);
    if (!speed.ok()) return problem("memory bandwidth", speed.error().message, "free some memory");
    return fine("memory bandwidth", fmt::format("{:.1f} GB/s read by {} threads", *speed, processor.cores));
}

std::vector<Check> check_environment(const std::string & describe) {
    std::vector<Check> checks;
    if (const std::string plan = variable("KVT_PLAN"); !plan.empty()) checks.push_back(check_plan_variable(plan));
    if (const std::string isa = variable("KVT_FORCE_ISA"); !isa.empty()) {
        const auto        isas  = isas_of(describe);
        const std::string names = fmt::format("{}", fmt::join(isas, ", "));
        if (std::find(isas.begin(), isas.end(), isa) != isas.end()) {
            checks.push_back(fine("KVT_FORCE_ISA", fmt::format("\"{}\": kernels are forced to it", isa)));
        } else {
            checks.push_back(problem("KVT_FORCE_ISA", fmt::format("\"{}\" is not one of this machine's: {}", isa, names),
                                     "unset KVT_FORCE_ISA, or set it to one of those"));
        }
    }
    if (const std::string path = variable("GGML_BACKEND_PATH"); !path.empty()) {
        if (file_exists(path)) {
            checks.push_back(fine("GGML_BACKEND_PATH", path));
        } else {
            checks.push_back(problem("GGML_BACKEND_PATH",
                                     fmt::format("\"{}\" does not exist: llama.cpp will not find the plugin", path),
                                     "set it to the path on the plugin line"));
        }
    }
    if (checks.empty()) checks.push_back(fine("environment", "KVT_PLAN, KVT_FORCE_ISA and GGML_BACKEND_PATH are not set"));
    return checks;
}

Check check_self_test(int failures, const std::string & report) {
    std::istringstream lines(report);
    std::string        line, failed;
    int                n = 0;
    while (std::getline(lines, line)) {
        ++n;
        if (failed.empty() && line.find(" FAILED") != std::string::npos) failed = line;
    }
    if (failures == 0 && n > 0) return fine("kernel self-test", fmt::format("{} kernels agree with the scalar reference", n));
    if (n == 0) return problem("kernel self-test", "no kernel reported", "build kvtuner again; if it stays, report it as a bug");
    return problem("kernel self-test", fmt::format("{} of {} failed, first: {}", failures, n, failed.empty() ? report : failed),
                   "do not trust results of this machine; KVT_FORCE_ISA=scalar avoids the vector kernels; report it as a bug");
}

std::vector<Check> run_doctor() {
    const auto        plugin   = load_plugin();
    const std::string describe = plugin.ok() ? (*plugin)->describe() : "";

    std::vector<Check> checks{check_processor(describe), check_memory_size(), check_bandwidth(), check_llama(), check_programs()};
    if (plugin.ok()) {
        checks.push_back(fine("plugin", fmt::format("{}, for llama.cpp {}", (*plugin)->path(), llama_versions_text())));
        const Plugin::SelfTest test = (*plugin)->self_test();
        checks.push_back(check_self_test(test.failures, test.report));
    } else {
        checks.push_back(
            problem("plugin", plugin.error().message, "build it (./scripts/quickstart.sh), or set KVT_PLUGIN to its path"));
    }
    for (Check & check : check_environment(describe)) checks.push_back(std::move(check));
    return checks;
}

bool all_fine(const std::vector<Check> & checks) {
    return std::all_of(checks.begin(), checks.end(), [](const Check & c) { return c.state == Check::State::ok; });
}

nlohmann::ordered_json doctor_json(const std::vector<Check> & checks) {
    nlohmann::ordered_json out{{"schema", "kvtuner.doctor"}, {"schema_version", 1}, {"ok", all_fine(checks)}};
    out["checks"] = nlohmann::ordered_json::array();
    for (const Check & check : checks) {
        out["checks"].push_back(
            {{"name", check.name}, {"ok", check.state == Check::State::ok}, {"found", check.found}, {"advice", check.advice}});
    }
    return out;
}

}  // namespace kvt::cli
