/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One run on several machines: which part of it this process is. Engines that start such runs tell
 * each process its rank by the environment; nothing else is needed of them.
 */
#include "shard.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Those with a size are found by themselves; a rank alone needs --shards. */
static const struct engine {
    const char *rank, *size;
    const char *first; /* the lowest rank: a variable, or a number; NULL: 0 */
    const char *also;  /* must be there too */
} engines[] = {
    {.rank = "SLURM_PROCID",
     .size = "SLURM_NTASKS",
     .also = "SLURM_STEP_ID"}, /* not a batch script */
    {.rank = "OMPI_COMM_WORLD_RANK", .size = "OMPI_COMM_WORLD_SIZE"},
    {.rank = "PMI_RANK", .size = "PMI_SIZE"},
    {.rank = "JOB_COMPLETION_INDEX"},
    {.rank = "SLURM_ARRAY_TASK_ID", .first = "SLURM_ARRAY_TASK_MIN"},
    {.rank = "PARALLEL_SEQ", .first = "1"},
};

static bool take_number(const char *text, char end, uint64_t *ret_number)
{
    char *rest;

    errno = 0;
    unsigned long long number = strtoull(text, &rest, 10);
    if (*text < '0' || *text > '9' || *rest != end || errno != 0)
        return false;
    *ret_number = number;
    return true;
}

static bool take_variable(const char *name, uint64_t *ret_number)
{
    const char *text = getenv(name);

    return text && take_number(text, 0, ret_number);
}

/* The first rank: a number, or a variable that has it. */
static uint64_t first_of(const struct engine *engine)
{
    uint64_t first = 0;

    if (engine->first && !take_number(engine->first, 0, &first))
        (void)take_variable(engine->first, &first);
    return first;
}

/* What started us, if it says which of how many we are. */
static const struct engine *find_engine(uint64_t shards, uint64_t *ret_rank, uint64_t *ret_size)
{
    for (size_t i = 0; i < CLI_ARRAY_SIZE(engines); i++) {
        const struct engine *engine = &engines[i];
        uint64_t rank, size = shards, first = first_of(engine);

        if (!take_variable(engine->rank, &rank) || rank < first ||
            (engine->also && !getenv(engine->also)))
            continue;
        if (engine->size ? !take_variable(engine->size, &size) : !shards)
            continue;
        *ret_rank = rank - first;
        *ret_size = size;
        return engine;
    }
    return NULL;
}

static int check_shard(const struct command *command, const char *by, uint64_t rank, uint64_t size)
{
    if (rank < size)
        return 0;
    return usage_error(command, "%s: there is no shard %llu of %llu: they count from 0", by,
                       (unsigned long long)rank, (unsigned long long)size);
}

static int read_shard(const struct command *command, const char *text, uint64_t *ret_rank,
                      uint64_t *ret_size)
{
    const char *slash = strchr(text, '/');

    if (!slash || !take_number(text, '/', ret_rank) || !take_number(slash + 1, 0, ret_size))
        return usage_error(command, "--shard: \"%s\" is none of RANK/SIZE such as 0/4, or none",
                           text);
    return check_shard(command, "--shard", *ret_rank, *ret_size);
}

int choose_shard(const struct command *command, const struct shard_options *options,
                 struct common_options *common)
{
    const struct engine *engine = NULL;
    uint64_t rank = 0, size = 1;
    int status = 0;

    if (options->shard && strcmp(options->shard, "none") == 0)
        return 0;
    if (options->shard) {
        status = read_shard(command, options->shard, &rank, &size);
    } else {
        engine = find_engine(options->shards, &rank, &size);
        if (engine)
            status = check_shard(command, engine->rank, rank, size);
        else if (options->shards)
            return usage_error(command, "--shards %llu: which of them is this? --shard RANK/SIZE",
                               (unsigned long long)options->shards);
    }
    if (status != 0)
        return status;
    if (options->shards && size != options->shards)
        return usage_error(command, "--shards says %llu, and %s that there are %llu",
                           (unsigned long long)options->shards, engine ? engine->size : "--shard",
                           (unsigned long long)size);
    if (size <= 1)
        return 0;
    common->shard = rank;
    common->shards = size;
    if (engine)
        say("this is shard %llu of %llu, by %s", (unsigned long long)rank, (unsigned long long)size,
            engine->rank);
    return 0;
}

char *number_path(const char *path, uint64_t shard)
{
    const char *at = strstr(path, "{}");
    char *numbered = NULL;

    if (!at)
        return strdup(path);
    if (asprintf(&numbered, "%.*s%llu%s", (int)(at - path), path, (unsigned long long)shard,
                 at + 2) < 0)
        return NULL;
    return numbered;
}

/* ---- one moment for all ---- */

static bool take_fraction(const char *text, uint64_t *ret_ns)
{
    uint64_t unit = CLI_NS_PER_S;

    *ret_ns = 0;
    for (; *text >= '0' && *text <= '9'; text++)
        *ret_ns += (uint64_t)(*text - '0') * (unit /= 10);
    return !*text;
}

/* "2026-11-28T17:30:00Z", "17:30" or "17:30:05" of today by the local clock, "@1764350000.5". */
int option_set_start_at(void *options, const struct option_def *option, const char *text,
                        char why[128])
{
    static const struct {
        const char *format;
        bool utc;
    } forms[] = {{"%Y-%m-%dT%H:%M:%SZ", true},
                 {"%Y-%m-%dT%H:%M:%S", false},
                 {"%H:%M:%S", false},
                 {"%H:%M", false}};
    uint64_t *ns = (uint64_t *)(void *)((char *)options + option->offset), fraction = 0;
    char *dot = strchr(text, '.');
    const time_t now = time(NULL);

    if (*text == '@') {
        uint64_t seconds;
        if ((take_number(text + 1, 0, &seconds) ||
             (dot && take_number(text + 1, '.', &seconds) && take_fraction(dot + 1, &fraction))) &&
            seconds < UINT32_MAX) {
            *ns = seconds * CLI_NS_PER_S + fraction;
            return 0;
        }
    }
    for (size_t i = 0; i < CLI_ARRAY_SIZE(forms); i++) {
        struct tm when;
        localtime_r(&now, &when);
        when.tm_sec = 0;
        const char *rest = strptime(text, forms[i].format, &when);
        if (!rest || *rest)
            continue;
        when.tm_isdst = -1;
        time_t seconds = forms[i].utc ? timegm(&when) : mktime(&when);
        if (seconds <= 0)
            break;
        *ns = (uint64_t)seconds * CLI_NS_PER_S;
        return 0;
    }
    snprintf(why, 128, "is no time such as 17:30:00, 2030-01-02T17:30:00Z or @1893605400");
    return -EINVAL;
}
