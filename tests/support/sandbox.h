// The sandbox for tests: skipped in clear words where this machine has none, failed where it does not hold.
#pragma once

#include <gtest/gtest.h>

#include "kvt/sandbox/sandbox.h"

// Declares `name`, a Result<Sandbox> that is ok.
#define KVT_SANDBOX_OR_SKIP(name)                                                        \
    const auto name = ::kvt::Sandbox::open();                                            \
    if (!name.ok() && name.error().message.find("does not hold") == std::string::npos) { \
        GTEST_SKIP() << "no sandbox on this machine: " << name.error().message;          \
    }                                                                                    \
    ASSERT_TRUE(name.ok()) << name.error().message
