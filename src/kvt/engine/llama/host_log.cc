#include "kvt/engine/llama/host_log.h"

#include <unistd.h>

#include <cstdlib>
#include <deque>
#include <mutex>
#include <stdexcept>
#include <string_view>

#include <ggml-backend.h>
#include <ggml.h>
#include <llama.h>

#include "kvt/engine/llama/llama_library.h"

namespace kvt {

// --- Implementation ---

namespace {

constexpr size_t kKeptLines = 4;  // a load failure takes two or three lines; more only hides the first

struct Collector {
    std::mutex              mutex;
    std::deque<std::string> errors, warnings;
    std::string *           open = nullptr;  // the line that GGML_LOG_LEVEL_CONT continues

    void add(ggml_log_level level, std::string_view text) {
        const std::lock_guard lock(mutex);
        if (level != GGML_LOG_LEVEL_CONT) {
            open = nullptr;
            if (level != GGML_LOG_LEVEL_ERROR && level != GGML_LOG_LEVEL_WARN) return;
            auto & lines = level == GGML_LOG_LEVEL_ERROR ? errors : warnings;
            if (lines.size() == kKeptLines) lines.pop_front();
            open = &lines.emplace_back();
        }
        if (open == nullptr) return;
        for (const char c : text) {
            const bool plain = static_cast<unsigned char>(c) >= 0x20 && static_cast<unsigned char>(c) < 0x7f;
            if (c != '\n') open->push_back(plain ? c : '?');
        }
    }
};

Collector & collector() {
    static Collector one;
    return one;
}

thread_local int throwing_depth = 0;

void on_abort(const char * message) {
    if (throwing_depth > 0) throw std::runtime_error(message);
    // Outside of a guard nothing can be unwound; ggml ends the process when this returns, so the reason must be seen now.
    const std::string           line    = std::string(message) + "\n";
    [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line.data(), line.size());
}

// A package's llama.cpp keeps its kernels in one library for every kind of processor, beside libllama; ggml itself looks only
// beside the program. Where libggml holds the kernels, as in a build for one machine, there is nothing to load.
void load_kernels() {
    if (ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU) != nullptr) return;
    const auto library = llama_library();
    if (!library.ok()) return;
    constexpr const char * kOther =
        "GGML_BACKEND_PATH";  // ggml would load the plugin that it names too, and so would load_plugin()
    const char *      given = std::getenv(kOther);
    const std::string kept  = given == nullptr ? "" : given;
    if (given != nullptr) ::unsetenv(kOther);
    ggml_backend_load_all_from_path(library->parent_path().c_str());
    if (!kept.empty()) ::setenv(kOther, kept.c_str(), 1);
}

}  // namespace

void start_llama() {
    static std::once_flag once;
    std::call_once(once, [] {
        llama_log_set([](ggml_log_level level, const char * text, void *) { collector().add(level, text); }, nullptr);
        ggml_set_abort_callback(on_abort);
        load_kernels();
        llama_backend_init();
    });
}

void clear_host_log() {
    Collector &           all = collector();
    const std::lock_guard lock(all.mutex);
    all.errors.clear();
    all.warnings.clear();
    all.open = nullptr;
}

std::string host_complaints() {
    Collector &           all = collector();
    const std::lock_guard lock(all.mutex);
    std::string           out;
    for (const std::string & line : all.errors.empty() ? all.warnings : all.errors) {
        if (!out.empty()) out += "; ";
        out += line;
    }
    return out;
}

AssertionsThrow::AssertionsThrow() { ++throwing_depth; }

AssertionsThrow::~AssertionsThrow() { --throwing_depth; }

}  // namespace kvt
