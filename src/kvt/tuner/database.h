// SQLite as far as a study needs it: one connection, statements, every error as one line that names the file.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "kvt/base/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace kvt {

// --- Interface ---

class Database;

// A prepared statement; must not outlive its database. Parameters and columns count from 0.
class Statement {
public:
    void bind(int parameter, int64_t value);
    void bind(int parameter, double value);
    void bind(int parameter, const std::string & value);

    // True: there is a row to read; false: done. Errors: whatever the statement met, also in binding.
    Result<bool> step();
    // For statements without rows: step, then ready to be bound again; what is not bound is null.
    Status run();

    int64_t     integer(int column) const;
    double      number(int column) const;
    std::string text(int column) const;

private:
    friend class Database;
    struct Close {
        void operator()(sqlite3_stmt * statement) const;
    };
    Statement(const Database & database, sqlite3_stmt * statement) : database_(&database), statement_(statement) {}

    const Database *                     database_;
    std::unique_ptr<sqlite3_stmt, Close> statement_;
    int                                  bound_ = 0;  // first error of a binding, else 0
};

class Database {
public:
    enum class Access : uint8_t { read, write };  // write creates what does not exist

    // Waits up to 5 s where another process holds the file. Errors: cannot be opened.
    static Result<Database> open(const std::string & path, Access access);

    Result<Statement> prepare(const std::string & sql) const;
    // Statements without parameters and rows.
    Status run(const std::string & sql) const;
    // The first column of the first row. Errors: there is none.
    Result<std::string> text(const std::string & sql) const;
    Result<int64_t>     integer(const std::string & sql) const;

    // Errors: the file's structure is damaged.
    Status check() const;

    // The bytes of the file that this database is.
    Result<std::string> serialized() const;

    // "<path>: ..." for the last error of this connection.
    Error error(int code) const;

private:
    struct Close {
        void operator()(sqlite3 * handle) const;
    };
    explicit Database(std::string path) : path_(std::move(path)) {}

    std::string                     path_;
    std::unique_ptr<sqlite3, Close> handle_;
};

}  // namespace kvt
