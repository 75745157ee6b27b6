/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CLI_FRONT_H
#define CLI_FRONT_H

/**
 * The process that a shell waits for, when a program runs behind peer: it stops, goes on and ends as
 * the program does, so that the shell sees what it would see without peer. The engine is its child.
 *
 *     shell -- front -- engine -- holder -- program      (the holder in another session, all else in
 *                                                         the process group that the shell made)
 */
struct front {
    int fd; /* to the front. Readable: front_take has something */
};

/**
 * Forks. Returns in the child, which is the engine ("peer-engine"): 0. The parent is the front, lets standard input,
 * standard output and what else it inherited go, and never returns. -errno: there is no front
 * (-EPIPE: any more), and this process goes on alone.
 *
 * The engine ignores what a terminal or a caller sends to the whole process group, which is the
 * program's to answer: its caller's SIGINT, SIGTERM and so on come by front_take. When the front is
 * killed, the engine is (SIGKILL), as is the program then by its holder. Call it with one thread,
 * after netns_origin_take and before anything is opened that only one of the two may have.
 *
 * The engine's exit status is the front's, unless that is 0 and FRONT_ENDED was told. An engine that
 * a signal killed is told on standard error, and the front's status is 125.
 */
int front_split(struct front *ret_front);

/**
 * A signal that was sent to the front, and is to be sent to the program: its number; 0: none (any
 * more); -EPIPE: the front is gone. Never blocks.
 */
int front_take(const struct front *front);

enum front_word {
    FRONT_STOPPED,   /* value: the signal that stopped the program (the last of its copies) */
    FRONT_CONTINUED, /* it goes on. Who stands still hears nothing: send the front SIGCONT as well
                      * (`waiter` of netns_isolate_config) */
    FRONT_ENDED,     /* value: its wait status */
};
/** 0, or -EPIPE: the front is gone. */
int front_tell(const struct front *front, enum front_word word, int value);

#endif
