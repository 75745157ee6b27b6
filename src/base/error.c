/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Errors in words. The texts below are ours rather than the C library's: lower case, to stand after
 * a colon in the middle of a line, and the same whatever the locale. The C library serves for the
 * codes that hardly ever meet a person.
 */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <errno.h>
#include <string.h>

#include "base/macro.h"

static const struct {
    int code;
    const char *text;
} texts[] = {
    {0, "no error"},
    {E2BIG, "too many of them"},
    {EACCES, "permission denied"},
    {EADDRINUSE, "address already in use"},
    {EADDRNOTAVAIL, "no such address on this machine"},
    {EAFNOSUPPORT, "address family not supported by this kernel"},
    {EAGAIN, "not ready, try again"},
    {EALREADY, "already under way"},
    {EBADF, "bad file descriptor"},
    {EBADMSG, "malformed message"},
    {EBUSY, "in use"},
    {ECANCELED, "cancelled"},
    {ECONNABORTED, "connection aborted"},
    {ECONNREFUSED, "connection refused"},
    {ECONNRESET, "connection reset"},
    {EDESTADDRREQ, "destination address needed"},
    {EEXIST, "exists already"},
    {EFAULT, "bad memory address"},
    {EFBIG, "too large"},
    {EHOSTDOWN, "that machine is down"},
    {EHOSTUNREACH, "no route to that address"},
    {EINPROGRESS, "under way"},
    {EINTR, "interrupted"},
    {EINVAL, "invalid value"},
    {EIO, "input or output error"},
    {EISCONN, "connected already"},
    {EISDIR, "is a directory"},
    {ELOOP, "too many symbolic links"},
    {EMFILE, "too many open files in this process"},
    {EMSGSIZE, "message too long"},
    {ENAMETOOLONG, "name too long"},
    {ENETDOWN, "network is down"},
    {ENETUNREACH, "network unreachable"},
    {ENFILE, "too many open files on this machine"},
    {ENOBUFS, "no buffer space"},
    {ENODATA, "no data"},
    {ENODEV, "no such device"},
    {ENOENT, "not found"},
    {ENOMEM, "out of memory"},
    {ENOPROTOOPT, "option not supported by this kernel"},
    {ENOSPC, "no space left"},
    {ENOSYS, "not implemented by this kernel"},
    {ENOTCONN, "not connected"},
    {ENOTDIR, "not a directory"},
    {ENOTSUP, "not supported"},
    {ENOTTY, "not supported by this kind of file"},
    {ENXIO, "no such device or address"},
    {EPERM, "operation not permitted"},
    {EPIPE, "the other side has closed"},
    {EPROTO, "protocol error"},
    {EPROTONOSUPPORT, "protocol not supported by this kernel"},
    {ERANGE, "out of range"},
    {EROFS, "file system is read-only"},
    {ESRCH, "no such process"},
    {ETIMEDOUT, "timed out"},
    {EUSERS, "too many users"},
};

const char *error_text(int code)
{
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        if (texts[i].code == code)
            return texts[i].text;
    const char *text = strerrordesc_np(code);
    return text ? text : "unknown error";
}

/* Bytes of the UTF-8 character that `lead` begins; 1 for what begins none. */
static size_t utf8_length(unsigned char lead)
{
    if (lead >= 0xF0)
        return 4;
    if (lead >= 0xE0)
        return 3;
    return lead >= 0xC0 ? 2 : 1;
}

/* A text cut off by its buffer must not end in half a character. */
static void drop_half_character(char *text, size_t len)
{
    size_t start = len;

    while (start > 0 && len - start < 3 && ((unsigned char)text[start - 1] & 0xC0) == 0x80)
        start--;
    if (start > 0 && utf8_length((unsigned char)text[start - 1]) > len - start + 1)
        text[start - 1] = '\0';
}

/* Arguments come from users: a file name with a line break must not make two lines. */
static void make_one_line(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7F)
            *text = '?';
}

int error_set(struct peer_error *error, enum peer_error_kind kind, int code, const char *format,
              ...)
{
    if (!error)
        return -code;

    /* Written aside first: the arguments may be texts of `error` itself. */
    char text[sizeof(error->text)];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (len < 0)
        snprintf(text, sizeof(text), "%s", error_text(code));
    else if ((size_t)len >= sizeof(text))
        drop_half_character(text, sizeof(text) - 1);
    make_one_line(text);
    error->code = code;
    error->kind = kind;
    memcpy(error->text, text, strlen(text) + 1);
    return -code;
}
