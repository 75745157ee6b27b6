/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The input is a list of targets, most bytes of it words of that format. What is refused is refused in
 * one line; what is accepted makes requests whose heads end where their bodies begin.
 */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/macro.h"
#include "protocol/http_request.h"

#include <errno.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const char *const words[] = {"\n",
                                    "\r\n",
                                    "\n\n",
                                    "GET ",
                                    "POST ",
                                    "OPTIONS ",
                                    "CONNECT ",
                                    "/",
                                    "http://",
                                    "h:80",
                                    "192.0.2.1",
                                    "?",
                                    "#",
                                    "@",
                                    "@f\n",
                                    ":",
                                    " ",
                                    "\t",
                                    "X: y\n",
                                    "Host: a\n",
                                    "Content-Length: 1\n",
                                    "Transfer-Encoding: chunked\n",
                                    "Connection: close\n",
                                    "Expect: 100-continue\n",
                                    "a"};

static size_t make_text(const uint8_t *data, size_t len, char *text, size_t room)
{
    size_t at = 0;

    for (size_t i = 0; i < len && at + 32 < room; i++) {
        const char *word = words[data[i] % ARRAY_SIZE(words)];
        if (data[i] >= 0xe0)
            text[at++] = (char)(data[i] & 0x7f);
        else
            at = (size_t)(stpcpy(text + at, word) - text);
    }
    return at;
}

static int read_body(void *user, const char *path, size_t most, void **ret_body, size_t *ret_len,
                     struct peer_error *error)
{
    (void)user;
    (void)most;
    if (strcmp(path, "f") != 0)
        return error_set(error, PEER_ERROR_USAGE, EINVAL, "no such file");
    *ret_body = strdup("body");
    *ret_len = 4;
    return 0;
}

static void check_refusal(const struct peer_error *error)
{
    if (!error->text[0] || strchr(error->text, '\n'))
        abort();
}

static void check_request(const struct http_ask *ask)
{
    struct http_request request = {0};

    if (http_request_make(&request, ask, 0) < 0)
        abort();
    const char *text = request.text ? request.text : request.last_text;
    size_t len = request.text ? request.len : request.last_len;
    if (http_head_length(text, len, 0) + request.body_len != len)
        abort();
    http_request_done(&request);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char room[8192];
    struct peer_soak_config config = {.host = "h", .to_port = 80};
    struct peer_error error = {0};
    struct http_asks asks = {0};
    size_t text_len = make_text(data, len, room, sizeof(room));

    /* As long as the input, so that the sanitizer sees every step behind its end. */
    char *text = malloc(MAX(text_len, (size_t)1));
    config.targets = targets_new();
    if (!text || !config.targets || peer_addr_parse("192.0.2.1", &config.to) < 0)
        abort();
    memcpy(text, room, text_len);
    struct peer_targets *targets = config.targets;
    int status = targets_parse(targets, text, text_len, read_body, NULL, &error);
    free(text);
    if (status == 0)
        status = http_asks_make(&asks, &config, &error);
    if (status < 0)
        check_refusal(&error);
    for (size_t i = 0; status == 0 && i < asks.count; i++)
        check_request(&asks.at[i]);
    http_asks_done(&asks);
    targets_free(targets);
    return 0;
}
