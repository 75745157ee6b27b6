/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef LIB_PLACING_H
#define LIB_PLACING_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/**
 * On how many of the processors workers run. An application that shares one with a worker waits for
 * that, and then all workers wait for its answers. So workers that would take all begin on one fewer. A
 * processor that is left and idles is theirs; what it is worth else is tried, both ways, by what is done.
 */

/** What went on since the last look, in processors: 1.5 is one all the time and another half of it. */
struct placing_look {
    double others;    /* by who is no worker, on the workers' processors */
    double idle;      /* by nobody, on these */
    double idle_left; /* by nobody, on those that are left */
    bool told;        /* all workers have told since the last look in which they had */
    double done;      /* by them, in whatever unit, when they have told */
};

/** Decides look by look. All zero, but `workers`, `all`, which is 2 or more, and `used`: the beginning. */
struct placing_choice {
    unsigned workers, all, used;
    enum placing_stage { PLACING_SETTLING, PLACING_STEADY, PLACING_TRYING } stage;
    bool trying;             /* what comes after settling */
    unsigned from;           /* the try: how many were used before */
    double before;           /* and what was done then */
    double mean;             /* of what is done */
    unsigned looks;          /* that make it */
    unsigned patience, wait; /* looks until the next try: after the last, and from now on */
};
/** How many to begin with. */
unsigned placing_first(unsigned workers, unsigned all);
/** True: `used` has changed. */
bool placing_decide(struct placing_choice *choice, const struct placing_look *look);

enum { PLACING_MOST = 128 };
struct placing {
    struct placing_choice choice;
    cpu_set_t all, used;
    pid_t workers[PLACING_MOST];
    struct placing_told {
        uint64_t done, at_ns, done_seen, seen_ns;
    } told[PLACING_MOST];
    int stat_fd;
    char *text; /* of it; NULL: workers stay where they are, and there is no such descriptor */
    uint64_t looked_ns;
    uint64_t busy_ns, idle_ns, left_ns, ran_ns; /* as of the last look */
    uint64_t given_ns;                         /* processor time that was left to others */
};

/** One more, before it begins; children that have not been waited for, until it ends. */
void placing_add(struct placing *placing, pid_t worker);
/** Where the kernel does not tell enough, nothing is changed later. */
void placing_begin(struct placing *placing, uint64_t now_ns);
/** Worker `index` had done so much by then. */
void placing_tell(struct placing *placing, unsigned index, uint64_t done, uint64_t at_ns);
/** Looks, and moves them if it is better: every PLACING_LOOK_NS. */
#define PLACING_LOOK_NS (200 * NS_PER_MS) /* 20 ticks of a kernel that counts by these */
void placing_turn(struct placing *placing, uint64_t now_ns);
/** Frees what it has. What was all zero is taken. */
void placing_end(struct placing *placing, uint64_t now_ns);

#endif
