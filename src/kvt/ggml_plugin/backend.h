// Backend, device and registration objects of KVT0.
#pragma once

#include "ggml-backend.h"

namespace kvt::plugin {

// --- Interface ---

ggml_backend_t     kvt_backend_init(ggml_backend_dev_t device);
void               kvt_backend_set_n_threads(ggml_backend_t backend, int n_threads);
ggml_backend_dev_t kvt_device(ggml_backend_reg_t reg);
ggml_backend_reg_t kvt_reg();

}  // namespace kvt::plugin
