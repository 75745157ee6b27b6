/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Several processes for one run. How many "auto" is, and where they run: what this process may use, of
 * one NUMA node, since memory that is far away costs more than a processor that is busy.
 */
#include "workers.h"

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

enum { NODES_MOST = 1024, LIST_TEXT = 256 };
#define NODES "/sys/devices/system/node"

static int set_workers(void *options, const struct option_def *option, const char *text,
                       char why[128])
{
    struct common_options *common = options;

    if (strcmp(text, "auto") == 0) {
        common->workers_auto = true;
        return 0;
    }
    char *end;
    unsigned long workers = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || workers < option->min || workers > option->max) {
        snprintf(why, 128, "is neither auto nor a number from 1 to %d", PEER_WORKERS_MOST);
        return -EINVAL;
    }
    common->workers_auto = false;
    common->workers = (unsigned)workers;
    return 0;
}

const struct option_def options_workers[] = {
    {0, "workers", "N|auto", "so many processes share the run, auto: one a processor (1)", set_workers,
     .offset = 0, .min = 1, .max = PEER_WORKERS_MOST, .values = "auto"},
    {0, "cpus", "LIST", "where the workers run, one on each in turn: 0-3,8", option_set_string,
     .offset = offsetof(struct common_options, cpus)},
    {0},
};

/* ---- where ---- */

static bool parse_cpus(const char *text, cpu_set_t *ret_set)
{
    CPU_ZERO(ret_set);
    while (*text >= '0' && *text <= '9') {
        char *end;
        unsigned long first = strtoul(text, &end, 10), last = first;
        if (*end == '-')
            last = strtoul(end + 1, &end, 10);
        for (; first <= last && first < CPU_SETSIZE; first++)
            CPU_SET(first, ret_set);
        text = *end == ',' ? end + 1 : end;
    }
    return CPU_COUNT(ret_set) > 0;
}

static bool read_node(int node, cpu_set_t *ret_set)
{
    char path[64], text[4096];

    snprintf(path, sizeof(path), NODES "/node%d/cpulist", node);
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    bool read = fgets(text, sizeof(text), file) && parse_cpus(text, ret_set);
    fclose(file);
    return read;
}

/* Those of `allowed` that are of the node on which this process is; false: there is one node. */
static bool own_node(const cpu_set_t *allowed, cpu_set_t *ret_set)
{
    const int cpu = sched_getcpu();
    int nodes = 0;
    bool found = false;

    for (int node = 0; node < NODES_MOST && cpu >= 0; node++) {
        cpu_set_t set, both;
        if (!read_node(node, &set)) {
            if (node >= nodes + 8) /* numbers may have gaps */
                break;
            continue;
        }
        CPU_AND(&both, &set, allowed);
        nodes += CPU_COUNT(&both) > 0;
        if (CPU_ISSET((size_t)cpu, &set)) {
            *ret_set = both;
            found = true;
        }
    }
    return found && nodes > 1;
}

static char *format_cpus(const cpu_set_t *set, char text[LIST_TEXT])
{
    size_t len = 0;

    *text = 0;
    for (int first = 0; first < CPU_SETSIZE && len + 16 < LIST_TEXT; first++) {
        int last = first;
        if (!CPU_ISSET((size_t)first, set))
            continue;
        while (last + 1 < CPU_SETSIZE && CPU_ISSET((size_t)last + 1, set))
            last++;
        len += (size_t)snprintf(text + len, LIST_TEXT - len, last > first ? "%s%d-%d" : "%s%d",
                                len ? "," : "", first, last);
        first = last;
    }
    return text;
}

/* ---- how many ---- */

static unsigned count_auto(const cpu_set_t *set, uint64_t most)
{
    unsigned count = peer_count_cpus();

    if (CPU_COUNT(set) > 0 && (unsigned)CPU_COUNT(set) < count)
        count = (unsigned)CPU_COUNT(set);
    if (most && most < count)
        count = (unsigned)most;
    return count;
}

uint64_t count_peers(const struct common_options *common)
{
    uint64_t count = 1; /* without a word there is one; the net has words for one that is wrong */

    if (common->from)
        (void)peer_count_addresses(common->from, &count);
    return count ? count : 1;
}

int choose_workers(const struct command *command, struct common_options *common, uint64_t most)
{
    cpu_set_t allowed, node;
    bool several;

    if (common->cpus && !common->workers_auto && common->workers <= 1)
        return usage_error(command, "--cpus goes with --workers");
    if (!common->workers_auto && common->workers <= 1)
        return 0;
    CPU_ZERO(&allowed);
    (void)sched_getaffinity(0, sizeof(allowed), &allowed);
    several = !common->cpus && own_node(&allowed, &node);
    if (common->cpus && !parse_cpus(common->cpus, &node))
        CPU_ZERO(&node); /* the library has words for it */
    if (common->workers_auto)
        common->workers = count_auto(several || common->cpus ? &node : &allowed, most);
    common->stays_on_node = several && common->workers <= (unsigned)CPU_COUNT(&node);
    if (common->workers <= 1)
        common->cpus = NULL; /* auto, and there is one */
    return 0;
}

void settle_workers(const struct common_options *common)
{
    cpu_set_t allowed, node;

    if (!common->stays_on_node || sched_getaffinity(0, sizeof(allowed), &allowed) < 0)
        return;
    if (own_node(&allowed, &node))
        (void)sched_setaffinity(0, sizeof(node), &node);
}

/* ---- what a report says ---- */

static const char *where(const struct common_options *common, char text[LIST_TEXT])
{
    cpu_set_t allowed;

    CPU_ZERO(&allowed);
    (void)sched_getaffinity(0, sizeof(allowed), &allowed);
    return common->cpus ? common->cpus : format_cpus(&allowed, text);
}

/* Whether there are any, and then the counts of their frames too. */
static bool ask_workers(struct peer_net *net, struct peer_net_info *ret_info,
                        struct peer_net_stats *ret_stats)
{
    *ret_stats = (struct peer_net_stats){.frames_passed = 0};
    peer_net_get_info(net, ret_info);
    if (ret_info->workers)
        (void)peer_net_get_stats(net, ret_stats);
    return ret_info->workers > 0;
}

enum { WORKERS_TEXT = LIST_TEXT + 256 };

/* "" without workers. */
static const char *workers_text(struct peer_net *net, const struct common_options *common,
                                char buf[WORKERS_TEXT])
{
    struct peer_net_stats stats;
    struct peer_net_info info;
    char text[LIST_TEXT];

    *buf = 0;
    if (!ask_workers(net, &info, &stats))
        return buf;
    const char *cpus = where(common, text);
    int len = snprintf(buf, WORKERS_TEXT, "%u workers on CPU%s %.*s, each frame to its own by %s",
                       info.workers, strpbrk(cpus, "-,") ? "s" : "", LIST_TEXT, cpus,
                       info.steered ? "a program in the kernel" : "what the kernel has learnt");
    if (stats.frames_passed && len < WORKERS_TEXT)
        snprintf(buf + len, (size_t)(WORKERS_TEXT - len), "; %llu came to another, and %s passed on",
                 (unsigned long long)stats.frames_passed,
                 stats.frames_passed == 1 ? "was" : "were");
    len = (int)strlen(buf);
    if (stats.cpu_left_ns)
        snprintf(buf + len, (size_t)(WORKERS_TEXT - len), "; they left a CPU to others for %.1f s",
                 (double)stats.cpu_left_ns / 1e9);
    return buf;
}

void print_workers(struct peer_net *net, const struct common_options *common)
{
    char text[WORKERS_TEXT];

    if (*workers_text(net, common, text))
        printf("  %s\n", text);
}

void say_workers(struct peer_net *net, const struct common_options *common)
{
    char text[WORKERS_TEXT];

    if (*workers_text(net, common, text))
        say("%s", text);
}

void json_add_workers(json_t *document, struct peer_net *net, const struct common_options *common)
{
    struct peer_net_stats stats;
    struct peer_net_info info;
    char text[LIST_TEXT];

    if (!ask_workers(net, &info, &stats))
        return;
    json_object_set_new(document, "workers",
                        json_pack("{s:I, s:s, s:b, s:b, s:I, s:f}", "count", (json_int_t)info.workers,
                                  "cpus", where(common, text), "pinned", common->cpus != NULL,
                                  "steered", (int)info.steered, "frames_passed",
                                  (json_int_t)stats.frames_passed, "cpu_left_s",
                                  (double)stats.cpu_left_ns / 1e9));
}
