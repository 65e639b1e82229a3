#include "kvt/harness/retrieval_map.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>

#include <fmt/format.h>

#include "kvt/harness/summary.h"

namespace kvt {

// --- Implementation ---

namespace {

using Places = std::map<std::pair<int, int>, std::pair<int, double>>;  // length, depth -> items, sum of scores

std::optional<int> group_number(const ItemLine & line, const char * group) {
    const auto found = line.groups.find(group);
    int        value = 0;
    if (found == line.groups.end()) return std::nullopt;
    const std::string & text = found->second;
    const auto          end  = std::from_chars(text.data(), text.data() + text.size(), value);
    return end.ec == std::errc() && end.ptr == text.data() + text.size() ? std::optional(value) : std::nullopt;
}

std::vector<RetrievalCell> cells_of(const Places & places) {
    std::vector<RetrievalCell> cells;
    for (const auto & [place, sum] : places) cells.push_back({place.first, place.second, sum.first, sum.second / sum.first});
    return cells;
}

}  // namespace

std::vector<RetrievalCell> retrieval_map(std::span<const ItemLine> lines) {
    const auto names = score_names(lines);
    if (names.empty()) return {};
    std::map<std::string, double> scores;
    for (const ItemValue & v : item_values(lines, names[0])) scores[v.item] = v.value;
    Places places;
    for (const ItemLine & line : lines) {
        const auto length = group_number(line, "length"), depth = group_number(line, "depth");
        const auto score = scores.find(line.item);
        if (!length || !depth || score == scores.end()) continue;
        auto & [n, sum] = places[{*length, *depth}];
        ++n;
        sum += score->second;
        scores.erase(score);  // further samples of the item are in its score already
    }
    return cells_of(places);
}

std::vector<RetrievalCell> by_tenths(std::span<const RetrievalCell> cells) {
    Places places;
    for (const RetrievalCell & cell : cells) {
        auto & [n, sum] = places[{cell.length, std::min(cell.depth / 10, 9) * 10}];
        n += cell.n;
        sum += cell.n * cell.mean;
    }
    return cells_of(places);
}

std::string tenth_name(int depth) { return fmt::format("{}-{}", depth, depth == 90 ? 100 : depth + 9); }

Json to_json(std::span<const RetrievalCell> cells) {
    Json out = Json::array();
    for (const RetrievalCell & cell : cells)
        out.push_back({{"length", cell.length}, {"depth", cell.depth}, {"n", cell.n}, {"mean", cell.mean}});
    return out;
}

}  // namespace kvt
