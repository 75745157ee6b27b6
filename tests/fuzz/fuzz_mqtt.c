/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What brokers of MQTT send, cut anywhere: what comes in pieces means the same as what comes at once,
 * nothing is taken that was not there, every payload has the length that its packet announces, and what
 * is refused is told why in a line.
 */
#include "fuzz/told.h"
#include "protocol/mqtt_packet.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const struct word words[] = {
    WORD("\x20\2\0\0"),
    WORD("\x90\3\0\1\1"),
    WORD("\x40\2\0\1"),
    WORD("\xd0\0"),
    WORD("\x30\x1a\0\x16t/peer0123456789abcdef!!"),
    WORD("\x32\x1f\0\x16t/peer0123456789abcdef\0\1hello"),
    WORD("\x3b\x1f\0\x16t/peer0123456789abcdef\0\1hello"),
    WORD("\x30\x18\0\x16t/peer0123456789abcdex"),
    WORD("\x31\x05\0\1xhi"),
    WORD("\x30\x1c\0\6t/willpeer0123456789abcdef"),
    WORD("\x30\x83\1\0\1x"),
    WORD("\x30\x81\x80\x80\0"),
    WORD("\x30\x80\x80\x80\x80\1"),
    WORD("\x30\2\0\0"),
    WORD("\x32\5\0\1t\0\0"),
    WORD("\x34\5\0\1t\0\1"),
    WORD("\x30\3\xff\xff"),
    WORD("\x20\3"),
    WORD("\x32\4\0\1"),
    WORD("hello"),
};

struct payload {
    uint32_t len;
    uint64_t sum;
};

static void take_piece(struct payload *payload, const struct mqtt_reader *reader,
                       const struct mqtt_piece *piece)
{
    insist(reader->type == MQTT_PUBLISH && piece->at == payload->len);
    for (size_t i = 0; i < piece->len; i++)
        payload->sum = payload->sum * 31 + piece->data[i];
    payload->len += (uint32_t)piece->len;
    insist(payload->len <= reader->payload);
}

static void tell_packet(struct told *told, const struct mqtt_reader *reader,
                        const struct payload *payload)
{
    insist(mqtt_name(reader->type)[0] && reader->qos <= 1);
    if (reader->type == MQTT_PUBLISH)
        insist(payload->len == reader->payload && (!reader->qos || reader->id));
    else
        insist(payload->len == 0);
    tell(told, (uint64_t)reader->type << 56 | (uint64_t)reader->qos << 48 |
                   (uint64_t)reader->stranger << 40 | (uint64_t)reader->retained << 41 |
                   (uint64_t)reader->dup << 42 | (uint64_t)reader->will << 43 | reader->payload);
    tell(told, payload->sum << 16 | reader->id);
}

static void read_all(struct told *told, const char *text, size_t len, size_t step)
{
    static const struct mqtt_topic topic = {
        .begins = "t/", .begins_len = 2, .id = "peer0123456789abcdef", .will = "t/will"};
    struct mqtt_reader reader = {0};
    struct payload payload = {0};
    struct mqtt_told told_now;
    const struct mqtt_piece *piece = &told_now.piece;

    for (size_t at = 0; at < len; at += told_now.used) {
        const size_t part = MIN(step, len - at);
        uint8_t *copy = malloc(part);
        insist(copy);
        memcpy(copy, text + at, part);
        const enum mqtt_read found = mqtt_read(&reader, &topic, copy, part, &told_now);
        const size_t used = told_now.used;
        insist(used <= part && (used > 0 || found == MQTT_WRONG));
        insist(!piece->len || (piece->data >= copy && piece->data + piece->len == copy + used));
        insist(found != MQTT_MORE || used == part);
        if (piece->len)
            take_piece(&payload, &reader, piece);
        free(copy);
        if (found == MQTT_WRONG) {
            insist(told_now.why[0] && memchr(told_now.why, 0, MQTT_WHY) &&
                   !strpbrk(told_now.why, "\r\n"));
            tell(told, UINT64_MAX - reader.type);
            return;
        }
        if (found == MQTT_PACKET) {
            tell_packet(told, &reader, &payload);
            payload = (struct payload){0};
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char text[TEXT_MOST];

    if (len < 2)
        return 0;
    const size_t text_len = text_of_words(words, ARRAY_SIZE(words), 0xe0, 0, data + 1, len - 1, text);
    insist_cuts_tell_nothing(read_all, text, text_len, 1 + data[0] % 13);
    return 0;
}
