/* SPDX-License-Identifier: BSD-3-Clause */
/* Logins and queries of PostgreSQL in virtual time: servers that do as they should, and others. */
#include "soak_talk.h"

#include "crypt/digest.h"

enum { ROUNDS = 64 };
static const char salt[] = "0123456789abcdef";

enum method { TRUST, PLAIN, MD5, SCRAM };

/* Bytes that may have zeros in them. */
struct bytes {
    const char *at;
    size_t len;
};
#define BYTES(text)                                                                                \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }

struct script {
    enum method method;
    const char *password;  /* the server's */
    struct bytes startup;  /* instead of a login */
    struct bytes answer;   /* to a query; NULL: one row */
    bool closes;           /* behind either */
    bool drips;            /* byte by byte */
    bool forges;           /* its signature is wrong */
    const char *challenge; /* SCRAM, instead of the right one; %.*s is the client's nonce */
    bool skips_signature;
};

#define OK "R\0\0\0\10\0\0\0\0"
#define SETTINGS                                                                                   \
    "S\0\0\0\25server_version\0"                                                                   \
    "1\0"                                                                                          \
    "N\0\0\0\13SNOTE\0\0"                                                                          \
    "K\0\0\0\14\0\0\0\1\0\0\0\2"
#define READY "Z\0\0\0\5I"
#define ROW                                                                                        \
    "T\0\0\0\12\0\1abcd"                                                                           \
    "D\0\0\0\13\0\1\0\0\0\1"                                                                       \
    "1"                                                                                            \
    "C\0\0\0\15SELECT 1\0"
#define FATAL(code, text, len) "E\0\0\0" len "SFATAL\0VFATAL\0C" code "\0M" text "\0\0"

static size_t message_unit(const struct talk_server *server, const char *data, size_t len)
{
    const size_t type = server->units > 0; /* the first one has none */
    const uint8_t *at = (const uint8_t *)data + type;

    if (len < type + 4)
        return 0;
    size_t length = type + ((size_t)at[0] << 24 | (size_t)at[1] << 16 | (size_t)at[2] << 8 | at[3]);
    return len < length ? 0 : length;
}

static const struct script *script_of(const struct talk_server *server)
{
    return server->talk->user;
}

static void say(struct talk_server *server, const void *data, size_t len)
{
    talk_say(server, data, len);
}

static void say_message(struct talk_server *server, char type, const void *data, size_t len)
{
    const char head[] = {type, 0, 0, (char)((len + 4) >> 8), (char)(len + 4)};

    say(server, head, sizeof(head));
    say(server, data, len);
}

static void ask_for(struct talk_server *server, uint8_t number, const void *data, size_t len)
{
    char text[512] = {0, 0, 0, (char)number};

    memcpy(text + 4, data, len);
    say_message(server, 'R', text, len + 4);
}

static void admit(struct talk_server *server, bool admitted)
{
    static const char in[] = OK SETTINGS READY;
    static const char out[] =
        "SFATAL\0VFATAL\0C28P01\0Mpassword authentication failed for user \"me\"\0";

    if (admitted) {
        say(server, in, sizeof(in) - 1);
        return;
    }
    say_message(server, 'E', out, sizeof(out));
    server->closes = true;
}

/* ---- SCRAM ---- */

/* What was said so far on a connection. */
static struct {
    char first[256], challenge[256];
} said;

static void challenge(struct talk_server *server, const char *data, size_t len)
{
    char salt_text[BASE64_ROOM(16)];
    const char *nonce = memmem(data, len, ",r=", 3);

    assert_non_null(nonce);
    const int nonce_len = (int)(data + len - nonce - 3);
    snprintf(said.first, sizeof(said.first), "n=,r=%.*s", nonce_len, nonce + 3);
    base64_write((const uint8_t *)salt, 16, salt_text);
    snprintf(said.challenge, sizeof(said.challenge), "r=%.*sserver,s=%s,i=%d", nonce_len, nonce + 3,
             salt_text, ROUNDS);
    if (script_of(server)->challenge) {
        const char *given = script_of(server)->challenge, *rest = given + (*given == '+');
        snprintf(said.challenge, sizeof(said.challenge), "%s%.*s%s", *given == '+' ? "r=" : "",
                 *given == '+' ? nonce_len : 0, nonce + 3, rest);
    }
    ask_for(server, 11, said.challenge, strlen(said.challenge));
}

static void answer_proof(struct talk_server *server, const char *data, size_t len)
{
    const struct script *script = script_of(server);
    const char *proof_at = memmem(data, len, ",p=", 3);
    uint8_t salted[32], client[32], stored[32], server_key[32], proof[35], signature[32];
    char message[1024], text[64] = "v=";

    assert_non_null(proof_at);
    const int total = snprintf(message, sizeof(message), "%s,%s,%.*s", said.first, said.challenge,
                               (int)(proof_at - data), data);
    assert_int_equal(base64_read(proof_at + 3, (size_t)(data + len - proof_at - 3), proof, 32), 32);
    assert_int_equal(sha256_stretch(script->password, (const uint8_t *)salt, 16, ROUNDS, salted),
                     0);
    hmac_sha256(salted, "Client Key", 10, client);
    hmac_sha256(salted, "Server Key", 10, server_key);
    sha256(client, 32, stored);
    hmac_sha256(stored, message, (size_t)total, signature);
    for (size_t i = 0; i < 32; i++)
        client[i] ^= signature[i];
    if (memcmp(proof, client, 32) != 0) {
        admit(server, false);
        return;
    }
    hmac_sha256(server_key, message, (size_t)total, signature);
    signature[0] = (uint8_t)(signature[0] ^ script->forges);
    base64_write(signature, 32, text + 2);
    if (!script->skips_signature)
        ask_for(server, 12, text, strlen(text));
    admit(server, true);
}

/* ---- the server ---- */

static void greet(struct talk_server *server)
{
    const struct script *script = script_of(server);

    if (script->startup.at) {
        say(server, script->startup.at, script->startup.len);
        server->closes = script->closes;
    } else if (script->method == TRUST) {
        admit(server, true);
    } else if (script->method == PLAIN) {
        ask_for(server, 3, "", 0);
    } else if (script->method == MD5) {
        ask_for(server, 5, "salt", 4);
    } else {
        static const char list[] = "SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0";
        ask_for(server, 10, list, sizeof(list));
    }
}

static void take_secret(struct talk_server *server, const char *data, size_t len)
{
    const struct script *script = script_of(server);
    char inner[33], outer[36] = "md5";

    if (script->method == SCRAM && server->units == 2) {
        challenge(server, data, len);
    } else if (script->method == SCRAM) {
        answer_proof(server, data, len);
    } else if (script->method == MD5) {
        assert_int_equal(md5_hex(script->password, strlen(script->password), "me", 2, inner), 0);
        assert_int_equal(md5_hex(inner, 32, "salt", 4, outer + 3), 0);
        admit(server, len == 36 && memcmp(data, outer, 36) == 0);
    } else {
        admit(server, len == strlen(script->password) + 1 && strcmp(data, script->password) == 0);
    }
}

static void hear(struct talk_server *server, const char *data, size_t len)
{
    static const char row[] = ROW READY;
    const struct script *script = script_of(server);

    if (server->units == 1) {
        static const char wanted[] = "\0\3\0\0user\0me\0database\0my db\0application_name\0peer\0";
        assert_int_equal(len, 4 + sizeof(wanted));
        assert_memory_equal(data + 4, wanted, sizeof(wanted));
        greet(server);
    } else if (data[0] == 'p') {
        take_secret(server, data + 5, len - 5);
    } else if (data[0] == 'Q') {
        assert_string_equal(data + 5, "SELECT 1");
        if (script->answer.at)
            say(server, script->answer.at, script->answer.len);
        else
            say(server, row, sizeof(row) - 1);
        server->closes = script->closes;
    } else {
        assert_int_equal(data[0], 'X'); /* Terminate */
        assert_int_equal(len, 5);
    }
}

static void run(struct talk *talk, const struct script *script, struct peer_soak_config config)
{
    *talk = (struct talk){.unit = message_unit, .hear = hear, .user = (void *)(uintptr_t)script};
    config.protocol = "pg";
    config.user = "me";
    config.path = "/my%20db";
    config.timeout_ns = NS_PER_S;
    talk->drips = script->drips;
    talk_run(talk, &config);
}

/* ---- logins ---- */

static void each_method_lets_in_who_knows_the_password(void **state)
{
    static struct talk talk;

    (void)state;
    for (enum method method = TRUST; method <= SCRAM; method++) {
        for (int drips = 0; drips <= 1; drips++) {
            const struct script script = {.method = method, .password = "se cret", .drips = drips};
            run(&talk, &script,
                (struct peer_soak_config){
                    .password = "se cret", .total = 20, .requests_per_connection = 5});
            soaking_assert_counts(&talk.soaking, 20, 20, 0);
            assert_int_equal(talk.accepted, 4);
            assert_int_equal(talk.soaking.report.login.count, 4);
            /* Questions and answers of the login; a query's time has none of them. */
            const double turns = method == TRUST ? 1 : method == SCRAM ? 3 : 2;
            assert_true(talk.soaking.report.login.max < turns * TALK_RTT_MS * 1010);
            assert_true(talk.soaking.report.login.min > turns * TALK_RTT_MS * 990);
            assert_true(talk.soaking.report.request.max < TALK_RTT_MS * 1010);
            talk_end(&talk);
        }
    }
}

/* 4 queries, and Terminate, behind what a login takes. */
static void a_session_ends_with_a_word(void **state)
{
    static const struct script trust = {.method = TRUST};
    static struct talk talk;

    (void)state;
    run(&talk, &trust, (struct peer_soak_config){.total = 12, .requests_per_connection = 4});
    soaking_assert_counts(&talk.soaking, 12, 12, 0);
    soaking_assert_counts(&talk.soaking, 12, 12, 0);
    simnet_run_for(talk.soaking.net, NS_PER_S);
    assert_int_equal(talk.accepted, 3);
    assert_int_equal(talk.units, 3 * (1 + 4 + 1));
    assert_int_equal(talk.fins, 3);
    talk_end(&talk);
}

static void who_does_not_know_it_is_told(void **state)
{
    static struct talk talk;

    (void)state;
    for (enum method method = PLAIN; method <= SCRAM; method++) {
        const struct script script = {.method = method, .password = "right"};
        run(&talk, &script, (struct peer_soak_config){.password = "wrong", .total = 3});
        soaking_assert_counts(&talk.soaking, 0, 0, 3);
        assert_int_equal(talk.soaking.counts.login, 3);
        talk_assert_words(&talk, PEER_SOAK_LOGIN,
                          "the server says \"FATAL 28P01: password authentication failed");
        assert_int_equal(talk.soaking.report.login.count, 0);
        talk_end(&talk);
        run(&talk, &script, (struct peer_soak_config){.total = 3});
        assert_int_equal(talk.soaking.counts.login, 3);
        talk_assert_words(&talk, PEER_SOAK_LOGIN, "asks for a password, and there is none");
        talk_end(&talk);
    }
}

static const struct {
    struct script script;
    enum peer_soak_error kind;
    const char *words;
} servers[] = {
    {{.startup = BYTES(FATAL("53300", "sorry, too many clients already", "\73"))},
     PEER_SOAK_FULL,
     "the server says \"FATAL 53300: sorry, too many clients already\""},
    {{.startup = BYTES(FATAL("57P03", "the database system is starting up", "\76"))},
     PEER_SOAK_FULL,
     "FATAL 57P03: the database system is starting up"},
    {{.startup = BYTES(FATAL("3D000", "no such database", "\54"))},
     PEER_SOAK_LOGIN,
     "FATAL 3D000: no such database"},
    {{.startup = BYTES("R\0\0\0\3")}, PEER_SOAK_BAD_ANSWER, "type 0x52 and length 3"},
    {{.startup = BYTES("R\377\377\377\377")}, PEER_SOAK_BAD_ANSWER, "and length -1"},
    {{.startup = BYTES("R\200\0\0\0")}, PEER_SOAK_BAD_ANSWER, "and length -2147483648"},
    {{.startup = BYTES("R\177\377\377\377")}, PEER_SOAK_BAD_ANSWER, "length 2147483647"},
    {{.startup = BYTES("HTTP/1.1 400 Bad Request\r\n")}, PEER_SOAK_BAD_ANSWER, "type 0x48"},
    {{.startup = BYTES("Q\0\0\0\4")}, PEER_SOAK_BAD_ANSWER, "type 0x51 in a login"},
    {{.startup = BYTES(READY)}, PEER_SOAK_BAD_ANSWER, "type 0x5a in a login"},
    {{.startup = BYTES("K\0\0\0\14\0\0\0\1\0\0\0\2")}, PEER_SOAK_BAD_ANSWER, "type 0x4b"},
    {{.startup = BYTES("R\0\0\0\6\0\0")}, PEER_SOAK_BAD_ANSWER, "authentication of 2 bytes"},
    {{.startup = BYTES("R\0\0\0\10\0\0\0\7")}, PEER_SOAK_LOGIN, "asks for GSSAPI"},
    {{.startup = BYTES("R\0\0\0\10\0\0\0\10")}, PEER_SOAK_BAD_ANSWER, "authentication 8 is none"},
    {{.startup = BYTES("R\0\0\0\10\1\0\0\0")}, PEER_SOAK_BAD_ANSWER, "16777216 is none"},
    {{.startup = BYTES("R\0\0\0\13\0\0\0\5abc")}, PEER_SOAK_BAD_ANSWER, "a salt of 3 bytes"},
    {{.startup = BYTES("R\0\0\0\10\0\0\0\14")}, PEER_SOAK_BAD_ANSWER, "12 out of turn"},
    {{.startup = BYTES(OK OK)}, PEER_SOAK_BAD_ANSWER, "0 out of turn"},
    {{.startup = BYTES("R\0\0\0\34\0\0\0\12SCRAM-SHA-256-PLUS\0\0")},
     PEER_SOAK_LOGIN,
     "but SCRAM-SHA-256-PLUS, which peer does not speak"},
    {{.startup = BYTES("R\0\0\0\11\0\0\0\12\0")}, PEER_SOAK_LOGIN, "offers no SCRAM-SHA-256"},
    {{.startup = BYTES("R\0\0\0\10\0\0"), .closes = true}, PEER_SOAK_CLOSED_EARLY, "closed"},
    {{.startup = BYTES(OK "S\0\0\0"), .closes = true}, PEER_SOAK_CLOSED_EARLY, "closed"},
    {{.startup = BYTES(OK)}, PEER_SOAK_TIMEOUT, "no answer in time"},
    {{.method = SCRAM, .forges = true}, PEER_SOAK_LOGIN, "it does not know the password"},
    {{.method = SCRAM, .skips_signature = true}, PEER_SOAK_BAD_ANSWER, "0 out of turn"},
    {{.method = SCRAM, .challenge = "r=other,s=QUJD,i=64"},
     PEER_SOAK_BAD_ANSWER,
     "none that goes on"},
    {{.method = SCRAM, .challenge = "+,s=QUJD,i=64"}, PEER_SOAK_BAD_ANSWER, "none that goes on"},
    {{.method = SCRAM, .challenge = "m=x,r=a"}, PEER_SOAK_BAD_ANSWER, "begins with no nonce"},
    {{.method = SCRAM, .challenge = "+x,s=,i=64"}, PEER_SOAK_BAD_ANSWER, "no salt"},
    {{.method = SCRAM, .challenge = "+x,s=!!!!,i=64"}, PEER_SOAK_BAD_ANSWER, "no salt"},
    {{.method = SCRAM, .challenge = "+x,s=QUJD"}, PEER_SOAK_BAD_ANSWER, "no number of rounds"},
    {{.method = SCRAM, .challenge = "+x,s=QUJD,i=0"}, PEER_SOAK_BAD_ANSWER, "no number of rounds"},
    {{.method = SCRAM, .challenge = "+x,s=QUJD,i=4294967297"}, PEER_SOAK_BAD_ANSWER, "rounds"},
    {{.method = SCRAM, .challenge = "+x,s=QUJD,i=-5"}, PEER_SOAK_BAD_ANSWER, "rounds"},
};

static void servers_that_are_none(void **state)
{
    static struct talk talk;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(servers); i++) {
        struct script script = servers[i].script;
        script.password = "secret";
        run(&talk, &script, (struct peer_soak_config){.password = "secret", .total = 2});
        soaking_assert_counts(&talk.soaking, 0, 0, 2);
        talk_assert_words(&talk, servers[i].kind, servers[i].words);
        assert_int_equal(talk.soaking.counts.login, servers[i].kind == PEER_SOAK_LOGIN ? 2 : 0);
        assert_int_equal(talk.soaking.counts.full, servers[i].kind == PEER_SOAK_FULL ? 2 : 0);
        talk_end(&talk);
    }
}

/* TLS is asked for first, and what answers is one letter, with nothing behind it. */
static void answer_ssl(struct talk_server *server, const char *data, size_t len)
{
    const struct script *script = script_of(server);

    if (server->units > 1) /* its ClientHello is none of ours */
        return;
    assert_int_equal(len, 8);
    assert_memory_equal(data, "\0\0\0\10\4\322\26\57", 8);
    say(server, script->startup.at, script->startup.len);
    server->closes = script->closes;
}

static void a_server_without_tls_is_told(void **state)
{
    static const struct {
        struct script script;
        enum peer_soak_error kind;
        const char *words;
    } rows[] = {
        {{.startup = BYTES("N")}, PEER_SOAK_LOGIN, "the server does not speak TLS"},
        {{.startup = BYTES("E\0\0\0\4")}, PEER_SOAK_BAD_ANSWER, "not one letter, S or N"},
        {{.startup = BYTES("SS")}, PEER_SOAK_BAD_ANSWER, "not one letter, S or N"},
        {{.startup = BYTES("")}, PEER_SOAK_TIMEOUT, "no answer in time"},
        {{.startup = BYTES(""), .closes = true}, PEER_SOAK_CLOSED_EARLY, "closed"},
        {{.startup = BYTES("S")}, PEER_SOAK_TIMEOUT, "no answer"},
        {{.startup = BYTES("S"), .closes = true}, PEER_SOAK_CLOSED_EARLY, "closed"},
    };
    static struct talk talk;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        talk = (struct talk){.unit = message_unit,
                             .hear = answer_ssl,
                             .tls = true,
                             .user = (void *)(uintptr_t)&rows[i].script};
        talk_run(&talk,
                 &(struct peer_soak_config){.protocol = "pg", .total = 2, .timeout_ns = NS_PER_S});
        soaking_assert_counts(&talk.soaking, 0, 0, 2);
        talk_assert_words(&talk, rows[i].kind, rows[i].words);
        talk_end(&talk);
    }
}

/* ---- answers ---- */

#define ERROR "E\0\0\0\51SERROR\0VERROR\0C42P01\0Mno such table\0\0"

static const struct {
    struct script script;
    enum peer_soak_error kind;
    const char *words; /* NULL: it is right */
    unsigned accepted;
} answers[] = {
    {{.answer = BYTES(ROW READY)}, 0, NULL, 1},
    {{.answer = BYTES("I\0\0\0\4" READY)}, 0, NULL, 1},
    {{.answer = BYTES(ROW "N\0\0\0\5x" ROW "S\0\0\0\6a\0"
                          "A\0\0\0\4"
                          "C\0\0\0\4" READY)},
     0,
     NULL,
     1},
    {{.answer = BYTES(ROW READY), .drips = true}, 0, NULL, 1},
    {{.answer = BYTES(ERROR READY)},
     PEER_SOAK_BAD_ANSWER,
     "the server says \"ERROR 42P01: no such table\"",
     1},
    {{.answer = BYTES(ROW ERROR READY), .drips = true}, PEER_SOAK_BAD_ANSWER, "42P01", 1},
    {{.answer = BYTES(FATAL("57P01", "terminating", "\47")), .closes = true},
     PEER_SOAK_BAD_ANSWER,
     "the server says \"FATAL 57P01: terminating\", and closed",
     4},
    {{.answer = BYTES("E\0\0\0\5x" READY)}, PEER_SOAK_BAD_ANSWER, "without a code", 4},
    {{.answer = BYTES("G\0\0\0\7\0\0\0")}, PEER_SOAK_BAD_ANSWER, "begins a COPY", 4},
    {{.answer = BYTES("H\0\0\0\7\0\0\0")}, PEER_SOAK_BAD_ANSWER, "begins a COPY", 4},
    {{.answer = BYTES("R\0\0\0\10\0\0\0\0" READY)},
     PEER_SOAK_BAD_ANSWER,
     "type 0x52 in the answer",
     4},
    {{.answer = BYTES("Z\0\0\0\4")}, PEER_SOAK_BAD_ANSWER, "type 0x5a without a state", 4},
    {{.answer = BYTES("D\377\377\377\376")}, PEER_SOAK_BAD_ANSWER, "type 0x44 and length -2", 4},
    {{.answer = BYTES("D\200\0\0\0")}, PEER_SOAK_BAD_ANSWER, "length -2147483648", 4},
    {{.answer = BYTES("D\0\0\0\2")}, PEER_SOAK_BAD_ANSWER, "length 2", 4},
    {{.answer = BYTES("D\0\0\1\0abc"), .closes = true}, PEER_SOAK_CLOSED_EARLY, "closed before", 4},
    {{.answer = BYTES("T\0\0")}, PEER_SOAK_TIMEOUT, "no answer in time", 4},
    {{.answer = BYTES(ROW READY ROW READY)}, PEER_SOAK_BAD_ANSWER, "nobody asked for", 0},
};

static void answers_by_the_protocol(void **state)
{
    static struct talk talk;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
        run(&talk, &answers[i].script, (struct peer_soak_config){.total = 4});
        const struct peer_soak_counts *counts = &talk.soaking.counts;
        assert_int_equal(counts->completed + peer_soak_errors(counts), 4);
        if (answers[i].words)
            talk_assert_words(&talk, answers[i].kind, answers[i].words);
        if (answers[i].accepted) {
            assert_int_equal(counts->completed, answers[i].words ? 0 : 4);
            assert_int_equal(talk.accepted, answers[i].accepted);
        }
        talk_end(&talk);
    }
}

static void errors_are_counted_by_sqlstate(void **state)
{
    static const struct {
        struct script script;
        const char *name;
    } rows[] = {
        {{.answer = BYTES(ERROR READY)}, "42P01"},
        {{.answer = BYTES(FATAL("57P01", "terminating", "\47")), .closes = true}, "57P01"},
        {{.answer = BYTES(ROW READY)}, NULL},
    };
    static struct talk talk;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct peer_soak_answers found = {.count = 0};
        run(&talk, &rows[i].script, (struct peer_soak_config){.total = 4});
        assert_int_equal(peer_result_get_answers(talk.soaking.result, 0, &found), !!rows[i].name);
        if (rows[i].name) {
            assert_string_equal(found.kind, "sqlstates");
            assert_string_equal(found.name, rows[i].name);
            assert_int_equal(found.count, 4);
        }
        talk_end(&talk);
    }
}

/* Rows of many segments are passed over, whatever a row says. */
static char large[200000 + 64];

static void long_rows_are_counted_as_bytes(void **state)
{
    static const char end[] = "C\0\0\0\15SELECT 1\0" READY;
    struct script script = {.answer = {large, 0}};
    static struct talk talk;

    (void)state;
    for (uint32_t row = 0; row <= 12000; row += 4000) {
        size_t len = 0;
        for (int i = 0; i < 1; i++) {
            const uint8_t head[] = {'D', 0, 0, (uint8_t)((row + 4) >> 8), (uint8_t)(row + 4)};
            memcpy(large + len, head, sizeof(head));
            memset(large + len + sizeof(head), 'Z', row);
            len += sizeof(head) + row;
        }
        memcpy(large + len, end, sizeof(end) - 1);
        script.answer.len = len + sizeof(end) - 1;
        run(&talk, &script, (struct peer_soak_config){.total = 3});
        soaking_assert_counts(&talk.soaking, 3, 3, 0);
        assert_int_equal(talk.accepted, 1);
        talk_end(&talk);
    }
}

static void queries_go_in_a_pipeline(void **state)
{
    static const struct script trust = {.method = TRUST};
    static struct talk talk;

    (void)state;
    run(&talk, &trust, (struct peer_soak_config){.pipeline = 10, .total = 100});
    soaking_assert_counts(&talk.soaking, 100, 100, 0);
    assert_int_equal(talk.accepted, 1);
    assert_true(talk.wakes <= 1 + 10 + 1);
    talk_end(&talk);
}

static void what_does_not_go_together_is_refused(void **state)
{
    static const char long_name[300] = {[0 ... 298] = 'x'};
    static const struct {
        struct peer_soak_config config;
        const char *words;
    } rows[] = {
        {{.body = "a\0b", .body_len = 3}, "`body` is a query"},
        {{.path = "/a%2"}, "two hexadecimal"},
        {{.path = "/a?b=c"}, "no parameters: \"?b=c\""},
        {{.user = long_name}, "at most 256 bytes"},
        {{.expect = "200"}, "no statuses to expect"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        static struct talk talk;
        struct peer_soak_config config = rows[i].config;
        talk = (struct talk){.unit = message_unit, .hear = hear};
        config.protocol = "pg";
        assert_refused(&talk, &config, rows[i].words);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_method_lets_in_who_knows_the_password),
        TEST(a_session_ends_with_a_word),
        TEST(who_does_not_know_it_is_told),
        TEST(servers_that_are_none),
        TEST(a_server_without_tls_is_told),
        TEST(answers_by_the_protocol),
        TEST(errors_are_counted_by_sqlstate),
        TEST(long_rows_are_counted_as_bytes),
        TEST(queries_go_in_a_pipeline),
        TEST(what_does_not_go_together_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
