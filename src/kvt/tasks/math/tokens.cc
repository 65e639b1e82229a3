#include "kvt/tasks/math/tokens.h"

#include <algorithm>
#include <array>
#include <utility>

#include "kvt/tasks/text.h"

namespace kvt::tasks {

namespace {

using Kind   = Token::Kind;
using Tokens = std::vector<Token>;

constexpr size_t kMaxBytes = 2000, kMaxTokens = 500;

constexpr std::array<std::pair<std::string_view, Function>, 15> kFunctions{{
    {"sin", Function::sin},
    {"cos", Function::cos},
    {"tan", Function::tan},
    {"sec", Function::sec},
    {"csc", Function::csc},
    {"cot", Function::cot},
    {"ln", Function::ln},
    {"log", Function::log10},
    {"exp", Function::exp},
    {"arcsin", Function::asin},
    {"arccos", Function::acos},
    {"arctan", Function::atan},
    {"sen", Function::sin},
    {"tg", Function::tan},
    {"ctg", Function::cot},
}};

constexpr std::string_view kLetters[] = {"alpha", "beta",  "gamma", "delta", "epsilon", "theta", "lambda", "mu",
                                         "rho",   "sigma", "tau",   "phi",   "omega",   "infty", "varphi"};

// --- Cutting ---

class Cutter {
public:
    explicit Cutter(std::string_view text) : text_(text) {}

    std::optional<Tokens> run() {
        while (at_ < text_.size()) {
            if (tokens_.size() > kMaxTokens || !step()) return std::nullopt;
        }
        return std::move(tokens_);
    }

private:
    bool step() {
        const char c = text_[at_];
        if (is_space(c)) return skip(1);
        if (is_digit(c) || c == '.') {
            const bool glued = at_ > 0 && !tokens_.empty() && tokens_.back().kind == Kind::number && !is_space(text_[at_ - 1]);
            tokens_.push_back({Kind::number, std::string(1, c), glued});
            return skip(1);
        }
        if (is_letter(c)) return letter();
        if (c == '\\') return command();
        if (c == '(' || c == '{') return put(Kind::open, std::string(1, c));
        if (c == ')' || c == '}') return put(Kind::close, c == ')' ? "(" : "{");
        if (c == '+' || c == '-' || c == '*' || c == '/') return put(Kind::op, std::string(1, c));
        if (c == '^' || c == '[' || c == ']') return put(Kind::command, std::string(1, c));
        return false;
    }

    bool skip(size_t n) {
        at_ += n;
        return true;
    }
    bool put(Kind kind, std::string text) {
        tokens_.push_back({kind, std::move(text)});
        return skip(1);
    }

    size_t letters_from(size_t at) const {
        size_t n = 0;
        while (at + n < text_.size() && is_letter(text_[at + n])) ++n;
        return n;
    }

    // One letter is a variable; three in a row are a word.
    bool letter() {
        if (letters_from(at_) >= 3 && (at_ == 0 || !is_letter(text_[at_ - 1]))) return false;
        std::string name(1, text_[at_++]);
        return subscript(name);
    }

    // Appends "_1" of x_1 or x_{1} to the name, and puts the variable.
    bool subscript(std::string & name) {
        if (at_ < text_.size() && text_[at_] == '_') {
            const bool   braced = at_ + 1 < text_.size() && text_[at_ + 1] == '{';
            const size_t start  = at_ + (braced ? 2 : 1);
            const size_t end    = braced ? text_.find('}', start) : start + 1;
            if (end == std::string_view::npos || end > text_.size()) return false;
            const std::string_view index = text_.substr(start, end - start);
            if (index.empty() || !std::all_of(index.begin(), index.end(), [](char c) { return is_digit(c) || is_letter(c); })) {
                return false;
            }
            name.append("_").append(index);
            at_ = end + (braced ? 1 : 0);
        }
        tokens_.push_back({Kind::variable, name});
        return true;
    }

    bool command() {
        const size_t           n    = letters_from(at_ + 1);
        const std::string_view name = text_.substr(at_ + 1, n);
        at_ += 1 + n;
        if (name == "frac" || name == "sqrt") {
            tokens_.push_back({Kind::command, "\\" + std::string(name)});
            return true;
        }
        if (name == "pi") {
            tokens_.push_back({Kind::pi});
            return true;
        }
        if (name == "cdot" || name == "times" || name == "div") {
            tokens_.push_back({Kind::op, name == "div" ? "/" : "*"});
            return true;
        }
        const auto function = std::find_if(kFunctions.begin(), kFunctions.end(), [&](const auto & f) { return f.first == name; });
        if (function != kFunctions.end()) {
            Token token{Kind::function};
            token.function = function->second;
            tokens_.push_back(token);
            return true;
        }
        if (std::find(std::begin(kLetters), std::end(kLetters), name) == std::end(kLetters)) return false;
        std::string variable(name);
        return subscript(variable);
    }

    std::string_view text_;
    size_t           at_ = 0;
    Tokens           tokens_;
};

// --- Rewriting ---

struct Range {
    size_t begin = 0, end = 0;  // both included
};

class Rewriter {
public:
    explicit Rewriter(Tokens tokens) : in_(std::move(tokens)), before_(in_.size()), after_(in_.size()), dropped_(in_.size()) {}

    std::optional<Tokens> run() {
        if (!match_brackets()) return std::nullopt;
        for (size_t i = 0; i < in_.size(); ++i) {
            if (dropped_[i]) continue;
            const Token & token = in_[i];
            bool          known = true;
            if (token.kind == Kind::function) {
                known = function(i);
            } else if (token.kind == Kind::command) {
                known = token.text == "\\frac" ? fraction(i) : token.text == "\\sqrt" ? root(i) : token.text == "^" && power(i);
            }
            if (!known) return std::nullopt;
        }
        return whole_numbers(joined());
    }

private:
    static Token bracket(Kind kind) { return {kind, "("}; }
    static Token sign(const char * text) { return {Kind::op, text}; }

    bool match_brackets() {
        match_.assign(in_.size(), 0);
        std::vector<size_t> open;
        for (size_t i = 0; i < in_.size(); ++i) {
            if (in_[i].kind == Kind::open) open.push_back(i);
            if (in_[i].kind != Kind::close) continue;
            if (open.empty() || in_[open.back()].text != in_[i].text) return false;
            match_[open.back()] = i;
            open.pop_back();
        }
        return open.empty();
    }

    bool is_single(size_t i) const {
        return i < in_.size() && (in_[i].kind == Kind::number || in_[i].kind == Kind::variable || in_[i].kind == Kind::pi);
    }
    bool is_group(size_t i, std::string_view kind) const {
        return i < in_.size() && in_[i].kind == Kind::open && (kind.empty() || in_[i].text == kind);
    }
    bool is_operator(size_t i, std::string_view text) const {
        return i < in_.size() && in_[i].text == text && in_[i].kind == Kind::command;
    }
    // The argument of a TeX command: one character or symbol, or a group in braces.
    std::optional<Range> argument(size_t i) const {
        if (is_group(i, "{")) return Range{i, match_[i]};
        if (is_single(i)) return Range{i, i};
        return std::nullopt;
    }
    bool all_digits(Range range) const {
        for (size_t i = range.begin; i <= range.end; ++i) {
            const bool brace = in_[i].kind == Kind::open || in_[i].kind == Kind::close;
            if (!brace && !(in_[i].kind == Kind::number && in_[i].text != ".")) return false;
        }
        return true;
    }
    void wrap(Range range) {
        before_[range.begin].push_back(bracket(Kind::open));
        after_[range.end].push_back(bracket(Kind::close));
    }

    bool fraction(size_t i) {
        const auto top = argument(i + 1);
        if (!top) return false;
        const auto bottom = argument(top->end + 1);
        if (!bottom) return false;
        // 1\frac{4}{5} is a mixed number, 2\frac{x}{3} a product.
        if (i > 0 && in_[i - 1].kind == Kind::number && all_digits(*top) && all_digits(*bottom)) before_[i].push_back(sign("m"));
        before_[i].push_back(bracket(Kind::open));
        dropped_[i] = true;
        wrap(*top);
        after_[top->end].push_back(sign("/"));
        wrap(*bottom);
        after_[bottom->end].push_back(bracket(Kind::close));
        return true;
    }

    bool root(size_t i) {
        Tokens degree{{Kind::number, "2"}};
        size_t next = i + 1;
        dropped_[i] = true;
        if (is_operator(next, "[")) {
            size_t end = next + 1;
            while (end < in_.size() && in_[end].kind == Kind::number && in_[end].text != ".") ++end;
            if (end == next + 1 || !is_operator(end, "]")) return false;
            degree.assign(in_.begin() + static_cast<std::ptrdiff_t>(next) + 1, in_.begin() + static_cast<std::ptrdiff_t>(end));
            for (size_t k = next; k <= end; ++k) dropped_[k] = true;
            next = end + 1;
        }
        const auto inside = argument(next);
        if (!inside) return false;
        before_[i].push_back(bracket(Kind::open));
        wrap(*inside);
        Tokens & after = after_[inside->end];
        after.push_back(sign("r"));  // ^, but not a power the writer wrote
        after.push_back(bracket(Kind::open));
        after.push_back({Kind::number, "1"});
        after.push_back(sign("/"));
        after.insert(after.end(), degree.begin(), degree.end());
        after.push_back(bracket(Kind::close));
        after.push_back(bracket(Kind::close));
        return true;
    }

    bool power(size_t i) {
        before_[i].push_back(sign("^"));
        dropped_[i] = true;
        if (is_group(i + 1, "")) return true;
        const auto exponent = argument(i + 1);
        if (!exponent) return false;
        wrap(*exponent);
        return true;
    }

    // \sin^2(x), \sin 2x: the group that follows, else numbers and symbols up to the next sign.
    bool function(size_t i) {
        size_t next = i + 1;
        Tokens exponent;
        if (is_operator(next, "^")) {
            const auto range = argument(next + 1);
            if (!range || !all_digits(*range)) return false;
            exponent.assign(in_.begin() + static_cast<std::ptrdiff_t>(range->begin),
                            in_.begin() + static_cast<std::ptrdiff_t>(range->end) + 1);
            for (size_t k = next; k <= range->end; ++k) dropped_[k] = true;
            next = range->end + 1;
        }
        Range inside{next, next};
        if (is_group(next, "")) {
            inside.end = match_[next];
        } else {
            if (!is_single(next)) return false;
            while (is_single(inside.end + 1)) ++inside.end;
            if (is_operator(inside.end + 1, "^")) return false;  // \sin x^2: read differently by different people
        }
        before_[i].push_back(bracket(Kind::open));
        wrap(inside);
        Tokens & after = after_[inside.end];
        if (!exponent.empty()) {
            after.push_back(sign("^"));
            after.push_back(bracket(Kind::open));
            after.insert(after.end(), exponent.begin(), exponent.end());
            after.push_back(bracket(Kind::close));
        }
        after.push_back(bracket(Kind::close));
        return true;
    }

    Tokens joined() const {
        Tokens out;
        for (size_t i = 0; i < in_.size(); ++i) {
            out.insert(out.end(), before_[i].begin(), before_[i].end());
            if (!dropped_[i]) out.push_back(in_[i]);
            out.insert(out.end(), after_[i].begin(), after_[i].end());
        }
        return out;
    }

    // Joins glued digits. Nothing for "1.2.3" or a lone point.
    static std::optional<Tokens> whole_numbers(const Tokens & in) {
        Tokens out;
        for (const Token & token : in) {
            const bool number = token.kind == Kind::number;
            if (number && token.glued && !out.empty() && out.back().kind == Kind::number) {
                out.back().text += token.text;
            } else {
                out.push_back(token);
            }
        }
        for (const Token & token : out) {
            if (token.kind == Kind::number && (token.text == "." || count_of(token.text, ".") > 1)) return std::nullopt;
        }
        return out;
    }

    Tokens              in_;
    std::vector<Tokens> before_, after_;
    std::vector<bool>   dropped_;
    std::vector<size_t> match_;  // of every opening bracket
};

}  // namespace

std::optional<std::vector<Token>> infix_tokens(std::string_view latex) {
    if (latex.size() > kMaxBytes) return std::nullopt;
    auto tokens = Cutter(latex).run();
    if (!tokens || tokens->empty()) return std::nullopt;
    return Rewriter(std::move(*tokens)).run();
}

}  // namespace kvt::tasks
