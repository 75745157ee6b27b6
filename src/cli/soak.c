/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * peer soak: many peers run a workload against one service. Without a target they soak an
 * application of peer's own, in a namespace of its own.
 */
#include "soak.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FIELD(member) .offset = offsetof(struct soak_options, member)

static int add_header(void *options, const struct option_def *option, const char *text,
                      char why[128])
{
    struct soak_options *soak = options;

    (void)option;
    if (soak->header_count == HEADERS_MAX) {
        snprintf(why, 128, "is one header too many");
        return -EINVAL;
    }
    soak->headers[soak->header_count++] = text;
    return 0;
}

static int add_objective(void *options, const struct option_def *option, const char *text,
                         char why[128])
{
    (void)option;
    return objectives_add(&((struct soak_options *)options)->objectives, text, why);
}

/* Unlike other texts it may be empty. */
static int set_body(void *options, const struct option_def *option, const char *text, char why[128])
{
    (void)option;
    (void)why;
    ((struct soak_options *)options)->body = text;
    return 0;
}

/* A bare time is one as everywhere; words are the library's to read. */
static int set_think(void *options, const struct option_def *option, const char *text,
                     char why[128])
{
    struct option_def time = *option;

    time.offset = offsetof(struct soak_options, soak.think_ns);
    if (strchr("0123456789.", *text) && *text)
        return option_set_time(options, &time, text, why);
    return option_set_string(options, option, text, why);
}

static int set_rate(void *options, const struct option_def *option, const char *text, char why[128])
{
    char *end;
    double rate = strtod(text, &end);

    if (strcmp(end, "k") == 0)
        rate *= 1000, end++;
    if (end == text || *end || !(rate > 0) || rate > 1e9) {
        snprintf(why, 128, "is no rate a second such as 500 or 20k");
        return -EINVAL;
    }
    *(double *)(void *)((char *)options + option->offset) = rate;
    return 0;
}

static const struct option_def soak_table[] = {
    {'c', "connections", "N", "flows at once (1)", option_set_number, FIELD(soak.flows), .min = 1,
     .max = 10000000},
    {'d', "duration", "TIME", "how long (10s)", option_set_time, FIELD(soak.duration_ns), .min = 1},
    {'m', "streams", "N", "HTTP/2: requests at once on a connection (1)", option_set_number,
     FIELD(streams), .min = 1, .max = 65535},
    {0, "http1", NULL, "https: offer and speak HTTP/1.1 alone", option_set_flag, FIELD(http1)},
    {0, "http2", NULL, "https: offer and speak HTTP/2 alone", option_set_flag, FIELD(http2)},
    {'n', "requests", "N", "end after so many requests", option_set_number, FIELD(soak.total),
     .min = 1, .max = UINT64_MAX},
    {'R', "rate", "N", "requests a second, on an open schedule", set_rate, FIELD(soak.rate)},
    {0, "connect-rate", "N", "connections a second, on an open schedule", set_rate,
     FIELD(soak.connect_rate)},
    {'P', "pipeline", "N", "redis, pg, mqtt, dns: requests at once on a connection (1)",
     option_set_number,
     FIELD(soak.pipeline), .min = 1, .max = UINT16_MAX},
    {0, "requests-per-connection", "N", "then a new connection (no limit)", option_set_number,
     FIELD(soak.requests_per_connection), .min = 1, .max = UINT32_MAX},
    {0, "no-keep-alive", NULL, "a new connection for each request", option_set_flag,
     FIELD(no_keep_alive)},
    {0, "frugal", NULL, "acknowledge with what follows: half of Linux's frames a connection",
     option_set_flag, FIELD(common.frugal)},
    {0, "warmup", "TIME", "measure from then on only", option_set_time, FIELD(soak.warmup_ns)},
    {0, "ramp", "TIME", "open the flows one by one over this time", option_set_time,
     FIELD(soak.ramp_ns)},
    {0, "think", "PAUSE", "before the next request: 1s, \"exponential 500ms\" ...", set_think,
     FIELD(soak.think), .values = "exponential uniform normal lognormal"},
    {0, "poisson", NULL, "with -R: at random times, so many in the mean", option_set_flag,
     FIELD(soak.poisson)},
    {0, "close", "fin|rst", "how connections end (fin)", option_set_string, FIELD(close),
     .values = "fin rst"},
    {0, "idle", NULL, "open the connections and hold them", option_set_flag, FIELD(idle)},
    {0, "touch", "N", "with --idle: once all are open, a message on N of them", option_set_number,
     FIELD(soak.touch), .min = 1, .max = 10000000},
    {0, "workload", "NAME", "tcp, udp: see --workload help (echo)", option_set_string,
     FIELD(workload), .values = "PROTOCOLS help"},
    {0, "size", "BYTES", "of a message (echo, mqtt) or datagram (64)", option_set_size,
     FIELD(soak.message_bytes), .min = 1, .max = 1 << 30},
    {0, "tcp", NULL, "dns: over TCP, not UDP", option_set_flag, FIELD(tcp)},
    {0, "queries", "FILE", "dns: a name and a type a line, asked in turn", option_set_string,
     FIELD(queries), .values = "FILES"},
    {'e', "edns", NULL, "dns: EDNS(0), with room for answers of 1232 bytes", option_set_flag,
     FIELD(edns)},
    {0, "edns-size", "BYTES", "dns: EDNS(0), with that room", option_set_number, FIELD(edns_size),
     .min = 512, .max = UINT16_MAX},
    {0, "dnssec", NULL, "dns: the DO bit, with EDNS(0)", option_set_flag, FIELD(soak.dnssec)},
    {'H', "header", "\"NAME: VALUE\"", "http: a header, may be repeated", add_header, .offset = 0},
    {0, "text", NULL, "ws: messages are text, not bytes", option_set_flag, FIELD(soak.text)},
    {0, "method", "NAME", "http: GET, HEAD, POST ... (GET; POST with --body)", option_set_string,
     FIELD(soak.method), .values = "GET HEAD POST PUT DELETE OPTIONS PATCH"},
    {0, "body", "TEXT|@FILE", "http: body of the request", set_body, FIELD(body),
     .values = "AT_FILES"},
    {0, "expect", "STATUSES", "others are errors: 200,204 or 200-299 or 2xx; dns: NOERROR,NXDOMAIN",
     option_set_string, FIELD(soak.expect)},
    {0, "targets", "FILE|-", "http: what to ask for: METHOD URL, headers, @BODY-FILE",
     option_set_string, FIELD(targets_file), .values = "FILES"},
    {0, "follow", NULL, "http: redirects to the same server, up to 10 a request", option_set_flag,
     FIELD(soak.follow)},
    {0, "cookies", NULL, "http: keep cookies and send them back", option_set_flag,
     FIELD(soak.cookies)},
    {0, "targets-order", "turn|random", "which of --targets is next (turn)", option_set_string,
     FIELD(targets_order), .values = "turn random"},
    {0, "interval", "TIME", "of the series (1s)", option_set_time, FIELD(soak.interval_ns),
     .min = CLI_NS_PER_MS},
    {0, "json-stream", NULL, "one JSON object a line: each interval, then the report",
     option_set_flag, FIELD(json_stream)},
    {0, "latency", NULL, "more percentiles in the summary", option_set_flag, FIELD(latency)},
    {0, "hdr", "FILE", "request latencies in HdrHistogram's text format", option_set_string,
     FIELD(hdr), .values = "FILES"},
    {0, "result", "FILE", "all that was found, for \"peer merge\"", option_set_string,
     FIELD(result), .values = "FILES"},
    {0, "shard", "RANK/SIZE", "this is one of several processes that share the run (found by itself)",
     option_set_string, FIELD(shard.shard), .values = "none"},
    {0, "shards", "N", "how many, where what starts them tells only which", option_set_number,
     FIELD(shard.shards), .min = 1, .max = 65536},
    {0, "start-at", "TIME", "not before 17:30:00, 2030-01-02T17:30:00Z or @1893605400",
     option_set_start_at, FIELD(shard.start_at_ns)},
    {0, "slo", "OBJECTIVE", "what must be kept: p99<20ms, errors<0.1%, rate>=5k; may be repeated",
     add_objective, .offset = 0},
    {0, "rate-search", "LOW..HIGH", "the highest rate that keeps each --slo: 1k..200k",
     option_set_search, .offset = 0},
    {0, "tolerate", NULL, "exit status 0 even when errors were counted", option_set_flag,
     FIELD(tolerate)},
    {0},
};

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

/* ---- what the options mean together ---- */

static int find_protocol(const char *name, struct peer_protocol *ret_protocol)
{
    for (size_t i = 0; peer_protocol(i, ret_protocol); i++) {
        if (strcmp(ret_protocol->name, name) == 0)
            return 1;
    }
    return 0;
}

/* Those that --workload takes: the rest has schemes, or is --idle. */
static bool has_a_name_only(const struct peer_protocol *protocol)
{
    return !protocol->scheme && strcmp(protocol->name, "idle") != 0;
}

static int print_workloads(void)
{
    struct peer_protocol protocol;

    for (size_t i = 0; peer_protocol(i, &protocol); i++) {
        const char *over = protocol.scheme ? "" : protocol.udp ? "TCP, TLS, UDP" : "TCP, TLS";
        char about[512];
        snprintf(about, sizeof(about), "%s", protocol.about);
        printf("%-8s %s%s%s%s%s%s\n  %s\n", protocol.name, protocol.scheme ? protocol.scheme : "",
               protocol.scheme ? "://" : "", protocol.tls_scheme ? ", " : "",
               protocol.tls_scheme ? protocol.tls_scheme : "", protocol.tls_scheme ? "://" : "",
               over, name_options(about));
    }
    return STATUS_DONE;
}

static int refuse_workload(const char *name)
{
    struct peer_protocol protocol;
    char all[256];
    size_t len = 0;

    for (size_t i = 0; peer_protocol(i, &protocol) && len < sizeof(all); i++) {
        if (has_a_name_only(&protocol))
            len += (size_t)snprintf(all + len, sizeof(all) - len, "%s%s", len ? ", " : "",
                                    protocol.name);
    }
    return usage_error(&command_soak, "--workload: \"%s\" is none of %s", name, all);
}

static int choose_protocol(struct soak_options *options)
{
    struct peer_protocol protocol;
    const char *name = options->workload;

    if (options->soak.touch && !options->idle)
        return usage_error(&command_soak, "--touch goes with --idle");
    if (name && (options->idle || options->soak.protocol))
        return usage_error(&command_soak, "--workload goes with tcp://, udp:// and tls:// targets");
    if (name && (!find_protocol(name, &protocol) || !has_a_name_only(&protocol)))
        return refuse_workload(name);
    if (options->idle && options->soak.protocol &&
        find_protocol(options->soak.protocol, &protocol) && protocol.has_hold)
        options->soak.hold = true;
    else if (options->idle)
        options->soak.protocol = "idle";
    else if (!options->soak.protocol)
        options->soak.protocol = name ? name : "echo";
    return 0;
}

static bool takes_headers(const struct peer_protocol *protocol)
{
    return protocol->has_headers;
}

static bool takes_login(const struct peer_protocol *protocol)
{
    return protocol->has_login;
}

static bool takes_pipeline(const struct peer_protocol *protocol)
{
    return protocol->has_pipeline;
}

static bool takes_body(const struct peer_protocol *protocol)
{
    return protocol->has_body;
}

static bool takes_follow(const struct peer_protocol *protocol)
{
    return protocol->has_follow;
}

static bool takes_text(const struct peer_protocol *protocol)
{
    return protocol->has_text;
}

static bool takes_targets(const struct peer_protocol *protocol)
{
    return protocol->has_targets;
}

static bool takes_expect(const struct peer_protocol *protocol)
{
    return protocol->has_expect;
}

static bool takes_queries(const struct peer_protocol *protocol)
{
    return protocol->has_queries;
}

static bool takes_tcp(const struct peer_protocol *protocol)
{
    return protocol->tcp && protocol->datagrams;
}

/* Of HTTP, and what only one of them has. */
static int check_versions(const struct soak_options *options, const struct peer_protocol *protocol)
{
    bool http = protocol->tls_scheme && strcmp(protocol->tls_scheme, "https") == 0;
    bool https = http && options->common.tls_on;

    if (options->http1 && options->http2)
        return usage_error(&command_soak, "--http1 and --http2 are given both");
    if ((options->http1 || options->http2) && !https)
        return usage_error(&command_soak, "--http1 and --http2 go with https:// targets; h2c:// "
                                          "is HTTP/2 without TLS");
    if (options->streams > 1 && (!protocol->has_streams || (http && !https)))
        return usage_error(&command_soak, "-m goes with h2c:// and https:// targets");
    return 0;
}

/* What goes with some targets only. */
static int check_protocol(const struct soak_options *options)
{
    const struct {
        bool given;
        bool (*takes)(const struct peer_protocol *protocol);
        const char *names;
    } rows[] = {
        {options->header_count || options->soak.method, takes_headers, "-H and --method go"},
        {options->soak.expect, takes_expect, "--expect goes"},
        {options->body, takes_body, "--body goes"},
        {options->soak.pipeline, takes_pipeline, "-P goes"},
        {options->user || options->password, takes_login, "a login goes"},
        {options->soak.follow || options->soak.cookies, takes_follow, "--follow and --cookies go"},
        {options->targets_file, takes_targets, "--targets goes"},
        {options->tcp, takes_tcp, "--tcp goes"},
        {options->queries, takes_queries, "--queries goes"},
        {options->edns || options->edns_size || options->soak.dnssec, takes_queries,
         "-e, --edns-size and --dnssec go"},
        {options->soak.text, takes_text, "--text goes"},
    };
    struct peer_protocol protocol;
    char all[256];

    if (!find_protocol(options->soak.protocol, &protocol))
        return STATUS_MACHINE;
    int status = check_versions(options, &protocol);
    if (status != 0)
        return status;
    for (size_t i = 0; i < CLI_ARRAY_SIZE(rows); i++) {
        if (!rows[i].given || rows[i].takes(&protocol))
            continue;
        list_takers(rows[i].takes, "://", all, sizeof(all));
        return usage_error(&command_soak, "%s with %s targets", rows[i].names, all);
    }
    return 0;
}

static int read_body(struct soak_options *options)
{
    const char *body = options->body;

    if (!body)
        return 0;
    if (*body != '@') {
        options->soak.body = body;
        options->soak.body_len = strlen(body);
        return 0;
    }
    int status =
        soak_read_file((struct soak_source){"body", body + 1}, &options->body_read, &options->soak.body_len);
    options->soak.body = options->body_read;
    return status;
}

/* What the target does not say; it is nobody's business who reads the arguments. */
static void take_password(struct soak_options *options)
{
    struct peer_protocol protocol;

    options->soak.user = options->user;
    options->soak.password = options->password;
    if (!options->password && find_protocol(options->soak.protocol, &protocol) && protocol.has_login)
        options->soak.password = getenv("PEER_PASSWORD");
}

static int settle_targets(struct soak_options *options)
{
    const char *order = options->targets_order;

    if (order && !options->targets_file)
        return usage_error(&command_soak, "--targets-order goes with --targets");
    if (options->targets_file && (options->soak.method || options->body))
        return usage_error(&command_soak, "--method and --body stand in the file of --targets");
    if (order && strcmp(order, "random") == 0)
        options->soak.targets_at_random = true;
    else if (order && strcmp(order, "turn") != 0)
        return usage_error(&command_soak, "--targets-order: \"%s\" is none of turn, random", order);
    return read_targets(options);
}

/* The room for answers that works everywhere (dnsflagday.net/2020). */
enum { EDNS_BYTES = 1232 };

static int settle_options(struct soak_options *options)
{
    struct peer_soak_config *soak = &options->soak;
    int status = choose_protocol(options);

    if (status == 0)
        status = check_protocol(options);
    if (status != 0)
        return status;
    if (options->no_keep_alive)
        soak->requests_per_connection = 1;
    if (options->close && strcmp(options->close, "rst") == 0)
        soak->close_with_reset = true;
    else if (options->close && strcmp(options->close, "fin") != 0)
        return usage_error(&command_soak, "--close: \"%s\" is none of fin, rst", options->close);
    if (options->edns)
        soak->edns_bytes = EDNS_BYTES;
    if (options->edns_size)
        soak->edns_bytes = (uint16_t)options->edns_size;
    status = read_body(options);
    if (status == 0)
        status = settle_targets(options);
    if (status == 0)
        status = read_queries(options);
    if (status == 0)
        status = check_manners(NULL, &options->common, PEER_MANNER_SOAK);
    if (status == 0)
        status = check_proxy_protocol(&command_soak, &options->common);
    if (status == 0)
        status = check_tls(&command_soak, &options->common);
    if (status == 0)
        status = settle_search(options);
    soak->proxy_protocol = options->common.proxy_protocol;
    soak->manners = options->common.manners;
    soak->timeout_ns = options->common.timeout_ns;
    soak->streams = (uint32_t)options->streams;
    soak->http_version = options->http1 ? 1 : options->http2 ? 2 : 0;
    soak->headers = options->headers;
    soak->path = options->path;
    soak->host = options->authority;
    take_password(options);
    return status;
}

/* ---- the run ---- */

/* A terminal that a person has stopped (Ctrl-S) is not waited for. */
static bool shows_progress(const struct soak_run *run)
{
    struct pollfd err = {.fd = STDERR_FILENO, .events = POLLOUT};

    return run->progress && poll(&err, 1, 0) == 1;
}

static void show_progress(struct soak_run *run)
{
    struct peer_soak_counts counts;
    uint64_t open, now_ns = peer_net_now_ns(run->net);

    if (now_ns < run->progress_ns || !shows_progress(run))
        return;
    run->progress_ns = now_ns + 250 * CLI_NS_PER_MS;
    peer_soak_get_counts(run->soak, &counts, &open);
    double elapsed = (double)(now_ns - run->start_ns) / 1e9;
    fprintf(stderr, "\r\033[K%.1f s  %llu open  %llu completed  %llu errors", elapsed,
            (unsigned long long)open, (unsigned long long)counts.completed,
            (unsigned long long)peer_soak_errors(&counts));
    fflush(stderr);
}

/* As wait_net, and hears of it when whoever reads our standard output goes away. */
static int wait_soak(struct soak_run *run)
{
    struct pollfd fds[] = {{.fd = run->signal_fd, .events = POLLIN},
                           {.fd = run->reader_left ? -1 : STDOUT_FILENO, .events = 0}};
    int status = peer_net_poll(run->net, fds, CLI_ARRAY_SIZE(fds), 250 * CLI_NS_PER_MS);

    if (status < 0)
        return status == -EINTR ? 0 : status;
    if (fds[1].revents & (POLLERR | POLLHUP))
        run->reader_left = true;
    printer_push(run->printer);
    return fds[0].revents ? signals_take(run->signal_fd) : 0;
}

/* Of the report or of the capture: then there is nothing left to run for. */
static bool nobody_reads(struct soak_run *run)
{
    struct peer_net_stats stats;

    if (ferror(stdout) || run->reader_left)
        return true;
    return run->options->common.pcap && peer_net_get_stats(run->net, &stats) == 0 &&
           stats.pcap_error == -EPIPE;
}

static int soak_loop(struct soak_run *run)
{
    struct peer_soak_interval interval;
    bool stopped = false;

    run->start_ns = peer_net_now_ns(run->net);
    while (!peer_soak_is_over(run->soak)) {
        int status = wait_soak(run);
        if (status < 0)
            return status;
        if (status == 1) {
            peer_soak_stop(run->soak, stopped ? 0 : CLI_NS_PER_S);
            stopped = run->broken_off = true;
        }
        while (peer_soak_pop_interval(run->soak, &interval))
            report_interval(run, &interval);
        if (!stopped && nobody_reads(run)) {
            peer_soak_stop(run->soak, 0);
            stopped = run->broken_off = true;
        }
        show_progress(run);
    }
    while (peer_soak_pop_interval(run->soak, &interval))
        report_interval(run, &interval);
    if (shows_progress(run))
        fputs("\r\033[K", stderr);
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
        struct pollfd fd = {.fd = run->signal_fd, .events = POLLIN};
        int status = peer_net_poll(run->net, &fd, 1, left_ns < CLI_NS_PER_S ? left_ns : CLI_NS_PER_S);
        if (status < 0 && status != -EINTR)
            return say_gone(run->net, status);
        if (fd.revents && signals_take(run->signal_fd)) {
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
                                  options->objectives.each || options->result;
    int status = open_tls(run->net, &options->common, options->target.host, &options->soak.tls);
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
    if (status == STATUS_DONE)
        status = judge_soak(run, &report);
    return report_soak(run, &report, status);
}

/* The net is gone before its report is waited for. */
static int soak_and_print(struct soak_run *run)
{
    const struct soak_options *options = run->options;
    int status = STATUS_MACHINE;

    run->progress = isatty(STDERR_FILENO) && !options->json_stream;
    run->printer = printer_open();
    if (run->printer)
        status = soak_in(run);
    peer_result_free(run->result);
    peer_soak_free(run->soak);
    free(run->steps);
    run->options->soak.tls = peer_tls_free(run->options->soak.tls);
    status = close_net(run->net, &options->common, status);
    status = printer_close(run->printer, run->signal_fd, status);
    if (run->signal_fd >= 0)
        close(run->signal_fd);
    return status;
}

static int soak_with(struct soak_options *options, int argc, char **argv)
{
    struct soak_run run = {.options = options, .signal_fd = -1, .hdr_fd = -1, .result_fd = -1};
    int status = 0;

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
    if (status == 0 && options->common.pcap && strcmp(options->common.pcap, "-") == 0)
        status =
            usage_error(&command_soak, "--pcap - does not go with the report on standard output");
    if (status == 0)
        status = output_check();
    if (status == 0)
        status = open_outputs(&run);
    if (status == 0)
        status = open_net_any(&options->common, &options->target, &run.net);
    if (status == 0)
        status = soak_and_print(&run);
    close_outputs(&run);
    return status;
}

static int run_soak(void *options, int argc, char **argv)
{
    struct soak_options *soak = options;
    int status = soak_with(soak, argc, argv);

    free(soak->path);
    free(soak->authority);
    free(soak->body_read);
    objectives_done(&soak->objectives);
    free(soak->user);
    free(soak->password);
    peer_targets_free(soak->soak.targets);
    free(soak->queries_read);
    return status;
}

static const struct option_def *const tables[] = {
    soak_table,   options_tls_sni, options_tls,    options_tls_resume, options_proxy_protocol,
    options_ecn,  options_wait,    options_net,    options_manner,     options_json,
    options_user, options_help,    NULL};
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
    .options_size = sizeof(struct soak_options),
    .run = run_soak,
};
