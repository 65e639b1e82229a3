#include "kvt/report/kld_record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kvt/report/report_data.h"
#include "kvt/report/text_files.h"
#include "support/results.h"

namespace kvt::testing {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::ordered_json;

// As kvtuner eval kld writes it, less what the report does not show.
Json record_of(int n_ctx) {
    const auto mean = [](double x) { return Json{{"mean", {{"value", x}}}}; };
    Json       bins = Json::array();
    bins.push_back({{"first", n_ctx / 2}, {"last", n_ctx - 2}, {"kld", 0.25}, {"same_top_1", 0.5}});
    Json r{{"schema", "kvtuner.eval.kld"}, {"schema_version", 1}, {"more", "is not looked at"}};
    r["model"]    = {{"name", "example-4L"}, {"file_sha256", hash_of('a')}};
    r["data"]     = {{"name", "text.raw"}};
    r["settings"] = {{"n_ctx", n_ctx}, {"n_chunks", 8}, {"mode", "batch"}};
    r["plans"]    = Json::array();
    r["plans"].push_back({{"name", "kivi:KV4"}, {"effective_bits", 5.25}, {"kld", mean(0.0625)}, {"by_position", bins}});
    r["floors"] = Json::array();
    for (const auto & [name, value] : {std::pair{"F0", 9.0}, {"F1", 0.001}, {"Fk", 0.003}}) {
        Json floor    = mean(value);
        floor["name"] = name;
        r["floors"].push_back(floor);
    }
    return r;
}

std::string complaint(const Json & json) {
    const auto read = parse_kld_view(json.dump());
    return read.ok() ? "" : read.error().message;
}

TEST(KldRecordView, OneLengthOrMany) {
    const auto one = parse_kld_view(record_of(512).dump());
    ASSERT_TRUE(one.ok()) << one.error().message;
    ASSERT_EQ(one->lengths.size(), 1u);
    EXPECT_EQ(one->lengths[0].floor, 0.003);  // the higher one; F0 is no floor of quality
    EXPECT_EQ(one->lengths[0].plans[0].kld, 0.0625);
    const auto many = parse_kld_view(Json{record_of(512), record_of(1024)}.dump());
    ASSERT_TRUE(many.ok()) << many.error().message;
    const Json j = kld_view_json(*many);
    EXPECT_EQ(j["lengths"][1]["plans"][0]["bins"][0].dump(), R"({"first":512,"last":1022,"kld":0.25,"same_top":0.5})");
}

TEST(KldRecordView, SaysWhatIsWrongAndWhere) {
    Json schema = record_of(512), bin = record_of(512), other = record_of(1024);
    schema["schema"]                         = "kvtuner.eval.ppl";
    bin["plans"][0]["by_position"][0]["kld"] = "much";
    other["model"]["file_sha256"]            = hash_of('f');
    EXPECT_THAT(complaint(schema), HasSubstr("/schema: "));
    EXPECT_THAT(complaint(bin), HasSubstr("/plans/0/by_position/0/kld: "));
    EXPECT_THAT(complaint(Json{record_of(512), other}), HasSubstr("/1/model: is not that of the first record"));
    EXPECT_THAT(complaint(Json::array()), HasSubstr("no record"));
}

TEST(KldRecordView, IsInTheReportItsCommandsAndTables) {
    Results r   = example_results();
    r.positions = *parse_kld_view(Json{record_of(512), record_of(1024)}.dump());
    EXPECT_THAT(
        commands_to_repeat(r),
        ::testing::Contains("kvtuner eval kld -m model.gguf --plan kivi:KV4 -c 512,1024 --chunks 8 -o tuned/eval_kld.json"));
    EXPECT_EQ(report_json(r, "1.2.3").at("positions"), kld_view_json(*r.positions));
    const auto files = csv_files(r);
    EXPECT_EQ(files.back().name, "positions.csv");
    EXPECT_THAT(files.back().text, HasSubstr("1024,kivi:KV4,512,1022,0.25,0.5\r\n"));
}

}  // namespace
}  // namespace kvt::testing
