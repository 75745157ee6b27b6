/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The input is the records of a result, behind its first line. What is accepted can be added to
 * another, and reads the same when it is written again. The same bytes are those of a histogram, and of
 * records of a journal, whose sums are made right.
 */
#include <stdlib.h>
#include <string.h>

#include "soak/journal.h"
#include "soak/result.h"

#include <hdr/hdr_histogram.h>
#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_again(const struct result *result)
{
    struct peer_error error = {0};
    struct result again, sum;
    FILE *file = tmpfile();

    if (!file || result_write(result, fileno(file)) < 0 || fseek(file, 0, SEEK_SET) != 0)
        abort();
    if (result_read(fileno(file), &again, &error) < 0)
        abort();
    fclose(file);
    if (memcmp(&again.found.counts, &result->found.counts, sizeof(again.found.counts)) != 0 ||
        again.interval_count != result->interval_count)
        abort();
    if (result_init(&sum) < 0 || result_add(&sum, result) < 0 || result_add(&sum, &again) < 0)
        abort();
    result_done(&sum);
    result_done(&again);
}

/* The same bytes as those of a histogram. */
static void try_histogram(const uint8_t *data, size_t len)
{
    static const char head[] = "peer histogram 1\n";
    const size_t head_len = strlen(head);
    struct hdr_histogram *histogram, *sum;
    struct peer_error error = {0};

    char *bytes = malloc(head_len + len);
    if (!bytes || histogram_new(&histogram) < 0 || histogram_new(&sum) < 0)
        abort();
    memcpy(bytes, head, head_len);
    if (len)
        memcpy(bytes + head_len, data, len);
    int status = histogram_parse(bytes, head_len + len, histogram, &error);
    if (status == 0 ? histogram_add(sum, histogram) < 0 : !error.text[0])
        abort();
    hdr_close(histogram);
    hdr_close(sum);
    free(bytes);
}

/* A record of the journal of a kind, which holds one record of a result. */
static size_t put_record(uint8_t *to, uint8_t kind, uint8_t inner, const uint8_t *body, uint8_t len)
{
    const size_t payload = (size_t)len + 4; /* kind and length, and the record that ends it */

    memset(to, 0, JOURNAL_HEAD + payload);
    to[0] = kind;
    to[4] = (uint8_t)payload;
    to[JOURNAL_HEAD] = inner;
    to[JOURNAL_HEAD + 1] = len;
    memcpy(to + JOURNAL_HEAD + 2, body, len);
    journal_sum(to, JOURNAL_HEAD + payload, to + JOURNAL_HEAD + payload);
    return JOURNAL_HEAD + payload + JOURNAL_SUM;
}

/* Behind a journal of nothing yet: of each three bytes the first two say the kinds of a record and of what
   it holds, the third how many bytes follow of this. What is left is there as it is. */
static void try_journal(const uint8_t *data, size_t len)
{
    struct peer_error error = {0};
    size_t to = strlen(JOURNAL_LINE);
    struct result result;

    uint8_t *bytes = calloc(1, to + 32 + 8 * (len + 8));
    if (!bytes)
        abort();
    memcpy(bytes, JOURNAL_LINE, to);
    to += put_record(bytes + to, JOURNAL_ALL, 15, data, 0);
    while (len >= 3 && (size_t)(data[2] % 64) + 3 <= len) {
        const uint8_t size = data[2] % 64;
        to += put_record(bytes + to, 1 + data[0] % 5, data[1] % 14, data + 3, size);
        data += 3 + size;
        len -= 3 + (size_t)size;
    }
    if (len)
        memcpy(bytes + to, data, len);
    if (journal_parse(bytes, to + len, &result, &error) < 0 || !result.journal.is_one)
        abort(); /* its beginning is right */
    check_again(&result);
    result_done(&result);
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const char head[] = "peer result 1\n";
    const size_t head_len = strlen(head);
    struct peer_error error = {0};
    struct result result;

    char *bytes = malloc(head_len + len + 1);
    if (!bytes)
        abort();
    memcpy(bytes, head, head_len);
    if (len)
        memcpy(bytes + head_len, data, len);
    if (result_parse(bytes, head_len + len, &result, &error) == 0) {
        check_again(&result);
        result_done(&result);
    } else if (!error.text[0] || strchr(error.text, '\n')) {
        abort();
    }
    free(bytes);
    try_histogram(data, len);
    try_journal(data, len);
    return 0;
}
