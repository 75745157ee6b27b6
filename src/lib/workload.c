/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Workloads from outside: hooks of the caller's behind those of a protocol. The built-in ones know
 * nothing of this.
 *
 * A caller may do in any hook what he likes, and err. So requests have numbers here, not addresses;
 * what he leaves of the bytes that came is kept for him, in one piece; and an answer that he calls
 * complete counts when his hook is back, since only then it is known whether bytes follow it. What
 * came is copied once: by the time the hook sees it TCP has it back, so that an acknowledgement
 * rides with what the hook sends.
 */
#include "lib/workload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 16, SIZE_MOST = 64 * 1024, OWN_MOST = 1024 * 1024 };

/* ---- around a hook ---- */

static const struct peer_workload *hooks_of(const struct client *client)
{
    return &workload_of(client)->hooks;
}

static struct peer_client *outside(struct client *client)
{
    return (struct peer_client *)(void *)client;
}

void *workload_own(const struct client *client)
{
    uintptr_t at = (uintptr_t)(workload_client(client) + 1);

    return (void *)((at + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
}

/* What is finished waits until workload_finish_now, when `delays`. */
static struct workload *hook_begins(struct client *client, bool delays, bool *ret_delayed)
{
    struct workload *workload = workload_of(client);

    *ret_delayed = workload->delays;
    workload->delays = delays;
    workload->net->hooks++;
    return workload;
}

static void hook_ends(struct workload *workload, bool delayed)
{
    workload->net->hooks--;
    workload->delays = delayed;
}

void workload_finish_now(struct workload *workload)
{
    struct workload_finish finish = workload->finish;

    workload->finish.client = NULL;
    if (!finish.client || client_is_over(finish.client))
        return;
    struct request *request = client_request_numbered(finish.client, finish.request);
    if (!request)
        return;
    if (finish.how == FINISH_LOSE) {
        request_lose(request, finish.kind, "%s", finish.text);
        return;
    }
    request_first_byte(request);
    if (finish.how == FINISH_STATUS)
        request_answered(request, finish.status, finish.right);
    else
        request_done(request);
}

/* ---- its beginning ---- */

static void opened(struct client *client)
{
    const struct peer_workload *hooks = hooks_of(client);
    bool delayed;

    if (!hooks->opened) {
        client_ready(client, MAX(hooks->at_once, 1u));
        return;
    }
    struct workload *workload = hook_begins(client, false, &delayed);
    workload->begins++;
    hooks->opened(outside(client));
    workload->begins--;
    hook_ends(workload, delayed);
}

/* HOLDS: the message is what was written meanwhile. */
static void ask(struct client *client, struct request *request)
{
    uint64_t sent_bytes = client_counts(client)->bytes_sent;
    bool delayed;

    struct workload *workload = hook_begins(client, false, &delayed);
    workload->begins++;
    workload->asks++;
    workload->hooks.ask(outside(client), request_number(request));
    workload->asks--;
    workload->begins--;
    hook_ends(workload, delayed);
    if (workload->hooks.kind == PEER_WORKLOAD_HOLDS && !client_is_over(client))
        request_set_sent(request, client_counts(client)->bytes_sent - sent_bytes);
}

/* ---- what comes in ---- */

static bool keep(struct workload_client *own, const char *data, size_t len)
{
    if (own->kept_len + len > own->kept_room) {
        size_t room = MAX(2 * own->kept_room, own->kept_len + len);
        char *larger = realloc(own->kept, room);
        if (!larger)
            return false;
        own->kept = larger;
        own->kept_room = room;
    }
    memcpy(own->kept + own->kept_len, data, len);
    own->kept_len += len;
    return true;
}

static enum taken take(struct client *client, struct request *request, const char *data, size_t len,
                       size_t *ret_used)
{
    struct workload_client *own = workload_client(client);

    (void)request;
    *ret_used = len;
    if (!hooks_of(client)->take)
        return TAKEN_MORE;
    if (own->kept_len + len > WORKLOAD_HELD_MOST) {
        client_fail(client, PEER_SOAK_BAD_ANSWER, "the answer goes on and on");
        return TAKEN_WRONG;
    }
    if (!keep(own, data, len)) {
        client_fail(client, PEER_SOAK_CLOSED_EARLY, "out of memory");
        return TAKEN_WRONG;
    }
    return TAKEN_MORE;
}

/* One call of the hook with what is left from `at` on: how much it used. */
static size_t take_some(struct client *client, size_t at)
{
    struct workload_client *own = workload_client(client);
    size_t len = own->kept_len - at;
    bool delayed;

    struct workload *workload = hook_begins(client, true, &delayed);
    size_t used = workload->hooks.take(outside(client), own->kept + at, len);
    hook_ends(workload, delayed);
    bool alone = workload->finish.client == client && client_under_way(client) == 1;
    bool follows = alone && used < len && !workload->ops.unasked && !workload->ops.any_order;
    if (used > len)
        client_fail(client, PEER_SOAK_BAD_ANSWER,
                    "the workload used %zu bytes of %zu: it is wrong, not the answer", used, len);
    else if (follows)
        client_fail(client, PEER_SOAK_BAD_ANSWER, "bytes follow the end of the answer");
    workload_finish_now(workload); /* nothing of this client's when that has failed */
    return client_is_over(client) ? 0 : used;
}

static void taken(struct client *client, struct request *request, enum taken how)
{
    struct workload_client *own = workload_client(client);
    size_t at = 0, used;

    (void)request, (void)how;
    if (!own->kept_len)
        return;
    own->reads = true;
    do {
        used = take_some(client, at);
        at += used;
    } while (used && at < own->kept_len && !client_is_over(client));
    own->reads = false;
    if (client_is_over(client)) {
        free(own->kept);
        own->kept = NULL;
        return;
    }
    own->kept_len -= at;
    memmove(own->kept, own->kept + at, own->kept_len);
}

static void datagram(struct client *client, struct request *request, const void *data, size_t len)
{
    bool delayed;

    (void)request;
    struct workload *workload = hook_begins(client, true, &delayed);
    workload->hooks.datagram(outside(client), data, len);
    hook_ends(workload, delayed);
    workload_finish_now(workload);
}

/* ---- what goes out, and the end ---- */

static void writable(struct client *client, struct request *request)
{
    bool delayed;

    (void)request;
    if (!workload_send_rest(client) || !hooks_of(client)->writable ||
        workload_client(client)->unsent_len)
        return;
    struct workload *workload = hook_begins(client, false, &delayed);
    workload->hooks.writable(outside(client));
    hook_ends(workload, delayed);
}

static void eof(struct client *client, struct request *request)
{
    bool delayed;

    (void)request;
    struct workload *workload = hook_begins(client, false, &delayed);
    bool right = workload->hooks.eof(outside(client));
    hook_ends(workload, delayed);
    if (!right && !client_is_over(client) && client_request(client))
        client_fail(client, PEER_SOAK_CLOSED_EARLY, "closed before the answer was complete");
}

static void let_go(struct client *client)
{
    struct workload *workload = workload_of(client);
    struct workload_client *own = workload_client(client);
    bool delayed;

    if (workload->finish.client == client)
        workload->finish.client = NULL;
    if (workload->hooks.ended) {
        (void)hook_begins(client, workload->delays, &delayed);
        workload->looks++;
        workload->hooks.ended(outside(client));
        workload->looks--;
        hook_ends(workload, delayed);
    }
    free(own->unsent);
    own->unsent = NULL;
    own->unsent_len = 0;
    if (!own->reads) {
        free(own->kept);
        own->kept = NULL;
    }
    own->kept_len = 0;
}

static const char *late(const struct client *client, const struct request *request)
{
    struct client *subject = (struct client *)(uintptr_t)client;
    bool delayed;

    struct workload *workload = hook_begins(subject, false, &delayed);
    workload->looks++;
    const char *text = workload->hooks.late(outside(subject), request_number(request));
    workload->looks--;
    hook_ends(workload, delayed);
    return text;
}

/* ---- as a protocol ---- */

/* The configuration names ours by then. */
static int prepare(void *own, struct peer_soak_config *config, struct peer_error *error)
{
    (void)error;
    *(const void **)own = config->workload;
    return 0;
}

static void make_protocol(struct workload *workload)
{
    static const enum protocol_kind kinds[] = {[PEER_WORKLOAD_ASKS] = PROTOCOL_ASKS,
                                               [PEER_WORKLOAD_STREAMS] = PROTOCOL_STREAMS,
                                               [PEER_WORKLOAD_HOLDS] = PROTOCOL_HOLDS};
    const struct peer_workload *hooks = &workload->hooks;

    (void)snprintf(workload->name, sizeof(workload->name), "%s",
                   hooks->name ? hooks->name : PEER_WORKLOAD_CUSTOM);
    workload->ops = (struct protocol_ops){
        .kind = kinds[hooks->kind],
        .needs_rate = hooks->needs_rate,
        .unasked = hooks->unasked || hooks->kind != PEER_WORKLOAD_ASKS,
        .any_order = hooks->any_order,
        .opened = opened,
        .ask = ask,
        .take = take,
        .taken = taken,
        .datagram = hooks->datagram ? datagram : NULL,
        .writable = writable,
        .eof = hooks->eof ? eof : NULL,
        .let_go = let_go,
        .late = hooks->late ? late : NULL,
    };
    workload->protocol = (struct protocol){
        .name = workload->name,
        .tcp = &workload->ops,
        .udp = hooks->kind == PEER_WORKLOAD_HOLDS ? NULL : &workload->ops,
        .run_bytes = sizeof(struct workload *),
        .client_bytes = sizeof(struct workload_client) + ALIGNMENT + hooks->client_bytes,
        .prepare = prepare,
    };
}

static int refuse(struct peer_error *error, const char *text)
{
    return error_set(error, PEER_ERROR_USAGE, EINVAL, "%s", text);
}

static int check(const struct peer_workload *hooks, const struct peer_soak_config *config,
                 struct peer_error *error)
{
    bool holds = hooks->kind == PEER_WORKLOAD_HOLDS;

    if ((unsigned)hooks->kind > PEER_WORKLOAD_HOLDS)
        return error_set(error, PEER_ERROR_USAGE, EINVAL, "%u is no kind of workload",
                         (unsigned)hooks->kind);
    if (!hooks->ask && (!holds || config->touch))
        return refuse(error, "the workload has no hook \"ask\"");
    if (hooks->kind == PEER_WORKLOAD_ASKS && !hooks->needs_rate &&
        !(config->udp ? hooks->datagram != NULL : hooks->take || hooks->eof))
        return refuse(error, config->udp ? "the workload has no hook \"datagram\": nothing is answered"
                                         : "the workload has no hook \"take\": nothing is answered");
    if (hooks->at_once > UINT16_MAX)
        return refuse(error, "at most 65535 requests can be under way on a connection");
    if (hooks->client_bytes > OWN_MOST)
        return refuse(error, "a client has at most 1 MiB of its own");
    if (hooks->needs_rate && config->rate <= 0)
        return refuse(error, "this workload needs a rate: nothing else would slow it down");
    return 0;
}

int workload_take(struct workload *workload, struct peer_net *net,
                  const struct peer_soak_config *config, struct peer_error *error)
{
    const struct peer_workload *given = config->workload;

    if (!given)
        return refuse(error, "a \"custom\" workload needs hooks, see peer/workload.h");
    if (config->protocol && strcmp(config->protocol, PEER_WORKLOAD_CUSTOM) != 0)
        return error_set(error, PEER_ERROR_USAGE, EINVAL,
                         "\"%s\" is not yours: a workload of your own is PEER_WORKLOAD_CUSTOM",
                         config->protocol);
    if (given->size < sizeof(given->size) || given->size > SIZE_MOST)
        return refuse(error, "the size of the workload is not sizeof(struct peer_workload)");
    int status = border_take(&workload->hooks, sizeof(workload->hooks), given, given->size, error);
    if (status == 0)
        status = check(&workload->hooks, config, error);
    if (status < 0)
        return status;
    workload->net = net;
    workload->rate = config->rate;
    make_protocol(workload);
    return 0;
}
