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

/* Each record of the input, the first byte its length, as a record of a kind that its second byte says;
   what is left is there as it is. */
static void try_journal(const uint8_t *data, size_t len)
{
    const size_t head = strlen(JOURNAL_LINE);
    struct peer_error error = {0};
    struct result result;
    size_t to = head;

    uint8_t *bytes = calloc(1, head + len * (2 + JOURNAL_HEAD + JOURNAL_SUM) + 1);
    if (!bytes)
        abort();
    memcpy(bytes, JOURNAL_LINE, head);
    while (len > 2 && data[0] + (size_t)2 <= len) {
        const size_t size = data[0];
        bytes[to] = data[1] % 6;
        bytes[to + 4] = (uint8_t)size;
        memcpy(bytes + to + JOURNAL_HEAD, data + 2, size);
        journal_sum(bytes + to, JOURNAL_HEAD + size, bytes + to + JOURNAL_HEAD + size);
        to += JOURNAL_HEAD + size + JOURNAL_SUM;
        data += 2 + size;
        len -= 2 + size;
    }
    if (len)
        memcpy(bytes + to, data, len);
    int status = journal_parse(bytes, to + len, &result, &error);
    if (status == 0) {
        check_again(&result);
        if (!result.journal.is_one)
            abort();
        result_done(&result);
    } else if (!error.text[0]) {
        abort();
    }
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
