/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a person may do next. A command that ends without an answer cannot tell where its packets
 * were lost, but `peer trace` can: the command is composed of the same place, peers and target.
 */
#include "cli.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* What the library calls by the names of its fields, in backquotes, has other names here. */
static const struct name {
    const char *theirs, *ours; /* never longer */
} names[] = {
    {"`from`", "--from"},
    {"`local`", "--local"},
    {"`wire`", "--wire"},
    {"`pcap`", "--pcap"},
    {"`pcap_rotate_bytes`", "--pcap-rotate"},
    {"`isolate`", "--isolate"},
    {"`netns`", "--netns"},
    {"`dev`", "--dev"},
    {"`mac`", "--mac"},
    {"`PEER_TAP`", "--tap"},
    {"`allow_forward`", "--allow-forward"},
    {"`body`", "--body"},
    {"`expect`", "--expect"},
    {"`idle`", "--idle"},
    {"`queries`", "--queries"},
    {"`message_bytes`", "--size"},
    {"`text`", "--text"},
    {"`touch`", "--touch"},
    {"`workers`", "--workers"},
    {"`max_flows`", "--max-flows"},
    {"`worker_cpus`", "--cpus"},
    {"`pcap`", "--pcap"},
    {"`peer_manner()`", "\"--manner help\""},
};

char *name_options(char *text)
{
    for (char *at = strchr(text, '`'); at; at = strchr(at + 1, '`')) {
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
            const size_t theirs = strlen(names[i].theirs), ours = strlen(names[i].ours);
            assert(ours <= theirs);
            if (strncmp(at, names[i].theirs, theirs) != 0)
                continue;
            memcpy(at, names[i].ours, ours);
            memmove(at + ours, at + theirs, strlen(at + theirs) + 1);
            break;
        }
    }
    return text;
}

struct line {
    char *buf;
    size_t room, len;
};

static void put(struct line *line, const char *text)
{
    const size_t len = strlen(text);

    if (line->len + len >= line->room)
        return;
    memcpy(line->buf + line->len, text, len + 1);
    line->len += len;
}

/* A word of a shell's, quoted where it needs it. */
static void put_word(struct line *line, const char *word)
{
    const bool plain = *word && word[strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUV"
                                                  "WXYZ0123456789-_=+.,:/@%")] == '\0';
    char one[2] = "";

    put(line, plain ? " " : " '");
    for (; *word; word++) {
        one[0] = *word;
        put(line, *word == '\'' ? "'\\''" : one);
    }
    if (!plain)
        put(line, "'");
}

static void put_option(struct line *line, const char *name, const char *value)
{
    if (!value)
        return;
    put_word(line, name);
    put_word(line, value);
}

const char *trace_command(const struct common_options *common, const struct target *target,
                          char buf[TRACE_COMMAND])
{
    struct line line = {buf, TRACE_COMMAND, 0};
    char addr[PEER_ADDR_TEXT], port[8];

    buf[0] = '\0';
    put(&line, "peer trace");
    if (!target->port)
        put_word(&line, "--icmp");
    else if (common->udp)
        put_word(&line, "-u");
    put_option(&line, "--netns", common->netns);
    put_option(&line, "--wire", common->wire);
    if (common->isolate)
        put_word(&line, "--isolate");
    if (common->kind == PEER_TAP && !common->wire)
        put_word(&line, "--tap");
    if (common->allow_forward)
        put_word(&line, "--allow-forward");
    put_option(&line, "--from", common->from);
    put_option(&line, "--local", common->local);
    put_word(&line, peer_addr_format(&target->addr, addr));
    snprintf(port, sizeof(port), "%u", target->port);
    if (target->port)
        put_word(&line, port);
    if (common->program)
        put_word(&line, "--");
    for (char *const *word = common->program; word && *word; word++)
        put_word(&line, *word);
    return buf;
}
