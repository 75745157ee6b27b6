/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * UDP ASSOCIATE of SOCKS5: a socket of this host for one client, beside the connection that asked for
 * it and for as long as that lasts. Each target has a flow of its own, all of one peer and, where that
 * is free, one port, so that a server sees its client behind one address whatever else that talks to.
 *
 * Only the client's own address is heard, and one port of it: that which it announced, or else that of
 * its first datagram; others on this machine have the same address. What cannot go on at once is
 * dropped, as a network does; the datagram that made a name be asked for waits for the answer.
 */
#include "proxy.h"
#include "proxy/socks.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { OUTLETS = 256, BATCH = 64, DATAGRAM_MOST = 65536, VECTORS = 64 };

/* A target. */
struct outlet {
    struct loop_flow events; /* first */
    struct association *association;
    struct outlet *next;    /* one that was used earlier */
    struct peer_flow *flow; /* NULL while its name is asked for */
    struct proxy_target target;
    struct names_request request;
    char *held; /* what waits for that */
    size_t held_len;
};

struct association {
    struct loop_fd fd; /* first */
    struct loop_task task;
    struct patron *patron;
    struct proxy *proxy;
    struct peer_addr from; /* whose peer: family 0 is the next in turn, until the first target */
    uint16_t from_port;
    uint16_t port; /* of the client; 0: not known yet */
    struct sockaddr_storage client;
    socklen_t client_len;
    struct outlet *outlets;
    int outlet_count;
};

/* What datagrams are read into: the process has one thread. */
static char scratch[DATAGRAM_MOST];

static void drop(struct association *association)
{
    association->proxy->counts.datagrams_dropped++;
}

/* ---- targets ---- */

static void free_outlet(struct outlet *outlet)
{
    names_forget(outlet->association->proxy->names, &outlet->request);
    peer_flow_free(outlet->flow);
    free(outlet->held);
    free(outlet);
}

static void remove_outlet(struct association *association, struct outlet *outlet)
{
    struct outlet **at = &association->outlets;

    while (*at != outlet)
        at = &(*at)->next;
    *at = outlet->next;
    association->outlet_count--;
    free_outlet(outlet);
}

static void remove_oldest(struct association *association)
{
    struct outlet *oldest = association->outlets;

    while (oldest->next)
        oldest = oldest->next;
    remove_outlet(association, oldest);
}

/* It is the first then. */
static struct outlet *find_outlet(struct association *association,
                                  const struct proxy_target *target)
{
    for (struct outlet **at = &association->outlets; *at; at = &(*at)->next) {
        struct outlet *found = *at;
        if (!proxy_target_equal(&found->target, target))
            continue;
        *at = found->next;
        found->next = association->outlets;
        association->outlets = found;
        return found;
    }
    return NULL;
}

/* ---- from a target to the client ---- */

static void give_datagram(struct outlet *outlet, struct iovec *iov, int count)
{
    struct association *association = outlet->association;
    unsigned char head[SOCKS_DATAGRAM_HEAD];
    struct peer_flow_info info;

    peer_flow_get_info(outlet->flow, &info);
    iov[0] = (struct iovec){head, socks_datagram_head(&info.to, info.to_port, head)};
    const struct msghdr message = {.msg_name = &association->client,
                                   .msg_namelen = association->client_len,
                                   .msg_iov = iov,
                                   .msg_iovlen = (size_t)count + 1};
    if (sendmsg(association->fd.fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        drop(association);
    else
        association->proxy->counts.datagrams_received++;
}

static void on_flow(struct loop_flow *events, const struct peer_event *event)
{
    struct outlet *outlet = (struct outlet *)(void *)events;
    struct iovec iov[1 + VECTORS];
    int count;

    if (event->type == PEER_EVENT_CLOSED) {
        remove_outlet(outlet->association, outlet);
        return;
    }
    while ((count = peer_flow_peek(outlet->flow, iov + 1, VECTORS)) > 0) {
        give_datagram(outlet, iov, count);
        peer_flow_consume(outlet->flow, 0);
    }
}

/* ---- from the client to a target ---- */

static void send_on(struct outlet *outlet, const void *data, size_t len)
{
    if (peer_flow_write(outlet->flow, data, len) < 0)
        drop(outlet->association);
    else
        outlet->association->proxy->counts.datagrams_sent++;
}

static int open_flow(struct outlet *outlet, const struct peer_addr *to)
{
    struct association *association = outlet->association;
    struct peer_connect_config config = {
        .udp = true,
        .from = association->from,
        .from_port = association->from_port,
        .to = *to,
        .to_port = outlet->target.port,
        .user = &outlet->events,
    };
    struct peer_net *net = association->proxy->net;
    struct peer_flow_info info;

    int status = peer_connect(net, &config, &outlet->flow, NULL);
    if (status == -EADDRINUSE && config.from_port) {
        config.from_port = 0;
        status = peer_connect(net, &config, &outlet->flow, NULL);
    }
    if (status < 0)
        return status;
    peer_flow_get_info(outlet->flow, &info);
    association->from = info.from;
    if (!association->from_port)
        association->from_port = info.from_port;
    return 0;
}

/* The first of them that will do. */
static int open_any(struct outlet *outlet, struct peer_addr *addrs, int count)
{
    struct proxy *proxy = outlet->association->proxy;
    char why[HTTP_WHY];

    patron_sort(proxy, addrs, count);
    for (int i = 0; i < count; i++) {
        if (patron_judge(proxy, &addrs[i], why) == PROXY_OPEN)
            return open_flow(outlet, &addrs[i]);
    }
    return -ENETUNREACH;
}

static void on_name(struct names_request *request, const struct names_answer *answer)
{
    struct outlet *outlet =
        (struct outlet *)(void *)((char *)request - offsetof(struct outlet, request));
    struct names_answer own = *answer;

    if (open_any(outlet, own.addrs, own.count) < 0) {
        drop(outlet->association);
        remove_outlet(outlet->association, outlet);
        return;
    }
    send_on(outlet, outlet->held, outlet->held_len);
    free(outlet->held);
    outlet->held = NULL;
}

static int ask_name(struct outlet *outlet, const char *data, size_t len)
{
    struct proxy *proxy = outlet->association->proxy;

    outlet->held = malloc(len ? len : 1);
    if (!outlet->held)
        return -ENOMEM;
    memcpy(outlet->held, data, len);
    outlet->held_len = len;
    outlet->request.answered = on_name;
    return names_ask(proxy->names, &outlet->request, outlet->target.name,
                     proxy->info.first_peer.family);
}

/* With its first datagram. */
static int add_outlet(struct association *association, const struct proxy_target *target,
                      const char *data, size_t len)
{
    struct peer_addr addr = target->addr;

    if (association->outlet_count == OUTLETS)
        remove_oldest(association);
    struct outlet *outlet = calloc(1, sizeof(*outlet));
    if (!outlet)
        return -ENOMEM;
    *outlet = (struct outlet){.events.event = on_flow,
                              .association = association,
                              .next = association->outlets,
                              .target = *target};
    association->outlets = outlet;
    association->outlet_count++;
    const int status = addr.family ? open_any(outlet, &addr, 1) : ask_name(outlet, data, len);
    if (status < 0)
        remove_outlet(association, outlet);
    else if (outlet->flow)
        send_on(outlet, data, len);
    return status;
}

static void take_datagram(struct association *association, const char *data, size_t len)
{
    struct proxy_target target;

    const ssize_t at = socks_datagram_parse(data, len, &target);
    struct outlet *outlet = at < 0 ? NULL : find_outlet(association, &target);
    if (outlet && outlet->flow)
        send_on(outlet, data + at, len - (size_t)at);
    else if (at < 0 || outlet || add_outlet(association, &target, data + at, len - (size_t)at) < 0)
        drop(association);
}

/* ---- the socket ---- */

static bool is_client(struct association *association, const struct sockaddr_storage *from,
                      socklen_t len)
{
    struct place place;

    place_of(from, &place);
    if (!peer_addr_equal(&place.addr, &association->patron->entry.client.addr) ||
        (association->port && place.port != association->port))
        return false;
    association->port = place.port;
    association->client = *from;
    association->client_len = len;
    return true;
}

static void run(struct loop_task *task)
{
    struct association *association =
        (struct association *)(void *)((char *)task - offsetof(struct association, task));
    struct sockaddr_storage from = {0};

    for (int i = 0; i < BATCH; i++) {
        socklen_t from_len = sizeof(from);
        const ssize_t len = recvfrom(association->fd.fd, scratch, sizeof(scratch), MSG_DONTWAIT,
                                     (struct sockaddr *)&from, &from_len);
        if (len < 0 && errno == EAGAIN)
            return;
        if (len >= 0 && is_client(association, &from, from_len))
            take_datagram(association, scratch, (size_t)len);
        else
            drop(association);
    }
    loop_queue(association->proxy->loop, task);
}

static void on_ready(struct loop_fd *fd, uint32_t events)
{
    struct association *association = (struct association *)(void *)fd;

    (void)events;
    loop_queue(association->proxy->loop, &association->task);
}

static void free_association(struct loop_task *task)
{
    free((char *)task - offsetof(struct association, task));
}

void association_end(struct association *association)
{
    struct outlet *outlet;

    loop_remove(association->proxy->loop, &association->fd);
    close(association->fd.fd);
    while ((outlet = association->outlets)) {
        association->outlets = outlet->next;
        free_outlet(outlet);
    }
    loop_bury(association->proxy->loop, &association->task);
}

/* At the address by which the client has reached us, and a port of the kernel's choice. */
static int open_socket(const struct patron *patron, struct place *ret_place)
{
    struct sockaddr_storage at = {0};
    socklen_t len = sizeof(at);

    if (getsockname(patron->entry.join.fd, (struct sockaddr *)&at, &len) < 0)
        return -errno;
    if (at.ss_family == AF_INET6)
        ((struct sockaddr_in6 *)(void *)&at)->sin6_port = 0;
    else
        ((struct sockaddr_in *)(void *)&at)->sin_port = 0;
    const int fd = socket(at.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (bind(fd, (const struct sockaddr *)&at, len) < 0 ||
        getsockname(fd, (struct sockaddr *)&at, &len) < 0) {
        const int code = errno;
        close(fd);
        return -code;
    }
    place_of(&at, ret_place);
    return fd;
}

static int associate(struct patron *patron, struct place *ret_place)
{
    struct proxy *proxy = patron_proxy(patron);
    struct association *association = calloc(1, sizeof(*association));
    int fd = association ? open_socket(patron, ret_place) : -ENOMEM;

    if (fd < 0) {
        free(association);
        return fd;
    }
    *association = (struct association){.fd = {.fd = fd, .ready = on_ready},
                                        .task = {.run = run, .free = free_association},
                                        .patron = patron,
                                        .proxy = proxy,
                                        .port = patron->asking->client.target.port};
    char why[HTTP_WHY];
    (void)patron_choose(patron, &association->from, why);
    const int status = loop_add(proxy->loop, &association->fd, EPOLLIN);
    if (status < 0) {
        close(fd);
        free(association);
        return status;
    }
    patron->association = association;
    proxy->counts.associations++;
    return 0;
}

void patron_associate(struct patron *patron)
{
    struct proxy_client *client = &patron->asking->client;
    struct peer_addr from;
    struct place place;
    char why[HTTP_WHY];

    const enum proxy_result result = patron_choose(patron, &from, why);
    if (result != PROXY_OPEN) {
        patron_refuse(patron, result, why);
        return;
    }
    const int status = associate(patron, &place);
    if (status < 0) {
        patron_refuse(patron, PROXY_FAILED, strerror(-status));
        return;
    }
    proxy_client_answer(client, PROXY_OPEN, &place.addr, place.port, NULL);
    if (door_answer(&patron->entry, client->answer, client->answer_len) < 0)
        door_reset(&patron->entry, DOOR_FAILED);
}
