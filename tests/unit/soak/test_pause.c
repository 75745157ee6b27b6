/* SPDX-License-Identifier: BSD-3-Clause */
/* Pauses: their words, and what is drawn. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/macro.h"
#include "soak/pause.h"

static void means_and_deviations_are_those_asked_for(void **state)
{
    static const struct {
        const char *text;
        double mean_ms, deviation_ms;
    } rows[] = {
        {"250ms", 250, 0},
        {"exponential 500ms", 500, 500},
        {"uniform 100ms 900ms", 500, 230.94},
        {"normal 500ms 50ms", 500, 50},
        {"lognormal 500ms 300ms", 500, 300},
        {"lognormal 0.5 0", 500, 0},
        {"uniform 1s 1s", 1000, 0},
        {"  exponential\t0.001m ", 60, 60},
        {"normal 10us 0", 0.01, 0},
    };
    enum { DRAWS = 200000 };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct pause pause;
        struct peer_error error = {0};
        struct rng rng;
        double sum = 0, squares = 0;
        if (pause_parse(rows[i].text, &pause, &error) < 0)
            fail_msg("%s", error.text);
        rng_seed(&rng, i);
        for (int k = 0; k < DRAWS; k++) {
            double ms = (double)pause_draw_ns(&pause, &rng) / 1e6;
            sum += ms;
            squares += ms * ms;
        }
        double mean = sum / DRAWS, deviation = sqrt(fmax(squares / DRAWS - mean * mean, 0));
        double off = 5 * rows[i].deviation_ms / sqrt(DRAWS) + 1e-6 * rows[i].mean_ms;
        if (fabs(mean - rows[i].mean_ms) > off ||
            fabs(deviation - rows[i].deviation_ms) > 0.03 * rows[i].deviation_ms + 1e-3)
            fail_msg("%s: mean %f, deviation %f", rows[i].text, mean, deviation);
    }
}

static void what_is_wrong_is_named(void **state)
{
    static const char *const rows[][2] = {
        {"", "no pause"},
        {"exponental 5ms", "did you mean \"exponential\""},
        {"poisson 5ms", "\"poisson\" is no pause"},
        {"exponential", "needs a mean"},
        {"exponential x", "\"x\" is no time"},
        {"exponential 5", NULL},
        {"exponential 5 5", "one word too many"},
        {"uniform 5ms", "needs the shortest"},
        {"uniform 5ms 4ms", "shorter than the shortest"},
        {"normal 2h 1s", "an hour is the most"},
        {"lognormal 0 1s", "more than 0"},
        {"1.2.3s", "no time"},
        {".", "no time"},
        {"5parsec", "no time"},
        {"-5ms", "no pause"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct pause pause = {PAUSE_NONE, 0, 0};
        struct peer_error error = {0};
        int status = pause_parse(rows[i][0], &pause, &error);
        assert_int_equal(status, rows[i][1] ? -EINVAL : 0);
        if (rows[i][1] && !strstr(error.text, rows[i][1]))
            fail_msg("\"%s\": %s", rows[i][0], error.text);
        assert_int_equal(pause.kind, rows[i][1] ? PAUSE_NONE : PAUSE_EXPONENTIAL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(means_and_deviations_are_those_asked_for),
        cmocka_unit_test(what_is_wrong_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
