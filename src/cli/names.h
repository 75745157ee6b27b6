/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CLI_NAMES_H
#define CLI_NAMES_H

#include "cli.h"
#include "relay/loop.h"

/**
 * Names to addresses while the loop goes on: the system's resolver blocks, opens files and makes
 * sockets, so it runs in a few child processes ("peer-names"), which have none of the privileges and
 * descriptors of this one. They end with it, in whatever way.
 */
struct names;

enum { NAMES_MOST = TARGET_OTHERS + 1, NAMES_NAME = 256, NAMES_WHY = 128 };

struct names_answer {
    int count; /* in the resolver's order; 0: none, and why */
    struct peer_addr addrs[NAMES_MOST];
    char why[NAMES_WHY];
};

/** Embedded in its owner's struct; zero is none. */
struct names_request {
    void (*answered)(struct names_request *request, const struct names_answer *answer);
    /* Of names.c: */
    struct names_request *next; /* of those that are not sent yet */
    uint32_t slot;              /* from 1 on; 0: nothing is asked */
    uint8_t family;
    bool waits;
    const char *name;
};

/** Before the net is made, so that the children have nothing of it. 0 or an exit status after a
 *  message. */
int names_start(const struct command *command, const struct common_options *common,
                struct names **ret_names);
/** From now on answers come in this loop. 0 or -errno. */
int names_join(struct names *names, struct loop *loop);
/**
 * Asks for addresses of a family, 4 or 6. `request->answered` is called later, with the request free
 * for the next name; `name` lives until then. -ENOMEM, or -EPIPE: nobody is left who would answer.
 */
int names_ask(struct names *names, struct names_request *request, const char *name, uint8_t family);
/** Nobody wants to know any more. */
void names_forget(struct names *names, struct names_request *request);
/** Ends the children. Takes NULL, returns NULL. */
struct names *names_free(struct names *names);

#endif
