/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Standard output, as relays write to it. Into a file or a pipe the bytes go as they are (a sink of
 * src/relay). To a terminal they go by way of `text`, where they become visible (visible.h); no more
 * is taken from any flow until that is written.
 */
#include "session.h"
#include "cli/visible.h"

#include <stdlib.h>
#include <unistd.h>

/* A datagram has to go at once, so there is room for the longest. */
enum { OUT_VECTORS = 16, TEXT_TAKE = 65536 };

struct output {
    struct sink sink;              /* first */
    struct terminal *terminal;     /* where lines are edited too, or NULL */
    const struct peer_flow *shown; /* whose bytes came last: characters end with them */
    struct visible visible;
    char *text; /* for a terminal, else NULL */
    size_t text_at, text_len;
};

static struct output *output_of(struct sink *sink)
{
    return (struct output *)(void *)sink;
}

struct sink *output_sink(struct output *output)
{
    return &output->sink;
}

struct output *output_free(struct output *output)
{
    if (!output)
        return NULL;
    free(output->text);
    free(output);
    return NULL;
}

/* The terminal is to know where its cursor stands. */
static void tell_terminal(struct output *output, const struct iovec *iov, size_t len)
{
    for (; len > 0; iov++) {
        size_t part = len < iov->iov_len ? len : iov->iov_len;
        terminal_wrote(output->terminal, iov->iov_base, part);
        len -= part;
    }
}

/* With --raw. */
static int pass(struct output *output, struct peer_flow *flow, uint64_t *moved)
{
    struct iovec iov[OUT_VECTORS];
    int count, status = 0;

    while ((count = peer_flow_peek(flow, iov, OUT_VECTORS)) > 0) {
        ssize_t done = sink_write(&output->sink, iov, count);
        if (done < 0)
            return (int)done;
        tell_terminal(output, iov, (size_t)done);
        peer_flow_consume(flow, (size_t)done);
        *moved += (uint64_t)done;
        status = 1;
    }
    return status;
}

/* Takes what was received, as it is to be seen: the count. */
static size_t take_text(struct output *output, struct peer_flow *flow)
{
    struct iovec iov[OUT_VECTORS];
    size_t taken = 0;
    int count = peer_flow_peek(flow, iov, OUT_VECTORS);

    output->text_at = output->text_len = 0;
    if (output->shown != flow)
        output->text_len = visible_end(&output->visible, output->text);
    output->shown = flow;
    for (int i = 0; i < count && taken < TEXT_TAKE; i++) {
        size_t len = TEXT_TAKE - taken < iov[i].iov_len ? TEXT_TAKE - taken : iov[i].iov_len;
        output->text_len +=
            visible_encode(&output->visible, iov[i].iov_base, len, output->text + output->text_len);
        taken += len;
    }
    if (count > 0)
        peer_flow_consume(flow, taken);
    if (output->terminal)
        terminal_wrote(output->terminal, output->text, output->text_len);
    return taken;
}

static int write_text(struct output *output)
{
    while (output->text_at < output->text_len) {
        struct iovec iov = {output->text + output->text_at, output->text_len - output->text_at};
        ssize_t done = sink_write(&output->sink, &iov, 1);
        if (done < 0)
            return (int)done;
        output->text_at += (size_t)done;
    }
    return 0;
}

static int show(struct output *output, struct peer_flow *flow, uint64_t *moved)
{
    struct iovec iov;
    int status = write_text(output), some = 0;

    while (status == 0 && peer_flow_peek(flow, &iov, 1) > 0) {
        *moved += take_text(output, flow);
        status = write_text(output);
        some = 1;
    }
    return status < 0 ? status : some;
}

static bool is_empty(const struct output *output)
{
    return output->text_at == output->text_len;
}

static int move(struct sink *sink, struct peer_flow *flow, uint64_t *moved)
{
    struct output *output = output_of(sink);
    struct iovec iov;

    if (is_empty(output) && peer_flow_peek(flow, &iov, 1) <= 0)
        return 0;
    if (output->terminal)
        terminal_hide(output->terminal);
    int status = output->text ? show(output, flow, moved) : pass(output, flow, moved);
    if (output->terminal)
        terminal_show(output->terminal);
    return status;
}

struct output *output_new(const struct sink *place, bool raw)
{
    struct output *output = calloc(1, sizeof(*output));
    if (!output)
        return NULL;
    output->sink = *place;
    if (!raw && isatty(STDOUT_FILENO)) {
        output->sink.move = move;
        output->text = malloc(VISIBLE_MOST * (TEXT_TAKE + 4));
        if (!output->text)
            return output_free(output);
    }
    return output;
}

void output_set_terminal(struct output *output, struct terminal *terminal)
{
    output->terminal = terminal;
    if (terminal)
        output->sink.move = move;
}

void output_end(struct output *output)
{
    if (!output->text)
        return;
    if (is_empty(output))
        output->text_at = output->text_len = 0;
    output->text_len += visible_end(&output->visible, output->text + output->text_len);
    (void)write_text(output); /* the last of it, if it can be written */
}
