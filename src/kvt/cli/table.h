// Aligned columns of text.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace kvt::cli {

// --- Interface ---

enum class Align : uint8_t { left, right };

class Table {
public:
    struct Column {
        std::string title;
        Align       align = Align::right;
    };

    explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

    // Missing cells are empty, extra ones are dropped.
    void row(std::vector<std::string> cells);

    // Two spaces between columns, no trailing spaces, one line a row, each indented by `indent` spaces.
    // Widths count bytes: the text is ASCII.
    std::string text(int indent = 0) const;

private:
    std::vector<Column>                   columns_;
    std::vector<std::vector<std::string>> rows_;
};

}  // namespace kvt::cli
