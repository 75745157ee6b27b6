/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PROTOCOL_MQTT_PACKET_H
#define PROTOCOL_MQTT_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * Packets of MQTT 3.1.1 (OASIS, mqtt-v3.1.1-os) as a client sends and reads them. A packet is a byte of
 * type and flags, a length of one to four bytes ("remaining length"), and so many bytes. Nothing of a
 * message is kept: its topic is compared as it comes, its payload is handed on in pieces.
 */
enum mqtt_type {
    MQTT_CONNECT = 1,
    MQTT_CONNACK,
    MQTT_PUBLISH,
    MQTT_PUBACK,
    MQTT_SUBSCRIBE = 8,
    MQTT_SUBACK,
    MQTT_PINGREQ = 12,
    MQTT_PINGRESP,
    MQTT_DISCONNECT,
};

enum { MQTT_ID_LEN = 20, MQTT_WHY = 128, MQTT_HEAD_MOST = 5, MQTT_REFUSED = 0x80 };
/* The largest remaining length. */
#define MQTT_LONGEST UINT32_C(268435455)

/** "BEGINS/ID", in two parts: the second is the client's. */
struct mqtt_topic {
    const char *begins; /* with the slash */
    size_t begins_len;
    const char *id;   /* MQTT_ID_LEN bytes; NULL: the first part is all of it */
    const char *will; /* where wills come; NULL: none do */
};
static inline size_t mqtt_topic_len(const struct mqtt_topic *topic)
{
    return topic->begins_len + (topic->id ? MQTT_ID_LEN : 0);
}

/** Zero is before the first byte. What is told of a packet stays until the next one begins. */
struct mqtt_reader {
    uint8_t type, qos; /* enum mqtt_type */
    bool dup, retained;
    bool stranger;      /* PUBLISH: another topic than the client's */
    bool will;          /* and it is that of wills */
    uint16_t id;        /* PUBLISH with QoS 1 */
    uint32_t payload;   /* PUBLISH: its length */
    uint8_t body[3];    /* of the others */
    uint8_t state;      /* the reader's own, from here on */
    uint8_t length_len; /* bytes of the remaining length that are there */
    uint16_t topic_len; /* of the PUBLISH */
    uint32_t left, at;  /* bytes of the packet to come; bytes of its present part */
};

/** A part of a payload, where it lies. */
struct mqtt_piece {
    const uint8_t *data;
    size_t len;
    uint32_t at;
};

enum mqtt_read {
    MQTT_MORE,   /* all bytes are read */
    MQTT_PIECE,  /* `piece` of a payload, and more follows */
    MQTT_PACKET, /* one is complete; of a PUBLISH `piece` is the last of its payload */
    MQTT_WRONG,  /* `why` */
};
struct mqtt_told {
    size_t used; /* bytes that were read, up to there */
    struct mqtt_piece piece;
    char why[MQTT_WHY];
};
/** Reads up to the next of these. */
enum mqtt_read mqtt_read(struct mqtt_reader *reader, const struct mqtt_topic *topic,
                         const uint8_t *data, size_t len, struct mqtt_told *ret_told);
/** "CONNACK". */
const char *mqtt_name(unsigned type);
/** What a CONNACK's return code says; NULL: there is no such code. */
const char *mqtt_refusal(unsigned code);

/** Who connects: the same for all of a run, but for the client's id. */
struct mqtt_identity {
    const char *user, *password; /* NULL: none */
    uint16_t keepalive_s;        /* 0: never */
    const char *will;            /* the topic of a will, whose payload is the id; NULL: none */
    uint8_t will_qos;
};
/** Bytes of a packet with `rest` bytes behind its length. */
size_t mqtt_packet_len(size_t rest);
/** Each writes a whole packet, of the length that it returns. */
size_t mqtt_put_connect(uint8_t *out, const struct mqtt_identity *identity,
                        const char id[MQTT_ID_LEN]);
size_t mqtt_connect_len(const struct mqtt_identity *identity);
size_t mqtt_put_subscribe(uint8_t *out, const struct mqtt_topic *topic, uint16_t id, uint8_t qos);
size_t mqtt_put_puback(uint8_t *out, uint16_t id);
/** PINGREQ, DISCONNECT. */
size_t mqtt_put_bare(uint8_t *out, enum mqtt_type type);
/** All of a PUBLISH but its payload of so many bytes. */
size_t mqtt_put_publish(uint8_t *out, const struct mqtt_topic *topic, uint16_t id, uint8_t qos,
                        uint32_t payload);
size_t mqtt_publish_head_len(const struct mqtt_topic *topic, uint8_t qos, uint32_t payload);

#endif
