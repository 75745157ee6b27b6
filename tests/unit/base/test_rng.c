/* SPDX-License-Identifier: BSD-3-Clause */
/* Published test vectors first; then the properties that the published ones do not reach. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/macro.h"
#include "base/rng.h"

static void xoshiro_matches_the_reference_implementation(void **state)
{
    (void)state;
    static const uint64_t expected[] = {
        UINT64_C(11520),
        UINT64_C(0),
        UINT64_C(1509978240),
        UINT64_C(1215971899390074240),
        UINT64_C(1216172134540287360),
        UINT64_C(607988272756665600),
        UINT64_C(16172922978634559625),
        UINT64_C(8476171486693032832),
        UINT64_C(10595114339597558777),
        UINT64_C(2904607092377533576),
    };
    struct rng rng = {{1, 2, 3, 4}};
    for (size_t i = 0; i < ARRAY_SIZE(expected); i++)
        assert_true(rng_next(&rng) == expected[i]);
}

static void seeding_matches_the_reference_splitmix64(void **state)
{
    (void)state;
    static const struct {
        uint64_t seed, state[4];
    } cases[] = {
        {1234567,
         {UINT64_C(6457827717110365317), UINT64_C(3203168211198807973),
          UINT64_C(9817491932198370423), UINT64_C(4593380528125082431)}},
        {0,
         {UINT64_C(0xE220A8397B1DCDAF), UINT64_C(0x6E789E6AA1B965F4), UINT64_C(0x06C45D188009454F),
          UINT64_C(0xF88BB8A8724C81EC)}},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct rng rng;
        rng_seed(&rng, cases[i].seed);
        assert_memory_equal(rng.state, cases[i].state, sizeof(rng.state));
    }
    /* Both algorithms together, as others publish it. */
    struct rng rng;
    rng_seed(&rng, 42);
    assert_true(rng_next(&rng) == UINT64_C(1546998764402558742));
    assert_true(rng_next(&rng) == UINT64_C(6990951692964543102));
    assert_true(rng_next(&rng) == UINT64_C(12544586762248559009));
}

static void siphash_matches_all_published_vectors(void **state)
{
    (void)state;
    static const uint64_t expected[64] = {
        UINT64_C(0x726FDB47DD0E0E31), UINT64_C(0x74F839C593DC67FD), UINT64_C(0x0D6C8009D9A94F5A),
        UINT64_C(0x85676696D7FB7E2D), UINT64_C(0xCF2794E0277187B7), UINT64_C(0x18765564CD99A68D),
        UINT64_C(0xCBC9466E58FEE3CE), UINT64_C(0xAB0200F58B01D137), UINT64_C(0x93F5F5799A932462),
        UINT64_C(0x9E0082DF0BA9E4B0), UINT64_C(0x7A5DBBC594DDB9F3), UINT64_C(0xF4B32F46226BADA7),
        UINT64_C(0x751E8FBC860EE5FB), UINT64_C(0x14EA5627C0843D90), UINT64_C(0xF723CA908E7AF2EE),
        UINT64_C(0xA129CA6149BE45E5), UINT64_C(0x3F2ACC7F57C29BDB), UINT64_C(0x699AE9F52CBE4794),
        UINT64_C(0x4BC1B3F0968DD39C), UINT64_C(0xBB6DC91DA77961BD), UINT64_C(0xBED65CF21AA2EE98),
        UINT64_C(0xD0F2CBB02E3B67C7), UINT64_C(0x93536795E3A33E88), UINT64_C(0xA80C038CCD5CCEC8),
        UINT64_C(0xB8AD50C6F649AF94), UINT64_C(0xBCE192DE8A85B8EA), UINT64_C(0x17D835B85BBB15F3),
        UINT64_C(0x2F2E6163076BCFAD), UINT64_C(0xDE4DAAACA71DC9A5), UINT64_C(0xA6A2506687956571),
        UINT64_C(0xAD87A3535C49EF28), UINT64_C(0x32D892FAD841C342), UINT64_C(0x7127512F72F27CCE),
        UINT64_C(0xA7F32346F95978E3), UINT64_C(0x12E0B01ABB051238), UINT64_C(0x15E034D40FA197AE),
        UINT64_C(0x314DFFBE0815A3B4), UINT64_C(0x027990F029623981), UINT64_C(0xCADCD4E59EF40C4D),
        UINT64_C(0x9ABFD8766A33735C), UINT64_C(0x0E3EA96B5304A7D0), UINT64_C(0xAD0C42D6FC585992),
        UINT64_C(0x187306C89BC215A9), UINT64_C(0xD4A60ABCF3792B95), UINT64_C(0xF935451DE4F21DF2),
        UINT64_C(0xA9538F0419755787), UINT64_C(0xDB9ACDDFF56CA510), UINT64_C(0xD06C98CD5C0975EB),
        UINT64_C(0xE612A3CB9ECBA951), UINT64_C(0xC766E62CFCADAF96), UINT64_C(0xEE64435A9752FE72),
        UINT64_C(0xA192D576B245165A), UINT64_C(0x0A8787BF8ECB74B2), UINT64_C(0x81B3E73D20B49B6F),
        UINT64_C(0x7FA8220BA3B2ECEA), UINT64_C(0x245731C13CA42499), UINT64_C(0xB78DBFAF3A8D83BD),
        UINT64_C(0xEA1AD565322A1A0B), UINT64_C(0x60E61C23A3795013), UINT64_C(0x6606D7E446282B93),
        UINT64_C(0x6CA4ECB15C5F91E1), UINT64_C(0x9F626DA15C9625F3), UINT64_C(0xE51B38608EF25F57),
        UINT64_C(0x958A324CEB064572),
    };
    static const uint64_t key[2] = {UINT64_C(0x0706050403020100), UINT64_C(0x0F0E0D0C0B0A0908)};
    for (uint64_t len = 0; len < 64; len++) {
        /* On the heap at its exact size, and once off its alignment. */
        for (size_t shift = 0; shift < 2; shift++) {
            uint8_t *data = malloc(len + shift + 1);
            assert_non_null(data);
            for (uint64_t i = 0; i < len; i++)
                data[shift + i] = (uint8_t)i;
            assert_true(siphash(key, data + shift, len) == expected[len]);
            free(data);
        }
    }
    static const uint64_t zero_key[2];
    assert_true(siphash(zero_key, "", 0) == UINT64_C(0x1E924B9D737700D7));
}

static void siphash_counts_the_length_modulo_256(void **state)
{
    (void)state;
    static const uint8_t zeros[512];
    static const uint64_t key[2] = {1, 2};
    for (uint64_t len = 1; len <= sizeof(zeros); len++)
        assert_false(siphash(key, zeros, len) == siphash(key, zeros, len - 1));
}

static void the_same_seed_repeats_and_purposes_are_independent(void **state)
{
    (void)state;
    enum { PURPOSES = 64, DRAWS = 64 };
    static uint64_t draws[PURPOSES * DRAWS];
    size_t count = 0;
    struct rng rng, again;
    for (uint64_t purpose = 0; purpose < PURPOSES; purpose++) {
        /* Neighbours, and what the seeding itself adds from word to word. */
        uint64_t number = purpose < 32 ? purpose : purpose * UINT64_C(0x9E3779B97F4A7C15);
        rng_derive(&rng, 7, number);
        rng_derive(&again, 7, number);
        for (int i = 0; i < DRAWS; i++) {
            draws[count] = rng_next(&rng);
            assert_true(draws[count++] == rng_next(&again));
        }
    }
    for (size_t i = 0; i < count; i++)
        for (size_t j = i + 1; j < count; j++)
            assert_true(draws[i] != draws[j]);

    struct rng swapped;
    rng_derive(&rng, 1, 2);
    rng_derive(&swapped, 2, 1);
    assert_true(rng_next(&rng) != rng_next(&swapped));
}

static void below_is_uniform_and_within_its_bound(void **state)
{
    (void)state;
    struct rng rng;
    rng_seed(&rng, 5);
    static const uint64_t bounds[] = {
        1, 2, 3, 1000, UINT64_C(1) << 32, (UINT64_C(1) << 63) + 1, UINT64_MAX};
    for (size_t i = 0; i < ARRAY_SIZE(bounds); i++)
        for (int j = 0; j < 1000; j++)
            assert_true(rng_below(&rng, bounds[i]) < bounds[i]);

    /* Chi-square with 9 degrees of freedom: above 40 once in 100 000 seeds, and this seed is
       fixed. */
    enum { CELLS = 10, DRAWS = 100000 };
    double cells[CELLS] = {0}, chi = 0;
    for (int i = 0; i < DRAWS; i++)
        cells[rng_below(&rng, CELLS)]++;
    for (int i = 0; i < CELLS; i++)
        chi += (cells[i] - DRAWS / CELLS) * (cells[i] - DRAWS / CELLS) / (DRAWS / CELLS);
    assert_true(chi < 40);

    /* With a bound of 3/4 of the range, a plain modulo would make the lower third twice as
       likely. */
    int lower = 0;
    for (int i = 0; i < 30000; i++)
        lower += rng_below(&rng, UINT64_C(3) << 62) < UINT64_C(1) << 62;
    assert_in_range(lower, 9500, 10500);
}

/* x with x * odd = 1 modulo 2^64, by Newton's steps: each doubles the bits that are right. */
static uint64_t inverse(uint64_t odd)
{
    uint64_t x = odd;
    for (int i = 0; i < 6; i++)
        x *= 2 - odd * x;
    return x;
}

static void unit_stays_below_one(void **state)
{
    (void)state;
    struct rng rng;
    double sum = 0;
    rng_seed(&rng, 6);
    for (int i = 0; i < 100000; i++) {
        double draw = rng_unit(&rng);
        assert_true(draw >= 0 && draw < 1);
        sum += draw;
    }
    assert_true(sum > 49000 && sum < 51000);

    /* The state whose next output has all bits set: the output function run backwards. */
    uint64_t rotated = UINT64_MAX * inverse(9);
    struct rng largest = {.state = {[1] = (rotated >> 7 | rotated << 57) * inverse(5)}};
    struct rng copy = largest;
    assert_true(rng_next(&copy) == UINT64_MAX);
    assert_true(rng_unit(&largest) < 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(xoshiro_matches_the_reference_implementation),
        cmocka_unit_test(seeding_matches_the_reference_splitmix64),
        cmocka_unit_test(siphash_matches_all_published_vectors),
        cmocka_unit_test(siphash_counts_the_length_modulo_256),
        cmocka_unit_test(the_same_seed_repeats_and_purposes_are_independent),
        cmocka_unit_test(below_is_uniform_and_within_its_bound),
        cmocka_unit_test(unit_stays_below_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
