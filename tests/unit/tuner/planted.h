// Sensitivity tables with planted e_o rows: the six rows of method.md section 4 and the layers that deviate from row D.
#pragma once

#include <array>
#include <map>
#include <string>
#include <vector>

#include "kvt/tuner/records.h"

namespace kvt::testing {

// --- Interface ---

using ErrorRow = std::array<double, 9>;  // e_o by kPairs: KV8 K8V4 K8V2 K4V8 KV4 K4V2 K2V8 K2V4 KV2

struct PlantedRow {
    const char *     name;
    ErrorRow         e_o;
    std::vector<int> kept;  // indices into kPairs
};

// D is Table 3 of the paper; the others give the other candidate sets of its Table 4.
inline const std::vector<PlantedRow> & planted_rows() {
    static const std::vector<PlantedRow> rows = {
        {"D", {.014, .100, .401, .168, .207, .453, .882, .892, .962}, {0, 1, 4, 5, 8}},
        {"V1", {.014, .150, .401, .120, .207, .453, .882, .892, .962}, {0, 3, 4, 5, 8}},
        {"V2", {.010, .150, .500, .060, .180, .480, .300, .350, .700}, {0, 3, 4, 7, 8}},
        {"H1", {.015, .100, .250, .900, .920, .600, .980, .990, .995}, {0, 1, 2, 5, 8}},
        {"H2", {.015, .100, .250, .500, .520, .600, .980, .990, .995}, {0, 1, 2, 4, 5, 8}},
        {"M", {.010, .060, .500, .100, .180, .480, .300, .350, .700}, {0, 1, 4, 7, 8}}};
    return rows;
}

inline const PlantedRow & planted_row(const std::string & name) {
    for (const PlantedRow & row : planted_rows()) {
        if (name == row.name) return row;
    }
    return planted_rows().front();
}

// "1-3,7" as {1, 2, 3, 7}.
inline std::vector<int> layer_list(const std::string & text) {
    std::vector<int> layers;
    size_t           at = 0;
    while (at < text.size()) {
        size_t    used  = 0;
        const int first = std::stoi(text.substr(at), &used);
        int       last  = first;
        at += used;
        if (at < text.size() && text[at] == '-') {
            last = std::stoi(text.substr(at + 1), &used);
            at += 1 + used;
        }
        for (int l = first; l <= last; ++l) layers.push_back(l);
        ++at;
    }
    return layers;
}

inline ModelInfo planted_model(int n_layer) { return {"planted", "llama", std::string(64, 'a'), n_layer, 1, 64, 64}; }

// Row D everywhere except where `deviating` (row name -> layer list) says otherwise.
inline SensitivityTable planted_table(int n_layer, const std::map<std::string, std::string> & deviating) {
    SensitivityTable table;
    table.model     = planted_model(n_layer);
    table.n_prompts = table.n_generated = 1;
    table.n_tokens                      = 64;
    for (int l = 0; l < n_layer; ++l) {
        LayerErrors e;
        e.layer = l;
        e.e_o   = planted_row("D").e_o;
        table.layers.push_back(e);
    }
    for (const auto & [name, layers] : deviating) {
        for (const int l : layer_list(layers)) table.layers[static_cast<size_t>(l)].e_o = planted_row(name).e_o;
    }
    return table;
}

}  // namespace kvt::testing
