// A stock llama.cpp program with the plugin and a plan: found, checked, and started in place of this process.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "kvt/base/result.h"
#include "kvt/cli/plan_argument.h"

namespace kvt::cli {

// --- Interface ---

enum class HostRole : uint8_t { server, chat };  // llama-server; llama-completion, else llama-cli

struct HostRequest {
    HostRole                 role = HostRole::server;
    std::string              model;
    std::string              plan;        // a file or a short form; empty: of the library, else the default
    std::string              draft_plan;  // the same for the draft model that the flags name
    std::string              bin;         // folder or program of the user; empty: KVT_LLAMA_ROOT, else beside libllama
    std::string              plugin;      // empty: find_plugin()
    Force                    force = Force::no;
    std::vector<std::string> flags;  // handed on
};

struct HostLaunch {
    std::string                                      program;
    std::vector<std::string>                         arguments;    // behind the program's name
    std::vector<std::pair<std::string, std::string>> environment;  // set on top of what is there
    std::string                                      plan_line;    // which plan, and why
};

// The plan of a model that has none of its own: no calibration is needed, and nothing shared between sequences.
std::string default_plan(const ModelInfo & model);

// Errors: model or plan cannot be used, program or plugin not found, another version of llama.cpp, flags that contradict the
// plan.
Result<HostLaunch> prepare_launch(const HostRequest & request);

// One line for a shell.
std::string launch_text(const HostLaunch & launch);

// Replaces this process; signals and exit code are the program's. Comes back only with an error.
Error start_host(const HostLaunch & launch);

// "0.5.0" out of "version: 0.5.0-dev (build 0, commit unknown)"; empty if there is none.
std::string version_in(const std::string & output);

}  // namespace kvt::cli
