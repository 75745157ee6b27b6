/* SPDX-License-Identifier: BSD-3-Clause */
/* On which processors this process and its workers may run. */
#include "lib/crew.h"

#include <sched.h>
#include <stdlib.h>

int cpus_parse(const char *text, int *ret_cpus, int room)
{
    int count = 0;

    while (*text) {
        char *end;
        long first = strtol(text, &end, 10), last = first;
        if (end == text || *text < '0' || *text > '9')
            return -EINVAL;
        if (*end == '-') {
            text = end + 1;
            last = strtol(text, &end, 10);
            if (end == text || *text < '0' || *text > '9')
                return -EINVAL;
        }
        if (first > last || last >= CPU_SETSIZE || (*end && *end != ',') || (*end && !end[1]))
            return -EINVAL;
        for (; first <= last && count < room; first++)
            ret_cpus[count++] = (int)first;
        text = *end ? end + 1 : end;
    }
    return count ? count : -EINVAL;
}

int cpus_pin(int cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    return sched_setaffinity(0, sizeof(set), &set) < 0 ? -errno : 0;
}

unsigned peer_count_cpus(void)
{
    cpu_set_t set;
    const double quota = cpu_quota();
    unsigned count = 1;

    if (sched_getaffinity(0, sizeof(set), &set) == 0)
        count = (unsigned)CPU_COUNT(&set);
    if (quota > 0 && quota < (double)count)
        count = (unsigned)quota;
    return MAX(MIN(count, (unsigned)PEER_WORKERS_MOST), 1u);
}
