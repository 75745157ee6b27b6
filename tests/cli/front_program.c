/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A front with the smallest engine there can be: a program in a namespace of its own, as without
 * peer, and no peers. What test_front.py runs in a shell.
 *
 * usage: front_program PROGRAM ARGS...
 */
#include "cli/front.h"

#include "kernel/netns/confine.h"
#include "kernel/netns/netns.h"

#include <peer/confine.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FAILED = 125, CANNOT_RUN = 126, NOT_FOUND = 127, KEPT_MAX = 16 };

/* The library's, without all that comes with it. */
void peer_close_others(const int *kept, size_t count)
{
    int all[KEPT_MAX] = {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO};

    memcpy(all + 3, kept, sizeof(*kept) * count);
    confine_descriptors(all, count + 3);
}

int peer_confine_sized(struct peer_net *net, const struct peer_confine_config *config, size_t size,
                       struct peer_error *error)
{
    const struct confine confine = {.unfiltered = config->unfiltered,
                                    .capabilities = config->capabilities};

    (void)size;
    (void)net;
    return confine_process(&confine, error);
}

static int start(char **argv, struct netns_origin *origin, struct netns_isolated *isolated)
{
    const struct netns_isolate_config config = {.argv = argv, .origin = origin, .waiter = getppid()};
    struct peer_error error = {0};

    if (netns_isolate(&config, isolated, &error) < 0) {
        (void)fprintf(stderr, "%s\n", error.text);
        return FAILED;
    }
    int status = netns_isolate_start(isolated, &error);
    if (status < 0) {
        (void)fprintf(stderr, "%s\n", error.text);
        netns_isolate_end(isolated, 0);
        return status == -ENOENT ? NOT_FOUND : CANNOT_RUN;
    }
    const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    (void)dup2(null, STDIN_FILENO);
    (void)dup2(null, STDOUT_FILENO);
    netns_origin_let_go(origin);
    return 0;
}

static void pass_signals(const struct front *front, struct netns_isolated *isolated)
{
    int number;

    while ((number = front_take(front)) > 0)
        (void)netns_isolate_signal(isolated, number);
    if (number < 0)
        exit(FAILED);
}

/* False when the program has ended. */
static bool pass_news(const struct front *front, struct netns_isolated *isolated)
{
    static const enum front_word words[] = {[NETNS_ENDED] = FRONT_ENDED,
                                            [NETNS_STOPPED] = FRONT_STOPPED,
                                            [NETNS_CONTINUED] = FRONT_CONTINUED};
    int value = 0, news;

    while ((news = netns_isolate_next(isolated, &value)) > NETNS_NOTHING) {
        (void)front_tell(front, words[news], value);
        if (news == NETNS_ENDED)
            return false;
    }
    if (news < 0)
        exit(FAILED); /* somebody killed the holder */
    return true;
}

int main(int argc, char **argv)
{
    struct netns_origin origin;
    struct netns_isolated isolated;
    struct front front;

    if (argc < 2 || netns_origin_take(&origin) < 0 || front_split(&front) < 0)
        return FAILED;
    const int status = start(argv + 1, &origin, &isolated);
    struct pollfd polls[] = {{.fd = front.fd, .events = POLLIN},
                             {.fd = isolated.control, .events = POLLIN}};
    while (status == 0 && poll(polls, 2, -1) >= 0) {
        if (polls[0].revents)
            pass_signals(&front, &isolated);
        if (polls[1].revents && !pass_news(&front, &isolated))
            break;
    }
    if (status == 0)
        (void)netns_isolate_end(&isolated, 0);
    netns_origin_done(&origin);
    return status;
}
