// What `kvtuner doctor` looks at: each check says how it stands and, if something is wrong, what to do.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace kvt::cli {

// --- Interface ---

struct Check {
    enum class State : uint8_t { ok, problem };
    std::string name;
    State       state = State::ok;
    std::string found;   // one line
    std::string advice;  // empty unless a problem
};

// Runs every check; takes about two seconds, most of it measuring memory and testing kernels.
std::vector<Check> run_doctor();

// Each group alone, for the tests. `describe` is the plugin's JSON (plugin_api.h), empty without a plugin.
Check              check_memory_size();
Check              check_bandwidth();
std::vector<Check> check_environment(const std::string & describe);
// `report` and `failures` as kvt_self_test gives them.
Check check_self_test(int failures, const std::string & report);

nlohmann::ordered_json doctor_json(const std::vector<Check> & checks);
bool                   all_fine(const std::vector<Check> & checks);

}  // namespace kvt::cli
