// How much memory a process and all its descendants hold together.
#pragma once

#include <cstdint>

#include <sys/types.h>

namespace kvt {

// --- Interface ---

// Whether the tree under `root` holds more than `limit` bytes. Resident pages are summed first, which is quick and counts shared
// ones once for each process; only above the limit are they shared out (PSS), so that a forked copy of a large parent is no
// offence. Processes that end meanwhile, and those that /proc does not show, count nothing.
bool tree_holds_more(pid_t root, uint64_t limit);

}  // namespace kvt
