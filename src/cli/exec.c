/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * peer exec: any program, unchanged, becomes remote machines.
 *
 * Two processes: the front, which the shell knows, and this one, which moves packets while the
 * program runs, or stands stopped. Standard output is the program's alone: reports go to standard
 * error, or to a file.
 */
#include "cli.h"
#include "front.h"
#include "workers.h"

#include <peer/exec.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* As env(1) and nohup(1) have them, for what is not the program's own. */
enum { STATUS_NOT_RUN = 126, STATUS_NO_PROGRAM = 127, COPIES_MAX = 1024 };
#define LOOK_NS (10 * CLI_NS_PER_MS)

struct exec_options {
    struct common_options common;
    const char *localhost, *application, *await, *output;
    int spread; /* enum peer_spread */
    uint64_t copies, roam_ns, max_flows;
    int verbose;
};

static option_set set_spread;

#define FIELD(member) .offset = offsetof(struct exec_options, member)
static const struct option_def exec_table[] = {
    {0, "spread", "WHEN",
     "the next address for each connection (default), destination, or none: run", set_spread,
     FIELD(spread), .values = "connection destination run"},
    {'j', "copies", "N", "start N copies, each with its slice of --from; {} is a copy's number",
     option_set_number, FIELD(copies), .min = 1, .max = COPIES_MAX},
    {0, "roam", "TIME", "each connection goes on from another address so often", option_set_time,
     FIELD(roam_ns), .min = 1},
    {0, "localhost", "ADDR", "127.0.0.1 leads the program to the application at ADDR",
     option_set_string, FIELD(localhost), .values = "HOSTS"},
    {0, "application", "COMMAND", "with --isolate: what to talk to, started in there by a shell",
     option_set_string, FIELD(application), .values = "COMMANDS"},
    {0, "await", "ADDR:PORT", "start the program when somebody listens there", option_set_string,
     FIELD(await)},
    {0, "max-flows", "N", "connections at once, at the most (1 000 000)", option_set_number,
     FIELD(max_flows), .min = 1, .max = 100000000},
    {'o', "output", "FILE", "write the report there instead of to standard error",
     option_set_string, FIELD(output), .values = "FILES"},
    {0},
};

static int set_spread(void *options, const struct option_def *option, const char *text,
                      char why[128])
{
    static const char *const names[] = {[PEER_SPREAD_CONNECTION] = "connection",
                                        [PEER_SPREAD_DESTINATION] = "destination",
                                        [PEER_SPREAD_RUN] = "run"};

    for (size_t i = 0; i < CLI_ARRAY_SIZE(names); i++) {
        if (strcmp(text, names[i]) == 0) {
            *(int *)((char *)options + option->offset) = (int)i;
            return 0;
        }
    }
    strcpy(why, "is none of connection, destination, run");
    return -EINVAL;
}

/* How we were started. Of the process, as what it remembers is. */
static struct peer_origin *origin;

struct running {
    struct exec_options *options;
    struct common_options around; /* of the net: its program is the application */
    char *application[4];
    struct peer_net *net;
    struct peer_exec *exec;
    struct front front;
    FILE *report;
    unsigned left, stopped; /* copies; of those left so many are stopped, */
    bool is_stopped[COPIES_MAX];
    int stop_signal; /* the last one by this */
    int worst;              /* wait status */
};

/* ---- the end of it ---- */

/* As a shell counts. */
static int exit_code(int wait_status)
{
    return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

static unsigned long long u(uint64_t number)
{
    return (unsigned long long)number;
}

static void print_text(const struct running *running, const struct peer_exec_stats *stats)
{
    char out[32], in[32];

    fprintf(running->report,
            "peer: %llu TCP, %llu UDP and %llu echo flows from %llu address%s; %llu packets and %s "
            "sent, %llu packets and %s received\n",
            u(stats->tcp_flows), u(stats->udp_flows), u(stats->echo_flows), u(stats->peers),
            stats->peers == 1 ? "" : "es", u(stats->packets_out),
            format_bytes(stats->bytes_out, out), u(stats->packets_in),
            format_bytes(stats->bytes_in, in));
    if (stats->misbehaved || stats->roamed)
        fprintf(running->report, "peer: %llu flows misbehaved; addresses changed %llu times\n",
                u(stats->misbehaved), u(stats->roamed));
    if (stats->passed)
        fprintf(running->report, "peer: %llu packets were read by another worker, and passed on\n",
                u(stats->passed));
    if (stats->prohibited || stats->unsupported)
        fprintf(running->report,
                "peer: %llu packets to other machines answered \"prohibited\", %llu of kinds that "
                "peers do not send\n",
                u(stats->prohibited), u(stats->unsupported));
}

static void print_json(const struct running *running, const struct peer_exec_stats *stats)
{
    json_t *document = json_report("exec", running->net, NULL);

    json_object_set_new(document, "exit_status", json_integer(exit_code(running->worst)));
    json_object_set_new(
        document, "flows",
        json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "tcp", (json_int_t)stats->tcp_flows, "udp",
                  (json_int_t)stats->udp_flows, "echo", (json_int_t)stats->echo_flows, "refused",
                  (json_int_t)stats->refused, "misbehaved", (json_int_t)stats->misbehaved, "roamed",
                  (json_int_t)stats->roamed));
    json_object_set_new(document, "peers_used", json_integer((json_int_t)stats->peers));
    json_object_set_new(document, "bytes",
                        json_pack("{s:I, s:I}", "sent", (json_int_t)stats->bytes_out, "received",
                                  (json_int_t)stats->bytes_in));
    json_object_set_new(
        document, "packets",
        json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "sent", (json_int_t)stats->packets_out, "received",
                  (json_int_t)stats->packets_in, "prohibited", (json_int_t)stats->prohibited,
                  "unsupported", (json_int_t)stats->unsupported, "dropped",
                  (json_int_t)stats->drops, "passed", (json_int_t)stats->passed));
    json_add_workers(document, running->net, &running->options->common);
    json_dumpf(document, running->report, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    fputc('\n', running->report);
    json_decref(document);
}

static int print_report(const struct running *running)
{
    struct peer_exec_stats stats;

    peer_exec_get_stats(running->exec, &stats);
    if (stats.refused)
        say("%llu packets of the program began no connection: %llu are the most at once "
            "(--max-flows), and an address has 64512 ports towards a target",
            u(stats.refused),
            u(running->options->max_flows ? running->options->max_flows : 1000000));
    if (running->options->common.json)
        print_json(running, &stats);
    else if (running->options->common.verbose || running->report != stderr)
        print_text(running, &stats);
    if (running->options->common.verbose && !running->options->common.json)
        say_workers(running->net, &running->options->common);
    say_limits(running->net);
    if (fflush(running->report) == 0 && !ferror(running->report))
        return 0;
    say("cannot write the report: %s", strerror(errno));
    return STATUS_OWN;
}

/* Until what its kernel still has to say has been heard. */
static int leave(struct running *running)
{
    int status = 0;

    while (status >= 0 && peer_exec_leave(running->exec) == 0)
        status = peer_net_wait(running->net, LOOK_NS);
    while (status >= 0 && peer_net_leave(running->net) == 0)
        status = peer_net_wait(running->net, LOOK_NS);
    say_notices(running->net);
    return status < 0 && status != -EINTR ? say_gone(running->net, status) : 0;
}

/* ---- while it runs ---- */

/* A copy may stop twice in a row: what was between is not told when it was short. True: it was
   stopped before. */
static bool count_stopped(struct running *running, const struct peer_exec_event *event)
{
    bool *stopped = &running->is_stopped[event->copy];
    const bool before = *stopped;

    *stopped = event->type == PEER_EXEC_STOPPED;
    running->stopped = running->stopped - before + *stopped;
    return before;
}

/* All are stopped when the last that was not stops, or ends. */
static void hear_event(struct running *running, const struct peer_exec_event *event)
{
    const bool was_stopped = count_stopped(running, event);

    switch (event->type) {
    case PEER_EXEC_STOPPED:
        running->stop_signal = event->status;
        break;
    case PEER_EXEC_CONTINUED:
        (void)front_tell(&running->front, FRONT_CONTINUED, 0);
        return;
    case PEER_EXEC_ENDED:
        running->left--;
        if (exit_code(event->status) > exit_code(running->worst))
            running->worst = event->status;
        if (was_stopped)
            return;
        break;
    }
    if (running->left > 0 && running->stopped == running->left)
        (void)front_tell(&running->front, FRONT_STOPPED, running->stop_signal);
}

/* False: the front was killed. */
static bool pass_signals_on(struct running *running)
{
    int number;

    while ((number = front_take(&running->front)) > 0)
        (void)peer_exec_signal(running->exec, number);
    return number == 0;
}

/* 0 when all copies have ended, else an exit status after a message. */
static int attend(struct running *running)
{
    struct pollfd fds[] = {{.fd = peer_exec_fd(running->exec), .events = POLLIN},
                           {.fd = running->front.fd, .events = POLLIN}};
    struct peer_exec_event event;

    while (running->left > 0) {
        int status = peer_net_poll(running->net, fds, CLI_ARRAY_SIZE(fds), UINT64_MAX);
        if (status < 0 && status != -EINTR) {
            say_notices(running->net);
            (void)say_gone(running->net, status);
            return STATUS_OWN;
        }
        while (fds[0].revents && peer_exec_pop_event(running->exec, &event))
            hear_event(running, &event);
        say_notices(running->net);
        if (fds[1].revents && !pass_signals_on(running))
            return STATUS_OWN;
    }
    return 0;
}

/* ---- the beginning ---- */

/* So that the end of a pipe is seen when the program has closed it. */
static void let_streams_go(void)
{
    static const int flags[] = {O_RDONLY, O_WRONLY};

    for (int fd = STDIN_FILENO; fd <= STDOUT_FILENO; fd++) {
        int nothing = open("/dev/null", flags[fd] | O_CLOEXEC);
        if (nothing >= 0)
            (void)dup2(nothing, fd);
        if (nothing > STDERR_FILENO)
            close(nothing);
    }
}

static int start(struct running *running)
{
    struct peer_error error = {0};

    let_streams_go();
    settle_workers(&running->options->common); /* the programs are where they were */
    int status = give_up_privileges(&command_exec, &running->options->common, running->net);
    if (status != 0)
        return STATUS_OWN;
    status = peer_exec_start(running->exec, &error);
    if (status == 0)
        return 0;
    say("%s", error.text);
    if (error.kind == PEER_ERROR_MACHINE)
        return STATUS_OWN;
    return status == -ENOENT ? STATUS_NO_PROGRAM : STATUS_NOT_RUN;
}

static int make_exec(struct running *running)
{
    const struct exec_options *options = running->options;
    struct peer_exec_config config = {
        .argv = options->common.program,
        .copies = (unsigned)options->copies,
        .spread = (enum peer_spread)options->spread,
        .manners = options->common.manners,
        .roam_ns = options->roam_ns,
        .max_flows = options->max_flows,
        .origin = origin,
        .waiter = getppid(),
    };
    struct peer_error error = {0};

    if (options->localhost && peer_addr_parse(options->localhost, &config.localhost) < 0) {
        (void)usage_error(&command_exec, "--localhost: \"%s\" is no address", options->localhost);
        return STATUS_OWN;
    }
    if (peer_exec_new(running->net, &config, &running->exec, &error) < 0) {
        (void)report_error(&error);
        return STATUS_OWN;
    }
    running->left = options->copies ? (unsigned)options->copies : 1;
    return 0;
}

/* Whom to talk to: started here, or only waited for. */
static int await_application(struct running *running)
{
    const struct exec_options *options = running->options;
    struct target target = {0};
    char *words[] = {(char *)(uintptr_t)options->await, NULL};

    int status =
        options->await ? parse_target(&command_exec, &running->around, 1, words, &target) : 0;
    if (status == 0 && options->application)
        status = start_program(running->net, &running->around, options->await ? &target : NULL);
    else if (status == 0 && options->await)
        status = wait_for_listener(running->net, &running->around, &target);
    return status == 0 ? 0 : STATUS_OWN;
}

static int run(struct running *running)
{
    int status = make_exec(running);

    if (status == 0)
        status = await_application(running);
    if (status == 0)
        status = start(running);
    if (status == 0)
        status = attend(running);
    if (status == 0)
        status = leave(running) == 0 ? print_report(running) : STATUS_OWN;
    return status;
}

static int check(const struct exec_options *options, int argc, char **argv)
{
    const struct common_options *common = &options->common;

    if (argc > 0)
        return usage_error(&command_exec, "put \"--\" before the program: \"-- %s\"", argv[0]);
    if (!common->program)
        return usage_error(&command_exec, "the program is missing: -- PROGRAM ARGUMENTS");
    if (common->pcap && strcmp(common->pcap, "-") == 0)
        return usage_error(&command_exec, "--pcap - cannot be: standard output is the program's");
    if (options->application && !common->isolate)
        return usage_error(&command_exec, "--application goes with --isolate");
    return 0;
}

static FILE *open_report(const char *path)
{
    if (!path)
        return stderr;
    int fd = output_open(path, true);
    return fd < 0 ? NULL : fdopen(fd, "w");
}

static int run_engine(struct running *running)
{
    struct exec_options *options = running->options;

    running->report = open_report(options->output);
    if (!running->report)
        return STATUS_OWN;
    running->around = options->common;
    running->around.program = NULL;
    if (options->application) {
        memcpy(running->application,
               (char *[]){"/bin/sh", "-c", (char *)(uintptr_t)options->application, NULL},
               sizeof(running->application));
        running->around.program = running->application;
    }
    int status = open_net(&running->around, NULL, options->common.isolate, &running->net);
    status = status == 0 ? run(running) : STATUS_OWN;
    peer_exec_free(running->exec);
    status = close_net(running->net, &running->around, status);
    if (status == 0)
        (void)front_tell(&running->front, FRONT_ENDED, running->worst);
    return status;
}

static void keep_origin(void)
{
    origin = peer_origin_new();
}

static int run_exec(void *options, int argc, char **argv)
{
    struct running running = {.options = options};

    struct common_options *common = &running.options->common;

    if (check(options, argc, argv) != 0 ||
        choose_workers(&command_exec, common, count_peers(common)) != 0)
        return STATUS_OWN;
    int status = origin ? front_split(&running.front) : -ENOMEM;
    if (status < 0) {
        say("cannot make another process: %s", strerror(-status));
        return STATUS_OWN;
    }
    status = run_engine(&running);
    origin = peer_origin_free(origin);
    return status;
}

static const struct option_def *const tables[] = {
    exec_table,      options_net,  options_manner, options_workers, options_json,
    options_verbose, options_user, options_help,   NULL};
const struct command command_exec = {
    .name = "exec",
    .arguments = "[options] -- PROGRAM [ARGUMENTS]",
    .summary = "any program becomes remote machines: its connections come from peers",
    .about = "PROGRAM runs as without peer, but in a network namespace of its own: each of its\n"
             "connections reaches the applications on this host from another of the peers'\n"
             "addresses. Its TCP/IP is Linux's own, so any program will do, over TCP and UDP.\n"
             "The exit status is PROGRAM's; 125: peer failed, 126: PROGRAM cannot be run, 127:\n"
             "there is none.",
    .tables = tables,
    .options_size = sizeof(struct exec_options),
    .run = run_exec,
    .keep_origin = keep_origin,
};
