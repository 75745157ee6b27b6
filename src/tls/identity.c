/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Certificates and keys: from PEM files, or made at the start. With "%d" in a name there are many,
 * numbered from 1; how many is found out by looking for the next.
 */
#include "tls/internal.h"

#include "base/error.h"
#include "base/macro.h"

#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { IDENTITIES_MOST = 1 << 20, SECONDS_A_DAY = 86400, DAYS = 365 };

/* ---- from files ---- */

static bool has_number(const char *name)
{
    return strstr(name, "%d") != NULL;
}

/* The name with its number in it. */
static bool name_of(const char *pattern, size_t number, char path[PATH_MAX])
{
    const char *at = strstr(pattern, "%d");
    int len = at ? snprintf(path, PATH_MAX, "%.*s%zu%s", (int)(at - pattern), pattern, number,
                            at + 2)
                 : snprintf(path, PATH_MAX, "%s", pattern);

    return len >= 0 && len < PATH_MAX;
}

static void identity_free(struct tls_identity *identity)
{
    X509_free(identity->cert);
    sk_X509_pop_free(identity->chain, X509_free);
    EVP_PKEY_free(identity->key);
}

/* Nobody is there to be asked: keys with a passphrase are not for this. */
static int no_passphrase(char *buf, int room, int writes, void *user)
{
    (void)buf, (void)room, (void)writes, (void)user;
    return -1;
}

static int open_file(const char *path, BIO **ret_bio, struct peer_error *error)
{
    *ret_bio = BIO_new_file(path, "r");
    if (*ret_bio)
        return 0;
    int code = errno ? errno : EIO;
    ERR_clear_error();
    return error_set(error, PEER_ERROR_USAGE, code, "cannot read %s: %s", path, error_text(code));
}

static int read_chain(BIO *bio, struct tls_identity *identity)
{
    X509 *next;

    identity->chain = sk_X509_new_null();
    while (identity->chain && (next = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL))) {
        if (!sk_X509_push(identity->chain, next)) {
            X509_free(next);
            return -ENOMEM;
        }
    }
    ERR_clear_error(); /* the end of the file is one */
    return identity->chain ? 0 : -ENOMEM;
}

static int read_cert(const char *path, struct tls_identity *identity, struct peer_error *error)
{
    BIO *bio;
    int status = open_file(path, &bio, error);

    if (status < 0)
        return status;
    identity->cert = PEM_read_bio_X509_AUX(bio, NULL, no_passphrase, NULL);
    if (!identity->cert)
        status = tls_fail(error, EINVAL, "there is no certificate in %s", path);
    else if (read_chain(bio, identity) < 0)
        status = error_set(error, PEER_ERROR_MACHINE, ENOMEM, "out of memory");
    BIO_free(bio);
    return status;
}

static int read_key(const char *path, struct tls_identity *identity, struct peer_error *error)
{
    BIO *bio;
    int status = open_file(path, &bio, error);

    if (status < 0)
        return status;
    identity->key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
    BIO_free(bio);
    if (!identity->key)
        return tls_fail(error, EINVAL, "there is no key without a passphrase in %s", path);
    if (!X509_check_private_key(identity->cert, identity->key))
        return tls_fail(error, EINVAL, "the key in %s is not that of the certificate", path);
    return 0;
}

static int read_identity(const struct peer_tls_config *config, size_t number,
                         struct tls_identity *ret_identity, struct peer_error *error)
{
    char cert[PATH_MAX], key[PATH_MAX];
    struct tls_identity identity = {0};

    if (!name_of(config->cert, number, cert) ||
        !name_of(config->key ? config->key : config->cert, number, key))
        return error_set(error, PEER_ERROR_USAGE, ENAMETOOLONG, "%s: the name is too long",
                         config->cert);
    int status = read_cert(cert, &identity, error);
    if (status == 0)
        status = read_key(key, &identity, error);
    if (status < 0)
        identity_free(&identity);
    else
        *ret_identity = identity;
    return status;
}

static bool is_there(const char *pattern, size_t number)
{
    char path[PATH_MAX];

    return name_of(pattern, number, path) && access(path, F_OK) == 0;
}

static int add_identity(struct tls_context *context, const struct peer_tls_config *config,
                        struct peer_error *error)
{
    size_t count = context->identity_count;

    if ((count & (count - 1)) == 0) { /* a power of two: full */
        struct tls_identity *more =
            realloc(context->identities, MAX(2 * count, 1u) * sizeof(*more));
        if (!more)
            return error_set(error, PEER_ERROR_MACHINE, ENOMEM, "out of memory");
        context->identities = more;
    }
    int status = read_identity(config, count + 1, &context->identities[count], error);
    context->identity_count += status == 0;
    return status;
}

int tls_identities_read(struct tls_context *context, const struct peer_tls_config *config,
                        struct peer_error *error)
{
    int status = add_identity(context, config, error);

    while (status == 0 && has_number(config->cert) && context->identity_count < IDENTITIES_MOST &&
           is_there(config->cert, context->identity_count + 1))
        status = add_identity(context, config, error);
    return status;
}

void tls_identities_free(struct tls_context *context)
{
    for (size_t i = 0; i < context->identity_count; i++)
        identity_free(&context->identities[i]);
    free(context->identities);
    context->identities = NULL;
    context->identity_count = 0;
}

/* ---- made at the start ---- */

static bool add_name(X509 *cert)
{
    X509_NAME *name = X509_get_subject_name(cert);

    return X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                                      (const unsigned char *)"peer", -1, -1, 0) &&
           X509_set_issuer_name(cert, name);
}

static bool add_extension(X509 *cert, int kind, const char *value)
{
    X509V3_CTX about;

    X509V3_set_ctx_nodb(&about);
    X509V3_set_ctx(&about, cert, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &about, kind, value);
    bool done = extension && X509_add_ext(cert, extension, -1);
    X509_EXTENSION_free(extension);
    return done;
}

static X509 *make_cert(EVP_PKEY *key)
{
    X509 *cert = X509_new();

    if (cert && X509_set_version(cert, X509_VERSION_3) &&
        ASN1_INTEGER_set(X509_get_serialNumber(cert), 1) &&
        X509_gmtime_adj(X509_getm_notBefore(cert), -SECONDS_A_DAY) &&
        X509_gmtime_adj(X509_getm_notAfter(cert), (long)DAYS * SECONDS_A_DAY) &&
        X509_set_pubkey(cert, key) && add_name(cert) &&
        add_extension(cert, NID_subject_alt_name, "DNS:peer") &&
        add_extension(cert, NID_basic_constraints, "critical,CA:TRUE") &&
        X509_sign(cert, key, EVP_sha256()))
        return cert;
    X509_free(cert);
    return NULL;
}

int tls_identity_make(struct tls_context *context)
{
    struct tls_identity identity = {.key = EVP_EC_gen("P-256")};

    if (identity.key)
        identity.cert = make_cert(identity.key);
    context->identities = identity.cert ? malloc(sizeof(*context->identities)) : NULL;
    if (!context->identities) {
        identity_free(&identity);
        ERR_clear_error();
        return -EIO;
    }
    context->identities[0] = identity;
    context->identity_count = 1;
    return 0;
}
