/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a forward did, at its end: as text on standard error, as JSON on standard output.
 */
#include "forward.h"

#include "cli/workers.h"

#include <stdio.h>

static json_int_t whole(uint64_t value)
{
    return (json_int_t)value;
}

/* ---- JSON ---- */

static json_t *json_listen(const struct way *way)
{
    char place[PLACE_TEXT], peer[PEER_ENDPOINT_TEXT];
    json_t *at = json_array();

    for (int i = 0; i < way->at_count; i++)
        json_array_append_new(at, json_string(place_format(&way->at[i], place)));
    if (way->reverse && way->peer.family)
        json_array_append_new(at,
                              json_string(peer_endpoint_format(&way->peer, way->peer_port, peer)));
    else if (way->reverse)
        json_array_append_new(at, json_sprintf("*:%u", (unsigned)way->peer_port));
    return at;
}

static json_t *json_ways(const struct forward *forward)
{
    json_t *list = json_array();
    char to[PLACE_TEXT];

    for (int i = 0; i < forward->way_count; i++)
        json_array_append_new(list,
                              json_pack("{s:o, s:s, s:b}", "listen", json_listen(&forward->ways[i]),
                                        "target", where_to(&forward->ways[i], to), "remote",
                                        (int)forward->ways[i].reverse));
    return list;
}

struct number {
    const char *name;
    uint64_t value;
};

static json_t *json_numbers(const struct number *numbers, size_t count)
{
    json_t *object = json_object();

    for (size_t i = 0; i < count; i++)
        json_object_set_new(object, numbers[i].name, json_integer(whole(numbers[i].value)));
    return object;
}

static void put_door(const struct forward *forward, json_t *document)
{
    struct door_stats stats;

    forward_get_door(forward, &stats);
    const struct number connections[] = {
        {"accepted", stats.accepted},
        {"established", stats.opened},
        {"open", stats.open},
        {"open_most", stats.open_most},
        {"waited", stats.pauses},
        {"closed", stats.ends[DOOR_CLOSED]},
        {"refused", stats.ends[DOOR_REFUSED]},
        {"reset", stats.ends[DOOR_RESET]},
        {"client_reset", stats.ends[DOOR_CLIENT_RESET]},
        {"timeout", stats.ends[DOOR_TIMEOUT]},
        {"unreachable", stats.ends[DOOR_UNREACHABLE]},
        {"idle", stats.ends[DOOR_EXPIRED]},
        {"failed", stats.ends[DOOR_FAILED]},
    };
    const struct number bytes[] = {{"sent", stats.bytes_sent}, {"received", stats.bytes_received}};
    json_object_set_new(document, "connections",
                        json_numbers(connections, CLI_ARRAY_SIZE(connections)));
    json_object_set_new(document, "bytes", json_numbers(bytes, CLI_ARRAY_SIZE(bytes)));
}

static void put_datagrams(const struct forward *forward, json_t *document)
{
    struct datagram_stats stats;

    forward_get_datagrams(forward, &stats);
    const struct number sessions[] = {
        {"accepted", stats.sessions},
        {"open", stats.open},
        {"open_most", stats.open_most},
        {"idle", stats.ends[DATAGRAM_IDLE]},
        {"unreachable", stats.ends[DATAGRAM_UNREACHABLE]},
        {"crowded_out", stats.ends[DATAGRAM_CROWDED_OUT]},
        {"failed", stats.ends[DATAGRAM_FAILED]},
    };
    const struct number datagrams[] = {
        {"sent", stats.sent_count}, {"received", stats.received_count}, {"dropped", stats.dropped}};
    const struct number bytes[] = {{"sent", stats.sent}, {"received", stats.received}};
    json_object_set_new(document, "sessions", json_numbers(sessions, CLI_ARRAY_SIZE(sessions)));
    json_object_set_new(document, "datagrams", json_numbers(datagrams, CLI_ARRAY_SIZE(datagrams)));
    json_object_set_new(document, "bytes", json_numbers(bytes, CLI_ARRAY_SIZE(bytes)));
}

static int print_json(const struct forward *forward, int status)
{
    json_t *document = json_report("forward", forward->net, NULL);

    json_object_set_new(document, "forwards", json_ways(forward));
    if (forward->options->common.udp)
        put_datagrams(forward, document);
    else
        put_door(forward, document);
    json_add_workers(document, forward->net, &forward->options->common);
    json_object_set_new(document, "duration_s",
                        json_real((double)(loop_now_ns(forward->loop) - forward->began_ns) / 1e9));
    return json_print(document, status);
}

/* ---- text ---- */

static void say_door(const struct forward *forward)
{
    struct door_stats stats;
    char sent[32], received[32];

    forward_get_door(forward, &stats);
    say("%llu connection%s accepted, %llu established, at most %llu at once, %s sent, %s received",
        (unsigned long long)stats.accepted, stats.accepted == 1 ? "" : "s",
        (unsigned long long)stats.opened, (unsigned long long)stats.open_most,
        format_bytes(stats.bytes_sent, sent), format_bytes(stats.bytes_received, received));
    for (int i = DOOR_CLOSED + 1; i < DOOR_ENDS; i++) {
        if (stats.ends[i])
            say("%llu %s", (unsigned long long)stats.ends[i], door_end_text((enum door_end)i));
    }
    if (stats.open)
        say("%llu were open at the end", (unsigned long long)stats.open);
    if (stats.pauses)
        say("%llu times clients had to wait until others were gone",
            (unsigned long long)stats.pauses);
}

static void say_datagrams(const struct forward *forward)
{
    struct datagram_stats stats;
    char sent[32], received[32];

    forward_get_datagrams(forward, &stats);
    say("%llu session%s, at most %llu at once, %llu datagrams sent, %s, %llu received, %s",
        (unsigned long long)stats.sessions, stats.sessions == 1 ? "" : "s",
        (unsigned long long)stats.open_most, (unsigned long long)stats.sent_count,
        format_bytes(stats.sent, sent), (unsigned long long)stats.received_count,
        format_bytes(stats.received, received));
    for (int i = DATAGRAM_OPEN + 1; i < DATAGRAM_CLOSED; i++) {
        if (stats.ends[i])
            say("%llu %s", (unsigned long long)stats.ends[i],
                datagram_end_text((enum datagram_end)i));
    }
    if (stats.dropped)
        say("%llu datagrams were dropped, one side not taking them",
            (unsigned long long)stats.dropped);
}

int forward_report(const struct forward *forward, int status)
{
    if (forward->options->common.json)
        return print_json(forward, status);
    if (forward->options->common.udp)
        say_datagrams(forward);
    else
        say_door(forward);
    say_workers(forward->net, &forward->options->common);
    say_limits(forward->net);
    return status;
}
