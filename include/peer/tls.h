/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PEER_TLS_H
#define PEER_TLS_H

/**
 * TLS between a flow and its owner, who writes and reads plain bytes as ever. The handshake follows
 * TCP's: PEER_EVENT_CONNECTED and PEER_EVENT_ACCEPTED come when it is done too, and a time-out of
 * the handshake is for both. See peer/peer.h for the conventions.
 */

#include <peer/error.h>
#include <peer/export.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct peer_net;
struct peer_flow;

/** Zero is the default everywhere. Strings are copied. */
struct peer_tls_config {
    const char *sni;      /* server_name that a caller sends (RFC 6066, 3); NULL: none */
    const char *alpn;     /* protocols, the preferred one first: "h2,http/1.1" (RFC 7301) */
    const char *versions; /* "1.3", or from-to: "1.2-1.3"; NULL: what the machine's OpenSSL allows */
    const char *ciphers;  /* as OpenSSL names them, with ":" between; those that begin with "TLS_"
                           * are TLS 1.3's */
    /* PEM files. A caller shows it when asked (mutual TLS), and "%d" in a name stands for 1, 2, 3...
     * up to the last that is there: the peers have one each, in turn. Who is called and has none
     * makes one that signs itself. */
    const char *cert, *key; /* `key` NULL: it is in the file of `cert` */
    bool verify;            /* the other side's certificate: a caller's and, of who is called,
                             * callers' (who have to show one then) */
    const char *ca_file;    /* trusted by `verify`; NULL: what the machine trusts */
    const char *name;       /* the name or address that a certificate must be for; NULL: `sni` */
    double resume;          /* 0 to 1: this share of the connections resume a session of the same
                             * peer's, when one is kept */
};

/** Settings that were checked, for any number of flows, listeners and soaks of a net. */
struct peer_tls;

/** Reads the files. -EINVAL and errors of open(2), with text; -ENOMEM. Before peer_confine. */
PEER_EXPORT int peer_tls_new_sized(struct peer_net *net, const struct peer_tls_config *config,
                                   size_t size, struct peer_tls **ret_tls,
                                   struct peer_error *error);
static inline int peer_tls_new(struct peer_net *net, const struct peer_tls_config *config,
                               struct peer_tls **ret_tls, struct peer_error *error)
{
    return peer_tls_new_sized(net, config, sizeof(*config), ret_tls, error);
}
/** Flows that use it keep what they need. Takes NULL, returns NULL. */
PEER_EXPORT struct peer_tls *peer_tls_free(struct peer_tls *tls);

/** What went wrong with TLS. */
enum peer_tls_error {
    PEER_TLS_NO_ERROR,
    PEER_TLS_PROTOCOL,    /* what came was no TLS, or broken, or the other side's alert said so */
    PEER_TLS_CERTIFICATE, /* one of the two certificates was refused */
    PEER_TLS_CLOSED,      /* TCP ended in the middle of the handshake */
    PEER_TLS_ERRORS,
};

enum { PEER_TLS_NAME_TEXT = 256, PEER_TLS_WORD_TEXT = 64 };
/** What was agreed on, or went wrong. Texts are "" where there is nothing to say. */
struct peer_tls_info {
    bool open;                        /* the handshake is done */
    bool resumed;                     /* it took up an earlier session */
    bool truncated;                   /* TCP ended without close_notify: bytes may be missing */
    enum peer_tls_error error;
    uint64_t handshake_ns;            /* from TCP's end to its own; 0: not done */
    char version[PEER_TLS_WORD_TEXT]; /* "TLSv1.3" */
    char cipher[PEER_TLS_WORD_TEXT];
    char group[PEER_TLS_WORD_TEXT];   /* of the key exchange */
    char alpn[PEER_TLS_WORD_TEXT];    /* the protocol that was agreed on */
    char subject[PEER_TLS_NAME_TEXT], issuer[PEER_TLS_NAME_TEXT]; /* of their certificate */
    char until[PEER_TLS_WORD_TEXT];   /* when it ends */
    char verified[PEER_TLS_NAME_TEXT]; /* "not verified", "ok", or what is wrong with it */
    char reason[PEER_TLS_NAME_TEXT];  /* of `error`, in words */
};
/** -ENOENT: the flow has no TLS. */
PEER_EXPORT int peer_flow_get_tls_sized(const struct peer_flow *flow,
                                        struct peer_tls_info *ret_info, size_t size);
static inline int peer_flow_get_tls(const struct peer_flow *flow, struct peer_tls_info *ret_info)
{
    return peer_flow_get_tls_sized(flow, ret_info, sizeof(*ret_info));
}

#ifdef __cplusplus
}
#endif

#endif
