#include "kvt/engine/llama/open_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/tiny_model.h"

namespace kvt {
namespace {

using ::testing::HasSubstr;
using testing::tiny_model;
using testing::tiny_model_path;

TEST(ReadModelInfo, TinyModel) {
    const auto info = read_model_info(tiny_model_path(64));
    ASSERT_TRUE(info.ok()) << info.error().message;
    EXPECT_EQ(info->arch, "llama");
    EXPECT_EQ(info->n_layer, 5);
    EXPECT_EQ(info->n_kv_heads, 4);
    EXPECT_EQ(info->head_dim_k, 64);
    EXPECT_EQ(info->head_dim_v, 64);
    EXPECT_EQ(info->file_sha256.size(), 64u);
    EXPECT_EQ(read_model_info(tiny_model_path(32))->head_dim_k, 32);
}

TEST(OpenModel, FactsOfTheTinyModel) {
    ModelRunner & model = tiny_model();
    EXPECT_EQ(model.info(), *read_model_info(tiny_model_path()));
    EXPECT_EQ(model.n_vocab(), 512);
    EXPECT_EQ(model.n_q_heads(), 8);
    EXPECT_EQ(model.n_ctx_train(), 512);
    EXPECT_TRUE(model.adds_bos());
    EXPECT_EQ(model.bos(), 1);
    EXPECT_TRUE(model.is_end_of_generation(2));
    EXPECT_FALSE(model.is_end_of_generation(300));
    EXPECT_FALSE(model.is_end_of_generation(-5));
    EXPECT_FALSE(model.is_end_of_generation(1 << 30));
}

TEST(OpenModel, TokensAndTextRoundTrip) {
    const ModelRunner & model = tiny_model();
    const std::string   text  = "Once upon a time, there was a little girl named Lily.";
    const auto          plain = model.tokenize(text, AddSpecial::no), with_bos = model.tokenize(text, AddSpecial::yes),
               parsed = model.tokenize(text, AddSpecial::parse);
    ASSERT_TRUE(plain.ok() && with_bos.ok() && parsed.ok());
    EXPECT_EQ(with_bos->front(), model.bos());
    EXPECT_EQ(with_bos->size(), plain->size() + 1);
    EXPECT_EQ(*parsed, *with_bos);
    EXPECT_THAT(model.detokenize(*plain), HasSubstr(text));
    EXPECT_EQ(model.tokenize("", AddSpecial::no)->size(), 0u);
    EXPECT_EQ(model.detokenize(std::vector<Token>{-1}), "");
    EXPECT_TRUE(model.tokenize("\xff\xfe broken \x80 bytes", AddSpecial::no).ok());
}

TEST(OpenModel, ModelWithoutChatTemplateGivesTheTextItself) { EXPECT_EQ(tiny_model().chat_prompt("hello"), "hello"); }

TEST(OpenModel, NamesAPluginThatIsNotThere) {
    const auto opened = open_model(tiny_model_path(), {"/nowhere/libggml-kvtuner.so", UsePlugin::required, 1});
    ASSERT_FALSE(opened.ok());
    EXPECT_THAT(opened.error().message, HasSubstr("/nowhere/libggml-kvtuner.so"));
}

TEST(OpenModel, WithoutThePluginPlansAreRefusedAndTheReferenceRuns) {
    const auto model = open_model(tiny_model_path(), {"", UsePlugin::never, 1});
    ASSERT_TRUE(model.ok()) << model.error().message;
    SessionOptions options;
    EXPECT_TRUE((*model)->open(options).ok());
    options.plan       = uniform_plan((*model)->info(), Mode::kivi, 4, 4);
    const auto refused = (*model)->open(options);
    ASSERT_FALSE(refused.ok());
    EXPECT_THAT(refused.error().message, HasSubstr("without the plugin"));
}

}  // namespace
}  // namespace kvt
