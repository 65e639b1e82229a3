#include "kvt/eval/kl_base_file.h"

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <unistd.h>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kvt {
namespace {

using ::testing::HasSubstr;

const std::string kFixture = std::string(KVT_TEST_ROOT) + "/data/stories260K/ref/hd64_f16_c128_4chunks.kld";

class TempFile {
public:
    explicit TempFile(const std::string & bytes)
        : path_(::testing::TempDir() + "kvt_base_" + std::to_string(::getpid()) + ".kld") {
        std::ofstream(path_, std::ios::binary) << bytes;
    }
    ~TempFile() { std::remove(path_.c_str()); }
    const std::string & path() const { return path_; }

private:
    std::string path_;
};

template <class T>
void put(std::string & out, T value) {
    out.append(reinterpret_cast<const char *>(&value), sizeof(value));
}

// One chunk of four tokens over a vocabulary of three: one record of 2 * 2 + 4 values.
std::string tiny_file() {
    std::string s = "_logits_";
    for (const int32_t v : {4, 3, 1, 0, 1, 2, 0}) put(s, v);
    put(s, 0.5f);
    put(s, -10.0f);
    for (const int q : {20, 0, 4, 0}) put(s, static_cast<uint16_t>(q));
    return s;
}

TEST(KlBaseFile, HandMadeRecord) {
    const TempFile file(tiny_file());
    auto           base = KlBaseFile::open(file.path());
    ASSERT_TRUE(base.ok()) << base.error().message;
    EXPECT_EQ(base->n_ctx(), 4);
    EXPECT_EQ(base->n_vocab(), 3);
    std::vector<float> row(3);
    ASSERT_TRUE(base->read_row(0, 0, row).ok());
    EXPECT_EQ(row, (std::vector<float>{0, -10, -8}));
}

TEST(KlBaseFile, FixtureOfLlamaPerplexity) {
    auto base = KlBaseFile::open(kFixture);
    ASSERT_TRUE(base.ok()) << base.error().message;
    EXPECT_EQ(base->n_ctx(), 128);
    EXPECT_EQ(base->n_vocab(), 512);
    EXPECT_EQ(base->n_chunks(), 4);
    EXPECT_EQ(base->tokens().size(), 512u);
}

TEST(KlBaseFile, EveryTruncationIsRefused) {
    const std::string whole = tiny_file();
    for (size_t n = 0; n < whole.size(); ++n) {
        const TempFile file(whole.substr(0, n));
        EXPECT_FALSE(KlBaseFile::open(file.path()).ok()) << n << " bytes";
    }
}

TEST(KlBaseFile, BadHeadersAreNamed) {
    std::string wrong_magic = tiny_file();
    wrong_magic[0]          = 'x';
    EXPECT_THAT(KlBaseFile::open(TempFile(wrong_magic).path()).error().message, HasSubstr("_logits_"));
    std::string negative = tiny_file();
    std::memset(negative.data() + 8, 0xff, 4);
    EXPECT_THAT(KlBaseFile::open(TempFile(negative).path()).error().message, HasSubstr("bad header"));
    std::string bad_token = tiny_file();
    bad_token[20]         = 77;
    EXPECT_THAT(KlBaseFile::open(TempFile(bad_token).path()).error().message, HasSubstr("token 77"));
    EXPECT_THAT(KlBaseFile::open("/nowhere/base.kld").error().message, HasSubstr("/nowhere/base.kld"));
}

// The sizes that this header asks for come to 20 bytes modulo 2^64: those of the header alone.
TEST(KlBaseFile, CountsWhoseProductOverflowsAreRefused) {
    std::string header = "_logits_";
    for (const int32_t n : {8388608, 16777211, 131072}) put(header, n);
    EXPECT_THAT(KlBaseFile::open(TempFile(header).path()).error().message, HasSubstr("truncated or damaged"));
}

}  // namespace
}  // namespace kvt
