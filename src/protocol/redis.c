/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Commands to a Redis server and their answers (RESP2, https://redis.io/docs/reference/protocol-spec).
 *
 * An answer is one value: a line that begins with + (text), - (an error) or : (a number), $ and a
 * length before as many bytes, or * and a count before as many values. Values in values need no
 * stack: an array adds as many as it has to those that are still to come.
 *
 * The login is AUTH and SELECT, written together, each with an answer of its own. The command of a
 * run is always the same, so its bytes lie behind one another as often as a pipeline has requests,
 * and what is asked together is one write of a piece of them.
 */
#include "protocol/table.h"

#include "base/error.h"
#include "base/macro.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What Redis itself takes at the most: 512 MB in a value, a million values in an array. */
#define BULK_MOST  (UINT64_C(512) << 20)
#define ARRAY_MOST (UINT64_C(1) << 20)

/* How much of a pipeline lies ready to be written at once. */
enum { TOGETHER_BYTES = 65536, KNOWN_BYTES = 64 };

struct redis_client {
    uint64_t values; /* still to come */
    uint64_t skip;   /* bytes of a value, with the line's end behind it */
    uint64_t unsent; /* bytes of what was asked */
    uint8_t line_len;
    uint8_t logins; /* answers to the login that are still to come */
    bool in_line, ends; /* `ends`: a CR came */
    bool refused;       /* an error is in the answer; `line` has the last one */
    char line[80];      /* how the line begins */
    char error[80];
};

struct redis_run {
    char *commands; /* the same one, as often as fits */
    size_t len, total;
    char *login;
    size_t login_len;
    uint8_t logins;
    size_t known_len; /* a short answer that was right: what is equal need not be read */
    char known[KNOWN_BYTES];
};

/* ---- the request ---- */

/* Writes what was asked: it ends where a command does. */
static void redis_flush(struct client *client)
{
    const struct redis_run *run = client_run(client);
    struct redis_client *redis = client_own(client);

    while (redis->unsent) {
        size_t from = (run->len - (size_t)(redis->unsent % run->len)) % run->len;
        size_t part = (size_t)MIN(redis->unsent, (uint64_t)(run->total - from));
        ssize_t done = client_write(client, run->commands + from, part, FLOW_WRITE_STABLE);
        if (done < 0 && done != -EAGAIN && client_flow(client)->state != FLOW_ENDED)
            client_fail(client, PEER_SOAK_CLOSED_EARLY, "closed before the request was sent");
        if (done <= 0)
            return;
        redis->unsent -= (uint64_t)done;
    }
}

static void redis_ask(struct client *client, struct request *request)
{
    const struct redis_run *run = client_run(client);

    (void)request;
    ((struct redis_client *)client_own(client))->unsent += run->len;
}

static void redis_writable(struct client *client, struct request *request)
{
    (void)request;
    redis_flush(client);
}

static void redis_opened(struct client *client)
{
    const struct redis_run *run = client_run(client);
    struct redis_client *redis = client_own(client);

    redis->logins = run->logins;
    if (!redis->logins)
        client_ready(client, (uint32_t)client_config(client)->pipeline);
    else if (client_write(client, run->login, run->login_len, FLOW_WRITE_STABLE) !=
             (ssize_t)run->login_len)
        client_fail(client, PEER_SOAK_CLOSED_EARLY, "the login could not be sent");
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

static bool begins(const struct redis_client *redis)
{
    return !redis->values && !redis->skip;
}

/* Most answers are like the one before. */
static bool is_known(const struct redis_run *run, const char *data, size_t len)
{
    return run->known_len && len >= run->known_len && memcmp(data, run->known, run->known_len) == 0;
}

static void keep_known(struct redis_run *run, const char *data, size_t len)
{
    if (len > KNOWN_BYTES)
        return;
    memcpy(run->known, data, len);
    run->known_len = len;
}

static enum taken redis_take(struct client *client, struct request *request, const char *data,
                             size_t len, size_t *ret_used)
{
    struct redis_client *redis = client_own(client);
    struct redis_run *run = client_run(client);
    const bool whole = begins(redis);

    (void)request;
    if (whole && is_known(run, data, len)) {
        redis->refused = false;
        *ret_used = run->known_len;
        return TAKEN_ANSWER;
    }
    ssize_t used = take_some(redis, data, len);
    if (used < 0) {
        client_fail(client, PEER_SOAK_BAD_ANSWER, "the answer is none of Redis's protocol");
        return TAKEN_WRONG;
    }
    *ret_used = (size_t)used;
    if (!begins(redis))
        return TAKEN_MORE;
    if (whole && !redis->refused)
        keep_known(run, data, (size_t)used);
    return TAKEN_ANSWER;
}

/* What an error says of the connection. */
static enum peer_soak_error kind_of(const char *error)
{
    static const struct {
        const char *begins;
        enum peer_soak_error kind;
    } kinds[] = {{"ERR max number of clients", PEER_SOAK_FULL},
                 {"NOAUTH", PEER_SOAK_LOGIN},
                 {"WRONGPASS", PEER_SOAK_LOGIN}};

    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        if (strncmp(error, kinds[i].begins, strlen(kinds[i].begins)) == 0)
            return kinds[i].kind;
    }
    return PEER_SOAK_BAD_ANSWER;
}

static void login_taken(struct client *client)
{
    struct redis_client *redis = client_own(client);

    if (redis->refused) {
        bool full = kind_of(redis->error) == PEER_SOAK_FULL;
        client_fail(client, full ? PEER_SOAK_FULL : PEER_SOAK_LOGIN, "the server says \"%s\"",
                    redis->error);
    } else if (--redis->logins == 0) {
        client_logged_in(client);
        client_ready(client, (uint32_t)client_config(client)->pipeline);
    }
}

static void redis_taken(struct client *client, struct request *request, enum taken taken)
{
    const struct redis_client *redis = client_own(client);

    if (taken != TAKEN_ANSWER)
        return;
    if (redis->logins)
        login_taken(client);
    else if (redis->refused && kind_of(redis->error) == PEER_SOAK_FULL)
        client_fail(client, PEER_SOAK_FULL, "the server says \"%s\"", redis->error);
    else if (redis->refused)
        request_lose(request, kind_of(redis->error), "the server says \"%s\"", redis->error);
    else
        request_done(request);
}

/* ---- the run ---- */

static int out_of_memory(struct peer_error *error)
{
    return error_set(error, PEER_ERROR_MACHINE, ENOMEM, "out of memory");
}

/* `text` again and again, into `run`. */
static int repeat(struct redis_run *run, const char *text, size_t len, uint64_t times)
{
    uint64_t fit = MIN(times, MAX(TOGETHER_BYTES / len, (size_t)1));

    run->len = len;
    run->total = len * (size_t)fit;
    run->commands = malloc(run->total);
    for (size_t at = 0; run->commands && at < run->total; at += len)
        memcpy(run->commands + at, text, len);
    return run->commands ? 0 : -ENOMEM;
}

/* A command as an array of strings. */
static void write_words(FILE *out, const char *const words[], size_t count)
{
    fprintf(out, "*%zu\r\n", count);
    for (size_t i = 0; i < count; i++)
        fprintf(out, "$%zu\r\n%s\r\n", strlen(words[i]), words[i]);
}

/* Words between blanks as RESP, which costs the server less than a line. */
static void write_line(FILE *out, const char *line, size_t len)
{
    static const char blanks[] = " \t";
    size_t count = 0;

    for (size_t i = 0; i < len; i++)
        count += !strchr(blanks, line[i]) && (i + 1 == len || strchr(blanks, line[i + 1]));
    fprintf(out, "*%zu\r\n", count);
    for (size_t at = 0, end; at < len; at = end) {
        while (at < len && strchr(blanks, line[at]))
            at++;
        for (end = at; end < len && !strchr(blanks, line[end]);)
            end++;
        if (end > at)
            fprintf(out, "$%zu\r\n%.*s\r\n", end - at, (int)(end - at), line + at);
    }
}

static bool has_one_of(const char *text, size_t len, const char *bytes)
{
    for (size_t i = 0; i < len; i++) {
        if (!text[i] || strchr(bytes, text[i]))
            return true;
    }
    return false;
}

/* A command in a line; what is quoted the server takes apart itself (an inline command). */
static int make_command(const char *line, size_t len, char **ret_text, size_t *ret_len)
{
    FILE *out = open_memstream(ret_text, ret_len);

    if (!out)
        return -ENOMEM;
    if (has_one_of(line, len, "\"'\\") || len > INT32_MAX) {
        (void)fwrite(line, 1, len, out);
        fputs("\r\n", out);
    } else {
        write_line(out, line, len);
    }
    return fclose(out) == 0 ? 0 : -ENOMEM;
}

static int prepare_command(struct redis_run *run, struct peer_soak_config *config,
                           struct peer_error *error)
{
    const char *body = config->body ? config->body : "PING";
    size_t len = config->body ? config->body_len : strlen(body), made_len = 0;
    char *made = NULL;
    int status = 0;

    config->body = NULL;
    if (len && *body == '*')
        return repeat(run, body, len, config->pipeline) < 0 ? out_of_memory(error) : 0;
    while (len && strchr(" \t\r\n", body[len - 1]))
        len--;
    if (!len || memchr(body, '\n', len) || memchr(body, '\r', len))
        return error_set(error, PEER_ERROR_USAGE, EINVAL,
                         "`body` is one command in a line, or RESP");
    status = make_command(body, len, &made, &made_len);
    if (status == 0)
        status = repeat(run, made, made_len, config->pipeline);
    free(made);
    return status < 0 ? out_of_memory(error) : 0;
}

/* "/7" is database 7, "/" and none the first one. */
static int read_database(const char *path, const char **ret_database, struct peer_error *error)
{
    const char *number = path ? path + (*path == '/') : "";

    *ret_database = *number ? number : NULL;
    if (strspn(number, "0123456789") == strlen(number) && strlen(number) < 10)
        return 0;
    return error_set(error, PEER_ERROR_USAGE, EINVAL,
                     "\"%.40s\" is no database of Redis: they have numbers", number);
}

static int prepare_login(struct redis_run *run, struct peer_soak_config *config,
                         struct peer_error *error)
{
    const char *database = NULL;

    if (config->user && !config->password)
        return error_set(error, PEER_ERROR_USAGE, EINVAL,
                         "a user of Redis has a password: redis://USER:PASSWORD@HOST");
    int status = read_database(config->path, &database, error);
    if (status < 0)
        return status;
    FILE *out = open_memstream(&run->login, &run->login_len);
    if (!out)
        return out_of_memory(error);
    if (config->password && config->user)
        write_words(out, (const char *const[]){"AUTH", config->user, config->password}, 3);
    else if (config->password)
        write_words(out, (const char *const[]){"AUTH", config->password}, 2);
    if (database)
        write_words(out, (const char *const[]){"SELECT", database}, 2);
    run->logins = (uint8_t)((config->password != NULL) + (database != NULL));
    return fclose(out) == 0 ? 0 : out_of_memory(error);
}

static int redis_prepare(void *own, struct peer_soak_config *config, struct peer_error *error)
{
    int status = prepare_command(own, config, error);

    if (status == 0)
        status = prepare_login(own, config, error);
    config->path = config->user = config->password = NULL;
    return status;
}

static void redis_done(void *own)
{
    struct redis_run *run = own;

    if (run->login)
        explicit_bzero(run->login, run->login_len);
    free(run->login);
    free(run->commands);
}

static const struct protocol_ops redis_tcp = {.kind = PROTOCOL_ASKS,
                                              .opened = redis_opened,
                                              .ask = redis_ask,
                                              .take = redis_take,
                                              .taken = redis_taken,
                                              .asked = redis_flush,
                                              .writable = redis_writable};

const struct protocol protocol_redis = {
    .name = "redis",
    .scheme = "redis",
    .port = 6379,
    .takes = PROTOCOL_TAKES_BODY | PROTOCOL_TAKES_PATH | PROTOCOL_TAKES_LOGIN |
             PROTOCOL_TAKES_PIPELINE,
    .tcp = &redis_tcp,
    .run_bytes = sizeof(struct redis_run),
    .client_bytes = sizeof(struct redis_client),
    .prepare = redis_prepare,
    .done = redis_done,
};
