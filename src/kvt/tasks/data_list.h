// What data each task reads, where a user gets it and under which licence; whether it is here and unchanged.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace kvt::tasks {

// --- Interface ---

struct DataFile {
    std::string task, file;  // file: path below the data folder, or the name of a file that the user has
    std::string sha256;      // empty: not fixed
    std::string licence, source;
    enum class Origin : uint8_t { shipped, user } origin = Origin::shipped;
};

const std::vector<DataFile> & data_list();

struct DataState {
    enum class State : uint8_t { present, missing, changed, user } state = State::missing;  // user: brought with --data
    std::string path, sha256;                                                               // empty if missing
};

DataState data_state(const DataFile & file);

}  // namespace kvt::tasks
