/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Line editing at a terminal without ever waiting in it: typed bytes are read here, and libedit
 * gets them one by one (EL_UNBUFFERED, EL_GETCFN) while the event loop goes on.
 *
 * Two keys are ours when the line is empty: '~', which waits for a second key that may be an
 * escape, and Ctrl-D, the end of input. An escape that has more to say ("~m stall") is a line of
 * its own, with the escape as its prompt.
 */
#include "session.h"

#include <errno.h>
#include <histedit.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

enum { TYPED_MAX = 1024, HISTORY_LINES = 500, SEQUENCE_WAIT_MS = 50, CTRL_D = 4 };

struct terminal {
    const struct terminal_ops *ops;
    void *user;
    EditLine *el;
    History *history;
    char typed[TYPED_MAX];
    size_t typed_len, typed_at;
    bool tilde;     /* a '~' began the line and waits for its key */
    char command;   /* the escape whose line is being typed, or 0 */
    char prompt[4]; /* "~m " */
    bool dead;      /* the terminal hung up */
};

/* More bytes from the terminal; false when there are none. */
static bool fill(struct terminal *terminal, int wait_ms)
{
    struct pollfd fd = {.fd = STDIN_FILENO, .events = POLLIN};

    if (poll(&fd, 1, wait_ms) != 1)
        return false;
    ssize_t len = read(STDIN_FILENO, terminal->typed, sizeof(terminal->typed));
    terminal->typed_at = 0;
    terminal->typed_len = len > 0 ? (size_t)len : 0;
    terminal->dead = len <= 0;
    return len > 0;
}

static bool next_byte(struct terminal *terminal, int wait_ms, char *ret_byte)
{
    if (terminal->typed_at == terminal->typed_len && !fill(terminal, wait_ms))
        return false;
    *ret_byte = terminal->typed[terminal->typed_at++];
    return true;
}

/* libedit asks for a character: there is one, or a key's sequence is not complete yet. */
static int get_character(EditLine *el, wchar_t *ret)
{
    struct terminal *terminal;
    mbstate_t state = {0};
    char byte;

    el_get(el, EL_CLIENTDATA, &terminal);
    while (next_byte(terminal, SEQUENCE_WAIT_MS, &byte)) {
        size_t used = mbrtowc(ret, &byte, 1, &state);
        if (used == (size_t)-2)
            continue;
        if (used == (size_t)-1)
            *ret = (wchar_t)(unsigned char)byte;
        return 1;
    }
    return 0;
}

static char *prompt(EditLine *el)
{
    struct terminal *terminal;

    el_get(el, EL_CLIENTDATA, &terminal);
    return terminal->prompt;
}

struct terminal *terminal_new(const struct terminal_ops *ops, void *user)
{
    HistEvent event;

    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
        return NULL;
    struct terminal *terminal = calloc(1, sizeof(*terminal));
    if (!terminal)
        return NULL;
    terminal->ops = ops;
    terminal->user = user;
    terminal->el = el_init("peer", stdin, stdout, stderr);
    terminal->history = history_init();
    if (!terminal->el || !terminal->history)
        return terminal_free(terminal);
    history(terminal->history, &event, H_SETSIZE, HISTORY_LINES);
    el_set(terminal->el, EL_CLIENTDATA, terminal);
    el_set(terminal->el, EL_PROMPT, prompt);
    el_set(terminal->el, EL_EDITOR, "emacs");
    el_set(terminal->el, EL_SIGNAL, 0);
    el_set(terminal->el, EL_HIST, history, terminal->history);
    el_set(terminal->el, EL_GETCFN, get_character);
    el_source(terminal->el, NULL);
    el_set(terminal->el, EL_UNBUFFERED, 1);
    return terminal;
}

struct terminal *terminal_free(struct terminal *terminal)
{
    if (!terminal)
        return NULL;
    if (terminal->el) {
        el_set(terminal->el, EL_UNBUFFERED, 0); /* the terminal's modes go back */
        el_end(terminal->el);
    }
    if (terminal->history)
        history_end(terminal->history);
    free(terminal);
    return NULL;
}

static size_t line_len(const struct terminal *terminal)
{
    const LineInfo *line = el_line(terminal->el);
    return (size_t)(line->lastchar - line->buffer);
}

static void begin_line(struct terminal *terminal, char command)
{
    terminal->command = command;
    terminal->prompt[0] = 0;
    if (command)
        snprintf(terminal->prompt, sizeof(terminal->prompt), "~%c ", command);
    el_set(terminal->el, EL_UNBUFFERED, 0);
    el_set(terminal->el, EL_UNBUFFERED, 1);
}

static void take_command(struct terminal *terminal, const char *line, size_t len)
{
    char text[512], key = terminal->command;

    snprintf(text, sizeof(text), "%.*s", (int)(len - 1), line);
    begin_line(terminal, 0);
    terminal->ops->command(terminal->user, key, text);
}

static void take_line(struct terminal *terminal, const char *text, size_t len)
{
    HistEvent event;

    if (terminal->command) {
        take_command(terminal, text, len);
        return;
    }
    if (len > 1)
        history(terminal->history, &event, H_ENTER, text);
    terminal->ops->line(terminal->user, text, len);
    begin_line(terminal, 0);
}

/* One key, which may be several bytes, goes to libedit. */
static void edit(struct terminal *terminal)
{
    int len = 0;
    const char *text = el_gets(terminal->el, &len);

    if (text && len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r'))
        take_line(terminal, text, (size_t)len);
}

/* The key after a '~' at the start of a line. False: it is for libedit after all. */
static bool take_escape(struct terminal *terminal, char key)
{
    terminal->tilde = false;
    if (key == '~') {
        el_push(terminal->el, "~");
        edit(terminal);
        return true;
    }
    enum terminal_escape taken = terminal->ops->escape(terminal->user, key);
    if (taken == TERMINAL_ESCAPE_LINE)
        begin_line(terminal, key);
    if (taken != TERMINAL_NO_ESCAPE)
        return true;
    el_push(terminal->el, "~");
    edit(terminal);
    return false;
}

static bool take_own_key(struct terminal *terminal, char key)
{
    if (terminal->tilde)
        return take_escape(terminal, key);
    if (line_len(terminal) > 0 || terminal->command)
        return false;
    if (key == '~') {
        terminal->tilde = true;
        return true;
    }
    if (key == CTRL_D) {
        terminal->ops->eof(terminal->user);
        return true;
    }
    return false;
}

bool terminal_read(struct terminal *terminal)
{
    char byte;

    while (next_byte(terminal, 0, &byte)) {
        if (take_own_key(terminal, byte))
            continue;
        terminal->typed_at--;
        edit(terminal);
    }
    if (terminal->dead)
        terminal->ops->eof(terminal->user);
    return !terminal->dead;
}

void terminal_hide(struct terminal *terminal)
{
    if (line_len(terminal) == 0 && !terminal->command)
        return;
    fputs("\r\033[K", stdout);
    fflush(stdout);
}

void terminal_show(struct terminal *terminal)
{
    if (line_len(terminal) > 0 || terminal->command)
        el_set(terminal->el, EL_REFRESH);
}
