// Answers from an OpenAI-compatible server, several requests at a time.
#pragma once

#include <memory>
#include <string>

#include "kvt/harness/answerer.h"
#include "kvt/harness/server_client.h"

namespace kvt {

// --- Interface ---

struct ServerAnswererOptions {
    ServerOptions server;
    std::string   model;           // as server_model() named it
    int           n_parallel = 4;  // requests at a time
    std::string   bos;             // text of the token that the server itself puts in front; taken off rendered prompts
};

// Rendered prompts go to /v1/completions, turns without a text to /v1/chat/completions. A refused request (HTTP status other than
// 200) is that answer's error; a server that cannot be reached ends the run. Log-likelihoods are refused.
Result<std::unique_ptr<Answerer>> server_answerer(const ServerAnswererOptions & options);

}  // namespace kvt
