/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Line editing at a terminal, by libedit. libedit waits for keys in the middle of what it does (a
 * search, a quoted character, a sequence of an arrow key), so its alternate interface, which gives
 * it one key at a time, breaks there. Here it has the lead instead: el_gets edits a line, and when
 * it asks for a character that is not there yet, get_character lets the session go on by
 * ops->wait.
 *
 * What is ours comes to libedit as functions bound to keys, so it is called between keys only: '~'
 * is an escape when the line is empty; U+0080, which no keyboard sends, stands for a run of
 * characters that wait already and go into the middle of a line at once (each alone would draw the
 * rest anew). Text between the marks of a bracketed paste is never an escape or an editing key.
 * Ctrl-D in an empty line does not reach libedit at all.
 *
 * The editor reads its files (the terminal's description, ~/.editrc) when it is opened, before
 * privileges go; the terminal is taken when there is somebody to talk to.
 *
 * libedit gives the terminal back with each line, and what is typed until it takes it again goes
 * through the kernel's own editing, where Ctrl-R is another key. So it is taken again at once.
 *
 * Signals of the terminal (stop, continue, size) come by a descriptor, like keys. A shell may have
 * changed the terminal's modes while we were stopped, so they are set again.
 */
#include "screen.h"
#include "session.h"

#include <errno.h>
#include <histedit.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include <wchar.h>
#include <wctype.h>

enum {
    TYPED_MAX = 4096,
    HISTORY_LINES = 500,
    LINE_MAX_CHARS = 200000,
    RUN_MIN = 32, /* so many waiting characters were not typed by hand */
    RUN_KEY = 0x80,
    CTRL_D = 4,
    CTRL_V = 22,
    ESCAPE = 27,
};

struct editor {
    EditLine *el;
    History *history;
};

struct terminal {
    const struct terminal_ops *ops;
    void *user;
    struct editor *editor;
    EditLine *el; /* the editor's, as is the history */
    History *history;
    sigset_t signals_before;
    int signal_fd;

    char typed[TYPED_MAX];
    size_t typed_len, typed_at;
    size_t singly;    /* so many bytes go one by one: nobody took them as a run */
    bool run_offered; /* RUN_KEY was given, and is not answered yet */
    bool pasting;     /* between the marks of a bracketed paste */
    bool tilde;       /* a '~' waits for its key */
    char last;        /* the byte before */
    bool dead;        /* the terminal hung up */
    bool over;        /* the session has ended */
    bool background;  /* continued by a shell's bg: hands off */

    struct screen screen;
};

static char *prompt(EditLine *el)
{
    struct terminal *terminal;

    el_get(el, EL_CLIENTDATA, &terminal);
    return screen_prompt(&terminal->screen);
}

void terminal_hide(struct terminal *terminal)
{
    screen_hide(&terminal->screen);
}

void terminal_show(struct terminal *terminal)
{
    screen_show(&terminal->screen);
}

void terminal_begin_note(struct terminal *terminal)
{
    screen_begin_note(&terminal->screen);
}

void terminal_end_note(struct terminal *terminal)
{
    screen_end_note(&terminal->screen);
}

void terminal_wrote(struct terminal *terminal, const char *text, size_t len)
{
    screen_wrote(&terminal->screen, text, len);
}

void terminal_finish(struct terminal *terminal, bool finished)
{
    screen_finish(&terminal->screen, finished);
}

/* ---- keys ---- */

static void fill(struct terminal *terminal)
{
    if (terminal->typed_at > 0) {
        terminal->typed_len -= terminal->typed_at;
        memmove(terminal->typed, terminal->typed + terminal->typed_at, terminal->typed_len);
        terminal->typed_at = 0;
    }
    ssize_t len = read(STDIN_FILENO, terminal->typed + terminal->typed_len,
                       sizeof(terminal->typed) - terminal->typed_len);
    if (len > 0)
        terminal->typed_len += (size_t)len;
    else if (len == 0 || (errno != EAGAIN && errno != EINTR))
        terminal->dead = true;
}

static size_t waiting(const struct terminal *terminal)
{
    return terminal->typed_len - terminal->typed_at;
}

/* Until `count` bytes are there; false when they will not come. */
static bool await(struct terminal *terminal, size_t count)
{
    while (waiting(terminal) < count) {
        fflush(stdout);
        if (terminal->over || terminal->dead)
            return false;
        terminal->over = !terminal->ops->wait(terminal->user);
    }
    return !terminal->over;
}

static const char *next(const struct terminal *terminal)
{
    return terminal->typed + terminal->typed_at;
}

static const char paste_end[] = "\033[201~";
enum { MARK_BYTES = sizeof(paste_end) - 1 };

/* Does the end of a paste come next? It may have to be waited for, as long as it looks like it. */
static bool at_paste_end(struct terminal *terminal)
{
    for (size_t i = 0; i < MARK_BYTES; i++) {
        if (!await(terminal, i + 1) || next(terminal)[i] != paste_end[i])
            return false;
    }
    terminal->typed_at += MARK_BYTES;
    return true;
}

static bool is_plain(const struct terminal *terminal, unsigned char byte)
{
    if (terminal->pasting)
        return byte != '\n' && byte != '\r' && byte != ESCAPE && byte != 0;
    return byte >= 0x20 && byte != 0x7f;
}

/* Waiting bytes that are text, whole characters only. */
static size_t run_len(const struct terminal *terminal)
{
    const char *text = next(terminal);
    size_t len = 0;

    if (terminal->pasting && *text == ESCAPE) /* and not the end of it: as it is */
        len++;
    while (len < waiting(terminal) && is_plain(terminal, (unsigned char)text[len]))
        len++;
    size_t whole = len;
    while (whole > 0 && len - whole < 4 && ((unsigned char)text[whole - 1] & 0xc0) == 0x80)
        whole--;
    if (whole > 0 && (unsigned char)text[whole - 1] >= 0xc0) {
        wchar_t c;
        mbstate_t state = {0};
        if (mbrtowc(&c, text + whole - 1, len - whole + 1, &state) == (size_t)-2)
            return whole - 1;
    }
    return len;
}

/* Something that is added at the end of the line is drawn by itself, and the line is not. */
static bool is_drawn_alone(const struct terminal *terminal)
{
    const LineInfoW *line = el_wline(terminal->el);
    unsigned char byte = (unsigned char)*next(terminal);

    return line->cursor == line->lastchar && byte >= 0x20 && byte != 0x7f &&
           !(terminal->pasting && byte == '~');
}

static bool offers_run(struct terminal *terminal)
{
    if (is_drawn_alone(terminal))
        return false;
    if (terminal->run_offered) { /* and was not taken: vi's command mode, say */
        terminal->run_offered = false;
        terminal->singly = run_len(terminal);
    }
    if (terminal->singly || terminal->tilde || terminal->last == CTRL_V)
        return false;
    terminal->run_offered = run_len(terminal) >= (terminal->pasting ? 1 : RUN_MIN);
    return terminal->run_offered;
}

/* Ctrl-D at the start of a line. */
static bool takes_end(struct terminal *terminal)
{
    if (*next(terminal) != CTRL_D || terminal->pasting || screen_line_len(&terminal->screen) > 0 ||
        terminal->last == CTRL_V || terminal->last == ESCAPE)
        return false;
    terminal->typed_at++;
    if (terminal->screen.command) { /* nothing comes of the escape */
        screen_erase(&terminal->screen);
        terminal->screen.command = 0;
        screen_end_note(&terminal->screen);
    } else {
        terminal->ops->eof(terminal->user);
    }
    return true;
}

/* libedit asks for a character. 0: none will come. */
static int get_character(EditLine *el, wchar_t *ret)
{
    struct terminal *terminal;
    mbstate_t state = {0};

    el_get(el, EL_CLIENTDATA, &terminal);
    for (bool begun = false; await(terminal, 1);) {
        if (!begun && terminal->pasting && at_paste_end(terminal)) {
            terminal->pasting = false;
            continue;
        }
        if (!begun && takes_end(terminal))
            continue;
        screen_draw(&terminal->screen);
        if (!begun && offers_run(terminal)) {
            *ret = RUN_KEY;
            return 1;
        }
        char byte = *next(terminal);
        terminal->last = byte;
        terminal->typed_at++;
        terminal->singly -= terminal->singly > 0;
        size_t used = mbrtowc(ret, &byte, 1, &state);
        begun = used == (size_t)-2;
        if (begun)
            continue;
        if (used == (size_t)-1)
            *ret = (wchar_t)(unsigned char)byte;
        return 1;
    }
    return 0;
}

/* ---- what keys are bound to ---- */

static unsigned char insert(struct terminal *terminal, const wchar_t *text)
{
    if (screen_line_len(&terminal->screen) + wcslen(text) > LINE_MAX_CHARS)
        return CC_ERROR;
    return el_winsertstr(terminal->el, text) < 0 ? CC_ERROR : CC_REFRESH;
}

/* RUN_KEY: what waits goes into the line at once. */
static unsigned char key_run(EditLine *el, wint_t key)
{
    wchar_t text[TYPED_MAX + 1];
    struct terminal *terminal;
    size_t count = 0;

    (void)key;
    el_get(el, EL_CLIENTDATA, &terminal);
    terminal->run_offered = false;
    for (size_t len = run_len(terminal); len > 0;) {
        mbstate_t state = {0};
        size_t used = mbrtowc(&text[count], next(terminal), len, &state);
        if (used == (size_t)-1 || used == (size_t)-2 || used == 0) {
            text[count] = (wchar_t)(unsigned char)*next(terminal);
            used = 1;
        }
        count++;
        terminal->typed_at += used;
        len -= used;
    }
    text[count] = 0;
    return count ? insert(terminal, text) : CC_NORM;
}

static unsigned char key_paste(EditLine *el, wint_t key)
{
    struct terminal *terminal;

    (void)key;
    el_get(el, EL_CLIENTDATA, &terminal);
    terminal->pasting = true;
    return CC_NORM;
}

static unsigned char key_nothing(EditLine *el, wint_t key)
{
    (void)el;
    (void)key;
    return CC_NORM;
}

/* The key after a '~' at the start of a line. */
static unsigned char take_escape(struct terminal *terminal, wchar_t key)
{
    wchar_t again[2] = {key, 0};
    enum terminal_escape taken = key > 0 && key < 0x80
                                     ? terminal->ops->escape(terminal->user, (char)key)
                                     : TERMINAL_NO_ESCAPE;

    if (taken == TERMINAL_ESCAPE_LINE)
        terminal->screen.command = (char)key;
    if (taken != TERMINAL_NO_ESCAPE)
        return CC_REFRESH;
    if (key != L'~')
        el_wpush(terminal->el, again);
    return insert(terminal, L"~");
}

static unsigned char key_tilde(EditLine *el, wint_t key)
{
    struct terminal *terminal;
    wchar_t second;

    (void)key;
    el_get(el, EL_CLIENTDATA, &terminal);
    if (screen_line_len(&terminal->screen) > 0 || terminal->screen.command || terminal->pasting)
        return insert(terminal, L"~");
    insert(terminal, L"~"); /* is seen meanwhile */
    el_set(el, EL_REFRESH);
    terminal->tilde = true;
    int count = el_wgetc(el, &second);
    terminal->tilde = false;
    el_deletestr(el, 1);
    return count == 1 ? take_escape(terminal, second) : CC_EOF;
}

static void bind_keys(EditLine *el)
{
    static const char *const keys[][2] = {
        {"\033[2~", "peer-nothing"}, /* Insert, page up and down */
        {"\033[5~", "peer-nothing"},
        {"\033[6~", "peer-nothing"},
        {"\033[1~", "ed-move-to-beg"},
        {"\033[7~", "ed-move-to-beg"},
        {"\033[H", "ed-move-to-beg"},
        {"\033OH", "ed-move-to-beg"},
        {"\033[4~", "ed-move-to-end"},
        {"\033[8~", "ed-move-to-end"},
        {"\033[F", "ed-move-to-end"},
        {"\033OF", "ed-move-to-end"},
        {"\033[3~", "ed-delete-next-char"},
        {"\033[A", "ed-prev-history"},
        {"\033OA", "ed-prev-history"},
        {"\033[B", "ed-next-history"},
        {"\033OB", "ed-next-history"},
        {"\033[C", "ed-next-char"},
        {"\033OC", "ed-next-char"},
        {"\033[D", "ed-prev-char"},
        {"\033OD", "ed-prev-char"},
        {"\033[1;5C", "em-next-word"},
        {"\033[1;5D", "ed-prev-word"},
        {"\033[1;3C", "em-next-word"},
        {"\033[1;3D", "ed-prev-word"},
        {"^S", "em-inc-search-next"}, /* which flow control would take */
    };
    for (size_t i = 0; i < CLI_ARRAY_SIZE(keys); i++)
        el_set(el, EL_BIND, keys[i][0], keys[i][1], NULL);
}

/* Ours are bound last: "bind -v" in ~/.editrc makes a new map. */
static void bind_own_keys(EditLine *el)
{
    static const char *const keys[][2] = {
        {"~", "peer-tilde"},
        {"\\200", "peer-run"},
        {"\033[200~", "peer-paste"},
        {"\033[201~", "peer-nothing"},
    };

    for (size_t i = 0; i < CLI_ARRAY_SIZE(keys); i++)
        el_set(el, EL_BIND, keys[i][0], keys[i][1], NULL);
}

/* Wide texts: libedit keeps these, and copies (and loses) narrow ones. */
static void add_functions(EditLine *el)
{
    el_wset(el, EL_ADDFN, L"peer-tilde", L"An escape at the start of a line", key_tilde);
    el_wset(el, EL_ADDFN, L"peer-run", L"Insert what waits", key_run);
    el_wset(el, EL_ADDFN, L"peer-paste", L"A paste begins", key_paste);
    el_wset(el, EL_ADDFN, L"peer-nothing", L"Ignore the key", key_nothing);
}

/* ---- lines ---- */

static void take_command(struct terminal *terminal, const char *line, size_t len)
{
    char text[512], key = terminal->screen.command;

    snprintf(text, sizeof(text), "%.*s", (int)len, line);
    terminal->screen.command = 0;
    terminal->ops->command(terminal->user, key, text);
}

static void take_line(struct terminal *terminal, const char *text, size_t len)
{
    HistEvent event;

    if (terminal->screen.command) {
        take_command(terminal, text, len - 1);
        return;
    }
    if (len > 1)
        history(terminal->history, &event, H_ENTER, text);
    terminal->ops->line(terminal->user, text, len);
}

void terminal_run(struct terminal *terminal)
{
    while (!terminal->over && !terminal->dead) {
        int len = 0;
        terminal->screen.editing = true;
        const char *text = el_gets(terminal->el, &len);
        terminal->screen.editing = false;
        if (terminal->over || terminal->dead)
            break;
        el_set(terminal->el, EL_PREP_TERM, 1); /* before anybody can answer the line with keys */
        terminal->screen.drawn = false;
        screen_forget_tail(&terminal->screen); /* the cursor is on a new line */
        if (text && len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r'))
            take_line(terminal, text, (size_t)len);
        else if (len == 0)
            terminal->ops->eof(terminal->user); /* a key that is bound to it */
        else
            terminal->dead = true;
    }
    if (terminal->dead)
        terminal->ops->eof(terminal->user);
}

/* ---- signals, and the terminal's modes ---- */

static void paste_marks(const struct terminal *terminal, bool on)
{
    if (terminal->screen.ansi)
        fputs(on ? "\033[?2004h" : "\033[?2004l", stdout);
    fflush(stdout);
}

static bool in_foreground(void)
{
    pid_t group = tcgetpgrp(STDIN_FILENO);

    return group < 0 || group == getpgrp(); /* -1: nobody manages jobs at it */
}

static void resume(struct terminal *terminal)
{
    terminal->background = !in_foreground();
    terminal->screen.editing = !terminal->background; /* the line is not shown there */
    if (terminal->background)
        return;
    el_set(terminal->el, EL_PREP_TERM, 0); /* what we think it is, which a shell has changed */
    el_set(terminal->el, EL_PREP_TERM, 1);
    paste_marks(terminal, true);
    terminal->screen.drawn = false;
    terminal->screen.moved = true;
    screen_forget_tail(&terminal->screen);
    screen_show(&terminal->screen);
}

static void stop(struct terminal *terminal)
{
    sigset_t set;

    if (!terminal->background) {
        screen_begin_note(&terminal->screen);
        paste_marks(terminal, false);
        el_set(terminal->el, EL_PREP_TERM, 0);
    }
    sigemptyset(&set);
    sigaddset(&set, SIGTSTP);
    raise(SIGTSTP);
    sigprocmask(SIG_UNBLOCK, &set, NULL); /* here it stops, and goes on */
    sigprocmask(SIG_BLOCK, &set, NULL);
    resume(terminal);
}

static void resize(struct terminal *terminal)
{
    bool drawn = terminal->screen.drawn;

    screen_hide(&terminal->screen);
    el_resize(terminal->el);
    if (drawn)
        screen_show(&terminal->screen);
}

static void take_signals(struct terminal *terminal)
{
    struct signalfd_siginfo info;

    while (read(terminal->signal_fd, &info, sizeof(info)) == sizeof(info)) {
        if (info.ssi_signo == SIGTSTP)
            stop(terminal);
        else if (info.ssi_signo == SIGCONT)
            resume(terminal);
        else if (info.ssi_signo == SIGQUIT)
            raise(SIGINT); /* the terminal's modes have to go back */
        else
            resize(terminal);
    }
}

static int open_signals(struct terminal *terminal)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTSTP);
    sigaddset(&set, SIGCONT);
    sigaddset(&set, SIGWINCH);
    sigaddset(&set, SIGQUIT);
    sigprocmask(SIG_BLOCK, &set, &terminal->signals_before);
    return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

void terminal_fds(const struct terminal *terminal, int fds[TERMINAL_FDS])
{
    bool reads = !terminal->dead && !terminal->background && waiting(terminal) < TYPED_MAX;

    fds[0] = reads ? STDIN_FILENO : -1;
    fds[1] = terminal->signal_fd;
}

bool terminal_is_away(const struct terminal *terminal)
{
    return terminal->background;
}

void terminal_take(struct terminal *terminal)
{
    struct pollfd fd = {.fd = STDIN_FILENO, .events = POLLIN};

    take_signals(terminal);
    if (terminal->background && in_foreground())
        resume(terminal);
    if (!terminal->background && waiting(terminal) < TYPED_MAX && poll(&fd, 1, 0) == 1)
        fill(terminal);
}

static void set_editor(const struct editor *editor)
{
    EditLine *el = editor->el;
    HistEvent event;

    history(editor->history, &event, H_SETSIZE, HISTORY_LINES);
    el_set(el, EL_PROMPT, prompt);
    el_set(el, EL_EDITOR, "emacs");
    el_set(el, EL_SIGNAL, 0);
    el_set(el, EL_HIST, history, editor->history);
    el_set(el, EL_GETCFN, get_character);
    el_set(el, EL_SETTY, "-d", "-ixon", NULL); /* Ctrl-S and Ctrl-Q are keys */
    add_functions(el);
    bind_keys(el);
    el_source(el, NULL);
    bind_own_keys(el);
}

struct editor *editor_open(void)
{
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
        return NULL;
    struct editor *editor = calloc(1, sizeof(*editor));
    if (!editor)
        return NULL;
    editor->el = el_init("peer", stdin, stdout, stderr);
    editor->history = history_init();
    if (!editor->el || !editor->history)
        return editor_close(editor);
    set_editor(editor);
    return editor;
}

struct editor *editor_close(struct editor *editor)
{
    if (!editor)
        return NULL;
    if (editor->el)
        el_end(editor->el); /* the terminal's modes go back */
    if (editor->history)
        history_end(editor->history);
    free(editor);
    return NULL;
}

struct terminal *terminal_new(struct editor *editor, const struct terminal_ops *ops, void *user)
{
    const char *kind = getenv("TERM");
    struct terminal *terminal = editor ? calloc(1, sizeof(*terminal)) : NULL;

    if (!terminal)
        return NULL;
    terminal->ops = ops;
    terminal->user = user;
    terminal->screen.ansi = kind && *kind && strcmp(kind, "dumb") != 0;
    terminal->signal_fd = open_signals(terminal);
    if (terminal->signal_fd < 0)
        return terminal_free(terminal);
    terminal->editor = editor;
    terminal->screen.el = terminal->el = editor->el;
    terminal->history = editor->history;
    el_set(editor->el, EL_CLIENTDATA, terminal);
    el_reset(editor->el); /* of the one before */
    el_set(editor->el, EL_PREP_TERM, 1);
    paste_marks(terminal, true);
    return terminal;
}

struct terminal *terminal_free(struct terminal *terminal)
{
    if (!terminal)
        return NULL;
    if (terminal->editor && !terminal->dead && !terminal->background) {
        screen_hide(&terminal->screen);
        if (terminal->screen.tail_len || terminal->screen.wrapped || terminal->screen.strange)
            fputs("\r\n", stdout);
        paste_marks(terminal, false);
        el_set(terminal->el, EL_PREP_TERM, 0);
    }
    if (terminal->signal_fd >= 0)
        close(terminal->signal_fd);
    sigprocmask(SIG_SETMASK, &terminal->signals_before, NULL);
    free(terminal);
    return NULL;
}
