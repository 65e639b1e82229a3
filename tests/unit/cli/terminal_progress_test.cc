#include "kvt/cli/terminal_progress.h"

#include <string>

#include <gtest/gtest.h>

namespace kvt::cli {
namespace {

// Runs `use` with a clock that it sets, and returns what was written.
template <class Use>
std::string written(TerminalProgress::Mode mode, Use && use) {
    std::FILE * file = std::tmpfile();
    double      now  = 100;
    {
        TerminalProgress progress(file, mode, [&now] { return now; });
        use(progress, now);
    }
    std::string text(static_cast<size_t>(std::ftell(file)), '\0');
    std::rewind(file);
    EXPECT_EQ(std::fread(text.data(), 1, text.size(), file), text.size());
    std::fclose(file);
    return text;
}

TEST(TerminalProgress, LogsALineEveryTenSeconds) {
    const std::string text = written(TerminalProgress::Mode::lines, [](TerminalProgress & p, double & now) {
        p.begin("search", 20);
        now += 9;
        p.done(4);
        now += 3;
        p.done(4);
        now += 1;
        p.note("best 0.0123");
        p.done(12);
        p.end();
    });
    EXPECT_EQ(text,
              "search: started, 20 steps\n"
              "search: 40 % (8 of 20), 0:18 left\n"
              "search: done in 0:13, best 0.0123\n");
}

TEST(TerminalProgress, BarIsRedrawnInPlaceAndThrottled) {
    const std::string text = written(TerminalProgress::Mode::bar, [](TerminalProgress & p, double & now) {
        p.begin("search", 4);
        now += 0.05;
        p.done(1);  // too soon to draw
        now += 9.95;
        p.done(1);
        p.end();
    });
    EXPECT_EQ(text,
              "\r\033[Ksearch [--------------------]   0 %"
              "\r\033[Ksearch [##########----------]  50 %  0:10 left"
              "\r\033[Ksearch: stopped in 0:10\n");
}

TEST(TerminalProgress, ClearsItsLineWhenAnErrorCutsItShort) {
    const std::string text = written(TerminalProgress::Mode::bar, [](TerminalProgress & p, double &) { p.begin("search", 4); });
    EXPECT_TRUE(text.ends_with("\r\033[K"));
}

TEST(TerminalProgress, SurvivesOddUse) {
    const std::string text = written(TerminalProgress::Mode::lines, [](TerminalProgress & p, double & now) {
        p.end();
        p.done(3);
        p.begin("empty", 0);
        now += 20;
        p.done(5);
        p.begin("next", 1);  // ends the first
        p.done(7);
        p.end();
        p.end();
    });
    EXPECT_EQ(text,
              "empty: started, 0 steps\n"
              "empty: 0 % (0 of 0)\n"
              "empty: done in 0:20\n"
              "next: started, 1 steps\n"
              "next: done in 0:00\n");
}

}  // namespace
}  // namespace kvt::cli
