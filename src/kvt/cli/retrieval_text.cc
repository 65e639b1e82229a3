#include "kvt/cli/retrieval_text.h"

#include <map>
#include <set>

#include <fmt/format.h>

#include "kvt/cli/table.h"
#include "kvt/harness/compare.h"
#include "kvt/harness/retrieval_map.h"

namespace kvt::cli {

namespace {

using Map = std::map<std::pair<int, int>, double>;  // length, depth -> score

Map scores_of(const TaskRecord & record) {
    Map map;
    for (const RetrievalCell & cell : by_tenths(retrieval_map(record.lines))) map[{cell.length, cell.depth}] = cell.mean;
    return map;
}

}  // namespace

std::string retrieval_text(const std::vector<TaskRecord> & records) {
    std::vector<Map> maps;
    for (const TaskRecord & record : records) maps.push_back(scores_of(record));
    if (maps.empty() || maps[0].empty()) return {};
    const Map &   reference = maps[0];
    std::set<int> lengths, depths;
    for (const auto & [place, score] : reference) {
        lengths.insert(place.first);
        depths.insert(place.second);
    }
    std::vector<Table::Column> columns{{"length"}, {"recall % by depth %", Align::left}};
    for (const int depth : depths) columns.push_back({tenth_name(depth)});
    Table      table(std::move(columns));
    const auto row = [&](int length, const std::string & name, const auto & text) {
        std::vector<std::string> cells{fmt::format("{}", length), name};
        for (const int depth : depths) {
            const auto found = reference.find({length, depth});
            if (found == reference.end()) {
                cells.emplace_back("-");
            } else {
                const std::string inner = text(std::pair(length, depth));
                cells.push_back(found->second < kInformativeScore ? "(" + inner + ")" : inner);
            }
        }
        table.row(std::move(cells));
    };
    const auto score = [](const Map & map, const std::pair<int, int> & at) {
        const auto found = map.find(at);
        return found == map.end() ? 0 : found->second;
    };
    for (const int length : lengths) {
        for (size_t r = 0; r < records.size(); ++r)
            row(length, run_name(records[r]), [&](const auto & at) { return fmt::format("{:.0f}", 100 * score(maps[r], at)); });
        for (size_t r = 1; r < records.size(); ++r) {
            row(length, run_name(records[r]) + " minus reference",
                [&](const auto & at) { return fmt::format("{:+.0f}", 100 * (score(maps[r], at) - score(reference, at))); });
        }
    }
    return "\n" + table.text() +
           "depth: how much of the text stands before the needle; (..): the reference itself is below 50 there, which says "
           "nothing "
           "about a plan\n";
}

}  // namespace kvt::cli
