#include "kvt/report/html_page.h"

#include <algorithm>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kvt/report/report_data.h"
#include "support/results.h"

namespace kvt::testing {
namespace {

using ::testing::HasSubstr;

size_t count(const std::string & text, const std::string & part) {
    size_t n = 0;
    for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
    return n;
}

// The JSON inside the page.
std::string data_of(const std::string & html) {
    const std::string open  = "id=\"kvt-data\">";
    const size_t      start = html.find(open) + open.size();
    return html.substr(start, html.find("</script>", start) - start);
}

Results named(const std::string & name) {
    Results r = example_results();
    for (ModelInfo * model : {&r.study.model, &r.held_out->model, &r.plan->model}) model->name = name;
    return r;
}

TEST(ScriptJson, NoStringCanEndTheElement) {
    const nlohmann::ordered_json j{{"name", "</script><!-- & ]]> \xe2\x80\xa8 \xff"}};
    const std::string            text = script_json(j);
    EXPECT_TRUE(
        std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~' && c != '<' && c != '>' && c != '&'; }));
    EXPECT_EQ(nlohmann::ordered_json::parse(text).at("name"), "</script><!-- & ]]> \xe2\x80\xa8 \xef\xbf\xbd");
}

TEST(HtmlText, EscapesWhatMarkupIsMadeOf) {
    EXPECT_EQ(html_text("<a href=\"x\">'&'</a>"), "&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;&lt;/a&gt;");
}

TEST(HtmlPage, HoldsTheDataWhole) {
    const auto        data = report_json(example_results(), "1.2.3");
    const std::string html = html_page(data);
    EXPECT_EQ(nlohmann::ordered_json::parse(data_of(html)), data);
    EXPECT_EQ(html, html_page(data));
    EXPECT_LT(html.size(), size_t{2} << 20);
}

TEST(HtmlPage, IsOneFileWithTheLibraryAndItsLicence) {
    const std::string html = html_page(report_json(example_results(), "1.2.3"));
    EXPECT_THAT(html, HasSubstr("d3js.org/d3-scale/"));
    EXPECT_THAT(html, HasSubstr("Redistribution and use in source and binary forms"));
    EXPECT_THAT(html, HasSubstr("default-src 'none'"));
    for (const char * outside : {"src=\"http", "href=\"http", "url(", "@import"}) EXPECT_EQ(count(html, outside), 0u) << outside;
    for (const char * place : {"{{title}}", "{{style}}", "{{library}}", "{{licences}}", "{{data}}", "{{script}}"})
        EXPECT_EQ(count(html, place), 0u) << place;
}

TEST(HtmlPage, ANameOfMarkupStaysText) {
    const std::string plain = html_page(report_json(example_results(), "1.2.3"));
    const std::string html  = html_page(report_json(named("</title></script><script>alert('x')</script><!--"), "1.2.3"));
    for (const char * part : {"<script", "</script", "</title", "<!--"}) EXPECT_EQ(count(html, part), count(plain, part)) << part;
    EXPECT_THAT(html, HasSubstr("&lt;script&gt;alert(&#39;x&#39;)"));
}

TEST(HtmlPage, ANameOfAPlaceIsNotFilled) {
    const std::string html = html_page(report_json(named("{{data}}"), "1.2.3"));
    EXPECT_THAT(html, HasSubstr("<h1>{{data}}</h1>"));
    EXPECT_EQ(count(html, "kvtuner.report"), 1u);
}

}  // namespace
}  // namespace kvt::testing
