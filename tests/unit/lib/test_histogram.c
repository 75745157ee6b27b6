/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Histograms as callers hold them: what is recorded, added, written and read stays what it was.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <math.h>
#include <peer/soak.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct peer_histogram *filled(unsigned from, unsigned to)
{
    struct peer_histogram *histogram = peer_histogram_new();

    assert_non_null(histogram);
    for (unsigned us = from; us <= to; us++)
        assert_int_equal(peer_histogram_record(histogram, us, 1), 0);
    return histogram;
}

static void assert_near(double is, double should)
{
    assert_true(is > should * 0.999 && is < should * 1.001); /* three digits */
}

static void assert_same(const struct peer_histogram *a, const struct peer_histogram *b)
{
    struct peer_latency of_a, of_b;

    peer_histogram_get_summary(a, &of_a);
    peer_histogram_get_summary(b, &of_b);
    assert_memory_equal(&of_a, &of_b, sizeof(of_a));
    for (int tenth = 0; tenth <= 1000; tenth++)
        assert_true(peer_histogram_percentile(a, tenth / 10.0) ==
                    peer_histogram_percentile(b, tenth / 10.0));
}

static void a_summary_is_of_what_was_recorded(void **state)
{
    struct peer_histogram *histogram = filled(1, 1000);
    struct peer_latency found;

    (void)state;
    peer_histogram_get_summary(histogram, &found);
    assert_int_equal(found.count, 1000);
    assert_near(found.min, 1);
    assert_near(found.mean, 500.5);
    assert_near(found.p50, 500);
    assert_near(found.p90, 900);
    assert_near(found.p99, 990);
    assert_near(found.p999, 999);
    assert_near(found.max, 1000);
    assert_near(peer_histogram_percentile(histogram, 25), 250);
    assert_near(peer_histogram_percentile(histogram, 1e9), 1000);
    peer_histogram_clear(histogram);
    peer_histogram_get_summary(histogram, &found);
    assert_memory_equal(&found, &(struct peer_latency){0}, sizeof(found));
    assert_true(peer_histogram_percentile(histogram, 50) == 0);
    assert_null(peer_histogram_free(histogram));
    assert_null(peer_histogram_free(NULL));
}

static void what_is_no_latency_is_refused(void **state)
{
    struct peer_histogram *histogram = filled(1, 1), *more = filled(1, 1);
    struct peer_latency found;

    (void)state;
    assert_int_equal(peer_histogram_record(histogram, -1, 1), -EINVAL);
    assert_int_equal(peer_histogram_record(histogram, (double)NAN, 1), -EINVAL);
    assert_int_equal(peer_histogram_record(histogram, 1, UINT64_MAX), -EOVERFLOW);
    assert_int_equal(peer_histogram_record(more, 1, (UINT64_C(1) << 48) - 1), 0);
    assert_int_equal(peer_histogram_add(more, histogram), -EOVERFLOW);
    assert_int_equal(peer_histogram_record(histogram, 1, 0), 0);
    assert_int_equal(peer_histogram_record(histogram, 0.25, 1), 0);
    peer_histogram_get_summary(histogram, &found);
    assert_int_equal(found.count, 2);
    assert_near(found.min, 0.25);
    assert_int_equal(peer_histogram_record(histogram, (double)INFINITY, 1), 0);
    peer_histogram_get_summary(histogram, &found);
    assert_near(found.max, 3600e6);
    peer_histogram_free(histogram);
    peer_histogram_free(more);
}

static void parts_make_the_whole(void **state)
{
    struct peer_histogram *low = filled(1, 300), *high = filled(301, 5000), *all = filled(1, 5000);

    (void)state;
    assert_int_equal(peer_histogram_add(low, high), 0);
    assert_same(low, all);
    peer_histogram_free(low);
    peer_histogram_free(high);
    peer_histogram_free(all);
}

static FILE *written(const struct peer_histogram *histogram)
{
    FILE *file = tmpfile();

    assert_non_null(file);
    assert_int_equal(peer_histogram_write(histogram, fileno(file)), 0);
    assert_int_equal(lseek(fileno(file), 0, SEEK_SET), 0);
    return file;
}

static void it_is_read_as_it_was_written(void **state)
{
    struct peer_histogram *histogram = filled(1, 2000), *again = NULL;
    struct peer_error error = {0};
    FILE *file = written(histogram);

    (void)state;
    assert_int_equal(peer_histogram_read(fileno(file), &again, &error), 0);
    assert_same(histogram, again);
    fclose(file);
    peer_histogram_free(histogram);
    peer_histogram_free(again);
}

static void each_part_of_one_is_none(void **state)
{
    struct peer_histogram *histogram = filled(1, 50), *again = NULL;
    FILE *file = written(histogram);
    off_t len = lseek(fileno(file), 0, SEEK_END);

    (void)state;
    assert_true(len > 50);
    while (len-- > 0) {
        struct peer_error error = {0};
        assert_int_equal(ftruncate(fileno(file), len), 0);
        assert_int_equal(lseek(fileno(file), 0, SEEK_SET), 0);
        assert_int_equal(peer_histogram_read(fileno(file), &again, &error), -EINVAL);
        assert_non_null(strstr(error.text, "it is "));
        assert_null(again);
    }
    assert_int_equal(peer_histogram_read(-1, &again, NULL), -EBADF);
    assert_int_equal(peer_histogram_write(histogram, -1), -EBADF);
    fclose(file);
    peer_histogram_free(histogram);
}

static void it_is_printed_as_others_do(void **state)
{
    struct peer_histogram *histogram = filled(1, 100);
    char text[8192];
    FILE *file = tmpfile();

    (void)state;
    assert_non_null(file);
    assert_int_equal(peer_histogram_print(histogram, fileno(file)), 0);
    rewind(file);
    size_t len = fread(text, 1, sizeof(text) - 1, file);
    text[len] = 0;
    assert_non_null(strstr(text, "Value   Percentile   TotalCount 1/(1-Percentile)"));
    assert_non_null(strstr(text, "Total count    =          100"));
    assert_int_equal(peer_histogram_print(histogram, -1), -EBADF);
    fclose(file);
    peer_histogram_free(histogram);
}

static void those_of_a_result_can_be_had(void **state)
{
    struct peer_histogram *histogram = filled(1, 10);
    struct peer_result *result = peer_result_new();
    struct peer_latency found;

    (void)state;
    assert_int_equal(peer_result_get_histogram(result, PEER_HISTOGRAM_REQUEST, histogram), 0);
    assert_int_equal(
        peer_result_get_histogram(result, (enum peer_soak_histogram)7, histogram), -EINVAL);
    assert_int_equal(peer_result_get_histogram(result, PEER_HISTOGRAM_REQUEST, NULL), -EINVAL);
    assert_int_equal(peer_result_print_histogram(result, (enum peer_soak_histogram)7, 1), -EINVAL);
    peer_histogram_get_summary(histogram, &found);
    assert_int_equal(found.count, 10); /* nothing was added */
    peer_result_free(result);
    peer_histogram_free(histogram);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_summary_is_of_what_was_recorded),
        cmocka_unit_test(what_is_no_latency_is_refused),
        cmocka_unit_test(parts_make_the_whole),
        cmocka_unit_test(it_is_read_as_it_was_written),
        cmocka_unit_test(each_part_of_one_is_none),
        cmocka_unit_test(it_is_printed_as_others_do),
        cmocka_unit_test(those_of_a_result_can_be_had),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
