/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pauses: a word for the distribution, and its times. Normal numbers are made by the method of Box and
 * Muller; a lognormal one is the exponential of one whose mean and deviation follow from those that
 * were asked for.
 */
#include "soak/pause.h"

#include "base/error.h"
#include "base/macro.h"
#include "base/suggest.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PAUSE_MOST_NS (3600.0 * 1e9)
#define DRAWN_MOST_NS (24 * 3600.0 * 1e9)

static const struct {
    const char *name;
    enum pause_kind kind;
    int times;
    const char *needs;
} kinds[] = {
    {"exponential", PAUSE_EXPONENTIAL, 1, "a mean, like 500ms"},
    {"uniform", PAUSE_UNIFORM, 2, "the shortest and the longest time, like 100ms 900ms"},
    {"normal", PAUSE_NORMAL, 2, "a mean and a standard deviation, like 500ms 100ms"},
    {"lognormal", PAUSE_LOGNORMAL, 2, "a mean and a standard deviation, like 500ms 100ms"},
    {"", PAUSE_CONSTANT, 1, "a time, like 500ms"},
};

static const char *take_word(const char **text, size_t *ret_len)
{
    const char *word = *text + strspn(*text, " \t");

    *ret_len = strcspn(word, " \t");
    *text = word + *ret_len;
    return word;
}

/* A number and its unit; without one it is seconds. */
static int read_time(const char *word, size_t len, double *ret_ns)
{
    static const struct {
        const char *name;
        double ns;
    } units[] = {{"", 1e9},  {"ns", 1},   {"us", 1e3},   {"ms", 1e6},
                 {"s", 1e9}, {"m", 60e9}, {"min", 60e9}, {"h", 3600e9}};
    char text[32], digits[32];

    if (!len || len >= sizeof(text))
        return -EINVAL;
    memcpy(text, word, len);
    text[len] = 0;
    size_t count = strspn(text, "0123456789.");
    memcpy(digits, text, count);
    digits[count] = 0;
    if (!strpbrk(digits, "0123456789") || strchr(digits, '.') != strrchr(digits, '.'))
        return -EINVAL;
    for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
        if (strcmp(units[i].name, text + count) == 0) {
            *ret_ns = strtod(digits, NULL) * units[i].ns;
            return 0;
        }
    }
    return -EINVAL;
}

#define REFUSE(...)      error_set(error, PEER_ERROR_USAGE, EINVAL, __VA_ARGS__)
#define SHOWN(word, len) (int)MIN(len, (size_t)40), word

static int refuse_name(const char *word, size_t len, struct peer_error *error)
{
    const char *names[ARRAY_SIZE(kinds)];

    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
        names[i] = kinds[i].times && *kinds[i].name ? kinds[i].name : NULL;
    const char *meant = suggest_word(word, len, names);
    if (meant)
        return REFUSE("\"%.*s\" is no pause; did you mean \"%s\"?", SHOWN(word, len), meant);
    return REFUSE("\"%.*s\" is no pause; it is a time, or exponential, uniform, normal or "
                  "lognormal with its times",
                  SHOWN(word, len));
}

/* The kind that the text begins with, cut off from it. */
static int take_kind(const char **text, size_t *ret_kind, struct peer_error *error)
{
    const char *rest = *text;
    size_t len;
    const char *word = take_word(&rest, &len);

    for (size_t i = 0; i + 1 < ARRAY_SIZE(kinds); i++) {
        if (strlen(kinds[i].name) == len && memcmp(kinds[i].name, word, len) == 0) {
            *text = rest;
            *ret_kind = i;
            return 0;
        }
    }
    if (!strchr("0123456789.", *word) || !*word)
        return refuse_name(word, len, error);
    *ret_kind = ARRAY_SIZE(kinds) - 1;
    return 0;
}

static int take_time(const char **text, size_t kind, double *ret_ns, struct peer_error *error)
{
    size_t len;
    const char *word = take_word(text, &len);

    if (!len)
        return REFUSE("\"%s\" needs %s", kinds[kind].name, kinds[kind].needs);
    if (read_time(word, len, ret_ns) < 0)
        return REFUSE("\"%.*s\" is no time such as 3, 0.2, 200ms or 1m", SHOWN(word, len));
    if (*ret_ns > PAUSE_MOST_NS)
        return REFUSE("\"%.*s\" is too long; an hour is the most", SHOWN(word, len));
    return 0;
}

int pause_parse(const char *text, struct pause *ret_pause, struct peer_error *error)
{
    double times[2] = {0, 0};
    size_t kind = 0, len;

    int status = take_kind(&text, &kind, error);
    for (int i = 0; status == 0 && i < kinds[kind].times; i++)
        status = take_time(&text, kind, &times[i], error);
    if (status < 0)
        return status;
    const char *word = take_word(&text, &len);
    if (len)
        return REFUSE("\"%.*s\" is one word too many; this pause has %s", SHOWN(word, len),
                      kinds[kind].needs);
    if (kinds[kind].kind == PAUSE_UNIFORM && times[1] < times[0])
        return REFUSE("the longest time is shorter than the shortest");
    if (kinds[kind].kind == PAUSE_LOGNORMAL && times[0] <= 0)
        return REFUSE("the mean of a lognormal pause is more than 0");
    *ret_pause = (struct pause){kinds[kind].kind, times[0], times[1]};
    return 0;
}

double pause_exponential_ns(double mean_ns, struct rng *rng)
{
    return -mean_ns * log(1 - rng_unit(rng)); /* of (0, 1] */
}

static double normal(struct rng *rng)
{
    double radius = sqrt(-2 * log(1 - rng_unit(rng)));

    return radius * cos(2 * 3.14159265358979323846 * rng_unit(rng));
}

static double draw(const struct pause *pause, struct rng *rng)
{
    double first = pause->first_ns, second = pause->second_ns;

    switch (pause->kind) {
    case PAUSE_EXPONENTIAL:
        return pause_exponential_ns(first, rng);
    case PAUSE_UNIFORM:
        return first + rng_unit(rng) * (second - first);
    case PAUSE_NORMAL:
        return first + second * normal(rng);
    case PAUSE_LOGNORMAL: {
        double variance = log(1 + second * second / (first * first));
        return exp(log(first) - variance / 2 + sqrt(variance) * normal(rng));
    }
    default:
        return first;
    }
}

uint64_t pause_draw_ns(const struct pause *pause, struct rng *rng)
{
    double ns = draw(pause, rng);

    return ns > 0 ? (uint64_t)(MIN(ns, DRAWN_MOST_NS) + 0.5) : 0;
}
