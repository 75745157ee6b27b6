/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A context: an SSL_CTX and what belongs to it. All files are read here, since nothing can be opened
 * once privileges are given up; that is also why no directory of certificates is used, in which
 * OpenSSL would look for files in the middle of a handshake.
 *
 * It is counted: whoever made it may free it while its flows go on.
 */
#include "tls/internal.h"

#include "base/error.h"
#include "base/macro.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { ALPN_NAME_MOST = 255, CIPHERS_MOST = 1024 };

/* ---- secrets ---- */

static void on_secret(const SSL *ssl, const char *line)
{
    const struct tls_context *context = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    char text[512];

    if (context->tells)
        context->host.secret(context->host.user, line);
    size_t len = strnlen(line, sizeof(text) - 1);
    memcpy(text, line, len);
    text[len++] = '\n';
    if (context->keylog_fd >= 0)
        (void)!write(context->keylog_fd, text, len); /* a line at a time: others append too */
}

static int open_keylog(struct tls_context *context, struct peer_error *error)
{
    const char *path = secure_getenv("SSLKEYLOGFILE");

    if (path && *path) {
        context->keylog_fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
        if (context->keylog_fd < 0)
            return error_set(error, PEER_ERROR_MACHINE, errno,
                             "cannot write secrets to %s (SSLKEYLOGFILE): %s", path,
                             error_text(errno));
    }
    tls_context_tell_secrets(context, false);
    return 0;
}

/* OpenSSL writes the lines byte by byte, which is a twentieth of a handshake. */
void tls_context_tell_secrets(struct tls_context *context, bool tells)
{
    context->tells = tells && context->host.secret;
    SSL_CTX_set_keylog_callback(context->ctx,
                                context->tells || context->keylog_fd >= 0 ? on_secret : NULL);
}

/* ---- settings ---- */

static int read_version(const char *text, size_t len)
{
    static const struct {
        const char *name;
        int version;
    } versions[] = {{"1.0", TLS1_VERSION},
                    {"1.1", TLS1_1_VERSION},
                    {"1.2", TLS1_2_VERSION},
                    {"1.3", TLS1_3_VERSION}};

    for (size_t i = 0; i < ARRAY_SIZE(versions); i++) {
        if (len == strlen(versions[i].name) && memcmp(text, versions[i].name, len) == 0)
            return versions[i].version;
    }
    return 0;
}

static int set_versions(struct tls_context *context, const char *text, struct peer_error *error)
{
    if (!text)
        return 0;
    size_t len = strcspn(text, "-");
    const char *to = text[len] ? text + len + 1 : text;
    int least = read_version(text, len), most = read_version(to, strlen(to));

    if (!least || !most || least > most)
        return error_set(error, PEER_ERROR_USAGE, EINVAL,
                         "\"%s\" is no version of TLS; 1.2, 1.3 and 1.2-1.3 are", text);
    if (most < TLS1_2_VERSION)
        SSL_CTX_set_security_level(context->ctx, 0); /* their hashes are below all others */
    if (!SSL_CTX_set_min_proto_version(context->ctx, least) ||
        !SSL_CTX_set_max_proto_version(context->ctx, most))
        return tls_fail(error, EINVAL, "TLS %s is not to be had", text);
    return 0;
}

/* Those of TLS 1.3 are another list of OpenSSL's: appends to the one that `name` belongs to. */
static bool add_cipher(char old[CIPHERS_MOST], char new[CIPHERS_MOST], const char *name, size_t len)
{
    char *list = len > 4 && memcmp(name, "TLS_", 4) == 0 ? new : old;
    size_t at = strlen(list);

    if (at + len + 2 > CIPHERS_MOST)
        return false;
    if (at)
        list[at++] = ':';
    memcpy(list + at, name, len);
    list[at + len] = 0;
    return true;
}

static int set_ciphers(struct tls_context *context, const char *text, struct peer_error *error)
{
    char old[CIPHERS_MOST] = "", new[CIPHERS_MOST] = "";

    for (const char *at = text; at && *at;) {
        size_t len = strcspn(at, ":, ");
        if (len && !add_cipher(old, new, at, len))
            return error_set(error, PEER_ERROR_USAGE, EINVAL, "the list of ciphers is too long");
        at += len + (at[len] != 0);
    }
    if ((old[0] && !SSL_CTX_set_cipher_list(context->ctx, old)) ||
        (new[0] && !SSL_CTX_set_ciphersuites(context->ctx, new)))
        return tls_fail(error, EINVAL, "\"%s\" are no ciphers", text);
    return 0;
}

/* On the wire each name has its length before it. */
static int write_alpn(const char *text, uint8_t *out, size_t *ret_len)
{
    size_t at = 0;

    while (*text) {
        size_t len = strcspn(text, ",");
        if (!len || len > ALPN_NAME_MOST)
            return -EINVAL;
        out[at] = (uint8_t)len;
        memcpy(out + at + 1, text, len);
        at += len + 1;
        text += len + (text[len] != 0);
    }
    *ret_len = at;
    return 0;
}

/* Who is called takes the first of its own that the caller offers; none of them is an alert. */
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                   const unsigned char *in, unsigned in_len, void *user)
{
    const struct tls_context *context = user;

    (void)ssl;
    int status = SSL_select_next_proto((unsigned char **)(uintptr_t)out, out_len, context->alpn,
                                       (unsigned)context->alpn_len, in, in_len);
    return status == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

int tls_context_set_alpn(struct tls_context *context, const char *alpn)
{
    uint8_t *wire = alpn && *alpn ? malloc(strlen(alpn) + 1) : NULL;
    size_t len = 0;

    if (alpn && *alpn) {
        int status = wire ? write_alpn(alpn, wire, &len) : -ENOMEM;
        if (status == 0 && SSL_CTX_set_alpn_protos(context->ctx, wire, (unsigned)len) != 0)
            status = -ENOMEM;
        if (status < 0) {
            free(wire);
            return status;
        }
        SSL_CTX_set_alpn_select_cb(context->ctx, on_alpn, context);
    }
    free(context->alpn);
    context->alpn = wire;
    context->alpn_len = len;
    return 0;
}

bool tls_context_has_alpn(const struct tls_context *context)
{
    return context->alpn_len > 0;
}

bool tls_context_verifies(const struct tls_context *context)
{
    return context->verify;
}

/* ---- whom to trust ---- */

/* What the machine trusts, as one file: where distributions have it. */
static bool load_trusted(SSL_CTX *ctx)
{
    const char *const files[] = {secure_getenv("SSL_CERT_FILE"),
                                 X509_get_default_cert_file(),
                                 "/etc/ssl/certs/ca-certificates.crt",
                                 "/etc/pki/tls/certs/ca-bundle.crt",
                                 "/etc/ssl/ca-bundle.pem",
                                 "/etc/ssl/cert.pem"};

    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        if (files[i] && access(files[i], R_OK) == 0 && SSL_CTX_load_verify_file(ctx, files[i]))
            return true;
    }
    return false;
}

/* Else OpenSSL builds the chain and judges it, and then does not heed what it found. */
static int take_all(X509_STORE_CTX *store, void *user)
{
    (void)store, (void)user;
    return 1;
}

static int set_verify(struct tls_context *context, const struct peer_tls_config *config,
                      struct peer_error *error)
{
    const char *name = config->name ? config->name : config->sni;
    X509_VERIFY_PARAM *param = SSL_CTX_get0_param(context->ctx);
    uint8_t address[16];

    context->verify = config->verify;
    if (!config->verify) {
        SSL_CTX_set_cert_verify_callback(context->ctx, take_all, NULL);
        return 0;
    }
    if (config->ca_file && !SSL_CTX_load_verify_file(context->ctx, config->ca_file))
        return tls_fail(error, EINVAL, "cannot read certificates to trust from %s", config->ca_file);
    if (!config->ca_file && !load_trusted(context->ctx))
        return tls_fail(error, ENOENT, "no file of certificates that this machine trusts was found");
    ERR_clear_error();
    SSL_CTX_set_verify(context->ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    if (!name)
        return 0;
    bool is_address =
        inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1;
    int done = is_address ? X509_VERIFY_PARAM_set1_ip_asc(param, name)
                          : X509_VERIFY_PARAM_set1_host(param, name, 0);
    return done ? 0 : tls_fail(error, EINVAL, "\"%s\" is no name of a certificate", name);
}

/* ---- its life ---- */

static int set_up(struct tls_context *context, const struct peer_tls_config *config,
                  struct peer_error *error)
{
    SSL_CTX *ctx = context->ctx;
    int status = set_versions(context, config->versions, error);

    SSL_CTX_set_app_data(ctx, context);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(ctx, 1);
    if (status == 0)
        status = set_ciphers(context, config->ciphers, error);
    if (status == 0)
        status = set_verify(context, config, error);
    if (status == 0 && config->cert)
        status = tls_identities_read(context, config, error);
    if (status == 0 && tls_context_set_alpn(context, config->alpn) < 0)
        status = error_set(error, PEER_ERROR_USAGE, EINVAL,
                           "\"%s\" is no list of protocols; \"h2,http/1.1\" is", config->alpn);
    if (status == 0)
        status = open_keylog(context, error);
    return status;
}

int tls_context_new(const struct peer_tls_config *config, const struct tls_host *host,
                    struct tls_context **ret_context, struct peer_error *error)
{
    struct tls_context *context = calloc(1, sizeof(*context));

    if (!(config->resume >= 0 && config->resume <= 1)) {
        free(context);
        return error_set(error, PEER_ERROR_USAGE, EINVAL, "a share of resumed sessions is 0 to 1");
    }
    tzset(); /* the dates of certificates are compared by gmtime, which reads the zone's file first */
    if (context) {
        *context = (struct tls_context){.users = 1, .host = *host, .keylog_fd = -1};
        context->ctx = SSL_CTX_new(TLS_method());
        context->method = tls_bio_method_new();
        context->sni = config->sni ? strdup(config->sni) : NULL;
    }
    if (!context || !context->ctx || !context->method || (config->sni && !context->sni) ||
        tls_sessions_init(context, config->resume) < 0) {
        tls_context_free(context);
        return error_set(error, PEER_ERROR_MACHINE, ENOMEM, "out of memory");
    }
    int status = set_up(context, config, error);
    if (status < 0) {
        tls_context_free(context);
        return status;
    }
    *ret_context = context;
    return 0;
}

int tls_context_serve(struct tls_context *context)
{
    static const unsigned char name[] = "peer";

    /* Without one, a caller who shows a certificate and comes again is turned away. */
    (void)SSL_CTX_set_session_id_context(context->ctx, name, sizeof(name) - 1);
    return context->identity_count ? 0 : tls_identity_make(context);
}

void tls_context_leave_host(struct tls_context *context)
{
    context->host.secret = NULL;
    tls_context_tell_secrets(context, false);
}

void tls_context_put(struct tls_context *context)
{
    if (--context->users > 0)
        return;
    tls_sessions_free(context);
    tls_identities_free(context);
    while (context->spare_count)
        free(context->spares[--context->spare_count]);
    SSL_CTX_free(context->ctx);
    BIO_meth_free(context->method);
    if (context->keylog_fd >= 0)
        close(context->keylog_fd);
    free(context->sni);
    free(context->alpn);
    free(context);
}

struct tls_context *tls_context_hold(struct tls_context *context)
{
    context->users++;
    return context;
}

struct tls_context *tls_context_free(struct tls_context *context)
{
    if (context)
        tls_context_put(context);
    return NULL;
}

/* ---- a flow's ---- */

static bool use_identity(struct tls *tls)
{
    const struct tls_context *context = tls->context;

    if (!context->identity_count)
        return true;
    const struct tls_identity *mine =
        &context->identities[flow_peer(tls->flow) % context->identity_count];
    return SSL_use_cert_and_key(tls->ssl, mine->cert, mine->key, mine->chain, 1) == 1;
}

bool tls_context_dress(struct tls *tls)
{
    struct tls_context *context = tls->context;

    if (!SSL_set_app_data(tls->ssl, tls) || !use_identity(tls))
        return false;
    if (tls->opens_with == FLOW_ACCEPTED)
        return true;
    if (context->sni && !SSL_set_tlsext_host_name(tls->ssl, context->sni))
        return false;
    tls_sessions_use(tls);
    return true;
}
