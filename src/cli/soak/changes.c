/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What was changed while a soak went on, and when: without it nobody can read the figures.
 */
#include "soak.h"
#include "cli/visible.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { LINES_MOST = 20, WORDS = 240 };

const char *format_since(int64_t at_ns, char buf[32])
{
    snprintf(buf, 32, "%+.3f s", (double)at_ns / 1e9);
    return buf;
}

static bool is_leap(unsigned year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* RFC 3339, in UTC, to the millisecond. gmtime() would read the time zone's file, and files are not
   opened any more. */
static const char *format_wall(uint64_t wall_ns, char buf[48])
{
    static const unsigned lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    uint64_t seconds = wall_ns / CLI_NS_PER_S;
    unsigned days = (unsigned)(seconds / 86400), rest = (unsigned)(seconds % 86400);
    unsigned year = 1970, month = 0, length;

    for (; days >= (length = is_leap(year) ? 366 : 365); year++)
        days -= length;
    for (; days >= (length = lengths[month] + (month == 1 && is_leap(year))); month++)
        days -= length;
    snprintf(buf, 48, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ", year, month + 1, days + 1,
             rest / 3600, rest / 60 % 60, rest % 60,
             (unsigned)(wall_ns % CLI_NS_PER_S / CLI_NS_PER_MS));
    return buf;
}

/* A file may say anything. */
static const char *make_visible(const char *words, char buf[VISIBLE_MOST * (WORDS + 4) + 1])
{
    struct visible visible = {.held_len = 0};
    size_t len = strnlen(words, WORDS);

    len = visible_encode(&visible, words, len, buf);
    len += visible_end(&visible, buf + len);
    buf[len] = 0;
    return buf;
}

static bool has_shards(const struct peer_result *result)
{
    struct peer_result_part part = {0};

    return peer_result_get_part(result, 0, &part) && part.shards;
}

json_t *json_change(const struct peer_soak_change *change, bool shards)
{
    char wall[48];
    json_t *entry =
        json_pack("{s:f, s:s, s:s}", "at_s", (double)change->at_ns / 1e9, "time",
                  format_wall(change->wall_ns, wall), "words", change->words);

    if (!entry) /* its words are no text */
        entry = json_pack("{s:f, s:s}", "at_s", (double)change->at_ns / 1e9, "words", "");
    if (shards)
        json_object_set_new(entry, "shard", json_integer((json_int_t)change->shard));
    return entry;
}

void json_add_changes(json_t *document, const struct peer_result *result,
                      const struct peer_soak_report *report)
{
    struct peer_soak_change change;
    json_t *changes = json_array();
    bool shards = has_shards(result);

    for (size_t i = 0; peer_result_get_change(result, i, &change); i++)
        json_array_append_new(changes, json_change(&change, shards));
    json_object_set_new(document, "changes", changes);
    json_object_set_new(document, "paused_s", json_real((double)report->paused_ns / 1e9));
}

void print_changes(const struct peer_result *result, const struct peer_soak_report *report)
{
    struct peer_soak_change change;
    char time[32], words[VISIBLE_MOST * (WORDS + 4) + 1], shard[32] = "";
    size_t count = 0;

    if (report->paused_ns)
        printf("  paused for %s of that, which is in no rate\n",
               format_time(report->paused_ns, time));
    for (; peer_result_get_change(result, count, &change); count++) {
        if (count >= LINES_MOST)
            continue;
        if (has_shards(result))
            snprintf(shard, sizeof(shard), " shard %" PRIu64, change.shard);
        printf("  %s%s %s: %s\n", count ? "       " : "changed", shard,
               format_since(change.at_ns, time), make_visible(change.words, words));
    }
    if (count > LINES_MOST)
        printf("          and %zu more, which are in JSON\n", count - LINES_MOST);
}
