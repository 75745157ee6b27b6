/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Commands to a Redis server and their answers (RESP2, https://redis.io/docs/reference/protocol-spec).
 *
 * An answer is one value: a line that begins with + (text), - (an error) or : (a number), $ and a
 * length before as many bytes, or * and a count before as many values. Values in values need no
 * stack: an array adds as many as it has to those that are still to come.
 */
#include "protocol/table.h"
#include "workload/soak.h"

#include "base/error.h"
#include "base/macro.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What Redis itself takes at the most: 512 MB in a value, a million values in an array. */
#define BULK_MOST (UINT64_C(512) << 20)
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

static struct redis_client *client_of(const struct soak_flow *flow)
{
    return soak_flow_own(flow);
}

/* ---- the command ---- */

static void redis_send(struct soak_flow *flow)
{
    const struct redis_run *run = flow->soak->own;

    if (flow->out_at == run->len)
        return;
    ssize_t done =
        soak_write(flow, run->command + flow->out_at, run->len - flow->out_at, FLOW_WRITE_STABLE);
    if (done > 0)
        flow->out_at += (uint64_t)done;
    else if (done < 0 && done != -EAGAIN && flow->flow.state != FLOW_ENDED)
        soak_fail(flow, SOAK_CLOSED_EARLY, "closed before the command was sent");
}

static void redis_ask(struct soak_flow *flow)
{
    *client_of(flow) = (struct redis_client){.values = 1};
    redis_send(flow);
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
static bool take_line(struct redis_client *client)
{
    int64_t number = 0;

    client->line[client->line_len] = 0;
    client->line_len = 0;
    client->in_line = client->ends = false;
    client->values--;
    switch (client->line[0]) {
    case '-':
        client->refused = true;
        memcpy(client->error, client->line + 1, sizeof(client->error) - 1);
        return true;
    case '+':
    case ':':
        return true;
    case '$':
        number = number_of(client->line + 1, BULK_MOST);
        client->skip = number >= 0 ? (uint64_t)number + 2 : 0;
        return number > -2;
    case '*':
        number = number_of(client->line + 1, ARRAY_MOST);
        client->values += number > 0 ? (uint64_t)number : 0;
        return number > -2;
    default:
        return false;
    }
}

/* Reads one byte of a line. False: wrong. */
static bool take_byte(struct redis_client *client, char byte)
{
    client->in_line = true;
    if (client->ends)
        return byte == '\n' && take_line(client);
    client->ends = byte == '\r';
    if (!client->ends && client->line_len < sizeof(client->line) - 1)
        client->line[client->line_len++] = isprint((unsigned char)byte) ? byte : '.';
    return true;
}

/* How much of what came belongs to this answer; -1: it is none. */
static ssize_t take_some(struct redis_client *client, const char *data, size_t len)
{
    size_t at = 0;

    while (at < len && (client->values || client->skip)) {
        size_t skip = (size_t)MIN(client->skip, (uint64_t)(len - at));
        client->skip -= skip;
        at += skip;
        if (!skip && !take_byte(client, data[at++]))
            return -1;
    }
    return (ssize_t)at;
}

static void redis_take(struct soak_flow *flow, const struct iovec *iov)
{
    struct redis_client *client = client_of(flow);
    ssize_t taken = take_some(client, iov->iov_base, iov->iov_len);

    if (taken < 0) {
        soak_fail(flow, SOAK_BAD_ANSWER, "the answer is none of Redis's protocol");
        return;
    }
    if ((size_t)taken < iov->iov_len) {
        soak_fail(flow, SOAK_BAD_ANSWER, "bytes follow the end of the answer");
        return;
    }
    flow_consume(&flow->flow, iov->iov_len);
    if (client->values || client->skip)
        return;
    if (client->refused)
        soak_lose(flow, SOAK_BAD_ANSWER, "the server says \"%s\"", client->error);
    else
        soak_complete(flow);
}

static void redis_readable(struct soak_flow *flow)
{
    struct iovec iov;

    while (flow->state != SOAK_CLOSED && flow_peek(&flow->flow, &iov, 1) > 0) {
        if (flow->state != SOAK_BUSY) {
            soak_fail(flow, SOAK_BAD_ANSWER, "bytes came that nobody asked for");
            return;
        }
        if (!flow->first_byte)
            soak_said(flow, iov.iov_base, iov.iov_len);
        soak_first_byte(flow);
        flow->soak->measure.counts.bytes_received += iov.iov_len;
        redis_take(flow, &iov);
    }
}

/* ---- the run ---- */

/* One command: as it is when it is RESP already, else a line (an inline command). */
static int redis_prepare(struct soak *soak, struct peer_error *error)
{
    struct redis_run *run = soak->own;
    const char *body = soak->config.body ? soak->config.body : "PING";
    size_t len = soak->config.body ? soak->config.body_len : strlen(body);
    bool resp = len && *body == '*';

    while (!resp && len && (body[len - 1] == '\n' || body[len - 1] == '\r'))
        len--;
    if (!len || (!resp && (memchr(body, '\n', len) || memchr(body, '\r', len))))
        return error_set(error, PEER_ERROR_USAGE, EINVAL, "--body is one command in a line, or RESP");
    run->command = malloc(len + 2);
    if (!run->command)
        return error_set(error, PEER_ERROR_MACHINE, ENOMEM, "out of memory");
    memcpy(run->command, body, len);
    memcpy(run->command + len, "\r\n", 2);
    run->len = resp ? len : len + 2;
    soak->config.body = NULL;
    return 0;
}

static void redis_done(struct soak *soak)
{
    free(((struct redis_run *)soak->own)->command);
}

static const struct protocol_ops redis_tcp = {.kind = PROTOCOL_ASKS,
                                              .request = redis_ask,
                                              .readable = redis_readable,
                                              .writable = redis_send};

const struct protocol protocol_redis = {
    .name = "redis",
    .scheme = "redis",
    .port = 6379,
    .takes = PROTOCOL_TAKES_BODY,
    .tcp = &redis_tcp,
    .run_bytes = sizeof(struct redis_run),
    .flow_bytes = sizeof(struct redis_client),
    .prepare = redis_prepare,
    .done = redis_done,
};
