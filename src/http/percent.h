/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef HTTP_PERCENT_H
#define HTTP_PERCENT_H

/** "%41" to "A" (RFC 3986 2.1), in place. -EINVAL for a % without two hexadecimal digits, and for
 *  %00, which no text can hold; the text is then as it was. */
int http_percent_decode(char *text);

#endif
