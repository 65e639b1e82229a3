// The crew that mpirun started, through libkvtuner-mpi.so.
#pragma once

#include <memory>

#include "kvt/base/result.h"
#include "kvt/crew/crew.h"

namespace kvt {

// --- Interface ---

// Null unless Open MPI's mpirun started this process together with others. The library lies beside the program or in
// ../lib/kvtuner. Errors: it was not built, cannot be loaded, or MPI does not start.
Result<std::unique_ptr<Crew>> join_mpi_crew();

}  // namespace kvt
