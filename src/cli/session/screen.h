/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CLI_SCREEN_H
#define CLI_SCREEN_H

#include <histedit.h>
#include <stdbool.h>
#include <stddef.h>
#include <wchar.h>

/**
 * A terminal's screen with a line on it that is being edited by libedit, which others write to as
 * well. Part of struct terminal; the functions are those of session.h, without the keys.
 */
enum { TAIL_MAX = 512 };

struct screen {
    EditLine *el;
    bool ansi;     /* knows how to erase */
    bool editing;  /* libedit holds a line */
    bool drawn;    /* and has it, with the tail, on the screen */
    bool moved;    /* something else was written since */
    bool wrapped;  /* the tail ended at the right margin */
    bool finished; /* the tail is no prompt: nothing follows it */
    bool strange;  /* the tail holds what moves the cursor */
    size_t tail_len;
    int tail_columns;
    char tail[TAIL_MAX];
    mbstate_t tail_state;
    char command; /* the escape whose line is being typed, or 0 */
    char prompt[TAIL_MAX + 8];
};

void screen_hide(struct screen *screen);
void screen_show(struct screen *screen);
void screen_begin_note(struct screen *screen);
void screen_end_note(struct screen *screen);
void screen_wrote(struct screen *screen, const char *text, size_t len);
void screen_finish(struct screen *screen, bool finished);

/** What libedit is to draw before the line. */
char *screen_prompt(struct screen *screen);
/** Before libedit draws: from now on it does the tail too. */
void screen_draw(struct screen *screen);
/** Takes the line, and the tail before it, off the screen. */
void screen_erase(struct screen *screen);
/** The cursor stands at the start of a line of its own. */
void screen_forget_tail(struct screen *screen);
/** Characters in the line. */
size_t screen_line_len(const struct screen *screen);

#endif
