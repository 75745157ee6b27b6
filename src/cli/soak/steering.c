/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A soak is told what to change, a line a command. The answer is a line too, "ok" or "error: ...",
 * behind whatever was asked for.
 *
 * Whoever may write to the socket steers: it is this user's alone, by its mode, and made before
 * privileges go. A path that is in the way is removed only if it is a socket of this user's at which
 * nobody listens.
 */
#include "steering.h"

#include "soak.h"

#include "relay/place.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ANSWER = sizeof(((struct peer_error *)0)->text) + 128, OUT_BYTES = 64 * 1024 };

/* ---- what may be said ---- */

/* A line of text, or one of error in `answer`, and -1. */
struct command_line {
    struct soak_run *run;
    struct caller *caller;
    const char *verb, *rest; /* the rest is "" when there is none */
    char line[CALLER_IN_BYTES + 1];
    char answer[ANSWER];
};

static int fail(struct command_line *said, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static int fail(struct command_line *said, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(said->answer, sizeof(said->answer), format, arguments);
    va_end(arguments);
    return -1;
}

/* In the library's words. */
static int fail_by(struct command_line *said, const struct peer_error *error)
{
    fail(said, "%s", error->text[0] ? error->text : "it cannot be done");
    name_options(said->answer);
    return -1;
}

static int steer_rate(struct command_line *said)
{
    const struct option_def option = {.offset = 0};
    struct peer_error error = {0};
    char why[128] = "";
    double rate = 0;

    if (said->run->options->search_low > 0)
        return fail(said, "the rate is chosen by --rate-search");
    if (option_set_rate(&rate, &option, said->rest, why) < 0)
        return fail(said, "\"%.64s\" %s", said->rest, why);
    if (peer_soak_set_rate(said->run->soak, rate, &error) < 0)
        return fail_by(said, &error);
    return 0;
}

static int note(struct command_line *said)
{
    char words[256];
    int status;

    (void)snprintf(words, sizeof(words), "%s%s%.200s", said->verb, *said->rest ? " " : "",
                   said->rest);
    status = peer_soak_note_change(said->run->soak, words);
    return status < 0 ? fail(said, "it was done, and cannot be noted: %s", peer_strerror(status))
                      : 0;
}

static int steer_link(struct command_line *said)
{
    struct peer_error error = {0};
    const char *uplink = strcmp(said->verb, "downlink") == 0 ? NULL : said->rest;
    const char *downlink = strcmp(said->verb, "uplink") == 0 ? NULL : said->rest;

    if (peer_net_set_link(said->run->net, uplink, downlink, &error) < 0)
        return fail_by(said, &error);
    return note(said);
}

static int steer_manner(struct command_line *said)
{
    struct peer_error error = {0};
    const char *manners = strcmp(said->rest, "none") == 0 ? NULL : said->rest;

    if (!*said->rest)
        return fail(said, "which manner? \"manner stall:5%%\", or \"manner none\"");
    if (peer_soak_set_manners(said->run->soak, manners, &error) < 0)
        return fail_by(said, &error);
    return 0;
}

static int steer_pause(struct command_line *said)
{
    struct peer_error error = {0};

    return peer_soak_pause(said->run->soak, &error) < 0 ? fail_by(said, &error) : 0;
}

static int steer_resume(struct command_line *said)
{
    struct peer_error error = {0};

    return peer_soak_resume(said->run->soak, &error) < 0 ? fail_by(said, &error) : 0;
}

static int steer_stop(struct command_line *said)
{
    const struct option_def option = {.offset = 0};
    uint64_t grace_ns = CLI_NS_PER_S;
    char why[128] = "";

    if (strcmp(said->rest, "now") == 0)
        grace_ns = 0;
    else if (*said->rest && option_set_time(&grace_ns, &option, said->rest, why) < 0)
        return fail(said, "\"%.64s\" %s; it is how long answers are waited for, or \"now\"",
                    said->rest, why);
    int status = note(said);
    peer_soak_stop(said->run->soak, grace_ns);
    said->run->broken_off = true;
    return status;
}

static const char *state_name(const struct peer_soak_state *state)
{
    if (state->ending)
        return "ending";
    if (state->paused)
        return "paused";
    return state->warming ? "warming" : "running";
}

static json_t *json_state(const struct soak_run *run)
{
    struct peer_soak_state state = {.rate = 0};
    const struct peer_soak_interval *last = &run->last;

    peer_soak_get_state(run->soak, &state);
    json_t *entry = json_pack(
        "{s:s, s:f, s:f, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "state", state_name(&state),
        "elapsed_s", (double)state.elapsed_ns / 1e9, "paused_s", (double)state.paused_ns / 1e9,
        "rate", state.rate > 0 ? json_real(state.rate) : json_null(), "flows",
        (json_int_t)state.flows, "open", (json_int_t)state.open, "behind",
        (json_int_t)state.behind, "requests", (json_int_t)state.counts.requests, "completed",
        (json_int_t)state.counts.completed, "errors",
        (json_int_t)peer_soak_errors(&state.counts), "changes", (json_int_t)state.changes);
    if (last->length_ns)
        json_object_set_new(
            entry, "last_interval",
            json_pack("{s:f, s:f, s:f, s:f}", "duration_s", (double)last->length_ns / 1e9, "per_s",
                      (double)last->counts.completed * 1e9 / (double)last->length_ns, "p50_us",
                      last->p50_us, "p99_us", last->p99_us));
    return entry;
}

static int steer_status(struct command_line *said)
{
    json_t *entry = json_state(said->run);
    char *text = json_dumps(entry, JSON_COMPACT | JSON_REAL_PRECISION(9));

    json_decref(entry);
    if (!text)
        return fail(said, "out of memory");
    caller_say(said->caller, text, strlen(text));
    caller_say(said->caller, "\n", 1);
    free(text);
    return 0;
}

static int steer_help(struct command_line *said);

static const struct steering_word {
    const char *verb, *argument; /* NULL: none; in brackets: may be left out */
    const char *about;
    int (*steer)(struct command_line *said); /* 0, or -1 with an answer */
    bool early;                              /* before the soak has begun, too */
} words[] = {
    {"rate", "N", "requests a second from now on: 500, 20k", steer_rate, false},
    {"link", "SPEC", "as --link, both directions: \"delay 50ms loss 1%\", none", steer_link, false},
    {"uplink", "SPEC", "likewise, from the peers", steer_link, false},
    {"downlink", "SPEC", "likewise, to the peers", steer_link, false},
    {"manner", "SPEC", "as --manner, for flows from now on: \"stall:5%\", none", steer_manner,
     false},
    {"pause", NULL, "no new request is wanted", steer_pause, false},
    {"resume", NULL, "it goes on, with nothing to catch up with", steer_resume, false},
    {"stop", "[TIME]", "the end: what is under way has so long (1s), or \"now\"", steer_stop, false},
    {"status", NULL, "how it stands, as JSON", steer_status, false},
    {"help", NULL, "these commands", steer_help, true},
};

static int steer_help(struct command_line *said)
{
    char line[128];

    for (size_t i = 0; i < CLI_ARRAY_SIZE(words); i++) {
        (void)snprintf(line, sizeof(line), "%-9s%-8s%s\n", words[i].verb,
                       words[i].argument ? words[i].argument : "", words[i].about);
        caller_say(said->caller, line, strlen(line));
    }
    return 0;
}

static int refuse_word(struct command_line *said)
{
    const char *names[CLI_ARRAY_SIZE(words) + 1] = {0};

    for (size_t i = 0; i < CLI_ARRAY_SIZE(words); i++)
        names[i] = words[i].verb;
    const char *meant = suggest(said->verb, names);
    if (meant)
        return fail(said, "\"%.64s\" is no command; did you mean \"%s\"?", said->verb, meant);
    return fail(said, "\"%.64s\" is no command; see \"help\"", said->verb);
}

static int obey(struct command_line *said)
{
    size_t i = 0;

    while (i < CLI_ARRAY_SIZE(words) && strcmp(words[i].verb, said->verb) != 0)
        i++;
    if (i == CLI_ARRAY_SIZE(words))
        return refuse_word(said);
    const struct steering_word *word = &words[i];
    if (!word->argument && *said->rest)
        return fail(said, "\"%s\" stands alone: what is \"%.64s\"?", word->verb, said->rest);
    if (word->argument && *word->argument != '[' && !*said->rest)
        return fail(said, "\"%s\" needs %s: %s", word->verb, word->argument, word->about);
    if (!said->run->soak && !word->early)
        return fail(said, "the soak has not begun");
    return word->steer(said);
}

/* ---- lines ---- */

/* Cuts `line` into its first word and the rest, without blanks around. */
static void cut(struct command_line *said)
{
    char *at = said->line + strspn(said->line, " \t");
    size_t len = strlen(at);

    while (len && strchr(" \t\r", at[len - 1]))
        at[--len] = 0;
    said->verb = at;
    at += strcspn(at, " \t");
    if (*at)
        *at++ = 0;
    said->rest = at + strspn(at, " \t");
}

static void answer(struct command_line *said, int status)
{
    char line[ANSWER + 16];

    (void)snprintf(line, sizeof(line), "%s%s\n", status < 0 ? "error: " : "ok",
                   status < 0 ? said->answer : "");
    caller_say(said->caller, line, strlen(line));
}

static size_t hear(void *user, struct caller *caller, const char *text, size_t len)
{
    const char *end = memchr(text, '\n', len);
    struct command_line said = {.run = user, .caller = caller};
    size_t line_len = end ? (size_t)(end - text) : len;

    if (!end && len < CALLER_IN_BYTES)
        return 0;
    memcpy(said.line, text, line_len);
    if (!end || memchr(said.line, 0, line_len)) {
        answer(&said, fail(&said, end ? "that is no text" : "a command has %d bytes at the most",
                           CALLER_IN_BYTES - 1));
        caller_end(caller);
        return len;
    }
    cut(&said);
    if (*said.verb)
        answer(&said, obey(&said));
    return line_len + 1;
}

/* ---- the socket ---- */

/* 0, or an exit status after a message. */
static int look_at(const char *path)
{
    struct stat is;

    if (lstat(path, &is) < 0)
        return 0; /* bind will tell what else is wrong */
    if (!S_ISSOCK(is.st_mode)) {
        say("--control: \"%s\" is there, and is no socket", path);
        return STATUS_USAGE;
    }
    if (is.st_uid != geteuid()) {
        say("--control: \"%s\" is another user's", path);
        return STATUS_MACHINE;
    }
    return 0;
}

/* For this user alone from its first moment on. */
static int listen_at(struct place *place)
{
    mode_t mask = umask(0177);
    int fd = place_listen(place, false);

    if (fd == -EEXIST) {
        place_unlink(place);
        fd = place_listen(place, false);
    }
    umask(mask);
    return fd;
}

int steering_open(struct steering *steering, const char *path)
{
    struct place place = {.port = 0};

    *steering = (struct steering){.fd = -1, .keeper = path_keeper_none};
    if (!path)
        return 0;
    if (!*path || snprintf(place.path, sizeof(place.path), "%s", path) >= PLACE_PATH)
        return usage_error(&command_soak, "--control: a socket's path has 1 to %d bytes",
                           PLACE_PATH - 1);
    int status = look_at(path);
    if (status != 0)
        return status;
    steering->fd = listen_at(&place);
    if (steering->fd < 0) {
        say("--control: \"%s\": %s", path,
            steering->fd == -EADDRINUSE ? "somebody listens there already"
                                        : strerror(-steering->fd));
        return STATUS_MACHINE;
    }
    return path_keeper_start(&steering->keeper, &path, 1);
}

int steering_begin(struct steering *steering, struct callers *callers, struct soak_run *run)
{
    if (steering->fd < 0)
        return 0;
    steering->reception = (struct reception){
        .hear = hear, .stays = true, .out_bytes = OUT_BYTES, .user = run};
    return callers_listen(callers, steering->fd, &steering->reception);
}

void steering_close(struct steering *steering)
{
    if (steering->fd >= 0)
        close(steering->fd);
    steering->fd = -1;
    path_keeper_end(&steering->keeper);
}
