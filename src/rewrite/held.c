/* SPDX-License-Identifier: BSD-3-Clause */
#include "rewrite/held.h"

#include <stdlib.h>
#include <string.h>

void held_init(struct held *held)
{
    *held = (struct held){0};
    list_init(&held->packets);
}

static struct held_packet *unlink_one(struct held *held, struct list *node)
{
    struct held_packet *packet = list_entry(node, struct held_packet, node);

    list_remove(node);
    held->count--;
    held->bytes -= packet->len;
    return packet;
}

void held_done(struct held *held)
{
    while (!list_empty(&held->packets))
        free(unlink_one(held, held->packets.next));
}

void held_add(struct held *held, uint64_t key, const uint8_t *data, size_t len, uint64_t now_ns)
{
    struct held_packet *packet = malloc(sizeof(*packet) + len);

    if (!packet)
        return;
    packet->key = key;
    packet->came_ns = now_ns;
    packet->len = len;
    memcpy(packet->data, data, len);
    list_add_tail(&held->packets, &packet->node);
    held->count++;
    held->bytes += len;
    while (held->count > HELD_MOST || held->bytes > HELD_BYTES)
        free(unlink_one(held, held->packets.next));
}

struct held_packet *held_take(struct held *held, uint64_t key, uint64_t now_ns, uint64_t age_ns)
{
    struct list *node, *after;

    list_each_safe(node, after, &held->packets)
    {
        struct held_packet *packet = list_entry(node, struct held_packet, node);
        if (packet->came_ns + age_ns <= now_ns)
            free(unlink_one(held, node));
        else if (packet->key == key)
            return unlink_one(held, node);
    }
    return NULL;
}
