#include "kvt/cli/table.h"

#include <algorithm>

namespace kvt::cli {

void Table::row(std::vector<std::string> cells) {
    cells.resize(columns_.size());
    rows_.push_back(std::move(cells));
}

std::string Table::text(int indent) const {
    std::vector<std::vector<std::string>> lines(1);  // [rows + 1][columns]
    for (const Column & column : columns_) lines[0].push_back(column.title);
    lines.insert(lines.end(), rows_.begin(), rows_.end());

    std::vector<size_t> widths(columns_.size());
    for (const auto & line : lines) {
        for (size_t c = 0; c < line.size(); ++c) widths[c] = std::max(widths[c], line[c].size());
    }

    std::string out;
    for (const auto & cells : lines) {
        std::string line(static_cast<size_t>(indent), ' ');
        for (size_t c = 0; c < cells.size(); ++c) {
            const std::string padding(widths[c] - cells[c].size(), ' ');
            if (c > 0) line += "  ";
            line += columns_[c].align == Align::left ? cells[c] + padding : padding + cells[c];
        }
        line.erase(line.find_last_not_of(' ') + 1);
        out += line + "\n";
    }
    return out;
}

}  // namespace kvt::cli
