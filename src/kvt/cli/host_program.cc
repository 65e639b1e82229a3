#include "kvt/cli/host_program.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <kvt_build_info.h>
#include <unistd.h>

#include "kvt/base/shell.h"
#include "kvt/cli/plan_library.h"
#include "kvt/cli/plan_text.h"
#include "kvt/engine/llama/llama_library.h"
#include "kvt/engine/llama/open_model.h"
#include "kvt/engine/llama/plugin.h"
#include "kvt/plugin_api/llama_versions.h"
#include "kvt/recipes/presets.h"

namespace kvt::cli {

namespace {

namespace fs = std::filesystem;

constexpr const char * kDevice = "KVT0";

struct ChosenPlan {
    std::string   value;  // of KVT_PLAN
    std::string   line;
    PrecisionPlan plan;
};

std::vector<std::string> program_names(HostRole role) {
    if (role == HostRole::server) return {"llama-server"};
    return {"llama-completion", "llama-cli"};
}

bool runnable(const fs::path & path) {
    std::error_code error;
    return fs::is_regular_file(path, error) && ::access(path.c_str(), X_OK) == 0;
}

Result<std::string> find_program(const HostRequest & request) {
    std::vector<fs::path> folders;
    std::error_code       error;
    if (!request.bin.empty()) {
        if (!fs::is_directory(request.bin, error)) {
            if (runnable(request.bin)) return fs::absolute(request.bin).string();
            return Error{fmt::format("{} is neither a folder nor a program", request.bin)};
        }
        folders.push_back(fs::absolute(request.bin));
    } else {
        const char * root = std::getenv("KVT_LLAMA_ROOT");
        if (root != nullptr && *root != '\0') folders.push_back(fs::path(root) / "build/bin");
        if (const auto library = llama_library(); library.ok()) folders.push_back(library->parent_path());
    }
    std::vector<std::string> looked;
    for (const fs::path & folder : folders) {
        for (const std::string & name : program_names(request.role)) {
            if (runnable(folder / name)) return (folder / name).string();
            looked.push_back((folder / name).string());
        }
    }
    return Error{
        fmt::format("no llama.cpp program at {}: scripts/llama_cpp.sh builds it, or name your own build of {} with --bin",
                    fmt::join(looked, ", "), build_info::kLlamaVersion)};
}

// The plugin speaks a private interface.
Status check_version(const std::string & program) {
    const std::string command = fmt::format("unset GGML_BACKEND_PATH; {} --version 2>&1 </dev/null", shell_quoted(program));
    std::FILE *       pipe    = ::popen(command.c_str(), "r");
    if (pipe == nullptr) return Error{fmt::format("cannot run {}: {}", program, std::strerror(errno))};
    std::string            output;
    std::array<char, 4096> buffer;
    for (size_t n; (n = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;) output.append(buffer.data(), n);
    ::pclose(pipe);
    const std::string found = version_in(output);
    if (serves_llama(found)) return ok_status();
    return Error{fmt::format("{} {}, and the plugin serves llama.cpp {}: use one of these (scripts/llama_cpp.sh builds {})",
                             program, found.empty() ? "does not say its version" : "is llama.cpp " + found, llama_versions_text(),
                             build_info::kLlamaVersion)};
}

// As KVT_PLAN wants it: with the head dimension where the plugin would learn it too late.
std::string short_form_value(const std::string & text, const PrecisionPlan & plan) {
    const bool needs = plan.mode == Mode::per_token_asym && text.find(":hd") == std::string::npos;
    return needs ? fmt::format("{}:hd{}", text, plan.model.head_dim_k) : text;
}

std::string size_text(const PrecisionPlan & plan) {
    std::string text = fmt::format("{} bits", bits_text(plan_size(plan, cells_per_sequence({})).effective_bits));
    if (const auto kld = measured_kld(plan)) text += fmt::format(", KLD {:.4f} {}", kld->value, kld->unit);
    return text;
}

Result<ChosenPlan> given_plan(const std::string & text, Force force, const ModelInfo & model) {
    ChosenPlan chosen;
    KVT_TRY(chosen.plan, load_plan_argument(text, model, force));
    if (!looks_like_short_form(text)) {
        chosen.value = fs::absolute(text).string();
    } else if (!chosen.plan.transforms.empty()) {
        return Error{
            fmt::format("\"{}\" needs transforms that are calibrated to the model: kvtuner tune, or kvtuner calibrate and "
                        "kvtuner plan make, write such a plan file",
                        text)};
    } else {
        chosen.value = short_form_value(text, chosen.plan);
    }
    chosen.line = fmt::format("{} as given ({})", text, size_text(chosen.plan));
    return chosen;
}

// Out of the user's copy of the published presets, if there is one. They carry no measurement for this file. Empty: none.
Result<std::optional<ChosenPlan>> preset_plan(const ModelInfo & model) {
    const char * copy = std::getenv("KVT_PRESETS");
    if (copy == nullptr || *copy == '\0') return std::optional<ChosenPlan>{};
    KVT_TRY(const auto presets, recipes::read_presets(copy));
    const recipes::Preset * preset = recipes::preset_for(presets, model);
    if (preset == nullptr) return std::optional<ChosenPlan>{};
    KVT_TRY(recipes::Imported imported, recipes::import_preset(presets, preset->name, {.model = model}));
    ChosenPlan chosen;
    chosen.value = write_plan(imported.plan);  // the plugin takes a plan's text as well as its path
    chosen.line  = fmt::format("the preset {}, published for this model ({}); kvtuner tune measures one for this file",
                               preset->name, size_text(imported.plan));
    chosen.plan  = std::move(imported.plan);
    return std::optional(std::move(chosen));
}

Result<ChosenPlan> found_plan(const ModelInfo & model) {
    ChosenPlan chosen;
    const auto library = read_library(model);
    if (library.ok() && !library->plans.empty()) {
        const LibraryPlan & newest = library->plans.front();
        chosen.value               = newest.path;
        chosen.plan                = newest.plan;
        chosen.line                = fmt::format("{}, tuned for this model ({})", newest.path, size_text(newest.plan));
        return chosen;
    }
    KVT_TRY(std::optional<ChosenPlan> published, preset_plan(model));
    if (published) return *std::move(published);
    const std::string form = default_plan(model);
    KVT_TRY(chosen.plan, load_plan_argument(form, model, Force::no));
    chosen.value = short_form_value(form, chosen.plan);
    chosen.line  = fmt::format("{}, the default without calibration ({}); kvtuner tune finds a smaller one for this model", form,
                               size_text(chosen.plan));
    return chosen;
}

Result<ChosenPlan> plan_for(const std::string & text, Force force, const ModelInfo & model) {
    return text.empty() ? found_plan(model) : given_plan(text, force, model);
}

bool has_flag(const std::vector<std::string> & flags, std::initializer_list<std::string_view> names) {
    return std::any_of(flags.begin(), flags.end(), [&](const std::string & flag) {
        return std::any_of(names.begin(), names.end(), [&](std::string_view name) { return flag == name; });
    });
}

// What stands behind the flag; empty if it is not there.
std::string value_of(const std::vector<std::string> & flags, std::initializer_list<std::string_view> names) {
    for (size_t i = 0; i + 1 < flags.size(); ++i) {
        if (has_flag({flags[i]}, names)) return flags[i + 1];
    }
    return "";
}

// Adds the plan of the draft model, which is given our device unless the flags name another, to `launch`.
Status add_draft(const HostRequest & request, const ModelInfo & model, const ChosenPlan & chosen, HostLaunch & launch) {
    const std::string draft  = value_of(request.flags, {"-md", "--model-draft", "--spec-draft-model"});
    const std::string device = value_of(request.flags, {"-devd", "--device-draft", "--spec-draft-device"});
    const bool        ours   = !draft.empty() && (device.empty() || device == kDevice);
    if (!ours && !request.draft_plan.empty())
        return Error{"--draft-plan is for a draft model on this device: name one behind -- (--spec-draft-model FILE)"};
    if (!ours) return ok_status();
    KVT_TRY(const ModelInfo info, read_model_info(draft));
    const bool same = info.file_sha256 == model.file_sha256;
    if (same && request.draft_plan.empty()) return ok_status();
    KVT_TRY(const ChosenPlan its, plan_for(request.draft_plan, request.force, info));
    if (chosen.value != its.value) {
        const bool form = looks_like_short_form(chosen.value), its_form = looks_like_short_form(its.value);
        if (same || (form && its_form)) {
            return Error{fmt::format("the plans {} and {} cannot be told apart by the model: {}", chosen.value, its.value,
                                     same ? "one model file follows one plan" : "make a plan file of one (kvtuner plan make)")};
        }
        launch.environment.back().second = form ? its.value + ";" + chosen.value : chosen.value + ";" + its.value;
    }
    launch.plan_line += "; draft model: " + its.line;
    return ok_status();
}

}  // namespace

std::string version_in(const std::string & output) {
    constexpr std::string_view kLabel = "version: ";
    const size_t               at     = output.find(kLabel);
    if (at == std::string::npos || (at > 0 && output[at - 1] != '\n')) return "";
    const size_t begin = at + kLabel.size();
    return output.substr(begin, output.find_first_not_of("0123456789.", begin) - begin);
}

std::string default_plan(const ModelInfo & model) {
    const auto fits = [&](const char * form) { return load_plan_argument(form, model, Force::no).ok(); };
    for (const char * form : {"per-token:KV8", "kivi:KV8"}) {
        const bool one_dim = model.head_dim_k == model.head_dim_v || std::string_view(form).starts_with("kivi");
        if (one_dim && fits(form)) return form;
    }
    return "f16";
}

Result<HostLaunch> prepare_launch(const HostRequest & request) {
    if (has_flag(request.flags, {"--device", "-dev"}))
        return Error{fmt::format("leave --device out: the cache follows the plan on the device {} only", kDevice)};
    KVT_TRY(const ModelInfo model, read_model_info(request.model));
    KVT_TRY(const ChosenPlan chosen, plan_for(request.plan, request.force, model));
    HostLaunch launch;
    KVT_TRY(launch.program, find_program(request));
    KVT_CHECK_OK(check_version(launch.program));
    KVT_TRY(const std::string plugin, find_plugin(request.plugin));

    launch.plan_line   = chosen.line;
    launch.environment = {{"GGML_BACKEND_PATH", fs::absolute(plugin).string()}, {"KVT_PLAN", chosen.value}};
    launch.arguments   = {"-m", request.model, "--device", kDevice};
    KVT_CHECK_OK(add_draft(request, model, chosen, launch));
    const int positions = chosen.plan.calibration.positions;
    if (positions > 0 && !has_flag(request.flags, {"-c", "--ctx-size"})) {
        launch.arguments.insert(launch.arguments.end(), {"-c", std::to_string(positions)});
        launch.plan_line += fmt::format("; context {}, what it was calibrated for", positions);
    }
    if (request.role == HostRole::server && !has_flag(request.flags, {"--host"}))
        launch.arguments.insert(launch.arguments.end(), {"--host", "127.0.0.1"});
    if (request.role == HostRole::chat && !has_flag(request.flags, {"-no-cnv", "--no-conversation", "-cnv", "--conversation"}))
        launch.arguments.emplace_back("-cnv");
    launch.arguments.insert(launch.arguments.end(), request.flags.begin(), request.flags.end());
    return launch;
}

std::string launch_text(const HostLaunch & launch) {
    std::string text;
    for (const auto & [name, value] : launch.environment) text += fmt::format("{}={} ", name, shell_quoted(value));
    text += shell_quoted(launch.program);
    for (const std::string & argument : launch.arguments) text += " " + shell_quoted(argument);
    return text;
}

Error start_host(const HostLaunch & launch) {
    for (const auto & [name, value] : launch.environment) {
        if (::setenv(name.c_str(), value.c_str(), 1) != 0)
            return Error{fmt::format("cannot set {}: {}", name, std::strerror(errno))};
    }
    std::vector<char *> argv{const_cast<char *>(launch.program.c_str())};  // exec does not change them
    for (const std::string & argument : launch.arguments) argv.push_back(const_cast<char *>(argument.c_str()));
    argv.push_back(nullptr);
    std::fflush(stdout);
    std::fflush(stderr);
    ::execv(argv[0], argv.data());
    return Error{fmt::format("cannot start {}: {}", launch.program, std::strerror(errno))};
}

}  // namespace kvt::cli
