// Finds libggml-kvtuner.so, loads it into this process by path, and calls its entry points (plugin_api.h).
#pragma once

#include <functional>
#include <string>

#include "kvt/base/result.h"
#include "kvt/engine/model_runner.h"

struct ggml_backend_device;

namespace kvt {

// --- Interface ---

// Where the plugin is: `given` if it is not empty, else $KVT_PLUGIN, beside the executable, ../lib/kvtuner, ../bin. The error
// lists the places looked at.
Result<std::string> find_plugin(const std::string & given = {});

class Plugin {
public:
    virtual ~Plugin()                                = default;
    virtual const std::string &   path() const       = 0;
    virtual std::string           describe() const   = 0;  // JSON text, see plugin_api.h
    virtual ggml_backend_device * device() const     = 0;
    virtual std::string           last_error() const = 0;

    struct SelfTest {
        int         failures = 0;
        std::string report;  // one line per kernel
    };
    virtual SelfTest self_test() = 0;

    // For caches created from now on. Errors: the plugin's words.
    virtual Status set_plan(const std::string & plan_text, const std::string & folder) = 0;
    // One callback for the process; an empty function removes it.
    virtual void set_tap(TapFn tap) = 0;
};

// Loads the plugin once per process; later calls return the same one. Errors: not found, not a loadable library, built for
// another ggml, entry points missing, or a different path than the one already loaded.
Result<Plugin *> load_plugin(const std::string & path = "");

}  // namespace kvt
