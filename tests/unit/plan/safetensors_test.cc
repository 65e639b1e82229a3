#include "kvt/plan/safetensors.h"

#include <cstring>

#include <gtest/gtest.h>

namespace kvt {
namespace {

std::string file_of(const std::string & header, size_t data_bytes) {
    const uint64_t size = header.size();
    return std::string(reinterpret_cast<const char *>(&size), sizeof size) + header + std::string(data_bytes, '\0');
}

std::string error_of(const std::string & bytes) {
    const auto file = parse_safetensors(bytes);
    return file.ok() ? "accepted" : file.error().message;
}

SafetensorsFile example() {
    return {{{"b", {Dtype::f32, {2, 3}, {1, -2.5f, 3e38f, 1e-40f, 0, 7}}}, {"a", {Dtype::f16, {1, 2}, {0.5f, -65504}}}},
            {{"positions", "4096"}, {"note", "\"quoted\""}}};
}

TEST(Safetensors, RoundTrip) {
    const std::string bytes = write_safetensors(example());
    const auto        read  = parse_safetensors(bytes);
    ASSERT_TRUE(read.ok()) << read.error().message;
    EXPECT_EQ(read->tensors, example().tensors);
    EXPECT_EQ(read->metadata, example().metadata);
    EXPECT_EQ(write_safetensors(*read), bytes);
}

TEST(Safetensors, WritingIsTheFormatOfItsDescription) {
    const std::string bytes = write_safetensors({{{"t", {Dtype::f32, {1}, {1.0f}}}}, {}});
    uint64_t          size  = 0;
    std::memcpy(&size, bytes.data(), sizeof size);
    EXPECT_EQ(size % 8, 0u) << "data starts at a multiple of 8";
    const std::string header = R"({"t":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";
    EXPECT_EQ(bytes.substr(8, header.size()), header);
    EXPECT_EQ(bytes.substr(8 + size), std::string("\0\0\x80\x3f", 4));
}

TEST(Safetensors, SixteenBitValuesAreRounded) {
    const auto read = parse_safetensors(write_safetensors({{{"t", {Dtype::f16, {1}, {0.1f}}}}, {}}));
    ASSERT_TRUE(read.ok()) << read.error().message;
    EXPECT_EQ(read->tensors.at("t").values[0], 0.0999755859375f);
}

TEST(Safetensors, FilesWithoutTensors) {
    const auto empty = parse_safetensors(file_of("{}", 0));
    ASSERT_TRUE(empty.ok()) << empty.error().message;
    EXPECT_TRUE(empty->tensors.empty());
    const auto padded = parse_safetensors(file_of(R"({"__metadata__": {"a": "b"}}   )", 0));
    ASSERT_TRUE(padded.ok()) << padded.error().message;
    EXPECT_EQ(padded->metadata.at("a"), "b");
}

TEST(Safetensors, EveryTruncationIsRefused) {
    const std::string bytes = write_safetensors(example());
    for (size_t n = 0; n < bytes.size(); ++n) EXPECT_NE(error_of(bytes.substr(0, n)), "accepted") << n;
    EXPECT_EQ(error_of(bytes + "x"), "there are bytes after the last tensor");
}

TEST(Safetensors, RefusesWhatIsNoHeader) {
    EXPECT_EQ(error_of(""), "not a safetensors file: too short");
    EXPECT_EQ(error_of("1234567"), "not a safetensors file: too short");
    const std::string no_fit = "not a safetensors file, or truncated: its header does not fit";
    EXPECT_EQ(error_of(std::string(16, '\xff')), no_fit);
    EXPECT_EQ(error_of(file_of(std::string((64u << 20) + 1, ' '), 0)), no_fit) << "64 MiB of header are allowed";
    EXPECT_NE(error_of(file_of("GGUF", 8)).find("not valid JSON"), std::string::npos);
    EXPECT_EQ(error_of(file_of("[]", 0)), "the header is not an object of tensors");
    EXPECT_EQ(error_of(file_of(R"({"__metadata__": {"a": 1}})", 0)), "/__metadata__: expected texts");
    EXPECT_EQ(error_of(file_of(R"({"__metadata__": "a"})", 0)), "/__metadata__: expected an object");
    EXPECT_NE(error_of(file_of(R"({"a": {"b": {"c": {"d": {"e": {}}}}}})", 0)).find("nested more than 4 deep"),
              std::string::npos);
}

// Headers over 16 bytes of data.
TEST(Safetensors, RefusesTensorsThatDoNotFit) {
    const struct {
        const char * header;
        const char * message;
    } cases[] = {
        {R"({"t": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}})", "accepted"},
        {R"({"t": {"dtype": "F16", "shape": [2, 4], "data_offsets": [0, 16]}})", "accepted"},
        {R"({"t": {"dtype": "F32", "shape": [3], "data_offsets": [0, 12]}, "s": {"dtype": "F32", "shape": [], "data_offsets": [12, 16]}})",
         "accepted"},
        {R"({"t": {"dtype": "BF16", "shape": [8], "data_offsets": [0, 16]}})",
         "/t/dtype: expected \"F16\" or \"F32\", found \"BF16\""},
        {R"({"t": {"shape": [4], "data_offsets": [0, 16]}})", "/t: \"dtype\" is missing"},
        {R"({"t": {"dtype": "F32", "data_offsets": [0, 16]}})", "/t: \"shape\" is missing"},
        {R"({"t": {"dtype": "F32", "shape": [4]}})", "/t: \"data_offsets\" is missing"},
        {R"({"t": 4})", "/t: expected an object, found 4"},
        {R"({"t": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16], "scale": 1}})",
         "/t/scale: unknown key (only keys that begin with x_ are free)"},
        {R"({"t": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}, "t": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}})",
         "/t: duplicate key"},
        {R"({"t": {"dtype": "F32", "shape": [4.0], "data_offsets": [0, 16]}})", "/t/shape: expected whole numbers"},
        {R"({"t": {"dtype": "F32", "shape": [1,1,1,1,1,1,1,1,4], "data_offsets": [0, 16]}})", "/t/shape: too many dimensions"},
        {R"({"t": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}})", "tensor \"t\" has an impossible shape"},
        {R"({"t": {"dtype": "F32", "shape": [-1, -4], "data_offsets": [0, 16]}})", "tensor \"t\" has an impossible shape"},
        // 2^32 * 2^32 elements: the product would be 0 in 64 bits
        {R"({"t": {"dtype": "F32", "shape": [4294967296, 4294967296], "data_offsets": [0, 0]}})",
         "tensor \"t\" has an impossible shape"},
        {R"({"t": {"dtype": "F32", "shape": [18446744073709551612], "data_offsets": [0, 16]}})",
         "tensor \"t\" has an impossible shape"},
        {R"({"t": {"dtype": "F32", "shape": [4], "data_offsets": [0]}})", "/t/data_offsets: expected two offsets"},
        {R"({"t": {"dtype": "F32", "shape": [4], "data_offsets": [-16, 0]}})", "/t/data_offsets: expected two offsets"},
        {R"({"t": {"dtype": "F32", "shape": [3], "data_offsets": [0, 16]}})", "tensor \"t\" does not fit its place in the file"},
        {R"({"t": {"dtype": "F32", "shape": [4], "data_offsets": [16, 0]}})", "tensor \"t\" does not fit its place in the file"},
        {R"({"t": {"dtype": "F32", "shape": [4], "data_offsets": [4, 20]}})", "tensor \"t\" does not fit its place in the file"},
        {R"({"t": {"dtype": "F32", "shape": [3], "data_offsets": [4, 16]}})", "tensor \"t\" leaves a gap or overlaps another"},
        {R"({"s": {"dtype": "F32", "shape": [3], "data_offsets": [0, 12]}, "t": {"dtype": "F32", "shape": [2], "data_offsets": [8, 16]}})",
         "tensor \"t\" leaves a gap or overlaps another"},
        {R"({"t": {"dtype": "F32", "shape": [3], "data_offsets": [0, 12]}})", "there are bytes after the last tensor"},
    };
    for (const auto & c : cases) EXPECT_EQ(error_of(file_of(c.header, 16)), c.message) << c.header;
}

}  // namespace
}  // namespace kvt
