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

/* ---- of workers that nobody has told where to run ---- */

static void look_again(struct crew *crew)
{
    (void)timer_arm(engine_timers(crew->net->engine), &crew->look,
                    engine_now_ns(crew->net->engine) + PLACING_LOOK_NS);
}

static void look(struct timer *timer, uint64_t now_ns)
{
    struct crew *crew = (struct crew *)(void *)((char *)timer - offsetof(struct crew, look));

    if (crew->failed) /* and the number of who has ended may be another's */
        return;
    placing_turn(&crew->placing, now_ns);
    look_again(crew);
}

void crew_place(struct crew *crew)
{
    timer_init(&crew->look, look);
    if (crew->net->cpu_count)
        return;
    for (unsigned i = 0; i < crew->count; i++)
        placing_add(&crew->placing, crew->members[i].pid);
    placing_begin(&crew->placing, crew->begun_ns);
    look_again(crew);
}

void crew_unplace(struct crew *crew)
{
    timer_cancel(engine_timers(crew->net->engine), &crew->look);
    placing_end(&crew->placing, engine_now_fresh_ns(crew->net->engine));
}
