/* SPDX-License-Identifier: BSD-3-Clause */
/* Digests and SCRAM, by what RFC 7677, RFC 4648 and FIPS 180 give as examples. */
#include "crypt/digest.h"
#include "crypt/scram.h"

#include "base/macro.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#define NONCE "rOprNGfwEbeRWgbNEkqO"
#define CHALLENGE                                                                                  \
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"

static struct scram_cache cache = {.password = "pencil"};

static ssize_t prove(struct scram *scram, const char *challenge, char out[SCRAM_TEXT],
                     const char **why)
{
    (void)scram_begin(scram, "user", NONCE, out);
    return scram_prove(scram, &cache, challenge, strlen(challenge), out, why);
}

static void the_example_of_rfc_7677(void **state)
{
    static const char final[] = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";
    struct scram scram;
    char out[SCRAM_TEXT];
    const char *why = NULL;

    (void)state;
    assert_int_equal(scram_begin(&scram, "user", NONCE, out), strlen("n,,n=user,r=" NONCE));
    assert_string_equal(out, "n,,n=user,r=" NONCE);
    assert_true(prove(&scram, CHALLENGE, out, &why) > 0);
    assert_string_equal(out, "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
                             "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
    assert_int_equal(scram_verify(&scram, final, strlen(final), &why), 0);
}

static void another_signature_is_wrong(void **state)
{
    static const char *const finals[] = {"v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
                                         "v=",
                                         "v=QUJD",
                                         "e=other-error",
                                         "",
                                         "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
                                         "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4"};
    struct scram scram;
    char out[SCRAM_TEXT];
    const char *why = NULL;

    (void)state;
    assert_true(prove(&scram, CHALLENGE, out, &why) > 0);
    for (size_t i = 0; i < ARRAY_SIZE(finals); i++) {
        assert_int_equal(scram_verify(&scram, finals[i], strlen(finals[i]), &why), -EINVAL);
        assert_non_null(why);
    }
    /* Nor is any before our own proof. */
    (void)scram_begin(&scram, "user", NONCE, out);
    assert_int_equal(scram_verify(&scram, finals[0], strlen(finals[0]), &why), -EINVAL);
}

static void keys_are_derived_once_for_a_salt(void **state)
{
    char challenge[] = "r=" NONCE "x,s=QUJDAA==,i=16", out[SCRAM_TEXT];
    struct scram scram;
    const char *why = NULL;

    (void)state;
    cache = (struct scram_cache){.password = "pencil"};
    for (int i = 0; i < 100; i++)
        assert_true(prove(&scram, challenge, out, &why) > 0);
    assert_int_equal(cache.derived, 1);
    challenge[strlen(challenge) - 1] = '7';
    assert_true(prove(&scram, challenge, out, &why) > 0);
    assert_int_equal(cache.derived, 2);
    /* As many as there is room for; then the oldest goes. */
    for (char letter = 'A'; letter < 'A' + SCRAM_CACHED; letter++) {
        *strstr(challenge, "QUJD") = 'Q';
        strstr(challenge, "UJD")[2] = letter;
        assert_true(prove(&scram, challenge, out, &why) > 0);
        challenge[strlen("r=" NONCE "x,s=") + 3] = 'D';
    }
    assert_int_equal(cache.derived, 2 + SCRAM_CACHED - 1);
}

static void what_a_challenge_may_not_be(void **state)
{
    static const char *const challenges[] = {"",
                                             "r",
                                             "r=",
                                             "r=" NONCE,
                                             "r=" NONCE ",s=QUJD,i=1",
                                             "r=" NONCE "x",
                                             "r=" NONCE "x,",
                                             "r=" NONCE "x,s=QUJD",
                                             "r=" NONCE "x,s=QUJD,i=",
                                             "r=" NONCE "x,s=QUJD,i=0",
                                             "r=" NONCE "x,s=QUJD,i=1x",
                                             "r=" NONCE "x,s=QUJD,i= 1",
                                             "r=" NONCE "x,s=QUJD,i=1000001",
                                             "r=" NONCE "x,s=QUJD,i=99999999999",
                                             "r=" NONCE "x,s=QUJ,i=1",
                                             "r=" NONCE "x,s====,i=1",
                                             "r=" NONCE "x,i=1,s=QUJD",
                                             "m=a,r=" NONCE "x,s=QUJD,i=1",
                                             "r=other,s=QUJD,i=1"};
    struct scram scram;
    char out[SCRAM_TEXT];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(challenges); i++) {
        const char *why = NULL;
        if (prove(&scram, challenges[i], out, &why) != -EINVAL || !why)
            fail_msg("\"%s\" is taken", challenges[i]);
    }
}

static void base64_there_and_back(void **state)
{
    static const char *const texts[] = {"Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"};
    static const char *const wrong[] = {
        "", "Z", "Zg", "Zg=", "=Zg=", "Z===", "====", "Zm9v Zm9v", "Zm9\n", "Zm9vZm9vZm9v"};
    char text[BASE64_ROOM(6)];
    uint8_t bytes[6 + 3];

    (void)state;
    for (size_t len = 1; len <= 6; len++) {
        base64_write((const uint8_t *)"foobar", len, text);
        assert_string_equal(text, texts[len - 1]);
        assert_int_equal(base64_read(text, strlen(text), bytes, 6), len);
        assert_memory_equal(bytes, "foobar", len);
    }
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
        assert_int_equal(base64_read(wrong[i], strlen(wrong[i]), bytes, 6), -EINVAL);
}

static void digests(void **state)
{
    static const uint8_t abc[] = {0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea};
    uint8_t digest[32];
    char hex[33];

    (void)state;
    sha256("abc", 3, digest);
    assert_memory_equal(digest, abc, sizeof(abc));
    assert_int_equal(md5_hex("message ", 8, "digest", 6, hex), 0);
    assert_string_equal(hex, "f96b697d7cb7938d525a2f31aaf161d0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_of_rfc_7677),
        cmocka_unit_test(another_signature_is_wrong),
        cmocka_unit_test(keys_are_derived_once_for_a_salt),
        cmocka_unit_test(what_a_challenge_may_not_be),
        cmocka_unit_test(base64_there_and_back),
        cmocka_unit_test(digests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
