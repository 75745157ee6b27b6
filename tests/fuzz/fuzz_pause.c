/* SPDX-License-Identifier: BSD-3-Clause */
/* The input is the text of a pause. What is refused is refused in one line; what is drawn has a bound. */
#include <stdlib.h>
#include <string.h>

#include "soak/pause.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const char *const words[] = {"exponential", "uniform", "normal", "lognormal", " ",  "1",
                                    "0",           "9",       ".",      "ms",        "us", "s",
                                    "h",           "m",       "ns",     "5ms"};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct peer_error error = {0};
    struct pause pause;
    struct rng rng;
    char *text = malloc(16 * len + 1), *end = text;

    if (!text)
        abort();
    for (size_t i = 0; i < len; i++) {
        if (data[i] < 0xe0)
            end = stpcpy(end, words[data[i] % 16]);
        else
            *end++ = (char)(data[i] & 0x7f);
    }
    *end = 0;
    rng_seed(&rng, len);
    if (pause_parse(text, &pause, &error) < 0) {
        if (!error.text[0] || strchr(error.text, '\n'))
            abort();
    } else {
        for (int i = 0; i < 8; i++) {
            if (pause_draw_ns(&pause, &rng) > UINT64_C(86400) * 1000000000)
                abort();
        }
    }
    free(text);
    return 0;
}
