/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is asked: one name and type from the target (the path of RFC 4501's URLs, with ; or & between
 * what follows the ?), or lines of a name and a type as dnsperf takes them. All are made to bytes at
 * the start, so that a query costs a copy and its id.
 */
#include "protocol/dns_queries.h"

#include "base/error.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { EDNS_BYTES = 1232, EDNS_LEAST = 512 };

struct word {
    const char *at;
    size_t len;
};

/* What is being made. */
struct making {
    FILE *bytes, *offsets;
    size_t len, count;
    struct dns_asks asks;
    struct peer_error *error;
};

static int refuse(struct making *making, const char *what, struct word word, const char *why)
{
    return error_set(making->error, PEER_ERROR_USAGE, EINVAL, "%s\"%.*s\" %s", what,
                     (int)(word.len < 80 ? word.len : 80), word.at, why);
}

static int add(struct making *making, const char *where, struct word name, int type)
{
    uint8_t wire[DNS_NAME_MOST], query[2 + DNS_QUERY_MOST];
    const char *why;
    char text[96];

    int len = dns_name_read(name.at, name.len, wire, &why);
    if (len < 0) {
        snprintf(text, sizeof(text), "is no name: %s", why);
        return refuse(making, where, name, text);
    }
    making->asks.type = (uint16_t)type;
    size_t query_len = dns_query_write(wire, (size_t)len, &making->asks, query + 2);
    query[0] = (uint8_t)(query_len >> 8);
    query[1] = (uint8_t)query_len;
    fwrite(query, 1, query_len + 2, making->bytes);
    fwrite(&making->len, 1, sizeof(making->len), making->offsets);
    making->len += query_len + 2;
    making->count++;
    return 0;
}

/* ---- lines ---- */

static struct word next_word(const char **at, const char *end)
{
    while (*at < end && isspace((unsigned char)**at))
        ++*at;
    struct word word = {.at = *at};
    while (*at < end && !isspace((unsigned char)**at))
        ++*at;
    word.len = (size_t)(*at - word.at);
    return word;
}

static bool says_nothing(struct word word)
{
    return !word.len || *word.at == ';';
}

static int add_line(struct making *making, const char *line, const char *end, size_t number)
{
    char where[48];

    snprintf(where, sizeof(where), "line %zu of the queries: ", number);
    struct word name = next_word(&line, end);
    if (says_nothing(name))
        return 0;
    struct word type = next_word(&line, end);
    if (says_nothing(type))
        return refuse(making, where, name, "has no type behind it");
    int type_number = dns_type_read(type.at, type.len);
    if (type_number < 0)
        return refuse(making, where, type, "is no type such as A or TYPE65");
    struct word more = next_word(&line, end);
    if (!says_nothing(more))
        return refuse(making, where, more, "is more than a name and a type");
    return add(making, where, name, type_number);
}

static int add_lines(struct making *making, const char *text)
{
    int status = 0;

    for (size_t number = 1; *text && status == 0; number++) {
        const char *end = text + strcspn(text, "\n");
        status = add_line(making, text, end, number);
        text = *end ? end + 1 : end;
    }
    if (status == 0 && !making->count)
        return error_set(making->error, PEER_ERROR_USAGE, EINVAL, "there is no query to ask");
    return status;
}

/* ---- a target ---- */

static int hex_of(char digit)
{
    return isdigit((unsigned char)digit) ? digit - '0' : tolower((unsigned char)digit) - 'a' + 10;
}

/* What %XX of a URL stands for; in place. */
static void decode(char *text)
{
    char *to = text;

    for (; *text; text++) {
        if (*text == '%' && isxdigit((unsigned char)text[1]) && isxdigit((unsigned char)text[2])) {
            *to++ = (char)(hex_of(text[1]) << 4 | hex_of(text[2]));
            text += 2;
        } else {
            *to++ = *text;
        }
    }
    *to = 0;
}

/* "type=AAAA" or "class=CH". */
static int take_setting(struct making *making, struct word setting, int *type)
{
    int number = -1;

    if (setting.len > 5 && strncasecmp(setting.at, "type=", 5) == 0)
        *type = number = dns_type_read(setting.at + 5, setting.len - 5);
    else if (setting.len > 6 && strncasecmp(setting.at, "class=", 6) == 0)
        making->asks.class = (uint16_t)(number = dns_class_read(setting.at + 6, setting.len - 6));
    if (number < 0)
        return refuse(making, "", setting, "is no type=AAAA or class=IN of a query");
    return 0;
}

static int add_target(struct making *making, char *name)
{
    char *settings = strchr(name, '?'), *at = settings ? settings + 1 : name + strlen(name);
    int type = dns_type_read("A", 1), status = 0;

    if (settings)
        *settings = 0;
    decode(name);
    for (size_t len; *at && status == 0; at += len + (at[len] != 0)) {
        len = strcspn(at, ";&");
        status = take_setting(making, (struct word){at, len}, &type);
    }
    if (status == 0 && !*name)
        return error_set(making->error, PEER_ERROR_USAGE, EINVAL,
                         "nothing says what is asked: give dns://HOST/NAME, or `queries`");
    return status == 0 ? add(making, "", (struct word){name, strlen(name)}, type) : status;
}

static int add_all(struct making *making, const struct peer_soak_config *config)
{
    const char *path = config->path ? config->path : "";

    path += *path == '/';
    if (config->queries && *path)
        return error_set(making->error, PEER_ERROR_USAGE, EINVAL,
                         "the queries say what is asked, and so does the target");
    if (config->queries)
        return add_lines(making, config->queries);
    char *copy = strdup(path);
    int status = copy ? add_target(making, copy) : -ENOMEM;
    free(copy);
    return status;
}

int dns_queries_make(struct dns_queries *queries, const struct peer_soak_config *config,
                     struct peer_error *error)
{
    struct making making = {.asks = {.class = 1, .dnssec = config->dnssec}, .error = error};
    char *bytes = NULL, *offsets = NULL;
    size_t bytes_len, offsets_len;
    int status = -ENOMEM;

    making.asks.edns_bytes =
        !config->edns_bytes && config->dnssec ? EDNS_BYTES : config->edns_bytes;
    if (config->edns_bytes && config->edns_bytes < EDNS_LEAST)
        return error_set(error, PEER_ERROR_USAGE, EINVAL,
                         "EDNS tells of a buffer of %d bytes at the least", EDNS_LEAST);
    making.bytes = open_memstream(&bytes, &bytes_len);
    making.offsets = open_memstream(&offsets, &offsets_len);
    if (making.bytes && making.offsets)
        status = add_all(&making, config);
    bool failed = !making.bytes || fclose(making.bytes) != 0;
    failed |= !making.offsets || fclose(making.offsets) != 0;
    *queries = (struct dns_queries){(uint8_t *)bytes, (size_t *)(void *)offsets, making.count};
    if (failed || status == -ENOMEM)
        return error_set(error, PEER_ERROR_MACHINE, ENOMEM, "out of memory");
    return status;
}

void dns_queries_done(struct dns_queries *queries)
{
    free(queries->bytes);
    free(queries->offsets);
}
