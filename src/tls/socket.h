/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TLS_SOCKET_H
#define TLS_SOCKET_H

#include <peer/error.h>
#include <peer/tls.h>
#include <sys/types.h>

/**
 * TLS on a socket of the kernel's that does not block, as who is called: for an application that peers
 * talk to. Settings are those of flows (tls.h).
 */
struct tls_sockets;
struct tls_socket;

/** -EINVAL, errors of open(2), -ENOMEM, with text. */
int tls_sockets_new(const struct peer_tls_config *config, struct tls_sockets **ret_sockets,
                    struct peer_error *error);
/** `fd` stays the caller's. NULL without memory. */
struct tls_socket *tls_socket_new(struct tls_sockets *sockets, int fd);
/** Takes NULL. */
void tls_socket_free(struct tls_socket *socket);
/** As recv(2) and send(2), with -errno: -EAGAIN, also while the handshake goes on; 0 at close_notify;
 *  -EPROTO where TLS failed. What was sent with -EAGAIN is sent again from the same beginning. */
ssize_t tls_socket_recv(struct tls_socket *socket, void *data, size_t len);
ssize_t tls_socket_send(struct tls_socket *socket, const void *data, size_t len);
/** close_notify, as far as it goes now. */
void tls_socket_shutdown(struct tls_socket *socket);
/** Bytes that were decrypted and not taken: no descriptor tells of them. */
bool tls_socket_has_more(const struct tls_socket *socket);

#endif
