/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runs a fuzz target without libFuzzer: driver SEED INPUTS BYTES [FILE...] makes INPUTS random
 * inputs of up to BYTES bytes from SEED, and replays files. With an input that fails, its number is
 * on stderr, and the same arguments fail again.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
extern uint64_t fuzz_frames __attribute__((weak));

static uint64_t state;

static uint64_t random64(void)
{
    uint64_t z = (state += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static void replay(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = malloc(1 << 20);
    if (!file || !data) {
        perror(path);
        exit(1);
    }
    size_t len = fread(data, 1, 1 << 20, file);
    fclose(file);
    LLVMFuzzerTestOneInput(data, len);
    free(data);
}

static volatile uint64_t at;

int main(int argc, char **argv)
{
    if (argc < 4) {
        fputs("usage: driver SEED INPUTS BYTES [FILE...]\n", stderr);
        return 2;
    }
    uint64_t seed = strtoull(argv[1], NULL, 10), inputs = strtoull(argv[2], NULL, 10);
    size_t most = strtoul(argv[3], NULL, 10);

    for (int i = 4; i < argc; i++)
        replay(argv[i]);
    for (at = 0; at < inputs; at++) {
        state = seed * UINT64_C(1000003) + at;
        size_t len = (size_t)(random64() % (most + 1));
        uint8_t *data = malloc(len ? len : 1);
        if (!data)
            return 1;
        for (size_t i = 0; i < len; i++)
            data[i] = (uint8_t)random64();
        LLVMFuzzerTestOneInput(data, len);
        free(data);
    }
    printf("%llu inputs", (unsigned long long)inputs);
    if (&fuzz_frames)
        printf(", %llu frames", (unsigned long long)fuzz_frames);
    printf(", seed %llu\n", (unsigned long long)seed);
    return 0;
}
