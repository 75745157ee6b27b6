/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation: a flow's number is a hash of what a packet says of it. A fragment that is not
 * the first says nothing, so that of the first is remembered by the packet's id; an error speaks of the
 * packet that it quotes.
 */
#include "internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

enum { FRAGMENT_SETS = 256 };

struct rewrite_sort {
    struct rewrite_sort_config config;
    struct recall fragments;
};

static bool is_loopback(const uint8_t *addr, uint8_t family)
{
    static const uint8_t six[16] = {[15] = 1};

    return family == 4 ? addr[0] == 127 : memcmp(addr, six, sizeof(six)) == 0;
}

static uint64_t number_of(const struct rewrite_sort *sort, const struct tuple *tuple, uint8_t family)
{
    const size_t len = family == 4 ? 4 : 16;
    const struct peer_addr *localhost = &sort->config.localhost;
    uint8_t key[2 * 16 + 2 + 2 + 1] = {0};

    memcpy(key, tuple->far, len);
    if (localhost->family == family && is_loopback(tuple->far, family))
        memcpy(key, localhost->bytes, len);
    if (!sort->config.by_destination) {
        memcpy(key + 16, tuple->near, len);
        memcpy(key + 32, &tuple->near_port, 2);
        memcpy(key + 34, &tuple->far_port, 2);
        key[36] = tuple->protocol;
    }
    return siphash(sort->config.secret, key, sizeof(key));
}

static int find_later(struct rewrite_sort *sort, uint64_t key, uint64_t now_ns, uint64_t *ret_number)
{
    const struct recall_entry *entry = recall_find(&sort->fragments, key);

    if (!entry || entry->used_ns + REWRITE_FRAGMENT_NS <= now_ns)
        return -ENOENT;
    *ret_number = entry->value;
    return 0;
}

int rewrite_sort_find(struct rewrite_sort *sort, unsigned side, const struct rewrite_packet *packet,
                      uint64_t now_ns, uint64_t *ret_number)
{
    struct tuple tuple;
    struct view view;
    int status = 0;

    if (view_read(packet, &view) < 0)
        return -ENOENT;
    const uint64_t key =
        view.parsed.fragment ? view_fragment_key(&view, side, sort->config.secret) : 0;
    if (view.later)
        return find_later(sort, key, now_ns, ret_number);
    if (view_is_error(&view))
        status = error_tuple(&view, side, &tuple);
    else if (view.parsed.kind == PACKET_TCP || view.parsed.kind == PACKET_UDP ||
             view.parsed.kind == PACKET_ICMP)
        tuple = view_tuple(&view, true, side);
    else
        status = -ENOENT;
    if (status < 0)
        return status;
    *ret_number = number_of(sort, &tuple, view.parsed.ip_version);
    if (view.parsed.fragment)
        recall_put(&sort->fragments, key, *ret_number, now_ns);
    return 0;
}

int rewrite_sort_new(const struct rewrite_sort_config *config, struct rewrite_sort **ret_sort)
{
    struct rewrite_sort *sort = calloc(1, sizeof(*sort));

    if (!sort)
        return -ENOMEM;
    sort->config = *config;
    sort->fragments.sets = FRAGMENT_SETS;
    *ret_sort = sort;
    return 0;
}

struct rewrite_sort *rewrite_sort_free(struct rewrite_sort *sort)
{
    if (!sort)
        return NULL;
    recall_done(&sort->fragments);
    free(sort);
    return NULL;
}
