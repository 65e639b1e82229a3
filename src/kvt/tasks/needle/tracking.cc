// vt: a chain of variable assignments in noise; fwe: the most frequent words of a coded text.
#include <cmath>
#include <numbers>

#include <fmt/format.h>

#include "kvt/base/sha256.h"
#include "kvt/tasks/needle/fitted_task.h"
#include "kvt/tasks/needle/words.h"
#include "kvt/tasks/openers.h"

namespace kvt::tasks {

namespace {

constexpr int kChain = 5;
constexpr int kTop   = 3;

class VariableTracking : public FittedTask {
public:
    using FittedTask::FittedTask;

protected:
    bool enough(int units) const override { return units >= kChain; }

    std::vector<std::string> references(size_t index) const override {
        SplitMix64 rng = item_generator("vt", options_.length, index, options_.seed);
        return names(rng);
    }

    TaskItem item_of(size_t index, int units) const override {
        SplitMix64        rng   = item_generator("vt", options_.length, index, options_.seed);
        const auto        chain = names(rng);
        const std::string value = draw_number(rng, 5);
        std::set<size_t>  places;
        while (places.size() < kChain) places.insert(rng.below(static_cast<size_t>(units) + 1));
        std::string context;
        size_t      next = 0;
        const auto  add  = [&](const std::string & text) { context.append(context.empty() ? "" : "\n").append(text); };
        for (size_t unit = 0; unit <= static_cast<size_t>(units); ++unit) {
            if (places.contains(unit)) {
                add(next == 0 ? fmt::format("VAR {} = {}", chain[0], value)
                              : fmt::format("VAR {} = VAR {}", chain[next], chain[next - 1]));
                ++next;
            }
            if (unit < static_cast<size_t>(units)) add(kNoise);
        }
        TaskItem item;
        item.turns.push_back(
            {Turn::Role::user, fmt::format("Memorize and track the chain(s) of variable assignment hidden in the following "
                                           "text.\n\n{}\nQuestion: Find all variables that are assigned the value {} in "
                                           "the text above.",
                                           context, value)});
        item.answer_prefix = fmt::format(
            " Answer: According to the chain(s) of variable assignment in the text above, {} variables are "
            "assgined the value {}, they are: ",  // upstream's spelling
            kChain, value);
        return item;
    }

private:
    static std::vector<std::string> names(SplitMix64 & rng) {
        std::set<std::string>    used;
        std::vector<std::string> chain;
        for (int i = 0; i < kChain; ++i)
            chain.push_back(draw_new(rng, used, [](SplitMix64 & r) { return draw_letters(r, 'A', 5); }));
        return chain;
    }
};

class FrequentWords : public FittedTask {
public:
    using FittedTask::FittedTask;

protected:
    bool enough(int units) const override { return count(units, 5) > 0 && count(units, 4) > count(units, 5); }

    std::vector<std::string> references(size_t index) const override {
        SplitMix64            rng = item_generator("fwe", options_.length, index, options_.seed);
        std::set<std::string> used;
        return draw_top(rng, used);
    }

    TaskItem item_of(size_t index, int units) const override {
        SplitMix64               rng = item_generator("fwe", options_.length, index, options_.seed);
        std::set<std::string>    used;
        const auto               top = draw_top(rng, used);
        std::vector<std::string> words(static_cast<size_t>(count(units, 1)), "...");
        for (int rank = 2; count(units, rank) > 0; ++rank) {
            const bool        asked = rank <= kTop + 1;
            const std::string word  = asked ? top[static_cast<size_t>(rank - 2)] : draw_new(rng, used, coded_word);
            // Ranks 4 and 5 must differ: between two units they may not, then rank 5 gives one away.
            const int fewer = rank >= kTop + 2 && count(units, rank) == count(units, kTop + 1) ? 1 : 0;
            words.insert(words.end(), static_cast<size_t>(count(units, rank) - fewer), word);
        }
        shuffle(words, rng);
        std::string text;
        for (const std::string & word : words) text.append(text.empty() ? "" : " ").append(word);
        TaskItem item;
        item.turns.push_back({Turn::Role::user, fmt::format("Read the following coded text and track the frequency of each coded "
                                                            "word. Find the three most frequently appeared "
                                                            "coded words. {}\nQuestion: Do not provide any explanation. Please "
                                                            "ignore the dots '....'. What are the three most "
                                                            "frequently appeared words in the above coded text?",
                                                            text)});
        item.answer_prefix = " Answer: According to the coded text above, the three most frequently appeared words are:";
        return item;
    }

private:
    // Words of a rank among `units`: its share is rank^-2 / zeta(2).
    static int count(int units, int rank) {
        constexpr double kZeta2 = std::numbers::pi * std::numbers::pi / 6;
        return static_cast<int>(std::floor(units / (kZeta2 * rank * rank)));
    }
    static std::string              coded_word(SplitMix64 & rng) { return draw_letters(rng, 'a', 6); }
    static std::vector<std::string> draw_top(SplitMix64 & rng, std::set<std::string> & used) {
        std::vector<std::string> top;
        for (int i = 0; i < kTop; ++i) top.push_back(draw_new(rng, used, coded_word));
        return top;
    }
};

}  // namespace

Result<std::unique_ptr<Task>> open_tracking(const TaskOptions & options) {
    const bool chain = options.name == "vt";
    KVT_TRY(TaskHeader header, fitted_header(options, chain ? 30 : 50));
    KVT_CHECK_OK(no_data_files(options));
    header.data_name   = "none";
    header.data_sha256 = sha256_hex("");
    if (chain) return std::unique_ptr<Task>(new VariableTracking(std::move(header), options));
    return std::unique_ptr<Task>(new FrequentWords(std::move(header), options));
}

}  // namespace kvt::tasks
