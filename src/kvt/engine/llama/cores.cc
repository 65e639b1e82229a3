#include "kvt/engine/llama/cores.h"

#include <sched.h>

#include <algorithm>
#include <fstream>
#include <set>
#include <string>

#include <fmt/format.h>

namespace kvt {

// --- Implementation ---

int usable_cores() {
    cpu_set_t mask;
    CPU_ZERO(&mask);
    if (sched_getaffinity(0, sizeof(mask), &mask) != 0) return 1;
    std::set<std::string> cores;
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
        if (!CPU_ISSET(static_cast<size_t>(cpu), &mask)) continue;
        std::ifstream siblings(fmt::format("/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list", cpu));
        std::string   list;
        if (!std::getline(siblings, list)) list = fmt::format("cpu{}", cpu);
        cores.insert(list);
    }
    return std::max(1, static_cast<int>(cores.size()));
}

}  // namespace kvt
