/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Commands to a Redis server and their answers (RESP2, https://redis.io/docs/reference/protocol-spec).
 *
 * The login is AUTH and SELECT, written together, each with an answer of its own.
 */
#include "protocol/redis_answer.h"
#include "protocol/table.h"
#include "protocol/together.h"

#include "base/error.h"
#include "base/macro.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KNOWN_BYTES = 64 };

struct redis_client {
    struct redis_answer answer;
    struct together_asked asked;
    uint8_t logins; /* answers to the login that are still to come */
};

struct redis_run {
    struct together commands;
    char *login;
    size_t login_len;
    uint8_t logins;
    size_t known_len; /* a short answer that was right: what is equal need not be read */
    char known[KNOWN_BYTES];
};

/* ---- the request ---- */

static void redis_asked(struct client *client)
{
    const struct redis_run *run = client_run(client);

    together_write(client, &run->commands, &((struct redis_client *)client_own(client))->asked);
}

static void redis_ask(struct client *client, struct request *request)
{
    const struct redis_run *run = client_run(client);

    (void)request;
    together_ask(&((struct redis_client *)client_own(client))->asked, &run->commands);
}

static void redis_writable(struct client *client, struct request *request)
{
    (void)request;
    redis_asked(client);
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
    const bool whole = redis_answer_begins(&redis->answer);

    if (request && !together_awaits(&redis->asked)) {
        client_fail(client, PEER_SOAK_BAD_ANSWER, "bytes came that nobody asked for");
        return TAKEN_WRONG;
    }
    if (whole && is_known(run, data, len)) {
        redis->answer.refused = false;
        *ret_used = run->known_len;
        return TAKEN_ANSWER;
    }
    ssize_t used = redis_answer_take(&redis->answer, data, len);
    if (used < 0) {
        client_fail(client, PEER_SOAK_BAD_ANSWER, "the answer is none of Redis's protocol");
        return TAKEN_WRONG;
    }
    *ret_used = (size_t)used;
    if (!redis_answer_begins(&redis->answer))
        return TAKEN_MORE;
    if (whole && !redis->answer.refused)
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

    if (redis->answer.refused) {
        bool full = kind_of(redis->answer.error) == PEER_SOAK_FULL;
        client_fail(client, full ? PEER_SOAK_FULL : PEER_SOAK_LOGIN, "the server says \"%s\"",
                    redis->answer.error);
    } else if (--redis->logins == 0) {
        client_logged_in(client);
        client_ready(client, (uint32_t)client_config(client)->pipeline);
    }
}

static void redis_taken(struct client *client, struct request *request, enum taken taken)
{
    struct redis_client *redis = client_own(client);

    if (taken != TAKEN_ANSWER)
        return;
    if (redis->logins) {
        login_taken(client);
        return;
    }
    together_answered(&redis->asked, &((struct redis_run *)client_run(client))->commands);
    if (redis->answer.refused && kind_of(redis->answer.error) == PEER_SOAK_FULL)
        client_fail(client, PEER_SOAK_FULL, "the server says \"%s\"", redis->answer.error);
    else if (redis->answer.refused)
        request_lose(request, kind_of(redis->answer.error), "the server says \"%s\"",
                     redis->answer.error);
    else
        request_done(request);
}

/* ---- the run ---- */

static int out_of_memory(struct peer_error *error)
{
    return error_set(error, PEER_ERROR_MACHINE, ENOMEM, "out of memory");
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
        return together_make(&run->commands, body, len, config->pipeline) < 0 ? out_of_memory(error)
                                                                              : 0;
    while (len && strchr(" \t\r\n", body[len - 1]))
        len--;
    if (!len || memchr(body, '\n', len) || memchr(body, '\r', len))
        return error_set(error, PEER_ERROR_USAGE, EINVAL,
                         "`body` is one command in a line, or RESP");
    status = make_command(body, len, &made, &made_len);
    if (status == 0)
        status = together_make(&run->commands, made, made_len, config->pipeline);
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
    together_done(&run->commands);
}

static const struct protocol_ops redis_tcp = {.kind = PROTOCOL_ASKS,
                                              .opened = redis_opened,
                                              .ask = redis_ask,
                                              .take = redis_take,
                                              .taken = redis_taken,
                                              .asked = redis_asked,
                                              .writable = redis_writable};

const struct protocol protocol_redis = {
    .name = "redis",
    .scheme = "redis",
    .port = 6379,
    .tls_scheme = "rediss",
    .tls_port = 6379,
    .takes =
        PROTOCOL_TAKES_BODY | PROTOCOL_TAKES_PATH | PROTOCOL_TAKES_LOGIN | PROTOCOL_TAKES_PIPELINE,
    .tcp = &redis_tcp,
    .run_bytes = sizeof(struct redis_run),
    .client_bytes = sizeof(struct redis_client),
    .prepare = redis_prepare,
    .done = redis_done,
};
