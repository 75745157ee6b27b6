/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Records go to a scribe by a pipe, without their sums: that process makes these, writes, brings to the
 * disk, and makes the file anew when a record comes that replaces all. What the pipe does not take waits
 * here; when that is too much, or something was not written, all is written anew as soon as there is room.
 *
 * What both have to know of each other is in a page of memory that both see.
 *
 * What an earlier run left in the file stays until the first record of this one is whole beside it: a run
 * that never begins takes nothing away.
 */
#include "lib/journal.h"

#include "lib/scribe.h"
#include "soak/bytes.h"
#include "base/fd.h"
#include "soak/journal.h"

#include <fcntl.h>
#include <peer/journal.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { WAITING_MOST = 16 << 20, END_MS = 5000 };
#define FILE_MOST   (UINT64_C(16) << 20)
#define STATE_MOST  (60 * NS_PER_S)
#define STATE_TENTH 10

/* What the process that writes has to say. */
struct told {
    int error;       /* -errno of the first that failed */
    uint64_t failed; /* records that were not written */
};

struct peer_journal {
    struct scribe scribe;
    int fd;              /* to write to; -1: it has ended */
    struct told *told;   /* shared */
    struct out waiting;
    size_t at;           /* of `waiting`: taken by the pipe */
    uint64_t failed;     /* of told->failed: known */
    bool whole;          /* all has been written so far */
    uint64_t written;    /* bytes in the file, about */
    uint64_t state_ns;   /* when the figures are due, in measured time */
};

/* ---- the process that writes ---- */

struct writer {
    struct scribe_file file;
    struct told *told;
    uint64_t written; /* whole records */
    bool gap;         /* one that was not written is missing, since all was written last */
    struct out record; /* gathered so far */
};

static void fail(struct writer *writer, int status)
{
    if (!writer->told->error)
        writer->told->error = status;
    writer->told->failed++;
}

static int write_record(int fd, const uint8_t *record, size_t len)
{
    uint8_t sum[JOURNAL_SUM];

    journal_sum(record, len, sum);
    int status = fd_write(fd, record, len);
    return status < 0 ? status : fd_write(fd, sum, sizeof(sum));
}

/* At the end of the file, or not at all. */
static int append(struct writer *writer, size_t len)
{
    const int fd = writer->file.fd;
    int status = 0;

    if (!writer->written && (ftruncate(fd, 0) < 0 || lseek(fd, 0, SEEK_SET) < 0))
        return -errno;
    if (!writer->written)
        status = fd_write(fd, JOURNAL_LINE, strlen(JOURNAL_LINE));
    if (status == 0)
        status = write_record(fd, writer->record.bytes, len);
    if (status == 0) {
        writer->written += len + JOURNAL_SUM + (writer->written ? 0 : strlen(JOURNAL_LINE));
        return 0;
    }
    (void)ftruncate(fd, (off_t)writer->written);
    (void)lseek(fd, (off_t)writer->written, SEEK_SET);
    return status;
}

/* A file of this record alone takes the place of the other, which is whole until then. */
static int write_anew(struct writer *writer, size_t len)
{
    const int folder = writer->file.folder;
    char name[NAME_MAX + 16];

    (void)snprintf(name, sizeof(name), "%s.new", writer->file.name);
    (void)unlinkat(folder, name, 0);
    int fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    (void)scribe_lock(fd);
    struct writer anew = {.file.fd = fd, .record = writer->record};
    int status = append(&anew, len);
    if (status == 0 && (fdatasync(fd) < 0 || renameat(folder, name, folder, writer->file.name) < 0))
        status = -errno;
    if (status < 0) {
        (void)unlinkat(folder, name, 0);
        (void)close(fd);
        return status;
    }
    (void)fsync(folder); /* or it cannot be */
    (void)close(writer->file.fd);
    writer->file.fd = fd;
    writer->written = anew.written;
    return 0;
}

/* Of this run or of an earlier one. */
static bool has_content(const struct writer *writer)
{
    return writer->written || lseek(writer->file.fd, 0, SEEK_END) > 0;
}

/* Where something is missing it is not said that it came to its end. */
static void act(struct writer *writer, uint32_t kind, size_t len)
{
    int status = kind == JOURNAL_ALL && has_content(writer) ? write_anew(writer, len) : -ENOENT;

    if (status < 0 && kind == JOURNAL_END && writer->gap)
        return;
    if (status < 0)
        status = append(writer, len);
    if (status == 0 && kind != JOURNAL_INTERVAL && fdatasync(writer->file.fd) < 0)
        status = -errno;
    if (status < 0)
        fail(writer, status);
    writer->gap = status < 0 || (writer->gap && kind != JOURNAL_ALL);
}

static int begin(void *user)
{
    (void)user;
    return 0;
}

static int take(void *user, const void *data, size_t len)
{
    struct writer *writer = user;
    struct out *record = &writer->record;
    uint64_t size;

    bytes_put(record, data, len);
    while (!record->failed && record->len >= JOURNAL_HEAD) {
        const uint32_t kind = journal_head(record->bytes, &size);
        if (size > JOURNAL_RECORD_MOST)
            return -EBADMSG;
        if (record->len < size)
            return 0;
        act(writer, kind, (size_t)size);
        record->len -= (size_t)size;
        memmove(record->bytes, record->bytes + size, record->len);
    }
    return record->failed ? -ENOMEM : 0;
}

static void end(void *user)
{
    struct writer *writer = user;

    (void)fdatasync(writer->file.fd);
    free(writer->record.bytes);
}

/* ---- its start and its end ---- */

static int start(struct peer_journal *journal, const char *path, struct peer_error *error)
{
    struct writer writer = {.told = journal->told};
    const struct scribe_work work = {.process = "peer-journal",
                                     .file = &writer.file,
                                     .begin = begin,
                                     .take = take,
                                     .end = end,
                                     .user = &writer};

    int status = scribe_open(path, "journal", &writer.file, error);
    if (status == 0)
        status = scribe_start(&journal->scribe, &work, &journal->fd, error);
    scribe_close(&writer.file);
    return status;
}

int peer_journal_new(const char *path, struct peer_journal **ret_journal, struct peer_error *error)
{
    struct peer_journal *journal = calloc(1, sizeof(*journal));

    if (journal) {
        journal->fd = -1;
        journal->whole = true;
        journal->told = mmap(NULL, sizeof(*journal->told), PROT_READ | PROT_WRITE,
                             MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    }
    if (!journal || journal->told == MAP_FAILED) {
        free(journal);
        return error_set(error, PEER_ERROR_MACHINE, ENOMEM, "out of memory");
    }
    int status = start(journal, path, error);
    if (status < 0)
        peer_journal_free(journal);
    else
        *ret_journal = journal;
    return status;
}

static void close_pipe(struct peer_journal *journal)
{
    if (journal->fd >= 0)
        (void)close(journal->fd);
    journal->fd = -1;
    free(journal->waiting.bytes);
    journal->waiting = (struct out){0};
    journal->at = 0;
}

struct peer_journal *peer_journal_free(struct peer_journal *journal)
{
    if (!journal)
        return NULL;
    close_pipe(journal);
    scribe_end(&journal->scribe);
    (void)munmap(journal->told, sizeof(*journal->told));
    free(journal);
    return NULL;
}

int peer_journal_error(const struct peer_journal *journal)
{
    return journal->told->error;
}

/* ---- records ---- */

/* Somebody killed it. */
static void lose_writer(struct peer_journal *journal, int status)
{
    journal->told->error = status == -EPIPE ? -EOWNERDEAD : status;
    close_pipe(journal);
}

/* As much as the pipe takes now. */
static void push(struct peer_journal *journal)
{
    struct out *waiting = &journal->waiting;

    while (journal->fd >= 0 && journal->at < waiting->len) {
        ssize_t done = write(journal->fd, waiting->bytes + journal->at, waiting->len - journal->at);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0 && errno != EAGAIN)
            lose_writer(journal, -errno);
        if (done < 0)
            break;
        journal->at += (size_t)done;
    }
    if (journal->at < waiting->len)
        return;
    waiting->len = journal->at = 0;
}

static void put(struct peer_journal *journal, enum journal_kind kind, const struct result *result)
{
    struct out *waiting = &journal->waiting;
    const size_t before = waiting->len;

    if (journal->fd < 0)
        return;
    if (waiting->len - journal->at > WAITING_MOST) {
        journal->whole = false;
        return;
    }
    journal_put(waiting, kind, result);
    if (waiting->failed) { /* without memory */
        waiting->failed = false;
        waiting->len = before;
        journal->whole = false;
        return;
    }
    journal->written = kind == JOURNAL_ALL ? 0 : journal->written;
    journal->written += waiting->len - before;
    push(journal);
}

static void put_all(struct peer_journal *journal, const struct result *result)
{
    journal->whole = true; /* or it turns out not to be */
    journal->failed = journal->told->failed;
    put(journal, JOURNAL_ALL, result);
}

void journal_begin(struct peer_journal *journal, const struct result *result)
{
    journal->state_ns = 0;
    put_all(journal, result);
}

bool journal_add_interval(struct peer_journal *journal, const struct result_interval *interval)
{
    const struct result alone = {.intervals = (struct result_interval *)(uintptr_t)interval,
                                 .interval_count = 1};

    put(journal, JOURNAL_INTERVAL, &alone);
    return journal->fd >= 0 && interval->start_ns + interval->length_ns >= journal->state_ns;
}

void journal_add_state(struct peer_journal *journal, const struct result *result)
{
    const uint64_t step_ns = MIN(result->duration_ns / STATE_TENTH, STATE_MOST);

    journal->state_ns = result->duration_ns + step_ns;
    if (!journal->whole || journal->failed != journal->told->failed || journal->written > FILE_MOST)
        put_all(journal, result);
    else
        put(journal, JOURNAL_STATE, result);
}

/* Until all is with the scribe, for as long as it takes something within that time. */
static int drain(struct peer_journal *journal)
{
    struct pollfd writable = {.fd = journal->fd, .events = POLLOUT};

    push(journal);
    while (journal->fd >= 0 && journal->waiting.len) {
        if (poll(&writable, 1, END_MS) == 0)
            return -ETIMEDOUT;
        push(journal);
    }
    return 0;
}

int journal_finish(struct peer_journal *journal, const struct result *result)
{
    put_all(journal, result);
    put(journal, JOURNAL_END, NULL);
    int status = drain(journal);
    if (status == 0 && (!journal->whole || journal->fd < 0))
        status = journal->told->error ? journal->told->error : -ENOMEM;
    close_pipe(journal);
    scribe_end(&journal->scribe);
    if (status == 0 && journal->failed != journal->told->failed)
        status = journal->told->error;
    return status;
}
