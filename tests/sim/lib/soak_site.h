/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SOAK_SITE_H
#define SOAK_SITE_H

/*
 * HTTP between a soak and a site, which answers by what is asked for, in virtual time. It keeps what
 * it was told, in one text.
 */
#include "support/simtest.h"
#include "support/soaking.h"

#include "http/head.h"

#define MS NS_PER_MS

/* What the site says to "METHOD PATH", NULL: to all else. It ends the connection behind it if that
   says "Connection: close". */
struct page {
    const char *ask, *answer;
};

struct site {
    struct soaking soaking;
    const struct page *pages;
    char *heard; /* all requests; a test frees nothing of it */
    size_t heard_len;
    uint64_t requests, accepted;
    uint64_t at_ns[4096]; /* when each came */
};

/* One connection: what came and is not whole. */
struct visit {
    char text[16384];
    size_t len;
};

static inline const char *page_of(const struct site *site, const struct http_head *head)
{
    char ask[512];
    size_t i = 0;

    snprintf(ask, sizeof(ask), "%.*s %.*s", (int)head->method.len, head->method.at,
             (int)head->target.len, head->target.at);
    while (site->pages[i].ask && strcmp(site->pages[i].ask, ask) != 0)
        i++;
    return site->pages[i].answer;
}

static inline void site_hear(struct site *site, const char *text, size_t len)
{
    site->heard = realloc(site->heard, site->heard_len + len + 1);
    assert_non_null(site->heard);
    memcpy(site->heard + site->heard_len, text, len);
    site->heard_len += len;
    site->heard[site->heard_len] = 0;
}

static inline bool site_answer(struct end *end)
{
    struct site *site = end->user;
    struct visit *visit = end_own(end);
    struct http_head head = {0};
    char why[HTTP_WHY];

    size_t len = http_head_length(visit->text, visit->len, 0);
    if (!len)
        return false;
    assert_int_equal(http_request_parse(visit->text, len, &head, why), 0);
    if (head.length_kind == HTTP_LENGTH_KNOWN)
        len += (size_t)head.length;
    if (visit->len < len)
        return false;
    const char *answer = page_of(site, &head);
    site_hear(site, visit->text, len);
    site->at_ns[site->requests++ % ARRAY_SIZE(site->at_ns)] = simnet_now_ns(end->net);
    visit->len -= len;
    memmove(visit->text, visit->text + len, visit->len);
    assert_int_equal(flow_write(&end->flow, answer, strlen(answer), 0), strlen(answer));
    if (strstr(answer, "Connection: close"))
        flow_close(&end->flow);
    return true;
}

static inline void site_event(struct end *end, unsigned events)
{
    struct site *site = end->user;
    struct visit *visit = end_own(end);
    struct iovec iov;

    site->accepted += !!(events & FLOW_ACCEPTED);
    while (events & FLOW_READABLE && flow_peek(&end->flow, &iov, 1) > 0) {
        assert_true(iov.iov_len <= sizeof(visit->text) - visit->len);
        memcpy(visit->text + visit->len, iov.iov_base, iov.iov_len);
        visit->len += iov.iov_len;
        flow_consume(&end->flow, iov.iov_len);
    }
    while (site_answer(end))
        ;
    if (events & FLOW_EOF)
        flow_close(&end->flow);
}

static inline struct site *site_run(const struct page *pages, struct peer_soak_config config)
{
    struct site *site = calloc(1, sizeof(*site));
    const struct simnet_config net = {.user = site};
    const struct end application = {.on_event = site_event,
                                    .drop_when_ended = true,
                                    .user = site,
                                    .own_bytes = sizeof(struct visit)};

    assert_non_null(site);
    site->pages = pages;
    soaking_run(&site->soaking, &net, &application, &config);
    if (site->soaking.report.first_error)
        fail_msg("%s", site->soaking.report.first_error);
    return site;
}
#define SITE_RUN(pages, ...) site_run(pages, (struct peer_soak_config){__VA_ARGS__})

static inline void site_free(struct site *site)
{
    soaking_end(&site->soaking);
    free(site->heard);
    free(site);
}

/* How often the site heard `text`. */
static inline unsigned site_heard(const struct site *site, const char *text)
{
    unsigned count = 0;

    for (const char *at = site->heard; at && (at = strstr(at, text)); at++)
        count++;
    return count;
}

#endif
