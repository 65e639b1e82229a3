// Runs the real program as a user does, with the plugin of this build. For tests that define KVT_TEST_PROGRAM and
// KVT_TEST_PLUGIN.
#pragma once

#include <array>
#include <cstdio>
#include <filesystem>
#include <string>

#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "kvt/base/file_io.h"

namespace kvt::testing {

// --- Interface ---

struct Outcome {
    int         exit_code = -1;
    std::string out, err;
};

// An empty plan library of this process's own, so that no test reads or fills the user's.
inline std::string data_home() { return ::testing::TempDir() + "kvt_program_test_" + std::to_string(::getpid()) + "_data"; }

// `arguments` is shell text after the program's name; `before` stands in front of it (variables).
inline Outcome kvtuner(const std::string & arguments, const std::string & before = "") {
    const std::string errors  = ::testing::TempDir() + "kvt_program_test_" + std::to_string(::getpid()) + ".err";
    const std::string command = "unset KVT_PLAN KVT_FORCE_ISA KVT_PRESETS GGML_BACKEND_PATH; XDG_DATA_HOME='" + data_home() +
                                "' KVT_PLUGIN='" KVT_TEST_PLUGIN "' " + before + " '" KVT_TEST_PROGRAM "' " + arguments + " 2>'" +
                                errors + "'";
    Outcome     run;
    std::FILE * pipe = ::popen(command.c_str(), "r");
    EXPECT_NE(pipe, nullptr);
    std::array<char, 4096> buffer;
    for (size_t n; (n = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;) run.out.append(buffer.data(), n);
    const int status = ::pclose(pipe);
    run.exit_code    = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    run.err          = *read_file(errors);
    std::filesystem::remove(errors);
    return run;
}

inline const std::string kModel = std::string("'") + KVT_TEST_ROOT + "/data/stories260K/stories260K-hd64-f32.gguf'";

inline std::string temporary(const char * name) {
    return ::testing::TempDir() + "kvt_program_test_" + std::to_string(::getpid()) + "_" + name;
}

}  // namespace kvt::testing
