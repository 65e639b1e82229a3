// Progress of long work: an interface for libraries, which never print, and a flag that Ctrl-C sets.
#pragma once

#include <cstdint>
#include <string_view>

#include "kvt/base/result.h"

namespace kvt {

// --- Interface ---

class Progress {
public:
    virtual ~Progress() = default;
    // A new stage of `total` equal steps begins; done() counts steps; note() replaces the short text beside the bar.
    virtual void begin(std::string_view stage, int64_t total) = 0;
    virtual void done(int64_t steps)                          = 0;
    virtual void note(std::string_view text)                  = 0;
    virtual void end()                                        = 0;
};

Progress & no_progress();

// True once SIGINT or SIGTERM arrived (install_interrupt_handler); long loops check it between steps, save and return
// an Error whose message starts with "interrupted". A second signal, at least 0.3 s later,
// ends the process at once.
bool interrupted();
void install_interrupt_handler();

// The error of one part of a run with the part's name in front; an interrupt is no part's fault and stays as it is.
Error error_in(std::string_view part, const Error & error);

}  // namespace kvt
