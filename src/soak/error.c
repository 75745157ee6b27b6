/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Errors of a soak: counted by kind, and the first of each kind in words. The words say what the
 * application had sent before it gave up, since that is mostly the reason ("Too many connections").
 * How an answer begins is kept for that in a small table by the flow's number, so that it costs no
 * flow anything: where another flow has taken its place nothing is said.
 */
#include "base/macro.h"
#include "soak/run.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void count_error(struct run *run, enum peer_soak_error kind)
{
    struct peer_soak_counts *counts = &run->measure.found.counts;
    uint64_t *const counters[] = {[PEER_SOAK_REFUSED] = &counts->refused,
                                  [PEER_SOAK_RESET] = &counts->reset,
                                  [PEER_SOAK_TIMEOUT] = &counts->timeout,
                                  [PEER_SOAK_BAD_ANSWER] = &counts->bad_answer,
                                  [PEER_SOAK_CLOSED_EARLY] = &counts->closed_early,
                                  [PEER_SOAK_STATUS] = &counts->unexpected_status,
                                  [PEER_SOAK_CLOSED_IDLE] = &counts->closed_idle,
                                  [PEER_SOAK_LOGIN] = &counts->login,
                                  [PEER_SOAK_FULL] = &counts->full,
                                  [PEER_SOAK_TLS_PROTOCOL] = &counts->tls_protocol,
                                  [PEER_SOAK_TLS_CERTIFICATE] = &counts->tls_certificate,
                                  [PEER_SOAK_TLS_CLOSED] = &counts->tls_closed};
    ++*counters[kind];
}

/* The answer that is awaited has begun; without a request, anything came. */
static bool has_spoken(const struct client *client)
{
    const struct request *request = client_request(client);

    return request ? request->first_byte : client->spoke;
}

/* The first line of what was sent, made printable. */
static void print_said(const struct said *said, char *text, size_t room)
{
    size_t at = 0, len = 0;

    while (at < said->len && isspace((unsigned char)said->text[at]))
        at++;
    for (; at < said->len && len < room - 1; at++) {
        char byte = said->text[at];
        if (byte == '\r' || byte == '\n')
            break;
        text[len++] = isprint((unsigned char)byte) ? byte : '.';
    }
    text[len] = 0;
}

/* The first of its kind is kept in words, with what the application had sent when it gave up. */
__attribute__((format(printf, 4, 0))) static void note_first(struct run *run,
                                                             const struct client *client,
                                                             enum peer_soak_error kind,
                                                             const char *format, va_list arguments)
{
    struct measure *measure = &run->measure;
    char *text = measure->found.first_errors[kind];
    const size_t room = sizeof(measure->found.first_errors[kind]);

    if (text[0])
        return;
    vsnprintf(text, room, format, arguments);
    if (!measure->found.first_error)
        measure->found.first_error = (uint8_t)(kind + 1);
    const struct said *said = &run->soak->said[client->id % SAID_CLIENTS];
    bool gave_up =
        kind == PEER_SOAK_CLOSED_EARLY || kind == PEER_SOAK_RESET || kind == PEER_SOAK_TIMEOUT;
    if (gave_up && has_spoken(client) && said->id == client->id) {
        char begins[sizeof(said->text) + 1];
        size_t len = strlen(text);
        print_said(said, begins, sizeof(begins));
        if (begins[0])
            snprintf(text + len, room - len, "; it had sent \"%s\"", begins);
    }
}

void run_error(struct run *run, const struct client *client, uint64_t at_ns,
               enum peer_soak_error kind, const char *format, va_list arguments)
{
    if (!run_counts(run, at_ns))
        return;
    count_error(run, kind);
    note_first(run, client, kind, format, arguments);
}

void client_said(struct client *client, const void *data, size_t len)
{
    struct said *said = &client->run->soak->said[client->id % SAID_CLIENTS];

    said->id = client->id;
    said->len = MIN(len, sizeof(said->text));
    memcpy(said->text, data, said->len);
}

const char *client_closed_text(const struct client *client)
{
    if (flow_end(&client->flow) == PEER_END_UNREACHABLE)
        return client_unreachable_text(client);
    return run_asks(client->run) ? "closed before the answer was complete"
                                 : "closed by the application";
}

enum peer_soak_error client_tls_error(const struct client *client, const char **ret_text)
{
    static const enum peer_soak_error kinds[PEER_TLS_ERRORS] = {
        [PEER_TLS_NO_ERROR] = PEER_SOAK_TLS_PROTOCOL,
        [PEER_TLS_PROTOCOL] = PEER_SOAK_TLS_PROTOCOL,
        [PEER_TLS_CERTIFICATE] = PEER_SOAK_TLS_CERTIFICATE,
        [PEER_TLS_CLOSED] = PEER_SOAK_TLS_CLOSED,
    };

    *ret_text = tls_reason(&client->flow);
    return kinds[tls_error(&client->flow)];
}

const char *client_late_text(const struct client *client, const struct request *request)
{
    const struct protocol_ops *ops = client_ops(client);
    const char *text = request && ops->late ? ops->late(client, request) : NULL;

    if (text)
        return text;
    if (client->state == CLIENT_CONNECTING && client->flow.state >= FLOW_OPEN)
        return "no answer to the handshake of TLS";
    return client->state == CLIENT_CONNECTING ? "no answer to the handshake" : "no answer in time";
}

const char *client_unreachable_text(const struct client *client)
{
    static const struct {
        uint8_t family, type, code;
        const char *text;
    } texts[] = {
        {4, 3, 0, "unreachable: no network (ICMP)"},
        {4, 3, 1, "unreachable: no such host (ICMP)"},
        {4, 3, 2, "unreachable: no such protocol (ICMP)"},
        {4, 3, 3, "port unreachable"},
        {4, 3, 9, "unreachable: network administratively prohibited (ICMP)"},
        {4, 3, 10, "unreachable: host administratively prohibited (ICMP)"},
        {4, 3, 13, "unreachable: administratively prohibited (ICMP)"},
        {6, 1, 0, "unreachable: no route (ICMPv6)"},
        {6, 1, 1, "unreachable: administratively prohibited (ICMPv6)"},
        {6, 1, 3, "unreachable: no such host (ICMPv6)"},
        {6, 1, 4, "port unreachable"},
        {6, 1, 5, "unreachable: source refused by policy (ICMPv6)"},
        {6, 1, 6, "unreachable: route rejects it (ICMPv6)"},
    };
    uint8_t type, code;

    flow_icmp(&client->flow, &type, &code);
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        if (texts[i].family == client->run->config.to.family && texts[i].type == type &&
            texts[i].code == code)
            return texts[i].text;
    return "unreachable";
}
