/* A device for unit tests.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_TESTS_DEVICE_H
#define MOTLEY_TESTS_DEVICE_H

#include "context.h"
#include "device/device.h"

/* Open the CPU device, or the first one where there is none; MOTLEY_TEST_DEVICE=gpu asks for the first GPU.  No
 * MPI.  Ends the process with 77 (skipped) when the machine has no device; any other failure is returned
 * after printing its sentence.  *device is closed with motley__device_close. */
int motley__test_device(struct motley__device **device);

/* For MPI tests: MPI_Init, and a context of all ranks.  Ends the process with 77 when the machine has no device, with 1
 * after printing the sentence of any other failure. */
void motley__test_context(int *argc, char ***argv, motley_context **context);

/* The same device as if this rank were alone; borrows from the context.  What it learnt when it planned goes with the
 * second. */
motley_context motley__test_alone(const motley_context *context);
void motley__test_alone_end(motley_context *solo);

#endif
