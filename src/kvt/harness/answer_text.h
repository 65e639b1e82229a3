// The text of an answer as it grows token by token, cut at the first stop string.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kvt {

// --- Interface ---

class AnswerText {
public:
    explicit AnswerText(std::vector<std::string> stops) : stops_(std::move(stops)) {
        for (const std::string & stop : stops_) longest_ = std::max(longest_, stop.size());
    }

    // Appends the bytes of a token. True once a stop string has appeared: the text then ends before it.
    bool add(std::string_view piece) {
        const size_t from = text_.size() + 1 > longest_ ? text_.size() + 1 - longest_ : 0;
        text_ += piece;
        size_t first = std::string::npos;
        for (const std::string & stop : stops_) {
            if (!stop.empty()) first = std::min(first, text_.find(stop, from));
        }
        if (first == std::string::npos) return false;
        text_.resize(first);
        return true;
    }

    const std::string & text() const { return text_; }

private:
    std::vector<std::string> stops_;
    size_t                   longest_ = 0;
    std::string              text_;
};

}  // namespace kvt
