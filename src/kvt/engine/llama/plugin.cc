#include "kvt/engine/llama/plugin.h"

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <mutex>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <ggml-backend.h>

#include "kvt/base/this_process.h"
#include "kvt/engine/llama/host_log.h"
#include "kvt/plugin_api/plugin_api.h"

namespace kvt {

// --- Implementation ---

namespace {

namespace fs = std::filesystem;

constexpr const char * kFileName    = "libggml-kvtuner.so";
constexpr size_t       kErrorBytes  = 4096;
constexpr size_t       kReportBytes = 256 * 1024;  // a few hundred kernels, one line each

class LoadedPlugin final : public Plugin {
public:
    static Result<std::unique_ptr<LoadedPlugin>> load(const std::string & path) {
        start_llama();
        clear_host_log();
        ggml_backend_reg_t reg = ggml_backend_load(path.c_str());
        if (reg == nullptr) {
            const std::string why = host_complaints();
            return Error{fmt::format("cannot load plugin {}: {}", path,
                                     why.empty() ? "ggml refused it; was it built for this llama.cpp?" : why)};
        }
        auto plugin   = std::unique_ptr<LoadedPlugin>(new LoadedPlugin);
        plugin->path_ = path;
        const bool all =
            plugin->bind(reg, "kvt_set_plan", plugin->set_plan_) && plugin->bind(reg, "kvt_set_tap", plugin->set_tap_) &&
            plugin->bind(reg, "kvt_describe", plugin->describe_) && plugin->bind(reg, "kvt_self_test", plugin->self_test_) &&
            plugin->bind(reg, "kvt_last_error", plugin->last_error_) && ggml_backend_reg_dev_count(reg) > 0;
        if (!all) return Error{fmt::format("plugin {} is another version: it lacks entry points of this kvtuner", path)};
        plugin->device_ = ggml_backend_reg_dev_get(reg, 0);
        return plugin;
    }

    const std::string &   path() const override { return path_; }
    std::string           describe() const override { return describe_(); }
    ggml_backend_device * device() const override { return device_; }
    std::string           last_error() const override { return last_error_(); }

    SelfTest self_test() override {
        SelfTest          result;
        std::vector<char> report(kReportBytes, '\0');
        result.failures = self_test_(report.data(), report.size());
        result.report   = report.data();
        return result;
    }

    Status set_plan(const std::string & plan_text, const std::string & folder) override {
        std::vector<char> error(kErrorBytes, '\0');
        if (set_plan_(plan_text.c_str(), folder.c_str(), error.data(), error.size()) != 0)
            return Error{fmt::format("plugin: {}", error.data())};
        return ok_status();
    }

    void set_tap(TapFn tap) override {
        tap_ = std::move(tap);
        set_tap_(tap_ ? &forward : nullptr, this);
    }

private:
    LoadedPlugin() = default;

    template <class F>
    bool bind(ggml_backend_reg_t reg, const char * name, F & out) {
        out = reinterpret_cast<F>(ggml_backend_reg_get_proc_address(reg, name));
        return out != nullptr;
    }

    static void forward(const kvt_tap * raw, void * user) {
        Tap tap;
        tap.kind         = raw->kind == KVT_TAP_Q ? Tap::Kind::q : raw->kind == KVT_TAP_K ? Tap::Kind::k : Tap::Kind::v;
        tap.layer        = raw->layer;
        tap.n_tokens     = raw->n_tokens;
        tap.n_heads      = raw->n_heads;
        tap.head_dim     = raw->head_dim;
        tap.n_kv         = raw->n_kv;
        tap.scale        = raw->scale;
        tap.data         = raw->data;
        tap.stride_token = raw->stride_token;
        tap.stride_head  = raw->stride_head;
        tap.cells        = raw->cells;
        static_cast<LoadedPlugin *>(user)->tap_(tap);
    }

    std::string           path_;
    TapFn                 tap_;
    ggml_backend_device * device_     = nullptr;
    kvt_set_plan_fn       set_plan_   = nullptr;
    kvt_set_tap_fn        set_tap_    = nullptr;
    kvt_describe_fn       describe_   = nullptr;
    kvt_self_test_fn      self_test_  = nullptr;
    kvt_last_error_fn     last_error_ = nullptr;
};

}  // namespace

Result<std::string> find_plugin(const std::string & path) {
    if (!path.empty()) return path;
    if (const char * given = std::getenv("KVT_PLUGIN"); given != nullptr && *given != '\0') {
        if (std::error_code error; fs::is_regular_file(given, error)) return std::string(given);
        return Error{fmt::format("KVT_PLUGIN={} is not a file", given)};
    }
    const auto folder = program_folder();
    if (!folder.ok())
        return Error{
            fmt::format("cannot find the plugin: {}; set KVT_PLUGIN to the path of {}", folder.error().message, kFileName)};
    std::vector<std::string> looked;
    for (const fs::path & place : {*folder, *folder / ".." / "lib" / "kvtuner", *folder / ".." / "bin"}) {
        const fs::path file = (place / kFileName).lexically_normal();
        if (std::error_code error; fs::is_regular_file(file, error)) return file.string();
        looked.push_back(file.string());
    }
    return Error{fmt::format("the plugin was not found; looked at {}; set KVT_PLUGIN to its path", fmt::join(looked, ", "))};
}

Result<Plugin *> load_plugin(const std::string & path) {
    static std::mutex                    mutex;
    static std::unique_ptr<LoadedPlugin> loaded;
    const std::lock_guard                lock(mutex);
    std::string                          wanted = path;
    if (wanted.empty()) {
        if (loaded != nullptr) return static_cast<Plugin *>(loaded.get());
        KVT_TRY(wanted, find_plugin());
    }
    std::error_code error;
    if (!fs::is_regular_file(wanted, error)) return Error{fmt::format("plugin {} is not a file", wanted)};
    wanted = fs::canonical(wanted, error).string();
    if (loaded == nullptr) {
        KVT_TRY(loaded, LoadedPlugin::load(wanted));
    } else if (loaded->path() != wanted) {
        return Error{fmt::format("plugin {} cannot be loaded beside {}", wanted, loaded->path())};
    }
    return static_cast<Plugin *>(loaded.get());
}

}  // namespace kvt
