#include "kvt/harness/server_answerer.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>

#include <fmt/format.h>

#include "kvt/base/progress.h"
#include "kvt/base/stopwatch.h"
#include "kvt/harness/record.h"

namespace kvt {

// --- Implementation ---

namespace {

class ServerAnswerer final : public Answerer {
public:
    ServerAnswerer(ServerAnswererOptions options, std::vector<std::unique_ptr<ServerClient>> clients)
        : options_(std::move(options)), clients_(std::move(clients)) {}

    size_t group_size() const override { return 1; }

    Status answer(std::span<const Question> questions, const AnswerOptions & options, const Done & done) override {
        if (options.mode == AnswerMode::likelihood)
            return Error{"a server tells no log-likelihoods of given texts: measure them with -m alone"};
        Exchange                 exchange;
        std::vector<std::thread> workers;
        exchange.n_working = clients_.size();
        for (const auto & client : clients_) workers.emplace_back([&] { work(*client, questions, options, exchange); });
        const Status status = hand_over(exchange, done);
        exchange.stop();
        for (const auto & client : clients_) client->stop();
        for (std::thread & worker : workers) worker.join();
        return status;
    }

private:
    struct Exchange {
        std::mutex                            mutex;
        std::condition_variable               news;
        size_t                                next = 0, n_working = 0;
        std::deque<std::pair<size_t, Answer>> answers;
        std::optional<Error>                  trouble;
        bool                                  stopped = false;

        void stop() {
            const std::lock_guard lock(mutex);
            stopped = true;
        }
    };

    void work(ServerClient & client, std::span<const Question> questions, const AnswerOptions & options,
              Exchange & exchange) const {
        std::unique_lock lock(exchange.mutex);
        while (!exchange.stopped && !exchange.trouble && exchange.next < questions.size()) {
            const size_t i = exchange.next++;
            lock.unlock();
            auto answer = ask(client, questions[i], options);
            lock.lock();
            if (answer.ok()) {
                exchange.answers.emplace_back(i, std::move(*answer));
            } else if (!exchange.trouble) {
                exchange.trouble = answer.error();
            }
            exchange.news.notify_one();
        }
        --exchange.n_working;
        exchange.news.notify_one();
    }

    // Hands answers to `done` on this thread until all are there.
    static Status hand_over(Exchange & exchange, const Done & done) {
        std::unique_lock lock(exchange.mutex);
        while (true) {
            if (interrupted()) return Error{"interrupted"};
            if (!exchange.answers.empty()) {
                auto [i, answer] = std::move(exchange.answers.front());
                exchange.answers.pop_front();
                lock.unlock();
                const Status status = done(i, std::move(answer));
                lock.lock();
                if (!status.ok()) return status;
                continue;
            }
            if (exchange.trouble) return *exchange.trouble;
            if (exchange.n_working == 0) return ok_status();
            exchange.news.wait_for(lock, std::chrono::milliseconds(100));  // to see Ctrl-C
        }
    }

    Json request(const Question & q, const AnswerOptions & options) const {
        Json body{{"model", options_.model}};
        if (!q.prompt->text.empty()) {
            const std::string & text = q.prompt->text;
            body["prompt"] = !options_.bos.empty() && text.starts_with(options_.bos) ? text.substr(options_.bos.size()) : text;
        } else {
            body["messages"] = Json::array();
            for (const Turn & turn : q.item->turns)
                body["messages"].push_back({{"role", role_name(turn.role)}, {"content", turn.text}});
        }
        body["max_tokens"]  = options.max_new_tokens;
        body["temperature"] = options.sampling.temperature;
        body["seed"]        = q.seed;
        if (!options.stops.empty()) body["stop"] = options.stops;
        if (options.sampling.greedy()) return body;
        // llama-server and vLLM have defaults of their own for the last two, which the in-process sampler has not.
        body["top_p"] = options.sampling.top_p;
        body["top_k"] = options.sampling.top_k > 0 ? options.sampling.top_k : -1;
        body["min_p"] = 0;
        return body;
    }

    Result<Answer> ask(ServerClient & client, const Question & q, const AnswerOptions & options) const {
        const bool      chat = q.prompt->text.empty();
        const Stopwatch watch;
        KVT_TRY(const ServerReply reply, client.send(chat ? "/chat/completions" : "/completions", request(q, options)));
        Answer answer         = read_reply(reply, chat);
        answer.decode_seconds = watch.seconds();
        return answer;
    }

    static Answer read_reply(const ServerReply & reply, bool chat) {
        Answer     answer;
        const auto fail = [&](std::string why) {
            answer.finish = finish_name(Finish::error);
            answer.error  = std::move(why);
            return answer;
        };
        const Json body = Json::parse(reply.body, nullptr, false);
        if (reply.status != 200) return fail(fmt::format("the server answered {}: {}", reply.status, reply.body.substr(0, 200)));
        try {
            const Json & choice  = body.at("choices").at(0);
            const Json & text    = chat ? choice.at("message").at("content") : choice.at("text");
            answer.text          = text.is_null() ? "" : text.get<std::string>();
            const Json & reason  = choice.at("finish_reason");
            answer.finish        = reason == "length" ? finish_name(Finish::length) : finish_name(Finish::stop);
            const Json usage     = body.value("usage", Json::object());
            answer.prompt_tokens = usage.value("prompt_tokens", 0);
            answer.new_tokens    = usage.value("completion_tokens", 0);
        } catch (const Json::exception &) {
            return fail(fmt::format("the server's answer has no text: {}", reply.body.substr(0, 200)));
        }
        return answer;
    }

    ServerAnswererOptions                      options_;
    std::vector<std::unique_ptr<ServerClient>> clients_;
};

}  // namespace

Result<std::unique_ptr<Answerer>> server_answerer(const ServerAnswererOptions & options) {
    std::vector<std::unique_ptr<ServerClient>> clients;
    for (int i = 0; i < std::max(1, options.n_parallel); ++i) {
        KVT_TRY(auto client, ServerClient::create(options.server));
        clients.push_back(std::move(client));
    }
    return std::unique_ptr<Answerer>(std::make_unique<ServerAnswerer>(options, std::move(clients)));
}

}  // namespace kvt
