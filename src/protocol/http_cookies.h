/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PROTOCOL_HTTP_COOKIES_H
#define PROTOCOL_HTTP_COOKIES_H

#include "http/head.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * What one user keeps of Set-Cookie and sends back (RFC 6265), of one server: names, values, Path and
 * Max-Age. An Expires before the year 2000 takes a cookie back; others are not looked at, nor is
 * Domain. A Secure one is kept where the connections have TLS.
 */
enum { HTTP_COOKIES_MOST = 64, HTTP_COOKIE_BYTES_MOST = 4096, HTTP_JAR_BYTES_MOST = 16384 };

struct http_jar;
/** `secure`: for connections with TLS. */
struct http_jar *http_jar_new(bool secure);
struct http_jar *http_jar_free(struct http_jar *jar);
/** Takes the value of a Set-Cookie that came with the answer for `path`. What is none, or too large,
 *  is passed over; of too many the oldest go. Without memory it is lost. */
void http_jar_set(struct http_jar *jar, struct http_text value, const char *path, uint64_t now_ns);
/** "Cookie: a=b; c=d" of those that go with `path`, to be freed; NULL: none, or no memory. */
char *http_jar_header(struct http_jar *jar, const char *path, uint64_t now_ns);

/** Jars that nobody uses. */
struct http_jar **http_jar_next(struct http_jar *jar);

#endif
