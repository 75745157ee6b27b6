/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A page has the figures of its results, whatever words are in them, and says when it shows less.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "report/view.h"
#include "soak/result.h"

#include <errno.h>
#include <fcntl.h>
#include <hdr/hdr_histogram.h>
#include <peer/report.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* What a browser would run, were it not text. */
#define EVIL "\"'><script>alert(1)</script><img src=x onerror=alert(2)>\xff\xe2\x80\xae&lt;"

enum { INTERVALS = 1500, PER_INTERVAL = 4 };

/* ---- results ---- */

static void add_part(struct result *result, const char *words)
{
    struct result_part part = {.peer_count = 5, .flows = 7, .seed = 9, .started_ns = 1000};

    snprintf(part.version, sizeof(part.version), "%.30s", words);
    snprintf(part.host, sizeof(part.host), "%s", words);
    snprintf(part.protocol, sizeof(part.protocol), "%.30s", words);
    snprintf(part.target, sizeof(part.target), "%.60s", words);
    snprintf(part.peers, sizeof(part.peers), "%s", words);
    assert_int_equal(result_add_part(result, &part), 0);
}

static void add_interval(struct result *result, uint64_t index, uint64_t ns)
{
    struct result_interval interval = {
        .start_ns = index * 1000000000, .length_ns = 1000000000, .open = index % 10};
    struct hdr_histogram *histogram;

    assert_int_equal(histogram_new(&histogram), 0);
    hdr_record_values(histogram, (int64_t)ns, PER_INTERVAL);
    interval.counts.completed = PER_INTERVAL;
    interval.counts.timeout = index % 2;
    assert_int_equal(packed_from(histogram, &interval.request), 0);
    assert_int_equal(result_take_interval(result, &interval), 0);
    hdr_add(result->found.histograms[PEER_HISTOGRAM_REQUEST], histogram);
    hdr_close(histogram);
}

static struct result new_result(const char *words, uint64_t intervals)
{
    struct result result;

    assert_int_equal(result_init(&result), 0);
    result.duration_ns = intervals * 1000000000;
    result.found.counts.completed = result.found.in_time.completed = intervals * PER_INTERVAL;
    result.found.counts.established = 17;
    result.found.counts.timeout = 23;
    result.local.listen_overflows = 42;
    snprintf(result.found.first_errors[PEER_SOAK_TIMEOUT], RESULT_ERROR_TEXT, "%s", words);
    for (uint64_t i = 0; i < intervals; i++)
        add_interval(&result, i, 1000 * (i + 1));
    add_part(&result, words);
    return result;
}

/* As callers hold it: by way of its bytes. */
static struct peer_result *given(struct result *result)
{
    struct peer_result *as_given = NULL;
    struct peer_error error;
    int fd = memfd_create("result", MFD_CLOEXEC);

    assert_int_equal(result_write(result, fd), 0);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    assert_int_equal(peer_result_read(fd, &as_given, &error), 0);
    close(fd);
    result_done(result);
    return as_given;
}

static char *page_of(const struct peer_report_config *config, size_t *ret_len)
{
    int fd = memfd_create("page", MFD_CLOEXEC);
    assert_int_equal(peer_report_write(config, fd), 0);
    off_t len = lseek(fd, 0, SEEK_END);
    char *page = calloc(1, (size_t)len + 1);

    assert_non_null(page);
    assert_int_equal(pread(fd, page, (size_t)len, 0), len);
    close(fd);
    *ret_len = (size_t)len;
    return page;
}

static size_t count_of(const char *text, const char *word)
{
    size_t count = 0;

    for (; (text = strstr(text, word)); text += strlen(word))
        count++;
    return count;
}

/* ---- words ---- */

static void say_evil(struct result *result)
{
    struct result_step step = {.rate = 5, .p99_us = 7};
    struct answers answers = {.count = 3};
    struct result_change change = {.at_ns = 1500000000};
    struct result_share *share = result_new_share(result);

    snprintf(step.why_not, sizeof(step.why_not), "%s", EVIL);
    assert_int_equal(result_add_step(result, &step), 0);
    snprintf(change.words, sizeof(change.words), "%s", EVIL);
    assert_int_equal(result_add_change(result, &change), 0);
    assert_int_equal(result_add_objective(result, EVIL), 0);
    assert_non_null(share);
    snprintf(share->spec, sizeof(share->spec), "%s", EVIL);
    snprintf(share->name, sizeof(share->name), "%.30s", EVIL);
    snprintf(answers.kind, sizeof(answers.kind), "%.20s", EVIL);
    snprintf(answers.name, sizeof(answers.name), "%.20s", EVIL);
    result->found.answers[0] = answers;
    snprintf(result->found.cannot_open, RESULT_OPEN_TEXT, "%.150s", EVIL);
    snprintf(result->found.tls_agreed, RESULT_TLS_TEXT, "%s", EVIL);
    assert_int_equal(figures_list(&result->found, 1), 0);
    result->found.targets[0].name = strdup(EVIL);
    result->found.targets[0].completed = 1;
}

static void no_word_from_outside_is_run(void **state)
{
    struct result plain = new_result("plain", 3), evil = new_result(EVIL, 3);
    say_evil(&evil);
    struct peer_result *results[] = {given(&plain), given(&evil), NULL};
    const char *const names[] = {EVIL, EVIL, EVIL};
    size_t len;

    (void)state;
    results[2] = results[1];
    struct peer_report_config config = {.results = (const struct peer_result *const *)results,
                                        .result_count = 1};
    char *page = page_of(&config, &len);
    const size_t scripts = count_of(page, "<script");
    free(page);
    for (size_t count = 1; count <= 2; count++) {
        config =
            (struct peer_report_config){.results = (const struct peer_result *const *)results + 1,
                                        .result_count = count,
                                        .names = names,
                                        .title = EVIL};
        page = page_of(&config, &len);
        assert_int_equal(strlen(page), len);
        assert_int_equal(count_of(page, "<script"), scripts);
        assert_int_equal(count_of(page, "<img"), 0);
        assert_int_equal(count_of(page, "\xff"), 0);
        assert_true(count_of(page, "&lt;script&gt;alert(1)") > 5); /* it is there, as text */
        free(page);
    }
    peer_result_free(results[0]);
    peer_result_free(results[1]);
}

/* ---- numbers ---- */

static void assert_figure(const char *page, const char *path, const char *number)
{
    char cell[200];

    snprintf(cell, sizeof(cell), "data-v=\"%s\" data-json=\"%s\"", number, path);
    if (!strstr(page, cell))
        fail_msg("no %s", cell);
}

static void figures_are_those_of_the_result(void **state)
{
    struct result result = new_result("plain", 4);
    struct peer_result *results[] = {given(&result)};
    const struct peer_report_config config = {.results = (const struct peer_result *const *)results,
                                              .result_count = 1};
    size_t len;
    char *page = page_of(&config, &len);

    (void)state;
    assert_figure(page, "requests.completed", "16");
    assert_figure(page, "requests.per_s", "4");
    assert_figure(page, "errors.total", "23");
    assert_figure(page, "errors.timeout", "23");
    assert_figure(page, "connections.established", "17");
    assert_figure(page, "local.listen_overflows", "42");
    struct peer_soak_report report;
    char number[32];
    peer_result_get_report(results[0], &report);
    assert_true(report.request.max >= 4 && report.request.max < 4.01);
    snprintf(number, sizeof(number), "%.15g", report.request.max);
    assert_figure(page, "latency_us.request.max", number);
    snprintf(number, sizeof(number), "%.15g", report.request.p50);
    assert_figure(page, "latency_us.request.p50", number);
    assert_non_null(strstr(page, "id=\"plot-rate\""));
    assert_null(strstr(page, "thinned"));
    free(page);
    peer_result_free(results[0]);
}

/* ---- many intervals ---- */

static void thinned_points_have_all_samples(void **state)
{
    struct result result = new_result("plain", INTERVALS);
    struct peer_result *as_given = given(&result);
    struct view view;
    uint64_t completed = 0, timeouts = 0;

    (void)state;
    assert_int_equal(view_init(&view, as_given, POINTS_MOST), 0);
    assert_int_equal(view.intervals, INTERVALS);
    assert_true(view.point_count <= POINTS_MOST);
    for (size_t i = 0; i < view.point_count; i++) {
        const struct point *point = &view.points[i];
        const uint64_t first = i * view.per_point, last = first + (uint64_t)point->length_s - 1;
        completed += point->counts.completed;
        timeouts += point->counts.timeout;
        assert_int_equal((uint64_t)point->start_s, first);
        assert_int_equal(point->open, last % 10);
        /* Sample k took k + 1 us: three digits of the longest, and of the one in the middle. */
        assert_true(point->max_us >= (double)(last + 1) &&
                    point->max_us <= (double)(last + 1) * 1.001);
        const double middle = (double)(first + (last - first) / 2 + 1);
        assert_true(point->p50_us >= middle && point->p50_us <= middle * 1.001);
    }
    assert_int_equal(completed, (uint64_t)INTERVALS * PER_INTERVAL);
    assert_int_equal(timeouts, INTERVALS / 2);
    view_done(&view);
    peer_result_free(as_given);
}

static void a_long_series_is_a_small_page_that_says_so(void **state)
{
    struct result result = new_result("plain", INTERVALS);
    struct peer_result *results[] = {given(&result)};
    const struct peer_report_config config = {.results = (const struct peer_result *const *)results,
                                              .result_count = 1};
    size_t len;
    char *page = page_of(&config, &len);

    (void)state;
    assert_true(len < 1000000);
    assert_non_null(strstr(page, "each point is 3 of 1500 intervals"));
    free(page);
    peer_result_free(results[0]);
}

static void a_result_of_nothing_is_a_page(void **state)
{
    struct peer_result *results[] = {peer_result_new()};
    const struct peer_report_config config = {.results = (const struct peer_result *const *)results,
                                              .result_count = 1};
    size_t len;
    char *page = page_of(&config, &len);

    (void)state;
    assert_non_null(strstr(page, "No connection was established"));
    assert_non_null(strstr(page, "no plots over time"));
    free(page);
    peer_result_free(results[0]);
}

/* ---- what cannot be ---- */

static void what_cannot_be_is_refused(void **state)
{
    struct {
        struct peer_report_config known;
        uint64_t later;
    } config = {.known = {.result_count = 0}};
    struct peer_result *results[PEER_REPORT_RESULTS + 1] = {peer_result_new()};
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);

    (void)state;
    config.known.results = (const struct peer_result *const *)results;
    assert_int_equal(peer_report_write(&config.known, full), -EINVAL);
    config.known.result_count = PEER_REPORT_RESULTS + 1;
    assert_int_equal(peer_report_write(&config.known, full), -EINVAL);
    config.known.result_count = 1;
    config.later = 1;
    assert_int_equal(peer_report_write_sized(&config.known, sizeof(config), full), -E2BIG);
    config.later = 0;
    assert_int_equal(peer_report_write_sized(&config.known, sizeof(config), full), -ENOSPC);
    assert_int_equal(peer_report_write(NULL, full), -EINVAL);
    close(full);
    peer_result_free(results[0]);
}

/* A file may say anything that can be read. */
static void results_that_were_changed_do_no_harm(void **state)
{
    struct result result = new_result("plain", 3);
    struct peer_error error;
    uint8_t bytes[16384];
    uint32_t drawn = 1;
    size_t written = 0;
    int fd = memfd_create("result", MFD_CLOEXEC), null = open("/dev/null", O_WRONLY | O_CLOEXEC);

    (void)state;
    say_evil(&result);
    assert_int_equal(result_write(&result, fd), 0);
    result_done(&result);
    ssize_t len = pread(fd, bytes, sizeof(bytes), 0);
    assert_true(len > 100 && len < (ssize_t)sizeof(bytes));
    for (int i = 0; i < 120; i++) {
        struct peer_result *changed = NULL;
        drawn = drawn * 1664525 + 1013904223;
        const size_t at = 14 + (drawn >> 8) % (size_t)(len - 14);
        const uint8_t was = bytes[at];
        bytes[at] = (uint8_t)(drawn >> 24);
        assert_int_equal(pwrite(fd, bytes, (size_t)len, 0), len);
        assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
        bytes[at] = was;
        if (peer_result_read(fd, &changed, &error) < 0)
            continue;
        const struct peer_result *const results[] = {changed, changed};
        const struct peer_report_config config = {.results = results,
                                                  .result_count = 1 + (size_t)i % 2};
        assert_int_equal(peer_report_write(&config, null), 0);
        peer_result_free(changed);
        written++;
    }
    assert_true(written > 20);
    close(fd);
    close(null);
}

/* ---- what results keep for it ---- */

static void notes_are_kept(void **state)
{
    struct peer_result *result = peer_result_new(), *sum = peer_result_new();
    struct peer_search_step step = {.rate = 500, .reached = 499, .p99_us = 12, .why_not = "late"};
    struct peer_histogram *histogram = peer_histogram_new();
    struct peer_slo *slo;

    (void)state;
    assert_int_equal(peer_slo_new("p99<20ms", &slo, NULL), 0);
    assert_int_equal(peer_result_note_objective(result, slo), 0);
    assert_int_equal(peer_result_note_objective(result, slo), 0);
    assert_int_equal(peer_result_note_step(result, &step), 0);
    assert_int_equal(peer_result_add(sum, result), 0);
    assert_int_equal(peer_result_add(sum, result), 0);
    assert_string_equal(peer_result_get_objective(sum, 0), "p99<20ms");
    assert_null(peer_result_get_objective(sum, 1));
    step = (struct peer_search_step){.rate = 0};
    assert_int_equal(peer_result_get_step(sum, 1, &step), 1);
    assert_true(step.rate == 500 && step.reached == 499 && step.p99_us == 12 && !step.kept);
    assert_string_equal(step.why_not, "late");
    assert_int_equal(peer_result_get_step(sum, 2, &step), 0);
    assert_int_equal(peer_result_get_interval_histogram(sum, 0, histogram), -EINVAL);
    peer_histogram_free(histogram);
    peer_slo_free(slo);
    peer_result_free(result);
    peer_result_free(sum);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_word_from_outside_is_run),
        cmocka_unit_test(figures_are_those_of_the_result),
        cmocka_unit_test(thinned_points_have_all_samples),
        cmocka_unit_test(a_long_series_is_a_small_page_that_says_so),
        cmocka_unit_test(a_result_of_nothing_is_a_page),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(results_that_were_changed_do_no_harm),
        cmocka_unit_test(notes_are_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
