/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef HTTP_HEAD_H
#define HTTP_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * Heads of HTTP/1 messages (RFC 9112): the first line, the headers that decide how the message
 * ends and what becomes of its connection, and that decision itself.
 *
 * Lines may end with a bare LF, and a header may go on in a line that begins with a blank
 * (obs-fold). Everything else that RFC 9112 forbids is an error with words.
 */

enum { HTTP_HEAD_MOST = 65536, HTTP_WHY = 128 };

/** A piece of the head's text, not terminated. */
struct http_text {
    const char *at;
    size_t len;
};

/** What several lengths in one head have come to. */
enum http_length {
    HTTP_LENGTH_NONE,
    HTTP_LENGTH_KNOWN, /* once, or several times the same */
    HTTP_LENGTH_DIFFERS,
    HTTP_LENGTH_BAD, /* no number, or none of 63 bits */
};

enum http_coding {
    HTTP_CODING_NONE,
    HTTP_CODING_CHUNKED, /* and nothing else */
    HTTP_CODING_LAST,    /* others, and chunked as the last */
    HTTP_CODING_OTHER,   /* chunked is not the last: only the connection's end ends the body */
    HTTP_CODING_BAD,     /* chunked twice, or no word at all */
};

struct http_head {
    uint8_t minor;                   /* of HTTP/1.minor */
    uint16_t status;                 /* answers: 0 to 999 */
    struct http_text method, target; /* requests; they point into the text */
    enum http_length length_kind;
    uint64_t length, other_length; /* `other` when they differ */
    enum http_coding coding;
    bool close, keep_alive;                /* tokens of Connection */
    bool expects_continue, expects_others; /* members of Expect */
};

/** Bytes up to the end of the first head in `text`, empty line and all; 0 while it has no end.
 * `from`: where to begin, bytes before have been looked at. */
size_t http_head_length(const char *text, size_t len, size_t from);

/** Whether this can be how an answer begins: nobody waits for the end of what is none. */
bool http_answer_begins(const char *text, size_t len);
/** The same for a request: 0, or what http_request_parse would say, of the first line. */
int http_request_begins(const char *text, size_t len, char why[HTTP_WHY]);
/** `len` is the head's own length. 0, or -EINVAL with `why`. */
int http_answer_parse(const char *text, size_t len, struct http_head *ret_head, char why[HTTP_WHY]);
/** The same for a request; -EPROTONOSUPPORT for an HTTP that is not version 1. Empty lines before
 * the request line are overlooked. */
int http_request_parse(const char *text, size_t len, struct http_head *ret_head,
                       char why[HTTP_WHY]);

/** What follows the first line of a head that has been parsed: its fields. */
struct http_text http_head_fields(const char *text, size_t len);
/** Cuts off the next field, its value without the blanks around it; false when there is none. A value
 * that goes on in further lines has their line breaks in it. */
bool http_next_field(struct http_text *rest, struct http_text *ret_name,
                     struct http_text *ret_value);
/** Likewise the next member of a list that is not empty (RFC 9110 5.6.1). */
bool http_next_member(struct http_text *list, struct http_text *ret_member);
/** Whether it is this word; letters have no case. */
bool http_text_is(struct http_text text, const char *word);

/** How a body ends. */
enum http_body_kind {
    HTTP_BODY_NONE, /* it has none, whatever its headers say */
    HTTP_BODY_LENGTH,
    HTTP_BODY_CHUNKED,
    HTTP_BODY_TO_END, /* by the end of the connection */
    HTTP_BODY_TUNNEL, /* none, and the connection speaks another protocol from then on */
    HTTP_BODY_BAD,    /* nobody can say */
};

/** What was asked for decides too. */
enum http_asked { HTTP_ASKED, HTTP_ASKED_HEAD, HTTP_ASKED_CONNECT };
enum http_asked http_asked_by(const char *method);

/** RFC 9112 6.3; `why` is written for HTTP_BODY_BAD only. */
enum http_body_kind http_answer_body(const struct http_head *head, enum http_asked asked,
                                     char why[HTTP_WHY]);
/** The same for a request: NONE, LENGTH, CHUNKED; or BAD, and the `status` to refuse it with. */
enum http_body_kind http_request_body(const struct http_head *head, unsigned *ret_status,
                                      char why[HTTP_WHY]);
/** Whether the connection can carry another message after this one (RFC 9112 9.3). */
bool http_keeps(const struct http_head *head, enum http_body_kind body);

/** For heads that we make ourselves: reads one header, "Name: value", as the parser would. */
void http_head_add(struct http_head *head, const char *header);
/** Whether it begins with a name and its colon: a token (RFC 9110 5.1, 5.6.2). */
bool http_is_named(const char *header);
/** Whether the header has this name; letters have no case. */
bool http_is_header(const char *header, const char *name);
/** RFC 9110 9.2.2: asking twice does no more than asking once. */
bool http_is_idempotent(const char *method);

#endif
