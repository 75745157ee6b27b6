/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What OpenSSL says was wrong, as a kind and words. Its list of errors is the thread's: it is read and
 * emptied at each failure, so that no call has to empty it first.
 */
#include "tls/internal.h"

#include "base/error.h"
#include "base/macro.h"

#include <openssl/err.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Alerts about a certificate (RFC 8446, 6.2): the other side did not like ours, or missed it. */
static bool is_about_certificates(unsigned long code)
{
    static const int reasons[] = {
        SSL_R_CERTIFICATE_VERIFY_FAILED,
        SSL_R_SSLV3_ALERT_BAD_CERTIFICATE,
        SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED,
        SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED,
        SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN,
        SSL_R_SSLV3_ALERT_NO_CERTIFICATE,
        SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE,
        SSL_R_TLSV1_ALERT_UNKNOWN_CA,
        SSL_R_TLSV1_ALERT_ACCESS_DENIED,
        SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED,
        SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE,
    };

    if (ERR_GET_LIB(code) != ERR_LIB_SSL)
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(reasons); i++) {
        if (ERR_GET_REASON(code) == reasons[i])
            return true;
    }
    return false;
}

void tls_note(struct tls *tls, enum peer_tls_error kind, const char *text)
{
    if (tls->error)
        return;
    tls->error = (uint8_t)kind;
    tls->reason = strdup(text);
}

/* "tlsv1 alert unknown ca" is the other side's word; the beginning is of old versions. */
static const char *words_of(unsigned long code, char buf[PEER_TLS_NAME_TEXT])
{
    const char *reason = ERR_reason_error_string(code);
    const char *alert = reason ? strstr(reason, "alert ") : NULL;

    if (alert)
        (void)snprintf(buf, PEER_TLS_NAME_TEXT, "the other side says \"%s\"", alert + strlen("alert "));
    else
        (void)snprintf(buf, PEER_TLS_NAME_TEXT, "%s", reason ? reason : "OpenSSL does not say why");
    return buf;
}

void tls_note_failure(struct tls *tls)
{
    unsigned long code = ERR_peek_error();
    char buf[PEER_TLS_NAME_TEXT];

    if (ERR_GET_LIB(code) == ERR_LIB_SSL && ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED)
        tls_note(tls, PEER_TLS_CERTIFICATE,
                 X509_verify_cert_error_string(SSL_get_verify_result(tls->ssl)));
    else
        tls_note(tls, is_about_certificates(code) ? PEER_TLS_CERTIFICATE : PEER_TLS_PROTOCOL,
                 words_of(code, buf));
    ERR_clear_error();
}

int tls_fail(struct peer_error *error, int code, const char *format, ...)
{
    unsigned long reason = ERR_peek_last_error();
    char buf[PEER_TLS_NAME_TEXT], text[PEER_TLS_NAME_TEXT];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (reason)
        (void)error_set(error, PEER_ERROR_USAGE, code, "%s: %s", text, words_of(reason, buf));
    else
        (void)error_set(error, PEER_ERROR_USAGE, code, "%s", text);
    ERR_clear_error();
    return -code;
}
