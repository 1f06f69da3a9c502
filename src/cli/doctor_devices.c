/* What `motley doctor` says about drivers and devices.
 *
 * Drivers are tried in child processes: one that crashes or aborts takes only its child along.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <glob.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "cli/doctor.h"
#include "device/node.h"

static const double TRIAL_SECONDS = 120;

/* Run `trial` in a child; what it wrote into `text` comes back.  0, or what ended the child: its exit status, 256 +
 * signal. */
static int in_child(void (*trial)(const void *, char *, size_t), const void *what, char *text, size_t size)
{
    int ends[2], status = 0;
    text[0] = 0;
    if (pipe(ends))
        return 1;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        trial(what, text, size);
        _exit(write(ends[1], text, strlen(text) + 1) < 0);
    }
    close(ends[1]);
    struct pollfd wait = {.fd = ends[0], .events = POLLIN};
    if (child > 0 && (poll(&wait, 1, (int)(1000 * TRIAL_SECONDS)) <= 0 || read(ends[0], text, size - 1) <= 0))
        kill(child, SIGKILL); /* nothing if it ended by itself: not reaped yet, so the number is still its own */
    close(ends[0]);
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    return child < 0 ? 1 : WIFSIGNALED(status) ? 256 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void load_library(const void *what, char *text, size_t size)
{
    void *library = dlopen(what, RTLD_NOW | RTLD_LOCAL);
    snprintf(text, size, "%s", library ? "" : dlerror());
}

static void check_icd(struct motley__findings *findings, const char *path)
{
    char *library, why[256];
    size_t bytes;
    struct motley_error error = {0};
    if (motley__file_read(path, &library, &bytes, &error)) {
        motley__find(findings, MOTLEY__BROKEN, "ICD", "make it readable", "%s", error.text);
        return;
    }
    library[strcspn(library, "\r\n")] = 0;
    int ended = in_child(load_library, library, why, sizeof why);
    if (ended)
        motley__find(findings, MOTLEY__BROKEN, "ICD", "reinstall the driver's package",
                     "%s: loading %s ends its process (%d)", path, library, ended);
    else if (why[0])
        motley__find(findings, MOTLEY__BROKEN, "ICD", "reinstall the driver's package, or remove the file",
                     "%s: its library does not load: %s", path, why);
    else
        motley__find(findings, MOTLEY__FINE, "ICD", NULL, "%s: %s loads", path, library);
    free(library);
}

/* ocl-icd takes a folder, a file or a library from OCL_ICD_VENDORS, else the folder of the system. */
void motley__doctor_icds(struct motley__findings *findings)
{
    const char *place = getenv("OCL_ICD_VENDORS");
    char pattern[512];
    struct stat facts;
    glob_t found;
    if (!place || !place[0])
        place = "/etc/OpenCL/vendors";
    int is_folder = !stat(place, &facts) && S_ISDIR(facts.st_mode);
    snprintf(pattern, sizeof pattern, "%s%s", place, is_folder ? "/*.icd" : "");
    if (glob(pattern, 0, NULL, &found)) {
        motley__find(findings, MOTLEY__BROKEN, "ICD",
                     "install an OpenCL driver: for CPUs pocl-opencl-icd, for GPUs that of the vendor "
                     "(nvidia-opencl-icd, rocm-opencl-icd, intel-opencl-icd)",
                     "no OpenCL driver is registered in %s", place);
        return;
    }
    for (size_t i = 0; i < found.gl_pathc; i++)
        check_icd(findings, found.gl_pathv[i]);
    globfree(&found);
}

/* The files through which drivers reach GPUs, and the driver that they hint at. */
void motley__doctor_permissions(struct motley__findings *findings)
{
    static const char *const patterns[] = {"/dev/nvidiactl", "/dev/nvidia[0-9]*", "/dev/kfd", "/dev/dri/renderD*"};
    for (size_t p = 0; p < sizeof patterns / sizeof *patterns; p++) {
        glob_t found;
        if (glob(patterns[p], 0, NULL, &found))
            continue;
        for (size_t i = 0; i < found.gl_pathc; i++)
            if (access(found.gl_pathv[i], R_OK | W_OK))
                motley__find(findings, MOTLEY__ADVICE, "permission",
                             "add this user to the group that owns it (often render or video) and log in again",
                             "%s: %s", found.gl_pathv[i], strerror(errno));
            else
                motley__find(findings, MOTLEY__FINE, "permission", NULL, "%s may be used", found.gl_pathv[i]);
        globfree(&found);
    }
}

/* Open device number *what and run a kernel on it: the driver's compiler works from source to result. */
static void try_device(const void *what, char *text, size_t size)
{
    int index = *(const int *)what, count;
    struct motley__found *found;
    struct motley__device *device;
    struct motley__binding binding = {.device = index, .sharers = 1};
    struct motley_error error = {0};
    int seen;
    if (motley__discover(&found, &count, &error) ||
        motley__device_open(&found[index], &binding, NULL, NULL, &device, &error) ||
        motley__probe_zero_copy(device, &seen, &error)) {
        snprintf(text, size, "%s", error.text);
        return;
    }
    motley__device_close(device);
}

void motley__doctor_devices(struct motley__findings *findings)
{
    struct motley__found *found;
    struct motley_error error = {0};
    const char *const repair = "reinstall the driver; PoCL also needs a linker (binutils)";
    int count, gpus = 0;
    if (motley__discover_in_child(&found, &count, &error)) {
        motley__find(findings, MOTLEY__BROKEN, "devices", "install or repair a driver, see ICD above", "%s",
                     error.text);
        return;
    }
    for (int i = 0; i < count; i++) {
        char why[512];
        const struct motley__found *f = &found[i];
        double begin = motley__seconds();
        int ended = in_child(try_device, &i, why, sizeof why);
        double seconds = motley__seconds() - begin;
        gpus += f->is_gpu;
        if (ended)
            motley__find(findings, MOTLEY__BROKEN, "compiler", repair,
                         "%s: compiling and running a kernel ended its process (%d)", f->name, ended);
        else if (why[0])
            motley__find(findings, MOTLEY__BROKEN, "compiler", repair, "%s", why);
        else
            motley__find(findings, MOTLEY__FINE, "device", NULL, "%s (%s, driver %s) ran a kernel, %.1f s from nothing",
                         f->name, f->platform_name, f->driver, seconds);
    }
    free(found);
    if (gpus == 0 && !access("/dev/nvidia0", F_OK))
        motley__find(findings, MOTLEY__BROKEN, "devices",
                     "install nvidia-opencl-icd; in a container whose driver came from outside: "
                     "echo libnvidia-opencl.so.1 > /etc/OpenCL/vendors/nvidia.icd",
                     "there is an NVIDIA GPU, but no OpenCL platform shows it");
}
