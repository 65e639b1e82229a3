#include "kvt/tasks/code/packed_text.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <zlib.h>

namespace kvt {
namespace {

std::string zipped(std::string_view bytes) {
    uLongf      size = compressBound(bytes.size());
    std::string out(size, '\0');
    EXPECT_EQ(compress(reinterpret_cast<Bytef *>(out.data()), &size, reinterpret_cast<const Bytef *>(bytes.data()), bytes.size()),
              Z_OK);
    out.resize(size);
    return out;
}

std::string base64(std::string_view bytes) {
    std::string out((bytes.size() + 2) / 3 * 4 + 1, '\0');
    const int   n = EVP_EncodeBlock(reinterpret_cast<unsigned char *>(out.data()),
                                    reinterpret_cast<const unsigned char *>(bytes.data()), static_cast<int>(bytes.size()));
    out.resize(static_cast<size_t>(n));
    return out;
}

std::string little(uint64_t value, int width) {
    std::string out;
    for (int i = 0; i < width; ++i) out += static_cast<char>(value >> (8 * i));
    return out;
}

// What Python 3 writes for one string: protocol 4 with a frame, protocol 2 without.
std::string framed(const std::string & body) { return "\x80\x04\x95" + little(body.size(), 8) + body; }
std::string short_string(const std::string & text) { return "\x8c" + little(text.size(), 1) + text; }
std::string long_string(const std::string & text) { return "X" + little(text.size(), 4) + text; }

TEST(PackedText, UnpacksWhatPythonPacks) {
    const std::string text = "[{\"input\": \"caf\xc3\xa9\"}]";
    for (const std::string & pickle :
         {framed(short_string(text) + "\x94."), framed(long_string(text) + "\x94."), "\x80\x03" + long_string(text) + ".",
          framed("\x8d" + little(text.size(), 8) + text + ".")}) {
        const auto unpacked = unpack_text(base64(zipped(pickle)));
        ASSERT_TRUE(unpacked.ok()) << unpacked.error().message;
        EXPECT_EQ(*unpacked, text);
    }
}

TEST(PackedText, RefusesEveryOtherPickle) {
    const std::string text = "[]";
    const struct {
        std::string  pickle;
        const char * why;
    } cases[] = {
        {"", "it does not begin with a protocol"},
        {"\x80", "it does not begin with a protocol"},
        {"\x80\x06" + short_string(text) + ".", "protocol 6"},
        {"\x80\x04" + short_string(text), "something stands behind its string"},
        {"\x80\x04" + short_string(text) + "..", "something stands behind its string"},
        {"\x80\x04" + short_string(text) + "\x94\x94.", "something stands behind its string"},
        {"\x80\x04" + short_string(text) + "q\x01.", "something stands behind its string"},
        {"\x80\x04\x95" + little(99, 8) + short_string(text) + ".", "the frame has another length"},
        {"\x80\x04\x95" + little(1, 4), "the frame has another length"},
        {"\x80\x04\x8c\xff" + text + ".", "it is cut short"},
        {"\x80\x04\x8d" + little(UINT64_MAX, 8) + text + ".", "it is cut short"},
        {"\x80\x04X\x01", "it is cut short"},
        {"\x80\x04" + short_string("\xff") + ".", "its string is not UTF-8"},
        {"\x80\x04"
         "cos\nsystem\n(S'id'\ntR.",
         "opcode 0x63 where one string is expected"},
        {"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x02id\x85R.", "something stands behind its string"},
        {"(S'x'\np0\n.", "it does not begin with a protocol"},
        {"\x80\x04]\x94.", "opcode 0x5d where one string is expected"},
        {"\x80\x04K\x01.", "opcode 0x4b where one string is expected"},
        {"\x80\x04\x95" + little(0, 8), "opcode 0x00 where one string is expected"},
    };
    for (const auto & c : cases) {
        const auto unpacked = unpack_text(base64(zipped(c.pickle)));
        ASSERT_FALSE(unpacked.ok()) << c.why;
        EXPECT_EQ(unpacked.error().message, std::string("refused pickle: ") + c.why);
    }
}

// Every prefix and every changed byte of a good pickle: an answer, and no other text than the one that the bytes spell.
TEST(PackedText, SurvivesDamage) {
    const std::string good = framed(short_string("[1]") + "\x94.");
    for (size_t i = 0; i < good.size(); ++i) {
        EXPECT_FALSE(pickled_string(good.substr(0, i)).ok()) << i;
        for (int value = 0; value < 256; ++value) {
            std::string bad = good;
            bad[i]          = static_cast<char>(value);
            const auto text = pickled_string(bad);
            EXPECT_TRUE(!text.ok() || text->size() == 3u) << i << " " << value;
        }
    }
}

TEST(PackedText, RefusesBadBase64AndBadZlib) {
    for (const char * bad : {"", "abc", "ab=c", "a===", "ab c", "abcd\n", "====", "ab\xc3\xa9"}) {
        const auto bytes = decode_base64(bad);
        ASSERT_FALSE(bytes.ok()) << bad;
        EXPECT_EQ(bytes.error().message, "bad base64");
    }
    EXPECT_EQ(*decode_base64("aGk="), "hi");
    EXPECT_EQ(*decode_base64("aA=="), "h");

    const std::string whole = zipped("some text, some text, some text");
    EXPECT_EQ(*inflate_zlib(whole, 100), "some text, some text, some text");
    EXPECT_EQ(inflate_zlib(whole.substr(0, whole.size() - 1), 100).error().message, "bad zlib data");
    EXPECT_EQ(inflate_zlib("not zlib", 100).error().message, "bad zlib data");
    EXPECT_EQ(inflate_zlib("", 100).error().message, "bad zlib data");
    EXPECT_EQ(inflate_zlib(whole + "x", 100).error().message, "bytes behind the end of the zlib data");
}

TEST(PackedText, StopsAtTheSizeCap) {
    const std::string bomb = zipped(std::string(10 << 20, 'x'));  // about 10 KB
    EXPECT_LT(bomb.size(), 20000u);
    EXPECT_EQ(inflate_zlib(bomb, 1 << 20).error().message, "more than 1048576 bytes inflated");
    EXPECT_TRUE(inflate_zlib(bomb, 10 << 20).ok());
    EXPECT_FALSE(inflate_zlib(bomb, (10 << 20) - 1).ok());
}

}  // namespace
}  // namespace kvt
