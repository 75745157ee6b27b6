/* SPDX-License-Identifier: BSD-3-Clause */
/* The options of peer soak. */
#include "soak.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

int option_set_rate(void *options, const struct option_def *option, const char *text,
                    char why[128])
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

const struct option_def soak_table[] = {
    {'c', "connections", "N", "flows at once (1)", option_set_number, FIELD(soak.flows), .min = 1,
     .max = 10000000},
    {'d', "duration", "TIME", "how long (10s)", option_set_time, FIELD(soak.duration_ns), .min = 1},
    {'n', "requests", "N", "end after so many requests", option_set_number, FIELD(soak.total),
     .min = 1, .max = UINT64_MAX},
    {'R', "rate", "N", "requests a second, on an open schedule", option_set_rate, FIELD(soak.rate)},
    {0, "connect-rate", "N", "connections a second, on an open schedule", option_set_rate,
     FIELD(soak.connect_rate)},
    {0, "poisson", NULL, "with -R: at random times, so many in the mean", option_set_flag,
     FIELD(soak.poisson)},
    {0, "think", "PAUSE", "before the next request: 1s, \"exponential 500ms\" ...", set_think,
     FIELD(soak.think), .values = "exponential uniform normal lognormal"},
    {0, "warmup", "TIME", "measure from then on only", option_set_time, FIELD(soak.warmup_ns)},
    {0, "ramp", "TIME", "open the flows one by one over this time", option_set_time,
     FIELD(soak.ramp_ns)},
    {0, "idle", NULL, "open the connections and hold them", option_set_flag, FIELD(idle)},
    {0, "touch", "N", "with --idle: once all are open, a message on N of them", option_set_number,
     FIELD(soak.touch), .min = 1, .max = 10000000},
    {0, "workload", "NAME", "tcp, udp: see --workload help (echo)", option_set_string,
     FIELD(workload), .values = "PROTOCOLS help"},
    {0, "size", "BYTES", "of a message; of a datagram (64)", option_set_size,
     FIELD(soak.message_bytes), .min = 1, .max = 1 << 30, .takes = soak_takes_messages},
    {'P', "pipeline", "N", "requests at once on a connection (1)", option_set_number,
     FIELD(soak.pipeline), .min = 1, .max = UINT16_MAX, .takes = soak_takes_pipeline},
    {'m', "streams", "N", "HTTP/2: requests at once on a connection (1)", option_set_number,
     FIELD(streams), .min = 1, .max = 65535},
    {0, "http1", NULL, "https: offer and speak HTTP/1.1 alone", option_set_flag, FIELD(http1)},
    {0, "http2", NULL, "https: offer and speak HTTP/2 alone", option_set_flag, FIELD(http2)},
    {'H', "header", "\"NAME: VALUE\"", "http: a header, may be repeated", add_header, .offset = 0},
    {0, "method", "NAME", "http: GET, HEAD, POST ... (GET; POST with --body)", option_set_string,
     FIELD(soak.method), .values = "GET HEAD POST PUT DELETE OPTIONS PATCH"},
    {0, "body", "TEXT|@FILE", "http: body of the request", set_body, FIELD(body),
     .values = "AT_FILES"},
    {0, "targets", "FILE|-", "http: what to ask for: METHOD URL, headers, @BODY-FILE",
     option_set_string, FIELD(targets_file), .values = "FILES"},
    {0, "targets-order", "turn|random", "which of --targets is next (turn)", option_set_string,
     FIELD(targets_order), .values = "turn random"},
    {0, "expect", "STATUSES", "others are errors: 200,204 or 200-299 or 2xx; dns: NOERROR,NXDOMAIN",
     option_set_string, FIELD(soak.expect)},
    {0, "follow", NULL, "http: redirects to the same server, up to 10 a request", option_set_flag,
     FIELD(soak.follow)},
    {0, "cookies", NULL, "http: keep cookies and send them back", option_set_flag,
     FIELD(soak.cookies)},
    {0, "text", NULL, "messages are text, not bytes", option_set_flag, FIELD(soak.text),
     .takes = soak_takes_text},
    {0, "ws-fragments", "N", "a message goes in so many (1)", option_set_number,
     FIELD(fragments), .min = 1, .max = PEER_FRAGMENTS_MOST, .takes = soak_takes_frames},
    {0, "ws-ping", "TIME", "ping each connection so often", option_set_time,
     FIELD(soak.ping_ns), .min = CLI_NS_PER_MS, .takes = soak_takes_frames},
    {0, "tcp", NULL, "dns: over TCP, not UDP", option_set_flag, FIELD(tcp)},
    {0, "queries", "FILE", "dns: a name and a type a line, asked in turn", option_set_string,
     FIELD(queries), .values = "FILES"},
    {'e', "edns", NULL, "dns: EDNS(0), with room for answers of 1232 bytes", option_set_flag,
     FIELD(edns)},
    {0, "edns-size", "BYTES", "dns: EDNS(0), with that room", option_set_number, FIELD(edns_size),
     .min = 512, .max = UINT16_MAX},
    {0, "dnssec", NULL, "dns: the DO bit, with EDNS(0)", option_set_flag, FIELD(soak.dnssec)},
    {0, "slo", "OBJECTIVE", "what must be kept: p99<20ms, errors<0.1%, rate>=5k; may be repeated",
     add_objective, .offset = 0},
    {0, "rate-search", "LOW..HIGH", "the highest rate that keeps each --slo: 1k..200k",
     option_set_search, .offset = 0},
    {0, "stop-at-slo", NULL, "ends the soak at the first interval after which an --slo is not kept",
     option_set_flag, FIELD(stop_at_slo)},
    {0, "tolerate", NULL, "exit status 0 even when errors were counted", option_set_flag,
     FIELD(tolerate)},
    {0, "metrics", "PORT", "or ADDR:PORT (127.0.0.1): figures meanwhile, for Prometheus",
     option_set_string, FIELD(metrics)},
    {0, "control", "PATH", "a Unix socket by which \"peer control\" steers it", option_set_string,
     FIELD(control), .values = "FILES"},
    {0, "watch", "[PID,...]",
     "memory, descriptors, CPU of the application too (whoever listens)",
     option_set_watch, .offset = 0},
    {0, "interval", "TIME", "of the series (1s)", option_set_time, FIELD(soak.interval_ns),
     .min = CLI_NS_PER_MS},
    {0, "latency", NULL, "more percentiles in the summary", option_set_flag, FIELD(latency)},
    {0, "hdr", "FILE", "request latencies in HdrHistogram's text format", option_set_string,
     FIELD(hdr), .values = "FILES"},
    {0, "result", "FILE", "all that was found, for \"peer merge\"", option_set_string,
     FIELD(result), .values = "FILES"},
    {0, "journal", "FILE", "the same, written as it goes: it can be read whatever ends the run",
     option_set_string, FIELD(journal), .values = "FILES"},
    {0, "report", "FILE", "a page to look at: tables and plots, one file of HTML", option_set_string,
     FIELD(report), .values = "FILES"},
    {0, "json-stream", NULL, "one JSON object a line: each interval, then the report",
     option_set_flag, FIELD(json_stream)},
    {0},
};

const struct option_def soak_shard_table[] = {
    {0, "shard", "RANK/SIZE",
     "this is one of several processes that share the run (found by itself)", option_set_string,
     FIELD(shard.shard), .values = "none"},
    {0, "shards", "N", "how many, where what starts them tells only which", option_set_number,
     FIELD(shard.shards), .min = 1, .max = 65536},
    {0, "start-at", "TIME", "not before 17:30:00, 2030-01-02T17:30:00Z or @1893605400",
     option_set_start_at, FIELD(shard.start_at_ns)},
    {0},
};

const struct option_def soak_connection_table[] = {
    {0, "no-keep-alive", NULL, "a new connection for each request", option_set_flag,
     FIELD(no_keep_alive)},
    {0, "requests-per-connection", "N", "then a new connection (no limit)", option_set_number,
     FIELD(soak.requests_per_connection), .min = 1, .max = UINT32_MAX},
    {0, "close", "fin|rst", "how connections end (fin)", option_set_string, FIELD(close),
     .values = "fin rst"},
    {0, "frugal", NULL, "acknowledge with what follows: half of Linux's frames a connection",
     option_set_flag, FIELD(common.frugal)},
    {0},
};

/* The groups of --help: each begins with that option. */
const struct help_section soak_sections[] = {
    {"connections", "Load"},
    {"workload", "What is asked"},
    {"slo", "What is to be kept"},
    {"metrics", "While it goes on"},
    {"interval", "What is told of it"},
    {"shard", "Several processes, or machines"},
    {"no-keep-alive", "Connections"},
    {"sni", "TLS"},
    {"from", "Peers and their device"},
    {"user", "Other"},
    {0},
};
