#include <algorithm>

#include <gtest/gtest.h>

#include "kvt/base/rng.h"
#include "kvt/recipes/layer_ranges.h"

namespace kvt::recipes {
namespace {

using Names = std::vector<std::string>;

TEST(LayerRanges, EqualNeighboursAreOneRange) {
    EXPECT_EQ(write_ranges({"a", "a", "b", "a"}), "0-1:a,2:b,3:a");
    EXPECT_EQ(write_ranges({"a", "a"}), "a");
    EXPECT_EQ(write_ranges({"", "a", "", "a", "a"}), "1:a,3-4:a");
}

TEST(LayerRanges, ComesBackFromAnyMap) {
    SplitMix64 rng(5);
    for (int round = 0; round < 300; ++round) {
        Names names(1 + rng.below(20));
        for (std::string & name : names) name = Names{"fp8", "nvfp4", ""}[rng.below(3)];
        const std::string text = write_ranges(names);
        if (text.empty()) continue;
        const auto back = expand_ranges(text, static_cast<int>(names.size()));
        ASSERT_TRUE(back.ok()) << text << ": " << back.error().message;
        EXPECT_EQ(*back, names) << text;
        size_t runs = 0;  // minimal: a segment for each run of equal names
        for (size_t i = 0; i < names.size(); ++i) runs += !names[i].empty() && (i == 0 || names[i] != names[i - 1]);
        EXPECT_EQ(static_cast<size_t>(std::count(text.begin(), text.end(), ',')) + 1, runs) << text;
    }
}

TEST(LayerRanges, ErrorsOfTheGrammar) {
    const struct {
        const char *text, *error;
    } cases[] = {
        {"2-1:fp8", "segment \"2-1:fp8\" starts after its end"},
        {"0-4:fp8", "segment \"0-4:fp8\": there are 4 layers, counted from 0"},
        {"0:fp8,nvfp4", "segment \"nvfp4\" has no ':', so it would name all layers beside others"},
        {"0-2:fp8,2:fp8", "segment \"2:fp8\" names layer 2 a second time"},
        {"0:", "segment \"0:\" is not LAYER:NAME or FIRST-LAST:NAME"},
        {"-1:fp8", "segment \"-1:fp8\" is not LAYER:NAME or FIRST-LAST:NAME"},
        {"0:a,", "segment \"\" has no ':', so it would name all layers beside others"},
        {"", "an empty layer list"},
    };
    for (const auto & c : cases) {
        const auto names = expand_ranges(c.text, 4);
        EXPECT_EQ(names.ok() ? "no error" : names.error().message, c.error);
    }
    EXPECT_EQ(*expand_ranges("fp8", 3), (Names{"fp8", "fp8", "fp8"}));
}

}  // namespace
}  // namespace kvt::recipes
