// System calls that no benchmark program needs and that have been ways into the kernel.
#pragma once

#include <string>

#include "kvt/base/result.h"

namespace kvt {

// --- Interface ---

// The bytes of a seccomp filter as bwrap --seccomp reads it: everything is allowed but debugging other processes, mounts,
// namespaces by unshare, kernel modules, keys, BPF, performance counters, io_uring and userfaultfd, which fail with EPERM.
// Errors: libseccomp cannot make it.
Result<std::string> syscall_filter();

}  // namespace kvt
