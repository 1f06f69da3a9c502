/* What every rank of a job drives.
 *
 *   mpirun -n 4 examples/01_devices
 *
 * The first lesson: one rank drives one OpenCL device.  motley_context_create picks it, GPUs first, then the CPU, whose
 * cores the remaining ranks of a node divide; it builds the kernels for it and tells all ranks about it.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>

#include <motley/motley.h>

int main(int argc, char **argv)
{
    motley_context *context = NULL;
    struct motley_error error = {0};

    /* The program owns MPI; the library takes a communicator. */
    MPI_Init(&argc, &argv);

    /* Collective: all ranks succeed, or all fail with the same sentence.  NULL: default options. */
    if (motley_context_create(MPI_COMM_WORLD, NULL, &context, &error)) {
        if (error.rank <= 0)
            fprintf(stderr, "01_devices: %s\n", error.text);
        MPI_Finalize();
        return 1;
    }

    /* Each rank knows what all of them drive, so one can print for all. */
    if (motley_context_rank(context) == 0) {
        for (int rank = 0; rank < motley_context_size(context); rank++) {
            const struct motley_device_info *device = motley_context_device(context, rank);
            printf("rank %d on %s: %s, %d %s, %.1f GiB, kernels: %s (%s)\n", rank, device->host, device->name,
                   device->cores, device->is_gpu ? "compute units" : "cores", (double)device->memory_bytes / (1 << 30),
                   device->family, device->why);
        }
    }
    motley_context_destroy(context);
    MPI_Finalize();
    return 0;
}
