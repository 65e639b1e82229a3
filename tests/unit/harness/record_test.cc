#include "kvt/harness/record.h"

#include <filesystem>
#include <fstream>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "kvt/base/file_io.h"

namespace kvt {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::string fresh(const char * name) {
    const std::string path = ::testing::TempDir() + "kvt_record_" + std::to_string(::getpid()) + "_" + name + ".jsonl";
    std::filesystem::remove(path);
    return path;
}

Json header(int seed = 1, const std::string & started = "now") {
    return Json{{"schema", kTaskSchema}, {"schema_version", 1}, {"task", "fake"}, {"seed", seed}, {kStartedField, started}};
}

ItemLine line(const std::string & item, double score, int sample = 0) {
    ItemLine l;
    l.item     = item;
    l.sample   = sample;
    l.finish   = "eog";
    l.response = "words of " + item;
    l.scores   = {{"exact", score}, {"loose", 1}};
    l.groups   = {{"level", "3"}};
    l.flags    = {"unclosed"};
    return l;
}

TEST(ItemLine, WritingAndReadingGivesTheSame) {
    ItemLine l             = line("a\nb", 0.25, 3);
    l.seed                 = 4000000000u;
    l.log_probabilities    = {-1.5, -0.1};
    l.continuation_tokens  = {2, 3};
    l.error                = "broken";
    l.decode_seconds       = 0.125;
    const std::string text = write_line(l);
    EXPECT_EQ(text.find('\n'), text.size() - 1);
    const auto back = read_line(Json::parse(text));
    ASSERT_TRUE(back.ok()) << back.error().message;
    EXPECT_EQ(write_line(*back), text);
    EXPECT_EQ(back->scores[0].first, "exact") << "the headline stays first";
    l.response.reset();
    EXPECT_FALSE(read_line(Json::parse(write_line(l)))->response.has_value());
    l.response = std::string("bad \xff\0 bytes", 12);
    EXPECT_EQ(*read_line(Json::parse(write_line(l)))->response, std::string("bad \xef\xbf\xbd\0 bytes", 14));
    EXPECT_THAT(read_line(Json{{"item", 3}}).error().message, HasSubstr("\"item\""));
}

TEST(RecordFile, GoesOnWhereItStoppedAndCutsAPartialLine) {
    const std::string path = fresh("resume");
    {
        auto file = RecordFile::open(path, header(1, "monday"));
        ASSERT_TRUE(file.ok()) << file.error().message;
        ASSERT_TRUE(file->append(line("a", 1)).ok());
        ASSERT_TRUE(file->append(line("b", 0)).ok());
    }
    const std::string whole = *read_file(path);
    std::ofstream(path, std::ios::app) << R"({"item":"c","sam)";
    auto file = RecordFile::open(path, header(1, "tuesday"));
    ASSERT_TRUE(file.ok()) << file.error().message;
    ASSERT_EQ(file->record().lines.size(), 2u);
    EXPECT_EQ(file->record().header[kStartedField], "monday");
    ASSERT_TRUE(file->append(line("c", 1)).ok());
    EXPECT_EQ(*read_file(path), whole + write_line(line("c", 1)));
    ASSERT_TRUE(file->finish(Json{{"n", 3}, {"scores", Json::object()}}).ok());
    const auto record = read_task_record(path);
    ASSERT_TRUE(record.ok()) << record.error().message;
    EXPECT_EQ(record->lines.size(), 3u);
    EXPECT_EQ(record->summary["n"], 3);
    // A line after the summary replaces it.
    ASSERT_TRUE(file->append(line("b", 1)).ok());
    const auto again = read_task_record(path);
    ASSERT_EQ(again->lines.size(), 3u);
    EXPECT_EQ(again->lines.back().item, "b");
    EXPECT_EQ(again->lines.back().scores[0].second, 1) << "the last line of a key counts";
    EXPECT_TRUE(again->summary.is_null());
    std::filesystem::remove(path);
}

TEST(RecordFile, AHeaderThatWasCutOffStartsAnew) {
    const std::string path = fresh("cut_header");
    std::ofstream(path) << R"({"schema":"kvtuner.ev)";
    EXPECT_TRUE(RecordFile::open(path, header()).ok());
    EXPECT_EQ(read_task_record(path)->header["task"], "fake");
    std::filesystem::remove(path);
}

TEST(RecordFile, WhatDoesNotFitIsRefusedAndLeftAsItWas) {
    const std::string path    = fresh("refused");
    const auto        refusal = [&](const Json & h) {
        const std::string before = *read_file(path);
        const auto        file   = RecordFile::open(path, h);
        EXPECT_EQ(*read_file(path), before);
        return file.ok() ? std::string("accepted") : file.error().message;
    };
    {
        auto file = RecordFile::open(path, header());
        ASSERT_TRUE(file->append(line("a", 1)).ok());
        EXPECT_THAT(refusal(header()), HasSubstr("being written by another kvtuner"));
    }
    EXPECT_THAT(refusal(header(2)), AllOf(HasSubstr("\"seed\" was 1 and is 2"), HasSubstr("--out")));
    Json more     = header();
    more["extra"] = true;
    EXPECT_THAT(refusal(more), HasSubstr("no \"extra\""));
    Json less = header();
    less.erase("task");
    EXPECT_THAT(refusal(less), HasSubstr("\"task\", which this run has not"));
    std::ofstream(path, std::ios::app) << "{broken\n" << write_line(line("b", 1));
    EXPECT_THAT(refusal(header()), HasSubstr("line 3: not a JSON object"));
    std::ofstream(path) << "some notes of the user\n";
    EXPECT_THAT(refusal(header()), HasSubstr("line 1"));
    std::ofstream(path) << "notes without a line end";
    EXPECT_THAT(refusal(header()), HasSubstr("not a record"));
    std::filesystem::remove(path);
    EXPECT_THAT(RecordFile::open("/nowhere/x.jsonl", header()).error().message, HasSubstr("/nowhere/x.jsonl"));
    EXPECT_THAT(read_task_record(path).error().message, HasSubstr(path));
}

// A record may come from anywhere: what is read from it later has the type it should have, or the line is named now.
TEST(TaskRecord, FieldsOfOtherTypesAreNamed) {
    const std::string path = fresh("types"), answer = write_line(line("a", 1));
    const auto        said = [&](const Json & head, const Json & tail) {
        EXPECT_TRUE(write_file_atomic(path, head.dump() + "\n" + answer + tail.dump() + "\n").ok());
        const auto record = read_task_record(path);
        return record.ok() ? "" : record.error().message;
    };
    const Json good{{"summary", {{"n_items", 1}, {"scores", {{"exact", {{"mean", 1.0}, {"se", nullptr}}}}}}}};
    EXPECT_EQ(said(header(), good), "");
    for (const auto & [field, value] : std::vector<std::pair<const char *, Json>>{{"schema_version", true},
                                                                                  {"schema_version", "1"},
                                                                                  {"task", 1},
                                                                                  {"n_items", "many"},
                                                                                  {"plan", "kivi"},
                                                                                  {"model", "m.gguf"},
                                                                                  {"private_text", "no"},
                                                                                  {"started", 2025},
                                                                                  {"server", Json::array()},
                                                                                  {"warnings", {1}}}) {
        Json head   = header();
        head[field] = value;
        EXPECT_THAT(said(head, good), AllOf(HasSubstr("line 1"), HasSubstr(field)));
    }
    Json other      = header();
    other["schema"] = 5;
    EXPECT_THAT(said(other, good), HasSubstr("line 1: not the header"));
    for (const auto & [object, field] :
         {std::pair("plan", "name"), std::pair("plan", "stock"), std::pair("model", "file_sha256")}) {
        Json inner    = header();
        inner[object] = {{field, 3}};
        EXPECT_THAT(said(inner, good), HasSubstr(fmt::format("\"{}\"", field)));
    }
    for (const Json & summary :
         {Json(3), Json::object(), Json{{"scores", 1}}, Json{{"scores", {{"exact", 1}}}},
          Json{{"scores", {{"exact", {{"mean", "high"}}}}}}, Json{{"scores", Json::object()}, {"n_items", "x"}}}) {
        EXPECT_THAT(said(header(), Json{{"summary", summary}}), HasSubstr("line 3")) << summary;
    }
    const auto samples = [&](const char * list) {
        return said(header(), Json{{"summary", {{"scores", Json::object()}, {"samples", Json::parse(list)}}}});
    };
    EXPECT_EQ(samples(R"([{"score": "exact", "name": "avg@2", "mean": 0.5, "ci_low": null, "ci_high": 0.75}])"), "");
    for (const char * list : {"5", "[1]", R"([{"score": "exact", "name": "avg@2", "mean": 0.5}])",
                              R"([{"score": 1, "name": "avg@2", "mean": 0.5, "ci_low": null, "ci_high": null}])",
                              R"([{"score": "exact", "name": "avg@2", "mean": "high", "ci_low": null, "ci_high": null}])"})
        EXPECT_THAT(samples(list), HasSubstr("line 3: \"samples\"")) << list;
}

TEST(TaskRecord, DeepNestingIsRefused) {
    const std::string path = fresh("deep"), deep = std::string(1000000, '[') + std::string(1000000, ']');
    const std::string head = R"({"schema": "kvtuner.eval.task", "schema_version": 1, "more": )" + deep + "}\n";
    ASSERT_TRUE(write_file_atomic(path, head).ok());
    EXPECT_THAT(read_task_record(path).error().message, HasSubstr("line 1"));
}

}  // namespace
}  // namespace kvt
