/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Control groups stop a process when its quota is used up, and any group above its own may be the
 * one with the quota: a container's is seen at the top of its own mount. So all of them are read,
 * from its own up, and the longest stop is told.
 */
#include "kernel/cpu.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TEXT_BYTES = 4096, PATH_BYTES = 1024 };

static void read_small(const char *path, char text[TEXT_BYTES])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? -1 : read(fd, text, TEXT_BYTES - 1);

    text[len > 0 ? len : 0] = 0;
    if (fd >= 0)
        close(fd);
}

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

static uint64_t throttled_ns(void)
{
    static const char *const mounts[] = {[1] = "/sys/fs/cgroup/cpu", [2] = "/sys/fs/cgroup"};
    char text[TEXT_BYTES], group[PATH_BYTES], path[PATH_BYTES + 64];
    uint64_t most_ns = 0;
    int version;

    read_small("/proc/self/cgroup", text);
    if (cpu_parse_cgroup(text, group, sizeof(group), &version) < 0)
        return 0;
    for (;;) {
        (void)snprintf(path, sizeof(path), "%s%s/cpu.stat", mounts[version], group);
        read_small(path, text);
        uint64_t ns = cpu_parse_throttled(text);
        most_ns = ns > most_ns ? ns : most_ns;
        char *slash = strrchr(group, '/');
        if (!slash)
            return most_ns;
        *slash = 0;
    }
}

void cpu_wait_read(struct cpu_wait *ret_wait)
{
    char text[TEXT_BYTES];

    read_small("/proc/self/schedstat", text);
    ret_wait->waited_ns = cpu_parse_schedstat(text);
    ret_wait->throttled_ns = throttled_ns();
}
