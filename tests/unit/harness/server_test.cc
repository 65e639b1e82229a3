// The client against a small server of the same library.
#include "kvt/harness/server_answerer.h"

#include <atomic>
#include <map>
#include <mutex>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>
#include <nlohmann/json.hpp>

#include "kvt/harness/record.h"

namespace kvt {
namespace {

using ::testing::HasSubstr;

class TestServer {
public:
    std::vector<Json> requests;
    std::string       paths;
    int               busy = 0;  // answers 503 so many times first

    TestServer() {
        server_.Get("/v1/models", [this](const httplib::Request &, httplib::Response & r) {
            if (busy-- > 0) {
                r.status = 503;
                return;
            }
            r.set_content(R"({"object":"list","data":[{"id":"tiny"}]})", "application/json");
        });
        for (const char * path : {"/v1/completions", "/v1/chat/completions"}) {
            server_.Post(path, [this, path](const httplib::Request & q, httplib::Response & r) { reply(path, q, r); });
        }
        port_   = server_.bind_to_any_port("127.0.0.1");
        thread_ = std::thread([this] { server_.listen_after_bind(); });
    }
    ~TestServer() {
        server_.stop();
        thread_.join();
    }
    std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }

private:
    void reply(const std::string & path, const httplib::Request & q, httplib::Response & r) {
        const Json            body = Json::parse(q.body);
        const std::lock_guard lock(mutex_);
        requests.push_back(body);
        paths += path + " ";
        const bool        chat = body.contains("messages");
        const std::string text = chat ? body["messages"].back()["content"] : body["prompt"];
        if (text == "too long") {
            r.status = 400;
            r.set_content(R"({"error":{"message":"exceeds the context"}})", "application/json");
        } else if (text == "nonsense") {
            r.set_content("[]", "application/json");
        } else {
            Json choice{{"finish_reason", text == "long" ? "length" : "stop"}};
            if (chat) {
                choice["message"] = {{"role", "assistant"}, {"content", "reply to " + text}};
            } else {
                choice["text"] = "reply to " + text;
            }
            const Json out{{"choices", Json::array({choice})}, {"usage", {{"prompt_tokens", 7}, {"completion_tokens", 3}}}};
            r.set_content(out.dump(), "application/json");
        }
    }

    std::mutex      mutex_;
    httplib::Server server_;
    int             port_ = 0;
    std::thread     thread_;
};

ServerAnswererOptions at(const std::string & url, int n_parallel = 2, int retry_seconds = 5) {
    ServerAnswererOptions options;
    options.server.url             = url;
    options.server.timeout_seconds = 10;
    options.server.retry_seconds   = retry_seconds;
    options.model                  = "tiny";
    options.n_parallel             = n_parallel;
    return options;
}

struct Asked {
    Status                   status = ok_status();
    std::map<size_t, Answer> answers;
};

Asked ask(const ServerAnswererOptions & so, const std::vector<TaskItem> & items, const AnswerOptions & options) {
    Asked               asked;
    std::vector<Prompt> prompts;
    for (const TaskItem & item : items) prompts.push_back(turns_prompt(item));
    std::vector<Question> questions;
    for (size_t i = 0; i < items.size(); ++i) questions.push_back({&items[i], &prompts[i], static_cast<uint32_t>(100 + i)});
    const auto answerer = server_answerer(so);
    if (!answerer.ok()) return {answerer.error(), {}};
    asked.status = (*answerer)->answer(questions, options, [&](size_t i, Answer a) -> Status {
        asked.answers[i] = std::move(a);
        return ok_status();
    });
    return asked;
}

TaskItem text_item(const std::string & text) {
    TaskItem item;
    item.text = text;
    return item;
}

TEST(ServerAnswerer, TextsAndTurns) {
    TestServer server;
    TaskItem   chat;
    chat.turns = {{Turn::Role::system, "be brief"}, {Turn::Role::user, "hello"}};
    AnswerOptions options;
    options.max_new_tokens = 11, options.stops = {"Q:"};
    std::vector<TaskItem> items{text_item("a"), chat, text_item("long"), text_item("too long"), text_item("nonsense")};
    for (int i = 0; i < 20; ++i) items.push_back(text_item("x" + std::to_string(i)));
    const Asked asked = ask(at(server.url(), 3), items, options);
    ASSERT_TRUE(asked.status.ok()) << asked.status.error().message;
    ASSERT_EQ(asked.answers.size(), 25u);
    EXPECT_EQ(asked.answers.at(0).text, "reply to a");
    EXPECT_EQ(asked.answers.at(0).finish, "stop");
    EXPECT_EQ(asked.answers.at(0).new_tokens, 3);
    EXPECT_EQ(asked.answers.at(1).text, "reply to hello");
    EXPECT_EQ(asked.answers.at(2).finish, "length");
    EXPECT_THAT(asked.answers.at(3).error, HasSubstr("answered 400: {\"error\""));
    EXPECT_THAT(asked.answers.at(4).error, HasSubstr("has no text"));
    EXPECT_EQ(asked.answers.at(24).text, "reply to x19");
    for (const Json & r : server.requests) {
        EXPECT_EQ(r["max_tokens"], 11);
        EXPECT_EQ(r["temperature"], 0);
        EXPECT_EQ(r["stop"], Json::array({"Q:"}));
        EXPECT_EQ(r["model"], "tiny");
        EXPECT_FALSE(r.contains("top_p"));
        if (r.contains("messages")) {
            EXPECT_EQ(r["messages"][0]["role"], "system");
        }
    }
    EXPECT_THAT(server.paths, HasSubstr("/v1/chat/completions"));
}

TEST(ServerAnswerer, SamplingIsSentWhole) {
    TestServer    server;
    AnswerOptions options;
    options.max_new_tokens = 4, options.sampling = {0.6, 0.95, 0};
    auto to = at(server.url() + "/v1/");
    to.bos  = "<s>";
    ASSERT_TRUE(ask(to, {text_item("<s>a")}, options).status.ok());
    const Json r = server.requests.at(0);
    EXPECT_EQ(r["seed"], 100);
    EXPECT_EQ(r["top_p"], 0.95);
    EXPECT_EQ(r["top_k"], -1);
    EXPECT_EQ(r["min_p"], 0);
    EXPECT_EQ(r["prompt"], "a") << "the server puts BOS there itself";
}

TEST(ServerAnswerer, AServerThatIsGoneEndsTheRun) {
    const Asked asked = ask(at("http://127.0.0.1:1", 2, 0), {text_item("a"), text_item("b")}, {});
    EXPECT_THAT(asked.status.error().message, HasSubstr("http://127.0.0.1:1 refused the connection"));
    AnswerOptions likelihood;
    likelihood.mode = AnswerMode::likelihood;
    EXPECT_THAT(ask(at("http://127.0.0.1:1", 2, 0), {text_item("a")}, likelihood).status.error().message,
                HasSubstr("no log-likelihoods"));
}

TEST(ServerClient, WaitsForAServerThatIsLoading) {
    TestServer server;
    server.busy       = 2;
    const auto client = ServerClient::create(at(server.url(), 1, 20).server);
    ASSERT_TRUE(client.ok());
    EXPECT_EQ(*server_model(**client), "tiny");
    server.busy          = 1000;
    const auto impatient = ServerClient::create(at(server.url(), 1, 0).server);
    EXPECT_THAT(server_model(**impatient).error().message, HasSubstr("was not ready (503)"));
}

TEST(ServerClient, AddressesAreChecked) {
    for (const char * url : {"", "127.0.0.1:8080", "ftp://host", "http://", "file:///etc/passwd"})
        EXPECT_THAT(ServerClient::create(at(url).server).error().message, HasSubstr("is not an address")) << url;
    EXPECT_TRUE(ServerClient::create(at("http://host:8080/v1").server).ok());
}

}  // namespace
}  // namespace kvt
