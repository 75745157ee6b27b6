/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One client of the proxy, from its first byte to its last. What it asks for is read by proxy/client.h;
 * a name is resolved (names.h), the addresses are tried one after the other, and when a flow is open
 * the door joins it to the client. Until then the client has a time for it, so that nobody holds a
 * descriptor by saying nothing.
 */
#include "proxy.h"
#include "proxy/user.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct proxy *patron_proxy(const struct patron *patron)
{
    return patron->entry.user;
}

static struct patron *patron_of(struct door_entry *entry)
{
    return (struct patron *)(void *)entry;
}

__attribute__((format(printf, 2, 3))) static void put(char why[HTTP_WHY], const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(why, HTTP_WHY, format, arguments);
    va_end(arguments);
}

/* ---- words ---- */

static const char *client_text(const struct patron *patron, char buf[PLACE_TEXT])
{
    return place_format(&patron->entry.client, buf);
}

static void tell_refusal(const struct patron *patron, const char *why)
{
    const struct asking *asking = patron->asking;
    const bool named = asking->client.target.port != 0;
    char client[PLACE_TEXT], target[PROXY_TARGET_TEXT];

    if (!patron_proxy(patron)->options->common.verbose)
        return;
    say("%s: %s%s%s", client_text(patron, client),
        named ? proxy_target_format(&asking->client.target, target) : "", named ? ": " : "", why);
}

void patron_tell(struct patron *patron, const char *how)
{
    const struct join_state *state = &patron->entry.join.state;
    struct proxy *proxy = patron_proxy(patron);
    char client[PLACE_TEXT], peer[PEER_ENDPOINT_TEXT], took[32], in[32], out[32];

    if (!patron->peer.family)
        return;
    say("%s, %s to %s: %s after %s, %s sent, %s received", client_text(patron, client),
        peer_endpoint_format(&patron->peer, patron->peer_port, peer), patron->to, how,
        format_time(loop_now_ns(proxy->loop) - patron->opened_ns, took),
        format_bytes(state->sent - patron->sent, out),
        format_bytes(state->received - patron->received, in));
    patron->peer.family = 0;
}

/* ---- no ---- */

static void turn_away(struct patron *patron, const char *why)
{
    const struct proxy_client *client = &patron->asking->client;

    tell_refusal(patron, why);
    patron_proxy(patron)->counts.turned_away++;
    if (door_answer(&patron->entry, client->answer, client->answer_len) < 0)
        door_reset(&patron->entry, DOOR_FAILED);
    else
        door_finish(&patron->entry, DOOR_TURNED_AWAY);
}

void patron_refuse(struct patron *patron, enum proxy_result result, const char *why)
{
    char text[HTTP_WHY + PROXY_TARGET_TEXT + 8], target[PROXY_TARGET_TEXT];

    snprintf(text, sizeof(text), "%s: %s",
             proxy_target_format(&patron->asking->client.target, target), why);
    proxy_client_answer(&patron->asking->client, result, NULL, 0, text);
    turn_away(patron, why);
}

/* ---- whose, and to whom ---- */

enum proxy_result patron_choose(const struct patron *patron, struct peer_addr *ret_from,
                                char why[HTTP_WHY])
{
    const struct proxy *proxy = patron_proxy(patron);
    const struct proxy_peer peer =
        proxy_user_peer(patron->asking->client.user, proxy->info.seed, proxy->info.peers);

    *ret_from = peer.addr;
    if (peer.choice == PROXY_RESERVED) {
        put(why, "user names that begin with '<' are reserved");
        return PROXY_NOT_ALLOWED;
    }
    if (peer.choice == PROXY_INDEX)
        (void)peer_net_get_peer(proxy->net, peer.index, ret_from);
    return PROXY_OPEN;
}

enum proxy_result patron_judge(struct proxy *proxy, const struct peer_addr *addr,
                               char why[HTTP_WHY])
{
    const bool loopback = addr->family == 4
                              ? addr->bytes[0] == 127
                              : addr->family == 6 && !addr->bytes[0] && addr->bytes[15] == 1;
    const uint8_t family = proxy->info.first_peer.family;

    if (addr->family != family) {
        put(why, "an IPv%d address, and the peers have IPv%d addresses", addr->family, family);
        return PROXY_NO_SUCH_FAMILY;
    }
    if (proxy->options->common.allow_forward)
        return PROXY_OPEN;
    const int local = peer_net_is_local(proxy->net, addr);
    if (local == 1)
        return PROXY_OPEN;
    if (local < 0)
        put(why, "the kernel cannot say whose that is: %s", strerror(-local));
    else if (loopback)
        put(why, "a loopback address, and the peers are other machines");
    else
        put(why, "no address of this machine (--allow-forward takes others)");
    return local < 0 ? PROXY_FAILED : PROXY_NOT_ALLOWED;
}

void patron_sort(struct proxy *proxy, struct peer_addr *addrs, int count)
{
    int first = 0;

    for (int i = 0; i < count; i++) {
        const struct peer_addr addr = addrs[i];
        if (peer_net_is_local(proxy->net, &addr) != 1)
            continue;
        memmove(addrs + first + 1, addrs + first, (size_t)(i - first) * sizeof(*addrs));
        addrs[first++] = addr;
    }
}

/* ---- calling ---- */

static enum proxy_result connect_failed(int status, const struct peer_addr *from,
                                        char why[HTTP_WHY])
{
    char text[PEER_ADDR_TEXT];

    if (status == -EADDRNOTAVAIL || status == -EAFNOSUPPORT) {
        put(why, "%s is none of the peers", peer_addr_format(from, text));
        return PROXY_NOT_ALLOWED;
    }
    put(why, "no connection can be made: %s",
        status == -EADDRINUSE ? "no port is left" : strerror(-status));
    return PROXY_FAILED;
}

static enum proxy_result call(struct patron *patron, const struct peer_addr *addr,
                              char why[HTTP_WHY])
{
    struct proxy *proxy = patron_proxy(patron);
    const struct common_options *common = &proxy->options->common;
    struct peer_connect_config config = {
        .to = *addr,
        .to_port = patron->asking->client.target.port,
        .timeout_ns = common->timeout_ns,
        .manners = common->manners[0] ? common->manners : NULL,
        .proxy_protocol = common->proxy_protocol,
    };

    enum proxy_result result = patron_judge(proxy, addr, why);
    if (result == PROXY_OPEN)
        result = patron_choose(patron, &config.from, why);
    if (result != PROXY_OPEN)
        return result;
    const int status = door_connect(&patron->entry, &config);
    return status < 0 ? connect_failed(status, &config.from, why) : PROXY_OPEN;
}

/* The addresses from `at` on, until one of them is called. The last one's trouble is the answer. */
static void call_next(struct patron *patron, enum proxy_result result, const char *why)
{
    struct asking *asking = patron->asking;
    char text[HTTP_WHY];

    put(text, "%s", why);
    while (asking->at < asking->count) {
        result = call(patron, &asking->addrs[asking->at++], text);
        if (result == PROXY_OPEN) {
            door_set_deadline(&patron->entry, 0);
            return;
        }
    }
    patron_refuse(patron, result, text);
}

static void on_name(struct names_request *request, const struct names_answer *answer)
{
    struct asking *asking =
        (struct asking *)(void *)((char *)request - offsetof(struct asking, request));
    struct patron *patron = asking->patron;

    asking->count = answer->count;
    asking->at = 0;
    memcpy(asking->addrs, answer->addrs, sizeof(asking->addrs));
    patron_sort(patron_proxy(patron), asking->addrs, asking->count);
    call_next(patron, PROXY_NO_SUCH_NAME, answer->why);
}

static void call_target(struct patron *patron)
{
    struct proxy *proxy = patron_proxy(patron);
    struct asking *asking = patron->asking;
    const struct proxy_target *target = &asking->client.target;
    struct peer_addr from;
    char why[HTTP_WHY];

    door_pause(&patron->entry, true);
    const enum proxy_result result = patron_choose(patron, &from, why);
    if (result != PROXY_OPEN) {
        patron_refuse(patron, result, why);
        return;
    }
    asking->count = asking->at = 0;
    if (target->addr.family) {
        asking->addrs[asking->count++] = target->addr;
        call_next(patron, PROXY_FAILED, "");
        return;
    }
    asking->request.answered = on_name;
    const int status =
        names_ask(proxy->names, &asking->request, target->name, proxy->info.first_peer.family);
    if (status < 0)
        patron_refuse(patron, PROXY_FAILED, "nobody is left who resolves names");
}

/* ---- what it says ---- */

static void take_wish(struct patron *patron, enum proxy_wants wants)
{
    struct asking *asking = patron->asking;

    asking->wants = wants;
    if (wants == PROXY_WANTS_ANSWER) {
        if (door_answer(&patron->entry, asking->client.answer, asking->client.answer_len) < 0)
            door_reset(&patron->entry, DOOR_FAILED);
    } else if (wants == PROXY_WANTS_END) {
        turn_away(patron, asking->client.why);
    } else if (wants == PROXY_WANTS_DATAGRAMS) {
        door_set_deadline(&patron->entry, 0);
        patron_associate(patron);
    } else if (wants == PROXY_WANTS_REQUEST && patron_exchange_again(patron)) {
        door_set_deadline(&patron->entry, 0);
    } else if (wants == PROXY_WANTS_TUNNEL || wants == PROXY_WANTS_REQUEST) {
        door_let_go(&patron->entry);
        patron_tell(patron, "closed");
        call_target(patron);
    }
}

static size_t on_bytes(struct door_entry *entry, const char *data, size_t len)
{
    struct patron *patron = patron_of(entry);
    struct proxy *proxy = patron_proxy(patron);
    enum proxy_wants wants = PROXY_WANTS_ANSWER;
    size_t at = 0;

    if (patron->association) /* nothing more is said there */
        return len;
    while (at < len && wants == PROXY_WANTS_ANSWER && entry->phase == DOOR_TALKING) {
        at +=
            proxy_client_take(&patron->asking->client, &proxy->rules, data + at, len - at, &wants);
        take_wish(patron, wants);
    }
    return at;
}

static void on_accepted(struct door_entry *entry)
{
    struct patron *patron = patron_of(entry);
    struct proxy *proxy = patron_proxy(patron);

    patron->asking = calloc(1, sizeof(*patron->asking));
    if (!patron->asking) {
        door_reset(entry, DOOR_FAILED);
        return;
    }
    patron->asking->patron = patron;
    door_set_deadline(entry, loop_now_ns(proxy->loop) + proxy->silent_ns);
}

/* In order, also towards an application whose connection was kept for it. */
static void on_said_all(struct door_entry *entry)
{
    door_let_go(entry);
    door_finish(entry, DOOR_CLOSED);
}

static void on_expired(struct door_entry *entry)
{
    struct patron *patron = patron_of(entry);

    if (patron->asking->request.slot) {
        patron_refuse(patron, PROXY_TIMED_OUT, "no answer to the question for its address");
        return;
    }
    tell_refusal(patron, door_end_text(DOOR_EXPIRED));
    door_let_go(entry);
    door_finish(entry, DOOR_EXPIRED);
}

/* ---- what became of it ---- */

static void note_flow(struct patron *patron, const struct peer_flow_info *info)
{
    const struct join_state *state = &patron->entry.join.state;

    patron->peer = info->from;
    patron->peer_port = info->from_port;
    patron->opened_ns = loop_now_ns(patron_proxy(patron)->loop);
    patron->sent = state->sent;
    patron->received = state->received;
    proxy_target_format(&patron->asking->client.target, patron->to);
}

static void free_asking(struct patron *patron)
{
    struct asking *asking = patron->asking;

    if (!asking)
        return;
    names_forget(patron_proxy(patron)->names, &asking->request);
    proxy_client_done(&asking->client);
    free(asking);
    patron->asking = NULL;
}

static void on_connected(struct door_entry *entry)
{
    struct patron *patron = patron_of(entry);
    struct proxy *proxy = patron_proxy(patron);
    struct proxy_client *client = &patron->asking->client;
    struct peer_flow_info info;

    peer_flow_get_info(entry->join.flow, &info);
    if (proxy->options->common.verbose)
        note_flow(patron, &info);
    if (patron->asking->wants == PROXY_WANTS_REQUEST) {
        patron_exchange(patron);
        return;
    }
    proxy_client_answer(client, PROXY_OPEN, &info.from, info.from_port, NULL);
    const int status = door_answer(entry, client->answer, client->answer_len);
    proxy->counts.tunnels++;
    free_asking(patron);
    if (status < 0)
        door_reset(entry, DOOR_FAILED);
}

static enum proxy_result result_of_icmp(const struct peer_event *event)
{
    static const struct {
        uint8_t family, type, code;
        enum proxy_result result;
    } rows[] = {
        {4, 3, 0, PROXY_NET_UNREACHABLE},  {4, 3, 6, PROXY_NET_UNREACHABLE},
        {4, 3, 11, PROXY_NET_UNREACHABLE}, {4, 3, 3, PROXY_REFUSED},
        {4, 3, 9, PROXY_NOT_ALLOWED},      {4, 3, 10, PROXY_NOT_ALLOWED},
        {4, 3, 13, PROXY_NOT_ALLOWED},     {6, 1, 0, PROXY_NET_UNREACHABLE},
        {6, 1, 1, PROXY_NOT_ALLOWED},      {6, 1, 4, PROXY_REFUSED},
        {6, 1, 5, PROXY_NOT_ALLOWED},      {6, 1, 6, PROXY_NET_UNREACHABLE},
        {4, 11, 0, PROXY_TIMED_OUT},       {6, 3, 0, PROXY_TIMED_OUT},
    };

    for (size_t i = 0; i < CLI_ARRAY_SIZE(rows); i++) {
        if (rows[i].family == event->icmp_from.family && rows[i].type == event->icmp_type &&
            rows[i].code == event->icmp_code)
            return rows[i].result;
    }
    return PROXY_HOST_UNREACHABLE;
}

static enum proxy_result result_of(const struct peer_event *event)
{
    static const enum proxy_result results[] = {
        [PEER_END_NONE] = PROXY_FAILED,       [PEER_END_CLOSED] = PROXY_RESET,
        [PEER_END_REFUSED] = PROXY_REFUSED,   [PEER_END_RESET] = PROXY_RESET,
        [PEER_END_TIMEOUT] = PROXY_TIMED_OUT, [PEER_END_UNREACHABLE] = PROXY_HOST_UNREACHABLE,
        [PEER_END_LOCAL] = PROXY_FAILED,      [PEER_END_DEVICE] = PROXY_FAILED,
        [PEER_END_TLS] = PROXY_FAILED,
    };

    return event->end == PEER_END_UNREACHABLE ? result_of_icmp(event) : results[event->end];
}

static void on_failed(struct door_entry *entry, const struct peer_event *event)
{
    char icmp[64];

    call_next(patron_of(entry), result_of(event),
              event->end == PEER_END_UNREACHABLE
                  ? icmp_text(event->icmp_from.family, event->icmp_type, event->icmp_code, icmp)
                  : end_text(event->end));
}

static void on_ended(struct door_entry *entry)
{
    struct patron *patron = patron_of(entry);

    patron_tell(patron, door_end_text(entry->end));
    if (patron->asking && (entry->end == DOOR_CLIENT_RESET || entry->end == DOOR_FAILED))
        tell_refusal(patron, door_end_text(entry->end));
    free_asking(patron);
    proxy_exchange_done(&patron->exchange);
    if (patron->association)
        association_end(patron->association);
    patron->association = NULL;
}

const struct door_ops patron_ops = {
    .entry_bytes = sizeof(struct patron),
    .accepted = on_accepted,
    .bytes = on_bytes,
    .said_all = on_said_all,
    .connected = on_connected,
    .failed = on_failed,
    .to_flow = patron_to_flow,
    .to_client = patron_to_client,
    .moved = patron_moved,
    .expired = on_expired,
    .ended = on_ended,
};
