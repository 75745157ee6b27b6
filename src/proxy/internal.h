/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PROXY_INTERNAL_H
#define PROXY_INTERNAL_H

#include "proxy/client.h"

/** The protocols behind proxy_client_take and proxy_client_answer; `len` is at least 1. */
size_t proxy_socks_take(struct proxy_client *client, const struct proxy_rules *rules,
                        const char *data, size_t len, enum proxy_wants *ret_wants);
void proxy_socks_answer(struct proxy_client *client, enum proxy_result result,
                        const struct peer_addr *bound, uint16_t port);
size_t proxy_http_take(struct proxy_client *client, const struct proxy_rules *rules,
                       const char *data, size_t len, enum proxy_wants *ret_wants);
void proxy_http_answer(struct proxy_client *client, enum proxy_result result, const char *text);

/** Whether it is the one of the rules; how long it takes does not tell how much of it was right. */
bool proxy_password_fits(const struct proxy_rules *rules, const char *password);

#endif
