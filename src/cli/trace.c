/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * peer trace: the way of a peer's first packet through this kernel, a line a station, then the
 * verdict and what would mend it.
 */
#include "cli.h"

#include <errno.h>
#include <netinet/in.h>
#include <peer/trace.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct trace_options {
    struct common_options common;
    bool icmp, reply, forward;
};

static const struct option_def trace_table[] = {
    {0, "icmp", NULL, "an echo request instead of a SYN; no PORT", option_set_flag,
     .offset = offsetof(struct trace_options, icmp)},
    {0, "reply", NULL, "only the answer's way back", option_set_flag,
     .offset = offsetof(struct trace_options, reply)},
    {0, "forward", NULL, "send nothing: what would happen, also to a foreign HOST", option_set_flag,
     .offset = offsetof(struct trace_options, forward)},
    {0},
};

/* ---- what came of it ---- */

struct stations {
    struct peer_trace_station *list;
    size_t count, room;
    bool reply_only;
};

static void take_station(void *user, const struct peer_trace_station *station)
{
    struct stations *stations = user;

    if (stations->reply_only && !station->back && station->state != PEER_TRACE_UNSEEN)
        return;
    if (stations->count == stations->room) {
        const size_t room = stations->room ? stations->room * 2 : 32;
        struct peer_trace_station *list = realloc(stations->list, room * sizeof(*list));
        if (!list)
            return;
        stations->list = list;
        stations->room = room;
    }
    stations->list[stations->count] = *station;
    name_options(stations->list[stations->count++].text);
}

static const char *const outcome_names[] = {
    [PEER_TRACE_ANSWERED] = "answered", [PEER_TRACE_ARRIVED] = "arrived",
    [PEER_TRACE_REFUSED] = "refused",   [PEER_TRACE_DROPPED] = "lost",
    [PEER_TRACE_SILENT] = "no answer",
};
static const char *const state_names[] = {[PEER_TRACE_PASSED] = "passed",
                                          [PEER_TRACE_LOST] = "lost",
                                          [PEER_TRACE_NOTE] = "note",
                                          [PEER_TRACE_UNSEEN] = "unseen"};

static int status_of(const struct peer_trace_result *result)
{
    return result->outcome == PEER_TRACE_ANSWERED || result->outcome == PEER_TRACE_ARRIVED
               ? STATUS_DONE
               : STATUS_REMOTE;
}

/* ---- as text ---- */

static void print_station(const struct peer_trace_station *station, int width)
{
    static const char marks[] = {[PEER_TRACE_PASSED] = ' ',
                                 [PEER_TRACE_LOST] = 'x',
                                 [PEER_TRACE_NOTE] = '-',
                                 [PEER_TRACE_UNSEEN] = '?'};
    char time[32] = "";

    if (station->after_ns != PEER_TRACE_NO_TIME)
        format_time((uint64_t)station->after_ns, time);
    printf("%9s %s %c %-9s  %-*s  %s\n", time, station->back ? "<" : ">", marks[station->state],
           station->name, width, station->where, station->text);
}

static void print_text(const struct stations *stations, const struct peer_trace_result *result)
{
    int width = 0;

    for (size_t i = 0; i < stations->count; i++) {
        const int len = (int)strlen(stations->list[i].where);
        width = len > width ? len : width;
    }
    for (size_t i = 0; i < stations->count; i++)
        print_station(&stations->list[i], width);
    printf("\n%s", outcome_names[result->outcome]);
    if (result->station)
        printf(" at %s", result->station);
    printf(": %s", result->text);
    if (result->kernel_reason[0])
        printf(" [%s]", result->kernel_reason);
    printf("\n");
    if (result->mend[0])
        printf("mend: %s\n", result->mend);
}

/* ---- as JSON ---- */

static json_t *json_station(const struct peer_trace_station *station)
{
    json_t *entry = json_pack("{s:s, s:s, s:s, s:s, s:s}", "station", station->name, "state",
                              state_names[station->state], "way", station->back ? "back" : "there",
                              "where", station->where, "text", station->text);

    if (entry && station->after_ns != PEER_TRACE_NO_TIME)
        json_object_set_new(entry, "after_us", json_real((double)station->after_ns / 1e3));
    return entry;
}

static int print_json(struct peer_net *net, const struct target *target,
                      const struct stations *stations, const struct peer_trace_result *result)
{
    char addr[PEER_ADDR_TEXT];
    json_t *document = json_report("trace", net, target), *list = json_array();
    json_t *verdict =
        json_pack("{s:s, s:s}", "outcome", outcome_names[result->outcome], "text", result->text);

    for (size_t i = 0; i < stations->count; i++)
        json_array_append_new(list, json_station(&stations->list[i]));
    if (result->station)
        json_object_set_new(verdict, "station", json_string(result->station));
    if (result->reason)
        json_object_set_new(verdict, "reason", json_string(result->reason));
    if (result->kernel_reason[0])
        json_object_set_new(verdict, "kernel_reason", json_string(result->kernel_reason));
    if (result->mend[0])
        json_object_set_new(verdict, "mend", json_string(result->mend));
    if (result->answer_ns != PEER_TRACE_NO_TIME)
        json_object_set_new(verdict, "answer_us", json_real((double)result->answer_ns / 1e3));
    if (!target->port) /* echo */
        json_object_set_new(document, "target", json_string(peer_addr_format(&target->addr, addr)));
    json_object_set_new(document, "stations", list);
    json_object_set_new(document, "verdict", verdict);
    return json_print(document, status_of(result));
}

/* ---- in order ---- */

/* A program just started needs a moment. Whether it listens in the end is what the trace shows. */
static void await_program(struct peer_net *net, const struct trace_options *options,
                          const struct target *target)
{
    const uint64_t limit_ns =
        options->common.timeout_ns ? options->common.timeout_ns : 2 * CLI_NS_PER_S;
    const uint64_t start_ns = peer_net_now_ns(net);
    const int protocol = options->common.udp ? IPPROTO_UDP : IPPROTO_TCP;
    int status;

    while (!options->icmp && peer_net_now_ns(net) - start_ns < limit_ns &&
           peer_net_has_listener(net, protocol, &target->addr, target->port) != 1 &&
           peer_net_program_ended(net, &status) == 0)
        if (peer_net_wait(net, 10 * CLI_NS_PER_MS) < 0)
            return;
}

static int trace_in(struct peer_net *net, const struct trace_options *options,
                    const struct target *target)
{
    struct stations stations = {.reply_only = options->reply};
    const struct peer_trace_config config = {
        .protocol = options->icmp         ? IPPROTO_ICMP
                    : options->common.udp ? IPPROTO_UDP
                                          : IPPROTO_TCP,
        .to = target->addr,
        .to_port = target->port,
        .timeout_ns = options->common.timeout_ns,
        .dry = options->forward,
        .each = take_station,
        .user = &stations,
    };
    struct peer_trace_result result;
    struct peer_error error = {0};

    int status = give_up_privileges(&command_trace, &options->common, net);
    if (status == 0)
        status = start_program(net, &options->common, NULL);
    if (status != 0)
        return status;
    if (options->common.program)
        await_program(net, options, target);
    if (peer_trace(net, &config, &result, &error) < 0) {
        status = report_error(&error);
        free(stations.list);
        return status;
    }
    name_options(result.text);
    name_options(result.mend);
    if (options->common.json) {
        status = print_json(net, target, &stations, &result);
    } else {
        print_text(&stations, &result);
        status = flush_output(status_of(&result));
    }
    free(stations.list);
    return status;
}

static int parse_arguments(const struct trace_options *options, int argc, char **argv,
                           struct target *ret_target)
{
    struct peer_error error;

    if (!options->icmp)
        return parse_target(&command_trace, &options->common, argc, argv, ret_target);
    if (argc < 1)
        return usage_error(&command_trace, "the HOST is missing");
    if (argc > 1)
        return usage_error(&command_trace, "an echo request has no port: \"%s\"", argv[1]);
    *ret_target = (struct target){0};
    if (peer_resolve(argv[0], (uint8_t)options->common.family, &ret_target->addr, &error) < 0)
        return report_error(&error);
    return 0;
}

static int run_trace(void *options, int argc, char **argv)
{
    struct trace_options *trace = options;
    struct target target;
    struct peer_net *net;

    if (trace->icmp && trace->common.udp)
        return usage_error(&command_trace, "-u and --icmp exclude each other");
    if (trace->reply && trace->forward)
        return usage_error(&command_trace, "--reply and --forward exclude each other");
    if (trace->common.pcap && strcmp(trace->common.pcap, "-") == 0)
        return usage_error(&command_trace,
                           "--pcap - does not go with the report on standard output");
    int status = parse_arguments(trace, argc, argv, &target);
    if (status != 0)
        return status;
    trace->common.allow_loopback = true; /* how it is lost is worth seeing */
    trace->common.allow_forward = trace->common.allow_forward || trace->forward;
    status = open_net(&trace->common, &target, false, &net);
    if (status != 0)
        return status;
    return close_net(net, &trace->common, trace_in(net, trace, &target));
}

static const struct option_def *const tables[] = {
    trace_table, options_udp, options_wait, options_net, options_json, options_help, NULL};
const struct command command_trace = {
    .name = "trace",
    .arguments = "HOST PORT [-- PROGRAM ...]",
    .operands = "HOSTS",
    .summary = "the way of a packet through this kernel, and where it is lost",
    .about =
        "Sends the first packet of a connection from a remote machine and prints its way through\n"
        "this kernel: device, netfilter, route, socket, and the answer's way back; where it was\n"
        "lost, why, and what would mend it. Sees most as root.",
    .tables = tables,
    .options_size = sizeof(struct trace_options),
    .run = run_trace,
};
