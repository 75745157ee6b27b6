/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PROTOCOL_HTTP2_H
#define PROTOCOL_HTTP2_H

#include "protocol/http.h"

/**
 * HTTP/2 (RFC 9113) from the client's side: requests are streams of a connection.
 */

extern const struct protocol_ops http2_ops;

/** What is made once for it. -ENOMEM. */
int http2_run_new(const struct http_run *http, const char *scheme, struct http2_run **ret_run);
/** Takes NULL. */
void http2_run_free(struct http2_run *run);

#endif
