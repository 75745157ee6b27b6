/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A directory of /proc that is open stays that of its process: what is opened in it fails once the
 * process has ended, though its id may be another's by then.
 *
 * Linux tells since 6.2 how many descriptors there are as the size of their directory; before, they are
 * counted.
 */
#include "kernel/observe/process.h"

#include "kernel/observe/sysctl.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TEXT_BYTES = 1024 };

int process_open(pid_t pid)
{
    char path[32];

    (void)snprintf(path, sizeof(path), "/proc/%d", (int)pid);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? -ESRCH : -errno;
    return fd;
}

/* The name is in parentheses and may have some of its own. */
int process_parse_stat(const char *text, long ticks_per_s, struct process_use *use)
{
    const char *begin = strchr(text, '('), *end = strrchr(text, ')');
    unsigned long long user, system, threads, started;

    if (!begin || !end || end < begin || ticks_per_s <= 0)
        return -EINVAL;
    /* state ppid pgrp session tty tpgid flags minflt cminflt majflt cmajflt utime stime cutime cstime
       priority nice threads itrealvalue starttime */
    if (sscanf(end + 1,
               " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %*d %llu %*d %llu",
               &user, &system, &threads, &started) != 4)
        return -EINVAL;
    (void)snprintf(use->name, sizeof(use->name), "%.*s", (int)(end - begin - 1), begin + 1);
    use->threads = threads;
    use->started = started;
    use->cpu_ns = (user + system) * (1000000000ULL / (unsigned long)ticks_per_s);
    return 0;
}

/* A file of the process. */
static int read_file(int process, const char *name, char text[TEXT_BYTES])
{
    int fd = openat(process, name, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return errno == ENOENT ? -ESRCH : -errno;
    int status = proc_text(fd, text, TEXT_BYTES);
    (void)close(fd);
    return status;
}

static uint64_t count_entries(int folder)
{
    uint64_t count = 0;
    const struct dirent *entry;
    DIR *entries = fdopendir(folder);

    if (!entries) {
        (void)close(folder);
        return 0;
    }
    while ((entry = readdir(entries)))
        count += isdigit((unsigned char)entry->d_name[0]) != 0;
    (void)closedir(entries);
    return count;
}

static void count_fds(int process, struct process_use *use)
{
    struct stat status;
    int folder = openat(process, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    use->fds_known = folder >= 0;
    if (folder < 0)
        return;
    if (fstat(folder, &status) == 0 && status.st_size > 0) {
        use->fds = (uint64_t)status.st_size;
        (void)close(folder);
    } else {
        use->fds = count_entries(folder);
    }
}

/* One that was started by /proc/self/exe has that name; its file has a better one. */
static void find_name(int process, struct process_use *use)
{
    char path[TEXT_BYTES];

    if (strcmp(use->name, "exe") != 0)
        return;
    const ssize_t len = readlinkat(process, "exe", path, sizeof(path) - 1);
    if (len <= 0)
        return;
    path[len] = '\0';
    const char *slash = strrchr(path, '/');
    if (slash && slash[1])
        (void)snprintf(use->name, sizeof(use->name), "%.31s", slash + 1);
}

int process_read(int process, struct process_use *ret_use)
{
    struct process_use use = {.name = ""};
    unsigned long long pages;
    char text[TEXT_BYTES];

    int status = read_file(process, "stat", text);
    if (status == 0)
        status = process_parse_stat(text, sysconf(_SC_CLK_TCK), &use);
    if (status == 0)
        status = read_file(process, "statm", text);
    if (status < 0)
        return status;
    if (sscanf(text, "%*u %llu", &pages) != 1)
        return -EINVAL;
    use.rss_bytes = pages * (uint64_t)sysconf(_SC_PAGESIZE);
    if (!use.rss_bytes) /* nobody has waited for it yet */
        return -ESRCH;
    count_fds(process, &use);
    find_name(process, &use);
    *ret_use = use;
    return 0;
}

int process_check(int process)
{
    int folder = openat(process, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (folder < 0)
        return -errno;
    (void)close(folder);
    return 0;
}

/* ---- who has a socket ---- */

static bool is_one_of(const char *target, const uint32_t *inodes, size_t count)
{
    unsigned inode;

    if (sscanf(target, "socket:[%u]", &inode) != 1)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (inodes[i] == inode)
            return true;
    }
    return false;
}

static bool holds(const char *pid, const uint32_t *inodes, size_t count)
{
    char path[64], target[64];
    const struct dirent *entry;
    bool found = false;

    (void)snprintf(path, sizeof(path), "/proc/%.16s/fd", pid);
    DIR *fds = opendir(path);
    if (!fds)
        return false;
    while (!found && (entry = readdir(fds))) {
        ssize_t len = readlinkat(dirfd(fds), entry->d_name, target, sizeof(target) - 1);
        if (len <= 0)
            continue;
        target[len] = '\0';
        found = is_one_of(target, inodes, count);
    }
    (void)closedir(fds);
    return found;
}

void process_each_holder(const uint32_t *inodes, size_t count,
                         int (*each)(void *user, pid_t pid), void *user)
{
    const struct dirent *entry;
    DIR *processes = count ? opendir("/proc") : NULL;
    int status = 0;

    if (!processes)
        return;
    while (status == 0 && (entry = readdir(processes))) {
        const char *name = entry->d_name;
        if (name[strspn(name, "0123456789")] == '\0' && holds(name, inodes, count))
            status = each(user, (pid_t)atoi(name));
    }
    (void)closedir(processes);
}
