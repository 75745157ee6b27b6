/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PROTOCOL_PG_LOGIN_H
#define PROTOCOL_PG_LOGIN_H

#include "crypt/scram.h"
#include "protocol/pg_message.h"

#include <sys/types.h>

/**
 * The client's side of a login to PostgreSQL, from the startup message to the first ReadyForQuery: a
 * machine that is given messages and says what to send. It has no connection.
 */
enum pg_login_state {
    PG_LOGIN_ASKED,  /* the startup message was sent */
    PG_LOGIN_SECRET, /* and a password, plain or by MD5 */
    PG_LOGIN_FIRST,  /* SCRAM: our nonce */
    PG_LOGIN_PROVED, /* SCRAM: our proof */
    PG_LOGIN_KNOWN,  /* SCRAM: the server's proof was right */
    PG_LOGIN_IN,     /* AuthenticationOk */
    PG_LOGIN_READY,  /* ReadyForQuery */
};

/** Who logs in: the same for all of a run. */
struct pg_identity {
    char *user, *password, *database; /* `password` NULL: none */
    struct scram_cache cache;
    bool trusted; /* somebody was let in without a question */
};

struct pg_login {
    uint8_t state;       /* enum pg_login_state */
    struct scram *scram; /* while it is needed */
};

enum pg_login_next {
    PG_LOGIN_GO_ON,    /* `out` is to be sent, if there is anything in it */
    PG_LOGIN_DONE,     /* queries may come */
    PG_LOGIN_REFUSED,  /* by the server, or it wants what we cannot give: `why` */
    PG_LOGIN_FULL,     /* the server says that it takes no more */
    PG_LOGIN_NONSENSE, /* that is no login */
};

enum { PG_LOGIN_ROOM = 4096, PG_LOGIN_WHY = 240, PG_NAME_MOST = 256, PG_PASSWORD_MOST = 1024 };

/** SSLRequest: a letter answers it, S or N. */
void pg_ask_tls(struct pg_out *out);
/** The startup message. */
void pg_login_begin(struct pg_login *login, const struct pg_identity *identity, struct pg_out *out);
/** A message came. `random`: where a nonce begins. */
enum pg_login_next pg_login_take(struct pg_login *login, struct pg_identity *identity,
                                 const struct pg_reader *message, uint64_t random,
                                 struct pg_out *out, char why[PG_LOGIN_WHY]);
/** The SQLSTATE of a message, when that is an error; "": it is none, or has none. */
void pg_login_code(const struct pg_reader *message, char code[6]);
/** What an error of a server, in the middle of a login or behind one, is: in words. Whether it says
 *  that there is no room, and whether that the login will not do. */
void pg_error_words(const struct pg_error *error, char why[PG_LOGIN_WHY]);
bool pg_error_is_full(const struct pg_error *error);
bool pg_error_is_login(const struct pg_error *error);
/** Whether the next that the server reads is a message of any kind, not an answer to a question. */
bool pg_login_may_leave(const struct pg_login *login, const struct pg_identity *identity);
void pg_login_done(struct pg_login *login);

#endif
