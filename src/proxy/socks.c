/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SOCKS5 is three short messages of the client, each of which has an answer: the methods it offers,
 * name and password, and what it wants. Each is held until it is whole; how long it is stands in its
 * first bytes, so that nothing behind it is taken.
 *
 * The user name chooses the peer: who offers to tell one is asked for it.
 */
#include "proxy/socks.h"

#include "base/macro.h"
#include "internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { STEP_METHODS, STEP_LOGIN, STEP_REQUEST };
enum { METHOD_NONE = 0, METHOD_LOGIN = 2, METHOD_NO = 0xff };
enum { COMMAND_CONNECT = 1, COMMAND_BIND = 2, COMMAND_ASSOCIATE = 3 };
enum { TYPE_IPV4 = 1, TYPE_NAME = 3, TYPE_IPV6 = 4 };
enum {
    REPLY_DONE = 0,
    REPLY_FAILED = 1,
    REPLY_NOT_ALLOWED = 2,
    REPLY_NET_UNREACHABLE = 3,
    REPLY_HOST_UNREACHABLE = 4,
    REPLY_REFUSED = 5,
    REPLY_TIMED_OUT = 6, /* in RFC 1928 "TTL expired": there is no other word for it */
    REPLY_NO_COMMAND = 7,
    REPLY_NO_TYPE = 8,
};

/* ---- answers ---- */

static enum proxy_wants answer(struct proxy_client *client, unsigned char version,
                               unsigned char word, enum proxy_wants wants)
{
    client->answer[0] = (char)version;
    client->answer[1] = (char)word;
    client->answer_len = 2;
    return wants;
}

/* An address with its type, and a port; the length. No address is 0.0.0.0. */
static size_t put_endpoint(unsigned char *at, const struct peer_addr *addr, uint16_t port)
{
    const size_t len = addr && addr->family == 6 ? 16 : 4;

    at[0] = len == 16 ? TYPE_IPV6 : TYPE_IPV4;
    memset(at + 1, 0, len);
    if (addr && addr->family)
        memcpy(at + 1, addr->bytes, len);
    at[1 + len] = (unsigned char)(port >> 8);
    at[2 + len] = (unsigned char)port;
    return len + 3;
}

static void put_reply(struct proxy_client *client, unsigned char code,
                      const struct peer_addr *bound, uint16_t port)
{
    unsigned char *reply = (unsigned char *)client->answer;

    reply[0] = 5;
    reply[1] = code;
    reply[2] = 0;
    client->answer_len = 3 + put_endpoint(reply + 3, bound, port);
    client->status = code;
}

static enum proxy_wants refuse(struct proxy_client *client, unsigned char code, const char *why)
{
    if (why)
        snprintf(client->why, sizeof(client->why), "%s", why);
    put_reply(client, code, NULL, 0);
    return PROXY_WANTS_END;
}

void proxy_socks_answer(struct proxy_client *client, enum proxy_result result,
                        const struct peer_addr *bound, uint16_t port)
{
    static const unsigned char codes[PROXY_RESULTS] = {
        [PROXY_OPEN] = REPLY_DONE,
        [PROXY_REFUSED] = REPLY_REFUSED,
        [PROXY_RESET] = REPLY_REFUSED,
        [PROXY_TIMED_OUT] = REPLY_TIMED_OUT,
        [PROXY_HOST_UNREACHABLE] = REPLY_HOST_UNREACHABLE,
        [PROXY_NET_UNREACHABLE] = REPLY_NET_UNREACHABLE,
        [PROXY_NOT_ALLOWED] = REPLY_NOT_ALLOWED,
        [PROXY_NO_SUCH_NAME] = REPLY_HOST_UNREACHABLE,
        [PROXY_NO_SUCH_FAMILY] = REPLY_NO_TYPE,
        [PROXY_BAD_ANSWER] = REPLY_FAILED,
        [PROXY_FAILED] = REPLY_FAILED,
    };
    put_reply(client, codes[result], bound, port);
}

/* ---- an address, its type before it ---- */

/* Bytes from the type to the end of the port; 1 or 2 while more must be known, 0 for no type. */
static size_t endpoint_length(const unsigned char *at, size_t len)
{
    switch (at[0]) {
    case TYPE_IPV4:
        return 1 + 4 + 2;
    case TYPE_IPV6:
        return 1 + 16 + 2;
    case TYPE_NAME:
        return len < 2 ? 2 : 2 + (size_t)at[1] + 2;
    default:
        return 0;
    }
}

/* All of it is there. */
static int read_endpoint(const unsigned char *at, size_t len, struct proxy_target *target,
                         char why[HTTP_WHY])
{
    target->port = (uint16_t)(at[len - 2] << 8 | at[len - 1]);
    if (at[0] == TYPE_NAME)
        return proxy_target_set_host(target, (struct http_text){(const char *)at + 2, len - 4},
                                     why);
    struct peer_addr addr = {.family = at[0] == TYPE_IPV6 ? 6 : 4};
    memcpy(addr.bytes, at + 1, len - 3);
    target->addr = proxy_addr_unmapped(addr);
    target->name[0] = 0;
    return 0;
}

/* ---- messages ---- */

static enum proxy_wants take_methods(struct proxy_client *client, const struct proxy_rules *rules)
{
    const unsigned char *methods = client->held + 2;
    const size_t count = client->held[1];

    if (memchr(methods, METHOD_LOGIN, count)) {
        client->step = STEP_LOGIN;
        return answer(client, 5, METHOD_LOGIN, PROXY_WANTS_ANSWER);
    }
    if (!rules->password && memchr(methods, METHOD_NONE, count)) {
        client->step = STEP_REQUEST;
        return answer(client, 5, METHOD_NONE, PROXY_WANTS_ANSWER);
    }
    client->status = METHOD_NO;
    snprintf(client->why, sizeof(client->why), "%s",
             rules->password ? "a client that tells no password"
                             : "a client that offers no way to log in that is known here");
    return answer(client, 5, METHOD_NO, PROXY_WANTS_END);
}

static enum proxy_wants refuse_login(struct proxy_client *client, const char *why)
{
    snprintf(client->why, sizeof(client->why), "%s", why);
    client->user[0] = 0;
    client->status = 1;
    return answer(client, 1, 1, PROXY_WANTS_END);
}

static enum proxy_wants take_login(struct proxy_client *client, const struct proxy_rules *rules)
{
    const unsigned char *held = client->held;
    char password[256];

    if (held[0] != 1)
        return refuse_login(client, "a login that is none of RFC 1929");
    const size_t user_len = held[1], password_len = held[2 + user_len];
    memcpy(client->user, held + 2, user_len);
    client->user[user_len] = 0;
    memcpy(password, held + 3 + user_len, password_len);
    password[password_len] = 0;
    if (strlen(client->user) < user_len || strlen(password) < password_len)
        return refuse_login(client, "a zero byte in a user's name or password");
    const bool fits = proxy_password_fits(rules, password);
    explicit_bzero(password, sizeof(password));
    if (!fits)
        return refuse_login(client, "a wrong password");
    client->step = STEP_REQUEST;
    return answer(client, 1, 0, PROXY_WANTS_ANSWER);
}

static enum proxy_wants take_request(struct proxy_client *client, const struct proxy_rules *rules)
{
    const unsigned char *held = client->held;

    (void)rules;
    if (held[0] != 5)
        return refuse(client, REPLY_FAILED, "a request that is none of SOCKS5");
    if (!endpoint_length(held + 3, 1))
        return refuse(client, REPLY_NO_TYPE, "an address of a type that is unknown here");
    if (held[1] == COMMAND_BIND)
        return refuse(client, REPLY_NO_COMMAND, "BIND, which is not to be had here");
    if (held[1] != COMMAND_CONNECT && held[1] != COMMAND_ASSOCIATE)
        return refuse(client, REPLY_NO_COMMAND, "a command that is unknown here");
    if (read_endpoint(held + 3, client->held_len - 3, &client->target, client->why) < 0)
        return refuse(client, REPLY_FAILED, NULL);
    if (held[1] == COMMAND_ASSOCIATE)
        return PROXY_WANTS_DATAGRAMS;
    if (!client->target.port)
        return refuse(client, REPLY_FAILED, "a target without a port");
    return PROXY_WANTS_TUNNEL;
}

/* How long the message is, as far as its bytes tell by now; one that begins wrong is over at once. */
static size_t methods_length(const unsigned char *held, size_t len)
{
    return len < 2 ? 2 : 2 + (size_t)held[1];
}

static size_t login_length(const unsigned char *held, size_t len)
{
    if (len && held[0] != 1)
        return len;
    if (len < 2)
        return 2;
    const size_t user_end = 2 + (size_t)held[1];
    return len <= user_end ? user_end + 1 : user_end + 1 + held[user_end];
}

static size_t request_length(const unsigned char *held, size_t len)
{
    if (len && held[0] != 5)
        return len;
    return len < 4 ? 4 : 3 + MAX(endpoint_length(held + 3, len - 3), (size_t)1);
}

static const struct message {
    size_t (*length)(const unsigned char *held, size_t len);
    enum proxy_wants (*take)(struct proxy_client *client, const struct proxy_rules *rules);
} messages[] = {
    [STEP_METHODS] = {methods_length, take_methods},
    [STEP_LOGIN] = {login_length, take_login},
    [STEP_REQUEST] = {request_length, take_request},
};

/* SOCKS4: the reply has a version of 0, and 91 for "rejected or failed". */
static enum proxy_wants refuse_old(struct proxy_client *client)
{
    memset(client->answer, 0, 8);
    client->answer[1] = 91;
    client->answer_len = 8;
    client->status = 91;
    snprintf(client->why, sizeof(client->why), "SOCKS4, which is not to be had here: SOCKS5 is");
    return PROXY_WANTS_END;
}

size_t proxy_socks_take(struct proxy_client *client, const struct proxy_rules *rules,
                        const char *data, size_t len, enum proxy_wants *ret_wants)
{
    const struct message *message = &messages[client->step];
    size_t at = 0, wanted;

    if (client->protocol == PROXY_SOCKS4) {
        *ret_wants = refuse_old(client);
        return len;
    }
    while ((wanted = message->length(client->held, client->held_len)) > client->held_len) {
        const size_t part = MIN(wanted - client->held_len, len - at);
        if (!part)
            return at;
        memcpy(client->held + client->held_len, data + at, part);
        client->held_len += part;
        at += part;
    }
    *ret_wants = message->take(client, rules);
    explicit_bzero(client->held, client->held_len);
    client->held_len = 0;
    return at;
}

/* ---- datagrams ---- */

ssize_t socks_datagram_parse(const void *data, size_t len, struct proxy_target *ret_target)
{
    const unsigned char *at = data;
    struct proxy_target target = {0};
    char why[HTTP_WHY];

    if (len < 5 || at[2] != 0) /* the third byte numbers fragments */
        return -EINVAL;
    const size_t endpoint = endpoint_length(at + 3, len - 3);
    if (!endpoint || len < 3 + endpoint || read_endpoint(at + 3, endpoint, &target, why) < 0 ||
        !target.port)
        return -EINVAL;
    *ret_target = target;
    return (ssize_t)(3 + endpoint);
}

size_t socks_datagram_head(const struct peer_addr *addr, uint16_t port,
                           unsigned char head[SOCKS_DATAGRAM_HEAD])
{
    memset(head, 0, 3);
    return 3 + put_endpoint(head + 3, addr, port);
}
