/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Errors of a soak: counted by kind, and the first of each kind in words. The words say what the
 * application had sent before it gave up, since that is mostly the reason ("Too many connections").
 * How an answer begins is kept for that in a small table by the flow's number, so that it costs no
 * flow anything: where another flow has taken its place nothing is said.
 */
#include "base/macro.h"
#include "workload/soak.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void count_error(struct soak *soak, enum soak_error kind)
{
    struct peer_soak_counts *counts = &soak->measure.counts;
    uint64_t *const counters[] = {
        [SOAK_REFUSED] = &counts->refused,           [SOAK_RESET] = &counts->reset,
        [SOAK_TIMEOUT] = &counts->timeout,           [SOAK_BAD_ANSWER] = &counts->bad_answer,
        [SOAK_CLOSED_EARLY] = &counts->closed_early, [SOAK_STATUS] = &counts->unexpected_status,
        [SOAK_CLOSED_IDLE] = &counts->closed_idle};
    ++*counters[kind];
}

bool soak_counts(const struct soak_flow *flow)
{
    return flow->intended_ns >= flow->soak->measure.start_ns;
}

/* The first of its kind is kept in words, with what the application had sent when it gave up. */
__attribute__((format(printf, 3, 0))) static void note_first(struct soak_flow *flow,
                                                             enum soak_error kind,
                                                             const char *format, va_list arguments)
{
    struct soak *soak = flow->soak;
    char *text = soak->first_errors[kind];
    const size_t room = sizeof(soak->first_errors[kind]);

    if (text[0])
        return;
    vsnprintf(text, room, format, arguments);
    if (!soak->first_error)
        soak->first_error = text;
    const struct soak_said said = soak->said[flow->id % SOAK_SAID];
    bool gave_up = kind == SOAK_CLOSED_EARLY || kind == SOAK_RESET || kind == SOAK_TIMEOUT;
    if (gave_up && flow->first_byte && said.len && said.id == flow->id) {
        size_t len = strlen(text);
        snprintf(text + len, room - len, "; it had sent \"%.*s\"", said.len, said.text);
    }
}

void soak_error_args(struct soak_flow *flow, enum soak_error kind, const char *format,
                     va_list arguments)
{
    bool asked = flow->state == SOAK_CONNECTING || flow->state == SOAK_BUSY;

    if (asked && !soak_counts(flow))
        return;
    count_error(flow->soak, kind);
    note_first(flow, kind, format, arguments);
}

void soak_error(struct soak_flow *flow, enum soak_error kind, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    soak_error_args(flow, kind, format, arguments);
    va_end(arguments);
}

void soak_said(struct soak_flow *flow, const void *data, size_t len)
{
    struct soak_said *said = &flow->soak->said[flow->id % SOAK_SAID];
    const char *from = data;

    said->id = flow->id;
    said->len = 0;
    while (len && isspace((unsigned char)*from))
        from++, len--;
    for (; len && said->len < (int)sizeof(said->text) && *from != '\r' && *from != '\n'; len--) {
        said->text[said->len++] = isprint((unsigned char)*from) ? *from : '.';
        from++;
    }
}

void soak_answered(struct soak_flow *flow, unsigned status, bool right)
{
    struct soak *soak = flow->soak;
    unsigned code = status < PEER_STATUS_CODES ? status : 0;
    unsigned class = code / 100 < PEER_STATUS_CLASSES ? code / 100 : 0;
    bool counts = soak_counts(flow);

    soak->measure.counts.statuses[class] += counts;
    soak->measure.codes[code] += counts;
    if (!right)
        soak_lose(flow, SOAK_STATUS, "status %u", status);
    else
        soak_complete(flow);
}

const char *soak_closed_text(const struct soak_flow *flow)
{
    if (flow_end(&flow->flow) == PEER_END_UNREACHABLE)
        return soak_unreachable_text(flow);
    return soak_asks(flow->soak) ? "closed before the answer was complete"
                                    : "closed by the application";
}

const char *soak_timeout_text(const struct soak_flow *flow)
{
    const struct protocol_ops *ops = flow->soak->ops;
    const char *text = flow->state == SOAK_BUSY && ops->late ? ops->late(flow) : NULL;

    if (text)
        return text;
    return flow->state == SOAK_CONNECTING ? "no answer to the handshake" : "no answer in time";
}

const char *soak_unreachable_text(const struct soak_flow *flow)
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

    flow_icmp(&flow->flow, &type, &code);
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        if (texts[i].family == flow->soak->config.to.family && texts[i].type == type &&
            texts[i].code == code)
            return texts[i].text;
    return "unreachable";
}
