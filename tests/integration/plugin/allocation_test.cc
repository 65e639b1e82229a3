// Generation allocates nothing: malloc is this program's own, and counts while the plugin runs a step.
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <string>

#include <gtest/gtest.h>

#include "kvt/plugin_api/plugin_api.h"
#include "support/device_ops.h"

namespace {

std::atomic<bool> counting{false};
std::atomic<int>  n_allocations{0};

void note_allocation() {
    if (counting.load(std::memory_order_relaxed)) n_allocations.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

// The plugin and all libraries find these first, and operator new goes through them.
extern "C" {
void * __libc_malloc(size_t);
void * __libc_calloc(size_t, size_t);
void * __libc_realloc(void *, size_t);
void * __libc_memalign(size_t, size_t);

void * malloc(size_t n) {
    note_allocation();
    return __libc_malloc(n);
}
void * calloc(size_t n, size_t size) {
    note_allocation();
    return __libc_calloc(n, size);
}
void * realloc(void * p, size_t n) {
    note_allocation();
    return __libc_realloc(p, n);
}
void * memalign(size_t alignment, size_t n) {
    note_allocation();
    return __libc_memalign(alignment, n);
}
void * aligned_alloc(size_t alignment, size_t n) { return memalign(alignment, n); }
int    posix_memalign(void ** p, size_t alignment, size_t n) {
       *p = memalign(alignment, n);
       return *p == nullptr ? ENOMEM : 0;
}
}

namespace kvt::testing {
namespace {

constexpr int64_t kCells = 512;
constexpr int     kWarm = 64, kSteps = 200;  // several blocks are sealed

ggml_backend_reg_t plugin() {
    static ggml_backend_reg_t reg = ggml_backend_load(KVT_TEST_PLUGIN);
    return reg;
}

class Generation : public ::testing::TestWithParam<const char *> {};

TEST_P(Generation, AllocatesNothing) {
    ASSERT_NE(plugin(), nullptr);
    const auto set_plan = reinterpret_cast<kvt_set_plan_fn>(ggml_backend_reg_get_proc_address(plugin(), "kvt_set_plan"));
    for (const int n_streams : {1, 3}) {
        char error[512] = {};
        ASSERT_EQ(set_plan(GetParam(), nullptr, error, sizeof error), 0) << error;
        DeviceCache       cache(ggml_backend_reg_dev_get(plugin(), 0), {2, 4, 2, 64, kCells, n_streams}, 2);
        const DeviceGraph attention = cache.attention_graph(kCells);
        const DeviceGraph one       = cache.write_graph(1);
        for (int64_t cell = 0; cell < kWarm + kSteps; ++cell) {
            cache.aim(cell);
            if (cell == kWarm) n_allocations = 0;
            counting = cell >= kWarm;
            one.run(cache.backend());
            attention.run(cache.backend());
            counting = false;
        }
        EXPECT_EQ(n_allocations.load(), 0) << n_streams << " sequences";
    }
}

// What the first test would show if the plugin did allocate.
TEST(Generation, TheCounterSeesThePlugin) {
    ASSERT_NE(plugin(), nullptr);
    const auto set_plan   = reinterpret_cast<kvt_set_plan_fn>(ggml_backend_reg_get_proc_address(plugin(), "kvt_set_plan"));
    char       error[512] = {};
    n_allocations         = 0;
    counting              = true;
    ASSERT_EQ(set_plan("kivi:K4V2", nullptr, error, sizeof error), 0) << error;
    counting = false;
    EXPECT_GT(n_allocations.load(), 0);
}

INSTANTIATE_TEST_SUITE_P(Plans, Generation,
                         ::testing::Values("f16", "kivi:K8V8", "kivi:K4V2", "per-token:K8V4:hd64", "per-token:K3V2:hd64"),
                         [](const auto & test_case) {
                             std::string name = test_case.param;
                             for (char & c : name) c = std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
                             return name;
                         });

}  // namespace
}  // namespace kvt::testing
