/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What was agreed on. OpenSSL is asked when somebody wants to know, so that it costs no flow anything.
 */
#include "tls/internal.h"

#include "base/macro.h"

#include <openssl/objects.h>
#include <stdio.h>
#include <string.h>

bool tls_is_open(const struct flow *flow)
{
    return tls_of(flow)->open;
}

bool tls_is_truncated(const struct flow *flow)
{
    return tls_of(flow)->truncated;
}

bool tls_is_resumed(const struct flow *flow)
{
    const struct tls *tls = tls_of(flow);

    return tls->open && SSL_session_reused(tls->ssl);
}

uint64_t tls_handshake_ns(const struct flow *flow)
{
    return (uint64_t)tls_of(flow)->handshake_us * NS_PER_US;
}

const char *tls_alpn(const struct flow *flow, size_t *ret_len)
{
    const unsigned char *name = NULL;
    unsigned len = 0;

    if (tls_of(flow)->open)
        SSL_get0_alpn_selected(tls_of(flow)->ssl, &name, &len);
    *ret_len = len;
    return (const char *)name;
}

bool tls_alpn_is(const struct flow *flow, const char *name)
{
    size_t len;
    const char *agreed = tls_alpn(flow, &len);

    return len == strlen(name) && memcmp(agreed, name, len) == 0;
}

enum peer_tls_error tls_error(const struct flow *flow)
{
    return (enum peer_tls_error)tls_of(flow)->error;
}

const char *tls_reason(const struct flow *flow)
{
    const char *reason = tls_of(flow)->reason;

    return reason ? reason : "";
}

static void set_word(char text[PEER_TLS_WORD_TEXT], const char *word)
{
    (void)snprintf(text, PEER_TLS_WORD_TEXT, "%s", word ? word : "");
}

/* What a BIO in memory holds. */
static void take_text(BIO *bio, char *text, size_t room)
{
    int len = BIO_read(bio, text, (int)room - 1);

    text[len > 0 ? len : 0] = 0;
    (void)BIO_reset(bio);
}

static void set_certificate(const SSL *ssl, struct peer_tls_info *info)
{
    X509 *cert = SSL_get0_peer_certificate(ssl);
    BIO *bio = cert ? BIO_new(BIO_s_mem()) : NULL;

    if (!bio)
        return;
    X509_NAME_print_ex(bio, X509_get_subject_name(cert), 0, XN_FLAG_RFC2253);
    take_text(bio, info->subject, sizeof(info->subject));
    X509_NAME_print_ex(bio, X509_get_issuer_name(cert), 0, XN_FLAG_RFC2253);
    take_text(bio, info->issuer, sizeof(info->issuer));
    ASN1_TIME_print(bio, X509_get0_notAfter(cert));
    take_text(bio, info->until, sizeof(info->until));
    BIO_free(bio);
}

/* Of the key exchange; before TLS 1.3 it is the other side's key that tells. */
static void set_group(SSL *ssl, struct peer_tls_info *info)
{
    EVP_PKEY *key = NULL;
    char name[PEER_TLS_WORD_TEXT] = "";
    int group = (int)SSL_get_negotiated_group(ssl);

    if (group > 0 && SSL_group_to_name(ssl, group))
        set_word(info->group, SSL_group_to_name(ssl, group));
    else if (SSL_get_peer_tmp_key(ssl, &key) && key &&
             EVP_PKEY_get_group_name(key, name, sizeof(name), NULL) == 1)
        set_word(info->group, name);
    else if (key)
        set_word(info->group, EVP_PKEY_get0_type_name(key));
    EVP_PKEY_free(key);
}

static void set_agreed(const struct tls *tls, struct peer_tls_info *info)
{
    size_t len;
    const char *alpn = tls_alpn(tls->flow, &len);

    set_word(info->version, SSL_get_version(tls->ssl));
    set_word(info->cipher, SSL_get_cipher_name(tls->ssl));
    set_group(tls->ssl, info);
    (void)snprintf(info->alpn, sizeof(info->alpn), "%.*s", (int)len, len ? alpn : "");
    info->resumed = SSL_session_reused(tls->ssl);
}

bool tls_get_info(const struct flow *flow, struct peer_tls_info *ret_info)
{
    if (!tls_is_on(flow))
        return false;
    const struct tls *tls = tls_of(flow);
    memset(ret_info, 0, sizeof(*ret_info));
    ret_info->open = tls->open;
    ret_info->truncated = tls->truncated;
    ret_info->error = tls_error(flow);
    ret_info->handshake_ns = tls_handshake_ns(flow);
    (void)snprintf(ret_info->reason, sizeof(ret_info->reason), "%s", tls_reason(flow));
    if (!tls->ssl)
        return true;
    if (tls->open)
        set_agreed(tls, ret_info);
    set_certificate(tls->ssl, ret_info);
    bool refused = tls->error == PEER_TLS_CERTIFICATE;
    if (ret_info->subject[0] || refused)
        (void)snprintf(ret_info->verified, sizeof(ret_info->verified), "%s",
                       tls->context->verify
                           ? X509_verify_cert_error_string(SSL_get_verify_result(tls->ssl))
                           : "not verified");
    return true;
}
