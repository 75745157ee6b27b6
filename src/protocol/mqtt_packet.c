/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A server sends a client of ours five types of packets. Four have one length each, so a byte that
 * says another is told at once; of the fifth, PUBLISH, every length in it is held against what is left
 * of the packet before it is believed.
 */
#include "protocol/mqtt_packet.h"

#include "base/macro.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { FIRST, LENGTH, BODY, TOPIC_LEN, TOPIC, ID, PAYLOAD };
enum { LENGTH_LEN_MOST = 4, VARIES = 0xff, NEVER = 0xfe };

/* What each is called, and how long it is when a server sends it. */
static const struct {
    const char *name;
    uint8_t len;
} types[16] = {
    [0] = {"type 0", NEVER}, {"CONNECT", NEVER}, {"CONNACK", 2},         {"PUBLISH", VARIES},
    {"PUBACK", 2},           {"PUBREC", NEVER},  {"PUBREL", NEVER},      {"PUBCOMP", NEVER},
    {"SUBSCRIBE", NEVER},    {"SUBACK", 3},      {"UNSUBSCRIBE", NEVER}, {"UNSUBACK", NEVER},
    {"PINGREQ", NEVER},      {"PINGRESP", 0},    {"DISCONNECT", NEVER},  {"type 15", NEVER},
};

const char *mqtt_name(unsigned type)
{
    return types[type & 15].name;
}

const char *mqtt_refusal(unsigned code)
{
    static const char *const words[] = {
        [1] = "it does not speak MQTT 3.1.1",
        [2] = "it does not take this client's identifier",
        [3] = "the service is unavailable",
        [4] = "wrong user name or password",
        [5] = "not authorized",
    };

    return code < ARRAY_SIZE(words) ? words[code] : NULL;
}

/* ---- reading ---- */

struct reading {
    struct mqtt_reader *reader;
    const struct mqtt_topic *topic;
    struct mqtt_told *told;
};

__attribute__((format(printf, 2, 3))) static enum mqtt_read wrong(struct reading *reading,
                                                                  const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(reading->told->why, MQTT_WHY, format, arguments);
    va_end(arguments);
    return MQTT_WRONG;
}

static enum mqtt_read complete(struct mqtt_reader *reader)
{
    reader->state = FIRST;
    return MQTT_PACKET;
}

static void enter(struct mqtt_reader *reader, uint8_t state)
{
    reader->state = state;
    reader->at = 0;
}

static enum mqtt_read take_first(struct reading *reading, uint8_t byte)
{
    struct mqtt_reader *reader = reading->reader;
    const unsigned flags = byte & 15;

    *reader = (struct mqtt_reader){.type = byte >> 4, .state = LENGTH};
    if (types[reader->type].len == NEVER)
        return wrong(reading, "a packet of %s, which a server does not send to this client",
                     mqtt_name(reader->type));
    if (reader->type != MQTT_PUBLISH)
        return flags ? wrong(reading, "a %s with the flags %u", mqtt_name(reader->type), flags)
                     : MQTT_MORE;
    reader->dup = flags & 8;
    reader->qos = flags >> 1 & 3;
    reader->retained = flags & 1;
    if (reader->qos > 1)
        return wrong(reading, "a PUBLISH of QoS %d, which was not subscribed", reader->qos);
    if (reader->dup && !reader->qos)
        return wrong(reading, "a PUBLISH of QoS 0 that says it is sent again");
    return MQTT_MORE;
}

static size_t id_len_of(const struct mqtt_reader *reader)
{
    return reader->qos ? 2 : 0;
}

/* The length is known. */
static enum mqtt_read begin_rest(struct reading *reading)
{
    struct mqtt_reader *reader = reading->reader;
    const uint8_t len = types[reader->type].len;

    if (len == VARIES && reader->left < 2 + id_len_of(reader))
        return wrong(reading, "a PUBLISH with %u bytes", (unsigned)reader->left);
    if (len != VARIES && reader->left != len)
        return wrong(reading, "a %s with %u bytes instead of %u", mqtt_name(reader->type),
                     (unsigned)reader->left, (unsigned)len);
    enter(reader, len == VARIES ? TOPIC_LEN : BODY);
    return len == 0 ? complete(reader) : MQTT_MORE;
}

static enum mqtt_read take_length(struct reading *reading, uint8_t byte)
{
    struct mqtt_reader *reader = reading->reader;

    reader->left |= (uint32_t)(byte & 127) << 7 * reader->length_len++;
    if (!(byte & 128))
        return begin_rest(reading);
    if (reader->length_len == LENGTH_LEN_MOST)
        return wrong(reading, "a %s whose length has more than four bytes",
                     mqtt_name(reader->type));
    return MQTT_MORE;
}

static enum mqtt_read take_body(struct reading *reading, uint8_t byte)
{
    struct mqtt_reader *reader = reading->reader;

    reader->body[reader->at++] = byte;
    return --reader->left == 0 ? complete(reader) : MQTT_MORE;
}

/* Topic and id are there: the rest is payload. */
static enum mqtt_read begin_payload(struct mqtt_reader *reader)
{
    reader->payload = reader->left;
    enter(reader, PAYLOAD);
    return reader->left ? MQTT_MORE : complete(reader);
}

static enum mqtt_read end_topic(struct mqtt_reader *reader)
{
    if (!reader->qos)
        return begin_payload(reader);
    enter(reader, ID);
    return MQTT_MORE;
}

static enum mqtt_read take_topic_len(struct reading *reading, uint8_t byte)
{
    struct mqtt_reader *reader = reading->reader;
    const size_t id_len = id_len_of(reader);

    reader->topic_len = (uint16_t)(reader->topic_len << 8 | byte);
    reader->left--;
    if (++reader->at < 2)
        return MQTT_MORE;
    if (reader->topic_len + id_len > reader->left)
        return wrong(reading, "a PUBLISH whose topic of %u bytes is longer than the packet",
                     (unsigned)reader->topic_len);
    if (!reader->topic_len)
        return wrong(reading, "a PUBLISH without a topic");
    reader->stranger = reader->topic_len != mqtt_topic_len(reading->topic);
    reader->will = reading->topic->will && reader->topic_len == strlen(reading->topic->will);
    enter(reader, TOPIC);
    return MQTT_MORE;
}

static enum mqtt_read take_topic(struct reading *reading, uint8_t byte)
{
    struct mqtt_reader *reader = reading->reader;
    const struct mqtt_topic *topic = reading->topic;

    if (!reader->stranger) {
        const char *right = reader->at < topic->begins_len
                                ? &topic->begins[reader->at]
                                : &topic->id[reader->at - topic->begins_len];
        reader->stranger = *right != (char)byte;
    }
    if (reader->will)
        reader->will = topic->will[reader->at] == (char)byte;
    reader->left--;
    return ++reader->at == reader->topic_len ? end_topic(reader) : MQTT_MORE;
}

static enum mqtt_read take_id(struct reading *reading, uint8_t byte)
{
    struct mqtt_reader *reader = reading->reader;

    reader->id = (uint16_t)(reader->id << 8 | byte);
    reader->left--;
    if (++reader->at < 2)
        return MQTT_MORE;
    return reader->id ? begin_payload(reader)
                      : wrong(reading, "a PUBLISH of QoS 1 with packet identifier 0");
}

static enum mqtt_read take_payload(struct reading *reading, const uint8_t *data, size_t len)
{
    struct mqtt_reader *reader = reading->reader;
    const size_t part = MIN(len, (size_t)reader->left);

    reading->told->piece = (struct mqtt_piece){.data = data, .len = part, .at = reader->at};
    reader->at += (uint32_t)part;
    reader->left -= (uint32_t)part;
    return reader->left ? MQTT_PIECE : complete(reader);
}

enum mqtt_read mqtt_read(struct mqtt_reader *reader, const struct mqtt_topic *topic,
                         const uint8_t *data, size_t len, struct mqtt_told *ret_told)
{
    static enum mqtt_read (*const takes[])(struct reading *, uint8_t) = {
        [FIRST] = take_first,         [LENGTH] = take_length, [BODY] = take_body,
        [TOPIC_LEN] = take_topic_len, [TOPIC] = take_topic,   [ID] = take_id,
    };
    struct reading reading = {.reader = reader, .topic = topic, .told = ret_told};
    enum mqtt_read found = MQTT_MORE;
    size_t at = 0;

    ret_told->piece = (struct mqtt_piece){0};
    ret_told->why[0] = 0;
    while (at < len && found == MQTT_MORE && reader->state != PAYLOAD)
        found = takes[reader->state](&reading, data[at++]);
    if (at < len && found == MQTT_MORE) {
        found = take_payload(&reading, data + at, len - at);
        at += ret_told->piece.len;
    }
    ret_told->used = at;
    return found;
}

/* ---- writing ---- */

static size_t length_len(size_t rest)
{
    return rest < 1 << 7 ? 1 : rest < 1 << 14 ? 2 : rest < 1 << 21 ? 3 : 4;
}

size_t mqtt_packet_len(size_t rest)
{
    return 1 + length_len(rest) + rest;
}

static uint8_t *put_head(uint8_t *out, uint8_t first, size_t rest)
{
    *out++ = first;
    for (; rest > 127; rest >>= 7)
        *out++ = (uint8_t)(rest & 127) | 128;
    *out++ = (uint8_t)rest;
    return out;
}

static uint8_t *put_number(uint8_t *out, size_t number)
{
    *out++ = (uint8_t)(number >> 8);
    *out++ = (uint8_t)number;
    return out;
}

static uint8_t *put_bytes(uint8_t *out, const char *text, size_t len)
{
    memcpy(out, text, len);
    return out + len;
}

static uint8_t *put_text(uint8_t *out, const char *text, size_t len)
{
    return put_bytes(put_number(out, len), text, len);
}

static uint8_t *put_topic(uint8_t *out, const struct mqtt_topic *topic)
{
    out = put_number(out, mqtt_topic_len(topic));
    out = put_bytes(out, topic->begins, topic->begins_len);
    return topic->id ? put_bytes(out, topic->id, MQTT_ID_LEN) : out;
}

static size_t connect_rest(const struct mqtt_identity *identity)
{
    return 10 + 2 + MQTT_ID_LEN + (identity->will ? 4 + strlen(identity->will) + MQTT_ID_LEN : 0) +
           (identity->user ? 2 + strlen(identity->user) : 0) +
           (identity->password ? 2 + strlen(identity->password) : 0);
}

size_t mqtt_connect_len(const struct mqtt_identity *identity)
{
    return mqtt_packet_len(connect_rest(identity));
}

size_t mqtt_put_connect(uint8_t *out, const struct mqtt_identity *identity,
                        const char id[MQTT_ID_LEN])
{
    enum { LEVEL = 4, CLEAN = 2, WILL = 4, PASSWORD = 64, USER = 128 };
    const unsigned will = identity->will ? WILL | (unsigned)identity->will_qos << 3 : 0;
    uint8_t *at = put_head(out, MQTT_CONNECT << 4, connect_rest(identity));

    at = put_text(at, "MQTT", 4);
    *at++ = LEVEL;
    *at++ =
        (uint8_t)(CLEAN | will | (identity->password ? PASSWORD : 0) | (identity->user ? USER : 0));
    at = put_number(at, identity->keepalive_s);
    at = put_text(at, id, MQTT_ID_LEN);
    if (identity->will)
        at = put_text(put_text(at, identity->will, strlen(identity->will)), id, MQTT_ID_LEN);
    if (identity->user)
        at = put_text(at, identity->user, strlen(identity->user));
    if (identity->password)
        at = put_text(at, identity->password, strlen(identity->password));
    return (size_t)(at - out);
}

size_t mqtt_put_subscribe(uint8_t *out, const struct mqtt_topic *topic, uint16_t id, uint8_t qos)
{
    uint8_t *at = put_head(out, MQTT_SUBSCRIBE << 4 | 2, 2 + 2 + mqtt_topic_len(topic) + 1);

    at = put_topic(put_number(at, id), topic);
    *at++ = qos;
    return (size_t)(at - out);
}

size_t mqtt_put_puback(uint8_t *out, uint16_t id)
{
    return (size_t)(put_number(put_head(out, MQTT_PUBACK << 4, 2), id) - out);
}

size_t mqtt_put_bare(uint8_t *out, enum mqtt_type type)
{
    return (size_t)(put_head(out, (uint8_t)(type << 4), 0) - out);
}

static size_t publish_rest(const struct mqtt_topic *topic, uint8_t qos, uint32_t payload)
{
    return 2 + mqtt_topic_len(topic) + (qos ? 2 : 0) + payload;
}

size_t mqtt_publish_head_len(const struct mqtt_topic *topic, uint8_t qos, uint32_t payload)
{
    return mqtt_packet_len(publish_rest(topic, qos, payload)) - payload;
}

size_t mqtt_put_publish(uint8_t *out, const struct mqtt_topic *topic, uint16_t id, uint8_t qos,
                        uint32_t payload)
{
    uint8_t *at =
        put_head(out, (uint8_t)(MQTT_PUBLISH << 4 | qos << 1), publish_rest(topic, qos, payload));

    at = put_topic(at, topic);
    if (qos)
        at = put_number(at, id);
    return (size_t)(at - out);
}
