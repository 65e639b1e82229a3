#include "kvt/tasks/code/lcb_files.h"

#include <map>

#include <fmt/format.h>

#include "kvt/base/progress.h"

namespace kvt {

Result<std::vector<LcbFileCount>> read_lcb_files(const std::vector<std::string> & paths, const LcbWindow & window,
                                                 const std::function<Status(LcbHead, const JsonRow &)> & use,
                                                 const std::function<void()> &                           after_file) {
    std::vector<LcbFileCount>          files;
    std::map<std::string, std::string> seen;  // question_id -> place
    for (const std::string & path : paths) {
        LcbFileCount & count = files.emplace_back(LcbFileCount{path, 0, 0});
        KVT_TRY(JsonLines lines, JsonLines::open(path));
        while (true) {
            if (interrupted()) return Error{"interrupted"};
            KVT_TRY(const auto row, lines.next());
            if (!row) break;
            KVT_TRY(LcbHead head, lcb_head(*row));
            const auto [first, fresh] = seen.emplace(head.id, row->where);
            if (!fresh) return Error{fmt::format("{}: question {} stands in {} already", row->where, head.id, first->second)};
            ++count.rows;
            if (!window.holds(head.date)) continue;
            ++count.kept;
            KVT_CHECK_OK(use(std::move(head), *row));
        }
        after_file();
    }
    return files;
}

int64_t all_rows(const std::vector<LcbFileCount> & files) {
    int64_t rows = 0;
    for (const LcbFileCount & file : files) rows += file.rows;
    return rows;
}

}  // namespace kvt
