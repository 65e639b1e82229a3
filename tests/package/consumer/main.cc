// A program of somebody else: reads a plan and prints its bits, its exact size and the format of its first keys.
#include <cstdio>

#include "kvt/plan/plan.h"
#include "kvt/quant/format.h"

int main(int argc, char ** argv) {
    const auto plan = kvt::read_plan_file(argc > 1 ? argv[1] : "");
    if (!plan.ok()) {
        std::fprintf(stderr, "%s\n", plan.error().message.c_str());
        return 1;
    }
    std::printf("%.4f %llu %s\n", kvt::payload_bits(*plan), static_cast<unsigned long long>(kvt::plan_size(*plan, 4096).bytes),
                kvt::format_name(plan->layers.front().k).c_str());
    return 0;
}
