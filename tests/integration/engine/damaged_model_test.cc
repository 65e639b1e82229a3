// Damaged and hostile model files: one message each, never a crash.
#include <unistd.h>

#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kvt/base/rng.h"
#include "kvt/engine/llama/gguf_header.h"
#include "support/tiny_model.h"

namespace kvt {
namespace {

using ::testing::HasSubstr;
using testing::tiny_model_path;

const std::string & whole() {
    static const std::string bytes = *read_file(tiny_model_path(32));
    return bytes;
}

std::span<const std::byte> as_bytes(const std::string & s) { return std::as_bytes(std::span(s)); }

class TempModel {
public:
    explicit TempModel(const std::string & bytes)
        : path_(::testing::TempDir() + "kvt_damaged_" + std::to_string(::getpid()) + ".gguf") {
        std::ofstream(path_, std::ios::binary) << bytes;
    }
    ~TempModel() { ::unlink(path_.c_str()); }
    const std::string & path() const { return path_; }

private:
    std::string path_;
};

// The length of the header, found as the shortest prefix whose only fault is missing tensor data.
size_t header_bytes() {
    static const size_t length = [] {
        size_t low = 0, high = whole().size();
        while (low < high) {
            const size_t mid    = (low + high) / 2;
            const auto   header = GgufHeader::parse(as_bytes(whole()).first(mid), "model");
            const bool   inside = !header.ok() && header.error().message.find("ends inside") != std::string::npos;
            if (inside || mid < 24)
                low = mid + 1;
            else
                high = mid;
        }
        return low;
    }();
    return length;
}

TEST(DamagedModel, NotAModelAtAll) {
    EXPECT_THAT(read_model_info("/nowhere/model.gguf").error().message, HasSubstr("/nowhere/model.gguf"));
    EXPECT_THAT(read_model_info("/").error().message, HasSubstr("folder"));
    EXPECT_THAT(read_model_info("/dev/null").error().message, HasSubstr("device"));
    EXPECT_THAT(read_model_info(TempModel("").path()).error().message, HasSubstr("empty"));
    EXPECT_THAT(read_model_info(TempModel("GG").path()).error().message, HasSubstr("only 2 bytes"));
    EXPECT_THAT(read_model_info(TempModel("PK\x03\x04 a zip file").path()).error().message,
                HasSubstr("not a GGUF file: it starts with 'PK"));
    EXPECT_THAT(read_model_info(TempModel(std::string("GGUF\x01\0\0\0", 8) + std::string(32, 'x')).path()).error().message,
                HasSubstr("version 1"));
}

TEST(DamagedModel, EveryTruncationOfTheHeaderIsRefused) {
    ASSERT_GT(header_bytes(), 1000u);
    for (size_t n = 0; n < header_bytes() + 64; ++n) {
        ASSERT_FALSE(GgufHeader::parse(as_bytes(whole()).first(n), "model").ok()) << n << " bytes";
    }
}

TEST(DamagedModel, TruncatedWeightsAreRefusedBeforeLoading) {
    for (const double share : {0.3, 0.5, 0.9, 0.999}) {
        const TempModel model(whole().substr(0, static_cast<size_t>(share * static_cast<double>(whole().size()))));
        const auto      opened = open_model(model.path(), {"", UsePlugin::never, 1});
        ASSERT_FALSE(opened.ok());
        EXPECT_THAT(opened.error().message, HasSubstr("truncated"));
    }
    const TempModel one_byte(whole().substr(0, whole().size() - 1));
    EXPECT_THAT(read_model_info(one_byte.path()).error().message, HasSubstr("truncated"));
}

TEST(DamagedModel, EveryFlippedHeaderByteIsReadOrRefused) {
    std::string bytes   = whole();
    size_t      refused = 0;
    for (size_t i = 0; i < header_bytes(); ++i) {
        for (const int flip : {0x01, 0x80, 0xff}) {
            bytes[i] = static_cast<char>(whole()[i] ^ flip);
            refused += GgufHeader::parse(as_bytes(bytes), "model").ok() ? 0 : 1;
        }
        bytes[i] = whole()[i];
    }
    EXPECT_GT(refused, 1000u);  // lengths, counts, types; text may change freely
}

TEST(DamagedModel, FlippedHeadersNeverEndTheProcessWhileLoading) {
    std::string bytes = whole();
    SplitMix64  rng(1);
    for (int i = 0; i < 150; ++i) {
        const size_t at = rng.below(header_bytes());
        bytes[at]       = static_cast<char>(rng.next());
        const TempModel model(bytes);
        auto            opened = open_model(model.path(), {"", UsePlugin::never, 1});
        if (opened.ok()) {
            auto session = (*opened)->open({});  // graphs are built here
            if (!session.ok()) {
                EXPECT_FALSE(session.error().message.empty());
            }
        } else {
            EXPECT_FALSE(opened.error().message.empty());
        }
        bytes[at] = whole()[at];
    }
}

}  // namespace
}  // namespace kvt
