#include "kvt/tasks/needle/words.h"

#include <algorithm>

#include <fmt/format.h>

#include "kvt/base/file_io.h"
#include "kvt/base/rng.h"
#include "kvt/base/sha256.h"
#include "kvt/base/shipped_data.h"
#include "kvt/base/utf8.h"
#include "kvt/tasks/text.h"

namespace kvt::tasks {

Result<std::vector<std::string>> load_words(const std::string & path) {
    KVT_TRY(const std::string bytes, read_file(path));
    std::vector<std::string> words;
    std::set<std::string>    seen;
    for (const std::string_view line : split(bytes, "\n")) {
        const std::string word(trimmed(line));
        const bool plain = !word.empty() && std::all_of(word.begin(), word.end(), [](char c) { return c >= 'a' && c <= 'z'; });
        if (plain && seen.insert(word).second) words.push_back(word);
    }
    if (words.empty()) return Error{fmt::format("\"{}\": no line is a word of lower-case letters", path)};
    return words;
}

Result<WordLists> shipped_words() {
    KVT_TRY(const std::string adjectives, shipped_data("ruler_words/adjectivelist.txt"));
    KVT_TRY(const std::string nouns, shipped_data("ruler_words/nounlist.txt"));
    WordLists words;
    KVT_TRY(words.adjectives, load_words(adjectives));
    KVT_TRY(words.nouns, load_words(nouns));
    return words;
}

Result<std::vector<std::string>> wiki_sentences(const std::string & path, std::string & sha256) {
    KVT_TRY(const std::string bytes, read_file(path));
    sha256 = sha256_hex(bytes);
    if (!is_utf8(bytes)) return Error{fmt::format("\"{}\": not UTF-8", path)};
    std::vector<std::string> sentences;
    for (const std::string_view line : split(bytes, "\n")) {
        if (line.starts_with(" =")) continue;
        const auto parts = split(line, " . ");
        for (size_t i = 0; i < parts.size(); ++i) {
            const std::string_view part = trimmed(parts[i]);
            if (!part.empty()) sentences.push_back(std::string(part) + (i + 1 < parts.size() ? " ." : ""));
        }
    }
    if (sentences.empty()) return Error{fmt::format("\"{}\": holds no sentence", path)};
    return sentences;
}

std::string draw_word_key(SplitMix64 & rng, const WordLists & words) {
    const std::string adjective = words.adjectives[rng.below(words.adjectives.size())];
    return adjective + "-" + words.nouns[rng.below(words.nouns.size())];
}

std::string draw_number(SplitMix64 & rng, int digits) {
    std::string number(1, static_cast<char>('1' + rng.below(9)));
    for (int i = 1; i < digits; ++i) number += static_cast<char>('0' + rng.below(10));
    return number;
}

std::string draw_letters(SplitMix64 & rng, char first, int n) {
    std::string letters;
    for (int i = 0; i < n; ++i) letters += static_cast<char>(first + static_cast<int>(rng.below(26)));
    return letters;
}

std::string draw_uuid(SplitMix64 & rng) {
    const uint64_t high = (rng.next() & ~uint64_t{0xf000}) | 0x4000,
                   low  = (rng.next() & ~(uint64_t{3} << 62)) | uint64_t{1} << 63;
    return fmt::format("{:08x}-{:04x}-{:04x}-{:04x}-{:012x}", high >> 32, high >> 16 & 0xffff, high & 0xffff, low >> 48,
                       low & 0xffffffffffff);
}

SplitMix64 item_generator(std::string_view task, int length, size_t index, uint64_t seed) {
    return SplitMix64(splitmix64_finaliser(fnv1a64(fmt::format("{}\n{}\n{}\n{}", task, length, index, seed))));
}

}  // namespace kvt::tasks
