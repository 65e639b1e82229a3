// splitmix64: the one generator of the project, equal on every library and machine; and seeds for it out of texts.
//
// Seed 1 gives 10451216379200822465, 13757245211066428519, 17911839290282890590. std:: distributions differ between
// libraries and are not used.
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace kvt {

// --- Interface ---

// The mixing of splitmix64 without its step.
constexpr uint64_t splitmix64_finaliser(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

constexpr uint64_t fnv1a64(std::string_view text) {
    uint64_t hash = 0xcbf29ce484222325u;
    for (const char c : text) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3u;
    return hash;
}

class SplitMix64 {
public:
    explicit SplitMix64(uint64_t seed) : state_(seed) {}

    uint64_t next() { return splitmix64_finaliser(state_ += 0x9e3779b97f4a7c15u); }

    double   uniform() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }  // [0, 1)
    uint64_t below(uint64_t n) { return next() % n; }

private:
    uint64_t state_;
};

// Fisher and Yates, from the end.
template <class T>
void shuffle(std::vector<T> & items, SplitMix64 & rng) {
    for (size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[rng.below(i)]);
}

}  // namespace kvt
