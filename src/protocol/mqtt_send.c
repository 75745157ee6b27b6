/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a client of MQTT sends is a cursor: how many messages have left, and how much of the one that is
 * leaving. All that fits is made and written in one piece, and the cursor follows by what was taken.
 * What there is to say besides, PUBACK and PINGREQ, goes between two messages.
 */
#include "protocol/mqtt_inside.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    CONTROLS_MOST = 65536, /* more identifiers cannot be unacknowledged */
    HEAD_ROOM = MQTT_TOPIC_MOST + 64,
};

/* The bytes of a message from `at` on. */
static void make_message(const struct client *client, uint32_t number, uint32_t at, uint8_t *out,
                         size_t len)
{
    const struct mqtt_settings *settings = &run_of(client)->settings;
    const struct mqtt_topic topic = topic_of(client);
    const size_t head_len = run_of(client)->message_len - settings->payload;

    if (at < head_len) {
        uint8_t head[HEAD_ROOM];
        const size_t part = MIN(len, head_len - at);
        (void)mqtt_put_publish(head, &topic, id_of(number), settings->qos, settings->payload);
        memcpy(out, head + at, part);
        out += part;
        len -= part;
        at += (uint32_t)part;
    }
    if (len)
        pattern_fill(client_key(client), base_of(client, number) + (at - head_len), out, len);
}

/* ---- what goes ---- */

static size_t make_control(uint16_t id, uint8_t out[4])
{
    return id == PING ? mqtt_put_bare(out, MQTT_PINGREQ) : mqtt_put_puback(out, id);
}

/* So many bytes of a control packet; those of `out` are written unless it is NULL. */
static size_t step_control(const struct mqtt_client *mqtt, struct cursor *cursor, uint8_t *out,
                           size_t room)
{
    uint8_t packet[4];
    const size_t len = make_control(mqtt->controls[cursor->controls], packet);
    const size_t part = MIN(room, len - cursor->cut);

    if (out)
        memcpy(out, packet + cursor->cut, part);
    cursor->cut = (uint8_t)(cursor->cut + part);
    if (cursor->cut == len) {
        cursor->cut = 0;
        cursor->controls++;
    }
    return part;
}

static size_t step_message(const struct client *client, struct cursor *cursor, uint8_t *out,
                           size_t room)
{
    const size_t len = run_of(client)->message_len;
    const size_t part = MIN(room, len - cursor->at);

    if (out)
        make_message(client, cursor->messages + 1, cursor->at, out, part);
    cursor->at += (uint32_t)part;
    if (cursor->at == len) {
        cursor->at = 0;
        cursor->messages++;
    }
    return part;
}

/* Moves the cursor by up to `room` bytes of what is to be sent; returns by how many. */
static size_t move(const struct client *client, struct cursor *cursor, uint8_t *out, size_t room)
{
    const struct mqtt_client *mqtt = mqtt_of(client);
    size_t len = 0;

    while (len < room) {
        uint8_t *at = out ? out + len : NULL;
        if (!cursor->at && cursor->controls < mqtt->control_count)
            len += step_control(mqtt, cursor, at, room - len);
        else if (cursor->at || cursor->messages < mqtt->asked)
            len += step_message(client, cursor, at, room - len);
        else
            break;
    }
    return len;
}

bool mqtt_is_between_packets(const struct mqtt_client *mqtt)
{
    return !mqtt->cursor.at && !mqtt->cursor.cut;
}

static void forget_controls(struct mqtt_client *mqtt)
{
    if (mqtt->cursor.controls < mqtt->control_count || mqtt->cursor.cut)
        return;
    mqtt->cursor.controls = mqtt->control_count = 0;
}

int mqtt_write(struct client *client)
{
    struct mqtt_client *mqtt = mqtt_of(client);

    while (true) {
        struct cursor cursor = mqtt->cursor;
        const size_t room = MIN(flow_write_room(client_flow(client)), (size_t)SOAK_SCRATCH_BYTES);
        const size_t len = move(client, &cursor, client_scratch(client), room);
        if (!len)
            break;
        const ssize_t done = client_write(client, client_scratch(client), len, 0);
        if (done <= 0)
            return done == -EAGAIN ? 0 : (int)done;
        mqtt->sent_ns = client_now(client);
        (void)move(client, &mqtt->cursor, NULL, (size_t)done);
    }
    forget_controls(mqtt);
    return 0;
}

void mqtt_send(struct client *client)
{
    if (mqtt_write(client) < 0 && client_flow(client)->state != FLOW_ENDED) /* which is told */
        client_fail(client, PEER_SOAK_CLOSED_EARLY, "closed before the message was sent");
}

static bool grow_controls(struct mqtt_client *mqtt)
{
    const uint32_t room = mqtt->control_room ? 2 * mqtt->control_room : 16;
    uint16_t *controls = mqtt->control_room < CONTROLS_MOST
                             ? realloc(mqtt->controls, room * sizeof(*controls))
                             : NULL;

    if (!controls)
        return false;
    mqtt->controls = controls;
    mqtt->control_room = room;
    return true;
}

void mqtt_add_control(struct client *client, uint16_t id)
{
    struct mqtt_client *mqtt = mqtt_of(client);

    if (mqtt->control_count == mqtt->control_room && !grow_controls(mqtt)) {
        client_fail(client, PEER_SOAK_BAD_ANSWER,
                    "%u messages came, and the broker reads no PUBACK of them",
                    (unsigned)mqtt->control_count);
        return;
    }
    mqtt->controls[mqtt->control_count++] = id;
}

/* ---- keep-alive ---- */

static void arm(struct mqtt_client *mqtt, uint64_t at_ns)
{
    if (timer_arm(client_flow(mqtt->client)->flows->timers, &mqtt->timer, at_ns) < 0)
        client_fail(mqtt->client, PEER_SOAK_CLOSED_EARLY, "out of memory");
}

/* When nothing was sent for so long a PINGREQ goes, and then its answer is waited for. */
static void keepalive_fire(struct timer *timer, uint64_t now_ns)
{
    struct mqtt_client *mqtt = list_entry(timer, struct mqtt_client, timer);
    struct client *client = mqtt->client;
    const uint64_t every_ns = run_of(client)->settings.identity.keepalive_s * NS_PER_S;

    if (mqtt->pinged) {
        client_fail(client, PEER_SOAK_TIMEOUT, "no PINGRESP in time");
        return;
    }
    if (mqtt->sent_ns + every_ns > now_ns) {
        arm(mqtt, mqtt->sent_ns + every_ns);
        return;
    }
    mqtt->pinged = true;
    arm(mqtt, now_ns + client_config(client)->timeout_ns);
    if (client_is_over(client))
        return;
    mqtt_add_control(client, PING);
    if (!client_is_over(client))
        mqtt_send(client);
}

void mqtt_keep_alive(struct mqtt_client *mqtt)
{
    const uint16_t keepalive_s = run_of(mqtt->client)->settings.identity.keepalive_s;

    timer_init(&mqtt->timer, keepalive_fire);
    if (keepalive_s)
        arm(mqtt, client_now(mqtt->client) + keepalive_s * NS_PER_S);
}

void mqtt_is_alive(struct mqtt_client *mqtt)
{
    mqtt->pinged = false;
    arm(mqtt, mqtt->sent_ns + run_of(mqtt->client)->settings.identity.keepalive_s * NS_PER_S);
}
