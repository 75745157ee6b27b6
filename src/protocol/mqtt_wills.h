/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PROTOCOL_MQTT_WILLS_H
#define PROTOCOL_MQTT_WILLS_H

#include "protocol/mqtt_packet.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * Wills: what the broker publishes for a client that went without DISCONNECT (MQTT 3.1.1, 3.1.2.5). Each
 * client leaves one, on one topic, with its id; one healthy client at a time hears of them all. How
 * long that took is counted with the healthy ones' figures.
 */
struct client;
struct mqtt_will;

/** Of a run; zero is without any. */
struct mqtt_wills {
    struct mqtt_will **buckets; /* a power of two of them */
    size_t bucket_count, count;
    struct client *watcher; /* who hears them; NULL: nobody yet */
    char heard[MQTT_ID_LEN];
    bool forgot; /* there were too many that are not come yet */
};
void mqtt_wills_done(struct mqtt_wills *wills);
/** Whether wills are to come to this client, which is logged in: it is the watcher then. */
bool mqtt_wills_want(struct client *client);

/** The client is about to leave its will with the broker; -ENOMEM. */
int mqtt_will_begin(struct client *client);
/** The broker has none of it any more: it said good-bye, or was refused. */
void mqtt_will_forget(struct client *client);
/** The client is let go. */
void mqtt_will_gone(struct client *client);

/** A piece of a will comes to the watcher; and then it is complete. */
void mqtt_wills_hear(struct client *client, const struct mqtt_piece *piece);
void mqtt_will_came(struct client *client);

#endif
