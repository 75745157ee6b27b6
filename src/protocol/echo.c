/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Messages that must come back unchanged. Every byte is a function of the run's seed, the flow and
 * its place in the stream, so what the application loses, doubles or reorders is found at the first
 * wrong byte.
 *
 * A datagram is the part of the stream that begins at (its number * its size): an answer that is
 * older than the request under way is told apart from a wrong one, since the bytes tell their place.
 * Of the last 64 requests a bit each (`answered`, the latest is bit 0) says whether it had an answer,
 * of those before the latest that had none are kept: what comes for one that had an answer is there
 * twice, for one that had not it is late.
 */
#include "protocol/table.h"
#include "soak/pattern.h"

#include "base/macro.h"

#include <stdio.h>

enum { RECENT = 64, LOST_KEPT = 8 };

struct echo {
    uint64_t base;     /* of the stream: where this message begins */
    uint64_t received; /* TCP: taken so far */
};

/* Behind it, with UDP alone: a hundred thousand idle connections need none. */
struct older {
    uint64_t answered;                    /* of the last RECENT requests, a bit each */
    uint32_t lost[LOST_KEPT], lost_count; /* older ones without an answer; 0: it came late */
};

static struct echo *echo_of(const struct client *client)
{
    return client_own(client);
}

static struct older *older_of(const struct client *client)
{
    return (struct older *)(void *)(echo_of(client) + 1);
}

static uint64_t size_of(const struct client *client)
{
    return client_config(client)->message_bytes;
}

/* ---- TCP ---- */

static void make(struct client *client, uint64_t at, void *out, size_t len)
{
    pattern_fill(client_key(client), echo_of(client)->base + at, out, len);
}

static void echo_send(struct client *client, struct request *request)
{
    (void)request_send_made(request, size_of(client), make);
}

static void echo_ask(struct client *client, struct request *request)
{
    echo_of(client)->base = echo_of(client)->received;
    echo_send(client, request);
}

static enum taken echo_take(struct client *client, struct request *request, const char *data,
                            size_t len, size_t *ret_used)
{
    struct echo *echo = echo_of(client);

    if (echo->received + len > echo->base + request_sent(request)) {
        client_fail(client, PEER_SOAK_BAD_ANSWER, "more came back than was sent");
        return TAKEN_WRONG;
    }
    int64_t wrong = pattern_check(client_key(client), echo->received, data, len);
    if (wrong >= 0) {
        client_fail(client, PEER_SOAK_BAD_ANSWER,
                    "byte %lld of what came back differs from what was sent", (long long)wrong);
        return TAKEN_WRONG;
    }
    echo->received += len;
    *ret_used = len;
    return echo->received == echo->base + size_of(client) ? TAKEN_ANSWER : TAKEN_MORE;
}

static const struct protocol_ops echo_tcp = {
    .kind = PROTOCOL_ASKS, .ask = echo_ask, .take = echo_take, .writable = echo_send};

/* ---- UDP ---- */

static uint64_t base_of(const struct client *client, uint32_t number)
{
    return (uint64_t)(number - 1) * size_of(client);
}

/* The next one is asked: all are one older. */
static void grow_older(struct older *older, uint32_t asked)
{
    if (asked > RECENT && !(older->answered >> (RECENT - 1)))
        older->lost[older->lost_count++ % LOST_KEPT] = asked - RECENT;
    older->answered <<= 1;
}

static void datagram_send(struct client *client, struct request *request)
{
    size_t size = (size_t)size_of(client);
    uint8_t *scratch = client_scratch(client);

    (void)request;
    echo_of(client)->base = base_of(client, client_asked(client));
    grow_older(older_of(client), client_asked(client));
    pattern_fill(client_key(client), echo_of(client)->base, scratch, size);
    (void)client_write(client, scratch, size, 0); /* a datagram that is not sent is lost */
}

/* Which earlier datagram is it? How many requests ago that was; 0: none. Short ones are looked for
   among the latest. */
static uint32_t age_of(const struct client *client, const void *data, size_t len)
{
    uint32_t asked = client_asked(client);
    uint64_t at;

    if (pattern_find(client_key(client), data, len, &at)) {
        uint64_t number = at / len + 1;
        return at % len == 0 && number < asked ? asked - (uint32_t)number : 0;
    }
    for (uint32_t back = 1; back < RECENT && back < asked; back++) {
        if (pattern_check(client_key(client), base_of(client, asked - back), data, len) < 0)
            return back;
    }
    return 0;
}

/* Whether an older one had no answer, before this one came. */
static bool was_lost(struct older *older, uint32_t number)
{
    for (size_t i = 0; i < LOST_KEPT; i++) {
        if (older->lost[i] != number)
            continue;
        older->lost[i] = 0;
        return true;
    }
    return false;
}

static void count_older(struct client *client, uint32_t age)
{
    struct peer_soak_counts *counts = client_counts(client);
    struct older *older = older_of(client);
    bool late;

    if (age < RECENT) {
        uint64_t bit = UINT64_C(1) << age;
        late = !(older->answered & bit);
        older->answered |= bit;
    } else {
        late = was_lost(older, client_asked(client) - age);
    }
    if (late)
        counts->late++;
    else
        counts->duplicates++;
}

/* Fits no request: in what it differs from the last one. */
static void wrong_datagram(struct client *client, struct request *request, const void *data,
                           size_t len)
{
    size_t size = (size_t)size_of(client);
    char text[96];

    if (len != size)
        snprintf(text, sizeof(text), "a datagram of %zu bytes came back for one of %zu", len, size);
    else
        snprintf(text, sizeof(text), "byte %lld of what came back differs from what was sent",
                 (long long)pattern_check(client_key(client), echo_of(client)->base, data, len));
    if (request)
        request_lose(request, PEER_SOAK_BAD_ANSWER, "%s", text);
    else
        client_error(client, PEER_SOAK_BAD_ANSWER, "%s", text);
}

static void datagram_take(struct client *client, struct request *request, const void *data,
                          size_t len)
{
    uint64_t base = echo_of(client)->base;
    bool whole = len == size_of(client);
    uint32_t age;

    if (whole && pattern_check(client_key(client), base, data, len) < 0) {
        if (!request) {
            count_older(client, 0);
            return;
        }
        older_of(client)->answered |= 1;
        request_first_byte(request);
        request_done(request);
    } else if (whole && (age = age_of(client, data, len)) != 0) {
        count_older(client, age);
    } else {
        wrong_datagram(client, request, data, len);
    }
}

static const struct protocol_ops echo_udp = {
    .kind = PROTOCOL_ASKS, .ask = datagram_send, .datagram = datagram_take};

const struct protocol protocol_echo = {
    .name = "echo",
    .takes = PROTOCOL_TAKES_MESSAGES,
    .tcp = &echo_tcp,
    .udp = &echo_udp,
    .client_bytes = sizeof(struct echo),
    .datagram_bytes = sizeof(struct older),
};
