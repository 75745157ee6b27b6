/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Queries and answers of DNS, over UDP or TCP: several at once on a flow, whose answers come in any
 * order.
 *
 * A client has a table of slots, at least twice as many as requests at once. An id is a slot and its
 * turn (how often it was used), shuffled by a key of the client's: no two that are under way share
 * one, nobody can tell the next, and an answer is found without a search. Slots are used in turn, those
 * whose answer never came last: so an answer that comes late or twice is known as that.
 *
 * An answer that fits no request is an error and takes none with it: as a resolver does, the request
 * waits on for its own. One with the right id that says something else than was asked, or is none at
 * all, is its request's.
 */
#include "protocol/dns_queries.h"
#include "protocol/dns_retry.h"
#include "protocol/table.h"

#include "base/error.h"
#include "base/macro.h"

#include <ares.h>
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS_LEAST = 4, PIPELINE_MOST = 16384, NO_SLOT = UINT16_MAX, TURNS_KNOWN = 8 };

enum slot_state {
    SLOT_FREE, /* was never used */
    SLOT_ASKED,
    SLOT_AGAIN, /* its answer was cut: asked over TCP */
    SLOT_ANSWERED,
    SLOT_LOST,
};

struct slot {
    struct request *request; /* ASKED, AGAIN */
    uint32_t query;
    uint16_t turn, next; /* `next`: in a queue */
    uint8_t state;
    uint8_t answered; /* of the turns before this one: the latest is bit 0 */
    bool unsent;      /* TCP: in the queue of those that are not written */
};

struct queue {
    uint16_t first, last;
};

/* A flow's. */
struct dns_client {
    struct slot *slots; /* NULL: it is not open */
    uint8_t slot_bits;
    struct queue done, lost; /* that may be used */
    struct queue unsent;     /* TCP: in their order */
    uint16_t unsent_done;    /* bytes of the first that are written */
    uint32_t part_len;       /* TCP: of a message of which some came */
    uint8_t *part;
    struct list retries;
};

/* What an answer was found to be. */
struct verdict {
    enum { NOBODYS, TWICE, LATE, ANSWERS } what;
    uint16_t slot;
    struct dns_answer answer;
    const char *why; /* NULL: it is right */
    char text[320];
};

struct dns_run {
    struct dns_queries queries;
    size_t next;
    bool expects; /* only `expected` RCODEs are right */
    bool expected[DNS_RCODES];
    struct verdict verdict; /* TCP: of what was taken last */
};

static struct dns_client *dns_of(const struct client *client)
{
    return client_own(client);
}

static struct dns_run *run_of(const struct client *client)
{
    return client_run(client);
}

/* ---- slots ---- */

static void queue_add(struct dns_client *dns, struct queue *queue, uint16_t slot)
{
    dns->slots[slot].next = NO_SLOT;
    if (queue->first == NO_SLOT)
        queue->first = slot;
    else
        dns->slots[queue->last].next = slot;
    queue->last = slot;
}

static uint16_t queue_pop(struct dns_client *dns, struct queue *queue)
{
    uint16_t slot = queue->first;

    if (slot != NO_SLOT)
        queue->first = dns->slots[slot].next;
    return slot;
}

static unsigned mix(uint64_t key, unsigned round, unsigned half)
{
    return ((half + 1) * (unsigned)(key >> 16 * round | 1) * 0x9e3779b1u) >> 24;
}

/* A bijection of 16 bits, and back: four rounds of a Feistel network. */
static uint16_t shuffle(uint64_t key, uint16_t id)
{
    unsigned left = id >> 8, right = id & 0xff;

    for (unsigned round = 0; round < 4; round++) {
        unsigned other = left ^ mix(key, round, right);
        left = right;
        right = other;
    }
    return (uint16_t)(left << 8 | right);
}

static uint16_t unshuffle(uint64_t key, uint16_t id)
{
    unsigned left = id >> 8, right = id & 0xff;

    for (unsigned round = 4; round-- > 0;) {
        unsigned other = right ^ mix(key, round, left);
        right = left;
        left = other;
    }
    return (uint16_t)(left << 8 | right);
}

static uint16_t turns_mask(const struct dns_client *dns)
{
    return (uint16_t)(UINT16_MAX >> dns->slot_bits);
}

static uint16_t id_of(const struct client *client, uint16_t slot)
{
    const struct dns_client *dns = dns_of(client);
    unsigned turn = dns->slots[slot].turn;

    return shuffle(client_key(client), (uint16_t)(turn << dns->slot_bits | slot));
}

static uint32_t at_once(const struct client *client)
{
    uint64_t pipeline = client_config(client)->pipeline;

    return pipeline ? (uint32_t)pipeline : 1;
}

static bool make_slots(struct client *client)
{
    struct dns_client *dns = dns_of(client);
    uint32_t count = SLOTS_LEAST;

    for (dns->slot_bits = 2; count < 2 * at_once(client); count *= 2)
        dns->slot_bits++;
    dns->slots = calloc(count, sizeof(*dns->slots));
    if (!dns->slots)
        return false;
    list_init(&dns->retries);
    dns->done.first = dns->lost.first = dns->unsent.first = NO_SLOT;
    for (uint32_t i = 0; i < count; i++)
        queue_add(dns, &dns->done, (uint16_t)i);
    return true;
}

static uint16_t slot_take(struct client *client, struct request *request)
{
    struct dns_client *dns = dns_of(client);
    struct dns_run *run = run_of(client);

    uint16_t index = queue_pop(dns, &dns->done);
    if (index == NO_SLOT)
        index = queue_pop(dns, &dns->lost);
    assert(index != NO_SLOT);
    struct slot *slot = &dns->slots[index];
    slot->answered = (uint8_t)(slot->answered << 1 | (slot->state == SLOT_ANSWERED));
    slot->turn = (slot->turn + 1) & turns_mask(dns);
    slot->state = SLOT_ASKED;
    slot->request = request;
    slot->query = (uint32_t)run->next;
    run->next = run->next + 1 < run->queries.count ? run->next + 1 : 0;
    return index;
}

/* Its request is over, or about to be. */
static struct request *slot_end(struct client *client, uint16_t index, enum slot_state state)
{
    struct dns_client *dns = dns_of(client);
    struct slot *slot = &dns->slots[index];
    struct request *request = slot->request;

    slot->request = NULL;
    slot->state = (uint8_t)state;
    if (!slot->unsent)
        queue_add(dns, state == SLOT_ANSWERED ? &dns->done : &dns->lost, index);
    return request;
}

/* ---- queries ---- */

/* As it leaves, with its two bytes of length. */
static size_t make_query(const struct client *client, uint16_t index,
                         uint8_t out[2 + DNS_QUERY_MOST])
{
    const uint8_t *query =
        dns_query_at(&run_of(client)->queries, dns_of(client)->slots[index].query);
    size_t len = 2 + dns_query_len(query);
    uint16_t id = id_of(client, index);

    memcpy(out, query, len);
    out[2] = (uint8_t)(id >> 8);
    out[3] = (uint8_t)id;
    return len;
}

static void udp_ask(struct client *client, struct request *request)
{
    uint8_t query[2 + DNS_QUERY_MOST];
    size_t len = make_query(client, slot_take(client, request), query);

    (void)client_write(client, query + 2, len - 2, 0); /* a datagram that is not sent is lost */
}

/* Its bytes are to be written: it is still asked, or begun, and goes on to its end then. */
static bool is_to_send(const struct dns_client *dns, uint16_t index)
{
    return dns->slots[index].request || (index == dns->unsent.first && dns->unsent_done);
}

/* What waits, one behind the other, as much as there is room for. */
static size_t gather_unsent(struct client *client, uint8_t *out)
{
    const struct dns_client *dns = dns_of(client);
    size_t len = 0;

    for (uint16_t i = dns->unsent.first; i != NO_SLOT; i = dns->slots[i].next) {
        if (len + 2 + DNS_QUERY_MOST > SOAK_SCRATCH_BYTES)
            break;
        if (is_to_send(dns, i))
            len += make_query(client, i, out + len);
    }
    return len;
}

/* So many bytes of these are written. */
static void note_sent(struct client *client, size_t done)
{
    struct dns_client *dns = dns_of(client);

    while (dns->unsent.first != NO_SLOT) {
        uint16_t index = dns->unsent.first;
        struct slot *slot = &dns->slots[index];
        const uint8_t *query = dns_query_at(&run_of(client)->queries, slot->query);
        size_t len = is_to_send(dns, index) ? 2 + dns_query_len(query) : 0;
        if (done < len) {
            dns->unsent_done = (uint16_t)done;
            return;
        }
        done -= len;
        dns->unsent_done = 0;
        queue_pop(dns, &dns->unsent);
        slot->unsent = false;
        if (!slot->request)
            queue_add(dns, slot->state == SLOT_ANSWERED ? &dns->done : &dns->lost, index);
    }
}

static void tcp_send(struct client *client)
{
    struct dns_client *dns = dns_of(client);
    uint8_t *scratch = client_scratch(client);

    while (dns->unsent.first != NO_SLOT) {
        size_t begun = dns->unsent_done, len = gather_unsent(client, scratch) - begun;
        ssize_t done = len ? client_write(client, scratch + begun, len, 0) : 0;
        if (done < 0 && done != -EAGAIN) {
            if (client_flow(client)->state != FLOW_ENDED) /* which is told */
                client_fail(client, PEER_SOAK_CLOSED_EARLY, "closed before the request was sent");
            return;
        }
        note_sent(client, begun + (size_t)MAX(done, 0));
        if (done < (ssize_t)len)
            return;
    }
}

static void tcp_writable(struct client *client, struct request *request)
{
    (void)request;
    tcp_send(client);
}

/* It leaves with those that are asked at the same time. */
static void tcp_ask(struct client *client, struct request *request)
{
    struct dns_client *dns = dns_of(client);
    uint16_t index = slot_take(client, request);

    dns->slots[index].unsent = true;
    queue_add(dns, &dns->unsent, index);
}

/* ---- an answer: what is it? ---- */

/* Whose it is, by its id. */
static void find_slot(const struct client *client, const uint8_t *data, struct verdict *verdict)
{
    const struct dns_client *dns = dns_of(client);
    uint16_t plain = unshuffle(client_key(client), dns_id(data));
    uint16_t index = (uint16_t)(plain & ((1u << dns->slot_bits) - 1));
    const struct slot *slot = &dns->slots[index];
    unsigned ago = (unsigned)(slot->turn - (plain >> dns->slot_bits)) & turns_mask(dns);

    verdict->slot = index;
    if (ago == 0 && slot->state == SLOT_ASKED)
        verdict->what = ANSWERS;
    else if (ago == 0 && slot->state == SLOT_LOST)
        verdict->what = LATE;
    else if (ago == 0 && slot->state != SLOT_FREE)
        verdict->what = TWICE;
    else if (ago && ago <= TURNS_KNOWN && ago < slot->turn)
        verdict->what = slot->answered >> (ago - 1) & 1 ? TWICE : LATE;
}

/* What it is about instead of what was asked. */
static void tell_other(const uint8_t *data, size_t len, size_t other, struct verdict *verdict)
{
    char *name = NULL;
    long used;

    if (!other || ares_expand_name(data + other, data, (int)len, &name, &used) != ARES_SUCCESS)
        return;
    snprintf(verdict->text, sizeof(verdict->text), "%s: \"%s\"", verdict->why, name);
    verdict->why = verdict->text;
    ares_free_string(name);
}

static void judge(const struct client *client, unsigned slot, const uint8_t *data, size_t len,
                  struct verdict *verdict)
{
    const uint8_t *query =
        dns_query_at(&run_of(client)->queries, dns_of(client)->slots[slot].query);
    size_t other;

    verdict->why = dns_answer_read(data, len, query + 2, &verdict->answer, &other);
    if (verdict->why)
        tell_other(data, len, other, verdict);
}

static void look(const struct client *client, const uint8_t *data, size_t len,
                 struct verdict *verdict)
{
    verdict->what = NOBODYS;
    verdict->why = len < DNS_HEADER ? "it is shorter than the header of a DNS message"
                                    : "its id is of no request";
    if (len >= DNS_HEADER)
        find_slot(client, data, verdict);
    if (verdict->what == ANSWERS)
        judge(client, verdict->slot, data, len, verdict);
}

/* ---- what becomes of it ---- */

static void finish(struct client *client, struct request *request, const struct dns_answer *answer)
{
    const struct dns_run *run = run_of(client);
    unsigned rcode = MIN(answer->rcode, (unsigned)DNS_RCODES - 1);

    request_answered_as(request, rcode, !run->expects || run->expected[rcode]);
}

static void on_retry(struct client *client, unsigned slot, const uint8_t *data, size_t len,
                     enum peer_soak_error kind, const char *why)
{
    struct request *request = slot_end(client, (uint16_t)slot, SLOT_ANSWERED);
    struct verdict verdict;

    if (!data) {
        request_lose(request, kind, "%s", why);
        return;
    }
    judge(client, slot, data, len, &verdict);
    if (!verdict.why && dns_id(data) != id_of(client, (uint16_t)slot))
        verdict.why = "its id is of no request";
    if (!verdict.why && verdict.answer.truncated)
        verdict.why = "it is cut though it came over TCP";
    if (verdict.why)
        request_lose(request, PEER_SOAK_BAD_ANSWER, "a wrong answer: %s", verdict.why);
    else
        finish(client, request, &verdict.answer);
}

static const struct dns_retry_ops retry_ops = {.answered = on_retry};

static void ask_again(struct client *client, uint16_t index)
{
    struct dns_client *dns = dns_of(client);
    uint8_t query[2 + DNS_QUERY_MOST];

    client_counts(client)->truncated++;
    dns->slots[index].state = SLOT_AGAIN;
    make_query(client, index, query);
    if (!dns_retry_start(client, &dns->retries, index, query, &retry_ops))
        request_lose(slot_end(client, index, SLOT_ANSWERED), PEER_SOAK_CLOSED_EARLY,
                     "an answer was cut, and no connection could be opened to ask again over TCP");
}

static void act_on_answer(struct client *client, const struct verdict *verdict)
{
    bool udp = flow_is_udp(client_flow(client));
    const char *why = verdict->why;

    if (!why && verdict->answer.truncated && udp) {
        ask_again(client, verdict->slot);
        return;
    }
    if (!why && verdict->answer.truncated)
        why = "it is cut though it came over TCP";
    struct request *request = slot_end(client, verdict->slot, SLOT_ANSWERED);
    request_first_byte(request);
    if (why)
        request_lose(request, PEER_SOAK_BAD_ANSWER, "a wrong answer: %s", why);
    else
        finish(client, request, &verdict->answer);
}

static void act(struct client *client, const struct verdict *verdict)
{
    switch (verdict->what) {
    case TWICE:
        client_counts(client)->duplicates++;
        break;
    case LATE:
        client_counts(client)->late++;
        break;
    case NOBODYS:
        client_error(client, PEER_SOAK_BAD_ANSWER, "a wrong answer: %s", verdict->why);
        break;
    case ANSWERS:
        act_on_answer(client, verdict);
        break;
    }
}

static void udp_take(struct client *client, struct request *request, const void *data, size_t len)
{
    struct verdict verdict;

    (void)request;
    look(client, data, len, &verdict);
    act(client, &verdict);
}

/* ---- TCP ---- */

/* Of a message whose beginning is in `part`: how much of `len` bytes is its; -1 without memory. */
static ssize_t keep_part(struct dns_client *dns, const uint8_t *data, size_t len)
{
    size_t at = 0;

    if (!dns->part && !(dns->part = malloc(2 + DNS_MESSAGE_MOST)))
        return -1;
    while (at < len && dns->part_len < 2)
        dns->part[dns->part_len++] = data[at++];
    if (dns->part_len < 2)
        return (ssize_t)at;
    size_t rest = MIN(2 + dns_query_len(dns->part) - dns->part_len, len - at);
    memcpy(dns->part + dns->part_len, data + at, rest);
    dns->part_len += (uint32_t)rest;
    return (ssize_t)(at + rest);
}

static enum taken tcp_take(struct client *client, struct request *request, const char *data,
                           size_t len, size_t *ret_used)
{
    struct dns_client *dns = dns_of(client);
    const uint8_t *bytes = (const uint8_t *)data;
    struct verdict *verdict = &run_of(client)->verdict;

    (void)request;
    if (!dns->part_len && len >= 2 && len - 2 >= dns_query_len(bytes)) {
        *ret_used = 2 + dns_query_len(bytes);
        look(client, bytes + 2, dns_query_len(bytes), verdict);
        return TAKEN_ANSWER;
    }
    ssize_t used = keep_part(dns, bytes, len);
    if (used < 0) {
        client_fail(client, PEER_SOAK_CLOSED_EARLY, "out of memory");
        return TAKEN_WRONG;
    }
    *ret_used = (size_t)used;
    if (dns->part_len < 2 || dns->part_len < 2 + dns_query_len(dns->part))
        return TAKEN_MORE;
    look(client, dns->part + 2, dns->part_len - 2, verdict);
    dns->part_len = 0;
    free(dns->part);
    dns->part = NULL;
    return TAKEN_ANSWER;
}

static void tcp_taken(struct client *client, struct request *request, enum taken taken)
{
    (void)request;
    if (taken == TAKEN_ANSWER)
        act(client, &run_of(client)->verdict);
}

/* ---- its life ---- */

static void dns_opened(struct client *client)
{
    if (make_slots(client))
        client_ready(client, at_once(client));
    else
        client_fail(client, PEER_SOAK_CLOSED_EARLY, "out of memory");
}

/* A time-out, or an ICMP error. */
static void dns_lost(struct client *client, struct request *request)
{
    struct dns_client *dns = dns_of(client);

    for (uint32_t i = 0; i < 1u << dns->slot_bits; i++) {
        if (dns->slots[i].request != request)
            continue;
        dns_retry_end(&dns->retries, i);
        slot_end(client, (uint16_t)i, SLOT_LOST);
        return;
    }
}

static void dns_let_go(struct client *client)
{
    struct dns_client *dns = dns_of(client);

    if (!dns->slots)
        return;
    dns_retry_end_all(&dns->retries);
    free(dns->slots);
    free(dns->part);
}

static int read_expected(struct dns_run *run, const char *text, struct peer_error *error)
{
    run->expects = text;
    for (size_t len; text && *text; text += len + (text[len] == ',')) {
        len = strcspn(text, ",");
        int rcode = dns_rcode_read(text, len);
        if (rcode < 0)
            return error_set(error, PEER_ERROR_USAGE, EINVAL,
                             "\"%.*s\" is no RCODE to expect, such as NOERROR or NXDOMAIN",
                             (int)len, text);
        run->expected[rcode] = true;
    }
    return 0;
}

static int dns_prepare(void *own, struct peer_soak_config *config, struct peer_error *error)
{
    struct dns_run *run = own;
    int status = read_expected(run, config->expect, error);

    if (status == 0 && config->pipeline > PIPELINE_MOST)
        return error_set(error, PEER_ERROR_USAGE, EINVAL, "a flow has at most %d queries at once",
                         PIPELINE_MOST);
    if (status == 0)
        status = dns_queries_make(&run->queries, config, error);
    config->path = config->queries = config->expect = NULL;
    return status;
}

static void dns_done(void *own)
{
    dns_queries_done(&((struct dns_run *)own)->queries);
}

static const struct protocol_ops dns_udp = {
    .kind = PROTOCOL_ASKS,
    .any_order = true,
    .opened = dns_opened,
    .ask = udp_ask,
    .datagram = udp_take,
    .lost = dns_lost,
    .let_go = dns_let_go,
};

static const struct protocol_ops dns_tcp = {
    .kind = PROTOCOL_ASKS,
    .any_order = true,
    .unasked = true,
    .opened = dns_opened,
    .ask = tcp_ask,
    .asked = tcp_send,
    .take = tcp_take,
    .taken = tcp_taken,
    .writable = tcp_writable,
    .lost = dns_lost,
    .let_go = dns_let_go,
};

const struct protocol protocol_dns = {
    .name = "dns",
    .scheme = "dns",
    .port = 53,
    .tls_scheme = "dot",
    .tls_port = 853,
    .alpn = "dot",
    .datagrams = true,
    .takes = PROTOCOL_TAKES_PATH | PROTOCOL_TAKES_EXPECT | PROTOCOL_TAKES_PIPELINE |
             PROTOCOL_TAKES_QUERIES,
    .answers = {"rcodes", dns_rcode_names},
    .tcp = &dns_tcp,
    .udp = &dns_udp,
    .run_bytes = sizeof(struct dns_run),
    .client_bytes = sizeof(struct dns_client),
    .prepare = dns_prepare,
    .done = dns_done,
};
