/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who else ran on the workers' processors is not told by the kernel. What these processors did is
 * (/proc/stat), and what the workers did (their clocks): the difference is the others'.
 *
 * Workers that run beside each other on too few processors look as busy as beside an application, so
 * how long they wait says nothing; who else ran does.
 */
#include "lib/placing.h"

#include "base/macro.h"
#include "base/timer.h"
#include "kernel/observe/cpu.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { TEXT_ROOM = 128 * 1024, PATIENCE_LEAST = 8, PATIENCE_MOST = 256 };
enum { LOOKS_STEADY = 3, LOOKS_TRIED = 2, LOOKS_MOST = 3 };

/*
 * In processors. With nginx and two workers on two processors, connections kept: it uses 0.93 of one that
 * it has alone, and 0.75 among workers, who do a quarter less then. New connections: 0.5 and 0.58, and
 * they do a tenth more. So there is much that only a try can tell.
 */
static const double unused = 0.8, idles = 0.25; /* of what is left */
static const double crowds = 0.5, sleeps = 0.6; /* others where workers are, and nobody */
static const double better = 1.05;

unsigned placing_first(unsigned workers, unsigned all)
{
    return all > 1 && workers >= all ? all - 1 : all;
}

static bool use_many(struct placing_choice *choice, unsigned used, bool trying)
{
    choice->from = choice->used;
    choice->before = choice->mean;
    choice->used = used;
    choice->stage = PLACING_SETTLING;
    choice->trying = trying;
    return true;
}

static void be_patient(struct placing_choice *choice)
{
    choice->patience = MIN(MAX(choice->patience * 2, (unsigned)PATIENCE_LEAST),
                           (unsigned)PATIENCE_MOST);
    choice->wait = choice->patience;
}

static bool judge_try(struct placing_choice *choice)
{
    be_patient(choice);
    choice->stage = PLACING_STEADY;
    return choice->mean < choice->before * better && use_many(choice, choice->from, false);
}

static bool begin_try(struct placing_choice *choice, const struct placing_look *look)
{
    if (choice->used < choice->all && look->idle_left > idles)
        return use_many(choice, choice->used + 1, true);
    if (choice->used > (choice->all + 1) / 2 && choice->workers >= choice->used &&
        look->others > crowds && look->idle < sleeps)
        return use_many(choice, choice->used - 1, true);
    return false;
}

static void count_done(struct placing_choice *choice, double done)
{
    choice->looks = MIN(choice->looks + 1, (unsigned)LOOKS_MOST);
    choice->mean += (done - choice->mean) / choice->looks;
}

bool placing_decide(struct placing_choice *choice, const struct placing_look *look)
{
    if (choice->used < choice->all && look->idle_left > unused)
        return use_many(choice, choice->used + 1, false);
    if (!look->told)
        return false;
    if (choice->stage == PLACING_SETTLING) { /* what was told of is of before the move too */
        choice->stage = choice->trying ? PLACING_TRYING : PLACING_STEADY;
        choice->mean = choice->looks = 0;
        return false;
    }
    count_done(choice, look->done);
    if (choice->stage == PLACING_TRYING)
        return choice->looks >= LOOKS_TRIED && judge_try(choice);
    if (choice->wait > 0)
        choice->wait--;
    return choice->wait == 0 && choice->looks >= LOOKS_STEADY && begin_try(choice, look);
}

/* ---- what there is to see ---- */

/* One whose clock is not there has ended: what it ran is in no difference any more. */
static uint64_t workers_ran(const struct placing *placing)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < placing->choice.workers; i++) {
        struct timespec ran;
        clockid_t clock;
        if (clock_getcpuclockid(placing->workers[i], &clock) == 0 &&
            clock_gettime(clock, &ran) == 0)
            sum += (uint64_t)ran.tv_sec * NS_PER_S + (uint64_t)ran.tv_nsec;
    }
    return sum;
}

static double since(uint64_t *last, uint64_t now, double length_ns)
{
    const double part = now > *last ? (double)(now - *last) / length_ns : 0;

    *last = now;
    return part;
}

static bool have_all_told(const struct placing *placing)
{
    for (unsigned i = 0; i < placing->choice.workers; i++) {
        if (placing->told[i].at_ns <= placing->told[i].seen_ns)
            return false;
    }
    return true;
}

/* Each by its own clock: they do not tell at one moment. */
static double take_done(struct placing *placing)
{
    double sum = 0;

    for (unsigned i = 0; i < placing->choice.workers; i++) {
        struct placing_told *told = &placing->told[i];
        sum += (double)(told->done - told->done_seen) / (double)(told->at_ns - told->seen_ns);
        told->done_seen = told->done;
        told->seen_ns = told->at_ns;
    }
    return sum;
}

/* False: the kernel does not tell of all of them. */
static bool take_look(struct placing *placing, uint64_t now_ns, struct placing_look *ret_look)
{
    const double length_ns = (double)(now_ns - placing->looked_ns);
    struct cpu_load used, all;

    if (cpu_load_read(placing->stat_fd, placing->text, TEXT_ROOM) < 0)
        return false;
    const uint64_t ran_ns = workers_ran(placing);
    cpu_load_parse(placing->text, &placing->used, &used);
    cpu_load_parse(placing->text, &placing->all, &all);
    if (all.cpus != placing->choice.all)
        return false;
    const double busy = since(&placing->busy_ns, used.busy_ns, length_ns);
    ret_look->others = busy - since(&placing->ran_ns, ran_ns, length_ns);
    ret_look->idle = since(&placing->idle_ns, used.idle_ns, length_ns);
    ret_look->idle_left = since(&placing->left_ns, all.idle_ns - used.idle_ns, length_ns);
    ret_look->told = have_all_told(placing);
    ret_look->done = ret_look->told ? take_done(placing) : 0;
    return true;
}

/* ---- where they run ---- */

/* The first `count` of all. */
static void use(struct placing *placing, unsigned count)
{
    CPU_ZERO(&placing->used);
    for (size_t cpu = 0; cpu < CPU_SETSIZE && count > 0; cpu++) {
        if (CPU_ISSET(cpu, &placing->all)) {
            CPU_SET(cpu, &placing->used);
            count--;
        }
    }
}

/* One who has ended meanwhile runs nowhere. */
static void move(const struct placing *placing)
{
    for (unsigned i = 0; i < placing->choice.workers; i++)
        (void)sched_setaffinity(placing->workers[i], sizeof(placing->used), &placing->used);
}

static void count_given(struct placing *placing, uint64_t now_ns)
{
    const unsigned left = placing->choice.all - placing->choice.used;

    placing->given_ns += left * (now_ns - placing->looked_ns);
    placing->looked_ns = now_ns;
}

void placing_add(struct placing *placing, pid_t worker)
{
    if (placing->choice.workers < PLACING_MOST)
        placing->workers[placing->choice.workers++] = worker;
}

static void give_up(struct placing *placing)
{
    if (placing->text)
        (void)close(placing->stat_fd);
    free(placing->text);
    placing->text = NULL;
}

static bool open_stat(struct placing *placing)
{
    placing->stat_fd = open("/proc/stat", O_RDONLY | O_CLOEXEC);
    if (placing->stat_fd < 0)
        return false;
    placing->text = malloc(TEXT_ROOM);
    if (!placing->text)
        (void)close(placing->stat_fd);
    return placing->text;
}

/* A container's /proc (lxcfs) may tell of fewer processors than there are. */
void placing_begin(struct placing *placing, uint64_t now_ns)
{
    struct placing_look look;

    if (sched_getaffinity(0, sizeof(placing->all), &placing->all) < 0)
        return;
    placing->choice.all = (unsigned)CPU_COUNT(&placing->all);
    placing->choice.used = placing_first(placing->choice.workers, placing->choice.all);
    use(placing, placing->choice.used);
    if (placing->choice.all < 2 || !open_stat(placing))
        return;
    if (!take_look(placing, now_ns + 1, &look))
        give_up(placing);
    else
        move(placing);
    placing->looked_ns = now_ns;
}

void placing_tell(struct placing *placing, unsigned index, uint64_t done, uint64_t at_ns)
{
    if (index >= PLACING_MOST)
        return;
    placing->told[index].done = done;
    placing->told[index].at_ns = at_ns;
}

/* What was seen of other processors is no beginning: the look after a move only begins anew. */
void placing_turn(struct placing *placing, uint64_t now_ns)
{
    struct placing_look look;

    if (!placing->text)
        return;
    const bool seen = take_look(placing, now_ns, &look);
    count_given(placing, now_ns);
    if (!seen || !placing_decide(&placing->choice, &look))
        return;
    use(placing, placing->choice.used);
    move(placing);
    (void)take_look(placing, now_ns + 1, &look); /* what others are seen on now is another sum */
}

void placing_end(struct placing *placing, uint64_t now_ns)
{
    if (placing->text)
        count_given(placing, now_ns);
    give_up(placing);
}
