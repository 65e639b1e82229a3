#include "kvt/recipes/yaml_tree.h"

#include <algorithm>
#include <exception>
#include <sstream>
#include <stdexcept>

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include "kvt/plan/json_reader.h"

namespace kvt::recipes {

namespace {

constexpr size_t kMaxBytes = size_t(4) << 20;  // 4096 layers of 8 heads take 1.5 MiB
constexpr size_t kMaxItems = 4096;             // of one map; a plan has no more layers
constexpr size_t kMaxDepth = 4;

// Thrown inside of yaml-cpp's parser, caught in parse_yaml_map.
struct Refused : std::runtime_error {
    using std::runtime_error::runtime_error;
};

[[noreturn]] void refuse(const YAML::Mark & mark, const std::string & why) {
    throw Refused(fmt::format("line {}: {}", mark.line + 1, why));
}

// Events, not YAML::Node: only they show anchors, tags, quotes and repeated keys.
class Builder : public YAML::EventHandler {
public:
    bool     done = false;
    YamlNode root;

    void OnDocumentStart(const YAML::Mark & mark) override {
        if (done) refuse(mark, "a second document");
    }
    void OnDocumentEnd() override { done = true; }
    void OnNull(const YAML::Mark & mark, YAML::anchor_t) override { refuse(mark, "an empty value"); }
    void OnAlias(const YAML::Mark & mark, YAML::anchor_t) override { refuse(mark, "an alias"); }
    void OnSequenceStart(const YAML::Mark & mark, const std::string &, YAML::anchor_t, YAML::EmitterStyle::value) override {
        refuse(mark, "a list, where a map or a number belongs");
    }
    void OnSequenceEnd() override {}

    void OnScalar(const YAML::Mark & mark, const std::string & tag, YAML::anchor_t anchor, const std::string & value) override {
        check(mark, tag, anchor);
        if (tag == "!") refuse(mark, fmt::format("\"{}\" is quoted, a plain number belongs here", shown(value)));
        if (open_.empty()) refuse(mark, "a single value, where a map belongs");
        YamlNode & map = *open_.back().map;
        if (open_.back().at_key) {
            const bool twice = std::find(map.keys.begin(), map.keys.end(), value) != map.keys.end();
            if (twice) refuse(mark, fmt::format("\"{}\" is given twice", shown(value)));
            if (map.keys.size() == kMaxItems) refuse(mark, fmt::format("more than {} entries", kMaxItems));
            map.keys.push_back(value);
            map.values.push_back({false, {}, {}, {}, mark.line + 1});
            open_.back().at_key = false;
            return;
        }
        map.values.back()   = {false, value, {}, {}, mark.line + 1};
        open_.back().at_key = true;
    }

    void OnMapStart(const YAML::Mark & mark, const std::string & tag, YAML::anchor_t anchor, YAML::EmitterStyle::value) override {
        check(mark, tag, anchor);
        if (open_.size() == kMaxDepth) refuse(mark, fmt::format("more than {} levels", kMaxDepth));
        if (open_.empty()) {
            root = {true, {}, {}, {}, mark.line + 1};
            open_.push_back({&root, true});
            return;
        }
        if (open_.back().at_key) refuse(mark, "a map as a key");
        YamlNode & node     = open_.back().map->values.back();
        node                = {true, {}, {}, {}, mark.line + 1};
        open_.back().at_key = true;
        open_.push_back({&node, true});
    }
    void OnMapEnd() override { open_.pop_back(); }

private:
    struct Level {
        YamlNode * map;  // stays valid: its parent grows only after it is closed
        bool       at_key;
    };
    std::vector<Level> open_;

    static void check(const YAML::Mark & mark, const std::string & tag, YAML::anchor_t anchor) {
        if (anchor != 0) refuse(mark, "an anchor");
        if (tag != "?" && tag != "!" && !tag.empty()) refuse(mark, fmt::format("the tag \"{}\"", shown(tag)));
    }
};

}  // namespace

Result<YamlNode> parse_yaml_map(std::string_view text) {
    if (text.size() > kMaxBytes) return Error{fmt::format("{} bytes of YAML, more than the {} allowed", text.size(), kMaxBytes)};
    try {
        std::istringstream stream{std::string(text)};
        YAML::Parser       parser(stream);
        Builder            builder;
        while (parser.HandleNextDocument(builder)) {
        }
        if (!builder.root.is_map) return Error{"empty, where a map belongs"};
        return std::move(builder.root);
    } catch (const YAML::Exception & e) {
        return Error{fmt::format("line {}: not valid YAML: {}", e.mark.line + 1, e.msg)};
    } catch (const std::exception & e) {
        return Error{e.what()};
    }
}

}  // namespace kvt::recipes
