/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * peer ping: echo requests from a peer, with a summary like ping's.
 */
#include "cli.h"
#include "printer.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LATE_SEQUENCES = 65536 };

struct ping_options {
    struct common_options common;
    uint64_t count, interval_ns, size, ttl;
    bool size_given;
    int quiet;
};

static int set_size(void *options, const struct option_def *option, const char *text, char why[128])
{
    ((struct ping_options *)options)->size_given = true; /* 0 is a size */
    return option_set_size(options, option, text, why);
}

static const struct option_def ping_table[] = {
    {'c', "count", "N", "stop after N requests (until Ctrl-C)", option_set_number,
     .offset = offsetof(struct ping_options, count), .min = 1, .max = UINT32_MAX},
    {'i', "interval", "TIME", "between two requests (1s)", option_set_time,
     .offset = offsetof(struct ping_options, interval_ns), .min = CLI_NS_PER_MS},
    {0, "size", "BYTES", "of payload (56)", set_size, .offset = offsetof(struct ping_options, size),
     .min = 0, .max = PEER_DATAGRAM_MAX_V4},
    {'t', "ttl", "N", "time to live of the requests (64)", option_set_number,
     .offset = offsetof(struct ping_options, ttl), .min = 1, .max = 255},
    {'q', "quiet", NULL, "only the summary", option_set_count,
     .offset = offsetof(struct ping_options, quiet)},
    {0},
};

struct pinging {
    const struct ping_options *options;
    struct peer_net *net;
    struct printer *printer; /* standard output */
    struct target target;
    int signal_fd;
    uint16_t id;
    uint64_t sent, received, errors, duplicates;
    uint64_t start_ns, last_sent_ns;
    double min_ns, max_ns, sum_ns, square_ns;
    uint64_t rtts;
    uint8_t seen[LATE_SEQUENCES / 8]; /* answered sequence numbers */
};

/* A line for each answer, as long as somebody reads them. */
static bool prints(const struct pinging *pinging)
{
    return !pinging->options->quiet && !pinging->options->common.json &&
           printer_takes_line(pinging->printer);
}

static void note_rtt(struct pinging *pinging, double rtt_ns)
{
    if (!pinging->rtts || rtt_ns < pinging->min_ns)
        pinging->min_ns = rtt_ns;
    if (rtt_ns > pinging->max_ns)
        pinging->max_ns = rtt_ns;
    pinging->sum_ns += rtt_ns;
    pinging->square_ns += rtt_ns * rtt_ns;
    pinging->rtts++;
}

static void on_reply(struct pinging *pinging, const struct peer_event *event)
{
    uint8_t *seen = &pinging->seen[event->icmp_sequence / 8];
    uint8_t bit = (uint8_t)(1 << event->icmp_sequence % 8);
    char from[PEER_ADDR_TEXT], time[32];
    bool duplicate = *seen & bit;

    *seen |= bit;
    if (duplicate) {
        pinging->duplicates++;
    } else {
        pinging->received++;
        note_rtt(pinging, (double)event->icmp_rtt_ns);
    }
    if (prints(pinging))
        printf("%u bytes from %s: seq=%u ttl=%u time=%s%s\n", event->icmp_bytes + 8,
               peer_addr_format(&event->icmp_from, from), event->icmp_sequence, event->icmp_ttl,
               format_time(event->icmp_rtt_ns, time), duplicate ? " (duplicate)" : "");
}

static void on_ping(struct pinging *pinging, const struct peer_event *event)
{
    char from[PEER_ADDR_TEXT], buf[64];
    bool reply = event->icmp_type == (event->icmp_from.family == 6 ? 129 : 0);

    if (event->icmp_id != pinging->id)
        return;
    if (reply) {
        on_reply(pinging, event);
        return;
    }
    pinging->errors++;
    if (prints(pinging))
        printf("from %s: seq=%u %s\n", peer_addr_format(&event->icmp_from, from),
               event->icmp_sequence,
               icmp_text(event->icmp_from.family, event->icmp_type, event->icmp_code, buf));
}

static int send_one(struct pinging *pinging)
{
    uint16_t sequence = (uint16_t)(pinging->sent + 1);
    struct peer_ping_config config = {
        .to = pinging->target.addr,
        .id = pinging->id,
        .sequence = sequence,
        .size = (uint16_t)pinging->options->size,
        .ttl = (uint8_t)pinging->options->ttl,
    };

    pinging->seen[sequence / 8] &= (uint8_t) ~(1 << sequence % 8);
    int status = peer_ping(pinging->net, &config, NULL);
    if (status < 0)
        return status;
    pinging->sent++;
    pinging->last_sent_ns = peer_net_now_ns(pinging->net);
    return 0;
}

/* When to wake: the next request, or the end of the wait for the last answer. */
static uint64_t next_ns(const struct pinging *pinging, bool *ret_last)
{
    const struct ping_options *options = pinging->options;

    *ret_last = options->count && pinging->sent == options->count;
    if (*ret_last)
        return pinging->last_sent_ns +
               (options->common.timeout_ns ? options->common.timeout_ns : 10 * CLI_NS_PER_S);
    return pinging->start_ns + pinging->sent * options->interval_ns;
}

static int ping_loop(struct pinging *pinging)
{
    struct peer_event event;

    pinging->start_ns = peer_net_now_ns(pinging->net);
    for (;;) {
        bool last;
        uint64_t now_ns = peer_net_now_ns(pinging->net), due_ns = next_ns(pinging, &last);
        if (last && (pinging->received + pinging->errors >= pinging->sent || now_ns >= due_ns))
            return 0;
        if (!last && now_ns >= due_ns) {
            int status = send_one(pinging);
            if (status < 0)
                return status;
            continue;
        }
        int status = wait_net(pinging->net, pinging->signal_fd, due_ns - now_ns);
        if (status != 0)
            return status < 0 ? status : 0;
        while (peer_net_pop_event(pinging->net, &event)) {
            if (event.type == PEER_EVENT_PING)
                on_ping(pinging, &event);
        }
        if (fflush(stdout) != 0)
            return 0; /* nobody reads any more */
        printer_push(pinging->printer);
    }
}

/* No answer at all, not even an error. */
static bool unanswered(const struct pinging *pinging)
{
    return pinging->sent && !pinging->received && !pinging->errors;
}

static void print_summary(const struct pinging *pinging)
{
    char target[PEER_ADDR_TEXT], trace[TRACE_COMMAND];
    double sent = (double)pinging->sent;

    printf("\n--- %s ping statistics ---\n", peer_addr_format(&pinging->target.addr, target));
    printf("%llu sent, %llu received", (unsigned long long)pinging->sent,
           (unsigned long long)pinging->received);
    if (pinging->duplicates)
        printf(", %llu duplicates", (unsigned long long)pinging->duplicates);
    if (pinging->errors)
        printf(", %llu errors", (unsigned long long)pinging->errors);
    printf(", %.4g%% lost\n",
           pinging->sent ? 100.0 * (sent - (double)pinging->received) / sent : 0.0);
    if (unanswered(pinging))
        printf("to see why: %s\n",
               trace_command(&pinging->options->common, &pinging->target, trace));
    if (!pinging->rtts)
        return;
    double n = (double)pinging->rtts, mean = pinging->sum_ns / n;
    double deviation = sqrt(fmax(0, pinging->square_ns / n - mean * mean));
    printf("round trip min/avg/max/mdev = %.3f/%.3f/%.3f/%.3f ms\n", pinging->min_ns / 1e6,
           mean / 1e6, pinging->max_ns / 1e6, deviation / 1e6);
}

static json_t *json_summary(const struct pinging *pinging)
{
    json_t *document = json_report("ping", pinging->net, NULL);
    char target[PEER_ADDR_TEXT], trace[TRACE_COMMAND];

    json_object_set_new(document, "target",
                        json_string(peer_addr_format(&pinging->target.addr, target)));
    json_object_set_new(document, "requests",
                        json_pack("{s:I, s:I}", "sent", (json_int_t)pinging->sent, "completed",
                                  (json_int_t)pinging->received));
    json_object_set_new(document, "errors",
                        json_pack("{s:I}", "total", (json_int_t)pinging->errors));
    json_object_set_new(document, "duplicates", json_integer((json_int_t)pinging->duplicates));
    if (unanswered(pinging))
        json_object_set_new(document, "trace",
                            json_string(trace_command(&pinging->options->common, &pinging->target,
                                                      trace)));
    if (pinging->rtts) {
        double mean = pinging->sum_ns / (double)pinging->rtts;
        json_object_set_new(document, "latency_us",
                            json_pack("{s:{s:f, s:f, s:f}}", "request", "min",
                                      pinging->min_ns / 1e3, "mean", mean / 1e3, "max",
                                      pinging->max_ns / 1e3));
    }
    return document;
}

static int ping_in(struct pinging *pinging)
{
    const struct ping_options *options = pinging->options;
    struct peer_net_stats stats;
    struct peer_net_info info;
    char target[PEER_ADDR_TEXT], from[PEER_ADDR_TEXT];

    int status = give_up_privileges(&command_ping, &options->common, pinging->net);
    if (status == 0)
        status = start_program(pinging->net, &options->common, NULL);
    if (status != 0)
        return status;
    pinging->signal_fd = signals_open();
    if (pinging->signal_fd < 0)
        return STATUS_MACHINE;
    peer_net_get_info(pinging->net, &info);
    pinging->id = (uint16_t)(info.seed ^ info.seed >> 16);
    if (!options->common.json)
        printf("ping %s from %s: %llu bytes of payload\n",
               peer_addr_format(&pinging->target.addr, target),
               peer_addr_format(&info.first_peer, from), (unsigned long long)options->size);
    status = ping_loop(pinging);
    if (status < 0) {
        say("cannot send: %s", strerror(-status));
        return STATUS_MACHINE;
    }
    status = pinging->received ? STATUS_DONE : STATUS_REMOTE;
    if (options->common.json)
        return json_print(json_summary(pinging), status);
    print_summary(pinging);
    if (peer_net_get_stats(pinging->net, &stats) == 0)
        print_limits(&stats.limits);
    return flush_output(status);
}

/* The net is gone before its report is waited for. */
static int ping_and_print(struct pinging *pinging)
{
    int status = STATUS_MACHINE;

    pinging->signal_fd = -1;
    pinging->printer = printer_open();
    if (pinging->printer)
        status = ping_in(pinging);
    status = close_net(pinging->net, &pinging->options->common, status);
    status = printer_close(pinging->printer, pinging->signal_fd, status);
    if (pinging->signal_fd >= 0)
        close(pinging->signal_fd);
    return status;
}

static int run_ping(void *options, int argc, char **argv)
{
    struct ping_options *ping = options;
    struct peer_error error;

    if (argc < 1)
        return usage_error(&command_ping, "the HOST is missing");
    if (argc > 1)
        return usage_error(&command_ping, "too many arguments: \"%s\"", argv[1]);
    if (ping->common.pcap && strcmp(ping->common.pcap, "-") == 0)
        return usage_error(&command_ping,
                           "--pcap - does not go with the report on standard output");
    struct pinging *pinging = calloc(1, sizeof(*pinging));
    if (!pinging)
        return STATUS_MACHINE;
    pinging->options = ping;
    ping->interval_ns = ping->interval_ns ? ping->interval_ns : CLI_NS_PER_S;
    ping->size = ping->size_given ? ping->size : 56;

    int status = 0;
    if (peer_resolve(argv[0], (uint8_t)ping->common.family, &pinging->target.addr, &error) < 0)
        status = report_error(&error);
    if (status == 0)
        status = open_net(&ping->common, &pinging->target, false, &pinging->net);
    if (status == 0)
        status = ping_and_print(pinging);
    free(pinging);
    return status;
}

static const struct option_def *const tables[] = {ping_table,   options_wait, options_net,
                                                  options_json, options_user, options_help, NULL};
const struct command command_ping = {
    .name = "ping",
    .arguments = "HOST [-- PROGRAM ...]",
    .operands = "HOSTS",
    .summary = "ICMP echo from a peer to this host",
    .about = "Sends ICMP echo requests from a remote machine to an address of this host.",
    .tables = tables,
    .options_size = sizeof(struct ping_options),
    .run = run_ping,
};
