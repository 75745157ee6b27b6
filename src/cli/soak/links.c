/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the links of a soak did, in its report.
 */
#include "soak.h"

#include <stdio.h>

static json_int_t integer(uint64_t value)
{
    return (json_int_t)value;
}

static json_t *json_link(const struct peer_link_stats *link)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:I}", "sent",
                     integer(link->sent), "delivered", integer(link->delivered), "lost",
                     integer(link->lost), "overflowed", integer(link->overflowed), "discarded",
                     integer(link->discarded), "duplicated", integer(link->duplicated), "corrupted",
                     integer(link->corrupted), "reordered", integer(link->reordered), "delayed",
                     integer(link->delayed), "delay_mean_us", (double)link->delay_mean_ns / 1e3,
                     "queued_max", integer(link->queued_max));
}

void json_add_links(json_t *document, const struct peer_soak_report *report)
{
    if (!report->uplink.sent && !report->downlink.sent)
        return;
    json_object_set_new(document, "link",
                        json_pack("{s:o, s:o}", "uplink", json_link(&report->uplink), "downlink",
                                  json_link(&report->downlink)));
}

static void print_link(const char *name, const struct peer_link_stats *link)
{
    const struct {
        uint64_t count;
        const char *what;
    } parts[] = {{link->lost, "lost"},           {link->overflowed, "overflowed the queue"},
                 {link->duplicated, "doubled"},  {link->corrupted, "corrupted"},
                 {link->reordered, "reordered"}, {link->discarded, "discarded"}};
    char delay[32];

    if (!link->sent)
        return;
    printf("  %s: %llu packets", name, (unsigned long long)link->sent);
    for (size_t i = 0; i < CLI_ARRAY_SIZE(parts); i++) {
        if (parts[i].count)
            printf(", %llu %s", (unsigned long long)parts[i].count, parts[i].what);
    }
    if (link->delayed)
        printf(", delayed by %s on average, at most %llu on the way at once",
               format_time(link->delay_mean_ns, delay), (unsigned long long)link->queued_max);
    putchar('\n');
}

void print_links(const struct peer_soak_report *report)
{
    print_link("uplink", &report->uplink);
    print_link("downlink", &report->downlink);
}
