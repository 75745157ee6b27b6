/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * peer control PATH COMMAND: tells a soak with --control what to change, and says what it answers.
 * Without a command each line of standard input is one.
 */
#include "cli/cli.h"

#include "relay/place.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LINE_MOST = 4096, ANSWER_MS = 10000 };

struct control_options {
    struct common_options common;
};

/* What came and is not told yet. */
struct answers {
    int fd;
    size_t len;
    char text[65536];
};

/* ---- the socket ---- */

static int say_unreachable(const char *path, int status)
{
    if (status == -ENOENT)
        say("there is no \"%s\": is a soak with --control under way?", path);
    else if (status == -ECONNREFUSED)
        say("nobody listens at \"%s\"", path);
    else if (status == -EACCES)
        say("\"%s\" is another user's: who started the soak steers it", path);
    else
        say("\"%s\": %s", path, strerror(-status));
    return STATUS_MACHINE;
}

static int call(const char *path, int *ret_fd)
{
    struct place place = {.port = 0};
    bool called = false;

    if (!*path || snprintf(place.path, sizeof(place.path), "%s", path) >= PLACE_PATH)
        return usage_error(&command_control, "a socket's path has 1 to %d bytes", PLACE_PATH - 1);
    int fd = place_connect(&place, false, &called);
    if (fd < 0)
        return say_unreachable(path, fd);
    *ret_fd = fd;
    return 0;
}

static bool wait_for(int fd, short events)
{
    struct pollfd ready = {.fd = fd, .events = events};
    int count;

    do
        count = poll(&ready, 1, ANSWER_MS);
    while (count < 0 && errno == EINTR);
    return count > 0;
}

static bool send_all(int fd, const char *data, size_t len)
{
    while (len) {
        ssize_t done = send(fd, data, len, MSG_NOSIGNAL);
        if (done < 0 && errno == EAGAIN && wait_for(fd, POLLOUT))
            continue;
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return false;
        data += done;
        len -= (size_t)done;
    }
    return true;
}

/* The next line of it, to be freed; NULL: there is none. */
static char *take_line(struct answers *answers)
{
    for (;;) {
        char *end = memchr(answers->text, '\n', answers->len);
        if (end) {
            size_t len = (size_t)(end - answers->text);
            char *line = strndup(answers->text, len);
            answers->len -= len + 1;
            memmove(answers->text, end + 1, answers->len);
            return line;
        }
        if (answers->len == sizeof(answers->text) || !wait_for(answers->fd, POLLIN))
            return NULL;
        ssize_t len = read(answers->fd, answers->text + answers->len,
                           sizeof(answers->text) - answers->len);
        if (len < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (len <= 0)
            return NULL;
        answers->len += (size_t)len;
    }
}

/* ---- one command ---- */

static int end_with(int status)
{
    return fflush(stdout) == 0 ? status : STATUS_MACHINE;
}

/* What was asked for, or "ok" where that was all. */
static int tell_answer(struct answers *answers)
{
    static const char wrong[] = "error: ";
    bool more = false;
    char *line;

    while ((line = take_line(answers))) {
        bool last = strcmp(line, "ok") == 0;
        bool failed = strncmp(line, wrong, strlen(wrong)) == 0;
        if (failed)
            say("%s", line + strlen(wrong));
        else if (!last || !more)
            puts(line);
        more = true;
        free(line);
        if (last || failed)
            return end_with(failed ? STATUS_REMOTE : STATUS_DONE);
    }
    say("the soak is gone, and has not answered");
    return STATUS_MACHINE;
}

static int command_it(struct answers *answers, const char *command)
{
    size_t len = strlen(command);

    if (len >= LINE_MOST || strchr(command, '\n'))
        return usage_error(&command_control, "a command is one line of %d bytes at the most",
                           LINE_MOST - 1);
    if (command[strspn(command, " \t")] == 0)
        return 0; /* nothing is said to it either */
    if (!send_all(answers->fd, command, len) || !send_all(answers->fd, "\n", 1)) {
        say("the soak is gone");
        return STATUS_MACHINE;
    }
    return tell_answer(answers);
}

/* All of them, whatever becomes of one: the first that failed is the exit status. */
static int command_lines(struct answers *answers)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t len;
    int status = 0;

    while (status != STATUS_MACHINE && (len = getline(&line, &room, stdin)) >= 0) {
        if (len && line[len - 1] == '\n')
            line[len - 1] = 0;
        int one = *line == '#' ? 0 : command_it(answers, line);
        status = one == STATUS_MACHINE || status == 0 ? one : status;
    }
    free(line);
    return status;
}

/* "rate 500" may be one word of the command line, or two. */
static char *join(int count, char **words)
{
    size_t len = 1;

    for (int i = 0; i < count; i++)
        len += strlen(words[i]) + 1;
    char *line = calloc(1, len);
    for (int i = 0; line && i < count; i++) {
        strcat(line, i ? " " : "");
        strcat(line, words[i]);
    }
    return line;
}

static int run_control(void *options, int argc, char **argv)
{
    (void)options;
    if (argc < 1)
        return usage_error(&command_control, "which soak? PATH is that of its --control");
    struct answers *answers = calloc(1, sizeof(*answers));
    char *command = argc > 1 ? join(argc - 1, argv + 1) : NULL;
    int status = answers && (command || argc == 1) ? call(argv[0], &answers->fd) : STATUS_MACHINE;

    if (status == 0) {
        status = command ? command_it(answers, command) : command_lines(answers);
        close(answers->fd);
    }
    free(command);
    free(answers);
    return status;
}

static const struct option_def *const tables[] = {options_help, NULL};
const struct command command_control = {
    .name = "control",
    .arguments = "PATH [COMMAND]",
    .operands = "FILES",
    .summary = "steers a soak that is under way",
    .about = "PATH is what \"peer soak --control PATH\" was given. COMMAND is one of\n"
             "  rate N, link SPEC, uplink SPEC, downlink SPEC, manner SPEC,\n"
             "  pause, resume, stop [TIME], status, help\n"
             "Without it each line of standard input is a command.",
    .tables = tables,
    .options_size = sizeof(struct control_options),
    .run = run_control,
};
