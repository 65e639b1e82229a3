// One connection to a server that speaks OpenAI's HTTP interface (llama-server, vLLM, ...).
#pragma once

#include <memory>
#include <string>

#include <nlohmann/json.hpp>

#include "kvt/base/result.h"

namespace kvt {

// --- Interface ---

struct ServerOptions {
    std::string url;                    // "http://host:port", with or without "/v1"
    int         timeout_seconds = 600;  // for one answer
    int         retry_seconds   = 30;   // how long a server that refuses connections or is still loading is waited for
};

struct ServerReply {
    int         status = 0;  // HTTP
    std::string body;
};

class ServerClient {
public:
    // Only checks the URL. Errors: not http:// or https://, no host.
    static Result<std::unique_ptr<ServerClient>> create(const ServerOptions & options);
    virtual ~ServerClient() = default;

    // `path` comes after "/v1", for example "/completions". A null body is a GET. Refused connections and 503 are tried again.
    // Errors: no connection, no answer in time, "interrupted"; each names the URL. Any other HTTP status is a reply.
    virtual Result<ServerReply> send(const std::string & path, const nlohmann::ordered_json & body) = 0;

    virtual void stop() = 0;  // from another thread: ends a send() that waits
};

// The name of the model that the server answers for. Errors: those of send; an answer that is no list of models.
Result<std::string> server_model(ServerClient & client);

}  // namespace kvt
