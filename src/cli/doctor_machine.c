/* What `motley doctor` says about a machine's cores, memory, caches and settings.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/doctor.h"
#include "device/node.h"

enum { MIB = 1 << 20 };

static void check_shared_memory(struct motley__findings *findings)
{
    struct statvfs facts;
    if (statvfs("/dev/shm", &facts))
        return; /* MPI then uses /tmp */
    double mib = (double)facts.f_bavail * (double)facts.f_frsize / MIB;
    if (mib < 256)
        motley__find(findings, MOTLEY__ADVICE, "shared memory", "in a container: docker run --shm-size=1g",
                     "/dev/shm has only %.0f MiB free; MPI's messages between ranks of a machine pass through it", mib);
}

void motley__doctor_machine(struct motley__findings *findings)
{
    struct motley__node node;
    struct motley__cpus cpus, wider;
    struct motley_error error = {0};
    int given = 0;
    if (motley__node_create(NULL, 0, &node, &error) || motley__cpus_given(&cpus, &wider, &error)) {
        motley__find(findings, MOTLEY__BROKEN, "machine", "check that /sys is mounted", "%s", error.text);
        return;
    }
    for (int i = 0; i < node.cores; i++) {
        int has = 0;
        for (int k = 0; k < node.core[i].count; k++)
            has |= motley__cpus_has(&wider, node.core[i].cpus[k]);
        given += has;
    }
    motley__find(findings, given < node.cores ? MOTLEY__ADVICE : MOTLEY__FINE, "cores",
                 given < node.cores ? "if this was not meant: mpirun --bind-to none" : NULL,
                 "rank was given %d of %d cores", given, node.cores);
    if (node.quota > 0 && node.quota < given)
        motley__find(findings, MOTLEY__ADVICE, "cores", "raise the container's CPU limit if this was not meant",
                     "a control group allows the time of %.1f cores", node.quota);
    motley__find(findings, MOTLEY__FINE, "memory", NULL, "%.1f GiB for all ranks",
                 (double)node.memory_bytes / MIB / 1024);
    check_shared_memory(findings);
    motley__node_destroy(&node);
}

void motley__doctor_caches(struct motley__findings *findings)
{
    char *folder = NULL, *path = NULL, *back = NULL;
    size_t bytes;
    struct motley_error error = {0};
    int status = motley__cache_directory(&folder, &error);
    if (!status)
        status = motley__format(&path, &error, "%s/doctor.%ld", folder, (long)getpid());
    if (!status)
        status = motley__file_write(path, "motley", 6, &error);
    if (!status) {
        status = motley__file_read(path, &back, &bytes, &error);
        unlink(path);
    }
    if (status)
        motley__find(findings, MOTLEY__ADVICE, "cache", "make it writable, or point XDG_CACHE_HOME to a folder that is",
                     "%s; kernels are built and measured anew at every start", error.text);
    else
        motley__find(findings, MOTLEY__FINE, "cache", NULL, "%s keeps built kernels and measurements", folder);
    free(back);
    free(path);
    free(folder);
}

/* Settings that change what Motley does, most of them forgotten in a shell's profile. */
void motley__doctor_environment(struct motley__findings *findings)
{
    static const struct {
        const char *name, *effect, *mend;
    } settings[] = {
        {"POCL_AFFINITY", "moves PoCL's threads off the cores that a rank was given", "unset POCL_AFFINITY"},
        {"MOTLEY_CL_DIR", "kernels are read from there instead of from the library", NULL},
        {"MOTLEY_FAMILY", "restricts the kernel families that are tried", NULL},
        {"OCL_ICD_VENDORS", "drivers are looked for there", NULL},
        {"CUDA_VISIBLE_DEVICES", "hides NVIDIA GPUs", NULL},
    };
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        const char *value = getenv(settings[i].name);
        if (value)
            motley__find(findings, settings[i].mend ? MOTLEY__ADVICE : MOTLEY__FINE, "environment", settings[i].mend,
                         "%s=%s: %s", settings[i].name, value, settings[i].effect);
    }
}
