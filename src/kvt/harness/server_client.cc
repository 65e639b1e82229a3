#include "kvt/harness/server_client.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <thread>

#include <fmt/format.h>
#include <httplib.h>

#include "kvt/base/json_text.h"
#include "kvt/base/progress.h"

namespace kvt {

// --- Implementation ---

namespace {

using Json  = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

constexpr int    kConnectSeconds = 10;
constexpr int    kUnavailable    = 503;  // llama-server while it loads its model
constexpr double kLongestPause   = 4;

class HttpClient final : public ServerClient {
public:
    HttpClient(const ServerOptions & options, const std::string & host, std::string base)
        : options_(options), base_(std::move(base)), client_(host) {
        client_.set_connection_timeout(kConnectSeconds);
        client_.set_read_timeout(options.timeout_seconds);
        client_.set_write_timeout(options.timeout_seconds);
        client_.set_keep_alive(true);
    }

    Result<ServerReply> send(const std::string & path, const Json & body) override {
        const auto give_up = Clock::now() + std::chrono::seconds(options_.retry_seconds);
        const auto target  = base_ + "/v1" + path;
        const auto text    = body.is_null() ? "" : json_text(body);
        double     pause   = 0.25;
        while (true) {
            if (interrupted() || stopped_) return Error{"interrupted"};
            const auto result = body.is_null() ? client_.Get(target) : client_.Post(target, text, "application/json");
            const bool refused =
                !result && (result.error() == httplib::Error::Connection || result.error() == httplib::Error::ConnectionTimeout);
            if (result && result->status != kUnavailable) return ServerReply{result->status, result->body};
            if (interrupted() || stopped_) return Error{"interrupted"};
            if (!refused && !result) {
                return Error{fmt::format("the server at {} gave no answer within {} s or closed the connection ({})",
                                         options_.url, options_.timeout_seconds, httplib::to_string(result.error()))};
            }
            if (Clock::now() >= give_up) {
                return Error{fmt::format("the server at {} {} for {} s: is it running?", options_.url,
                                         refused ? "refused the connection" : "was not ready (503)", options_.retry_seconds)};
            }
            sleep(pause);
            pause = std::min(2 * pause, kLongestPause);
        }
    }

    void stop() override {
        stopped_ = true;
        client_.stop();
    }

private:
    void sleep(double seconds) const {
        const auto end = Clock::now() + std::chrono::duration<double>(seconds);
        while (Clock::now() < end && !interrupted() && !stopped_) std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }

    ServerOptions     options_;
    std::string       base_;
    httplib::Client   client_;
    std::atomic<bool> stopped_ = false;
};

}  // namespace

Result<std::unique_ptr<ServerClient>> ServerClient::create(const ServerOptions & options) {
    const std::string & url    = options.url;
    const auto          bad    = Error{fmt::format("server \"{}\" is not an address such as http://127.0.0.1:8080", url)};
    const size_t        scheme = url.find("://");
    if (scheme == std::string::npos || (url.substr(0, scheme) != "http" && url.substr(0, scheme) != "https")) return bad;
    const size_t      path = std::min(url.find('/', scheme + 3), url.size());
    const std::string host = url.substr(0, path);
    std::string       base = url.substr(path);
    while (base.ends_with('/')) base.pop_back();
    if (base.ends_with("/v1")) base.resize(base.size() - 3);
    if (path == scheme + 3) return bad;
    try {
        auto client = std::make_unique<HttpClient>(options, host, base);
        return std::unique_ptr<ServerClient>(std::move(client));
    } catch (const std::exception &) {  // a port that is no number
        return bad;
    }
}

Result<std::string> server_model(ServerClient & client) {
    KVT_TRY(const ServerReply reply, client.send("/models", nullptr));
    const Json answer = Json::parse(reply.body, nullptr, false);
    if (reply.status == 200 && answer.is_object() && answer.contains("data") && answer["data"].is_array() &&
        !answer["data"].empty() && answer["data"][0].is_object()) {
        const std::string id = answer["data"][0].value("id", "");
        if (!id.empty()) return id;
    }
    return Error{
        fmt::format("the server did not name its model (GET /v1/models gave status {}): is it OpenAI-compatible?", reply.status)};
}

}  // namespace kvt
