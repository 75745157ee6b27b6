/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Messages to a broker of MQTT 3.1.1 that come back by a subscription.
 *
 * Each client has a topic of its own, TOPIC/ID, subscribes to it, and publishes there: a request is a
 * message that comes back, and with QoS 1 its PUBACK besides. Its payload is a part of a stream that is
 * a function of the run's seed and the client, as with echo: message n begins at (n - 1) * size. A
 * broker keeps the order of a topic, so the message that comes is mostly the next one; where a byte
 * differs, it is looked for among the 64 before and behind that. So what was lost, doubled or late is
 * told from what is wrong, and nothing of a message is kept, whatever its length.
 */
#include "protocol/mqtt_inside.h"
#include "protocol/table.h"

#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    AROUND = 64, /* messages that are looked through */
    PREFIX = 16, /* two messages that agree in so many bytes are one */
    SUBSCRIBE_ID = 1,
    WATCH_ID = 2, /* the subscription to wills */
};

/* ---- the login: CONNECT to SUBACK ---- */

static void send_login(struct client *client, size_t len)
{
    mqtt_of(client)->sent_ns = client_now(client);
    if (client_write(client, client_scratch(client), len, 0) != (ssize_t)len)
        client_fail(client, PEER_SOAK_CLOSED_EARLY, "the login could not be sent");
}

/* As a broker must take it: letters and digits, 23 at the most. */
static void make_id(const struct client *client, char id[MQTT_ID_LEN])
{
    char text[MQTT_ID_LEN + 1];

    snprintf(text, sizeof(text), "peer%016llx", (unsigned long long)client_key(client));
    memcpy(id, text, MQTT_ID_LEN);
}

static void mqtt_opened(struct client *client)
{
    struct mqtt_client *mqtt = mqtt_of(client);

    mqtt->client = client;
    mqtt->next = 1;
    mqtt->wrong_at = -1;
    make_id(client, mqtt->id);
    if (run_of(client)->settings.wills && mqtt_will_begin(client) < 0) {
        client_fail(client, PEER_SOAK_CLOSED_EARLY, "out of memory");
        return;
    }
    send_login(client, mqtt_put_connect(client_scratch(client), &run_of(client)->settings.identity,
                                        mqtt->id));
    if (!client_is_over(client))
        mqtt_keep_alive(mqtt);
}

static void subscribe(struct client *client, const struct mqtt_topic *topic, uint16_t id)
{
    mqtt_of(client)->state = MQTT_SUBSCRIBING;
    send_login(client,
               mqtt_put_subscribe(client_scratch(client), topic, id, run_of(client)->settings.qos));
}

static void connack(struct client *client)
{
    struct mqtt_client *mqtt = mqtt_of(client);
    const unsigned flags = mqtt->reader.body[0], code = mqtt->reader.body[1];
    const struct mqtt_topic topic = topic_of(client);
    enum { UNAVAILABLE = 3 };

    if (code)
        mqtt_will_forget(client); /* who was refused leaves none */
    if (code && mqtt_refusal(code)) {
        client_fail(client, code == UNAVAILABLE ? PEER_SOAK_FULL : PEER_SOAK_LOGIN,
                    "the broker says %u: %s", code, mqtt_refusal(code));
    } else if (code || flags > 1) {
        client_fail(client, PEER_SOAK_BAD_ANSWER, "a CONNACK of the bytes %02x %02x", flags, code);
    } else if (flags) {
        client_fail(client, PEER_SOAK_BAD_ANSWER,
                    "the broker goes on with an old session, and a clean one was asked for");
    } else {
        subscribe(client, &topic, SUBSCRIBE_ID);
    }
}

static void logged_in(struct client *client)
{
    struct mqtt_client *mqtt = mqtt_of(client);
    const struct mqtt_run *run = run_of(client);

    if (!mqtt->watches && mqtt_wills_want(client)) {
        const struct mqtt_topic wills = {.begins = run->settings.will,
                                         .begins_len = strlen(run->settings.will)};
        mqtt->watches = true;
        subscribe(client, &wills, WATCH_ID);
        return;
    }
    mqtt->state = MQTT_READY;
    client_logged_in(client);
    client_ready(client, (uint32_t)client_config(client)->pipeline);
}

static void suback(struct client *client)
{
    struct mqtt_client *mqtt = mqtt_of(client);
    const unsigned id = (unsigned)mqtt->reader.body[0] << 8 | mqtt->reader.body[1];
    const unsigned granted = mqtt->reader.body[2], asked = run_of(client)->settings.qos;

    if (id != (mqtt->watches ? WATCH_ID : SUBSCRIBE_ID)) {
        client_fail(client, PEER_SOAK_BAD_ANSWER, "a SUBACK for packet %u, which was not sent", id);
    } else if (granted == MQTT_REFUSED) {
        client_fail(client, PEER_SOAK_LOGIN, "the broker refuses the subscription");
    } else if (granted > asked) {
        client_fail(client, PEER_SOAK_BAD_ANSWER, "a SUBACK that grants %u where %u was asked for",
                    granted, asked);
    } else if (granted < asked) {
        client_fail(client, PEER_SOAK_LOGIN, "the broker grants QoS 0 to the subscription, not 1");
    } else {
        logged_in(client);
    }
}

/* ---- which message comes ---- */

static bool has_left(const struct mqtt_client *mqtt, uint32_t number)
{
    return number && number <= mqtt->cursor.messages;
}

/* Whether two messages begin with the same bytes. */
static bool begin_alike(const struct client *client, uint32_t a, uint32_t b, uint32_t len)
{
    uint8_t begins[PREFIX];

    if (len > PREFIX)
        return false;
    pattern_fill(client_key(client), base_of(client, a), begins, len);
    return pattern_check(client_key(client), base_of(client, b), begins, len) < 0;
}

/* Whether a piece is of this message, what came before it being of `before`. */
static bool fits(const struct client *client, uint32_t number, uint32_t before,
                 const struct mqtt_piece *piece)
{
    if (!has_left(mqtt_of(client), number) ||
        pattern_check(client_key(client), base_of(client, number) + piece->at, piece->data,
                      piece->len) >= 0)
        return false;
    return !piece->at || number == before || begin_alike(client, number, before, piece->at);
}

/* Another message than the one that was expected, or had begun. 0: none. */
static uint32_t look_around(const struct client *client, const struct mqtt_piece *piece)
{
    const struct mqtt_client *mqtt = mqtt_of(client);

    for (uint32_t i = 0; i <= AROUND; i++) {
        if (fits(client, mqtt->next + i, mqtt->comes, piece))
            return mqtt->next + i;
        if (i < mqtt->next && fits(client, mqtt->next - i, mqtt->comes, piece))
            return mqtt->next - i;
    }
    return 0;
}

static void note_first_byte(struct client *client, uint32_t number)
{
    struct request *request = client_request_numbered(client, number);

    if (request)
        request_first_byte(request);
}

static bool is_ours(const struct client *client)
{
    const struct mqtt_reader *reader = &mqtt_of(client)->reader;

    return !reader->stranger && !reader->retained &&
           reader->payload == run_of(client)->settings.payload;
}

static void check_piece(struct client *client, const struct mqtt_piece *piece)
{
    struct mqtt_client *mqtt = mqtt_of(client);

    if (mqtt->reader.will)
        mqtt_wills_hear(client, piece);
    if (!piece->len || !is_ours(client))
        return;
    if (!piece->at) {
        mqtt->comes = mqtt->next;
        mqtt->wrong_at = -1;
    }
    if (mqtt->wrong_at >= 0)
        return;
    if (!fits(client, mqtt->comes, mqtt->comes, piece)) {
        const uint32_t found = look_around(client, piece);
        if (!found) {
            int64_t wrong =
                pattern_check(client_key(client), base_of(client, mqtt->comes) + piece->at,
                              piece->data, piece->len);
            mqtt->wrong_at = wrong < 0 ? 0 : wrong - (int64_t)base_of(client, mqtt->comes);
            return;
        }
        mqtt->comes = found;
    }
    if (!piece->at)
        note_first_byte(client, mqtt->comes);
}

/* ---- what becomes of requests ---- */

static void look_done(const struct client *client, struct request *request)
{
    const struct mqtt_request *own = request_own(request);

    if (own->came && (own->acknowledged || !run_of(client)->settings.qos))
        request_done(request);
}

/* It is no longer expected: true, once, when it was given up. */
static bool was_lost(struct mqtt_client *mqtt, uint32_t number)
{
    for (size_t i = 0; mqtt->lost && i < LOST_KEPT; i++) {
        if (mqtt->lost->numbers[i] != number)
            continue;
        mqtt->lost->numbers[i] = 0;
        return true;
    }
    return false;
}

static void mqtt_lost(struct client *client, struct request *request)
{
    struct mqtt_client *mqtt = mqtt_of(client);

    mqtt->gave_up = true;
    if (((const struct mqtt_request *)request_own(request))->came)
        return;
    if (!mqtt->lost)
        mqtt->lost = calloc(1, sizeof(*mqtt->lost));
    if (mqtt->lost)
        mqtt->lost->numbers[mqtt->lost->count++ % LOST_KEPT] = request_number(request);
}

static const char *mqtt_late(const struct client *client, const struct request *request)
{
    const struct mqtt_request *own = request_own(request);

    if (own->came)
        return "no PUBACK in time";
    if (own->acknowledged)
        return "the message was acknowledged, and did not come back in time";
    return mqtt_of(client)->cursor.messages < request_number(request)
               ? "the broker did not take the message in time"
               : NULL;
}

/* A message that was not sent as it came: that of the request which is expected, if there is one. */
static void wrong_message(struct client *client, const char *text)
{
    struct mqtt_client *mqtt = mqtt_of(client);
    struct request *request = is_held(client) ? NULL : client_request_numbered(client, mqtt->next);

    if (request && has_left(mqtt, mqtt->next)) {
        mqtt->next++;
        mqtt->gave_up = true;
        request_lose(request, PEER_SOAK_BAD_ANSWER, "%s", text);
    } else {
        client_error(client, PEER_SOAK_BAD_ANSWER, "%s", text);
    }
}

static void message_came(struct client *client, uint32_t number)
{
    struct mqtt_client *mqtt = mqtt_of(client);
    struct request *request = is_held(client) ? NULL : client_request_numbered(client, number);

    if (number >= mqtt->next)
        mqtt->next = number + 1;
    else if (!request && is_held(client))
        client_counts(client)->duplicates++;
    if (is_held(client))
        return;
    struct mqtt_request *own = request ? request_own(request) : NULL;
    if (own && !own->came) {
        own->came = true;
        look_done(client, request);
    } else if (!own && was_lost(mqtt, number)) {
        client_counts(client)->late++;
    } else {
        client_counts(client)->duplicates++;
    }
}

static void published(struct client *client)
{
    struct mqtt_client *mqtt = mqtt_of(client);
    const struct mqtt_reader *reader = &mqtt->reader;
    const struct mqtt_settings *settings = &run_of(client)->settings;
    char text[96];

    if (reader->qos)
        mqtt_add_control(client, reader->id);
    if (client_is_over(client))
        return;
    if (reader->will) {
        mqtt_will_came(client);
    } else if (reader->stranger) {
        client_error(client, PEER_SOAK_BAD_ANSWER,
                     "a message came for a topic that is not this "
                     "client's");
    } else if (reader->retained) {
        client_error(client, PEER_SOAK_BAD_ANSWER,
                     "a retained message came, which this client did not send");
    } else if (reader->payload != settings->payload) {
        snprintf(text, sizeof(text), "a message of %u bytes came back for one of %u",
                 (unsigned)reader->payload, (unsigned)settings->payload);
        wrong_message(client, text);
    } else if (mqtt->wrong_at >= 0) {
        snprintf(text, sizeof(text), "byte %lld of what came back differs from what was sent",
                 (long long)mqtt->wrong_at);
        wrong_message(client, text);
    } else {
        message_came(client, mqtt->comes);
    }
}

/* The last that has left with this identifier; 0: none. */
static uint32_t number_of(const struct mqtt_client *mqtt, uint16_t id)
{
    const uint32_t sent = mqtt->cursor.messages;

    if (!id || !sent)
        return 0;
    const uint32_t ago = ((uint32_t)id_of(sent) + IDS - id) % IDS;
    return ago < sent ? sent - ago : 0;
}

static void puback(struct client *client)
{
    struct mqtt_client *mqtt = mqtt_of(client);
    const uint16_t id = (uint16_t)(mqtt->reader.body[0] << 8 | mqtt->reader.body[1]);
    const uint32_t number = run_of(client)->settings.qos ? number_of(mqtt, id) : 0;
    struct request *request = is_held(client) ? NULL : client_request_numbered(client, number);
    struct mqtt_request *own = request ? request_own(request) : NULL;

    if (!number) {
        client_fail(client, PEER_SOAK_BAD_ANSWER, "a PUBACK for packet %u, which was not sent",
                    (unsigned)id);
    } else if (own && own->acknowledged) {
        client_error(client, PEER_SOAK_BAD_ANSWER, "a second PUBACK for packet %u", (unsigned)id);
    } else if (own) {
        own->acknowledged = true;
        look_done(client, request);
    } else if (!is_held(client) && !mqtt->gave_up) {
        client_error(client, PEER_SOAK_BAD_ANSWER, "a second PUBACK for packet %u", (unsigned)id);
    }
}

static void pingresp(struct client *client)
{
    mqtt_is_alive(mqtt_of(client));
}

/* ---- what comes ---- */

#define IN(state) (1u << (state))
static const struct {
    unsigned states; /* in which it may come */
    void (*act)(struct client *client);
} packets[16] = {
    [MQTT_CONNACK] = {IN(MQTT_CONNECTING), connack},
    [MQTT_SUBACK] = {IN(MQTT_SUBSCRIBING), suback},
    [MQTT_PUBLISH] = {IN(MQTT_SUBSCRIBING) | IN(MQTT_READY), published},
    [MQTT_PUBACK] = {IN(MQTT_READY), puback},
    [MQTT_PINGRESP] = {IN(MQTT_CONNECTING) | IN(MQTT_SUBSCRIBING) | IN(MQTT_READY), pingresp},
};
#undef IN

/* NULL: it may come. */
static const char *objection(const struct client *client)
{
    const struct mqtt_client *mqtt = mqtt_of(client);

    if (!(packets[mqtt->reader.type].states & 1u << mqtt->state))
        return mqtt->state == MQTT_CONNECTING ? "instead of a CONNACK" : "out of turn";
    if (mqtt->reader.type == MQTT_PINGRESP && !mqtt->pinged)
        return "that nobody asked for";
    if (mqtt->reader.type == MQTT_PUBLISH && mqtt->reader.qos > run_of(client)->settings.qos)
        return "of QoS 1, and QoS 0 was granted";
    return NULL;
}

static enum taken mqtt_take(struct client *client, struct request *request, const char *data,
                            size_t len, size_t *ret_used)
{
    struct mqtt_client *mqtt = mqtt_of(client);
    const struct mqtt_topic topic = topic_of(client);
    const uint8_t *bytes = (const uint8_t *)data;
    struct mqtt_told told;

    (void)request;
    for (*ret_used = 0; *ret_used < len;) {
        const enum mqtt_read found =
            mqtt_read(&mqtt->reader, &topic, bytes + *ret_used, len - *ret_used, &told);
        const char *against =
            found == MQTT_PACKET || found == MQTT_PIECE ? objection(client) : NULL;
        if (against)
            snprintf(told.why, sizeof(told.why), "a %s %s", mqtt_name(mqtt->reader.type), against);
        if (found == MQTT_WRONG || against) {
            client_fail(client, PEER_SOAK_BAD_ANSWER, "the broker breaks MQTT's rules: %s",
                        told.why);
            return TAKEN_WRONG;
        }
        *ret_used += told.used;
        check_piece(client, &told.piece);
        if (found == MQTT_PACKET)
            return TAKEN_ANSWER;
    }
    return TAKEN_MORE;
}

static void mqtt_taken(struct client *client, struct request *request, enum taken taken)
{
    (void)request;
    if (taken == TAKEN_ANSWER)
        packets[mqtt_of(client)->reader.type].act(client);
}

static void mqtt_ask(struct client *client, struct request *request)
{
    (void)request;
    mqtt_of(client)->asked++;
}

static void mqtt_writable(struct client *client, struct request *request)
{
    (void)request;
    mqtt_send(client);
}

/* The message of --touch: all of it, or none. */
static void held_ask(struct client *client, struct request *request)
{
    struct mqtt_client *mqtt = mqtt_of(client);

    if (!mqtt_is_between_packets(mqtt) || mqtt->state != MQTT_READY)
        return;
    mqtt->asked++;
    request_set_sent(request, run_of(client)->message_len);
    mqtt_send(client);
}

/* ---- the end ---- */

/* A broker that hears DISCONNECT does not take the client for lost. */
static void mqtt_closing(struct client *client)
{
    struct mqtt_client *mqtt = mqtt_of(client);
    uint8_t packet[2];

    mqtt->asked = mqtt->cursor.messages + (mqtt->cursor.at > 0); /* no other begins */
    if (mqtt_write(client) < 0 || !mqtt_is_between_packets(mqtt) || mqtt->control_count)
        return;
    const size_t len = mqtt_put_bare(packet, MQTT_DISCONNECT);
    if (client_write(client, packet, len, 0) == (ssize_t)len && !client_silent_ns(client))
        mqtt_will_forget(client);
}

static void mqtt_let_go(struct client *client)
{
    struct mqtt_client *mqtt = mqtt_of(client);

    mqtt_will_gone(client);
    timer_cancel(client_flow(client)->flows->timers, &mqtt->timer);
    free(mqtt->controls);
    free(mqtt->lost);
    mqtt->controls = NULL;
    mqtt->lost = NULL;
    mqtt->control_count = mqtt->control_room = 0;
}

/* ---- the run ---- */

static int mqtt_prepare(void *own, struct peer_soak_config *config, struct peer_error *error)
{
    struct mqtt_run *run = own;
    int status = mqtt_settings_read(&run->settings, config, error);

    config->path = config->user = config->password = NULL;
    if (status < 0)
        return status;
    run->topic_len = strlen(run->settings.topic);
    const struct mqtt_topic topic = {.begins_len = run->topic_len, .id = ""}; /* of its length */
    run->message_len = mqtt_publish_head_len(&topic, run->settings.qos, run->settings.payload) +
                       run->settings.payload;
    if (mqtt_connect_len(&run->settings.identity) > SOAK_SCRATCH_BYTES)
        return error_set(error, PEER_ERROR_USAGE, EINVAL, "user and password are too long");
    return 0;
}

static void mqtt_done(void *own)
{
    struct mqtt_run *run = own;

    mqtt_wills_done(&run->wills);
    mqtt_settings_done(&run->settings);
}

static const struct protocol_ops mqtt_tcp = {.kind = PROTOCOL_ASKS,
                                             .unasked = true,
                                             .any_order = true,
                                             .opened = mqtt_opened,
                                             .ask = mqtt_ask,
                                             .asked = mqtt_send,
                                             .take = mqtt_take,
                                             .taken = mqtt_taken,
                                             .writable = mqtt_writable,
                                             .lost = mqtt_lost,
                                             .late = mqtt_late,
                                             .closing = mqtt_closing,
                                             .let_go = mqtt_let_go};

static const struct protocol_ops mqtt_held = {.kind = PROTOCOL_HOLDS,
                                              .unasked = true,
                                              .any_order = true,
                                              .opened = mqtt_opened,
                                              .ask = held_ask,
                                              .asked = mqtt_send,
                                              .take = mqtt_take,
                                              .taken = mqtt_taken,
                                              .writable = mqtt_writable,
                                              .closing = mqtt_closing,
                                              .let_go = mqtt_let_go};

const struct protocol protocol_mqtt = {
    .name = "mqtt",
    .scheme = "mqtt",
    .port = 1883,
    .tls_scheme = "mqtts",
    .tls_port = 8883,
    .takes = PROTOCOL_TAKES_PATH | PROTOCOL_TAKES_LOGIN | PROTOCOL_TAKES_PIPELINE |
             PROTOCOL_TAKES_MESSAGES,
    .tcp = &mqtt_tcp,
    .held = &mqtt_held,
    .run_bytes = sizeof(struct mqtt_run),
    .client_bytes = sizeof(struct mqtt_client),
    .request_bytes = sizeof(struct mqtt_request),
    .prepare = mqtt_prepare,
    .done = mqtt_done,
};
