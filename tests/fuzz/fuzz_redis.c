/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What servers of Redis send, cut anywhere: what comes in pieces means the same as what comes at once, and no
 * length in it leads beyond the bytes that are there.
 */
#include "fuzz/told.h"
#include "protocol/redis_answer.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const struct word words[] = {
    WORD("+OK\r\n"),
    WORD("-ERR wrong\r\n"),
    WORD(":42\r\n"),
    WORD("$5\r\nhello\r\n"),
    WORD("$-1\r\n"),
    WORD("*-1\r\n"),
    WORD("*3\r\n"),
    WORD("*0\r\n"),
    WORD("$0\r\n\r\n"),
    WORD("*9223372036854775807\r\n"),
    WORD("$9223372036854775807\r\n"),
    WORD("$99999999999999999999\r\n"),
    WORD("*2\r\n*2\r\n"),
    WORD("$"),
    WORD("*"),
    WORD("\r"),
    WORD("\n"),
    WORD("\r\n"),
    WORD("-"),
    WORD("536870913"),
    WORD("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
         "aa"),
};

static void tell_answer(struct told *told, struct redis_answer *answer, size_t at)
{
    uint64_t sum = answer->refused;

    insist(memchr(answer->error, 0, sizeof(answer->error)));
    for (const char *c = answer->error; answer->refused && *c; c++) {
        insist((unsigned char)*c >= ' ');
        sum = sum * 31 + (unsigned char)*c;
    }
    tell(told, at);
    tell(told, sum);
    *answer = (struct redis_answer){0};
}

static void read_all(struct told *told, const char *text, size_t len, size_t step)
{
    struct redis_answer answer = {0};

    for (size_t at = 0; at < len;) {
        const size_t part = MIN(step, len - at);
        char *copy = malloc(part);
        insist(copy);
        memcpy(copy, text + at, part);
        const bool begins = redis_answer_begins(&answer) && !answer.in_line;
        const ssize_t used = redis_answer_take(&answer, copy, part);
        free(copy);
        if (used < 0) {
            tell(told, UINT64_MAX);
            return;
        }
        insist((size_t)used <= part && (used > 0 || !begins));
        at += (size_t)used;
        const bool whole = redis_answer_begins(&answer) && !answer.in_line;
        insist(whole || (size_t)used == part);
        if (whole)
            tell_answer(told, &answer, at);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char text[TEXT_MOST];

    if (len < 2)
        return 0;
    const size_t text_len = text_of_words(words, ARRAY_SIZE(words), 0xc0, ' ', data + 1, len - 1, text);
    insist_cuts_tell_nothing(read_all, text, text_len, 1 + data[0] % 13);
    return 0;
}
