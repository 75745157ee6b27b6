/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Queries by UDP. Each has a socket of its own while it waits: the kernel draws a random source port
 * for it, takes answers from that nameserver alone, and tells when it refuses. So nothing of a
 * message has to be read, but for the refusal, which is the query itself with two fields changed
 * (RFC 1035, 4.1.1): QR is set, RCODE is SERVFAIL.
 */
#include "exec/resolver_serve.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    MESSAGE_BYTES = 65535,
    KEPT_BYTES = 512, /* of a query, to refuse it by */
    HEADER_BYTES = 12,
    ROUND_MAX = 32, /* queries of a door before others have a turn */
    QR = 0x80,
    RCODE = 0x0f,
    SERVFAIL = 2,
};

struct query {
    int fd; /* -1: none */
    int door;
    uint64_t number;
    int ticks;
    struct sockaddr_storage client;
    socklen_t client_len;
    size_t len;
    uint8_t bytes[KEPT_BYTES];
};

struct queries {
    uint64_t number;
    int count;
    struct query all[QUERIES_MAX];
    uint8_t message[MESSAGE_BYTES];
};

struct queries *queries_new(void)
{
    struct queries *queries = calloc(1, sizeof(*queries));

    for (int i = 0; queries && i < QUERIES_MAX; i++)
        queries->all[i].fd = -1;
    return queries;
}

bool queries_wait(const struct queries *queries)
{
    return queries->count > 0;
}

static void drop(struct queries *queries, struct query *query)
{
    (void)close(query->fd);
    query->fd = -1;
    queries->count--;
}

/* A longer one stays without an answer. */
static void refuse(struct query *query)
{
    if (query->len < HEADER_BYTES || query->len > KEPT_BYTES)
        return;
    query->bytes[2] |= QR;
    query->bytes[3] = (uint8_t)((query->bytes[3] & ~RCODE) | SERVFAIL);
    (void)sendto(query->door, query->bytes, query->len, MSG_NOSIGNAL,
                 (struct sockaddr *)&query->client, query->client_len);
}

/* A free place; where there is none, the one that waited longest is made free. */
static struct query *find_place(struct queries *queries)
{
    struct query *oldest = &queries->all[0];

    for (int i = 0; i < QUERIES_MAX; i++) {
        struct query *query = &queries->all[i];
        if (query->fd < 0)
            return query;
        if (query->number < oldest->number)
            oldest = query;
    }
    drop(queries, oldest);
    return oldest;
}

static void ask(struct queries *queries, const struct resolver_door *door, struct query *query,
                size_t len)
{
    const int fd = resolver_call(&door->nameserver, SOCK_DGRAM);

    if (fd < 0 || send(fd, queries->message, len, MSG_NOSIGNAL) < 0) {
        if (fd >= 0)
            (void)close(fd);
        refuse(query);
        return;
    }
    query->fd = fd;
    query->number = ++queries->number;
    query->ticks = QUERY_TICKS;
    queries->count++;
}

void queries_take(struct queries *queries, const struct resolver_door *door)
{
    for (int i = 0; i < ROUND_MAX; i++) {
        struct sockaddr_storage client;
        socklen_t client_len = sizeof(client);
        const ssize_t len = recvfrom(door->udp, queries->message, MESSAGE_BYTES, 0,
                                     (struct sockaddr *)&client, &client_len);
        if (len < 0)
            return;
        struct query *query = find_place(queries);
        query->door = door->udp;
        query->client = client;
        query->client_len = client_len;
        query->len = (size_t)len;
        memcpy(query->bytes, queries->message, query->len < KEPT_BYTES ? query->len : KEPT_BYTES);
        ask(queries, door, query, (size_t)len);
    }
}

void queries_poll(const struct queries *queries, struct pollfd *polls)
{
    for (int i = 0; i < QUERIES_MAX; i++)
        polls[i] = (struct pollfd){.fd = queries->all[i].fd, .events = POLLIN};
}

void queries_run(struct queries *queries, const struct pollfd *polls)
{
    for (int i = 0; i < QUERIES_MAX; i++) {
        struct query *query = &queries->all[i];
        if (query->fd < 0 || query->fd != polls[i].fd || !polls[i].revents)
            continue;
        const ssize_t len = recv(query->fd, queries->message, MESSAGE_BYTES, 0);
        if (len < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        if (len < 0)
            refuse(query);
        else
            (void)sendto(query->door, queries->message, (size_t)len, MSG_NOSIGNAL,
                         (struct sockaddr *)&query->client, query->client_len);
        drop(queries, query);
    }
}

void queries_tick(struct queries *queries)
{
    for (int i = 0; i < QUERIES_MAX; i++) {
        struct query *query = &queries->all[i];
        if (query->fd >= 0 && --query->ticks <= 0)
            drop(queries, query);
    }
}
