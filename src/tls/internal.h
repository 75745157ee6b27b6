/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TLS_INTERNAL_H
#define TLS_INTERNAL_H

#include "tls/tls.h"

#include <openssl/ssl.h>

enum { PLAIN_BYTES = 16384, SPARES = 16 };

/** Sessions of peers, the latest of each; those of many share a place (resume.c). */
struct session_place {
    uint64_t peer;
    SSL_SESSION *session;
};

/** A certificate and its key. */
struct tls_identity {
    X509 *cert;
    STACK_OF(X509) *chain;
    EVP_PKEY *key;
};

struct tls_context {
    SSL_CTX *ctx;
    BIO_METHOD *method;
    uint32_t users; /* whoever made it, and the flows */
    struct tls_host host;
    int keylog_fd; /* SSLKEYLOGFILE, -1: none */
    char *sni;
    uint8_t *alpn; /* on the wire: a byte of length before each */
    size_t alpn_len;
    bool verify;
    bool tells; /* the host, of secrets */
    struct tls_identity *identities; /* "%d": the peers have one each, in turn */
    size_t identity_count;
    double resume;
    uint64_t begun; /* connections so far */
    struct session_place *places;
    size_t place_count;
    uint8_t *spares[SPARES]; /* buffers of PLAIN_BYTES that wait for the next who reads */
    size_t spare_count;
};

struct tls {
    struct flow_filter filter; /* first */
    struct flow *flow;
    struct tls_context *context;
    SSL *ssl;           /* NULL until TCP stands */
    struct timer later; /* something is to be told that came out in the middle of a call */
    uint8_t *plain;     /* read and not taken: [plain_at, plain_len); NULL: nothing */
    uint32_t plain_at, plain_len, plain_room;
    uint8_t *queued; /* written, and not taken by TCP: [queued_at, queued_len); NULL: nothing */
    uint32_t queued_at, queued_len;
    uint64_t written; /* plain bytes */
    uint64_t mark_plain, mark_wire; /* when all was acknowledged before the latest write */
    uint64_t begun_ns;
    uint32_t handshake_us;
    char *reason;       /* of `error`; NULL: none */
    uint8_t error;      /* enum peer_tls_error */
    uint8_t opens_with; /* FLOW_CONNECTED or FLOW_ACCEPTED; 0: TCP does not stand */
    bool open : 1;      /* the handshake is done */
    bool shut : 1;      /* close_notify was sent */
    bool fin : 1;       /* FIN follows when all that is queued has left */
    bool more : 1;      /* more is written at once */
    bool eof : 1;       /* close_notify came */
    bool raw_eof : 1;   /* FIN came */
    bool told_eof : 1;
    bool truncated : 1;
    bool over : 1; /* the owner has heard of the end */
};

static inline struct tls *tls_of(const struct flow *flow)
{
    return (struct tls *)(void *)flow_filter(flow);
}

/* bio.c */
/** NULL without memory. */
BIO_METHOD *tls_bio_method_new(void);
/** What OpenSSL reads and writes is the flow's. NULL without memory. */
BIO *tls_bio_new(struct tls *tls);
/** Writes what TCP takes of what is queued, and FIN behind it if that waits. */
void tls_flush(struct tls *tls);

/* error.c */
/** Keeps the first error: that of OpenSSL's last call, whose list of errors is empty then. */
void tls_note_failure(struct tls *tls);
void tls_note(struct tls *tls, enum peer_tls_error kind, const char *text);
/** For a person, with what OpenSSL says was wrong. Empties its list. */
int tls_fail(struct peer_error *error, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* identity.c */
/** From PEM files: 0, or -errno with text. */
int tls_identities_read(struct tls_context *context, const struct peer_tls_config *config,
                        struct peer_error *error);
void tls_identities_free(struct tls_context *context);
/** Makes one that signs itself; 0, -ENOMEM, -EIO. */
int tls_identity_make(struct tls_context *context);

/* context.c */
/** Gives a new SSL what the context has for it: identity, name, session. */
bool tls_context_dress(struct tls *tls);
void tls_context_put(struct tls_context *context);

/* resume.c */
int tls_sessions_init(struct tls_context *context, double share);
void tls_sessions_free(struct tls_context *context);
/** A client begins: gives it the session that it is to resume, if it is to resume one. */
void tls_sessions_use(struct tls *tls);

#endif
