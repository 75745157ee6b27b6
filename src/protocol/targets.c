/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lists of requests. The text is read line by line: a line is blank, a comment, the first of a
 * request, a header or the name of a body's file, and can be told from the others by itself.
 */
#include "protocol/targets.h"

#include "base/error.h"
#include "base/macro.h"
#include "http/head.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int out_of_memory(struct peer_error *error)
{
    return error_set(error, PEER_ERROR_MACHINE, ENOMEM, "out of memory");
}

static char *copy_text(const char *text, size_t len)
{
    char *copy = malloc(len + 1);

    if (!copy)
        return NULL;
    memcpy(copy, text, len);
    copy[len] = 0;
    return copy;
}

/* ---- the list ---- */

struct peer_targets *targets_new(void)
{
    struct peer_targets *targets = calloc(1, sizeof(*targets));

    if (targets)
        targets->holds = 1;
    return targets;
}

struct peer_targets *targets_hold(struct peer_targets *targets)
{
    targets->holds++;
    return targets;
}

static void target_done(struct target *target)
{
    for (size_t i = 0; i < target->header_count; i++)
        free(target->headers[i]);
    free(target->headers);
    free(target->method);
    free(target->url);
    free(target->body);
}

struct peer_targets *targets_free(struct peer_targets *targets)
{
    if (!targets || --targets->holds)
        return NULL;
    for (size_t i = 0; i < targets->count; i++)
        target_done(&targets->at[i]);
    free(targets->at);
    free(targets);
    return NULL;
}

/* Zeroed, at the end; it counts at once, so that what is half made is freed with the rest. */
static struct target *new_target(struct peer_targets *targets)
{
    if (targets->count == targets->room) {
        size_t room = targets->room ? 2 * targets->room : 4;
        struct target *larger = realloc(targets->at, room * sizeof(*larger));
        if (!larger)
            return NULL;
        targets->at = larger;
        targets->room = room;
    }
    struct target *target = &targets->at[targets->count++];
    *target = (struct target){0};
    return target;
}

/* Headers always have a NULL behind them, once there is one. */
static int add_header(struct target *target, const char *text, size_t len)
{
    size_t count = target->header_count;
    char **larger = realloc(target->headers, (count + 2) * sizeof(*larger));

    if (!larger)
        return -ENOMEM;
    target->headers = larger;
    larger[count] = copy_text(text, len);
    larger[count + 1] = NULL;
    if (!larger[count])
        return -ENOMEM;
    target->header_count++;
    return 0;
}

static int copy_body(struct target *target, const void *body, size_t len)
{
    target->body = malloc(MAX(len, (size_t)1));
    if (!target->body)
        return -ENOMEM;
    memcpy(target->body, body, len);
    target->body_len = len;
    target->has_body = true;
    return 0;
}

int targets_add(struct peer_targets *targets, const struct peer_target *like,
                struct peer_error *error)
{
    struct target *target = targets->count < TARGETS_MOST ? new_target(targets) : NULL;
    if (!target)
        return out_of_memory(error);
    int status = 0;
    if (like->method && !(target->method = strdup(like->method)))
        status = -ENOMEM;
    if (like->url && !(target->url = strdup(like->url)))
        status = -ENOMEM;
    for (const char *const *header = like->headers; header && *header && status == 0; header++)
        status = add_header(target, *header, strlen(*header));
    if (like->body && status == 0)
        status = copy_body(target, like->body, like->body_len);
    if (status == 0)
        return 0;
    target_done(target);
    targets->count--;
    return out_of_memory(error);
}

/* ---- the text ---- */

struct reader {
    struct peer_targets *targets;
    struct target *target; /* that the lines are about; NULL: none has begun */
    unsigned line;
    targets_read_body read_body;
    void *user;
    struct peer_error *error;
};

#define SHOWN(text) (int)MIN((text).len, (size_t)60), (text).at
#define REFUSE(reader, format, ...)                                                                \
    error_set((reader)->error, PEER_ERROR_USAGE, EINVAL, "line %u: " format, (reader)->line,       \
              __VA_ARGS__)

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static struct http_text trim(struct http_text text)
{
    while (text.len && is_blank(*text.at))
        text.at++, text.len--;
    while (text.len && (is_blank(text.at[text.len - 1]) || text.at[text.len - 1] == '\r'))
        text.len--;
    return text;
}

static struct http_text take_word(struct http_text *text)
{
    struct http_text word = {text->at, 0};

    while (word.len < text->len && !is_blank(text->at[word.len]))
        word.len++;
    *text = trim((struct http_text){text->at + word.len, text->len - word.len});
    return word;
}

/* A name and its colon, as a header begins. */
static bool is_header(struct http_text line)
{
    size_t len = 0;

    while (len < line.len && line.at[len] != ':' && !is_blank(line.at[len]))
        len++;
    return len && len < line.len && line.at[len] == ':' &&
           (len + 1 == line.len || line.at[len + 1] != '/');
}

static int read_first(struct reader *reader, struct http_text line)
{
    struct http_text rest = line, method = take_word(&rest), url = take_word(&rest);

    if (!url.len || rest.len)
        return REFUSE(reader, "\"%.*s\" is no \"METHOD URL\", header or \"@FILE\"", SHOWN(line));
    if (reader->targets->count == TARGETS_MOST)
        return REFUSE(reader, "more than %d targets", TARGETS_MOST);
    struct target *target = new_target(reader->targets);
    if (!target)
        return out_of_memory(reader->error);
    reader->target = target;
    target->line = reader->line;
    target->method = copy_text(method.at, method.len);
    target->url = copy_text(url.at, url.len);
    return target->method && target->url ? 0 : out_of_memory(reader->error);
}

static int read_body_line(struct reader *reader, struct http_text line)
{
    struct target *target = reader->target;
    struct peer_error why = {0};

    char *path = copy_text(line.at + 1, line.len - 1);
    if (!path)
        return out_of_memory(reader->error);
    size_t most = TARGETS_BODIES_MOST - reader->targets->bodies_len;
    int status =
        reader->read_body(reader->user, path, most, &target->body, &target->body_len, &why);
    free(path);
    if (status < 0)
        return REFUSE(reader, "%s", why.text);
    target->has_body = true;
    reader->targets->bodies_len += target->body_len;
    reader->target = NULL; /* it is complete */
    return 0;
}

static int read_line(struct reader *reader, struct http_text line)
{
    if (memchr(line.at, 0, line.len))
        return REFUSE(reader, "%s", "it has a byte of value 0");
    if (line.len && *line.at == '#')
        return 0;
    if (!line.len) {
        reader->target = NULL;
        return 0;
    }
    if (*line.at != '@' && !is_header(line))
        return read_first(reader, line);
    if (!reader->target)
        return REFUSE(reader, "\"%.*s\" belongs to no \"METHOD URL\" before it", SHOWN(line));
    if (*line.at == '@')
        return read_body_line(reader, line);
    return add_header(reader->target, line.at, line.len) < 0 ? out_of_memory(reader->error) : 0;
}

int targets_parse(struct peer_targets *targets, const char *text, size_t len,
                  targets_read_body read_body, void *user, struct peer_error *error)
{
    struct reader reader = {
        .targets = targets, .read_body = read_body, .user = user, .error = error};
    size_t before = targets->count;

    for (size_t at = 0; at < len;) {
        const char *end = memchr(text + at, '\n', len - at);
        size_t line_len = end ? (size_t)(end - (text + at)) : len - at;
        reader.line++;
        int status = read_line(&reader, trim((struct http_text){text + at, line_len}));
        if (status < 0)
            return status;
        at += line_len + 1;
    }
    if (targets->count == before)
        return error_set(error, PEER_ERROR_USAGE, EINVAL, "there is no \"METHOD URL\" in it");
    return 0;
}
