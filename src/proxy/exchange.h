/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PROXY_EXCHANGE_H
#define PROXY_EXCHANGE_H

#include "proxy/client.h"

/**
 * One plain HTTP request and its answers on their way through a proxy: where each ends, so that the
 * next request may go elsewhere. The bytes themselves are not changed, and none is held but those of
 * an answer's head that comes in pieces, to read it when it is whole.
 */
struct proxy_exchange {
    struct http_body request, answer;
    struct http_collect collect;
    uint8_t asked; /* enum http_asked */
    bool upgrades;
    bool request_over;
    bool answer_begun; /* some byte of it is there */
    bool in_body;
    bool answer_over;
    bool client_keeps; /* the client's connection goes on after this */
    bool server_keeps; /* and the one to the server */
    bool tunnel;       /* the rest is another protocol's, both ways (RFC 9110 7.8) */
};

void proxy_exchange_begin(struct proxy_exchange *exchange, const struct proxy_request *request);
/** Bytes of the request's body among these, from the client: the count, or -EINVAL with `why`. */
ssize_t proxy_exchange_take_request(struct proxy_exchange *exchange, const char *data, size_t len,
                                    const char **ret_why);
/**
 * Likewise of the answer. Bytes behind it belong to nobody. -EINVAL with `why`: nobody can tell where
 * it ends; while `answer_begun` is false the client has had nothing of it.
 */
ssize_t proxy_exchange_take_answer(struct proxy_exchange *exchange, const char *data, size_t len,
                                   char why[HTTP_WHY]);
/** The server has ended in order: whether that is how its answer ends. */
bool proxy_exchange_end(struct proxy_exchange *exchange);
void proxy_exchange_done(struct proxy_exchange *exchange);

#endif
