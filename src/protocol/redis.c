/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Commands to a Redis server and their answers (RESP2, https://redis.io/docs/reference/protocol-spec).
 *
 * An answer is one value: a line that begins with + (text), - (an error) or : (a number), $ and a
 * length before as many bytes, or * and a count before as many values. Values in values need no
 * stack: an array adds as many as it has to those that are still to come.
 */
#include "protocol/table.h"

#include "base/error.h"
#include "base/macro.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What Redis itself takes at the most: 512 MB in a value, a million values in an array. */
#define BULK_MOST  (UINT64_C(512) << 20)
#define ARRAY_MOST (UINT64_C(1) << 20)

struct redis_client {
    uint64_t values; /* still to come */
    uint64_t skip;   /* bytes of a value, with the line's end behind it */
    uint8_t line_len;
    bool in_line, ends; /* `ends`: a CR came */
    bool refused;       /* an error is in the answer; `line` has the last one */
    char line[80];      /* how the line begins */
    char error[80];
};

struct redis_run {
    char *command;
    size_t len;
};

static void redis_send(struct client *client, struct request *request)
{
    const struct redis_run *run = client_run(client);

    (void)request_send(request, run->command, run->len);
}

static void redis_ask(struct client *client, struct request *request)
{
    *(struct redis_client *)client_own(client) = (struct redis_client){.values = 1};
    redis_send(client, request);
}

/* ---- the answer ---- */

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
static bool take_line(struct redis_client *redis)
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
static bool take_byte(struct redis_client *redis, char byte)
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
static ssize_t take_some(struct redis_client *redis, const char *data, size_t len)
{
    size_t at = 0;

    while (at < len && (redis->values || redis->skip)) {
        size_t skip = (size_t)MIN(redis->skip, (uint64_t)(len - at));
        redis->skip -= skip;
        at += skip;
        if (!skip && !take_byte(redis, data[at++]))
            return -1;
    }
    return (ssize_t)at;
}

static enum taken redis_take(struct client *client, struct request *request, const char *data,
                             size_t len, size_t *ret_used)
{
    struct redis_client *redis = client_own(client);
    ssize_t used = take_some(redis, data, len);

    (void)request;
    if (used < 0) {
        client_fail(client, PEER_SOAK_BAD_ANSWER, "the answer is none of Redis's protocol");
        return TAKEN_WRONG;
    }
    *ret_used = (size_t)used;
    return redis->values || redis->skip ? TAKEN_MORE : TAKEN_ANSWER;
}

static void redis_taken(struct client *client, struct request *request, enum taken taken)
{
    const struct redis_client *redis = client_own(client);

    if (taken != TAKEN_ANSWER)
        return;
    if (redis->refused)
        request_lose(request, PEER_SOAK_BAD_ANSWER, "the server says \"%s\"", redis->error);
    else
        request_done(request);
}

/* ---- the run ---- */

/* One command: as it is when it is RESP already, else a line (an inline command). */
static int redis_prepare(void *own, struct peer_soak_config *config, struct peer_error *error)
{
    struct redis_run *run = own;
    const char *body = config->body ? config->body : "PING";
    size_t len = config->body ? config->body_len : strlen(body);
    bool resp = len && *body == '*';

    while (!resp && len && (body[len - 1] == '\n' || body[len - 1] == '\r'))
        len--;
    if (!len || (!resp && (memchr(body, '\n', len) || memchr(body, '\r', len))))
        return error_set(error, PEER_ERROR_USAGE, EINVAL,
                         "--body is one command in a line, or RESP");
    run->command = malloc(len + 2);
    if (!run->command)
        return error_set(error, PEER_ERROR_MACHINE, ENOMEM, "out of memory");
    memcpy(run->command, body, len);
    memcpy(run->command + len, "\r\n", 2);
    run->len = resp ? len : len + 2;
    config->body = NULL;
    return 0;
}

static void redis_done(void *own)
{
    free(((struct redis_run *)own)->command);
}

static const struct protocol_ops redis_tcp = {.kind = PROTOCOL_ASKS,
                                              .ask = redis_ask,
                                              .take = redis_take,
                                              .taken = redis_taken,
                                              .writable = redis_send};

const struct protocol protocol_redis = {
    .name = "redis",
    .scheme = "redis",
    .port = 6379,
    .takes = PROTOCOL_TAKES_BODY,
    .tcp = &redis_tcp,
    .run_bytes = sizeof(struct redis_run),
    .client_bytes = sizeof(struct redis_client),
    .prepare = redis_prepare,
    .done = redis_done,
};
