// The registration and the two symbols that the plugin exports.
#include <cstring>
#include <exception>
#include <string>

#include <fmt/format.h>

#include "ggml-backend-impl.h"
#include "kvt/ggml_plugin/backend.h"
#include "kvt/ggml_plugin/plugin_state.h"
#include "kvt/kernels/self_test.h"
#include "kvt/plugin_api/llama_versions.h"

namespace kvt::plugin {

namespace {

void copy_text(const std::string & text, char * out, size_t size) {
    if (out == nullptr || size == 0) return;
    const size_t n = text.size() < size - 1 ? text.size() : size - 1;
    std::memcpy(out, text.data(), n);
    out[n] = '\0';
}

int api_set_plan(const char * plan, const char * folder, char * error, size_t error_size) {
    try {
        const Status status = set_plan(plan, folder);
        if (status.ok()) return 0;
        copy_text(status.error().message, error, error_size);
    } catch (const std::exception & e) {
        copy_text(e.what(), error, error_size);
    }
    return 1;
}

void api_set_tap(kvt_tap_fn fn, void * user) { set_tap(fn, user); }

const char * api_describe() {
    static const std::string text = [] {
        std::string isas;
        for (const Isa isa : available_isas())
            isas += std::string(isas.empty() ? "" : ", ") + '"' + std::string(isa_name(isa)) + '"';
        const auto        kernels = current_kernels();
        const std::string isa(kernels.ok() ? isa_name((*kernels)->isa) : "none");
        return std::string(R"({"version": ")" KVT_VERSION R"(", "isa": ")") + isa + R"(", "isa_available": [)" + isas +
               R"(], "ggml_api_version": )" + std::to_string(GGML_BACKEND_API_VERSION) + R"(, "bits": [2, 3, 4, 5, 6, 8, 16]})";
    }();
    return text.c_str();
}

int api_self_test(char * report, size_t report_size) {
    try {
        int         failures = 0;
        std::string text;
        for (const SelfTestLine & line : run_self_test()) {
            failures += line.ok ? 0 : 1;
            text += line.kernel + (line.ok ? " ok" : " FAILED " + line.detail) + "\n";
        }
        copy_text(text, report, report_size);
        return failures;
    } catch (const std::exception & e) {
        copy_text(e.what(), report, report_size);
        return 1;
    }
}

const char *       reg_get_name(ggml_backend_reg_t) { return "KVT"; }
size_t             reg_get_device_count(ggml_backend_reg_t) { return 1; }
ggml_backend_dev_t reg_get_device(ggml_backend_reg_t reg, size_t index) { return index == 0 ? kvt_device(reg) : nullptr; }

void * reg_get_proc_address(ggml_backend_reg_t, const char * name) {
    const struct {
        const char * name;
        void *       address;
    } entries[] = {
        {"ggml_backend_set_n_threads", reinterpret_cast<void *>(kvt_backend_set_n_threads)},
        {"kvt_set_plan", reinterpret_cast<void *>(api_set_plan)},
        {"kvt_set_tap", reinterpret_cast<void *>(api_set_tap)},
        {"kvt_describe", reinterpret_cast<void *>(api_describe)},
        {"kvt_self_test", reinterpret_cast<void *>(api_self_test)},
        {"kvt_last_error", reinterpret_cast<void *>(last_error)},
    };
    for (const auto & entry : entries) {
        if (std::strcmp(entry.name, name) == 0) return entry.address;
    }
    return nullptr;
}

// ggml compares the number of its backend interface only, which does not change with the structs behind it.
bool host_is_served() {
    try {
        const std::string host = ggml_version();
        if (serves_ggml(host, KVT_GGML_VERSION)) return true;
        fail(fmt::format(
            "this llama.cpp has ggml {}; the plugin serves llama.cpp {}: use one of these, or build the plugin against yours",
            host, llama_versions_text()));
    } catch (...) {
        // Out of memory while reporting: not loading is the answer.
    }
    return false;
}

}  // namespace

ggml_backend_reg_t kvt_reg() {
    static ggml_backend_reg reg = {
        GGML_BACKEND_API_VERSION, {reg_get_name, reg_get_device_count, reg_get_device, reg_get_proc_address}, nullptr};
    return &reg;
}

}  // namespace kvt::plugin

extern "C" {
__attribute__((visibility("default"))) ggml_backend_reg_t ggml_backend_init(void);
__attribute__((visibility("default"))) int                ggml_backend_score(void);
}

ggml_backend_reg_t ggml_backend_init(void) {
    if (kvt::plugin::host_is_served()) return kvt::plugin::kvt_reg();
    return nullptr;
}
int ggml_backend_score(void) { return 1; }
