/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What hooks of a workload may know and do, see workload.c.
 */
#include "lib/workload.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct client *inside(const struct peer_client *client)
{
    return (struct client *)(uintptr_t)client;
}

/* -errno, or 0: is it there? */
static int look(const struct peer_client *client)
{
    if (!client)
        return -EINVAL;
    const struct workload *workload = workload_of(inside(client));
    if (!net_is_ours(workload->net))
        return -ECHILD;
    if (!workload->net->hooks)
        return -EPERM;
    return client_is_over(inside(client)) ? -ESHUTDOWN : 0;
}

/* And may something be done with it now? */
static int enter(const struct peer_client *client)
{
    int status = look(client);

    return status == 0 && workload_of(inside(client))->looks ? -EPERM : status;
}

/* ---- to know ---- */

void *peer_client_own(const struct peer_client *client)
{
    return client ? workload_own(inside(client)) : NULL;
}

void *peer_client_user(const struct peer_client *client)
{
    return client ? workload_of(inside(client))->hooks.user : NULL;
}

uint64_t peer_client_number(const struct peer_client *client)
{
    return client ? client_number(inside(client)) : 0;
}

uint64_t peer_client_now_ns(const struct peer_client *client)
{
    return client ? client_now(inside(client)) : 0;
}

bool peer_client_is_over(const struct peer_client *client)
{
    return !client || client_is_over(inside(client));
}

/* One that is finished when its hook has returned is under way no more. */
static bool is_finished(const struct client *client, uint32_t request)
{
    const struct workload_finish *finish = &workload_of(client)->finish;

    return finish->client == client && finish->request == request;
}

uint32_t peer_client_request(const struct peer_client *client)
{
    if (look(client) < 0)
        return 0;
    const struct request *request = client_request(inside(client));
    if (request && is_finished(inside(client), request_number(request)))
        request = client_request_after(inside(client), request);
    return request ? request_number(request) : 0;
}

uint32_t peer_client_under_way(const struct peer_client *client)
{
    if (look(client) < 0)
        return 0;
    return client_under_way(inside(client)) -
           (workload_of(inside(client))->finish.client == inside(client));
}

int peer_client_get_info_sized(const struct peer_client *client, struct peer_flow_info *ret_info,
                               size_t size)
{
    int status = look(client);
    struct peer_flow_info info;

    if (status < 0)
        return status;
    flow_info(client_flow(inside(client)), &info);
    border_give(ret_info, size, &info, sizeof(info));
    return 0;
}

/* ---- its time, and what it sends ---- */

int peer_client_ready(struct peer_client *client, unsigned at_once)
{
    int status = enter(client);

    if (status < 0)
        return status;
    if (!at_once || at_once > UINT16_MAX)
        return -EINVAL;
    if (workload_of(inside(client))->asks) /* it would lead to `ask`, and so on */
        return -EBUSY;
    client_ready(inside(client), at_once);
    return 0;
}

int peer_client_end_after(struct peer_client *client)
{
    int status = enter(client);

    if (status == 0)
        client_end_after(inside(client), false);
    return status;
}

/* `done` as client_write returns. */
static int cannot_send(struct client *client, ssize_t done)
{
    if (client_flow(client)->state != FLOW_ENDED) /* which is told */
        client_fail(client, PEER_SOAK_CLOSED_EARLY, "closed before the request was sent");
    return (int)done;
}

bool workload_send_rest(struct client *client)
{
    struct workload_client *own = workload_client(client);

    if (!own->unsent_len)
        return true;
    ssize_t done = client_write(client, own->unsent + own->unsent_at, own->unsent_len, 0);
    if (done < 0 && done != -EAGAIN) {
        (void)cannot_send(client, done);
        return !client_is_over(client);
    }
    size_t sent = done > 0 ? (size_t)done : 0;
    own->unsent_at += sent;
    own->unsent_len -= sent;
    return true;
}

/* Behind what is left already. */
static int leave_unsent(struct workload_client *own, const char *data, size_t len)
{
    char *all = malloc(own->unsent_len + len);

    if (!all)
        return -ENOMEM;
    if (own->unsent_len)
        memcpy(all, own->unsent + own->unsent_at, own->unsent_len);
    memcpy(all + own->unsent_len, data, len);
    free(own->unsent);
    own->unsent = all;
    own->unsent_at = 0;
    own->unsent_len += len;
    return 0;
}

static int send_bytes(struct client *client, const char *data, size_t len)
{
    struct workload_client *own = workload_client(client);
    size_t room = own->unsent_len ? 0 : flow_write_room(client_flow(client));
    ssize_t done = 0;

    bool follows = client_under_way(client) > 0;
    if (len > room && (!follows || own->unsent_len + (len - room) > WORKLOAD_HELD_MOST))
        return -ENOBUFS;
    if (!own->unsent_len)
        done = client_write(client, data, len, 0);
    if (done < 0 && done != -EAGAIN)
        return cannot_send(client, done);
    size_t sent = done > 0 ? (size_t)done : 0;
    return sent < len ? leave_unsent(own, data + sent, len - sent) : 0;
}

int peer_client_send(struct peer_client *client, const void *data, size_t len)
{
    int status = enter(client);
    struct client *at = inside(client);

    if (status < 0)
        return status;
    if (!data && len)
        return -EINVAL;
    if (!flow_is_udp(client_flow(at)))
        return len ? send_bytes(at, data, len) : 0;
    ssize_t done = client_write(at, data ? data : "", len, 0);
    return done < 0 ? (int)done : 0;
}

size_t peer_client_room(const struct peer_client *client)
{
    if (look(client) < 0 || workload_client(inside(client))->unsent_len)
        return 0;
    return flow_write_room(client_flow(inside(client)));
}

/* ---- ends of requests ---- */

/* May it be finished? A request that is over as soon as it is asked makes room for another at once,
   which never ends unless a rate says when. */
static int may_finish(const struct peer_client *client, uint32_t request)
{
    int status = enter(client);

    if (status < 0)
        return status;
    if (!request || !client_request_numbered(inside(client), request) ||
        is_finished(inside(client), request))
        return -ENOENT;
    const struct workload *workload = workload_of(inside(client));
    return workload->asks && workload->rate <= 0 ? -EBUSY : 0;
}

/* One waits at a time: the one before it was not the last. */
static int finish(struct client *client, struct workload_finish what)
{
    struct workload *workload = workload_of(client);

    workload_finish_now(workload);
    what.client = client;
    workload->finish = what;
    if (!workload->delays)
        workload_finish_now(workload);
    return 0;
}

int peer_client_done(struct peer_client *client, uint32_t request)
{
    int status = may_finish(client, request);

    if (status < 0)
        return status;
    return finish(inside(client), (struct workload_finish){.request = request});
}

int peer_client_done_status(struct peer_client *client, uint32_t request, unsigned status,
                            bool right)
{
    int refused = may_finish(client, request);

    if (refused < 0)
        return refused;
    return finish(inside(client), (struct workload_finish){.request = request,
                                                           .how = FINISH_STATUS,
                                                           .status = status,
                                                           .right = right});
}

/* 0: the kind and the words are some. */
__attribute__((format(printf, 2, 0))) static int
read_words(enum peer_soak_error kind, const char *format, va_list arguments, char *text)
{
    if ((unsigned)kind >= PEER_SOAK_ERROR_KINDS || !format)
        return -EINVAL;
    vsnprintf(text, WORKLOAD_TEXT, format, arguments);
    return 0;
}

int peer_client_lose(struct peer_client *client, uint32_t request, enum peer_soak_error kind,
                     const char *format, ...)
{
    struct workload_finish what = {.request = request, .how = FINISH_LOSE, .kind = kind};
    int status = may_finish(client, request);
    va_list arguments;

    va_start(arguments, format);
    if (status == 0)
        status = read_words(kind, format, arguments, what.text);
    va_end(arguments);
    return status < 0 ? status : finish(inside(client), what);
}

int peer_client_first_byte(struct peer_client *client, uint32_t request)
{
    int status = enter(client);

    if (status < 0)
        return status;
    struct request *found = client_request_numbered(inside(client), request);
    if (!request || !found)
        return -ENOENT;
    request_first_byte(found);
    return 0;
}

/* ---- errors ---- */

int peer_client_fail(struct peer_client *client, enum peer_soak_error kind, const char *format, ...)
{
    int status = enter(client);
    char text[WORKLOAD_TEXT];
    va_list arguments;

    va_start(arguments, format);
    if (status == 0)
        status = read_words(kind, format, arguments, text);
    va_end(arguments);
    if (status < 0)
        return status;
    if (workload_of(inside(client))->begins) /* over UDP the next would fail within this call */
        client_back_off(inside(client));
    client_fail(inside(client), kind, "%s", text);
    return 0;
}

int peer_client_error(struct peer_client *client, enum peer_soak_error kind, const char *format,
                      ...)
{
    int status = enter(client);
    char text[WORKLOAD_TEXT];
    va_list arguments;

    va_start(arguments, format);
    if (status == 0)
        status = read_words(kind, format, arguments, text);
    va_end(arguments);
    if (status == 0)
        client_error(inside(client), kind, "%s", text);
    return status;
}
