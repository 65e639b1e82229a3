// Opens tasks and vector files for tests.
#pragma once

#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include <unistd.h>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "kvt/base/file_io.h"
#include "kvt/tasks/task.h"

namespace kvt::testing {

// --- Interface ---

inline std::string vector_path(const std::string & name) { return std::string(KVT_TEST_ROOT) + "/data/tasks/" + name; }

inline std::vector<nlohmann::json> vectors(const std::string & name) {
    std::vector<nlohmann::json> rows;
    std::ifstream               in(vector_path(name));
    for (std::string line; std::getline(in, line);) rows.push_back(nlohmann::json::parse(line));
    return rows;
}

// Writes `bytes` to a file of this process and returns its path.
inline std::string data_file(const std::string & name, const std::string & bytes) {
    std::string path = ::testing::TempDir() + "kvt_tasks_" + std::to_string(::getpid()) + "_" + name;
    EXPECT_TRUE(write_file_atomic(path, bytes).ok());
    return path;
}

inline TaskOptions options(const std::string & name, const std::string & variant = "") {
    TaskOptions result;
    result.name    = name;
    result.variant = variant;
    return result;
}

inline std::unique_ptr<Task> opened(const TaskOptions & asked) {
    auto task = open_task(asked);
    EXPECT_TRUE(task.ok()) << task.error().message;
    return task.ok() ? std::move(*task) : nullptr;
}

inline std::string open_error(const TaskOptions & asked) {
    const auto task = open_task(asked);
    return task.ok() ? "" : task.error().message;
}

inline double score_of(const Verdict & verdict, const std::string & name) {
    for (const auto & [key, value] : verdict.scores) {
        if (key == name) return value;
    }
    ADD_FAILURE() << "no score " << name;
    return -1;
}

}  // namespace kvt::testing
