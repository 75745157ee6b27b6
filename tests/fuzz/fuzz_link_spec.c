/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The input is the text of a link. What is refused is refused in one line; what is accepted has a
 * canonical text that means the same, in either direction.
 */
#include <stdlib.h>
#include <string.h>

#include "link/spec.h"
#include "support/link_spec_format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_refusal(const struct peer_error *error)
{
    if (error->text[0] == '\0' || strchr(error->text, '\n'))
        abort();
}

static void check_canonical(const struct link_spec *spec)
{
    char first[LINK_SPEC_TEXT], second[LINK_SPEC_TEXT];
    struct link_spec again;

    link_spec_format(spec, first);
    if (link_spec_parse(first, LINK_UPLINK, &again, NULL) != 0)
        abort();
    if (strcmp(first, link_spec_format(&again, second)) != 0)
        abort();
    if (link_spec_is_clear(spec) != link_spec_is_clear(&again))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const enum link_direction directions[] = {LINK_UPLINK, LINK_DOWNLINK};
    struct peer_error error = {0};
    struct link_spec spec;

    /* As long as the input, so that the sanitizer sees every step behind its end. */
    char *text = malloc(len + 1);
    if (!text)
        return 0;
    memcpy(text, data, len);
    text[len] = '\0';
    for (int i = 0; i < 2; i++) {
        if (link_spec_parse(text, directions[i], &spec, &error) == 0)
            check_canonical(&spec);
        else
            check_refusal(&error);
    }
    free(text);
    return 0;
}
