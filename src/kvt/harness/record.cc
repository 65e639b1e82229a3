#include "kvt/harness/record.h"

#include <cerrno>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

#include <fmt/format.h>

#include "kvt/base/file_io.h"
#include "kvt/base/json_text.h"
#include "kvt/base/optional_json.h"

namespace kvt {

// --- Implementation ---

std::string write_line(const ItemLine & line) {
    Json j{{"item", line.item},
           {"sample", line.sample},
           {"seed", line.seed},
           {"prompt_tokens", line.prompt_tokens},
           {"new_tokens", line.new_tokens},
           {"finish", line.finish},
           {"prompt_sha256", line.prompt_sha256}};
    j["response"]  = or_null(line.response);
    j["extracted"] = line.extracted;
    j["rule"]      = line.rule;
    j["gold"]      = line.gold;
    j["scores"]    = Json::object();
    for (const auto & [name, value] : line.scores) j["scores"][name] = value;
    if (!line.groups.empty()) j["groups"] = line.groups;
    if (!line.log_probabilities.empty()) {
        j["log_probabilities"]   = line.log_probabilities;
        j["continuation_tokens"] = line.continuation_tokens;
    }
    j["flags"]           = line.flags;
    j["error"]           = line.error;
    j["prefill_seconds"] = line.prefill_seconds;
    j["decode_seconds"]  = line.decode_seconds;
    return json_text(j) + "\n";
}

Result<ItemLine> read_line(const Json & value) {
    ItemLine     line;
    const char * field = "";
    try {
        const auto take = [&](const char * name, auto & out) {
            field = name;
            value.at(name).get_to(out);
        };
        take("item", line.item);
        take("sample", line.sample);
        take("seed", line.seed);
        take("prompt_tokens", line.prompt_tokens);
        take("new_tokens", line.new_tokens);
        take("finish", line.finish);
        take("prompt_sha256", line.prompt_sha256);
        field = "response";
        if (!value.at("response").is_null()) line.response = value["response"].get<std::string>();
        take("extracted", line.extracted);
        take("rule", line.rule);
        take("gold", line.gold);
        field = "scores";
        for (const auto & [name, score] : value.at("scores").items()) line.scores.emplace_back(name, score.get<double>());
        if (value.contains("groups")) take("groups", line.groups);
        if (value.contains("log_probabilities")) {
            take("log_probabilities", line.log_probabilities);
            take("continuation_tokens", line.continuation_tokens);
        }
        take("flags", line.flags);
        take("error", line.error);
        take("prefill_seconds", line.prefill_seconds);
        take("decode_seconds", line.decode_seconds);
    } catch (const Json::exception &) {
        return Error{fmt::format("\"{}\" is missing or of another type", field)};
    }
    return line;
}

namespace {

// What the text of a record says, and where its answers end.
struct Parsed {
    TaskRecord record;
    size_t     end = 0;  // bytes of header and answers
};

constexpr int kMaxDepth = 16;  // a record nests 4 deep; the library prints and compares by recursion

Json parse_line(std::string_view text) {
    bool       deep  = false;
    const auto watch = [&deep](int depth, Json::parse_event_t, const Json &) {
        deep = deep || depth > kMaxDepth;
        return !deep;
    };
    Json value = Json::parse(text.begin(), text.end(), watch, false);
    return deep ? Json() : value;
}

// Types of what is read again later; other fields are only shown and compared. Empty, or the name of a field that does not fit.
std::string misfit(const Json & header) {
    std::string field;
    const auto  each = [&](const Json & object, std::initializer_list<const char *> names, bool (Json::*fits)() const noexcept) {
        for (const char * name : names) {
            const auto found = object.find(name);
            if (found != object.end() && !((*found).*fits)()) field = name;
        }
    };
    each(header, {"task", "variant", kStartedField}, &Json::is_string);
    each(header, {"n_items", "samples", "max_new_tokens", "seed"}, &Json::is_number_integer);
    each(header, {"model", "plan", "server"}, &Json::is_object);
    each(header, {"private_text"}, &Json::is_boolean);
    each(header, {"warnings"}, &Json::is_array);
    if (!field.empty()) return field;
    if (header.contains("model")) each(header["model"], {"name", "file_sha256"}, &Json::is_string);
    if (header.contains("plan")) {
        each(header["plan"], {"name"}, &Json::is_string);
        each(header["plan"], {"effective_bits"}, &Json::is_number);
        each(header["plan"], {"stock"}, &Json::is_boolean);
    }
    if (header.contains("server")) each(header["server"], {"model"}, &Json::is_string);
    for (const auto & warning : header.value("warnings", Json::array()))
        if (!warning.is_string()) field = "warnings";
    return field;
}

std::string summary_misfit(const Json & summary) {
    if (!summary.is_object()) return "summary";
    for (const char * name : {"n_items", "n_error", "n_length", "n_no_answer", "n_unscored"}) {
        if (summary.contains(name) && !summary[name].is_number_integer()) return name;
    }
    const Json scores = summary.value("scores", Json());
    if (!scores.is_object()) return "scores";
    for (const Json & score : scores) {
        if (!score.is_object()) return "scores";
        const Json mean = score.value("mean", Json()), error = score.value("se", Json(""));
        if (!mean.is_number() || !(error.is_number() || error.is_null())) return "scores";
    }
    const Json samples = summary.value("samples", Json::array());  // none in a record of an older kvtuner
    if (!samples.is_array()) return "samples";
    for (const Json & sample : samples) {
        if (!sample.is_object() || !sample.value("mean", Json()).is_number()) return "samples";
        for (const char * name : {"score", "name"}) {
            if (!sample.value(name, Json()).is_string()) return "samples";
        }
        for (const char * name : {"ci_low", "ci_high"}) {
            const Json bound = sample.value(name, Json(""));
            if (!bound.is_number() && !bound.is_null()) return "samples";
        }
    }
    return {};
}

void put(std::vector<ItemLine> & lines, ItemLine line) {
    std::erase_if(lines, [&](const ItemLine & old) { return old.item == line.item && old.sample == line.sample; });
    lines.push_back(std::move(line));
}

Result<Parsed> parse(const std::string & path, const std::string & text) {
    Parsed parsed;
    parsed.record.path = path;
    size_t at          = 0;
    for (int number = 1; at < text.size(); ++number) {
        const size_t end = text.find('\n', at);
        if (end == std::string::npos) break;  // the line that was being written when the run was killed
        const Json value = parse_line(std::string_view(text).substr(at, end - at));
        const auto bad   = [&](std::string_view what) { return Error{fmt::format("record {} line {}: {}", path, number, what)}; };
        if (!value.is_object()) return bad("not a JSON object");
        if (number == 1) {
            if (value.value("schema", Json()) != kTaskSchema)
                return bad(fmt::format("not the header of a {} record", kTaskSchema));
            if (value.value("schema_version", Json()) != 1) return bad("a schema_version that this kvtuner does not know");
            if (const std::string field = misfit(value); !field.empty())
                return bad(fmt::format("\"{}\" is missing or of another type", field));
            parsed.record.header = value;
        } else if (!parsed.record.summary.is_null()) {
            return bad("there is more after the summary");
        } else if (value.contains("summary")) {
            if (const std::string field = summary_misfit(value["summary"]); !field.empty())
                return bad(fmt::format("\"{}\" is missing or of another type", field));
            parsed.record.summary = value["summary"];
            at                    = end + 1;
            continue;
        } else {
            auto line = read_line(value);
            if (!line.ok()) return bad(line.error().message);
            put(parsed.record.lines, std::move(*line));
        }
        at         = end + 1;
        parsed.end = at;
    }
    return parsed;
}

std::string short_text(const Json & value) {
    const std::string text = json_text(value, -1, JsonChars::ascii);
    return text.size() <= 60 ? text : text.substr(0, 57) + "...";
}

// The first difference between two headers, in words; empty if there is none.
std::string difference(const Json & old, const Json & now) {
    for (const auto & [name, value] : now.items()) {
        if (name == kStartedField) continue;
        if (!old.contains(name)) return fmt::format("it has no \"{}\"", name);
        if (old[name] != value) return fmt::format("\"{}\" was {} and is {}", name, short_text(old[name]), short_text(value));
    }
    for (const auto & [name, value] : old.items()) {
        if (!now.contains(name)) return fmt::format("it has \"{}\", which this run has not", name);
    }
    return {};
}

Error cannot_write(const std::string & path, int error) {
    return Error{fmt::format("cannot write \"{}\": {}", path, std::strerror(error))};
}

}  // namespace

Result<TaskRecord> read_task_record(const std::string & path) {
    KVT_TRY(const std::string text, read_file(path));
    KVT_TRY(Parsed parsed, parse(path, text));
    if (parsed.record.header.is_null()) return Error{fmt::format("record {} has no header", path)};
    return std::move(parsed.record);
}

Result<RecordFile> RecordFile::open(const std::string & path, const Json & header) {
    KVT_TRY(FileLock lock, FileLock::take(path));
    RecordFile file(std::move(lock), Descriptor(::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666)));
    if (!file.fd_.open()) return cannot_write(path, errno);
    KVT_TRY(const std::string text, read_file(path));
    KVT_TRY(Parsed parsed, parse(path, text));
    const bool fresh = parsed.record.header.is_null();
    if (!fresh) {
        const std::string other = difference(parsed.record.header, header);
        if (!other.empty())
            return Error{fmt::format("record {} is of another run: {}; use another --out, or remove the file", path, other)};
    } else if (!text.empty() && text.front() != '{') {
        return Error{fmt::format("{} is not a record of kvtuner: it is left as it is", path)};
    }
    file.record_ = std::move(parsed.record);
    file.end_    = static_cast<int64_t>(parsed.end);
    if (fresh) {
        file.record_.header    = header;
        const std::string line = json_text(header) + "\n";
        KVT_CHECK_OK(file.write_at_end(line));
        file.end_ = static_cast<int64_t>(line.size());
    }
    return file;
}

Status RecordFile::write_at_end(const std::string & text) {
    if (::ftruncate(fd_.get(), end_) != 0) return cannot_write(record_.path, errno);  // appending then begins at end_
    if (const int error = write_all(fd_.get(), text)) return cannot_write(record_.path, error);
    if (::fsync(fd_.get()) != 0) return cannot_write(record_.path, errno);
    return ok_status();
}

Status RecordFile::append(ItemLine line) {
    const std::string text = write_line(line);
    KVT_CHECK_OK(write_at_end(text));
    end_ += static_cast<int64_t>(text.size());
    record_.summary = nullptr;
    put(record_.lines, std::move(line));
    return ok_status();
}

Status RecordFile::finish(const Json & summary) {
    const std::string text = json_text(Json{{"summary", summary}}) + "\n";
    KVT_CHECK_OK(write_at_end(text));
    record_.summary = summary;
    return ok_status();
}

}  // namespace kvt
