// One artefact file: read it if it was made from the same inputs, or make it and write it atomically.
#pragma once

#include <string>

#include <fmt/format.h>

#include "kvt/base/file_io.h"
#include "kvt/base/result.h"

namespace kvt {

// --- Interface ---

enum class Artefact : uint8_t { absent, usable };

// Reads `path` into `record` when it exists. Errors: unreadable or invalid content, or made from other inputs.
template <class Record>
Result<Artefact> load_artefact(const std::string & path, Result<Record> (*parse)(std::string_view),
                               const std::string & inputs_sha256, Record & record) {
    if (!file_exists(path)) return Artefact::absent;
    KVT_TRY(const std::string text, read_file(path));
    auto parsed = parse(text);
    if (!parsed.ok()) return Error{fmt::format("{}: {}; remove it, or start over with --fresh", path, parsed.error().message)};
    if (parsed->inputs_sha256 != inputs_sha256) {
        return Error{fmt::format(
            "{} was made from another model, text or settings: choose another output, or start over with --fresh", path)};
    }
    record = std::move(*parsed);
    return Artefact::usable;
}

}  // namespace kvt
