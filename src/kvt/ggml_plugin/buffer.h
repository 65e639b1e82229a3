// The buffer type of device KVT0: packed cache tensors, and plain memory for everything else the scheduler puts there.
#pragma once

#include "ggml-backend.h"

namespace kvt::plugin {

// --- Interface ---

ggml_backend_buffer_type_t kvt_buffer_type(ggml_backend_dev_t device);
bool                       is_kvt_buffer_type(ggml_backend_buffer_type_t buft);

}  // namespace kvt::plugin
