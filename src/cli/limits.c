/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bounds that were met, as text and as JSON: so that nobody takes for the network what peer did.
 */
#include "cli.h"

#include <stdio.h>

static const struct {
    size_t at;
    const char *name, *text;
} limits[] = {
#define LIMIT(field, words)                                                                        \
    {                                                                                              \
        offsetof(struct peer_limit_stats, field), #field, words                                    \
    }
    LIMIT(half_open, "calls met too many half-open ones and had a SYN cookie for an answer"),
    LIMIT(strangers, "calls of strangers had no answer: 20 in a millisecond have one then"),
    LIMIT(icmp_errors, "ICMP errors were not sent: one address has six at once, then one a second"),
    LIMIT(challenges, "segments that belong to no connection had no answer: one in 500 ms has one"),
    LIMIT(fragments, "packets were given up for others, whose fragments were not all there"),
    LIMIT(unread, "segments or datagrams were dropped behind others that nobody read"),
    LIMIT(gaps, "segments behind gaps were dropped, too many being kept"),
    LIMIT(unacknowledged, "writes had to wait, too much being unacknowledged in all"),
    LIMIT(neighbours, "ARP entries were not made: 32 in a second are"),
#undef LIMIT
};

static uint64_t value_of(const struct peer_limit_stats *stats, size_t i)
{
    return *(const uint64_t *)(const void *)((const char *)stats + limits[i].at);
}

static void each_limit(const struct peer_limit_stats *stats,
                       void (*line)(uint64_t count, const char *text))
{
    for (size_t i = 0; i < CLI_ARRAY_SIZE(limits); i++) {
        if (value_of(stats, i))
            line(value_of(stats, i), limits[i].text);
    }
}

static void say_line(uint64_t count, const char *text)
{
    say("%llu %s", (unsigned long long)count, text);
}

static void print_line(uint64_t count, const char *text)
{
    printf("  %llu %s\n", (unsigned long long)count, text);
}

void say_limits(struct peer_net *net)
{
    struct peer_net_stats stats;

    if (peer_net_get_stats(net, &stats) == 0)
        each_limit(&stats.limits, say_line);
}

void print_limits(const struct peer_limit_stats *stats)
{
    each_limit(stats, print_line);
}

json_t *json_limits(const struct peer_limit_stats *stats)
{
    json_t *object = json_object();

    for (size_t i = 0; i < CLI_ARRAY_SIZE(limits); i++)
        json_object_set_new(object, limits[i].name, json_integer((json_int_t)value_of(stats, i)));
    return object;
}
