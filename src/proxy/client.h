/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PROXY_CLIENT_H
#define PROXY_CLIENT_H

#include "http/body.h"
#include "proxy/target.h"

/**
 * What a client of the proxy says before its bytes go on to somebody, and the answers to it. Told
 * apart by the first byte: SOCKS5 (RFC 1928, RFC 1929: CONNECT and UDP ASSOCIATE), or HTTP: CONNECT
 * (RFC 9110 9.3.6) and requests with an absolute target (RFC 9112 3.2.2). SOCKS4 is refused in its
 * own words.
 *
 * No byte is taken that is not the proxy's: what a client sends ahead of the answer is left for whom
 * it is meant for.
 */

enum proxy_protocol { PROXY_UNKNOWN, PROXY_SOCKS4, PROXY_SOCKS5, PROXY_HTTP };

enum proxy_wants {
    PROXY_WANTS_MORE,
    PROXY_WANTS_ANSWER,    /* `answer` is to be sent; then go on */
    PROXY_WANTS_TUNNEL,    /* a connection to `target`; then proxy_client_answer, and its bytes */
    PROXY_WANTS_DATAGRAMS, /* SOCKS: a socket for datagrams; then likewise */
    PROXY_WANTS_REQUEST,   /* HTTP: `request` is to be sent to `target`, see proxy/exchange.h */
    PROXY_WANTS_END,       /* `answer` is to be sent, then the client's connection ends */
};

/** What became of what was wanted. */
enum proxy_result {
    PROXY_OPEN,
    PROXY_REFUSED,
    PROXY_RESET,
    PROXY_TIMED_OUT,
    PROXY_HOST_UNREACHABLE,
    PROXY_NET_UNREACHABLE,
    PROXY_NOT_ALLOWED,
    PROXY_NO_SUCH_NAME,
    PROXY_NO_SUCH_FAMILY, /* an IPv6 address for IPv4 peers, or the other way round */
    PROXY_BAD_ANSWER,     /* HTTP: an answer that is none */
    PROXY_FAILED,         /* here: no port, no memory */
    PROXY_RESULTS,
};

enum {
    PROXY_USER_MOST = 255,
    PROXY_HELD = 513,   /* the longest message of SOCKS5: name and password */
    PROXY_ANSWER = 640, /* the longest answer */
};

/** A request as its server has it: the head rewritten, the body as the client sends it. */
struct proxy_request {
    char *head; /* of the heap; NULL: none */
    size_t head_len;
    uint64_t body_length;
    uint8_t body;  /* enum http_body_kind */
    uint8_t asked; /* enum http_asked */
    bool keeps;    /* the client's connection goes on afterwards */
    bool upgrades; /* it may end in another protocol */
};

/** Zero is a new client. */
struct proxy_client {
    uint8_t protocol; /* enum proxy_protocol */
    uint8_t step;
    bool is_head;                   /* HTTP: no answer has a body */
    uint16_t status;                /* of the protocol: what it was refused with; 0: not at all */
    char user[PROXY_USER_MOST + 1]; /* "": none */
    struct proxy_target target;
    struct proxy_request request;
    struct http_collect collect;
    size_t held_len, answer_len;
    unsigned char held[PROXY_HELD];
    char answer[PROXY_ANSWER];
    char why[HTTP_WHY]; /* PROXY_WANTS_END: what was wrong, one line */
};

struct proxy_rules {
    const char *password; /* what it must be; NULL: any will do, or none */
};

/** Takes bytes up to where something is wanted; the count. */
size_t proxy_client_take(struct proxy_client *client, const struct proxy_rules *rules,
                         const char *data, size_t len, enum proxy_wants *ret_wants);
/**
 * Writes `answer`. `bound` and `port`: our end of what is open, of any family or none; `text`: the
 * reason in words, for protocols that have room for them. Of PROXY_WANTS_REQUEST what is open has no
 * answer.
 */
void proxy_client_answer(struct proxy_client *client, enum proxy_result result,
                         const struct peer_addr *bound, uint16_t port, const char *text);
/** The request and its answer are over: the next one. HTTP. */
void proxy_client_next(struct proxy_client *client);
/** Frees what it holds. */
void proxy_client_done(struct proxy_client *client);

/** "SOCKS5", "HTTP" ... */
const char *proxy_protocol_name(enum proxy_protocol protocol);

#endif
