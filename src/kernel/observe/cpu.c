/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Control groups stop a process when its quota is used up, and any group above its own may be the
 * one with the quota: a container's is seen at the top of its own mount. So all of them are read,
 * from its own up, and the longest stop is told.
 */
#include "kernel/observe/cpu.h"

#include "kernel/observe/sysctl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TEXT_BYTES = 4096, PATH_BYTES = 1024 };

uint64_t cpu_parse_schedstat(const char *text)
{
    unsigned long long ran, waited;

    return sscanf(text, "%llu %llu", &ran, &waited) == 2 ? waited : 0;
}

static uint64_t value_of(const char *text, const char *name)
{
    const char *at = strstr(text, name);

    return at ? strtoull(at + strlen(name), NULL, 10) : 0;
}

uint64_t cpu_parse_throttled(const char *text)
{
    uint64_t us = value_of(text, "throttled_usec ");

    return us ? us * 1000 : value_of(text, "throttled_time ");
}

/* Is `name` one of the words between the commas? */
static int lists(const char *words, size_t len, const char *name)
{
    size_t name_len = strlen(name);

    for (const char *at = words, *end = words + len; at < end;) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        size_t word = (size_t)((comma ? comma : end) - at);
        if (word == name_len && memcmp(at, name, word) == 0)
            return 1;
        at += word + 1;
    }
    return 0;
}

/* Lines are "ID:CONTROLLERS:PATH"; version 2 is "0::PATH". The cpu controller of version 1 counts
   where there is one: then version 2 has it not. */
int cpu_parse_cgroup(const char *text, char *path, uint32_t room, int *ret_version)
{
    int found = 0;

    for (const char *line = text; *line && found != 1;) {
        size_t len = strcspn(line, "\n");
        const char *first = memchr(line, ':', len);
        const char *second =
            first ? memchr(first + 1, ':', len - (size_t)(first + 1 - line)) : NULL;
        if (second) {
            size_t words = (size_t)(second - first - 1), rest = len - (size_t)(second + 1 - line);
            int version = lists(first + 1, words, "cpu") ? 1 : words == 0 ? 2 : 0;
            if (version && rest < room) {
                memcpy(path, second + 1, rest);
                path[rest] = 0;
                found = version;
            }
        }
        line += len + (line[len] == '\n');
    }
    *ret_version = found;
    return found ? 0 : -ENOENT;
}

static const char *const mounts[] = {[1] = "/sys/fs/cgroup/cpu", [2] = "/sys/fs/cgroup"};

static int own_group(char group[PATH_BYTES], int *ret_version)
{
    char text[TEXT_BYTES];
    int own = open("/proc/self/cgroup", O_RDONLY | O_CLOEXEC);

    int status = proc_text(own, text, sizeof(text));
    if (own >= 0)
        (void)close(own);
    return status < 0 ? status : cpu_parse_cgroup(text, group, PATH_BYTES, ret_version);
}

/* From its own group up to the top of the mount. */
static void open_groups(struct cpu_files *files)
{
    char group[PATH_BYTES], path[PATH_BYTES + 64];
    int version;

    if (own_group(group, &version) < 0)
        return;
    while (files->group_count < CPU_GROUPS_MAX) {
        (void)snprintf(path, sizeof(path), "%s%s/cpu.stat", mounts[version], group);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd >= 0)
            files->groups[files->group_count++] = fd;
        char *slash = strrchr(group, '/');
        if (!slash)
            return;
        *slash = 0;
    }
}

double cpu_parse_max(const char *text)
{
    unsigned long long quota, period;

    return sscanf(text, "%llu %llu", &quota, &period) == 2 && period ? (double)quota / (double)period
                                                                     : 0;
}

static int read_text(const char *folder, const char *group, const char *name, char text[TEXT_BYTES])
{
    char path[PATH_BYTES + 64];

    (void)snprintf(path, sizeof(path), "%s%s/%s", folder, group, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int status = proc_text(fd, text, TEXT_BYTES);
    if (fd >= 0)
        (void)close(fd);
    return status;
}

/* Version 1 says -1 where there is none. */
static double quota_of(const char *group, int version)
{
    char text[TEXT_BYTES];

    if (version == 2)
        return read_text(mounts[2], group, "cpu.max", text) < 0 ? 0 : cpu_parse_max(text);
    if (read_text(mounts[1], group, "cpu.cfs_quota_us", text) < 0)
        return 0;
    const double quota = strtod(text, NULL);
    if (quota <= 0 || read_text(mounts[1], group, "cpu.cfs_period_us", text) < 0)
        return 0;
    const double period = strtod(text, NULL);
    return period > 0 ? quota / period : 0;
}

double cpu_quota(void)
{
    char group[PATH_BYTES];
    double least = 0;
    int version;

    if (own_group(group, &version) < 0)
        return 0;
    for (;;) {
        double quota = quota_of(group, version);
        if (quota > 0 && (least <= 0 || quota < least))
            least = quota;
        char *slash = strrchr(group, '/');
        if (!slash)
            return least;
        *slash = 0;
    }
}

int cpu_load_read(int fd, char *buf, size_t room)
{
    return proc_text(fd, buf, room);
}

/* "cpu3 user nice system idle iowait irq softirq steal ...", in ticks; proc_stat(5). */
static void add_load(const char *fields, struct cpu_load *load)
{
    unsigned long long user, nice, sys, idle, iowait, irq = 0, softirq = 0;
    const uint64_t tick_ns = UINT64_C(1000000000) / (uint64_t)sysconf(_SC_CLK_TCK);

    if (sscanf(fields, "%llu %llu %llu %llu %llu %llu %llu", &user, &nice, &sys, &idle, &iowait,
               &irq, &softirq) < 5)
        return;
    load->busy_ns += (user + nice + sys + irq + softirq) * tick_ns;
    load->idle_ns += (idle + iowait) * tick_ns;
    load->cpus++;
}

void cpu_load_parse(const char *text, const cpu_set_t *set, struct cpu_load *ret_load)
{
    *ret_load = (struct cpu_load){0};
    for (const char *line = text; line && strncmp(line, "cpu", 3) == 0;) {
        char *end;
        const unsigned long cpu = strtoul(line + 3, &end, 10);
        const char *next = strchr(line, '\n');
        if (end > line + 3 && next && cpu < CPU_SETSIZE && CPU_ISSET(cpu, set))
            add_load(end, ret_load);
        line = next ? next + 1 : NULL;
    }
}

void cpu_files_open(struct cpu_files *ret_files)
{
    *ret_files = (struct cpu_files){.schedstat = open("/proc/self/schedstat", O_RDONLY | O_CLOEXEC)};
    open_groups(ret_files);
}

void cpu_files_close(struct cpu_files *files)
{
    if (files->schedstat >= 0)
        (void)close(files->schedstat);
    for (int i = 0; i < files->group_count; i++)
        (void)close(files->groups[i]);
    *files = (struct cpu_files){.schedstat = -1};
}

void cpu_wait_read(const struct cpu_files *files, struct cpu_wait *ret_wait)
{
    char text[TEXT_BYTES];

    *ret_wait = (struct cpu_wait){0};
    if (proc_text(files->schedstat, text, sizeof(text)) == 0)
        ret_wait->waited_ns = cpu_parse_schedstat(text);
    for (int i = 0; i < files->group_count; i++) {
        if (proc_text(files->groups[i], text, sizeof(text)) < 0)
            continue;
        uint64_t ns = cpu_parse_throttled(text);
        if (ns > ret_wait->throttled_ns)
            ret_wait->throttled_ns = ns;
    }
}
