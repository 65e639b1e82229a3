#include "kvt/cli/table.h"

#include <gtest/gtest.h>

namespace kvt::cli {
namespace {

TEST(Table, AlignsColumnsAndLeavesNoTrailingSpaces) {
    Table table({{"n"}, {"name", Align::left}, {"bits"}});
    table.row({"1", "a", "4.25"});
    table.row({"10", "longer", ""});
    EXPECT_EQ(table.text(),
              " n  name    bits\n"
              " 1  a       4.25\n"
              "10  longer\n");
    EXPECT_EQ(Table({{"a", Align::left}}).text(2), "  a\n");
}

TEST(Table, RowsOfOtherLengthAreFilledOrCut) {
    Table table({{"a"}, {"b"}});
    table.row({"1"});
    table.row({"1", "2", "3"});
    EXPECT_EQ(table.text(), "a  b\n1\n1  2\n");
}

}  // namespace
}  // namespace kvt::cli
