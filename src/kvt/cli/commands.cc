#include "kvt/cli/commands.h"

namespace kvt::cli {

void add_commands(Commands & commands) {
#ifdef KVT_HAVE_TUNE_COMMAND
    add_tune(commands);
#endif
#ifdef KVT_HAVE_PROFILE_COMMAND
    add_profile(commands);
#endif
#ifdef KVT_HAVE_PRUNE_COMMAND
    add_prune(commands);
#endif
#ifdef KVT_HAVE_CLUSTER_COMMAND
    add_cluster(commands);
#endif
#ifdef KVT_HAVE_SEARCH_COMMAND
    add_search(commands);
#endif
#ifdef KVT_HAVE_EVAL_COMMAND
    add_eval(commands);
#endif
    add_plan(commands);
    add_bench(commands);
    add_doctor(commands);
}

}  // namespace kvt::cli
