// Which cells are the first tokens of a sequence. The plugin sees cells, not positions, but a query's mask tells: one that sees
// at most n cells stands among the first n tokens, and what it sees are those tokens.
//
// The mask comes with attention, after the rows were stored; so the rows of the batch wait here in full precision until then.
#pragma once

#include <cstdint>
#include <vector>

#include "kvt/ggml_plugin/cache_tensor.h"
#include "kvt/kernels/attend.h"

namespace kvt::plugin {

// --- Interface ---

// The rows last stored in one cache tensor.
struct waiting_rows {
    const cache_tensor * cache = nullptr;
    std::vector<int64_t> cells;  // over all streams
    std::vector<float>   rows;   // [cells][n_embd]
};

// Remembers the rows if the plan keeps sinks in this cache.   rows  row r at rows + r * row_stride
void keep_rows(const cache_tensor & cache, const std::vector<int64_t> & cells, const float * rows, int64_t row_stride,
               waiting_rows & waiting);

// Cells that a query sees, if they are at most `limit`; else none.
//   mask [n_cells] f16, seen  find_visibility() of it
void first_cells(const f16_t * mask, int64_t n_cells, const Visibility * seen, int limit, std::vector<int64_t> & cells);

// Makes those of `cells` (of one stream) that wait here sink tokens of the cache they wait for.
void make_sinks(const std::vector<int64_t> & cells, int64_t stream, const waiting_rows & waiting, cache_tensor & cache);

}  // namespace kvt::plugin
