/* What the control groups of this process allow it, in versions 1 and 2.
 *
 * A limit may sit on any level between the process's group and the root, and inside a container the group's path
 * may not exist under the mount; so every level that exists is read, and the least limit counts.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "device/node.h"

/* One line of text of a control group's file; 0 when there is none. */
static int read_line(const char *folder, const char *name, char *line, size_t size)
{
    char *path, *bytes;
    size_t count;
    if (motley__format(&path, NULL, "%s/%s", folder, name))
        return 0;
    int status = motley__file_read(path, &bytes, &count, NULL);
    free(path);
    if (status)
        return 0;
    snprintf(line, size, "%.*s", (int)strcspn(bytes, "\n"), bytes);
    free(bytes);
    return 1;
}

static double memory_of(const char *folder, int version)
{
    char line[64];
    if (!read_line(folder, version == 2 ? "memory.max" : "memory.limit_in_bytes", line, sizeof line))
        return 0;
    double bytes = strtod(line, NULL); /* "max" is 0 */
    return bytes < 0x1p60 ? bytes : 0; /* version 1 says "none" with a huge number */
}

static double cores_of(const char *folder, int version)
{
    char line[64], period[64];
    double quota_us, period_us;
    if (version == 2) {
        if (!read_line(folder, "cpu.max", line, sizeof line) || sscanf(line, "%lf %lf", &quota_us, &period_us) != 2)
            return 0;
    } else {
        if (!read_line(folder, "cpu.cfs_quota_us", line, sizeof line) ||
            !read_line(folder, "cpu.cfs_period_us", period, sizeof period))
            return 0;
        quota_us = strtod(line, NULL);
        period_us = strtod(period, NULL);
    }
    return quota_us > 0 && period_us > 0 ? quota_us / period_us : 0;
}

/* The least limit of a group and the groups above it; `group` is cut up. */
static double least(const char *mount, char *group, int version, double (*limit_of)(const char *, int))
{
    double result = 0;
    for (;;) {
        char *folder;
        if (motley__format(&folder, NULL, "%s%s", mount, group))
            break;
        double limit = limit_of(folder, version);
        free(folder);
        if (limit > 0 && (result == 0 || limit < result))
            result = limit;
        char *slash = strrchr(group, '/');
        if (!slash)
            break;
        *slash = 0;
    }
    return result;
}

static int has_word(const char *list, const char *word)
{
    size_t length = strlen(word);
    for (; list; list = strchr(list, ','), list = list ? list + 1 : NULL)
        if (!strncmp(list, word, length) && (list[length] == ',' || list[length] == 0))
            return 1;
    return 0;
}

/* A line of /proc/self/cgroup is "number:controllers:group"; version 2 has no controllers there. */
static double limit(const char *root, const char *controller, double (*limit_of)(const char *, int))
{
    char *path, *mount, *text;
    size_t count;
    double result = 0;
    if (motley__format(&path, NULL, "%s/proc/self/cgroup", root))
        return 0;
    int status = motley__file_read(path, &text, &count, NULL);
    free(path);
    if (status)
        return 0;
    char *rest = text;
    for (char *line; (line = strsep(&rest, "\n"));) {
        char *controllers = strchr(line, ':');
        char *group = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!group)
            continue;
        *group++ = 0;
        controllers++;
        int version = *controllers ? 1 : 2;
        if (version == 1 && !has_word(controllers, controller))
            continue;
        if (motley__format(&mount, NULL, "%s/sys/fs/cgroup%s%s", root, version == 1 ? "/" : "",
                           version == 1 ? controller : ""))
            break;
        double found = least(mount, group, version, limit_of);
        free(mount);
        if (found > 0 && (result == 0 || found < result))
            result = found;
    }
    free(text);
    return result;
}

uint64_t motley__limit_memory(const char *root)
{
    return (uint64_t)limit(root, "memory", memory_of);
}

double motley__limit_cores(const char *root)
{
    return limit(root, "cpu", cores_of);
}
