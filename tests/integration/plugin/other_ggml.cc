// Preloaded before a stock program, it makes ggml say a version that the plugin was never run in.
extern "C" __attribute__((visibility("default"))) const char * ggml_version();

const char * ggml_version() { return "0.99.1"; }
