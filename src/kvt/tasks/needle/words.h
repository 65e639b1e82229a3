// Words, numbers and sentences that needle tasks hide and hide them in, drawn from one generator an item.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "kvt/base/result.h"
#include "kvt/base/rng.h"

namespace kvt::tasks {

// --- Interface ---

// Lines trimmed, only [a-z]+, without repeats, in file order. Errors: an unreadable file, a list that is then empty.
Result<std::vector<std::string>> load_words(const std::string & path);

struct WordLists {
    std::vector<std::string> adjectives, nouns;
};
Result<WordLists> shipped_words();

// Lines that begin with " =" dropped, the rest split behind " . ". Errors: unreadable, not UTF-8, no sentence.
Result<std::vector<std::string>> wiki_sentences(const std::string & path, std::string & sha256);

std::string draw_word_key(SplitMix64 & rng, const WordLists & words);  // "{adjective}-{noun}"
std::string draw_number(SplitMix64 & rng, int digits);                 // the first digit is not 0
std::string draw_letters(SplitMix64 & rng, char first, int n);         // n of the 26 letters from `first`
std::string draw_uuid(SplitMix64 & rng);                               // version 4, lower-case

// The generator of an item: a function of task, length, index and seed.
SplitMix64 item_generator(std::string_view task, int length, size_t index, uint64_t seed);

// Calls draw(rng) until the result is not in `used`, and puts it there.
template <class Draw>
std::string draw_new(SplitMix64 & rng, std::set<std::string> & used, Draw draw) {
    while (true) {
        std::string value = draw(rng);
        if (used.insert(value).second) return value;
    }
}

inline constexpr char kNoise[] = "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again.";

}  // namespace kvt::tasks
