/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An answer is one value: a line that begins with + (text), - (an error) or : (a number), $ and a
 * length before as many bytes, or * and a count before as many values. Values in values need no
 * stack: an array adds as many as it has to those that are still to come.
 */
#include "protocol/redis_answer.h"

#include "base/macro.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* What Redis itself takes at the most: 512 MB in a value, a million values in an array. */
#define BULK_MOST  (UINT64_C(512) << 20)
#define ARRAY_MOST (UINT64_C(1) << 20)

/* The number of a line like "$5": -1 for none, -2 when it is no number. */
static int64_t number_of(const char *text, uint64_t most)
{
    char *end;

    if (strcmp(text, "-1") == 0)
        return -1;
    unsigned long long number = strtoull(text, &end, 10);
    return !isdigit((unsigned char)*text) || *end || number > most ? -2 : (int64_t)number;
}

/* A line is complete: what comes next? False: it is none of the protocol's. */
static bool take_line(struct redis_answer *redis)
{
    int64_t number = 0;

    redis->line[redis->line_len] = 0;
    redis->line_len = 0;
    redis->in_line = redis->ends = false;
    redis->values--;
    switch (redis->line[0]) {
    case '-':
        redis->refused = true;
        memcpy(redis->error, redis->line + 1, sizeof(redis->error) - 1);
        return true;
    case '+':
    case ':':
        return true;
    case '$':
        number = number_of(redis->line + 1, BULK_MOST);
        redis->skip = number >= 0 ? (uint64_t)number + 2 : 0;
        return number > -2;
    case '*':
        number = number_of(redis->line + 1, ARRAY_MOST);
        redis->values += number > 0 ? (uint64_t)number : 0;
        return number > -2;
    default:
        return false;
    }
}

/* Reads one byte of a line. False: wrong. */
static bool take_byte(struct redis_answer *redis, char byte)
{
    redis->in_line = true;
    if (redis->ends)
        return byte == '\n' && take_line(redis);
    redis->ends = byte == '\r';
    if (!redis->ends && redis->line_len < sizeof(redis->line) - 1)
        redis->line[redis->line_len++] = isprint((unsigned char)byte) ? byte : '.';
    return true;
}

/* How much of what came belongs to this answer; -1: it is none. */
ssize_t redis_answer_take(struct redis_answer *redis, const char *data, size_t len)
{
    size_t at = 0;

    if (!redis->values && !redis->skip) { /* another one begins */
        redis->values = 1;
        redis->refused = false;
    }
    while (at < len && (redis->values || redis->skip)) {
        size_t skip = (size_t)MIN(redis->skip, (uint64_t)(len - at));
        redis->skip -= skip;
        at += skip;
        if (!skip && !take_byte(redis, data[at++]))
            return -1;
    }
    return (ssize_t)at;
}
