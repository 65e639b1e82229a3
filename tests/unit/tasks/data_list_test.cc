#include "kvt/tasks/data_list.h"

#include "unit/tasks/task_files.h"

namespace kvt::tasks {
namespace {

TEST(DataList, EveryShippedFileIsHereAndUnchanged) {
    for (const DataFile & file : data_list()) {
        const DataState state = data_state(file);
        EXPECT_EQ(state.state, file.origin == DataFile::Origin::user ? DataState::State::user : DataState::State::present)
            << file.file;
        EXPECT_FALSE(file.licence.empty());
        EXPECT_FALSE(file.source.empty());
    }
}

}  // namespace
}  // namespace kvt::tasks
