/* SPDX-License-Identifier: BSD-3-Clause */
#include "proxy/client.h"

#include "internal.h"

#include <stdlib.h>
#include <string.h>

/* The 4 of SOCKS4 and the 5 of SOCKS5 begin no method of HTTP. */
static enum proxy_protocol protocol_of(char first)
{
    return first == 4 ? PROXY_SOCKS4 : first == 5 ? PROXY_SOCKS5 : PROXY_HTTP;
}

size_t proxy_client_take(struct proxy_client *client, const struct proxy_rules *rules,
                         const char *data, size_t len, enum proxy_wants *ret_wants)
{
    *ret_wants = PROXY_WANTS_MORE;
    if (!len)
        return 0;
    if (client->protocol == PROXY_UNKNOWN)
        client->protocol = (uint8_t)protocol_of(*data);
    if (client->protocol == PROXY_HTTP)
        return proxy_http_take(client, rules, data, len, ret_wants);
    return proxy_socks_take(client, rules, data, len, ret_wants);
}

void proxy_client_answer(struct proxy_client *client, enum proxy_result result,
                         const struct peer_addr *bound, uint16_t port, const char *text)
{
    if (client->protocol == PROXY_HTTP)
        proxy_http_answer(client, result, text);
    else
        proxy_socks_answer(client, result, bound, port);
}

bool proxy_password_fits(const struct proxy_rules *rules, const char *password)
{
    if (!rules->password)
        return true;
    const size_t len = strlen(password), wanted = strlen(rules->password);
    unsigned char differs = len != wanted;
    for (size_t i = 0; i < len; i++)
        differs |= (unsigned char)(password[i] ^ rules->password[wanted ? i % wanted : 0]);
    return !differs;
}

static void free_request(struct proxy_request *request)
{
    free(request->head);
    *request = (struct proxy_request){0};
}

void proxy_client_next(struct proxy_client *client)
{
    free_request(&client->request);
    http_collect_done(&client->collect);
    client->user[0] = client->why[0] = 0;
    client->is_head = false;
    client->status = 0;
    client->answer_len = 0;
}

void proxy_client_done(struct proxy_client *client)
{
    free_request(&client->request);
    http_collect_done(&client->collect);
}

const char *proxy_protocol_name(enum proxy_protocol protocol)
{
    static const char *const names[] = {[PROXY_UNKNOWN] = "nothing",
                                        [PROXY_SOCKS4] = "SOCKS4",
                                        [PROXY_SOCKS5] = "SOCKS5",
                                        [PROXY_HTTP] = "HTTP"};
    return names[protocol];
}
