#include "kvt/tasks/code/packed_text.h"

#include <algorithm>
#include <climits>

#include <fmt/format.h>
#include <openssl/evp.h>
#include <zlib.h>

#include "kvt/base/utf8.h"
#include "kvt/tasks/text.h"

namespace kvt {

namespace {

// Little endian, so many bytes.
uint64_t little(std::string_view bytes) {
    uint64_t value = 0;
    for (size_t i = bytes.size(); i-- > 0;) value = value << 8 | static_cast<unsigned char>(bytes[i]);
    return value;
}

// Takes `n` bytes from the front; false if there are fewer.
bool take(std::string_view & rest, size_t n, std::string_view & taken) {
    if (rest.size() < n) return false;
    taken = rest.substr(0, n);
    rest.remove_prefix(n);
    return true;
}

Error refused(std::string_view what) { return Error{fmt::format("refused pickle: {}", what)}; }

}  // namespace

Result<std::string> decode_base64(std::string_view text) {
    const Error bad{"bad base64"};
    // EVP_DecodeBlock forgives white space at both ends, and padding anywhere in the last four characters.
    const size_t padding = text.ends_with("==") ? 2 : text.ends_with("=") ? 1 : 0;
    const auto   plain   = text.substr(0, text.size() - padding);
    const auto   ok      = [](char c) { return tasks::is_letter(c) || tasks::is_digit(c) || c == '+' || c == '/'; };
    if (text.empty() || text.size() % 4 != 0 || text.size() > INT_MAX || !std::all_of(plain.begin(), plain.end(), ok)) return bad;
    std::string bytes(text.size() / 4 * 3, '\0');
    const int   n = EVP_DecodeBlock(reinterpret_cast<unsigned char *>(bytes.data()),
                                    reinterpret_cast<const unsigned char *>(text.data()), static_cast<int>(text.size()));
    if (n < 0 || static_cast<size_t>(n) != bytes.size()) return bad;
    bytes.resize(bytes.size() - padding);
    return bytes;
}

Result<std::string> inflate_zlib(std::string_view bytes, uint64_t max_bytes) {
    z_stream stream{};
    if (bytes.size() > UINT_MAX || inflateInit(&stream) != Z_OK) return Error{"zlib cannot start"};
    stream.next_in  = reinterpret_cast<Bytef *>(const_cast<char *>(bytes.data()));  // zlib's interface predates const
    stream.avail_in = static_cast<uInt>(bytes.size());
    std::string out;
    std::string piece(size_t{1} << 16, '\0');
    int         state = Z_OK;
    while (state == Z_OK && out.size() <= max_bytes) {
        stream.next_out  = reinterpret_cast<Bytef *>(piece.data());
        stream.avail_out = static_cast<uInt>(piece.size());
        state            = inflate(&stream, Z_NO_FLUSH);
        out.append(piece, 0, piece.size() - stream.avail_out);
    }
    const bool rest = stream.avail_in > 0;
    inflateEnd(&stream);
    if (out.size() > max_bytes) return Error{fmt::format("more than {} bytes inflated", max_bytes)};
    if (state != Z_STREAM_END) return Error{"bad zlib data"};
    if (rest) return Error{"bytes behind the end of the zlib data"};
    return out;
}

Result<std::string_view> pickled_string(std::string_view bytes) {
    std::string_view   rest            = bytes, part;
    constexpr unsigned kNewestProtocol = 5;
    if (!take(rest, 2, part) || part[0] != '\x80') return refused("it does not begin with a protocol");
    if (static_cast<unsigned char>(part[1]) > kNewestProtocol)
        return refused(fmt::format("protocol {}", static_cast<unsigned char>(part[1])));
    if (rest.starts_with('\x95')) {  // FRAME: everything behind it
        if (!take(rest, 9, part) || little(part.substr(1)) != rest.size()) return refused("the frame has another length");
    }
    const unsigned char opcode = rest.empty() ? 0 : static_cast<unsigned char>(rest.front());
    const size_t        width  = opcode == 0x58 ? 4 : opcode == 0x8c ? 1 : opcode == 0x8d ? 8 : 0;
    if (width == 0) return refused(fmt::format("opcode 0x{:02x} where one string is expected", opcode));
    std::string_view text;
    if (!take(rest, 1 + width, part) || !take(rest, little(part.substr(1)), text)) return refused("it is cut short");
    if (rest.starts_with('\x94')) rest.remove_prefix(1);
    if (rest != ".") return refused("something stands behind its string");
    if (!is_utf8(text)) return refused("its string is not UTF-8");
    return text;
}

Result<std::string> unpack_text(std::string_view packed, uint64_t max_bytes) {
    KVT_TRY(const std::string compressed, decode_base64(packed));
    KVT_TRY(const std::string pickle, inflate_zlib(compressed, max_bytes));
    KVT_TRY(const std::string_view text, pickled_string(pickle));
    return std::string(text);
}

}  // namespace kvt
