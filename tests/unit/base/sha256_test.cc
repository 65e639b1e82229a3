#include "kvt/base/sha256.h"

#include <gtest/gtest.h>

#include "kvt/base/file_io.h"

namespace kvt {
namespace {

TEST(Sha256, KnownAnswers) {  // FIPS 180-2, appendix B
    EXPECT_EQ(sha256_hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    EXPECT_EQ(sha256_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
              "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    EXPECT_EQ(sha256_hex(std::string(1000000, 'a')), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, FileAndTextAgree) {
    const std::string path = testing::TempDir() + "kvt_sha256_test.bin";
    const std::string text(3 * 1024 * 1024 + 17, 'x');  // more than one read
    ASSERT_TRUE(write_file_atomic(path, text).ok());
    const auto hash = sha256_file(path);
    ASSERT_TRUE(hash.ok());
    EXPECT_EQ(*hash, sha256_hex(text));
}

TEST(Sha256, MissingFileIsNamed) {
    const auto hash = sha256_file("/nonexistent/model.gguf");
    ASSERT_FALSE(hash.ok());
    EXPECT_EQ(hash.error().message, "cannot read \"/nonexistent/model.gguf\": No such file or directory");
}

TEST(Sha256, FolderIsAnError) {
    const auto hash = sha256_file(testing::TempDir());
    ASSERT_FALSE(hash.ok());
    EXPECT_NE(hash.error().message.find("Is a directory"), std::string::npos);
}

}  // namespace
}  // namespace kvt
