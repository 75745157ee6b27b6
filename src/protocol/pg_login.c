/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * After the startup message a server asks for a proof, or for none (AuthenticationOk), then names
 * some of its settings and a key by which queries could be cancelled, and is ready.
 */
#include "protocol/pg_login.h"

#include "base/macro.h"
#include "base/rng.h"
#include "crypt/digest.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What AuthenticationX begins with. */
enum { AUTH_OK = 0, AUTH_PLAIN = 3, AUTH_MD5 = 5, AUTH_SASL = 10, AUTH_GO_ON, AUTH_FINAL };

struct turn {
    struct pg_login *login;
    struct pg_identity *identity;
    const char *text; /* behind the number */
    size_t len;
    uint64_t random;
    struct pg_out *out;
    char *why;
};

__attribute__((format(printf, 3, 4))) static enum pg_login_next
say(struct turn *turn, enum pg_login_next next, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(turn->why, PG_LOGIN_WHY, format, arguments);
    va_end(arguments);
    return next;
}

void pg_ask_tls(struct pg_out *out)
{
    pg_begin(out, 0);
    pg_put_number(out, 1234 << 16 | 5679);
    pg_end(out);
}

void pg_login_begin(struct pg_login *login, const struct pg_identity *identity, struct pg_out *out)
{
    login->state = PG_LOGIN_ASKED;
    pg_begin(out, 0);
    pg_put_number(out, 3 << 16);
    pg_put_text(out, "user");
    pg_put_text(out, identity->user);
    pg_put_text(out, "database");
    pg_put_text(out, identity->database);
    pg_put_text(out, "application_name");
    pg_put_text(out, "peer");
    pg_put(out, "", 1);
    pg_end(out);
}

void pg_login_done(struct pg_login *login)
{
    free(login->scram);
    login->scram = NULL;
}

bool pg_login_may_leave(const struct pg_login *login, const struct pg_identity *identity)
{
    return login->state == PG_LOGIN_ASKED ? identity->trusted : login->state != PG_LOGIN_FIRST;
}

/* ---- proofs ---- */

static enum pg_login_next lacks_password(struct turn *turn)
{
    return say(turn, PG_LOGIN_REFUSED, "the server asks for a password, and there is none");
}

static void send_secret(struct turn *turn, const char *secret)
{
    pg_begin(turn->out, 'p');
    pg_put_text(turn->out, secret);
    pg_end(turn->out);
    turn->login->state = PG_LOGIN_SECRET;
}

static enum pg_login_next take_plain(struct turn *turn)
{
    if (!turn->identity->password)
        return lacks_password(turn);
    send_secret(turn, turn->identity->password);
    return PG_LOGIN_GO_ON;
}

static enum pg_login_next take_md5(struct turn *turn)
{
    const struct pg_identity *identity = turn->identity;
    char inner[33], outer[3 + 33] = "md5";

    if (!identity->password)
        return lacks_password(turn);
    if (turn->len != 4)
        return say(turn, PG_LOGIN_NONSENSE, "a salt of %zu bytes", turn->len);
    if (md5_hex(identity->password, strlen(identity->password), identity->user,
                strlen(identity->user), inner) < 0 ||
        md5_hex(inner, 32, turn->text, 4, outer + 3) < 0)
        return say(turn, PG_LOGIN_REFUSED,
                   "the server asks for MD5, which OpenSSL does not allow "
                   "here");
    send_secret(turn, outer);
    return PG_LOGIN_GO_ON;
}

/* A list of names, each with a zero behind it, up to an empty one. */
static bool offers(const struct turn *turn, const char *name)
{
    const char *at = turn->text, *end = at + turn->len;

    while (at < end && *at) {
        size_t len = strnlen(at, (size_t)(end - at));
        if (len == strlen(name) && memcmp(at, name, len) == 0)
            return true;
        at += len + 1;
    }
    return false;
}

/* Letters and digits that derive from the seed. */
static void make_nonce(uint64_t random, char nonce[25])
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    struct rng rng;

    rng_derive(&rng, random, RNG_LOGINS);
    for (size_t i = 0; i < 24; i++)
        nonce[i] = letters[rng_below(&rng, 64)];
    nonce[24] = 0;
}

static enum pg_login_next take_sasl(struct turn *turn)
{
    static const char mechanism[] = "SCRAM-SHA-256";
    char nonce[25], first[SCRAM_TEXT];

    if (!offers(turn, mechanism))
        return say(turn, PG_LOGIN_REFUSED, "the server offers no %s%s", mechanism,
                   offers(turn, "SCRAM-SHA-256-PLUS")
                       ? ", but SCRAM-SHA-256-PLUS, which peer does not speak"
                       : "");
    if (!turn->identity->password)
        return lacks_password(turn);
    turn->login->scram = calloc(1, sizeof(*turn->login->scram));
    if (!turn->login->scram)
        return say(turn, PG_LOGIN_REFUSED, "out of memory");
    make_nonce(turn->random, nonce);
    size_t len = scram_begin(turn->login->scram, "", nonce, first);
    pg_begin(turn->out, 'p');
    pg_put_text(turn->out, mechanism);
    pg_put_number(turn->out, (uint32_t)len);
    pg_put(turn->out, first, len);
    pg_end(turn->out);
    turn->login->state = PG_LOGIN_FIRST;
    return PG_LOGIN_GO_ON;
}

static enum pg_login_next take_challenge(struct turn *turn)
{
    const char *why = NULL;
    char proof[SCRAM_TEXT];

    turn->identity->cache.password = turn->identity->password;
    ssize_t len =
        scram_prove(turn->login->scram, &turn->identity->cache, turn->text, turn->len, proof, &why);
    if (len < 0)
        return say(turn, PG_LOGIN_NONSENSE, "of the server's SCRAM: %s", why);
    pg_begin(turn->out, 'p');
    pg_put(turn->out, proof, (size_t)len);
    pg_end(turn->out);
    turn->login->state = PG_LOGIN_PROVED;
    return PG_LOGIN_GO_ON;
}

static enum pg_login_next take_final(struct turn *turn)
{
    const char *why;

    if (scram_verify(turn->login->scram, turn->text, turn->len, &why) < 0)
        return say(turn, PG_LOGIN_REFUSED, "of the server's SCRAM: %s", why);
    turn->login->state = PG_LOGIN_KNOWN;
    return PG_LOGIN_GO_ON;
}

static enum pg_login_next take_ok(struct turn *turn)
{
    turn->identity->trusted |= turn->login->state == PG_LOGIN_ASKED;
    turn->login->state = PG_LOGIN_IN;
    pg_login_done(turn->login);
    return PG_LOGIN_GO_ON;
}

#define IN(state) (1u << PG_LOGIN_##state)
static const struct {
    uint32_t number;
    unsigned states; /* in which it may come */
    enum pg_login_next (*take)(struct turn *turn);
} proofs[] = {
    {AUTH_OK, IN(ASKED) | IN(SECRET) | IN(KNOWN), take_ok},
    {AUTH_PLAIN, IN(ASKED), take_plain},
    {AUTH_MD5, IN(ASKED), take_md5},
    {AUTH_SASL, IN(ASKED), take_sasl},
    {AUTH_GO_ON, IN(FIRST), take_challenge},
    {AUTH_FINAL, IN(PROVED), take_final},
};
#undef IN

static const char *proof_name(uint32_t number)
{
    static const char *const names[] = {
        [2] = "Kerberos V5", [6] = "SCM credentials", [7] = "GSSAPI", [9] = "SSPI"};

    return number < ARRAY_SIZE(names) ? names[number] : NULL;
}

static enum pg_login_next take_proof(struct turn *turn)
{
    if (turn->len < 4)
        return say(turn, PG_LOGIN_NONSENSE, "a request for authentication of %zu bytes", turn->len);
    const uint8_t *at = (const uint8_t *)turn->text;
    uint32_t number = (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
    turn->text += 4;
    turn->len -= 4;
    for (size_t i = 0; i < ARRAY_SIZE(proofs); i++) {
        if (proofs[i].number != number)
            continue;
        if (!(proofs[i].states & 1u << turn->login->state))
            return say(turn, PG_LOGIN_NONSENSE, "authentication %u out of turn", (unsigned)number);
        return proofs[i].take(turn);
    }
    if (proof_name(number))
        return say(turn, PG_LOGIN_REFUSED, "the server asks for %s, which peer does not speak",
                   proof_name(number));
    return say(turn, PG_LOGIN_NONSENSE, "authentication %u is none", (unsigned)number);
}

/* ---- the rest ---- */

bool pg_error_is_full(const struct pg_error *error)
{
    return strncmp(error->code, "53", 2) == 0 || strcmp(error->code, "57P03") == 0;
}

bool pg_error_is_login(const struct pg_error *error)
{
    return strncmp(error->code, "28", 2) == 0;
}

void pg_error_words(const struct pg_error *error, char why[PG_LOGIN_WHY])
{
    snprintf(why, PG_LOGIN_WHY, "the server says \"%s %s: %s\"", error->severity, error->code,
             error->message);
}

static enum pg_login_next take_error(struct turn *turn)
{
    struct pg_error error;

    pg_error_read(turn->text, turn->len, &error);
    pg_error_words(&error, turn->why);
    return pg_error_is_full(&error) ? PG_LOGIN_FULL : PG_LOGIN_REFUSED;
}

void pg_login_code(const struct pg_reader *message, char code[6])
{
    struct pg_error error = {.code = ""};

    if (message->type == 'E')
        pg_error_read(message->text, message->len, &error);
    memcpy(code, error.code, sizeof(error.code));
}

enum pg_login_next pg_login_take(struct pg_login *login, struct pg_identity *identity,
                                 const struct pg_reader *message, uint64_t random,
                                 struct pg_out *out, char why[PG_LOGIN_WHY])
{
    struct turn turn = {.login = login,
                        .identity = identity,
                        .text = message->text,
                        .len = message->len,
                        .random = random,
                        .out = out,
                        .why = why};
    const bool in = login->state == PG_LOGIN_IN;

    switch (message->type) {
    case 'R':
        return take_proof(&turn);
    case 'E':
        return take_error(&turn);
    case 'N':
        return PG_LOGIN_GO_ON;
    case 'S':
    case 'K':
        if (in)
            return PG_LOGIN_GO_ON;
        break;
    case 'Z':
        if (!in)
            break;
        login->state = PG_LOGIN_READY;
        return PG_LOGIN_DONE;
    default:
        break;
    }
    return say(&turn, PG_LOGIN_NONSENSE, "a message of type 0x%02x in a login",
               (unsigned)(uint8_t)message->type);
}
