#include "kvt/base/sha256.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <vector>

#include <fmt/format.h>
#include <openssl/evp.h>

namespace kvt {

namespace {

using DigestContext = std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)>;
using File          = std::unique_ptr<std::FILE, int (*)(std::FILE *)>;

std::string to_hex(const unsigned char * bytes, unsigned size) {
    std::string hex;
    hex.reserve(size_t(size) * 2);
    for (unsigned i = 0; i < size; ++i) hex += fmt::format("{:02x}", bytes[i]);
    return hex;
}

}  // namespace

std::string sha256_hex(std::string_view bytes) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned      size = 0;
    if (EVP_Digest(bytes.data(), bytes.size(), digest, &size, EVP_sha256(), nullptr) != 1) return {};
    return to_hex(digest, size);
}

Result<std::string> sha256_file(const std::string & path) {
    const auto  cannot_read = [&] { return Error{fmt::format("cannot read \"{}\": {}", path, std::strerror(errno))}; };
    const Error no_digest{fmt::format("cannot hash \"{}\": OpenSSL offers no SHA-256", path)};

    const File file(std::fopen(path.c_str(), "rb"), &std::fclose);
    if (!file) return cannot_read();
    const DigestContext context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
    if (!context || EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) != 1) return no_digest;

    std::vector<char> buffer(size_t(1) << 20);
    while (true) {
        const size_t n = std::fread(buffer.data(), 1, buffer.size(), file.get());
        if (n == 0) break;
        if (EVP_DigestUpdate(context.get(), buffer.data(), n) != 1) return no_digest;
    }
    if (std::ferror(file.get())) return cannot_read();

    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned      size = 0;
    if (EVP_DigestFinal_ex(context.get(), digest, &size) != 1) return no_digest;
    return to_hex(digest, size);
}

}  // namespace kvt
