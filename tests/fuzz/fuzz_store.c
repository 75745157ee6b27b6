/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What servers of data answer, cut anywhere: Redis's values, PostgreSQL's messages, its logins and
 * challenges. What comes in pieces means the same as what comes at once, nothing is taken that was not
 * there, and what is refused is told why in a line.
 */
#include "fuzz/told.h"
#include "protocol/pg_login.h"
#include "protocol/redis_answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const struct word words[] = {
    WORD("R\0\0\0\10\0\0\0\0"),
    WORD("R\0\0\0\10\0\0\0\3"),
    WORD("R\0\0\0\14\0\0\0\5salt"),
    WORD("R\0\0\0\27\0\0\0\12SCRAM-SHA-256\0\0"),
    WORD("R\0\0\0\64\0\0\0\13r=AAAAAAAAAAAAAAAAAAAAAAAAx,s=QUJD,i=1 "),
    WORD("R\0\0\0\20\0\0\0\14v=QUJD"),
    WORD("R\0\0\0\20\0\0\0\13r=,s=,"),
    WORD("K\0\0\0\14\0\0\0\1\0\0\0\2"),
    WORD("S\0\0\0\10a\0b\0"),
    WORD("Z\0\0\0\5I"),
    WORD("N\0\0\0\7Sa\0"),
    WORD("E\0\0\0\40SFATAL\0VFATAL\0C53300\0Mfull\0\0"),
    WORD("E\0\0\0\15C28P01\0\0"),
    WORD("E\0\0\0\4"),
    WORD("T\0\0\0\6\0\0"),
    WORD("D\0\0\1\0"),
    WORD("C\0\0\0\13SELECT\0"),
    WORD("D\200\0\0\0"),
    WORD("D\377\377\377\377"),
    WORD("I\0\0\0\3"),
    WORD("+OK\r\n"),
    WORD("-ERR no\r\n"),
    WORD(":42\r\n"),
    WORD("$3\r\nabc\r\n"),
    WORD("$-1\r\n"),
    WORD("$0\r\n\r\n"),
    WORD("*2\r\n"),
    WORD("*-1\r\n"),
    WORD("*99999999\r\n"),
    WORD("$536870912\r\n"),
    WORD("$536870913\r\n"),
    WORD("*1048576\r\n"),
    WORD("\r\n"),
    WORD("\r"),
    WORD("\n"),
};

enum { RANDOM = 7 };

/* A challenge that goes on from the nonce which each login here has. */
static size_t make_challenge(char text[128])
{
    static const char mechanisms[] = "\0\0\0\12SCRAM-SHA-256\0";
    char bytes[PG_LOGIN_ROOM], why[PG_LOGIN_WHY], secret[] = "secret";
    struct pg_out out = {.bytes = bytes, .room = sizeof(bytes)};
    struct pg_identity identity = {.user = secret, .password = secret, .database = secret};
    struct pg_reader reader = {.type = 'R', .len = sizeof(mechanisms)};
    struct pg_login login = {0};

    memcpy(reader.text, mechanisms, sizeof(mechanisms));
    insist(pg_login_take(&login, &identity, &reader, RANDOM, &out, why) == PG_LOGIN_GO_ON);
    memcpy(text, "R\0\0\0\0\0\0\0\13r=", 11);
    memcpy(text + 11, bytes + out.len - 24, 24);
    memcpy(text + 35, "x,s=QUJD,i=2", 12);
    text[4] = 46;
    pg_login_done(&login);
    return 47;
}

static size_t make_text(const uint8_t *data, size_t len, char text[TEXT_MOST])
{
    static char challenge[128];
    static size_t challenge_len;
    size_t at = 0;

    if (!challenge_len)
        challenge_len = make_challenge(challenge);
    for (size_t i = 0; i < len && at + 64 < TEXT_MOST; i++) {
        if (data[i] >= 0xc8 && data[i] < 0xd0) {
            memcpy(text + at, challenge, challenge_len);
            at += challenge_len;
            continue;
        }
        if (data[i] >= 0xd0) {
            text[at++] = (char)(data[i] - 0xd0);
            continue;
        }
        at += put_word(text + at, &words[data[i] % ARRAY_SIZE(words)]);
    }
    return at;
}

/* In memory of its own, so that the sanitizer sees every step behind its end. */
static char *piece(const char *text, size_t len)
{
    char *copy = malloc(len ? len : 1);

    insist(copy);
    memcpy(copy, text, len);
    return copy;
}

/* ---- Redis ---- */

static void read_redis(struct told *told, const char *text, size_t len, size_t step)
{
    struct redis_answer answer = {0};

    for (size_t at = 0; at < len;) {
        const size_t part = MIN(step, len - at);
        char *copy = piece(text + at, part);
        const ssize_t taken = redis_answer_take(&answer, copy, part);
        free(copy);
        if (taken < 0) {
            tell(told, UINT64_MAX);
            return;
        }
        insist(taken > 0 && (size_t)taken <= part);
        insist((size_t)taken == part || redis_answer_begins(&answer));
        at += (size_t)taken;
        if (redis_answer_begins(&answer))
            tell(told, (uint64_t)at << 1 | answer.refused);
        insist(memchr(answer.error, 0, sizeof(answer.error)));
    }
}

/* ---- PostgreSQL ---- */

static void check_out(const struct pg_out *out)
{
    insist(!out->full && out->len <= out->room);
    if (!out->len)
        return;
    const uint8_t *head = (const uint8_t *)out->bytes;
    insist(head[0] == 'p');
    insist(((size_t)head[1] << 24 | (size_t)head[2] << 16 | (size_t)head[3] << 8 | head[4]) + 1 ==
           out->len);
}

/* False: it is over. */
static bool take_login(struct told *told, struct pg_login *login, struct pg_identity *identity,
                       const struct pg_reader *reader)
{
    char bytes[PG_LOGIN_ROOM], why[PG_LOGIN_WHY] = "";
    struct pg_out out = {.bytes = bytes, .room = sizeof(bytes)};

    const enum pg_login_next next = pg_login_take(login, identity, reader, RANDOM, &out, why);
    tell(told, (uint64_t)next << 8 | login->state);
    check_out(&out);
    (void)pg_login_may_leave(login, identity);
    if (next == PG_LOGIN_GO_ON)
        return true;
    insist(next == PG_LOGIN_DONE || (why[0] && memchr(why, 0, sizeof(why))));
    insist(!strpbrk(why, "\r\n"));
    return next == PG_LOGIN_DONE;
}

static void read_pg(struct told *told, const char *text, size_t len, size_t step)
{
    char user[] = "me", password[] = "secret", database[] = "db";
    struct pg_identity identity = {.user = user, .password = password, .database = database};
    struct pg_login login = {0};
    struct pg_reader reader = {0};
    struct pg_error error;
    size_t used;
    bool on = true;

    for (size_t at = 0; at < len && on;) {
        const size_t part = MIN(step, len - at);
        char *copy = piece(text + at, part);
        const enum pg_read found = pg_read(&reader, copy, part, &used);
        free(copy);
        insist(used <= part && (found != PG_MORE || used == part));
        at += used;
        if (found == PG_WRONG) {
            tell(told, (uint64_t)(uint32_t)pg_length(&reader));
            break;
        }
        if (found == PG_MORE)
            continue;
        tell(told, (uint64_t)at << 16 | (uint64_t)(uint8_t)reader.type << 8 | 1);
        insist(reader.len <= PG_KEPT);
        pg_error_read(reader.text, reader.len, &error);
        insist(memchr(error.code, 0, sizeof(error.code)));
        insist(memchr(error.message, 0, sizeof(error.message)));
        if (login.state != PG_LOGIN_READY)
            on = take_login(told, &login, &identity, &reader);
    }
    pg_login_done(&login);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char text[TEXT_MOST];

    if (len < 2)
        return 0;
    const size_t step = 1 + data[0] % 13, text_len = make_text(data + 1, len - 1, text);
    insist_cuts_tell_nothing(read_redis, text, text_len, step);
    insist_cuts_tell_nothing(read_pg, text, text_len, step);
    return 0;
}
