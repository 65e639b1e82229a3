// Errors as values: Result<T> holds a T or an Error whose message names the offending value and what to do.
//
// Libraries return Result; only the top of the command-line program turns an Error into text and an exit code.
#pragma once

#include <string>
#include <utility>
#include <variant>

namespace kvt {

// --- Interface ---

struct Error {
    std::string message;
};

struct Unit {};

template <class T>
class [[nodiscard]] Result {
public:
    Result(T value) : state_(std::move(value)) {}
    Result(Error error) : state_(std::move(error)) {}

    bool     ok() const { return state_.index() == 0; }
    explicit operator bool() const { return ok(); }

    T &       value() & { return std::get<0>(state_); }
    const T & value() const & { return std::get<0>(state_); }
    T &&      value() && { return std::get<0>(std::move(state_)); }
    T &       operator*() & { return value(); }
    const T & operator*() const & { return value(); }
    T *       operator->() { return &value(); }
    const T * operator->() const { return &value(); }

    const Error & error() const { return std::get<1>(state_); }

private:
    std::variant<T, Error> state_;
};

using Status = Result<Unit>;

inline Status ok_status() { return Unit{}; }

#define KVT_CONCAT_(a, b) a##b
#define KVT_CONCAT(a, b) KVT_CONCAT_(a, b)

// KVT_TRY(auto x, expression): binds the value, or returns the Error to the caller.
#define KVT_TRY(decl, expr) KVT_TRY_(decl, expr, KVT_CONCAT(kvt_try_, __LINE__))
#define KVT_TRY_(decl, expr, tmp)      \
    auto tmp = (expr);                 \
    if (!tmp.ok()) return tmp.error(); \
    decl = std::move(tmp).value()

// KVT_CHECK_OK(expression): the same for a Status whose value carries nothing.
#define KVT_CHECK_OK(expr)                               \
    do {                                                 \
        auto kvt_status = (expr);                        \
        if (!kvt_status.ok()) return kvt_status.error(); \
    } while (false)

}  // namespace kvt
