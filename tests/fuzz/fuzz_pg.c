/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What servers of PostgreSQL send, cut anywhere: what comes in pieces means the same as what comes at once, what is
 * kept has a bound, and no login begins, goes on or ends in a way that needs more room than there is.
 */
#include "fuzz/told.h"
#include "protocol/pg_login.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const struct word words[] = {
    WORD("R\0\0\0\10\0\0\0\0"),
    WORD("R\0\0\0\10\0\0\0\3"),
    WORD("R\0\0\0\14\0\0\0\5salt"),
    WORD("R\0\0\0\27\0\0\0\12SCRAM-SHA-256\0\0"),
    WORD("R\0\0\0\54\0\0\0\12SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0\0"),
    WORD("R\0\0\0\14\0\0\0\13r=AB"),
    WORD("R\0\0\0\51\0\0\0\13r=peer0000000000,s=c2FsdA==,i=2"),
    WORD("R\0\0\0\14\0\0\0\14v=AB"),
    WORD("K\0\0\0\14\0\0\0\1\0\0\0\2"),
    WORD("S\0\0\0\10a\0b\0"),
    WORD("Z\0\0\0\5I"),
    WORD("Z\0\0\0\4"),
    WORD("T\0\0\0\6\0\0"),
    WORD("D\0\0\0\12\0\1\0\0\0\1x"),
    WORD("C\0\0\0\15SELECT 1\0"),
    WORD("I\0\0\0\4"),
    WORD("E\0\0\0\51SERROR\0VERROR\0C42P01\0Mno such table\0\0"),
    WORD("E\0\0\0\23C53300\0Mfull\0\0"),
    WORD("E\0\0\0\5x"),
    WORD("N\0\0\0\5\0"),
    WORD("D\77\377\377\377"),
    WORD("D\200\0\0\0"),
    WORD("D\0\0\1\0"),
};

static void tell_bytes(struct told *told, const void *data, size_t len)
{
    uint64_t sum = len;

    for (size_t i = 0; i < len; i++)
        sum = sum * 31 + ((const uint8_t *)data)[i];
    tell(told, sum);
}

static void tell_error(struct told *told, const struct pg_reader *reader)
{
    char why[PG_LOGIN_WHY], code[6];
    struct pg_error error;

    pg_error_read(reader->text, reader->len, &error);
    pg_error_words(&error, why);
    pg_login_code(reader, code);
    insist(memchr(why, 0, sizeof(why)) && !strpbrk(why, "\r\n") && memchr(code, 0, sizeof(code)));
    insist(reader->type != 'E' || strcmp(code, error.code) == 0);
    tell_bytes(told, why, strlen(why));
}

/* False: the login is over. */
static bool take_login(struct told *told, struct pg_login *login, struct pg_identity *identity,
                       const struct pg_reader *reader)
{
    char bytes[PG_LOGIN_ROOM], why[PG_LOGIN_WHY] = "";
    struct pg_out out = {.bytes = bytes, .room = sizeof(bytes)};
    const enum pg_login_next next = pg_login_take(login, identity, reader, 7, &out, why);

    insist(!out.full && out.len <= out.room && memchr(why, 0, sizeof(why)));
    insist((next == PG_LOGIN_DONE) == (login->state == PG_LOGIN_READY));
    insist(next == PG_LOGIN_GO_ON || next == PG_LOGIN_DONE || why[0]);
    tell_bytes(told, why, strlen(why));
    tell_bytes(told, bytes, out.len);
    return next == PG_LOGIN_GO_ON;
}

static void read_all(struct told *told, const char *text, size_t len, size_t step)
{
    char user[] = "me", password[] = "secret", database[] = "db";
    struct pg_identity identity = {.user = user, .password = password, .database = database};
    struct pg_login login = {.state = PG_LOGIN_ASKED};
    struct pg_reader reader = {.type = 0};
    bool logs_in = true;
    size_t used;

    identity.cache.password = password;
    for (size_t at = 0; at < len; at += used) {
        const size_t part = MIN(step, len - at);
        char *copy = malloc(part);
        insist(copy);
        memcpy(copy, text + at, part);
        const enum pg_read found = pg_read(&reader, copy, part, &used);
        free(copy);
        insist(used <= part && (used > 0 || found == PG_WRONG) && reader.len <= PG_KEPT);
        insist(found != PG_MORE || used == part);
        if (found == PG_WRONG) {
            tell_bytes(told, "wrong", 5);
            break;
        }
        if (found != PG_MESSAGE)
            continue;
        tell_bytes(told, reader.text, reader.len);
        tell_error(told, &reader);
        logs_in = logs_in && take_login(told, &login, &identity, &reader);
    }
    pg_login_done(&login);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char text[TEXT_MOST];

    if (len < 2)
        return 0;
    const size_t text_len = text_of_words(words, ARRAY_SIZE(words), 0x80, 0, data + 1, len - 1, text);
    insist_cuts_tell_nothing(read_all, text, text_len, 1 + data[0] % 13);
    return 0;
}
