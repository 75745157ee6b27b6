/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_PACKET_EXERCISE_H
#define TESTS_PACKET_EXERCISE_H

#include "packet/checksum.h"
#include "packet/parse.h"
#include "packet/segment.h"
#include "support/packet_format.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Runs one frame of any content through all that reads frames, and checks what must hold for every
 * frame. Shared by the mutation test and the fuzz target; the sanitizers watch the memory.
 */

#define EXERCISE_CHECK(condition)                                                                  \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* Bounds that the users of a struct packet rely on. */
static inline void exercise_bounds(const struct packet *packet, size_t len, int status)
{
    size_t end = packet->ip_at + (size_t)packet->ip_len;

    EXERCISE_CHECK(end <= len);
    EXERCISE_CHECK(packet->transport_at == 0 || packet->transport_at < end);
    EXERCISE_CHECK(packet->payload_at + (size_t)packet->payload_len <= end);
    if (packet->kind == PACKET_TCP || packet->kind == PACKET_UDP) {
        EXERCISE_CHECK(packet->transport_at > packet->ip_at);
        EXERCISE_CHECK(packet->payload_at >= packet->transport_at + 8);
    }
    if (packet->kind == PACKET_ICMP || packet->kind == PACKET_ND_SOLICIT)
        EXERCISE_CHECK(packet->transport_at + (size_t)8 <= end);
    if (packet->kind == PACKET_ARP)
        EXERCISE_CHECK(packet->arp_at + (size_t)28 <= len);
    if (packet->kind != PACKET_OTHER)
        EXERCISE_CHECK(packet->src.family == packet->dst.family && packet->src.family);
    else
        EXERCISE_CHECK(packet->src.family == 0 && packet->ip_len == 0);
    if (status == 0 && packet->ip_version)
        EXERCISE_CHECK(packet->kind != PACKET_OTHER);
}

struct exercise_split {
    enum frame_layer layer;
    bool super;
    size_t payload;
    int frames;
};

static inline void exercise_emit(void *user, struct frame *frame)
{
    struct exercise_split *split = user;
    struct packet packet;
    int status = packet_parse(frame->data, frame->len, split->layer, &packet);

    EXERCISE_CHECK(frame->offload.flags == 0 && frame->offload.gso_type == 0);
    if (split->super) {
        EXERCISE_CHECK(status == 0);
        EXERCISE_CHECK(checksum_verify(frame->data, frame->len, &packet));
    }
    split->payload += packet.payload_len;
    split->frames++;
    frame_put(frame);
}

static inline void exercise_packet(const uint8_t *data, size_t len, enum frame_layer layer,
                                   const struct frame_offload *offload, size_t cut, size_t room)
{
    struct frame_pool pool;
    struct packet packet;
    char line[256];

    int status = packet_parse(data, len, layer, &packet);
    EXERCISE_CHECK(status <= 0);
    exercise_bounds(&packet, len, status);
    (void)checksum_verify(data, len, &packet);
    room = room % sizeof(line) + 1;
    EXERCISE_CHECK(strlen(packet_format(data, len, layer, line, room)) < room);

    cut = len ? cut % len : 0;
    struct iovec iov[3] = {
        {(void *)(uintptr_t)data, cut}, {NULL, 0}, {(void *)(uintptr_t)(data + cut), len - cut}};
    struct exercise_split split = {layer, offload->gso_type != FRAME_GSO_NONE, 0, 0};
    frame_pool_init(&pool);
    const struct frame_parts parts = {iov, 3, offload};
    int count = segment_split(&parts, layer, &pool, exercise_emit, &split);
    EXERCISE_CHECK(count < 0 ? split.frames == 0 : split.frames == count);
    if (count > 0 && split.super)
        EXERCISE_CHECK(status == 0 && split.payload == packet.payload_len);
    frame_pool_done(&pool);
}

#endif
