// Headers made by hand: what a plan must know of a model, and every refusal in words.
#include <unistd.h>

#include <cstring>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kvt/engine/llama/gguf_header.h"
#include "kvt/engine/llama/open_model.h"

namespace kvt {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;

std::span<const std::byte> as_bytes(const std::string & s) { return std::as_bytes(std::span(s)); }

class TempModel {
public:
    explicit TempModel(const std::string & bytes)
        : path_(::testing::TempDir() + "kvt_header_" + std::to_string(::getpid()) + ".gguf") {
        std::ofstream(path_, std::ios::binary) << bytes;
    }
    ~TempModel() { ::unlink(path_.c_str()); }
    const std::string & path() const { return path_; }

private:
    std::string path_;
};

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

const std::vector<std::pair<std::string, uint32_t>> kGood{{"llama.block_count", 2},
                                                          {"llama.embedding_length", 64},
                                                          {"llama.attention.head_count", 4},
                                                          {"llama.attention.head_count_kv", 2}};

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

TEST(GgufHeader, AbsurdShapesAreNamed) {
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

TEST(GgufHeader, CachesOfAnotherKindAreRefusedInWords) {
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

TEST(GgufHeader, ReadsValuesOfEveryKindItNeeds) {
    const auto header = GgufHeader::parse(as_bytes(made_header(kGood)), "model");
    ASSERT_TRUE(header.ok()) << header.error().message;
    EXPECT_EQ(**header->text("general.architecture"), "llama");
    EXPECT_EQ(**header->number("llama.block_count"), 2u);
    EXPECT_EQ(*header->numbers("llama.block_count"), std::vector<uint64_t>{2});
    EXPECT_FALSE(header->number("absent")->has_value());
    EXPECT_TRUE(header->numbers("absent")->empty());
    EXPECT_EQ(header->n_tensors(), 1);
    EXPECT_TRUE(header->has_prefix("llama.attention."));
    EXPECT_FALSE(header->has_prefix("llama.ssm."));
    EXPECT_THAT(header->number("general.architecture").error().message, HasSubstr("must be a whole number"));
    EXPECT_THAT(header->text("llama.block_count").error().message, HasSubstr("must be a string"));
}

TEST(GgufHeader, RawTextKeepsLineEnds) {
    const auto header = GgufHeader::parse(as_bytes(made_header(kGood, "two\nlines")), "model");
    ASSERT_TRUE(header.ok()) << header.error().message;
    EXPECT_EQ(**header->raw_text("general.architecture"), "two\nlines");
    EXPECT_EQ(**header->text("general.architecture"), "two?lines");
}

TEST(GgufHeader, FillsTheModelInfo) {
    const TempModel model(made_header(with("llama.attention.key_length", 24)));
    const auto      info = read_model_info(model.path());
    ASSERT_TRUE(info.ok()) << info.error().message;
    EXPECT_EQ(info->n_layer, 2);
    EXPECT_EQ(info->n_kv_heads, 2);
    EXPECT_EQ(info->head_dim_k, 24);
    EXPECT_EQ(info->head_dim_v, 16);  // 64 / 4, not given
    EXPECT_EQ(info->name, model.path().substr(model.path().find_last_of('/') + 1));
}

TEST(GgufHeader, CountsThatCannotBeHonestAreRefusedAtOnce) {
    std::string   bytes = made_header(kGood);
    const int64_t huge  = int64_t{1} << 60;
    for (const size_t at : {size_t{8}, size_t{16}}) {
        std::string copy = bytes;
        std::memcpy(copy.data() + at, &huge, 8);
        EXPECT_THAT(GgufHeader::parse(as_bytes(copy), "model").error().message,
                    AnyOf(HasSubstr("tensors in"), HasSubstr("keys in")));
    }
    // A string that claims to be longer than the file.
    std::memcpy(bytes.data() + 24, &huge, 8);
    EXPECT_THAT(GgufHeader::parse(as_bytes(bytes), "model").error().message, HasSubstr("ends inside"));
}

}  // namespace
}  // namespace kvt
