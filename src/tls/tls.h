/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TLS_TLS_H
#define TLS_TLS_H

#include "flow/filter.h"

#include <peer/error.h>
#include <peer/tls.h>

/**
 * TLS as the filter of a flow (flow/filter.h), by OpenSSL, which nothing else sees. The owner of a
 * flow writes and reads plain bytes. One context a configuration, shared by all its flows.
 */

/** Settings, keys, the sessions that may be resumed. */
struct tls_context;

/** Told of each secret that a handshake comes to, as a line of a key log (NSS's format, without the
 *  end of the line), before anything that it encrypts is sent. */
typedef void (*tls_tell_secret)(void *user, const char *line);

struct tls_host {
    tls_tell_secret secret; /* see tls_context_tell_secrets; SSLKEYLOGFILE is honoured in any case */
    void *user;
    uint64_t peers; /* how many addresses call: of sessions that are kept */
};

/** -EINVAL, errors of open(2), -ENOMEM, all with text. Strings of `config` need not live on. */
int tls_context_new(const struct peer_tls_config *config, const struct tls_host *host,
                    struct tls_context **ret_context, struct peer_error *error);
/** For those who are called: makes a key and a certificate that signs itself when there is none. Once
 *  is enough. 0, -ENOMEM, -EIO. */
int tls_context_serve(struct tls_context *context);
/** What is offered by ALPN from now on: "h2,http/1.1"; NULL: nothing. -EINVAL, -ENOMEM. */
int tls_context_set_alpn(struct tls_context *context, const char *alpn);
bool tls_context_has_alpn(const struct tls_context *context);
bool tls_context_verifies(const struct tls_context *context);
/** From now on the host is told of secrets, or is not: at first it is not. */
void tls_context_tell_secrets(struct tls_context *context, bool tells);
/** Nobody wants to know of secrets any more: the host goes. */
void tls_context_leave_host(struct tls_context *context);
/** One more who frees it: returns it. */
struct tls_context *tls_context_hold(struct tls_context *context);
/** Its flows go on to their ends. Takes NULL, returns NULL. */
struct tls_context *tls_context_free(struct tls_context *context);

/**
 * Before flow_connect, or on one that flow_init_accepted made: the handshake follows TCP's, and
 * FLOW_CONNECTED or FLOW_ACCEPTED its end. On a flow that is open (as STARTTLS has it): the handshake
 * begins at once, as the caller's, and FLOW_CONNECTED comes, once more, when it is done; until then
 * nothing can be written or read. Nothing may be unread then that came before it. -ENOMEM.
 *
 * What fails ends the flow with PEER_END_TLS, and an alert and FIN go out first. In the handshake
 * that is also TCP's FIN. Of a flow that was open a FIN without close_notify is FLOW_EOF as ever, and
 * tls_is_truncated says so. RST is PEER_END_RESET, always.
 */
int tls_begin(struct flow *flow, struct tls_context *context);
/** On a flow that is open, as who is called (see tls_context_serve); FLOW_ACCEPTED comes then. */
int tls_begin_called(struct flow *flow, struct tls_context *context);

/** Has the flow TLS? */
bool tls_is_on(const struct flow *flow);
/** Of a flow with TLS, cheap: */
bool tls_is_open(const struct flow *flow);
bool tls_is_truncated(const struct flow *flow);
bool tls_is_resumed(const struct flow *flow);
uint64_t tls_handshake_ns(const struct flow *flow);
/** The protocol that was agreed on: `ret_len` bytes without an end, 0 for none. */
const char *tls_alpn(const struct flow *flow, size_t *ret_len);
bool tls_alpn_is(const struct flow *flow, const char *name);
enum peer_tls_error tls_error(const struct flow *flow);
/** In words, "" for none. Lives as long as the flow has its owner. */
const char *tls_reason(const struct flow *flow);
/** All that is known. False: the flow has no TLS. */
bool tls_get_info(const struct flow *flow, struct peer_tls_info *ret_info);

#endif
