/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The block is written from its first line on: up by as many rows as it has on the screen, each line
 * with what was behind it erased, and what was below. The cursor rests on the line below. A screen
 * that has become narrower since has folded the lines that are too long for it: they have more rows
 * then.
 *
 * Everything goes out by one write, so that nobody sees half of it.
 */
#include "live.h"

#include "soak.h"

#include <langinfo.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { LINE_BYTES = 1024, COLUMNS_MOST = 200 };
#define AGAIN_NS (250 * CLI_NS_PER_MS)
#define RED    "\033[31m"
#define YELLOW "\033[33m"
#define DIM    "\033[2m"

struct line {
    char text[LINE_BYTES];
    size_t len, columns, room; /* in columns */
    bool colours;
};

/* ---- the screen ---- */

static void size_of(size_t *ret_rows, size_t *ret_columns)
{
    struct winsize size;
    bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1;

    *ret_columns = known ? size.ws_col : 80;
    *ret_rows = known && size.ws_row > 1 ? size.ws_row : 24;
}

static bool is_dumb(void)
{
    const char *term = getenv("TERM");

    return !term || !*term || strcmp(term, "dumb") == 0;
}

void live_init(struct live *live, bool wanted)
{
    const char *no_color = getenv("NO_COLOR");

    *live = (struct live){.form = LIVE_NONE};
    if (!wanted || !isatty(STDERR_FILENO))
        return;
    live->form = is_dumb() ? LIVE_LINE : LIVE_BLOCK;
    live->colours = live->form == LIVE_BLOCK && !(no_color && *no_color);
    live->unicode = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

static bool takes(void)
{
    struct pollfd err = {.fd = STDERR_FILENO, .events = POLLOUT};

    return poll(&err, 1, 0) == 1;
}

/* A part of it may be missing then: the next one is whole. */
static void write_out(const char *text, size_t len)
{
    ssize_t done = write(STDERR_FILENO, text, len);

    (void)done;
}

/* ---- seconds ---- */

static void add_second(struct live *live, const struct live_second *second)
{
    if (live->second_count == LIVE_SECONDS)
        memmove(live->seconds, live->seconds + 1,
                --live->second_count * sizeof(*live->seconds));
    live->seconds[live->second_count++] = *second;
}

void live_add(struct live *live, const struct peer_soak_interval *interval)
{
    struct live_second *part = &live->part;

    part->length_s += (double)interval->length_ns / 1e9;
    part->completed += interval->counts.completed;
    part->established += interval->counts.established;
    part->bytes += interval->counts.bytes_sent + interval->counts.bytes_received;
    if (part->length_s < 0.999 || interval->after_end)
        return;
    add_second(live, part);
    *part = (struct live_second){.length_s = 0};
}

/* What the rate is of: requests, or bytes where there are none, or connections. */
struct measured {
    uint64_t (*count)(const struct live_second *second);
    const char *unit;
    double scale;
};

static uint64_t completed(const struct live_second *second)
{
    return second->completed;
}

static uint64_t established(const struct live_second *second)
{
    return second->established;
}

static uint64_t bytes(const struct live_second *second)
{
    return second->bytes;
}

static struct measured measured_of(const struct peer_soak_counts *counts)
{
    if (!counts->completed && counts->bytes_sent + counts->bytes_received)
        return (struct measured){bytes, "Mbit/s", 8e-6};
    if (!counts->completed && counts->established)
        return (struct measured){established, "connections/s", 1};
    return (struct measured){completed, "requests/s", 1};
}

static double rate_of(const struct measured *measured, const struct live_second *second)
{
    return second->length_s > 0
               ? (double)measured->count(second) * measured->scale / second->length_s
               : 0;
}

/* ---- lines ---- */

static void put(struct line *line, const char *colour, const char *text)
{
    bool colours = line->colours && *colour;

    if (line->columns >= line->room || line->len + strlen(text) + 16 > LINE_BYTES)
        return;
    if (colours)
        line->len += (size_t)snprintf(line->text + line->len, 16, "%s", colour);
    for (; *text && line->columns < line->room; text++, line->columns++)
        line->text[line->len++] = (char)(*text >= 0x20 && *text < 0x7f ? *text : '?');
    if (colours)
        line->len += (size_t)snprintf(line->text + line->len, 16, "\033[0m");
    line->text[line->len] = 0;
}

static void put_figure(struct line *line, const char *colour, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void put_figure(struct line *line, const char *colour, const char *format, ...)
{
    char text[256];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    put(line, "", line->columns ? "   " : "  ");
    put(line, colour, text);
}

static void put_head(struct line *line, const struct soak_run *run,
                     const struct peer_soak_state *state)
{
    const struct measured measured = measured_of(&state->counts);
    const struct peer_soak_interval *last = &run->last;
    const struct live_second now = {
        .length_s = (double)last->length_ns / 1e9,
        .completed = last->counts.completed,
        .established = last->counts.established,
        .bytes = last->counts.bytes_sent + last->counts.bytes_received,
    };
    char p50[32], p99[32];

    put_figure(line, "", "%.1f s", (double)state->elapsed_ns / 1e9);
    if (state->ending || state->paused || state->warming)
        put_figure(line, YELLOW, "%s",
                   state->ending ? "ending" : state->paused ? "paused" : "warm-up");
    if (last->length_ns)
        put_figure(line, "", "%.*f %s", measured.scale < 1 ? 1 : 0, rate_of(&measured, &now),
                   measured.unit);
    if (state->rate > 0)
        put_figure(line, "", "(wanted %.10g/s)", state->rate);
    if (last->p50_us > 0)
        put_figure(line, "", "p50 %s   p99 %s", format_time((uint64_t)(last->p50_us * 1e3), p50),
                   format_time((uint64_t)(last->p99_us * 1e3), p99));
}

static void put_counts(struct line *line, const struct peer_soak_state *state)
{
    uint64_t errors = peer_soak_errors(&state->counts);

    put_figure(line, "", "%llu open", (unsigned long long)state->open);
    put_figure(line, "", "%llu completed", (unsigned long long)state->counts.completed);
    put_figure(line, errors ? RED : "", "%llu errors", (unsigned long long)errors);
    if (state->behind)
        put_figure(line, YELLOW, "%llu behind", (unsigned long long)state->behind);
}

static void put_bar(struct line *line, const struct live *live, double part)
{
    static const char *const eighths[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    static const char ascii[] = " .:-=+*#@";
    size_t step = part > 0 ? 1 + (size_t)(part * 7 + 0.5) : 0;

    if (live->unicode)
        line->len += (size_t)snprintf(line->text + line->len, LINE_BYTES - line->len, "%s",
                                      eighths[step]);
    else
        line->text[line->len++] = ascii[step];
    line->columns++;
}

/* A column a second, the highest of them full. */
static void put_minute(struct line *line, const struct live *live,
                       const struct peer_soak_state *state)
{
    const struct measured measured = measured_of(&state->counts);
    double most = 0;
    size_t first = 0;

    for (size_t i = 0; i < live->second_count; i++) {
        double rate = rate_of(&measured, &live->seconds[i]);
        most = rate > most ? rate : most;
    }
    put(line, "", "  ");
    if (live->second_count + 24 > line->room)
        first = line->room > 24 ? live->second_count - (line->room - 24) : live->second_count;
    for (size_t i = first; i < live->second_count; i++)
        put_bar(line, live, most > 0 ? rate_of(&measured, &live->seconds[i]) / most : 0);
    line->text[line->len] = 0;
    put_figure(line, DIM, "at most %.*f %s", measured.scale < 1 ? 1 : 0, most, measured.unit);
}

static void put_change(struct line *line, const struct soak_run *run,
                       const struct peer_soak_state *state)
{
    struct peer_soak_change change = {.words = ""};
    char since[32];

    if (peer_soak_get_change(run->soak, (size_t)state->changes - 1, &change) > 0)
        put_figure(line, DIM, "changed %s: %.100s", format_since(change.at_ns, since),
                   change.words);
}

/* ---- drawing ---- */

static size_t rows_above(const struct live *live, size_t columns)
{
    size_t rows = 0;

    for (size_t i = 0; i < live->line_count; i++)
        rows += live->columns[i] ? (live->columns[i] + columns - 1) / columns : 1;
    return rows;
}

static size_t go_up(const struct live *live, size_t columns, char *out, size_t room)
{
    size_t rows = rows_above(live, columns);

    return rows ? (size_t)snprintf(out, room, "\r\033[%zuA", rows) : 0;
}

static size_t make_lines(const struct live *live, const struct soak_run *run,
                         struct line lines[LIVE_LINES], size_t columns)
{
    struct peer_soak_state state = {.rate = 0};
    size_t count = 2, room = columns - 1 < COLUMNS_MOST ? columns - 1 : COLUMNS_MOST;

    for (size_t i = 0; i < LIVE_LINES; i++)
        lines[i] = (struct line){.room = room, .colours = live->colours};
    peer_soak_get_state(run->soak, &state);
    put_head(&lines[0], run, &state);
    put_counts(&lines[1], &state);
    if (live->second_count)
        put_minute(&lines[count++], live, &state);
    if (state.changes)
        put_change(&lines[count++], run, &state);
    return count;
}

static void draw_block(struct live *live, const struct soak_run *run, size_t rows, size_t columns)
{
    struct line lines[LIVE_LINES];
    const size_t most = rows - 1; /* the cursor is on one */
    char out[LIVE_LINES * (LINE_BYTES + 16) + 64];
    size_t count = make_lines(live, run, lines, columns);
    size_t len = go_up(live, columns, out, sizeof(out));

    count = count < most ? count : most;
    for (size_t i = 0; i < count; i++) {
        len += (size_t)snprintf(out + len, sizeof(out) - len, "%s\033[K\n", lines[i].text);
        live->columns[i] = lines[i].columns;
    }
    live->line_count = count;
    len += (size_t)snprintf(out + len, sizeof(out) - len, "\033[J");
    write_out(out, len);
}

/* As long as the one before, or blanks behind it. */
static void draw_line(struct live *live, const struct soak_run *run, size_t columns)
{
    struct peer_soak_state state = {.rate = 0};
    struct line line = {.room = columns - 1 < 160 ? columns - 1 : 160};
    char out[LINE_BYTES + 256];

    peer_soak_get_state(run->soak, &state);
    put_figure(&line, "", "%.1f s", (double)state.elapsed_ns / 1e9);
    put_counts(&line, &state);
    size_t before = live->line_count ? live->columns[0] : 0;
    int blanks = before > line.columns && before < 160 ? (int)(before - line.columns) : 0;
    int len = snprintf(out, sizeof(out), "\r%s%*s", line.text, blanks, "");
    live->line_count = 1;
    live->columns[0] = line.columns;
    write_out(out, (size_t)len);
}

static void draw(struct live *live, const struct soak_run *run)
{
    size_t rows, columns;

    size_of(&rows, &columns);
    if (live->form == LIVE_LINE)
        draw_line(live, run, columns);
    else
        draw_block(live, run, rows, columns);
}

void live_show(struct live *live, const struct soak_run *run)
{
    uint64_t now_ns = peer_net_now_ns(run->net);

    if (live->form == LIVE_NONE || !run->soak || now_ns < live->drawn_ns + AGAIN_NS || !takes())
        return;
    live->drawn_ns = now_ns;
    draw(live, run);
}

void live_leave(struct live *live, const struct soak_run *run)
{
    if (live->form == LIVE_NONE || !takes())
        return;
    draw(live, run);
    if (live->form == LIVE_LINE)
        write_out("\n", 1);
    live->line_count = 0;
    live->second_count = 0;
    live->part = (struct live_second){.length_s = 0};
}

void live_hide(void *user)
{
    struct live *live = user;
    size_t rows, columns;
    char out[64];

    if (!live->line_count || !takes())
        return;
    size_of(&rows, &columns);
    if (live->form == LIVE_LINE) {
        write_out("\n", 1);
    } else {
        size_t len = go_up(live, columns, out, sizeof(out));
        len += (size_t)snprintf(out + len, sizeof(out) - len, "\033[J");
        write_out(out, len);
    }
    live->line_count = 0;
    live->drawn_ns = 0;
}
