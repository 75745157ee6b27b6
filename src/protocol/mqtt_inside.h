/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PROTOCOL_MQTT_INSIDE_H
#define PROTOCOL_MQTT_INSIDE_H

/*
 * What the files of MQTT share: a client, and what it has to send (mqtt_send.c). See mqtt.c.
 */
#include "protocol/mqtt_settings.h"
#include "protocol/mqtt_wills.h"
#include "soak/pattern.h"
#include "soak/protocol.h"

#include "base/macro.h"
#include "base/timer.h"

enum mqtt_state { MQTT_CONNECTING, MQTT_SUBSCRIBING, MQTT_READY };

enum {
    LOST_KEPT = 64, /* of a client, that were given up and may still come */
    IDS = 65535,
    PING = 0, /* among identifiers: PINGREQ */
};

/* How far what is to be sent has been. */
struct cursor {
    uint32_t messages; /* that have left */
    uint32_t at;       /* bytes of the one that is leaving */
    uint32_t controls; /* that have left */
    uint8_t cut;       /* bytes of the one that is leaving */
};

/* Requests that were given up, the latest LOST_KEPT. */
struct lost {
    uint32_t count, numbers[LOST_KEPT];
};

struct mqtt_will;

struct mqtt_client {
    struct timer timer; /* keep-alive */
    struct client *client;
    struct mqtt_reader reader;
    struct cursor cursor;
    uint16_t *controls; /* identifiers of PUBACKs that are to be sent, PING */
    uint32_t control_count, control_room;
    uint32_t asked; /* messages in all */
    uint32_t next;  /* the one that is expected */
    uint32_t comes; /* the one whose bytes come; 0: none */
    struct lost *lost;
    struct mqtt_will *will; /* NULL: the broker has none */
    uint64_t sent_ns;       /* when something was written last */
    int64_t wrong_at;       /* the first byte of what comes that fits nothing; -1: none */
    uint8_t state;          /* enum mqtt_state */
    bool pinged;
    bool watches; /* the wills of others come to it */
    bool gave_up; /* a request, whose PUBACK may still come */
    char id[MQTT_ID_LEN];
};

struct mqtt_request {
    bool came, acknowledged;
};

struct mqtt_run {
    struct mqtt_settings settings;
    size_t topic_len, message_len; /* of a whole PUBLISH */
    struct mqtt_wills wills;
};

static inline struct mqtt_client *mqtt_of(const struct client *client)
{
    return client_own(client);
}

static inline const struct mqtt_run *run_of(const struct client *client)
{
    return client_run(client);
}

static inline struct mqtt_topic topic_of(const struct client *client)
{
    const struct mqtt_run *run = run_of(client);

    return (struct mqtt_topic){.begins = run->settings.topic,
                               .begins_len = run->topic_len,
                               .id = mqtt_of(client)->id,
                               .will = mqtt_of(client)->watches ? run->settings.will : NULL};
}

static inline bool is_held(const struct client *client)
{
    return client_config(client)->hold;
}

/* Messages have numbers, from 1. */
static inline uint64_t base_of(const struct client *client, uint32_t number)
{
    return (uint64_t)(number - 1) * run_of(client)->settings.payload;
}
static inline uint16_t id_of(uint32_t number)
{
    return (uint16_t)((number - 1) % IDS + 1);
}

/* All that may go now: whole messages one behind the other, and what is to be said between them. -errno when
   the connection takes nothing any more. */
int mqtt_write(struct client *client);
/* Likewise; fails the client then. */
void mqtt_send(struct client *client);
bool mqtt_is_between_packets(const struct mqtt_client *mqtt);
/* A PUBACK for that identifier, or PING: leaves with what is sent next. Fails the client when there are too
   many. */
void mqtt_add_control(struct client *client, uint16_t id);
/* PINGREQ when nothing was sent for so long, from now on; it was answered. */
void mqtt_keep_alive(struct mqtt_client *mqtt);
void mqtt_is_alive(struct mqtt_client *mqtt);

#endif
