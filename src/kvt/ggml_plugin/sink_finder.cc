#include "kvt/ggml_plugin/sink_finder.h"

#include <algorithm>
#include <cstring>

namespace kvt::plugin {

void keep_rows(const cache_tensor & cache, const std::vector<int64_t> & cells, const float * rows, int64_t row_stride,
               waiting_rows & waiting) {
    if (cache.kept.sink_tokens == 0) return;
    waiting.cache = &cache;
    waiting.cells = cells;
    waiting.rows.resize(cells.size() * static_cast<size_t>(cache.n_embd));
    for (size_t r = 0; r < cells.size(); ++r) {
        std::memcpy(&waiting.rows[r * static_cast<size_t>(cache.n_embd)], rows + static_cast<int64_t>(r) * row_stride,
                    sizeof(float) * static_cast<size_t>(cache.n_embd));
    }
}

void first_cells(const f16_t * mask, int64_t n_cells, const Visibility * seen, int limit, std::vector<int64_t> & cells) {
    cells.clear();
    for (int64_t first = 0; first < n_cells; first += kBlockTokens, ++seen) {
        if (*seen == Visibility::none) continue;
        const int64_t last = std::min<int64_t>(first + kBlockTokens, n_cells);
        for (int64_t c = first; c < last; ++c) {
            if (mask[c] == kF16MinusInfinity) continue;
            if (static_cast<int>(cells.size()) == limit) return cells.clear();
            cells.push_back(c);
        }
    }
}

void make_sinks(const std::vector<int64_t> & cells, int64_t stream, const waiting_rows & waiting, cache_tensor & cache) {
    if (waiting.cache != &cache) return;
    for (const int64_t cell : cells) {
        const auto found = std::find(waiting.cells.begin(), waiting.cells.end(), stream * cache.n_cells + cell);
        if (found == waiting.cells.end() || cache.cache->is_sink(stream, cell)) continue;
        const auto row = static_cast<size_t>(found - waiting.cells.begin());
        cache.cache->keep_sink(stream, cell, &waiting.rows[row * static_cast<size_t>(cache.n_embd)]);
    }
}

}  // namespace kvt::plugin
