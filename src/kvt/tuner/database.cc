#include "kvt/tuner/database.h"

#include <cstring>

#include <fmt/format.h>
#include <sqlite3.h>

namespace kvt {

namespace {

constexpr int kWaitMs = 5000;

// SQLite quotes what it found in a damaged file, and lists findings line by line.
std::string one_line(std::string text) {
    for (char & c : text)
        if ((c >= 0 && c < ' ') || c == 127) c = ' ';
    return text;
}

std::string reason(sqlite3 * handle, int code) {
    const std::string said = one_line(handle != nullptr ? sqlite3_errmsg(handle) : sqlite3_errstr(code));
    switch (code & 0xff) {
        case SQLITE_NOTADB:
        case SQLITE_CORRUPT:
            return fmt::format("damaged, or not a study of kvtuner ({}); remove it, or start over with --fresh", said);
        case SQLITE_FULL:
            return "the disk is full; nothing that was saved is lost: free some space and run the same command again";
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
            return fmt::format("in use by another program ({}): wait until it has finished", said);
        default:
            break;
    }
    const int system = handle != nullptr ? sqlite3_system_errno(handle) : 0;
    return system != 0 ? fmt::format("{} ({})", said, std::strerror(system)) : said;
}

}  // namespace

void Statement::Close::operator()(sqlite3_stmt * statement) const { sqlite3_finalize(statement); }
void Database::Close::operator()(sqlite3 * handle) const { sqlite3_close_v2(handle); }

void Statement::bind(int parameter, int64_t value) {
    const int code = sqlite3_bind_int64(statement_.get(), parameter + 1, value);
    if (bound_ == SQLITE_OK) bound_ = code;
}

void Statement::bind(int parameter, double value) {
    const int code = sqlite3_bind_double(statement_.get(), parameter + 1, value);
    if (bound_ == SQLITE_OK) bound_ = code;
}

void Statement::bind(int parameter, const std::string & value) {
    const int code =
        sqlite3_bind_text64(statement_.get(), parameter + 1, value.data(), value.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
    if (bound_ == SQLITE_OK) bound_ = code;
}

Result<bool> Statement::step() {
    if (bound_ != SQLITE_OK) return database_->error(bound_);
    const int code = sqlite3_step(statement_.get());
    if (code == SQLITE_ROW) return true;
    if (code == SQLITE_DONE) return false;
    return database_->error(code);
}

Status Statement::run() {
    auto done = step();
    sqlite3_reset(statement_.get());
    sqlite3_clear_bindings(statement_.get());
    if (!done.ok()) return done.error();
    return ok_status();
}

int64_t Statement::integer(int column) const { return sqlite3_column_int64(statement_.get(), column); }
double  Statement::number(int column) const { return sqlite3_column_double(statement_.get(), column); }

std::string Statement::text(int column) const {
    const unsigned char * bytes = sqlite3_column_text(statement_.get(), column);
    const int             size  = sqlite3_column_bytes(statement_.get(), column);
    return bytes == nullptr ? std::string() : std::string(reinterpret_cast<const char *>(bytes), static_cast<size_t>(size));
}

Result<Database> Database::open(const std::string & path, Access access) {
    Database  database(path);
    sqlite3 * handle = nullptr;
    const int flags  = access == Access::read ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    const int code   = sqlite3_open_v2(path.c_str(), &handle, flags, nullptr);
    database.handle_.reset(handle);
    if (code != SQLITE_OK) return database.error(code);
    sqlite3_extended_result_codes(handle, 1);
    sqlite3_busy_timeout(handle, kWaitMs);
    return database;
}

Result<Statement> Database::prepare(const std::string & sql) const {
    sqlite3_stmt * statement = nullptr;
    const int      code      = sqlite3_prepare_v2(handle_.get(), sql.c_str(), -1, &statement, nullptr);
    if (code != SQLITE_OK) return error(code);
    return Statement(*this, statement);
}

Status Database::run(const std::string & sql) const {
    const int code = sqlite3_exec(handle_.get(), sql.c_str(), nullptr, nullptr, nullptr);
    if (code != SQLITE_OK) return error(code);
    return ok_status();
}

Result<std::string> Database::text(const std::string & sql) const {
    KVT_TRY(Statement statement, prepare(sql));
    KVT_TRY(const bool row, statement.step());
    if (!row) return Error{fmt::format("{}: no row for {}", path_, sql)};
    return statement.text(0);
}

Result<int64_t> Database::integer(const std::string & sql) const {
    KVT_TRY(Statement statement, prepare(sql));
    KVT_TRY(const bool row, statement.step());
    if (!row) return Error{fmt::format("{}: no row for {}", path_, sql)};
    return statement.integer(0);
}

Status Database::check() const {
    const Result<std::string> found =
        text("PRAGMA quick_check(1)");  // not KVT_TRY: g++ 12 takes the moved text for uninitialized
    if (!found.ok()) return found.error();
    if (*found == "ok") return ok_status();
    return Error{fmt::format("{}: damaged ({}); remove it, or start over with --fresh", path_, one_line(*found))};
}

Result<std::string> Database::serialized() const {
    sqlite3_int64                                          size = 0;
    const std::unique_ptr<unsigned char, void (*)(void *)> bytes(sqlite3_serialize(handle_.get(), "main", &size, 0),
                                                                 sqlite3_free);
    if (!bytes) return error(SQLITE_NOMEM);
    return std::string(reinterpret_cast<const char *>(bytes.get()), static_cast<size_t>(size));
}

Error Database::error(int code) const { return Error{fmt::format("{}: {}", path_, reason(handle_.get(), code))}; }

}  // namespace kvt
