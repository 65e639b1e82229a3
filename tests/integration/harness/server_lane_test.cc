// The same task through an unmodified llama-server and in this process.
#include <filesystem>
#include <fstream>

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kvt/cli/eval_lanes.h"
#include "kvt/harness/compare.h"
#include "support/fake_task.h"
#include "support/tiny_model.h"

namespace kvt {
namespace {

using testing::FakeTask;
using ::testing::HasSubstr;
using testing::tiny_model;
using testing::tiny_model_path;

int free_port() {
    const int   fd = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family      = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size          = sizeof(address);
    EXPECT_EQ(::bind(fd, reinterpret_cast<sockaddr *>(&address), size), 0);
    EXPECT_EQ(::getsockname(fd, reinterpret_cast<sockaddr *>(&address), &size), 0);
    ::close(fd);
    return ntohs(address.sin_port);
}

// Started at once; the client waits until it answers.
class LlamaServer {
public:
    LlamaServer() : port_(free_port()), log_(::testing::TempDir() + "kvt_server_" + std::to_string(::getpid()) + ".log") {
        child_ = ::fork();
        if (child_ != 0) return;
        const std::string model = tiny_model_path(), port = std::to_string(port_);
        ::unsetenv("GGML_BACKEND_PATH");
        if (std::freopen(log_.c_str(), "w", stdout) == nullptr || ::dup2(1, 2) < 0) ::_exit(120);
        ::execl(KVT_TEST_LLAMA_SERVER, "llama-server", "-m", model.c_str(), "-t", "1", "--host", "127.0.0.1", "--port",
                port.c_str(), "-c", "1024", "-np", "2", "--no-kv-unified", "--no-warmup", "-fa", "on", "--chat-template",
                "chatml", nullptr);
        ::_exit(121);
    }
    ~LlamaServer() {
        ::kill(child_, SIGKILL);
        ::waitpid(child_, nullptr, 0);
        std::filesystem::remove(log_);
    }
    std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }

private:
    int         port_;
    std::string log_;
    pid_t       child_ = 0;
};

std::string folder(const char * name) {
    const std::string path = ::testing::TempDir() + "kvt_server_lane_" + std::to_string(::getpid()) + "_" + name;
    std::filesystem::remove_all(path);
    return path;
}

TEST(ServerLane, GivesTheAnswersOfTheEngine) {
    const LlamaServer server;
    FakeTask          task(16, 32);
    cli::LaneOptions  options;
    options.out                        = folder("text");
    options.n_slots                    = 2;
    options.n_threads                  = 1;
    options.run.answers.max_new_tokens = 32;
    options.run.answers.stops          = {"\n", " and"};
    for (const bool chat : {false, true}) {
        task.chat             = chat;
        task.header_.variant  = chat ? "chat" : "text";
        options.chat_template = chat ? "chatml" : "";
        const auto prompts    = *load_items(
               task, [&](const TaskItem & item) { return render_prompt(tiny_model(), item, options.chat_template); }, no_progress());
        options.server    = "";
        const auto ours   = cli::run_lanes(task, prompts, &tiny_model(), options, no_progress());
        options.server    = server.url();
        const auto theirs = cli::run_lanes(task, prompts, &tiny_model(), options, no_progress());
        ASSERT_TRUE(ours.ok()) << ours.error().message;
        ASSERT_TRUE(theirs.ok()) << theirs.error().message;
        const auto compared = compare_records((*ours)[0], (*theirs)[0]);
        ASSERT_TRUE(compared.ok()) << compared.error().message;
        EXPECT_THAT(compared->second, HasSubstr("server"));
        EXPECT_EQ(compared->n_same_text, 16) << "greedy answers of the same prompts, chat " << chat;
        for (const ItemLine & line : (*theirs)[0].lines)
            EXPECT_EQ(line.prompt_tokens, static_cast<int>(prompts.prompts[std::stoul(line.item)].tokens.size()));

        // Without a model here the server renders the turns itself.
        if (!chat) continue;
        cli::LaneOptions alone = options;
        alone.out              = folder("alone");
        const auto unrendered  = *load_items(
             task, [](const TaskItem & item) -> Result<Prompt> { return turns_prompt(item); }, no_progress());
        const auto records = cli::run_lanes(task, unrendered, nullptr, alone, no_progress());
        ASSERT_TRUE(records.ok()) << records.error().message;
        for (size_t i = 0; i < 16; ++i) {
            const ItemLine & a = (*records)[0].lines[i];
            for (const ItemLine & b : (*theirs)[0].lines) {
                if (a.item != b.item) continue;
                EXPECT_EQ(a.response, b.response);
            }
        }
        std::filesystem::remove_all(alone.out);
    }
    // A prompt that does not fit is that item's error, and says what the server said.
    task.chat            = false;
    task.header_.variant = "long";
    task.start           = std::string(3000, 'x');
    task.header_.n_items = 2;
    const auto prompts   = *load_items(
          task, [](const TaskItem & item) -> Result<Prompt> { return turns_prompt(item); }, no_progress());
    const auto records = cli::run_lanes(task, prompts, nullptr, options, no_progress());
    ASSERT_TRUE(records.ok()) << records.error().message;
    EXPECT_EQ((*records)[0].summary["n_error"], 2);
    EXPECT_THAT((*records)[0].lines[0].error, HasSubstr("the server answered 400"));
    std::filesystem::remove_all(options.out);
}

TEST(ServerLane, AnswerPrefixesNeedAModelHere) {
    class Prefixed final : public Task {
    public:
        TaskHeader         h;
        const TaskHeader & header() const override { return h; }
        Result<TaskItem>   item(int) const override {
            TaskItem item;
            item.turns         = {{Turn::Role::user, "a"}};
            item.answer_prefix = " The numbers are";
            return item;
        }
        Verdict score(int, std::string_view) const override { return {}; }
    } task;
    task.h.name = "needle", task.h.n_items = 1;
    cli::LaneOptions options;
    options.out                        = folder("prefix");
    options.server                     = "http://127.0.0.1:1";
    options.run.answers.max_new_tokens = 4;
    const auto prompts                 = *load_items(
                        task, [](const TaskItem & item) -> Result<Prompt> { return turns_prompt(item); }, no_progress());
    EXPECT_THAT(cli::run_lanes(task, prompts, nullptr, options, no_progress()).error().message,
                HasSubstr("needle puts words of its own at the start of the answer"));
    std::filesystem::remove_all(options.out);
}

}  // namespace
}  // namespace kvt
