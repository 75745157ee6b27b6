/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What servers of Redis send, cut anywhere: what comes in pieces means the same as what comes at once, and no
 * length in it leads beyond the bytes that are there.
 */
#include "base/macro.h"
#include "protocol/redis_answer.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { TEXT_MOST = 8192, TOLD_MOST = 4096 };

#define WORD(text)                                                                                 \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }
static const struct {
    const char *text;
    size_t len;
} words[] = {
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

static void insist(bool condition)
{
    if (!condition)
        abort();
}

static size_t make_text(const uint8_t *data, size_t len, char text[TEXT_MOST])
{
    size_t at = 0;

    for (size_t i = 0; i < len && at + 128 < TEXT_MOST; i++) {
        if (data[i] >= 0xc0) {
            text[at++] = (char)(data[i] - 0xc0 + ' ');
            continue;
        }
        const size_t word = data[i] % ARRAY_SIZE(words);
        memcpy(text + at, words[word].text, words[word].len);
        at += words[word].len;
    }
    return at;
}

/* Where answers ended, and with what errors. */
struct told {
    size_t count;
    uint64_t words[TOLD_MOST];
};

static void tell(struct told *told, uint64_t word)
{
    if (told->count < TOLD_MOST)
        told->words[told->count++] = word;
}

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
    static struct told whole, cut;
    char text[TEXT_MOST];

    if (len < 2)
        return 0;
    const size_t step = 1 + data[0] % 13, text_len = make_text(data + 1, len - 1, text);
    whole.count = cut.count = 0;
    read_all(&whole, text, text_len, text_len);
    read_all(&cut, text, text_len, step);
    insist(whole.count == cut.count);
    insist(memcmp(whole.words, cut.words, whole.count * sizeof(whole.words[0])) == 0);
    return 0;
}
