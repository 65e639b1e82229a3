#include "kvt/sandbox/tree_memory.h"

#include <charconv>
#include <string>
#include <vector>

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <fmt/format.h>

#include "kvt/base/descriptor.h"

namespace kvt {

// --- Implementation ---

namespace {

// A small file of /proc; empty if it is gone.
std::string proc_text(const std::string & path) {
    const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    std::string      text;
    char             buffer[4096];
    for (ssize_t n; file.open() && (n = ::read(file.get(), buffer, sizeof buffer)) > 0;)
        text.append(buffer, static_cast<size_t>(n));
    return text;
}

// The first number in `text` from `at` on; 0 if there is none.
uint64_t number_at(const std::string & text, size_t at) {
    uint64_t value = 0;
    at             = text.find_first_of("0123456789", at);
    if (at != std::string::npos) std::from_chars(text.data() + at, text.data() + text.size(), value);
    return value;
}

// Whom the threads of `pid` have forked.
void add_children(pid_t pid, std::vector<pid_t> & out) {
    const std::string folder = fmt::format("/proc/{}/task", pid);
    DIR *             dir    = ::opendir(folder.c_str());
    if (dir == nullptr) return;
    while (const dirent * entry = ::readdir(dir)) {
        if (entry->d_name[0] == '.') continue;
        const std::string list = proc_text(fmt::format("{}/{}/children", folder, entry->d_name));
        for (size_t at = 0; (at = list.find_first_not_of(' ', at)) != std::string::npos; at = list.find(' ', at)) {
            out.push_back(static_cast<pid_t>(number_at(list, at)));
        }
    }
    ::closedir(dir);
}

uint64_t resident(pid_t pid) {
    static const auto page = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
    const std::string text = proc_text(fmt::format("/proc/{}/statm", pid));  // size, resident, ... in pages
    return text.empty() ? 0 : page * number_at(text, text.find(' '));
}

uint64_t proportional(pid_t pid) {
    const std::string text = proc_text(fmt::format("/proc/{}/smaps_rollup", pid));
    const size_t      at   = text.find("\nPss:");
    return at == std::string::npos ? resident(pid) : number_at(text, at) * 1024;
}

}  // namespace

bool tree_holds_more(pid_t root, uint64_t limit) {
    std::vector<pid_t> tree{root};
    for (size_t i = 0; i < tree.size(); ++i) add_children(tree[i], tree);
    for (const auto size_of : {resident, proportional}) {
        uint64_t sum = 0;
        for (const pid_t pid : tree) sum += size_of(pid);
        if (sum <= limit) return false;
    }
    return true;
}

}  // namespace kvt
