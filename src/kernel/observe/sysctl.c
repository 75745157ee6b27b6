/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation: files of /proc are read whole, then searched as text by functions that know
 * no files. /proc/sys/net shows the namespace of the reading thread; /proc/net does not (it is that
 * of the process's first thread), so /proc/thread-self is used.
 */
#include "kernel/observe/sysctl.h"
#include "kernel/observe/sysctl_internal.h"

#include "base/macro.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_BYTES = 256 };

int proc_text(int fd, char *buf, size_t room)
{
    size_t len = 0;

    while (len < room - 1) {
        ssize_t n = pread(fd, buf + len, room - 1 - len, (off_t)len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        len += (size_t)n;
    }
    buf[len] = '\0';
    return 0;
}

/** The same by the file's name. */
static int read_text(const char *path, char *buf, size_t room)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    int r = proc_text(fd, buf, room);
    (void)close(fd);
    return r;
}

int sysctl_parse(const char *text, int64_t *ret_value)
{
    char *end;

    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (end == text || (*end != '\0' && !isspace((unsigned char)*end)))
        return -EINVAL;
    if (errno == ERANGE)
        return -ERANGE;
    *ret_value = value;
    return 0;
}

int sysctl_read(const char *path, int64_t *ret_value)
{
    char full[PATH_BYTES], text[128];

    int n = snprintf(full, sizeof(full), "/proc/sys/%s", path);
    if (n < 0 || (size_t)n >= sizeof(full))
        return -ENAMETOOLONG;
    int r = read_text(full, text, sizeof(text));
    return r < 0 ? r : sysctl_parse(text, ret_value);
}

int sysctl_rp_filter(const char *ifname)
{
    char path[PATH_BYTES];
    int64_t all, device;

    int n = snprintf(path, sizeof(path), "net/ipv4/conf/%s/rp_filter", ifname);
    if (n < 0 || (size_t)n >= sizeof(path))
        return -ENAMETOOLONG;
    int r = sysctl_read("net/ipv4/conf/all/rp_filter", &all);
    if (r == 0)
        r = sysctl_read(path, &device);
    return r < 0 ? r : (int)MAX(all, device);
}

/** A word of a line, and what follows. `len` 0 at the end of the line. */
struct word {
    const char *text;
    size_t len;
};

/* A table has a thousand words. For each call of strcspn() sanitizers, which tests run with, look at all that
 * follows. */
static struct word next_word(const char **at)
{
    const char *text = *at;

    while (*text == ' ' || *text == '\t')
        text++;
    const char *end = text;
    while (*end && *end != ' ' && *end != '\t' && *end != '\n')
        end++;
    *at = end;
    return (struct word){.text = text, .len = (size_t)(end - text)};
}

static const char *next_line(const char *at)
{
    while (*at && *at != '\n')
        at++;
    return *at ? at + 1 : at;
}

static bool word_is(struct word word, const char *a, const char *b)
{
    size_t len = strlen(a);
    return word.len == len + strlen(b) && !memcmp(word.text, a, len) &&
           !memcmp(word.text + len, b, word.len - len);
}

/** Some counters of a table are signed (Tcp MaxConn is -1); they come as two's complement. */
static int word_number(struct word word, uint64_t *ret_value)
{
    char *end;

    if (word.len == 0)
        return -ENOENT;
    errno = 0;
    unsigned long long value = strtoull(word.text, &end, 10);
    if (end != word.text + word.len || errno == ERANGE)
        return -EINVAL;
    *ret_value = value;
    return 0;
}

int snmp_parse_table(const char *text, const char *group, const char *name, uint64_t *ret_value)
{
    for (const char *names = text; *names;) {
        const char *numbers = next_line(names), *after = next_line(numbers);
        if (word_is(next_word(&names), group, ":") && word_is(next_word(&numbers), group, ":")) {
            struct word key, value;
            do {
                key = next_word(&names);
                value = next_word(&numbers);
                if (word_is(key, name, ""))
                    return word_number(value, ret_value);
            } while (key.len > 0 && value.len > 0);
        }
        names = after;
    }
    return -ENOENT;
}

int snmp_parse_list(const char *text, const char *group, const char *name, uint64_t *ret_value)
{
    for (const char *line = text; *line; line = next_line(line)) {
        const char *at = line;
        if (word_is(next_word(&at), group, name))
            return word_number(next_word(&at), ret_value);
    }
    return -ENOENT;
}

int snmp_read(int pid, const char *group, const char *name, uint64_t *ret_value)
{
    char path[64], process[16] = "thread-self", *text;
    size_t len = strlen(group);
    const bool list = len > 0 && group[len - 1] == '6';
    const char *file = list ? "snmp6" : strstr(group, "Ext") ? "netstat" : "snmp";

    if (pid > 0)
        (void)snprintf(process, sizeof(process), "%d", pid);
    (void)snprintf(path, sizeof(path), "/proc/%s/net/%s", process, file);
    text = malloc(SNMP_BYTES);
    if (!text)
        return -ENOMEM;
    int r = read_text(path, text, SNMP_BYTES);
    if (r == 0)
        r = (list ? snmp_parse_list : snmp_parse_table)(text, group, name, ret_value);
    free(text);
    return r;
}
