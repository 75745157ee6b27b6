/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The input is what a server says of where to go and what to keep, most bytes words of those. A path
 * that is followed is one; a line of cookies has no other line in it, and what is kept has a bound.
 */
#include <stdlib.h>
#include <string.h>

#include "base/macro.h"
#include "protocol/http_cookies.h"
#include "protocol/http_made.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const char *const words[] = {
    "/",      ".",  "..",     "?",        "#",   "//", "http:", "h",        ":80",  "a",
    "=",      ";",  " path=", "max-age=", "-",   "1",  "9",     "expires=", "1970", "2030",
    "secure", "\t", " ",      "/../",     "/./", "\"", ",",     "https:",   "@",    "%2e"};

static size_t make_text(const uint8_t *data, size_t len, char *text, size_t room)
{
    size_t at = 0;

    for (size_t i = 0; i < len && at + 16 < room; i++) {
        if (data[i] >= 0xe0)
            text[at++] = (char)data[i];
        else
            at = (size_t)(stpcpy(text + at, words[data[i] % ARRAY_SIZE(words)]) - text);
    }
    return at;
}

static void check_path(const struct http_asks *asks, const char *base, struct http_text text)
{
    static const struct peer_soak_config config = {.to_port = 80};
    char *path = http_resolve(asks, &config, base, text);

    if (path && (*path != '/' || strpbrk(path, " \t\r\n#")))
        abort();
    free(path);
}

static void check_cookies(struct http_text text)
{
    struct http_jar *jar = http_jar_new(text.len & 1);

    if (!jar)
        abort();
    for (uint64_t now_ns = 0; now_ns < 3; now_ns++) {
        http_jar_set(jar, text, "/a/b?c", now_ns);
        if (text.len > 3)
            http_jar_set(jar, (struct http_text){text.at + now_ns, text.len - now_ns}, "/", now_ns);
        char *line = http_jar_header(jar, "/a/b", now_ns);
        if (line && (strncmp(line, "Cookie: ", 8) != 0 || strpbrk(line, "\r\n\t;") == line + 8 ||
                     strlen(line) > HTTP_JAR_BYTES_MOST + 2 * HTTP_COOKIES_MOST + 8))
            abort();
        free(line);
    }
    http_jar_free(jar);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static char host[] = "h";
    const struct http_asks asks = {.authority = host};
    char room[4096];
    size_t text_len = make_text(data, len, room, sizeof(room));

    /* As long as the input, so that the sanitizer sees every step behind its end. */
    char *text = malloc(MAX(text_len, (size_t)1));
    if (!text)
        abort();
    memcpy(text, room, text_len);
    check_path(&asks, "/a/b/c?d=/e", (struct http_text){text, text_len});
    check_path(&asks, "/", (struct http_text){text, text_len});
    check_cookies((struct http_text){text, text_len});
    free(text);
    return 0;
}
