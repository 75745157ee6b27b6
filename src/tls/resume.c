/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sessions that are resumed: of each peer the latest. A peer has a place by its number; where there are
 * more peers than places, the latest who came has it.
 *
 * Which connections resume is drawn by counting, so that a share is met within one connection. A
 * ticket is used again until the next one comes (RFC 8446, C.4 advises against it for who wants not to
 * be recognized; a peer does not mind).
 */
#include "tls/internal.h"

#include "base/macro.h"

#include <errno.h>
#include <stdlib.h>

enum { PLACES_MOST = 65536 };

/* OpenSSL's reference becomes ours when 1 is returned. */
static int on_session(SSL *ssl, SSL_SESSION *session)
{
    struct tls_context *context = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    const struct tls *tls = SSL_get_app_data(ssl);
    uint64_t peer = flow_peer(tls->flow);

    if (SSL_is_server(ssl) || !SSL_SESSION_is_resumable(session))
        return 0;
    struct session_place *place = &context->places[peer % context->place_count];
    SSL_SESSION_free(place->session);
    *place = (struct session_place){.peer = peer, .session = session};
    return 1;
}

int tls_sessions_init(struct tls_context *context, double share)
{
    context->resume = share;
    if (share <= 0) {
        SSL_CTX_set_session_cache_mode(context->ctx, SSL_SESS_CACHE_OFF);
        return 0;
    }
    context->place_count = (size_t)MIN(MAX(context->host.peers, 1u), (uint64_t)PLACES_MOST);
    context->places = calloc(context->place_count, sizeof(*context->places));
    if (!context->places)
        return -ENOMEM;
    SSL_CTX_set_session_cache_mode(context->ctx,
                                   SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context->ctx, on_session);
    return 0;
}

void tls_sessions_free(struct tls_context *context)
{
    for (size_t i = 0; i < context->place_count; i++)
        SSL_SESSION_free(context->places[i].session);
    free(context->places);
    context->places = NULL;
    context->place_count = 0;
}

void tls_sessions_use(struct tls *tls)
{
    struct tls_context *context = tls->context;
    uint64_t peer = flow_peer(tls->flow), n = context->begun++;

    if (!context->place_count)
        return;
    const struct session_place *place = &context->places[peer % context->place_count];
    bool due = (uint64_t)((double)(n + 1) * context->resume) > (uint64_t)((double)n * context->resume);
    if (due && place->session && place->peer == peer)
        (void)SSL_set_session(tls->ssl, place->session);
}
