/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The first byte says what the rest is: a text of queries, or an answer, which is made of parts that
 * are right (the header of an answer and its question, names, pointers, records) and of bytes as they
 * are. An answer lies at the end of its memory, so that a byte beyond is found; one that was right is
 * no longer when its last byte is gone, and means the same again.
 */
#include <stdlib.h>
#include <string.h>

#include "base/macro.h"
#include "protocol/dns_queries.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { MOST = 4096 };

#define PART(bytes)                                                                                \
    {                                                                                              \
        bytes, sizeof(bytes) - 1                                                                   \
    }
static const struct {
    const char *bytes;
    size_t len;
} parts[] = {
    PART("\0\1\201\200\0\1\0\1\0\0\0\0"),
    PART("\0\1\201\203\0\1\0\0\0\1\0\1"),
    PART("\3www\7example\3org\0\0\1\0\1"),
    PART("\300\14"),
    PART("\300\20"),
    PART("\300\41"),
    PART("\0\1\0\1\0\0\0\1\0\4abcd"),
    PART("\0\5\0\1\0\0\0\1\0\2\300\14"),
    PART("\0\6\0\1\0\0\0\1\0\30\300\14\300\14abcdefghijklmnopqrst"),
    PART("\0\17\0\1\0\0\0\1\0\4\0\12\300\14"),
    PART("\0\0\51\4\320\0\0\0\0\0\0"),
    PART("\1a"),
    PART("\0"),
    PART("\77"),
};

static const char *const words[] = {"www.example.org", " ",   "A",  "AAAA", "\n", ";", "\\",
                                    "TYPE65",          "\\.", "\r", ".",    "*",  "\t"};

static const uint8_t *query_of(void)
{
    static uint8_t query[DNS_QUERY_MOST];
    const struct dns_asks asks = {.type = 1, .class = 1};

    dns_query_write((const uint8_t *)"\3www\7example\3org", 17, &asks, query);
    return query;
}

static const char *judge(const uint8_t *bytes, size_t len, struct dns_answer *answer)
{
    uint8_t *copy = malloc(len ? len : 1);
    size_t other = 0;

    if (len)
        memcpy(copy, bytes, len);
    const char *why = dns_answer_read(copy, len, query_of(), answer, &other);
    if (other && (!why || other >= len))
        abort();
    free(copy);
    return why;
}

static void try_answer(const uint8_t *data, size_t len)
{
    uint8_t bytes[MOST];
    struct dns_answer answer = {0}, again = {0};
    size_t used = 0;

    for (size_t i = 0; i < len && used + 64 < MOST; i++) {
        if (data[i] >= 0xc0) {
            bytes[used++] = (uint8_t)(data[i] << 2 | data[i] >> 4);
            continue;
        }
        size_t part = i < 2 && data[i] < 0xa0 ? i * 2 : data[i] % ARRAY_SIZE(parts);
        memcpy(bytes + used, parts[part].bytes, parts[part].len);
        used += parts[part].len;
    }
    const char *why = judge(bytes, used, &answer);
    if (judge(bytes, used, &again) != why || (!why && again.rcode != answer.rcode))
        abort();
    if (!why && !answer.truncated && !judge(bytes, used - 1, &again))
        abort();
}

static void try_queries(const uint8_t *data, size_t len)
{
    char text[MOST];
    size_t used = 0;

    for (size_t i = 0; i < len && used + 32 < MOST; i++) {
        if (data[i] >= 0xc0) {
            text[used++] = (char)(data[i] & 0x7f);
            continue;
        }
        const char *word = words[data[i] % ARRAY_SIZE(words)];
        memcpy(text + used, word, strlen(word));
        used += strlen(word);
    }
    text[used] = 0;
    struct peer_soak_config config = {.queries = text, .edns_bytes = 512};
    struct dns_queries queries = {0};
    struct peer_error error = {0};
    if (dns_queries_make(&queries, &config, &error) == 0 && !queries.count)
        abort();
    for (size_t i = 0; i < queries.count; i++) {
        size_t query_len = dns_query_len(dns_query_at(&queries, i));
        if (query_len < DNS_HEADER + 5 || query_len > DNS_QUERY_MOST)
            abort();
    }
    dns_queries_done(&queries);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len && data[0] % 4 == 0)
        try_queries(data + 1, len - 1);
    else if (len)
        try_answer(data + 1, len - 1);
    return 0;
}
