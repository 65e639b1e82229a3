// The tiny trained models of tests/data, opened once per test program.
#pragma once

#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "kvt/base/file_io.h"
#include "kvt/engine/llama/open_model.h"

namespace kvt::testing {

// --- Interface ---

inline std::string tiny_model_path(int head_dim = 64) {
    return std::string(KVT_TEST_ROOT) + "/data/stories260K/stories260K-hd" + std::to_string(head_dim) + "-f32.gguf";
}

inline std::string tiny_corpus() {
    auto text = read_file(std::string(KVT_TEST_ROOT) + "/data/stories260K/selfgen-corpus.txt");
    EXPECT_TRUE(text.ok());
    return text.ok() ? *text : "";
}

// With the plugin that was built beside the tests; one thread, so that tests do not fight for cores.
inline ModelRunner & tiny_model(int head_dim = 64) {
    static std::unique_ptr<ModelRunner> runners[129];
    auto &                              runner = runners[head_dim];
    if (runner == nullptr) {
        auto opened = open_model(tiny_model_path(head_dim), {KVT_TEST_PLUGIN, UsePlugin::required, 1});
        if (!opened.ok()) throw std::runtime_error(opened.error().message);
        runner = std::move(opened).value();
    }
    return *runner;
}

}  // namespace kvt::testing
