#include "kvt/report/markdown_row.h"

#include "kvt/report/report_data.h"

namespace kvt::markdown {

std::string plain(std::string_view text) {
    std::string out;
    for (const char c : clean_text(text)) {
        if (std::string_view("\\`*_{}[]<>()#+!|~&").find(c) != std::string_view::npos) out += '\\';
        out += c;
    }
    return out;
}

std::string row(const std::vector<std::string> & cells, bool strong) {
    std::string line = "|";
    for (const std::string & cell : cells) line += strong && !cell.empty() ? " **" + cell + "** |" : " " + cell + " |";
    return line + "\n";
}

}  // namespace kvt::markdown
