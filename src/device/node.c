/* Which cores and how much memory this node has.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "device/node.h"

enum { WORD_BITS = 8 * sizeof(unsigned long) };

extern char **environ;

int motley__cpus_has(const struct motley__cpus *cpus, int cpu)
{
    return cpu >= 0 && cpu < MOTLEY__CPUS && (cpus->words[cpu / WORD_BITS] >> (cpu % WORD_BITS) & 1);
}

void motley__cpus_add(struct motley__cpus *cpus, int cpu)
{
    if (cpu >= 0 && cpu < MOTLEY__CPUS)
        cpus->words[cpu / WORD_BITS] |= 1UL << (cpu % WORD_BITS);
}

/* Is the parent of this process Open MPI's launcher, not some script between? */
static int launched_directly(void)
{
    char path[64], *name;
    size_t bytes;
    snprintf(path, sizeof path, "/proc/%ld/comm", (long)getppid());
    if (motley__file_read(path, &name, &bytes, NULL))
        return 0;
    name[strcspn(name, "\n")] = 0;
    static const char *const launchers[] = {"mpirun", "mpiexec", "orterun", "orted"};
    int found = 0;
    for (size_t i = 0; i < sizeof launchers / sizeof *launchers; i++)
        found |= !strcmp(name, launchers[i]);
    free(name);
    return found;
}

/* Did Open MPI bind this rank to a core although nobody said a word about mapping or binding?  It does so in jobs of
 * one or two ranks.  Every such word on its command line or in the environment becomes a variable of one of two
 * prefixes. */
static int bound_by_default(void)
{
    const char *bound = getenv("OMPI_MCA_orte_bound_at_launch"), *size = getenv("OMPI_COMM_WORLD_SIZE");
    if (!bound || strcmp(bound, "1") || !size || atoi(size) > 2 || !launched_directly())
        return 0;
    for (char **variable = environ; *variable; variable++)
        if (!strncmp(*variable, "OMPI_MCA_hwloc_base_", 20) || !strncmp(*variable, "OMPI_MCA_rmaps_", 15))
            return 0;
    return 1;
}

int motley__cpus_given(struct motley__cpus *cpus, struct motley__cpus *wider, struct motley_error *error)
{
    memset(cpus, 0, sizeof *cpus);
    memset(wider, 0, sizeof *wider);
    if (sched_getaffinity(0, sizeof *cpus, (cpu_set_t *)cpus) < 0)
        return motley__fail(error, MOTLEY_E_UNSUPPORTED, "this process's processors cannot be asked for: %s",
                            strerror(errno));
    if (!bound_by_default() || sched_getaffinity(getppid(), sizeof *wider, (cpu_set_t *)wider) < 0)
        *wider = *cpus;
    return 0;
}

/* The domain whose memory is nearest to an object: the first in its node set, counted in hwloc's order. */
static int domain_of(hwloc_topology_t topology, hwloc_obj_t object)
{
    int domains = hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_NUMANODE);
    for (int i = 0; i < domains; i++) {
        hwloc_obj_t domain = hwloc_get_obj_by_type(topology, HWLOC_OBJ_NUMANODE, (unsigned)i);
        if (object->nodeset && hwloc_bitmap_isset(object->nodeset, domain->os_index))
            return i;
    }
    return 0;
}

static void read_core(hwloc_topology_t topology, hwloc_obj_t object, struct motley__core *core)
{
    unsigned cpu;
    core->domain = domain_of(topology, object);
    core->count = 0;
    hwloc_bitmap_foreach_begin(cpu, object->cpuset)
        if (core->count < MOTLEY__CORE_CPUS)
            core->cpus[core->count++] = (int)cpu;
    hwloc_bitmap_foreach_end();
}

/* A device that sits near several domains, or nobody knows where, has none. */
static int device_domain(hwloc_topology_t topology, const struct motley__found *found)
{
    hwloc_obj_t device = found->locality[0] ? hwloc_get_pcidev_by_busidstring(topology, found->locality) : NULL;
    hwloc_obj_t place = device ? hwloc_get_non_io_ancestor_obj(topology, device) : NULL;
    if (!place || !place->nodeset || hwloc_bitmap_weight(place->nodeset) != 1)
        return -1;
    return domain_of(topology, place);
}

int motley__node_from_topology(hwloc_topology_t topology, const struct motley__found *found, int devices,
                               struct motley__node *node, struct motley_error *error)
{
    /* Machines that do not say how hardware threads form cores: each is one. */
    hwloc_obj_type_t type = hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_CORE) > 0 ? HWLOC_OBJ_CORE : HWLOC_OBJ_PU;
    int cores = hwloc_get_nbobjs_by_type(topology, type);
    memset(node, 0, sizeof *node);
    node->core = calloc((size_t)(cores > 0 ? cores : 1), sizeof *node->core);
    node->domain = calloc((size_t)devices + 1, sizeof *node->domain);
    if (!node->core || !node->domain) {
        motley__node_destroy(node);
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for %d cores", cores);
    }
    node->cores = cores;
    node->devices = devices;
    node->memory_bytes = hwloc_get_root_obj(topology)->total_memory;
    for (int i = 0; i < cores; i++)
        read_core(topology, hwloc_get_obj_by_type(topology, type, (unsigned)i), &node->core[i]);
    for (int i = 0; i < devices; i++)
        node->domain[i] = device_domain(topology, &found[i]);
    return 0;
}

static int load_topology(hwloc_topology_t *topology, struct motley_error *error)
{
    if (hwloc_topology_init(topology))
        return motley__fail(error, MOTLEY_E_UNSUPPORTED, "hwloc cannot start: %s", strerror(errno));
    /* hwloc's own look at accelerators would make the process's first OpenCL calls. */
    static const char *const plugins[] = {"opencl", "cuda", "nvml", "rsmi", "levelzero", "gl"};
    for (size_t i = 0; i < sizeof plugins / sizeof *plugins; i++)
        hwloc_topology_set_components(*topology, HWLOC_TOPOLOGY_COMPONENTS_FLAG_BLACKLIST, plugins[i]);
    /* Ranks of one node may be given different cores; each rank's own mask says which are allowed. */
    hwloc_topology_set_flags(*topology, HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED);
    hwloc_topology_set_type_filter(*topology, HWLOC_OBJ_PCI_DEVICE, HWLOC_TYPE_FILTER_KEEP_IMPORTANT);
    if (hwloc_topology_load(*topology)) {
        hwloc_topology_destroy(*topology);
        return motley__fail(error, MOTLEY_E_UNSUPPORTED, "hwloc cannot read this machine: %s", strerror(errno));
    }
    return 0;
}

int motley__node_create(const struct motley__found *found, int devices, struct motley__node *node,
                        struct motley_error *error)
{
    hwloc_topology_t topology;
    int status = load_topology(&topology, error);
    if (status)
        return status;
    status = motley__node_from_topology(topology, found, devices, node, error);
    hwloc_topology_destroy(topology);
    if (status)
        return status;
    /* Some virtual machines describe only part of their memory as NUMA domains. */
    uint64_t system = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    if (node->memory_bytes < system)
        node->memory_bytes = system;
    uint64_t limit = motley__limit_memory("");
    if (limit > 0 && limit < node->memory_bytes)
        node->memory_bytes = limit;
    node->quota = motley__limit_cores("");
    return 0;
}

void motley__node_destroy(struct motley__node *node)
{
    free(node->core);
    free(node->domain);
    memset(node, 0, sizeof *node);
}
