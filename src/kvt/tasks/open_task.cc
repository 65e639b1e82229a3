// The table of tasks.
#include <algorithm>
#include <iterator>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "kvt/tasks/code/humaneval.h"
#include "kvt/tasks/code/livecodebench.h"
#include "kvt/tasks/openers.h"

namespace kvt {

namespace {

struct Entry {
    std::string_view name;
    Result<std::unique_ptr<Task>> (*open)(const TaskOptions &);
    bool makes_own_items = false;
};

constexpr Entry kTasks[] = {
    {"gsm8k", tasks::open_gsm8k},
    {"math500", tasks::open_math500},
    {"aime24", tasks::open_aime},
    {"aime25", tasks::open_aime},
    {"gpqa", tasks::open_gpqa},
    {"humaneval", open_humaneval},
    {"livecodebench", open_livecodebench},
    {"niah_single_1", tasks::open_needle, true},
    {"niah_multikey_2", tasks::open_needle, true},
    {"niah_multikey_3", tasks::open_needle, true},
    {"wiki_single_2", tasks::open_needle},
    {"wiki_single_3", tasks::open_needle},
    {"wiki_multikey_1", tasks::open_needle},
    {"wiki_multivalue", tasks::open_needle},
    {"wiki_multiquery", tasks::open_needle},
    {"vt", tasks::open_tracking, true},
    {"fwe", tasks::open_tracking, true},
};

}  // namespace

std::vector<std::string> task_names() {
    std::vector<std::string> names;
    for (const Entry & entry : kTasks) names.emplace_back(entry.name);
    return names;
}

bool makes_own_items(std::string_view task) {
    return std::any_of(std::begin(kTasks), std::end(kTasks),
                       [&](const Entry & e) { return e.name == task && e.makes_own_items; });
}

Result<std::unique_ptr<Task>> open_task(const TaskOptions & options) {
    for (const Entry & entry : kTasks) {
        if (entry.name == options.name) return entry.open(options);
    }
    std::string known;
    for (const Entry & entry : kTasks) known += (known.empty() ? "" : ", ") + std::string(entry.name);
    return Error{fmt::format("there is no task \"{}\" (known: {})", options.name, known)};
}

}  // namespace kvt
