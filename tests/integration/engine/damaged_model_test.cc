// Damaged and hostile model files: one message each, never a crash.
#include <unistd.h>

#include <cstring>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kvt/base/rng.h"
#include "kvt/engine/llama/gguf_header.h"
#include "support/tiny_model.h"

namespace kvt {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;
using testing::tiny_model_path;

const std::string & whole() {
    static const std::string bytes = *read_file(tiny_model_path(32));
    return bytes;
}

std::span<const std::byte> as_bytes(const std::string & s) { return std::as_bytes(std::span(s)); }

class TempModel {
public:
    explicit TempModel(const std::string & bytes) : path_(::testing::TempDir() + "kvt_damaged_" + std::to_string(::getpid()) + ".gguf") {
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
            if (inside || mid < 24) low = mid + 1;
            else high = mid;
        }
        return low;
    }();
    return length;
}

// A header made by hand: keys as (name, u32), and one small tensor.
std::string made_header(const std::vector<std::pair<std::string, uint32_t>> & numbers, const std::string & arch = "llama") {
    std::string out = "GGUF";
    const auto  put = [&](const auto & v) { out.append(reinterpret_cast<const char *>(&v), sizeof(v)); };
    const auto  str = [&](const std::string & s) { put(uint64_t{s.size()}), out += s; };
    put(uint32_t{3}), put(int64_t{1}), put(static_cast<int64_t>(numbers.size() + 1));
    str("general.architecture"), put(uint32_t{8}), str(arch);
    for (const auto & [key, value] : numbers) str(key), put(uint32_t{4}), put(value);
    str("token_embd.weight"), put(uint32_t{1}), put(int64_t{8}), put(uint32_t{0}), put(uint64_t{0});
    out.resize((out.size() + 31) / 32 * 32 + 32);
    return out;
}

const std::vector<std::pair<std::string, uint32_t>> kGood{
    {"llama.block_count", 2}, {"llama.embedding_length", 64}, {"llama.attention.head_count", 4}, {"llama.attention.head_count_kv", 2}};

std::string message_for(std::vector<std::pair<std::string, uint32_t>> keys, const std::string & arch = "llama") {
    const auto info = read_model_info(TempModel(made_header(keys, arch)).path());
    return info.ok() ? "" : info.error().message;
}

std::vector<std::pair<std::string, uint32_t>> with(const std::string & key, uint32_t value) {
    auto keys = kGood;
    for (auto & k : keys) {
        if (k.first == key) return k.second = value, keys;
    }
    keys.emplace_back(key, value);
    return keys;
}

TEST(DamagedModel, NotAModelAtAll) {
    EXPECT_THAT(read_model_info("/nowhere/model.gguf").error().message, HasSubstr("/nowhere/model.gguf"));
    EXPECT_THAT(read_model_info("/").error().message, HasSubstr("folder"));
    EXPECT_THAT(read_model_info("/dev/null").error().message, HasSubstr("device"));
    EXPECT_THAT(read_model_info(TempModel("").path()).error().message, HasSubstr("empty"));
    EXPECT_THAT(read_model_info(TempModel("GG").path()).error().message, HasSubstr("only 2 bytes"));
    EXPECT_THAT(read_model_info(TempModel("PK\x03\x04 a zip file").path()).error().message, HasSubstr("not a GGUF file: it starts with 'PK"));
    EXPECT_THAT(read_model_info(TempModel(std::string("GGUF\x01\0\0\0 and more and more and more", 40)).path()).error().message, HasSubstr("version 1"));
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
    std::string bytes = whole();
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

TEST(DamagedModel, AbsurdShapesAreNamed) {
    EXPECT_EQ(message_for(kGood), "");
    EXPECT_THAT(message_for(with("llama.block_count", 0)), HasSubstr("llama.block_count is 0"));
    EXPECT_THAT(message_for(with("llama.block_count", 4000000000u)), HasSubstr("llama.block_count is 4000000000"));
    EXPECT_THAT(message_for(with("llama.attention.head_count", 0)), HasSubstr("head_count is 0"));
    EXPECT_THAT(message_for(with("llama.attention.head_count", 3)), HasSubstr("3 query heads cannot share 2"));
    EXPECT_THAT(message_for(with("llama.attention.head_count_kv", 0)), HasSubstr("head_count_kv is 0"));
    EXPECT_THAT(message_for(with("llama.embedding_length", 66)), HasSubstr("width 66"));
    EXPECT_THAT(message_for(with("llama.nextn_predict_layers", 2)), HasSubstr("nextn_predict_layers"));
    EXPECT_THAT(message_for({{"llama.block_count", 2}}), HasSubstr("no llama.embedding_length"));
    EXPECT_THAT(message_for(kGood, "gpt"), HasSubstr("no gpt.block_count"));
}

TEST(DamagedModel, CachesOfAnotherKindAreRefusedInWords) {
    EXPECT_THAT(message_for(with("llama.attention.kv_lora_rank", 512)), HasSubstr("MLA"));
    EXPECT_EQ(message_for(with("llama.attention.kv_lora_rank", 0)), "");
    EXPECT_THAT(message_for(with("llama.ssm.state_size", 16)), HasSubstr("state space"));
    EXPECT_THAT(message_for(with("llama.wkv.head_size", 64)), HasSubstr("RWKV"));
    EXPECT_THAT(message_for(with("llama.attention.shared_kv_layers", 1)), HasSubstr("share a KV cache"));
    EXPECT_THAT(message_for(with("llama.attention.key_length_swa", 32)), HasSubstr("key_length_swa"));
    EXPECT_THAT(message_for(with("llama.attention.causal", 0)), HasSubstr("encoder"));
    EXPECT_EQ(message_for(with("llama.attention.sliding_window", 128)), "");
    EXPECT_THAT(message_for(with("split.count", 3)), HasSubstr("one of 3 parts"));
}

TEST(DamagedModel, CountsThatCannotBeHonestAreRefusedAtOnce) {
    std::string   bytes = made_header(kGood);
    const int64_t huge  = int64_t{1} << 60;
    for (const size_t at : {size_t{8}, size_t{16}}) {
        std::string copy = bytes;
        std::memcpy(copy.data() + at, &huge, 8);
        EXPECT_THAT(GgufHeader::parse(as_bytes(copy), "model").error().message, AnyOf(HasSubstr("tensors in"), HasSubstr("keys in")));
    }
    // A string that claims to be longer than the file.
    std::memcpy(bytes.data() + 24, &huge, 8);
    EXPECT_THAT(GgufHeader::parse(as_bytes(bytes), "model").error().message, HasSubstr("ends inside"));
}

}  // namespace
}  // namespace kvt
