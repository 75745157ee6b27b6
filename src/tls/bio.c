/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Between OpenSSL and the raw bytes of a flow: no buffer of its own. Reading copies from where TCP's
 * bytes lie, writing to where TCP keeps them.
 *
 * Writing never waits. What TCP does not take, which is seldom more than the end of a record since
 * the filter writes what there is room for, is kept and leaves when bytes were acknowledged: were
 * OpenSSL told to wait, its next call would have to be the same again, and owners of flows are free
 * to change their minds.
 */
#include "tls/internal.h"

#include "base/macro.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { VECTORS = 4 };

static int on_read(BIO *bio, char *data, size_t len, size_t *ret_len)
{
    struct tls *tls = BIO_get_data(bio);
    struct iovec iov[VECTORS];
    int count = flow_raw_peek(tls->flow, iov, VECTORS);
    size_t done = 0;

    for (int i = 0; i < count && done < len; i++) {
        size_t part = MIN(iov[i].iov_len, len - done);
        memcpy(data + done, iov[i].iov_base, part);
        done += part;
    }
    BIO_clear_retry_flags(bio);
    if (!done) {
        BIO_set_retry_read(bio);
        return 0;
    }
    flow_raw_consume(tls->flow, done);
    *ret_len = done;
    return 1;
}

/* Behind what waits already. */
static bool queue(struct tls *tls, const char *data, size_t len)
{
    uint8_t *bytes = realloc(tls->queued, tls->queued_len + len);

    if (!bytes)
        return false;
    memcpy(bytes + tls->queued_len, data, len);
    tls->queued = bytes;
    tls->queued_len += (uint32_t)len;
    return true;
}

static int on_write(BIO *bio, const char *data, size_t len, size_t *ret_len)
{
    struct tls *tls = BIO_get_data(bio);
    ssize_t done = 0;

    BIO_clear_retry_flags(bio);
    if (!tls->queued)
        done = flow_raw_write(tls->flow, data, len, tls->more ? FLOW_WRITE_MORE : 0);
    if (done == -EAGAIN)
        done = 0;
    /* Another error is TCP's end, of which the owner hears. */
    if (done >= 0 && (size_t)done < len && !queue(tls, data + done, len - (size_t)done))
        return 0;
    *ret_len = len;
    return 1;
}

static long on_control(BIO *bio, int command, long number, void *pointer)
{
    struct tls *tls = BIO_get_data(bio);

    (void)number, (void)pointer;
    if (command != BIO_CTRL_FLUSH)
        return 0;
    if (!tls->queued)
        (void)flow_raw_write(tls->flow, "", 0, 0);
    return 1;
}

static int on_create(BIO *bio)
{
    BIO_set_init(bio, 1);
    return 1;
}

BIO_METHOD *tls_bio_method_new(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "peer's flow");

    if (!method)
        return NULL;
    BIO_meth_set_read_ex(method, on_read);
    BIO_meth_set_write_ex(method, on_write);
    BIO_meth_set_ctrl(method, on_control);
    BIO_meth_set_create(method, on_create);
    return method;
}

BIO *tls_bio_new(struct tls *tls)
{
    BIO *bio = BIO_new(tls->context->method);

    if (bio)
        BIO_set_data(bio, tls);
    return bio;
}

void tls_flush(struct tls *tls)
{
    if (tls->queued) {
        ssize_t done = flow_raw_write(tls->flow, tls->queued + tls->queued_at,
                                      tls->queued_len - tls->queued_at, 0);
        if (done > 0)
            tls->queued_at += (uint32_t)done;
        if (tls->queued_at < tls->queued_len && (done >= 0 || done == -EAGAIN))
            return;
        free(tls->queued);
        tls->queued = NULL;
        tls->queued_at = tls->queued_len = 0;
    }
    if (tls->fin) {
        tls->fin = false;
        (void)flow_raw_shutdown(tls->flow);
    }
}
