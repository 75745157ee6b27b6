/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Queries to PostgreSQL by the simple protocol (Query, version 3.0), behind a login (pg_login.c). A
 * query may have several statements, and its answer several results: it ends with ReadyForQuery.
 * Rows are counted as bytes and not looked at. An ErrorResponse makes the answer one of an error; the
 * connection goes on, unless the server closes it.
 */
#include "protocol/pg_login.h"
#include "protocol/table.h"
#include "protocol/together.h"

#include "base/error.h"
#include "base/macro.h"
#include "http/percent.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct pg_client {
    struct pg_login login;
    struct pg_reader reader;
    struct pg_error error; /* of this answer; no code: none */
    struct together_asked asked;
    bool asks_tls; /* one letter is awaited */
};

struct pg_run {
    struct together queries;
    struct pg_identity identity;
};

/* ---- the login ---- */

/* What a login says is short, and nothing else is on the way. */
static void send_login(struct client *client, const struct pg_out *out)
{
    if (out->len && client_write(client, out->bytes, out->len, 0) != (ssize_t)out->len)
        client_fail(client, PEER_SOAK_CLOSED_EARLY, "the login could not be sent");
}

static void pg_opened(struct client *client)
{
    char bytes[PG_LOGIN_ROOM];
    struct pg_out out = {.bytes = bytes, .room = sizeof(bytes)};
    struct pg_client *pg = client_own(client);
    const struct pg_run *run = client_run(client);

    pg->asks_tls = client_wants_tls(client) && !client_has_tls(client);
    if (pg->asks_tls)
        pg_ask_tls(&out);
    else
        pg_login_begin(&pg->login, &run->identity, &out);
    send_login(client, &out);
}

/* The server's letter: nothing may follow it, since TLS begins there. */
static enum taken read_letter(struct client *client, const char *data, size_t len, size_t *ret_used)
{
    *ret_used = 1;
    if (*data == 'N')
        client_fail(client, PEER_SOAK_LOGIN, "the server does not speak TLS");
    else if (*data != 'S' || len > 1)
        client_fail(client, PEER_SOAK_BAD_ANSWER,
                    "the answer to SSLRequest is not one letter, S or N");
    else
        return TAKEN_ANSWER;
    return TAKEN_WRONG;
}

static void begin_tls(struct client *client)
{
    if (client_begin_tls(client) < 0)
        client_fail(client, PEER_SOAK_CLOSED_EARLY, "out of memory");
}

static void take_login(struct client *client)
{
    char bytes[PG_LOGIN_ROOM], why[PG_LOGIN_WHY];
    struct pg_out out = {.bytes = bytes, .room = sizeof(bytes)};
    struct pg_client *pg = client_own(client);
    struct pg_run *run = client_run(client);
    char code[6];

    pg_login_code(&pg->reader, code);
    if (code[0])
        client_count_named(client, code);
    switch (pg_login_take(&pg->login, &run->identity, &pg->reader, client_key(client), &out, why)) {
    case PG_LOGIN_GO_ON:
        send_login(client, &out);
        break;
    case PG_LOGIN_DONE:
        client_logged_in(client);
        client_ready(client, (uint32_t)client_config(client)->pipeline);
        break;
    case PG_LOGIN_REFUSED:
        client_fail(client, PEER_SOAK_LOGIN, "%s", why);
        break;
    case PG_LOGIN_FULL:
        client_fail(client, PEER_SOAK_FULL, "%s", why);
        break;
    case PG_LOGIN_NONSENSE:
        client_fail(client, PEER_SOAK_BAD_ANSWER, "that is no login to PostgreSQL: %s", why);
        break;
    }
    explicit_bzero(bytes, sizeof(bytes));
}

/* ---- queries ---- */

static void pg_ask(struct client *client, struct request *request)
{
    const struct pg_run *run = client_run(client);

    (void)request;
    together_ask(&((struct pg_client *)client_own(client))->asked, &run->queries);
}

static void pg_asked(struct client *client)
{
    const struct pg_run *run = client_run(client);

    together_write(client, &run->queries, &((struct pg_client *)client_own(client))->asked);
}

static void pg_writable(struct client *client, struct request *request)
{
    (void)request;
    pg_asked(client);
}

/* ---- answers ---- */

static enum taken fail_message(struct client *client, const char *what)
{
    const struct pg_reader *reader = &((struct pg_client *)client_own(client))->reader;

    client_fail(client, PEER_SOAK_BAD_ANSWER,
                "the answer is none of PostgreSQL's protocol: a message of type 0x%02x %s",
                (unsigned)reader->head[0], what);
    return TAKEN_WRONG;
}

static enum taken fail_length(struct client *client)
{
    char what[48];

    snprintf(what, sizeof(what), "and length %d",
             (int)pg_length(&((struct pg_client *)client_own(client))->reader));
    return fail_message(client, what);
}

/* A message of an answer is complete, or one that comes at any time. */
static enum taken take_message(struct client *client, bool asked)
{
    struct pg_client *pg = client_own(client);

    switch (pg->reader.type) {
    case 'N': /* NoticeResponse, ParameterStatus, NotificationResponse */
    case 'S':
    case 'A':
        return TAKEN_MORE;
    case 'E':
        if (!pg->error.code[0] || !asked)
            pg_error_read(pg->reader.text, pg->reader.len, &pg->error);
        if (!pg->error.code[0])
            return fail_message(client, "without a code");
        client_count_named(client, pg->error.code);
        return TAKEN_MORE;
    case 'T': /* RowDescription, DataRow, CommandComplete, EmptyQueryResponse */
    case 'D':
    case 'C':
    case 'I':
        return asked ? TAKEN_MORE : fail_message(client, "that nobody asked for");
    case 'Z':
        if (pg->reader.len != 1)
            return fail_message(client, "without a state");
        return asked ? TAKEN_ANSWER : fail_message(client, "that nobody asked for");
    case 'G':
    case 'H':
    case 'W':
        client_fail(client, PEER_SOAK_BAD_ANSWER,
                    "the query begins a COPY, which peer does not speak");
        return TAKEN_WRONG;
    default:
        return fail_message(client, "in the answer to a query");
    }
}

static enum taken pg_take(struct client *client, struct request *request, const char *data,
                          size_t len, size_t *ret_used)
{
    struct pg_client *pg = client_own(client);
    enum taken taken = TAKEN_MORE;
    size_t at = 0, used;

    (void)request;
    if (pg->asks_tls)
        return read_letter(client, data, len, ret_used);
    while (at < len && taken == TAKEN_MORE) {
        enum pg_read found = pg_read(&pg->reader, data + at, len - at, &used);
        at += used;
        if (found == PG_WRONG)
            return fail_length(client);
        if (found == PG_MESSAGE)
            taken = pg->login.state == PG_LOGIN_READY
                        ? take_message(client, together_awaits(&pg->asked))
                        : TAKEN_ANSWER;
    }
    *ret_used = at;
    return taken;
}

static void pg_taken(struct client *client, struct request *request, enum taken taken)
{
    struct pg_client *pg = client_own(client);
    char why[PG_LOGIN_WHY];

    if (taken != TAKEN_ANSWER)
        return;
    if (pg->asks_tls) {
        begin_tls(client);
        return;
    }
    if (pg->login.state != PG_LOGIN_READY) {
        take_login(client);
        return;
    }
    together_answered(&pg->asked, &((struct pg_run *)client_run(client))->queries);
    if (pg->error.code[0]) {
        pg_error_words(&pg->error, why);
        pg->error.code[0] = 0;
        request_lose(request, PEER_SOAK_BAD_ANSWER, "%s", why);
    } else {
        request_done(request);
    }
}

/* ---- the end ---- */

/* The server closed, mostly since it had said why. */
static bool fail_by_error(struct client *client)
{
    const struct pg_client *pg = client_own(client);
    char why[PG_LOGIN_WHY];

    if (!pg->error.code[0])
        return false;
    pg_error_words(&pg->error, why);
    client_fail(client, PEER_SOAK_BAD_ANSWER, "%s, and closed", why);
    return true;
}

static void pg_eof(struct client *client, struct request *request)
{
    (void)request;
    if (!fail_by_error(client))
        client_fail(client, PEER_SOAK_CLOSED_EARLY, "closed before the answer was complete");
}

static bool pg_reset(struct client *client, struct request *request)
{
    (void)request;
    return fail_by_error(client);
}

/* Terminate: a server that hears it does not count the session as abandoned. It is there too when a
   login that is under way is done. */
static void pg_closing(struct client *client)
{
    static const char terminate[] = {'X', 0, 0, 0, 4};

    if (!((const struct pg_client *)client_own(client))->asks_tls &&
        pg_login_may_leave(&((const struct pg_client *)client_own(client))->login,
                           &((const struct pg_run *)client_run(client))->identity))
        (void)client_write(client, terminate, sizeof(terminate), FLOW_WRITE_STABLE);
}

static void pg_let_go(struct client *client)
{
    pg_login_done(&((struct pg_client *)client_own(client))->login);
}

/* ---- the run ---- */

static int out_of_memory(struct peer_error *error)
{
    return error_set(error, PEER_ERROR_MACHINE, ENOMEM, "out of memory");
}

static int prepare_query(struct pg_run *run, const struct peer_soak_config *config,
                         struct peer_error *error)
{
    const char *query = config->body ? config->body : "SELECT 1";
    size_t len = config->body ? config->body_len : strlen(query);
    struct pg_out out = {.room = len + 6};

    if (memchr(query, 0, len) || len > PG_LONGEST - 6)
        return error_set(error, PEER_ERROR_USAGE, EINVAL,
                         "`body` is a query, a text of less than 1 GB");
    out.bytes = malloc(out.room);
    if (!out.bytes)
        return out_of_memory(error);
    pg_begin(&out, 'Q');
    pg_put(&out, query, len);
    pg_put(&out, "", 1);
    pg_end(&out);
    int status = together_make(&run->queries, out.bytes, out.len, config->pipeline);
    free(out.bytes);
    return status < 0 ? out_of_memory(error) : 0;
}

/* "/NAME", which may have %XX; none is the user's. */
static int prepare_database(struct pg_run *run, const struct peer_soak_config *config,
                            struct peer_error *error)
{
    const char *path = config->path ? config->path + (*config->path == '/') : "";

    if (strchr(path, '?'))
        return error_set(error, PEER_ERROR_USAGE, EINVAL,
                         "a database of PostgreSQL has no parameters: \"%.64s\"",
                         strchr(path, '?'));
    run->identity.database = strdup(*path ? path : run->identity.user);
    if (!run->identity.database)
        return out_of_memory(error);
    if (*path && http_percent_decode(run->identity.database) < 0)
        return error_set(error, PEER_ERROR_USAGE, EINVAL,
                         "\"%.64s\" has a %% without two hexadecimal digits", path);
    return 0;
}

static int prepare_identity(struct pg_run *run, const struct peer_soak_config *config,
                            struct peer_error *error)
{
    struct pg_identity *identity = &run->identity;

    identity->user = strdup(config->user ? config->user : "postgres");
    if (config->password)
        identity->password = strdup(config->password);
    if (!identity->user || (config->password && !identity->password))
        return out_of_memory(error);
    int status = prepare_database(run, config, error);
    if (status < 0)
        return status;
    if (strlen(identity->user) > PG_NAME_MOST || strlen(identity->database) > PG_NAME_MOST)
        return error_set(error, PEER_ERROR_USAGE, EINVAL,
                         "names of PostgreSQL have at most %d bytes here", PG_NAME_MOST);
    if (identity->password && strlen(identity->password) > PG_PASSWORD_MOST)
        return error_set(error, PEER_ERROR_USAGE, EINVAL, "a password has at most %d bytes here",
                         PG_PASSWORD_MOST);
    return 0;
}

static int pg_prepare(void *own, struct peer_soak_config *config, struct peer_error *error)
{
    int status = prepare_query(own, config, error);

    if (status == 0)
        status = prepare_identity(own, config, error);
    config->body = NULL;
    config->path = config->user = config->password = NULL;
    return status;
}

static void pg_done(void *own)
{
    struct pg_run *run = own;
    struct pg_identity *identity = &run->identity;

    if (identity->password)
        explicit_bzero(identity->password, strlen(identity->password));
    explicit_bzero(&identity->cache, sizeof(identity->cache));
    free(identity->user);
    free(identity->password);
    free(identity->database);
    together_done(&run->queries);
}

static const struct protocol_ops pg_tcp = {.kind = PROTOCOL_ASKS,
                                           .unasked = true,
                                           .opened = pg_opened,
                                           .ask = pg_ask,
                                           .asked = pg_asked,
                                           .take = pg_take,
                                           .taken = pg_taken,
                                           .writable = pg_writable,
                                           .eof = pg_eof,
                                           .reset = pg_reset,
                                           .closing = pg_closing,
                                           .let_go = pg_let_go};

const struct protocol protocol_pg = {
    .name = "pg",
    .scheme = "pg",
    .port = 5432,
    .tls_scheme = "pgs",
    .tls_port = 5432,
    .tls_later = true,
    .alpn = "postgresql",
    .takes =
        PROTOCOL_TAKES_BODY | PROTOCOL_TAKES_PATH | PROTOCOL_TAKES_LOGIN | PROTOCOL_TAKES_PIPELINE,
    .answers = {"sqlstates", NULL},
    .tcp = &pg_tcp,
    .run_bytes = sizeof(struct pg_run),
    .client_bytes = sizeof(struct pg_client),
    .prepare = pg_prepare,
    .done = pg_done,
};
