#include "kvt/base/utf8.h"

#include <cstdint>

namespace kvt {

bool is_utf8(std::string_view bytes) {
    const auto byte = [&](size_t i) { return static_cast<unsigned char>(bytes[i]); };
    for (size_t i = 0; i < bytes.size();) {
        const unsigned first = byte(i);
        if (first < 0x80) {
            ++i;
            continue;
        }
        const size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
        if (first < 0xc2 || first > 0xf4 || bytes.size() - i < length) return false;
        uint32_t code = first & (0xffU >> (length + 1));
        for (size_t k = 1; k < length; ++k) {
            if ((byte(i + k) & 0xc0U) != 0x80) return false;
            code = code << 6 | (byte(i + k) & 0x3fU);
        }
        if ((length == 3 && code < 0x800) || (length == 4 && code < 0x10000)) return false;
        if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return false;
        i += length;
    }
    return true;
}

}  // namespace kvt
