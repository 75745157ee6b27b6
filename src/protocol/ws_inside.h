/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PROTOCOL_WS_INSIDE_H
#define PROTOCOL_WS_INSIDE_H

/*
 * What the files of WebSocket share: a client, its control frames, and its pings (ws_ping.c). See ws.c.
 */
#include "protocol/ws_frame.h"
#include "protocol/ws_upgrade.h"
#include "soak/protocol.h"

#include "base/timer.h"
#include "http/body.h"

struct ws_run {
    struct ws_upgrade upgrade;
    bool text;
    uint32_t fragments;
    uint64_t message_bytes; /* of a message on the wire */
};

/* Pings of ours, one at a time. */
struct ws_ping {
    struct timer timer; /* the next, or until when the pong has to be there */
    struct client *client;
    uint64_t sent_ns;
    uint32_t number; /* of the latest, which is what it says */
    bool due, awaited, answered;
};

/* What is said beside messages. */
struct ws_talk {
    uint8_t len; /* of the control frame that is read */
    uint8_t data[WS_CONTROL_MOST];
    uint8_t pong_len;
    uint8_t pong[WS_CONTROL_MOST];
    bool reads, pongs; /* what of both there is */
    bool closes;       /* it is a close, and whole */
};

enum ws_state {
    WS_UPGRADING,
    WS_UPGRADED, /* the answer was read, and nobody was told yet */
    WS_OPEN,
};

struct ws_client {
    union {
        struct http_collect head; /* UPGRADING: of the answer */
        struct ws_reader reader;
    };
    struct ws_talk *talk; /* NULL: nothing */
    struct ws_ping *ping; /* NULL: none are asked for */
    uint64_t received;    /* of this message */
    uint8_t state;
    bool said_close, heard_close;
};

static inline struct ws_client *ws_of(const struct client *client)
{
    return client_own(client);
}

static inline const struct ws_run *run_of(const struct client *client)
{
    return client_run(client);
}

/* Nothing of a message is half written. */
bool ws_is_between_frames(const struct client *client);
/* A whole control frame, if there is room for it. */
bool ws_send_control(struct client *client, enum ws_opcode opcode, const uint8_t *data, size_t len);

/* Pings begin, where they are asked for; false: the client is over. */
bool ws_ping_begin(struct client *client);
/* The one that is due leaves as soon as that can be. */
void ws_ping_send(struct client *client);
/* A pong is whole; and then, when it was consumed, what follows from it, which may be the client's end. */
void ws_ping_hear_pong(const struct ws_client *ws);
void ws_ping_look(struct client *client);
void ws_ping_done(struct client *client);

#endif
