/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Wires are found by the peer's index in a hash table that grows with the peers that are used.
 */
#include "engine/wires.h"

#include "base/list.h"
#include "base/rng.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The two links of a peer. */
struct wires_pair {
    struct wires_pair *next; /* of its bucket */
    uint64_t peer;
    struct link links[2]; /* by enum link_direction */
    bool unplugged;
};

struct wires {
    const struct wires_ops *ops;
    void *user;
    uint64_t seed;
    uint64_t key[2]; /* of the table */
    bool comments;
    struct link_host hosts[2];
    struct link_spec specs[2];
    struct link_counters counters[2];
    struct wires_pair **table;
    uint64_t count, size; /* size: a power of two */
    struct wires_end {    /* which direction a host is */
        struct wires *wires;
        enum link_direction direction;
    } ends[2];
};

enum { TABLE_FIRST = 64 };

static void on_deliver(void *user, struct link *link, struct frame *frame,
                       const struct link_fate *fate, uint64_t now_ns)
{
    const struct wires_end *end = user;
    char text[LINK_FATE_TEXT];
    const char *comment = NULL;

    (void)now_ns;
    if (end->wires->comments && *link_fate_format(fate, link->spec, text))
        comment = text;
    end->wires->ops->arrive(end->wires->user, end->direction, frame, comment);
}

static void on_note(void *user, struct link *link, const struct frame *frame,
                    const struct link_fate *fate)
{
    const struct wires_end *end = user;
    char text[LINK_FATE_TEXT];

    if (end->wires->comments && fate->outcome != LINK_PASSED)
        end->wires->ops->lost(end->wires->user, end->direction, frame,
                              link_fate_format(fate, link->spec, text));
}

int wires_new(const struct wires_config *config, struct wires **ret_wires)
{
    struct wires *wires = calloc(1, sizeof(*wires));
    struct rng rng;

    if (!wires)
        return -ENOMEM;
    wires->ops = config->ops;
    wires->user = config->user;
    wires->seed = config->seed;
    rng_derive(&rng, config->seed, RNG_WIRES);
    wires->key[0] = rng_next(&rng);
    wires->key[1] = rng_next(&rng);
    wires->comments = config->comments;
    for (int i = 0; i < 2; i++) {
        wires->specs[i] = config->specs[i];
        wires->ends[i] = (struct wires_end){.wires = wires, .direction = (enum link_direction)i};
        wires->hosts[i] = (struct link_host){.timers = config->timers,
                                             .layer = config->layer,
                                             .user = &wires->ends[i],
                                             .deliver = on_deliver,
                                             .note = on_note};
    }
    *ret_wires = wires;
    return 0;
}

static void wire_free(struct wires_pair *wire)
{
    link_done(&wire->links[LINK_UPLINK]);
    link_done(&wire->links[LINK_DOWNLINK]);
    free(wire);
}

struct wires *wires_free(struct wires *wires)
{
    if (!wires)
        return NULL;
    for (uint64_t i = 0; i < wires->size; i++) {
        struct wires_pair *next;
        for (struct wires_pair *wire = wires->table[i]; wire; wire = next) {
            next = wire->next;
            wire_free(wire);
        }
    }
    free(wires->table);
    free(wires);
    return NULL;
}

/* Keyed: whoever calls peers may choose those that would lie in one bucket. */
static struct wires_pair **bucket(const struct wires *wires, uint64_t peer)
{
    return &wires->table[siphash(wires->key, &peer, sizeof(peer)) & (wires->size - 1)];
}

static int grow(struct wires *wires)
{
    uint64_t size = wires->size ? 2 * wires->size : TABLE_FIRST, before = wires->size;
    struct wires_pair **old = wires->table, **table = calloc(size, sizeof(struct wires_pair *));
    if (!table)
        return -ENOMEM;
    wires->table = table;
    wires->size = size;
    for (uint64_t i = 0; i < before; i++) {
        struct wires_pair *next;
        for (struct wires_pair *wire = old[i]; wire; wire = next) {
            struct wires_pair **link = bucket(wires, wire->peer);
            next = wire->next;
            wire->next = *link;
            *link = wire;
        }
    }
    free(old);
    return 0;
}

static struct wires_pair *find(const struct wires *wires, uint64_t peer)
{
    struct wires_pair *wire = wires->size ? *bucket(wires, peer) : NULL;

    while (wire && wire->peer != peer)
        wire = wire->next;
    return wire;
}

static struct wires_pair *find_or_make(struct wires *wires, uint64_t peer)
{
    struct wires_pair *wire = find(wires, peer);
    if (wire)
        return wire;
    if (wires->count == wires->size && grow(wires) < 0)
        return NULL;
    wire = calloc(1, sizeof(*wire));
    if (!wire)
        return NULL;
    wire->peer = peer;
    for (int i = 0; i < 2; i++)
        link_init(&wire->links[i], &(struct link_config){.host = &wires->hosts[i],
                                                         .spec = &wires->specs[i],
                                                         .counters = &wires->counters[i],
                                                         .seed = wires->seed,
                                                         .peer_index = peer,
                                                         .direction = (enum link_direction)i});
    struct wires_pair **link = bucket(wires, peer);
    wire->next = *link;
    *link = wire;
    wires->count++;
    return wire;
}

void wires_send(struct wires *wires, uint64_t peer, enum link_direction direction,
                struct frame *frame, uint64_t now_ns)
{
    struct wires_pair *wire = find_or_make(wires, peer);

    if (wire && !wire->unplugged) {
        link_send(&wire->links[direction], frame, now_ns);
        return;
    }
    wires->counters[direction].sent++;
    wires->counters[direction].sent_bytes += frame->len;
    if (!wire)
        wires->counters[direction].no_memory++;
    else
        wires->counters[direction].discarded++;
    if (wires->comments)
        wires->ops->lost(wires->user, direction, frame, "dropped: the cable is pulled");
    frame_put(frame);
}

void wires_set_comments(struct wires *wires, bool comments)
{
    wires->comments = comments;
}

void wires_set_spec(struct wires *wires, enum link_direction direction,
                    const struct link_spec *spec)
{
    wires->specs[direction] = *spec; /* which all links share */
}

int wires_unplug(struct wires *wires, uint64_t peer, bool unplugged)
{
    struct wires_pair *wire = find_or_make(wires, peer);
    if (!wire)
        return -ENOMEM;
    wire->unplugged = unplugged;
    if (unplugged) {
        link_flush(&wire->links[LINK_UPLINK]);
        link_flush(&wire->links[LINK_DOWNLINK]);
    }
    return 0;
}

bool wires_are_idle(const struct wires *wires)
{
    return !wires->counters[LINK_UPLINK].queued && !wires->counters[LINK_DOWNLINK].queued;
}

void wires_flush(struct wires *wires, uint64_t peer)
{
    struct wires_pair *wire = find(wires, peer);

    if (!wire)
        return;
    link_flush(&wire->links[LINK_UPLINK]);
    link_flush(&wire->links[LINK_DOWNLINK]);
}

void wires_spare(struct wires *wires)
{
    for (int i = 0; i < 2; i++) {
        struct link_spec clear;
        link_spec_clear(&clear);
        clear.delay_ns = wires->specs[i].delay_ns;
        clear.rate_bit = wires->specs[i].rate_bit;
        wires->specs[i] = clear; /* which all links share */
    }
}

bool wires_is_unplugged(const struct wires *wires, uint64_t peer)
{
    const struct wires_pair *wire = find(wires, peer);
    return wire && wire->unplugged;
}

const struct link_counters *wires_counters(const struct wires *wires, enum link_direction direction)
{
    return &wires->counters[direction];
}

const struct link_spec *wires_spec(const struct wires *wires, enum link_direction direction)
{
    return &wires->specs[direction];
}
