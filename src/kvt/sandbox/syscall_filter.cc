#include "kvt/sandbox/syscall_filter.h"

#include <cerrno>
#include <cstring>
#include <memory>

#include <fmt/format.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kvt/sandbox/child.h"

namespace kvt {

namespace {

constexpr const char * kRefused[] = {"ptrace",
                                     "process_vm_readv",
                                     "process_vm_writev",
                                     "kcmp",
                                     "pidfd_getfd",
                                     "mount",
                                     "umount2",
                                     "pivot_root",
                                     "open_tree",
                                     "move_mount",
                                     "fsopen",
                                     "fsconfig",
                                     "fsmount",
                                     "fspick",
                                     "mount_setattr",
                                     "chroot",
                                     "unshare",
                                     "setns",
                                     "init_module",
                                     "finit_module",
                                     "delete_module",
                                     "kexec_load",
                                     "kexec_file_load",
                                     "add_key",
                                     "request_key",
                                     "keyctl",
                                     "bpf",
                                     "perf_event_open",
                                     "memfd_create",  // memory that no process shows as its own
                                     "memfd_secret",
                                     "shmget",
                                     "io_uring_setup",
                                     "io_uring_enter",
                                     "io_uring_register",
                                     "userfaultfd",
                                     "swapon",
                                     "swapoff",
                                     "reboot",
                                     "acct",
                                     "quotactl",
                                     "open_by_handle_at",
                                     "name_to_handle_at",
                                     "lookup_dcookie",
                                     "iopl",
                                     "ioperm"};

}  // namespace

Result<std::string> syscall_filter() {
    const auto failed = [](int error) {
        return Error{fmt::format("sandbox: libseccomp cannot make the filter: {}", std::strerror(-error))};
    };
    const std::unique_ptr<void, decltype(&seccomp_release)> filter(seccomp_init(SCMP_ACT_ALLOW), &seccomp_release);
    if (!filter) return failed(-ENOMEM);
    for (const char * name : kRefused) {
        const int number = seccomp_syscall_resolve_name(name);
        if (number == __NR_SCMP_ERROR) continue;  // newer than this libseccomp
        const int error = seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(EPERM), number, 0);
        if (error != 0 && error != -EDOM) return failed(error);  // -EDOM: this processor has no such call
    }
    // Shared memory without a file stays when the process that filled it is gone, and counts for none that never touched it.
    constexpr scmp_datum_t kSharedAnonymous = MAP_SHARED | MAP_ANONYMOUS;
    if (const int error = seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(EPERM), SCMP_SYS(mmap), 1,
                                           SCMP_A3(SCMP_CMP_MASKED_EQ, kSharedAnonymous, kSharedAnonymous));
        error != 0)
        return failed(error);
    KVT_TRY(Pipe pipe, make_pipe());  // a filter is some 500 bytes, which no pipe is too small for
    if (const int error = seccomp_export_bpf(filter.get(), pipe.write.get()); error != 0) return failed(error);
    pipe.write.close_now();
    std::string bytes;
    char        buffer[4096];
    for (ssize_t n; (n = ::read(pipe.read.get(), buffer, sizeof buffer)) > 0;) bytes.append(buffer, static_cast<size_t>(n));
    return bytes;
}

}  // namespace kvt
