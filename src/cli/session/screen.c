/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * `tail` is what the application has written since its last line break, a prompt very often. It
 * stands on the screen as it was written until libedit draws something: then libedit draws the
 * tail too, as its own prompt, before the line that is typed (`drawn`), and the cursor is where
 * both think that it is. A tail that reaches the right margin, or holds what moves the cursor
 * (--raw), cannot be drawn again; the line then begins below it.
 */
#include "screen.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static void size_of(int *ret_rows, int *ret_columns)
{
    struct winsize size;
    bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1;

    *ret_columns = known ? size.ws_col : 80;
    *ret_rows = known && size.ws_row > 1 ? size.ws_row : 24;
}

size_t screen_line_len(const struct screen *screen)
{
    const LineInfoW *line = el_wline(screen->el);

    return screen->editing ? (size_t)(line->lastchar - line->buffer) : 0;
}

static int width_of(wchar_t c, int column)
{
    if (c == L'\t')
        return 8 - column % 8;
    if (c < 0x20 || c == 0x7f)
        return 2; /* ^X */
    int width = wcwidth(c);
    return width >= 0 ? width : c > 0xffff ? 8 : 7; /* \U+00ad */
}

/* Rows of the screen above the cursor that belong to the tail and the line. */
static int rows_above(const struct screen *screen)
{
    const LineInfoW *line = el_wline(screen->el);
    int rows, columns, row = 0, column = screen->tail_columns + (screen->command ? 3 : 0);

    size_of(&rows, &columns);
    for (const wchar_t *at = line->buffer; screen->editing && at < line->cursor; at++) {
        if (*at == L'\n') {
            row += column / columns + 1;
            column = 0;
        } else {
            column += width_of(*at, column);
        }
    }
    row += column / columns;
    return row < rows - 1 ? row : rows - 1;
}

char *screen_prompt(struct screen *screen)
{
    size_t len = screen->drawn ? screen->tail_len : 0;

    memcpy(screen->prompt, screen->tail, len);
    screen->prompt[len] = 0;
    if (screen->command)
        snprintf(screen->prompt + len, 4, "~%c ", screen->command);
    return screen->prompt;
}

void screen_forget_tail(struct screen *screen)
{
    screen->tail_len = 0;
    screen->tail_columns = 0;
    screen->wrapped = screen->strange = false;
}

/* Before libedit draws: from now on it does the tail too. */
void screen_draw(struct screen *screen)
{
    if (screen->drawn)
        return;
    screen->drawn = true;
    if (!screen->moved && !screen->tail_len && !screen->command && !screen_line_len(screen))
        return;
    screen->moved = false;
    if (screen->wrapped || screen->strange) {
        fputs("\r\n", stdout);
        screen_forget_tail(screen);
    } else {
        fputs("\r", stdout);
    }
    el_set(screen->el, EL_REFRESH);
}

/* Takes the line, and the tail before it, off the screen. */
void screen_erase(struct screen *screen)
{
    if (screen->ansi) {
        int rows = screen->drawn ? rows_above(screen) : 0;
        fputs("\r", stdout);
        if (rows > 0)
            fprintf(stdout, "\033[%dA", rows);
        fputs("\033[J", stdout);
    } else {
        fputs("\r\n", stdout);
    }
    screen->drawn = false;
    screen->moved = true;
}

void screen_finish(struct screen *screen, bool finished)
{
    screen->finished = finished;
}

static void put_tail(const struct screen *screen)
{
    fwrite(screen->tail, 1, screen->tail_len, stdout);
}

void screen_hide(struct screen *screen)
{
    if (screen->drawn) {
        screen_erase(screen);
        put_tail(screen);
    }
    fflush(stdout);
}

void screen_show(struct screen *screen)
{
    if (screen_line_len(screen) > 0 || screen->command)
        screen_draw(screen);
    fflush(stdout);
}

void screen_begin_note(struct screen *screen)
{
    bool stays = screen->finished && screen->tail_len && !screen->drawn;

    if (screen->wrapped || screen->strange || stays) {
        fputs("\r\n", stdout);
        screen_forget_tail(screen);
    }
    if (screen->drawn || screen->tail_len)
        screen_erase(screen);
    fflush(stdout);
}

void screen_end_note(struct screen *screen)
{
    put_tail(screen);
    screen_show(screen);
}

/* One character of the tail, of `len` bytes (a tab becomes blanks). */
static void tail_add(struct screen *screen, const char *bytes, size_t len, int width, int columns)
{
    if (screen->tail_columns + width > columns || screen->tail_len + len > TAIL_MAX)
        screen_forget_tail(screen);
    screen->wrapped = false;
    memcpy(screen->tail + screen->tail_len, bytes, len);
    screen->tail_len += len;
    screen->tail_columns += width;
    if (screen->tail_columns >= columns) {
        screen_forget_tail(screen);
        screen->wrapped = true;
    }
}

static void tail_tab(struct screen *screen, int columns)
{
    for (int i = 8 - screen->tail_columns % 8; i > 0 && !screen->wrapped; i--)
        tail_add(screen, " ", 1, 1, columns);
}

void screen_wrote(struct screen *screen, const char *text, size_t len)
{
    int rows, columns;

    size_of(&rows, &columns);
    screen->moved = true;
    for (size_t i = 0; i < len;) {
        wchar_t c = (unsigned char)text[i];
        size_t used = 1;
        if (c == L'\n' || c == L'\r')
            screen_forget_tail(screen);
        else if (c == L'\t')
            tail_tab(screen, columns);
        else if (c < 0x20 || c == 0x7f)
            screen->strange = true; /* only with --raw */
        else {
            if (c >= 0x80) {
                used = mbrtowc(&c, text + i, len - i, &screen->tail_state);
                if (used == (size_t)-1 || used == (size_t)-2 || used == 0) {
                    memset(&screen->tail_state, 0, sizeof(screen->tail_state));
                    c = L'?';
                    used = 1;
                }
            }
            int width = wcwidth(c);
            tail_add(screen, text + i, used, width > 0 ? width : 0, columns);
        }
        i += used;
    }
}
