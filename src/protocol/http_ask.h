/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PROTOCOL_HTTP_ASK_H
#define PROTOCOL_HTTP_ASK_H

#include "http/head.h"
#include "protocol/targets.h"

#include <peer/soak.h>

/** What is asked for, whichever version of HTTP writes it. Checked: neither words nor lines break. */
struct http_ask {
    const char *method;
    char *path;           /* with its query; "*"; of CONNECT the host and port */
    char *host;           /* the authority, for which a header Host may stand */
    const char **headers; /* "Name: value", all that were given; ends with NULL */
    const void *body;
    size_t body_len;
    bool has_body; /* one of no bytes is one */
    enum http_asked asked;
    bool idempotent; /* may be asked again */
};
bool http_ask_has(const struct http_ask *ask, const char *header);
/** Whether it is about a body (RFC 9110 8.6): without one it says so. */
bool http_ask_means_body(const struct http_ask *ask);

/** All that a run asks for: one, or those of a list. */
struct http_asks {
    struct http_ask *at;
    size_t count;
    bool listed;                           /* they are told apart in the figures */
    char *authority;                       /* of the run, as in URLs: "HOST" or "HOST:PORT" */
    struct peer_targets *targets, *common; /* have the texts; `common`: headers of all */
};
/** Takes from `config` what it says; its strings need not live on. -EINVAL with text, -ENOMEM. */
int http_asks_make(struct http_asks *asks, struct peer_soak_config *config,
                   struct peer_error *error);
void http_asks_done(struct http_asks *asks);
/** Lets the bodies of a list of one go: what was made of it has them. */
void http_asks_release(struct http_asks *asks);
/** Whether "HOST", "HOST:PORT" or "[V6]:PORT" is where the run goes. */
bool http_asks_lead(const struct http_asks *asks, const struct peer_soak_config *config,
                    const char *authority, size_t len);

#endif
