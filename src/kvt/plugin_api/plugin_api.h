/* Entry points of libggml-kvtuner.so beyond the ggml interface, found by ggml_backend_reg_get_proc_address().
 * Plain C: no exceptions, no C++ types across the border. Strings are UTF-8. */
#ifndef KVT_PLUGIN_API_H
#define KVT_PLUGIN_API_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* "kvt_set_plan": the plan for caches created from now on (existing caches keep theirs). `plan` is plan JSON text,
 * a path, or a short form; NULL returns to the KVT_PLAN variable. `folder` is where files named by JSON text are (NULL for
 * none). Returns 0, or fills `error` and returns 1. */
typedef int (*kvt_set_plan_fn)(const char * plan, const char * folder, char * error, size_t error_size);

/* Tensors seen by the device, f32, as the model computed them. Valid during the call only.
 *   KVT_TAP_K, KVT_TAP_V: rows about to be stored: data[n_tokens][n_heads * head_dim], cell index per row in cells[]
 *   KVT_TAP_Q:            queries of one attention call: element (d, token, head) at data[d + token*stride_token +
 * head*stride_head]; cells = NULL, n_kv cells of the cache are visible subject to the mask; scale is the logit scale. */
enum { KVT_TAP_Q = 0, KVT_TAP_K = 1, KVT_TAP_V = 2 };
struct kvt_tap {
    int             kind, layer, n_tokens, n_heads, head_dim, n_kv;
    float           scale;
    const float *   data;
    int64_t         stride_token, stride_head; /* elements */
    const int64_t * cells;
};
/* "kvt_set_tap": one callback for the process, NULL removes it. Called on the thread that runs the graph. */
typedef void (*kvt_tap_fn)(const struct kvt_tap * tap, void * user);
typedef void (*kvt_set_tap_fn)(kvt_tap_fn fn, void * user);

/* "kvt_describe": static JSON: {"version", "isa", "isa_available": [...], "ggml_api_version", "bits": [...]}. */
typedef const char * (*kvt_describe_fn)(void);

/* "kvt_self_test": every kernel against the scalar reference on this machine. Returns the number of failures and writes
 * one line per kernel: "<name> ok|FAILED <detail>". */
typedef int (*kvt_self_test_fn)(char * report, size_t report_size);

/* "kvt_last_error": why the last graph or cache since "kvt_set_plan" was refused; empty if nothing was. */
typedef const char * (*kvt_last_error_fn)(void);

#ifdef __cplusplus
}
#endif
#endif
