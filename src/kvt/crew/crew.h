// Processes that share the work of one run: rank 0 hands it out, the others do it. Only messages pass between them.
#pragma once

#include <optional>
#include <string>

#include "kvt/base/result.h"

namespace kvt {

// --- Interface ---

// A process that has not been heard for so long is lost: dead, stopped, or cut off.
inline constexpr double kLostSeconds = 30;

class Crew {
public:
    virtual ~Crew() = default;

    virtual int rank() const = 0;
    virtual int size() const = 0;  // ranks 0 .. size - 1

    // Returns at once; messages between two ranks arrive in their order, or not at all.
    virtual void send(int to, const std::string & bytes) = 0;

    struct Message {
        int         from = 0;
        std::string bytes;
    };
    // The next message, waited for at most so long.
    virtual std::optional<Message> receive(double seconds) = 0;

    // Since anything was heard of a rank, the sign of life that every process gives while it works included.
    virtual double silence(int rank) const = 0;
};

}  // namespace kvt
