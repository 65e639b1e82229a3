// The calls of mpi_shim.h by MPI: point to point only, because a collective call would wait for a process that died.
#include "kvt/crew/mpi_shim.h"

#include <cstdio>
#include <list>
#include <string>

#include <mpi.h>

namespace {

constexpr int kTag = 0;

struct Outgoing {
    std::string bytes;
    MPI_Request request = MPI_REQUEST_NULL;
};
// MPI reads them in place, so they must not move; never destroyed, since MPI may still read when the process ends.
std::list<Outgoing> & outgoing = *new std::list<Outgoing>;

void forget_sent() {
    outgoing.remove_if([](Outgoing & o) {
        int done = 0;
        // A receiver that died makes this an error: then there is nothing to wait for.
        return MPI_Test(&o.request, &done, MPI_STATUS_IGNORE) != MPI_SUCCESS || done != 0;
    });
}

int init(int * rank, int * size, char * error, size_t error_size) {
    int provided = 0;
    if (MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided) != MPI_SUCCESS || provided < MPI_THREAD_FUNNELED) {
        std::snprintf(error, error_size, "MPI cannot be used from a thread of its own (MPI_Init_thread)");
        return 1;
    }
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    MPI_Comm_rank(MPI_COMM_WORLD, rank);
    MPI_Comm_size(MPI_COMM_WORLD, size);
    return 0;
}

int send(int to, const char * bytes, size_t n) {
    Outgoing & o = outgoing.emplace_back();
    o.bytes.assign(bytes, n);
    if (MPI_Isend(o.bytes.data(), static_cast<int>(n), MPI_BYTE, to, kTag, MPI_COMM_WORLD, &o.request) == MPI_SUCCESS) return 0;
    outgoing.pop_back();
    return 1;
}

long probe(int * from) {
    forget_sent();
    int        found = 0, n = 0;
    MPI_Status status;
    if (MPI_Iprobe(MPI_ANY_SOURCE, kTag, MPI_COMM_WORLD, &found, &status) != MPI_SUCCESS || found == 0) return -1;
    MPI_Get_count(&status, MPI_BYTE, &n);
    *from = status.MPI_SOURCE;
    return n;
}

int receive(int from, char * bytes, size_t n) {
    return MPI_Recv(bytes, static_cast<int>(n), MPI_BYTE, from, kTag, MPI_COMM_WORLD, MPI_STATUS_IGNORE) == MPI_SUCCESS ? 0 : 1;
}

size_t unsent() {
    forget_sent();
    return outgoing.size();
}

void finalize() { MPI_Finalize(); }

constexpr kvt_mpi kCalls{init, send, probe, receive, unsent, finalize};

}  // namespace

extern "C" __attribute__((visibility("default"))) const kvt_mpi * kvt_mpi_entry() { return &kCalls; }
