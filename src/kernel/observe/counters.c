/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation: a file of /proc is made anew when it is read from its beginning, and stays
 * that of the namespace (and the process) it was opened in.
 */
#include "kernel/observe/counters.h"

#include "base/macro.h"
#include "kernel/observe/sysctl.h"
#include "kernel/observe/sysctl_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const paths[COUNTERS_FILES] = {
    [COUNTERS_SNMP] = "/proc/thread-self/net/snmp",
    [COUNTERS_NETSTAT] = "/proc/thread-self/net/netstat",
    [COUNTERS_CONNTRACK_COUNT] = "/proc/sys/net/netfilter/nf_conntrack_count",
    [COUNTERS_CONNTRACK_MAX] = "/proc/sys/net/netfilter/nf_conntrack_max",
};

void counters_open(struct counters *ret_counters)
{
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
        ret_counters->fds[i] = open(paths[i], O_RDONLY | O_CLOEXEC);
}

void counters_close(struct counters *counters)
{
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
        if (counters->fds[i] >= 0)
            (void)close(counters->fds[i]);
        counters->fds[i] = -1;
    }
}

int counters_read(const struct counters *counters, const char *group, const char *name,
                  uint64_t *ret_value)
{
    const enum counters_file file = strstr(group, "Ext") ? COUNTERS_NETSTAT : COUNTERS_SNMP;
    char *text = malloc(SNMP_BYTES);

    if (!text)
        return -ENOMEM;
    int status = proc_text(counters->fds[file], text, SNMP_BYTES);
    if (status == 0)
        status = snmp_parse_table(text, group, name, ret_value);
    free(text);
    return status;
}

int counters_read_number(const struct counters *counters, enum counters_file file,
                         uint64_t *ret_value)
{
    char text[128];
    int64_t value;

    int status = proc_text(counters->fds[file], text, sizeof(text));
    if (status == 0)
        status = sysctl_parse(text, &value);
    if (status == 0)
        *ret_value = (uint64_t)value;
    return status;
}
