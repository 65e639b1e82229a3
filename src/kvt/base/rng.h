// splitmix64: the one generator of the project, equal on every library and machine.
//
// Seed 1 gives 10451216379200822465, 13757245211066428519, 17911839290282890590. std:: distributions differ between
// libraries and are not used.
#pragma once

#include <cstdint>

namespace kvt {

// --- Interface ---

class SplitMix64 {
public:
    explicit SplitMix64(uint64_t seed) : state_(seed) {}

    uint64_t next() {
        uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
        z          = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z          = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        return z ^ (z >> 31);
    }

    double   uniform() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }  // [0, 1)
    uint64_t below(uint64_t n) { return next() % n; }

private:
    uint64_t state_;
};

}  // namespace kvt
