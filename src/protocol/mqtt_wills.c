/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A will is known by its client's key, which is in its id. It is in the table from CONNECT on, until the
 * client says DISCONNECT, or until it came and the client is gone.
 *
 * The time until it comes begins when nothing of the client reached the broker any more, which its
 * manner knows (vanish), or else when its connection was ended without a DISCONNECT. A broker that ends
 * one by itself may publish the will before this side hears of that: such a will is counted, and
 * has no time.
 */
#include "protocol/mqtt_inside.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUCKETS_FIRST = 64, WILLS_MOST = 1 << 20 };

struct mqtt_will {
    struct mqtt_will *next; /* of the same bucket */
    uint64_t key;
    struct client *client; /* NULL: gone */
    uint64_t gone_ns;
    bool counted; /* among those that are to come */
    bool came;
};

static struct mqtt_wills *wills_of(const struct client *client)
{
    return &((struct mqtt_run *)client_run(client))->wills;
}

/* ---- the table ---- */

static struct mqtt_will **bucket_of(const struct mqtt_wills *wills, uint64_t key)
{
    const uint64_t golden = UINT64_C(0x9e3779b97f4a7c15);

    return &wills->buckets[(key * golden >> 32) & (wills->bucket_count - 1)];
}

static void add(struct mqtt_wills *wills, struct mqtt_will *will)
{
    struct mqtt_will **bucket = bucket_of(wills, will->key);

    will->next = *bucket;
    *bucket = will;
}

static int grow(struct mqtt_wills *wills)
{
    struct mqtt_wills old = *wills;
    const size_t count = old.bucket_count ? 2 * old.bucket_count : BUCKETS_FIRST;
    struct mqtt_will **buckets = calloc(count, sizeof(struct mqtt_will *));

    if (!buckets)
        return -ENOMEM;
    wills->buckets = buckets;
    wills->bucket_count = count;
    for (size_t i = 0; i < old.bucket_count; i++) {
        for (struct mqtt_will *will = old.buckets[i], *next; will; will = next) {
            next = will->next;
            add(wills, will);
        }
    }
    free(old.buckets);
    return 0;
}

static struct mqtt_will *find(const struct mqtt_wills *wills, uint64_t key)
{
    struct mqtt_will *will = wills->bucket_count ? *bucket_of(wills, key) : NULL;

    while (will && will->key != key)
        will = will->next;
    return will;
}

static void drop(struct mqtt_wills *wills, struct mqtt_will *will)
{
    struct mqtt_will **at = bucket_of(wills, will->key);

    while (*at != will)
        at = &(*at)->next;
    *at = will->next;
    wills->count--;
    free(will);
}

void mqtt_wills_done(struct mqtt_wills *wills)
{
    for (size_t i = 0; i < wills->bucket_count; i++) {
        for (struct mqtt_will *will = wills->buckets[i], *next; will; will = next) {
            next = will->next;
            free(will);
        }
    }
    free(wills->buckets);
    *wills = (struct mqtt_wills){0};
}

/* ---- who leaves one ---- */

int mqtt_will_begin(struct client *client)
{
    struct mqtt_wills *wills = wills_of(client);
    struct mqtt_will *will;

    if (wills->count >= wills->bucket_count && grow(wills) < 0)
        return -ENOMEM;
    will = calloc(1, sizeof(*will));
    if (!will)
        return -ENOMEM;
    will->key = client_key(client);
    will->client = client;
    add(wills, will);
    wills->count++;
    mqtt_of(client)->will = will;
    return 0;
}

void mqtt_will_forget(struct client *client)
{
    struct mqtt_client *mqtt = mqtt_of(client);

    if (mqtt->will)
        drop(wills_of(client), mqtt->will);
    mqtt->will = NULL;
}

/* It is to come, once. */
static void count(struct client *counter, struct mqtt_will *will, uint64_t gone_ns)
{
    struct peer_soak_counts *counts = client_shared_counts(counter, gone_ns);

    if (counts && !will->counted)
        counts->wills_due++;
    will->counted = true;
}

void mqtt_will_gone(struct client *client)
{
    struct mqtt_client *mqtt = mqtt_of(client);
    struct mqtt_wills *wills = wills_of(client);
    struct mqtt_will *will = mqtt->will;
    const uint64_t silent_ns = client_silent_ns(client);

    if (wills->watcher == client)
        wills->watcher = NULL;
    mqtt->will = NULL;
    if (!will)
        return;
    will->client = NULL;
    will->gone_ns = silent_ns ? silent_ns : client_now(client);
    /* What is cut at the end of the run is not waited for; who never was let in may have left none. */
    if (mqtt->state != MQTT_CONNECTING && (silent_ns || !client_run_ends(client)))
        count(client, will, will->gone_ns);
    if (will->came || wills->count > WILLS_MOST) {
        wills->forgot |= !will->came;
        drop(wills, will);
    }
}

/* ---- who hears of them ---- */

bool mqtt_wills_want(struct client *client)
{
    struct mqtt_wills *wills = wills_of(client);

    if (!run_of(client)->settings.wills || wills->watcher || client_misbehaves(client))
        return false;
    wills->watcher = client;
    return true;
}

void mqtt_wills_hear(struct client *client, const struct mqtt_piece *piece)
{
    struct mqtt_wills *wills = wills_of(client);

    if (piece->at < MQTT_ID_LEN)
        memcpy(wills->heard + piece->at, piece->data,
               MIN(piece->len, (size_t)(MQTT_ID_LEN - piece->at)));
}

/* The key that the id of a will says; false: it is none. */
static bool read_key(const struct client *client, uint64_t *ret_key)
{
    char text[MQTT_ID_LEN + 1] = "";
    char again[MQTT_ID_LEN + 1];

    memcpy(text, wills_of(client)->heard, MQTT_ID_LEN);
    if (mqtt_of(client)->reader.payload != MQTT_ID_LEN ||
        sscanf(text, "peer%16" SCNx64, ret_key) != 1)
        return false;
    snprintf(again, sizeof(again), "peer%016" PRIx64, *ret_key);
    return strcmp(text, again) == 0;
}

static void note_time(struct client *client, const struct mqtt_will *will, uint64_t came_ns)
{
    const uint64_t since_ns = will->client ? client_silent_ns(will->client) : will->gone_ns;

    if (since_ns && client_shared_counts(client, since_ns))
        client_shared_latency(client, PEER_HISTOGRAM_WILL, since_ns, came_ns);
}

void mqtt_will_came(struct client *client)
{
    struct mqtt_wills *wills = wills_of(client);
    const uint64_t came_ns = flow_arrived_last_ns(client_flow(client));
    uint64_t key;

    if (!read_key(client, &key)) {
        client_error(client, PEER_SOAK_BAD_ANSWER, "a will came that is not as it was left");
        return;
    }
    struct mqtt_will *will = find(wills, key);
    if (!will && wills->forgot)
        return;
    if (!will || will->came) {
        client_error(client, PEER_SOAK_BAD_ANSWER, "a will came %s",
                     will ? "twice" : "of a client that had said DISCONNECT, or came twice");
        return;
    }
    will->came = true;
    const uint64_t gone_ns = will->client ? client_silent_ns(will->client) : will->gone_ns;
    struct peer_soak_counts *counts = client_shared_counts(client, gone_ns ? gone_ns : came_ns);
    count(client, will, gone_ns ? gone_ns : came_ns);
    if (counts)
        counts->wills++;
    note_time(client, will, came_ns);
    if (!will->client)
        drop(wills, will);
}
