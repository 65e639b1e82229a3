// Needles in a haystack: niah_* in noise or among other needles, wiki_* in sentences of WikiText-2.
#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "kvt/base/file_io.h"
#include "kvt/base/sha256.h"
#include "kvt/tasks/needle/fitted_task.h"
#include "kvt/tasks/needle/words.h"
#include "kvt/tasks/openers.h"

namespace kvt::tasks {

namespace {

enum class Haystack { noise, needles, wiki };
enum class Kind { word, number, uuid };

struct Layout {
    std::string_view name;
    Haystack         haystack;
    Kind             key, value;
    int              keys, values, queries;  // needles: keys * values
};

constexpr Layout kLayouts[] = {
    {"niah_single_1", Haystack::noise, Kind::word, Kind::number, 1, 1, 1},
    {"niah_multikey_2", Haystack::needles, Kind::word, Kind::number, 1, 1, 1},
    {"niah_multikey_3", Haystack::needles, Kind::uuid, Kind::uuid, 1, 1, 1},
    {"wiki_single_2", Haystack::wiki, Kind::word, Kind::number, 1, 1, 1},
    {"wiki_single_3", Haystack::wiki, Kind::word, Kind::uuid, 1, 1, 1},
    {"wiki_multikey_1", Haystack::wiki, Kind::word, Kind::number, 4, 1, 1},
    {"wiki_multivalue", Haystack::wiki, Kind::word, Kind::number, 1, 4, 1},
    {"wiki_multiquery", Haystack::wiki, Kind::word, Kind::number, 4, 1, 4},
};

struct Needle {
    std::string key;
    std::string value;
};

// Needles of an item; those asked for come first. `used` and `rng` go on to the haystack.
struct Drawn {
    std::vector<Needle>   needles;
    std::set<std::string> used;
    SplitMix64            rng;
};

class Niah : public FittedTask {
public:
    Niah(TaskHeader header, const TaskOptions & options, const Layout & layout, WordLists words,
         std::vector<std::string> sentences)
        : FittedTask(std::move(header), options), layout_(layout), words_(std::move(words)), sentences_(std::move(sentences)) {}

protected:
    int max_units() const override {
        return layout_.haystack == Haystack::wiki ? static_cast<int>(sentences_.size()) : FittedTask::max_units();
    }

    std::vector<std::string> references(size_t index) const override {
        std::vector<std::string> values;
        const Drawn              drawn = draw(index);
        for (int i = 0; i < layout_.queries * layout_.values; ++i) values.push_back(drawn.needles[static_cast<size_t>(i)].value);
        return values;
    }

    TaskItem item_of(size_t index, int units) const override {
        Drawn                    drawn = draw(index);
        std::vector<std::string> queries;
        for (int i = 0; i < layout_.queries; ++i) queries.push_back(drawn.needles[static_cast<size_t>(i * layout_.values)].key);
        // Places before units: the depth of a single needle, else distinct random ones.
        TaskItem         item;
        std::set<size_t> places;
        if (drawn.needles.size() == 1) {
            const int step  = static_cast<int>(index) % kDepths;
            const int depth = (200 * step + kDepths - 1) / (2 * (kDepths - 1));  // round(100 step / 39)
            places.insert(static_cast<size_t>(units) * static_cast<size_t>(depth) / 100);
            item.groups["depth"] = std::to_string(depth);
        } else {
            SplitMix64   rng = item_generator(layout_.name, units, index, options_.seed);
            const size_t n   = std::min(drawn.needles.size(), static_cast<size_t>(units) + 1);
            while (places.size() < n) places.insert(rng.below(static_cast<size_t>(units) + 1));
        }
        std::vector<Needle> hidden = drawn.needles;
        shuffle(hidden, drawn.rng);

        const char * separator = layout_.haystack == Haystack::wiki ? " " : "\n";
        std::string  context;
        const auto   add  = [&](const std::string & text) { context.append(context.empty() ? "" : separator).append(text); };
        size_t       next = 0;
        for (size_t unit = 0; unit <= static_cast<size_t>(units); ++unit) {
            if (places.contains(unit)) add(sentence(hidden[next++]));
            if (unit == static_cast<size_t>(units)) break;
            add(layout_.haystack == Haystack::noise  ? kNoise
                : layout_.haystack == Haystack::wiki ? sentences_[unit]
                                                     : sentence(draw_needle(drawn)));
        }
        const bool        one = layout_.queries * layout_.values == 1;
        const std::string query =
            queries.size() == 1 ? queries[0]
                                : fmt::format("{}, and {}", fmt::join(queries.begin(), queries.end() - 1, ", "), queries.back());
        const std::string type(kind_name(one));
        item.turns.push_back(
            {Turn::Role::user,
             fmt::format(
                 "{} hidden within the following text. Make sure to memorize it. I will quiz you about the {} afterwards.\n{}\n"
                 "What {} special magic {} for {} mentioned in the provided text?",
                 one ? "A special magic " + type + " is" : "Some special magic " + type + " are", type, context,
                 one ? "is the" : "are all the", type, query)});
        item.answer_prefix =
            fmt::format(" The special magic {} for {} mentioned in the provided text {}", type, query, one ? "is" : "are");
        return item;
    }

private:
    std::string_view kind_name(bool one) const {
        if (layout_.value == Kind::uuid) return one ? "uuid" : "uuids";
        return one ? "number" : "numbers";
    }
    std::string sentence(const Needle & needle) const {
        return fmt::format("One of the special magic {} for {} is: {}.", kind_name(false), needle.key, needle.value);
    }
    std::string draw_value(SplitMix64 & rng) const { return layout_.value == Kind::uuid ? draw_uuid(rng) : draw_number(rng, 7); }

    Needle draw_needle(Drawn & drawn) const {
        Needle needle;
        needle.key   = draw_new(drawn.rng, drawn.used, [&](SplitMix64 & rng) {
            return layout_.key == Kind::uuid ? draw_uuid(rng) : draw_word_key(rng, words_);
        });
        needle.value = draw_value(drawn.rng);
        return needle;
    }

    Drawn draw(size_t index) const {
        Drawn drawn{{}, {}, item_generator(layout_.name, options_.length, index, options_.seed)};
        for (int k = 0; k < layout_.keys; ++k) {
            drawn.needles.push_back(draw_needle(drawn));
            for (int v = 1; v < layout_.values; ++v) {
                drawn.needles.push_back({drawn.needles.back().key, draw_value(drawn.rng)});
            }
        }
        return drawn;
    }

    Layout                   layout_;
    WordLists                words_;
    std::vector<std::string> sentences_;
};

}  // namespace

Result<std::unique_ptr<Task>> open_needle(const TaskOptions & options) {
    const Layout & layout =
        *std::find_if(std::begin(kLayouts), std::end(kLayouts), [&](const Layout & l) { return l.name == options.name; });
    KVT_TRY(TaskHeader header, fitted_header(options, 128));
    KVT_TRY(WordLists words, shipped_words());
    std::vector<std::string> sentences;
    if (layout.haystack == Haystack::wiki) {
        KVT_TRY(const auto paths, data_files(options, {"wikitext2/wiki.test.head.raw"}));
        KVT_TRY(sentences, wiki_sentences(paths[0], header.data_sha256));
        header.data_name = file_name(paths[0]);
    } else {
        KVT_CHECK_OK(no_data_files(options));
        header.data_name   = "ruler_words";
        header.data_sha256 = sha256_hex(fmt::format("{}\n{}", fmt::join(words.adjectives, "\n"), fmt::join(words.nouns, "\n")));
    }
    return std::unique_ptr<Task>(new Niah(std::move(header), options, layout, std::move(words), std::move(sentences)));
}

}  // namespace kvt::tasks
