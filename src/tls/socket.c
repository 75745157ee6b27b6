/* SPDX-License-Identifier: BSD-3-Clause */
#include "tls/socket.h"

#include "tls/internal.h"

#include "base/error.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>

struct tls_sockets {
    struct tls_context *context;
};

/* An SSL, under a name that those above may see. */
static SSL *ssl_of(const struct tls_socket *socket)
{
    return (SSL *)(uintptr_t)socket;
}

int tls_sockets_new(const struct peer_tls_config *config, struct tls_sockets **ret_sockets,
                    struct peer_error *error)
{
    const struct tls_host host = {0};
    struct tls_sockets *sockets = calloc(1, sizeof(*sockets));

    if (!sockets)
        return error_set(error, PEER_ERROR_MACHINE, ENOMEM, "out of memory");
    int status = tls_context_new(config, &host, &sockets->context, error);
    if (status == 0 && tls_context_serve(sockets->context) < 0)
        status = error_set(error, PEER_ERROR_MACHINE, EIO, "cannot make a certificate");
    if (status < 0) {
        tls_context_free(sockets->context);
        free(sockets);
        return status;
    }
    *ret_sockets = sockets;
    return 0;
}

struct tls_socket *tls_socket_new(struct tls_sockets *sockets, int fd)
{
    const struct tls_identity *mine = &sockets->context->identities[0];
    SSL *ssl = SSL_new(sockets->context->ctx);

    if (ssl && SSL_set_fd(ssl, fd) &&
        SSL_use_cert_and_key(ssl, mine->cert, mine->key, mine->chain, 1)) {
        SSL_set_accept_state(ssl);
        SSL_set_read_ahead(ssl, 0); /* or bytes would lie here that the descriptor tells nothing of */
        return (struct tls_socket *)(void *)ssl;
    }
    SSL_free(ssl);
    ERR_clear_error();
    return NULL;
}

void tls_socket_free(struct tls_socket *socket)
{
    SSL_free(ssl_of(socket));
}

/* What a call that did nothing has come to. */
static ssize_t failure(struct tls_socket *socket)
{
    int error = SSL_get_error(ssl_of(socket), 0);

    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
        return -EAGAIN;
    ERR_clear_error();
    return error == SSL_ERROR_ZERO_RETURN ? 0 : -EPROTO;
}

ssize_t tls_socket_recv(struct tls_socket *socket, void *data, size_t len)
{
    size_t done;

    return SSL_read_ex(ssl_of(socket), data, len, &done) ? (ssize_t)done : failure(socket);
}

ssize_t tls_socket_send(struct tls_socket *socket, const void *data, size_t len)
{
    size_t done;

    if (SSL_write_ex(ssl_of(socket), data, len, &done))
        return (ssize_t)done;
    ssize_t status = failure(socket);
    return status == 0 ? -EPIPE : status;
}

void tls_socket_shutdown(struct tls_socket *socket)
{
    if (SSL_is_init_finished(ssl_of(socket)))
        (void)SSL_shutdown(ssl_of(socket));
    ERR_clear_error();
}

bool tls_socket_has_more(const struct tls_socket *socket)
{
    return SSL_pending(ssl_of(socket)) > 0;
}
