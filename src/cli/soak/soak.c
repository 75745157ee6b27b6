/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * peer soak: many peers run a workload against one service. Without a target they soak an
 * application of peer's own, in a namespace of its own.
 */
#include "soak.h"
#include "cli/workers.h"

#include <peer/journal.h>
#include <peer/watch.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* No target: an application of our own, in isolation. */
static void use_embedded(struct soak_options *options)
{
    static char *const program[] = {"/proc/self/exe", "application", "--no-interrupt", "http:80",
                                    NULL};
    bool v6 = options->common.family == 6;

    options->common.isolate = true;
    options->common.program = program;
    if (!options->common.from)
        options->common.from = v6 ? "2001:2::/112" : "198.18.0.0/16";
    peer_addr_parse(v6 ? "2001:2:0:ffff::1" : "198.19.0.1", &options->target.addr);
    options->target.port = 80;
    options->soak.protocol = "http";
}

/* Intervals that each have an objective: those of 18 hours, at one a second. */
enum { EACH_MOST = 65536 };

/* ---- the run ---- */

#define LOOK_NS (250 * CLI_NS_PER_MS)

/* Also now and then without news: who is late is cut off. */
static void serve_callers(struct soak_run *run, bool news)
{
    uint64_t now_ns = peer_net_now_ns(run->net);

    if (!run->callers || (!news && now_ns < run->looked_ns + LOOK_NS))
        return;
    run->looked_ns = now_ns;
    callers_work(run->callers, now_ns);
}

/* As wait_net, and hears of it when whoever reads our standard output goes away. */
static int wait_soak(struct soak_run *run)
{
    struct pollfd fds[] = {{.fd = run->signal_fd, .events = POLLIN},
                           {.fd = run->reader_left ? -1 : STDOUT_FILENO, .events = 0},
                           {.fd = run->callers ? callers_fd(run->callers) : -1, .events = POLLIN},
                           {.fd = reopen_fd(run->reopen), .events = POLLIN}};
    int status = peer_net_poll(run->net, fds, CLI_ARRAY_SIZE(fds), LOOK_NS);

    say_notices(run->net);
    if (status < 0)
        return status == -EINTR ? 0 : status;
    if (fds[1].revents & (POLLERR | POLLHUP))
        run->reader_left = true;
    printer_push(run->printer);
    serve_callers(run, fds[2].revents != 0);
    if (fds[3].revents)
        reopen_work(run->reopen, run->printer);
    return fds[0].revents ? reopen_take_signals(run->reopen, run->signal_fd) : 0;
}

/* Of the report or of the capture: then there is nothing left to run for. */
static bool nobody_reads(struct soak_run *run)
{
    struct peer_net_stats stats;

    if (ferror(stdout) || run->reader_left)
        return true;
    if (!run->options->common.pcap || peer_net_get_stats(run->net, &stats) < 0)
        return false;
    if (stats.pcap_error && stats.pcap_error != -EPIPE && !run->capture_told) {
        say("the capture \"%s\" misses frames from now on: %s", run->options->common.pcap,
            written_text(stats.pcap_error));
        run->capture_told = true;
    }
    return stats.pcap_error == -EPIPE;
}

static void take_intervals(struct soak_run *run)
{
    struct peer_soak_interval interval;
    struct peer_soak_state state;

    peer_soak_get_state(run->soak, &state);
    report_changes(run);
    while (peer_soak_pop_interval(run->soak, &interval)) {
        report_interval(run, &interval);
        live_add(&run->live, &interval);
        if (!interval.after_end)
            run->last = interval;
        run->interval_ended |= !interval.after_end && !state.warming;
    }
}

/* --stop-at-slo: asked when an interval of the measured time has ended. */
static void look_at_objectives(struct soak_run *run)
{
    const struct objectives *objectives = &run->options->objectives;
    struct peer_result *so_far;

    run->interval_ended = false;
    if (*run->broke || peer_soak_get_result(run->soak, &so_far) < 0)
        return;
    if (!objectives_are_kept_so_far(objectives, so_far, run->broke))
        peer_soak_stop(run->soak, CLI_NS_PER_S);
    peer_result_free(so_far);
}

static int soak_loop(struct soak_run *run)
{
    bool stopped = false;

    *run->broke = 0;
    run->last = (struct peer_soak_interval){.length_ns = 0};
    run->changes_told = 0;
    while (!peer_soak_is_over(run->soak)) {
        int status = wait_soak(run);
        if (status < 0)
            return status;
        if (status == 1) {
            peer_soak_stop(run->soak, stopped ? 0 : CLI_NS_PER_S);
            stopped = run->broken_off = true;
        }
        take_intervals(run);
        look_at_journal(run);
        if (run->options->stop_at_slo && run->interval_ended && !stopped)
            look_at_objectives(run);
        if (!stopped && nobody_reads(run)) {
            peer_soak_stop(run->soak, 0);
            stopped = run->broken_off = true;
        }
        live_show(&run->live, run);
    }
    take_intervals(run);
    live_leave(&run->live, run);
    return 0;
}

int soak_once(struct soak_run *run)
{
    struct peer_error error = {0};

    if (peer_soak_start(run->net, &run->options->soak, &run->soak, &error) < 0)
        return report_error(&error);
    int status = soak_loop(run);
    if (status < 0)
        return say_gone(run->net, status);
    if (run->options->search_low <= 0)
        leave_net(run->net, run->signal_fd); /* the figures are whole then */
    status = peer_soak_get_result(run->soak, &run->result);
    if (status < 0) {
        say("cannot report: %s", strerror(-status));
        return STATUS_MACHINE;
    }
    run->soak = peer_soak_free(run->soak);
    run->lost |= soak_lost(run->result, &(uint64_t){0}, &(uint64_t){0});
    run->broken_off |= run->lost;
    return STATUS_DONE;
}

static uint64_t wall_clock_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * CLI_NS_PER_S + (uint64_t)now.tv_nsec;
}

/* All is set up: the peers answer meanwhile. */
static int await_start(struct soak_run *run)
{
    const uint64_t at_ns = run->options->shard.start_at_ns;
    uint64_t now_ns = wall_clock_ns();
    char late[32];

    if (at_ns && now_ns > at_ns)
        say("--start-at was %s ago", format_time(now_ns - at_ns, late));
    for (; now_ns < at_ns; now_ns = wall_clock_ns()) {
        uint64_t left_ns = at_ns - now_ns;
        struct pollfd fds[] = {
            {.fd = run->signal_fd, .events = POLLIN},
            {.fd = run->callers ? callers_fd(run->callers) : -1, .events = POLLIN}};
        int status = peer_net_poll(run->net, fds, 2, left_ns < LOOK_NS ? left_ns : LOOK_NS);
        if (status < 0 && status != -EINTR)
            return say_gone(run->net, status);
        serve_callers(run, fds[1].revents != 0);
        if (fds[0].revents && reopen_take_signals(run->reopen, run->signal_fd)) {
            say("ended before --start-at, by a signal");
            return STATUS_MACHINE;
        }
    }
    return 0;
}

static int soak_in(struct soak_run *run)
{
    struct soak_options *options = run->options;
    struct peer_soak_report report;

    options->soak.to = options->target.addr;
    options->soak.to_port = options->target.port;
    options->soak.keep_intervals = (options->common.json && !options->json_stream) ||
                                  options->objectives.each || options->result || options->report ||
                                  options->watch;
    options->soak.intervals_most = options->objectives.each ? EACH_MOST : 0;
    int status = open_tls(run->net, &options->common, options->target.host, &options->soak.tls);
    settle_workers(&options->common);
    if (status == 0)
        status = open_watch(run);
    if (status == 0 && options->json_stream)
        status = reopen_start(&run->reopen);
    if (status == 0)
        empty_outputs(run);
    if (status == 0)
        status = give_up_privileges(&command_soak, &options->common, run->net);
    if (status == 0)
        status = start_program(run->net, &options->common, &options->target);
    if (status != 0)
        return status;
    run->signal_fd = signals_open();
    if (run->signal_fd < 0)
        return STATUS_MACHINE;
    status = await_start(run);
    if (status != 0)
        return status;
    status = options->search_low > 0 ? soak_search(run) : soak_once(run);
    if (status != 0)
        return status;
    peer_result_get_report(run->result, &report);
    status = write_outputs(run);
    int kept = finish_journal(run);
    if (status == STATUS_DONE)
        status = kept;
    if (status == STATUS_DONE)
        status = judge_soak(run, &report);
    return report_soak(run, &report, run->lost ? STATUS_MACHINE : status);
}

/* The net is gone before its report is waited for. */
static int soak_and_print(struct soak_run *run)
{
    const struct soak_options *options = run->options;
    int status = STATUS_MACHINE;

    live_init(&run->live, !options->json_stream);
    say_after(live_hide, &run->live);
    run->printer = printer_open();
    if (run->printer)
        status = soak_in(run);
    say_after(NULL, NULL);
    peer_result_free(run->result);
    peer_soak_free(run->soak);
    run->options->soak.watch = peer_watch_free(run->options->soak.watch);
    free(run->steps);
    run->options->soak.tls = peer_tls_free(run->options->soak.tls);
    status = close_net(run->net, &options->common, status);
    status = printer_close(run->printer, run->signal_fd, status);
    run->reopen = reopen_free(run->reopen);
    if (run->signal_fd >= 0)
        close(run->signal_fd);
    return status;
}

/* ---- those who ask meanwhile ---- */

/* Before the run, so that one hears in time what is in the way. */
static int open_callers(struct soak_run *run)
{
    struct soak_options *options = run->options;
    int status = 0;

    if (!options->metrics && !options->control)
        return 0;
    options->common.accepts = true;
    run->callers = callers_new();
    if (!run->callers) {
        say("cannot be called: %s", strerror(errno));
        return STATUS_MACHINE;
    }
    status = metrics_open(&run->metrics, options->metrics);
    if (status == 0)
        status = steering_open(&run->steering, options->control);
    if (status == 0 && (metrics_begin(&run->metrics, run->callers, run) < 0 ||
                        steering_begin(&run->steering, run->callers, run) < 0)) {
        say("cannot be called: %s", strerror(errno));
        status = STATUS_MACHINE;
    }
    return status;
}

static void close_callers(struct soak_run *run)
{
    run->callers = callers_free(run->callers);
    metrics_close(&run->metrics);
    steering_close(&run->steering);
}

/* Each of them has a flow and a peer at least, and a request where these are counted. */
static uint64_t most_workers(const struct soak_options *options)
{
    const struct peer_soak_config *soak = &options->soak;
    uint64_t most = options->common.from && soak->flows ? soak->flows : 1;

    return soak->total && soak->total < most ? soak->total : most;
}

static int run_soak(void *given, int argc, char **argv)
{
    struct soak_options *options = given;
    struct soak_run run = {.options = options, .signal_fd = -1, .hdr_fd = -1, .result_fd = -1, .report_fd = -1};
    int status = 0;

    run.metrics.fd = run.steering.fd = -1;
    run.steering.keeper = path_keeper_none;

    if (options->workload && strcmp(options->workload, "help") == 0)
        return print_workloads();
    if (argc > 1)
        return usage_error(&command_soak, "too many arguments: \"%s\"", argv[1]);
    if (argc == 1)
        status = parse_url(options, argv[0]);
    else if (options->common.program)
        status = usage_error(&command_soak, "a program needs a TARGET to reach it by");
    else
        use_embedded(options);
    if (status == 0)
        status = settle_options(options);
    if (status == 0)
        status = choose_shard(&command_soak, &options->shard, &options->common);
    if (status == 0)
        status = choose_workers(&command_soak, &options->common, most_workers(options));
    if (status == 0 && options->common.pcap && strcmp(options->common.pcap, "-") == 0)
        status =
            usage_error(&command_soak, "--pcap - does not go with the report on standard output");
    if (status == 0)
        status = output_check();
    if (status == 0)
        status = open_outputs(&run);
    if (status == 0)
        status = open_journal(&run);
    if (status == 0)
        status = open_callers(&run);
    if (status == 0)
        status = open_net_any(&options->common, &options->target, &run.net);
    if (status == 0)
        status = soak_and_print(&run);
    close_callers(&run);
    options->soak.journal = peer_journal_free(options->soak.journal);
    close_outputs(&run);
    return status;
}

static void free_options(void *options)
{
    struct soak_options *soak = options;

    free(soak->path);
    free(soak->authority);
    free(soak->body_read);
    objectives_done(&soak->objectives);
    free(soak->user);
    free(soak->password);
    peer_targets_free(soak->soak.targets);
    free(soak->queries_read);
}

static const struct option_def *const tables[] = {
    soak_table,    options_json,           soak_shard_table, options_workers, soak_connection_table,
    options_ecn,   options_proxy_protocol, options_wait,     options_tls_sni, options_tls,
    options_tls_resume, options_net,       options_manner,   options_user,    options_help,
    NULL};
const struct command command_soak = {
    .name = "soak",
    .arguments = "[TARGET] [-- PROGRAM ...]",
    .operands = "SCHEMES tcp:// udp:// tls:// HOSTS",
    .summary = "many peers run a workload against a service",
    .about =
        "TARGET is http://HOST:PORT/PATH or https://..., tcp://HOST:PORT, udp://HOST:PORT or\n"
        "tls://HOST:PORT, or has a scheme of --workload help. The peers of --from take turns, a new\n"
        "one for each connection. Without TARGET an application of peer's own is soaked, in a\n"
        "namespace of its own.",
    .tables = tables,
    .sections = soak_sections,
    .options_size = sizeof(struct soak_options),
    .run = run_soak,
    .done = free_options,
};
