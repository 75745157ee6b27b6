/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * --watch: what the application uses, beside what the peers saw of it. A leak is told where the samples
 * show one, and nothing is told where they are too few to.
 */
#include "soak.h"

#include <peer/watch.h>

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "1234,1235", or nothing: whoever listens. */
int option_set_watch(void *options, const struct option_def *option, const char *text, char why[128])
{
    struct soak_options *soak = options;

    (void)option;
    soak->watch = true;
    while (text && *text) {
        char *end;
        errno = 0;
        const long pid = strtol(text, &end, 10);
        if (!isdigit((unsigned char)*text) || errno || pid < 1 || pid > INT_MAX ||
            (*end && (*end != ',' || !end[1])) || soak->watched_count == WATCHED_MAX) {
            snprintf(why, 128, "is no list of process ids such as 1234 or 1234,1235");
            return -EINVAL;
        }
        soak->watched[soak->watched_count++] = (pid_t)pid;
        text = *end ? end + 1 : end;
    }
    return 0;
}

int open_watch(struct soak_run *run)
{
    struct soak_options *options = run->options;
    struct peer_error error = {0};
    const struct peer_watch_config config = {.pids = options->watched,
                                             .pid_count = options->watched_count,
                                             .to = options->target.addr,
                                             .to_port = options->target.port,
                                             .udp = options->common.udp};

    if (!options->watch)
        return 0;
    return peer_watch_new(run->net, &config, &options->soak.watch, &error) < 0
               ? report_error(&error)
               : 0;
}

/* ---- what was found ---- */

static uint64_t most(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* The most of each figure, processor time and restarts of all; false: it was not looked at. */
static bool add_up(const struct peer_result *result, struct peer_watch_sample *ret_sum)
{
    struct peer_watch_sample sample, sum = {0};
    bool found = false;
    int status;

    for (size_t i = 0; (status = peer_result_get_watch(result, i, &sample)) != 0; i++) {
        if (status < 0)
            continue;
        sum.processes = most(sum.processes, sample.processes);
        sum.rss_bytes = most(sum.rss_bytes, sample.rss_bytes);
        sum.fds = most(sum.fds, sample.fds);
        sum.threads = most(sum.threads, sample.threads);
        sum.cpu_ns += sample.cpu_ns;
        sum.restarts += sample.restarts;
        found = true;
    }
    *ret_sum = sum;
    return found;
}

static const struct {
    enum peer_watch_figure figure;
    const char *name, *words;
} figures[] = {{PEER_WATCH_RSS, "rss_bytes", "resident memory"},
               {PEER_WATCH_FDS, "fds", "descriptors"},
               {PEER_WATCH_THREADS, "threads", "threads"}};

json_t *json_sample(const struct peer_watch_sample *sample)
{
    json_t *entry = json_pack(
        "{s:I, s:I, s:I, s:I, s:f}", "processes", (json_int_t)sample->processes, "rss_bytes",
        (json_int_t)sample->rss_bytes, "fds", (json_int_t)sample->fds, "threads",
        (json_int_t)sample->threads, "cpu_s", (double)sample->cpu_ns / 1e9);

    if (sample->restarts)
        json_object_set_new(entry, "restarts", json_integer((json_int_t)sample->restarts));
    return entry;
}

static json_t *json_growth(const struct peer_result *result)
{
    json_t *all = json_object();
    struct peer_watch_growth growth;

    for (size_t i = 0; i < CLI_ARRAY_SIZE(figures); i++) {
        if (peer_result_get_growth(result, figures[i].figure, &growth))
            json_object_set_new(all, figures[i].name,
                                json_pack("{s:b, s:f, s:f, s:f, s:f}", "grows", growth.grows, "first",
                                          growth.first, "last", growth.last, "per_hour",
                                          growth.per_hour, "span_s", (double)growth.span_ns / 1e9));
    }
    return all;
}

void json_add_application(json_t *document, const struct peer_result *result)
{
    struct peer_watch_sample sum;
    struct peer_watch_process process;
    json_t *processes = json_array();

    if (!add_up(result, &sum)) {
        json_decref(processes);
        return;
    }
    json_t *entry = json_sample(&sum);
    for (size_t i = 0; peer_result_get_process(result, i, &process); i++)
        json_array_append_new(processes,
                              json_pack("{s:I, s:s, s:f, s:f}", "pid", (json_int_t)process.pid, "name",
                                        process.name, "first_s", (double)process.first_ns / 1e9,
                                        "last_s", (double)process.last_ns / 1e9));
    json_object_set_new(entry, "restarts", json_integer((json_int_t)sum.restarts));
    json_object_set_new(entry, "seen", processes);
    json_object_set_new(entry, "growth", json_growth(result));
    json_object_set_new(document, "application", entry);
}

/* "nginx (12, 13, 14 and 30 more)" */
static void print_processes(const struct peer_result *result)
{
    enum { TOLD = 4 };
    struct peer_watch_process process;
    size_t count = 0;
    char name[64] = "";

    for (; peer_result_get_process(result, count, &process); count++) {
        if (strcmp(name, process.name) != 0)
            printf("%s%s", count ? "; " : "", count < TOLD ? process.name : "");
        if (count < TOLD)
            printf("%s %llu", strcmp(name, process.name) != 0 ? "" : ",",
                   (unsigned long long)process.pid);
        snprintf(name, sizeof(name), "%s", process.name);
    }
    if (count > TOLD)
        printf(" and %zu more", count - TOLD);
}

static const char *amount(enum peer_watch_figure figure, double value, char buf[32])
{
    if (figure == PEER_WATCH_RSS)
        return format_bytes((uint64_t)fabs(value), buf);
    snprintf(buf, 32, fabs(value) < 100 ? "%.3g" : "%.0f", value);
    return buf;
}

static void print_growth(const struct peer_result *result)
{
    struct peer_watch_growth growth;
    char per_hour[32], first[32], last[32], span[32];

    for (size_t i = 0; i < CLI_ARRAY_SIZE(figures); i++) {
        const enum peer_watch_figure figure = figures[i].figure;
        if (!peer_result_get_growth(result, figure, &growth) || !growth.grows)
            continue;
        printf("  its %s grow%s: from %s to %s in %s, %s an hour\n", figures[i].words,
               figure == PEER_WATCH_RSS ? "s" : "", amount(figure, growth.first, first),
               amount(figure, growth.last, last), format_time(growth.span_ns, span),
               amount(figure, growth.per_hour, per_hour));
    }
}

void print_application(const struct soak_run *run)
{
    struct peer_watch_sample sum;
    char rss[32], cpu[32];

    if (!add_up(run->result, &sum)) {
        if (run->options->watch)
            printf("application: it was not looked at, as the run was too short\n");
        return;
    }
    printf("application: ");
    if (sum.processes) {
        print_processes(run->result);
        printf(": up to %s resident, ", format_bytes(sum.rss_bytes, rss));
        if (sum.fds)
            printf("%llu descriptors, ", (unsigned long long)sum.fds);
        printf("%llu thread%s, %s of CPU\n", (unsigned long long)sum.threads,
               sum.threads == 1 ? "" : "s", sum.cpu_ns ? format_time(sum.cpu_ns, cpu) : "0 s");
    } else {
        printf("no process was found that listens there and may be looked into\n");
    }
    if (sum.restarts)
        printf("  it was restarted %llu time%s\n", (unsigned long long)sum.restarts,
               sum.restarts == 1 ? "" : "s");
    print_growth(run->result);
}
