// A strict reader for small YAML files of maps and plain scalars, in block or flow style. Everything else is refused.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kvt/base/result.h"

namespace kvt::recipes {

// --- Interface ---

struct YamlNode {
    bool                     is_map = false;
    std::string              text;      // of a scalar
    std::vector<std::string> keys;      // of a map, unique, in the order of the file
    std::vector<YamlNode>    values;    // of a map, one a key
    int                      line = 0;  // 1-based
};

// One document whose root is a map. Errors, each with its line: not YAML, more than 4 MiB, 4 levels or 4096 entries of a map, a
// second document, lists, anchors, aliases, tags, quoted or empty scalars, keys that are no scalars, a key given twice.
Result<YamlNode> parse_yaml_map(std::string_view text);

}  // namespace kvt::recipes
