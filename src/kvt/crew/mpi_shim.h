/* Entry point of libkvtuner-mpi.so, the only part that knows MPI: the program loads it when mpirun started it, and runs
 * without it otherwise. Plain C; every call comes from one thread, the one that called init. */
#ifndef KVT_MPI_SHIM_H
#define KVT_MPI_SHIM_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct kvt_mpi {
    /* 0, or 1 with the reason in `error`. */
    int (*init)(int * rank, int * size, char * error, size_t error_size);
    /* Takes a copy and returns at once. 0, or 1 if MPI refuses. */
    int (*send)(int to, const char * bytes, size_t n);
    /* The oldest message: its length and sender, or -1 if there is none. Also moves on what is being sent. */
    long (*probe)(int * from);
    /* That message. 0, or 1 if MPI refuses. */
    int (*receive)(int from, char * bytes, size_t n);
    /* Messages not yet taken over by MPI. */
    size_t (*unsent)(void);
    /* Waits for all ranks that live. */
    void (*finalize)(void);
};

/* "kvt_mpi_entry" */
typedef const struct kvt_mpi * (*kvt_mpi_entry_fn)(void);

#ifdef __cplusplus
}
#endif
#endif
