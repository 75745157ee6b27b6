/* SPDX-License-Identifier: BSD-3-Clause */
/* Frames of WebSocket, beside those of wslay; masks, text and codes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <wslay/wslay.h>

#include "base/macro.h"
#include "base/rng.h"
#include "protocol/ws_frame.h"
#include "protocol/ws_text.h"
#include "soak/pattern.h"
#include "tls/digest.h"

enum { BYTES = 512, FRAMES = 64 };

/* What a reader makes of bytes. */
struct found {
    bool wrong;
    size_t count, sum; /* of frames, and of their payload's bytes */
    struct {
        uint8_t opcode;
        bool final;
        uint64_t len;
    } frames[FRAMES];
};

/* The rules of wslay's layer of frames alone. */
static bool is_ours_alone(const char *why)
{
    return strstr(why, "reserved bits") || strstr(why, "means nothing") || strstr(why, "masked") ||
           strstr(why, "continues") || strstr(why, "before the last");
}

static void note(struct found *found, uint8_t opcode, bool final, uint64_t len)
{
    if (found->count == FRAMES)
        return;
    found->frames[found->count].opcode = opcode;
    found->frames[found->count].final = final;
    found->frames[found->count++].len = len;
}

static void read_ours(const uint8_t *data, size_t len, size_t step, struct found *found,
                      const char **why)
{
    struct ws_reader reader = {0};
    struct ws_piece piece;
    bool has;

    for (size_t at = 0; at < len;) {
        ssize_t part = ws_reader_take(&reader, data + at, MIN(step, len - at), &piece, &has, why);
        if (part < 0) {
            found->wrong = true;
            return;
        }
        assert_true(part > 0 || (has && !piece.len));
        at += (size_t)part;
        if (!has)
            continue;
        found->sum += piece.len;
        if (piece.begins)
            note(found, reader.head[0] & 0x0f, piece.final, piece.len + piece.left);
    }
}

struct feed {
    const uint8_t *data;
    size_t len;
};

static ssize_t give(uint8_t *out, size_t len, int flags, void *user)
{
    struct feed *feed = user;
    size_t part = MIN(len, feed->len);

    (void)flags;
    memcpy(out, feed->data, part);
    feed->data += part;
    feed->len -= part;
    return part ? (ssize_t)part : -1;
}

static void read_theirs(const uint8_t *data, size_t len, struct found *found)
{
    const struct wslay_frame_callbacks callbacks = {.recv_callback = give};
    struct feed feed = {data, len};
    struct wslay_frame_iocb frame;
    wslay_frame_context_ptr context;
    uint64_t left = 0;
    ssize_t got;

    assert_int_equal(wslay_frame_context_init(&context, &callbacks, &feed), 0);
    memset(&frame, 0, sizeof(frame));
    while ((got = wslay_frame_recv(context, &frame)) >= 0) {
        if (!left)
            note(found, frame.opcode, frame.fin, left = frame.payload_length);
        left -= frame.data_length;
        found->sum += frame.data_length;
    }
    found->wrong = got == WSLAY_ERR_PROTO;
    wslay_frame_context_free(context);
}

/* Frames of servers, most of them right. */
static size_t make_frames(struct rng *rng, uint8_t *out)
{
    static const uint8_t opcodes[] = {0, 1, 2, 8, 9, 10, 1, 2, 9, 2};
    static const uint8_t lengths[] = {0, 1, 5, 125, 126, 127, 20};
    size_t len = 0;

    while (len + 16 < BYTES) {
        uint8_t opcode = opcodes[rng_below(rng, sizeof(opcodes))];
        uint8_t length = lengths[rng_below(rng, sizeof(lengths))];
        bool final = ws_is_control(opcode) ? rng_below(rng, 20) > 0 : rng_below(rng, 2);
        out[len++] = (uint8_t)((final ? 0x80 : 0) | opcode);
        out[len++] = length;
        size_t payload = length;
        if (length == 126 || length == 127) {
            size_t more = length == 126 ? 2 : 8;
            payload = rng_below(rng, 8) ? 130 : 50;
            memset(out + len, rng_below(rng, 30) ? 0 : 0x80, more);
            out[len + more - 1] = (uint8_t)payload;
            len += more;
        }
        for (; payload && len < BYTES; payload--)
            out[len++] = (uint8_t)rng_next(rng);
    }
    return len;
}

static void frames_are_those_of_wslay(void **state)
{
    static size_t compared;
    uint8_t data[BYTES];
    struct rng rng;

    (void)state;
    rng_seed(&rng, 7);
    for (int i = 0; i < 20000; i++) {
        struct found ours = {0}, theirs = {0}, pieces = {0};
        const char *why = "", *again = "";
        size_t len = make_frames(&rng, data), step = 1 + (size_t)rng_below(&rng, 9);
        read_ours(data, len, len, &ours, &why);
        read_ours(data, len, step, &pieces, &again);
        assert_int_equal(ours.wrong, pieces.wrong);
        assert_string_equal(ours.wrong ? why : "", ours.wrong ? again : "");
        assert_int_equal(ours.count, pieces.count);
        assert_memory_equal(ours.frames, pieces.frames, sizeof(ours.frames));
        if (ours.wrong && is_ours_alone(why))
            continue;
        read_theirs(data, len, &theirs);
        assert_int_equal(ours.wrong, theirs.wrong);
        assert_int_equal(ours.sum, theirs.sum);
        /* Of a frame whose payload has not begun wslay tells nothing. */
        assert_in_range(ours.count - theirs.count, 0, 1);
        assert_memory_equal(ours.frames, theirs.frames, theirs.count * sizeof(ours.frames[0]));
        compared++;
    }
    assert_true(compared > 2000);
}

static void a_mask_is_turned_by_its_place(void **state)
{
    static const uint8_t mask[4] = {0x12, 0x34, 0x56, 0x78};
    uint8_t data[100], right[100];

    (void)state;
    for (size_t offset = 0; offset < 9; offset++) {
        for (size_t len = 0; len < 40; len++) {
            for (size_t i = 0; i < sizeof(data); i++) {
                data[i] = (uint8_t)i;
                right[i] = (uint8_t)(i < len ? i ^ mask[(offset + i) % 4] : i);
            }
            ws_mask(data, len, mask, offset);
            assert_memory_equal(data, right, sizeof(data));
        }
    }
}

/* wslay takes our frames apart. */
static void heads_are_as_long_as_needed(void **state)
{
    static const uint64_t lengths[] = {0, 125, 126, 65535, 65536, UINT64_C(1) << 40};
    static const uint8_t mask[4] = {1, 2, 3, 4};
    uint8_t head[WS_HEAD_MOST + 1];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
        struct found found = {0};
        size_t len = ws_head_make(head, WS_TEXT, true, lengths[i], mask);
        assert_int_equal(len, ws_head_bytes(lengths[i]));
        head[len] = 0;
        read_theirs(head, len + (lengths[i] > 0), &found);
        assert_false(found.wrong);
        assert_int_equal(found.count, 1);
        assert_int_equal(found.frames[0].len, lengths[i]);
        assert_int_equal(found.frames[0].opcode, WSLAY_TEXT_FRAME);
    }
}

/* Whole messages are UTF-8 of one line, and any part of one is a part of the whole. */
static void text_is_utf8_wherever_it_is_cut(void **state)
{
    char whole[3001], part[64];
    size_t letters = 0;

    (void)state;
    for (uint64_t size = 1; size <= 3000; size = size < 40 ? size + 1 : size * 3) {
        ws_text_fill(5, 11, size, 0, whole, size);
        assert_true(ws_is_utf8(whole, size));
        for (size_t i = 0; i < size; i++) {
            assert_true((uint8_t)whole[i] > ' ' && whole[i] != 0x7f);
            letters += (uint8_t)whole[i] >= 0x80;
        }
        for (uint64_t at = 0; at < size; at += 7) {
            size_t len = MIN(sizeof(part), (size_t)(size - at));
            ws_text_fill(5, 11, size, at, part, len);
            assert_memory_equal(part, whole + at, len);
        }
        assert_int_equal(ws_text_check(5, 11, size, 0, whole, size), -1);
        whole[size - 1] ^= 1;
        assert_int_equal(ws_text_check(5, 11, size, 0, whole, size), size - 1);
    }
    assert_true(letters > 100);
}

static void utf8_is_that_of_the_rfc(void **state)
{
    static const char *const right[] = {"", "abc", "\xc2\x80", "\xe0\xa0\x80", "\xed\x9f\xbf",
                                        "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf", "a\xc3\xa4z"};
    static const char *const wrong[] = {"\x80", "\xc0\x80", "\xc1\xbf", "\xc2", "\xe0\x9f\xbf",
                                        "\xed\xa0\x80", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80",
                                        "\xf5\x80\x80\x80", "\xff", "a\xe2\x82", "\xe2\x28\xa1"};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(right); i++)
        assert_true(ws_is_utf8(right[i], strlen(right[i])));
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
        assert_false(ws_is_utf8(wrong[i], strlen(wrong[i])));
}

static void codes_that_are_sent(void **state)
{
    static const unsigned never[] = {0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535};
    static const unsigned sent[] = {1000, 1001, 1003, 1007, 1011, 1014, 3000, 4999};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(never); i++)
        assert_false(ws_close_code_is_sent(never[i]));
    for (size_t i = 0; i < ARRAY_SIZE(sent); i++)
        assert_true(ws_close_code_is_sent(sent[i]));
}

/* RFC 6455 1.3. */
static void a_key_is_accepted_by_its_digest(void **state)
{
    static const char key[] = "dGhlIHNhbXBsZSBub25jZQ==258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    uint8_t digest[DIGEST_SHA1_BYTES];
    char text[DIGEST_BASE64_ROOM(DIGEST_SHA1_BYTES)];

    (void)state;
    assert_int_equal(digest_sha1(key, strlen(key), digest), 0);
    digest_base64(digest, sizeof(digest), text);
    assert_string_equal(text, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_are_those_of_wslay),
        cmocka_unit_test(a_mask_is_turned_by_its_place),
        cmocka_unit_test(heads_are_as_long_as_needed),
        cmocka_unit_test(text_is_utf8_wherever_it_is_cut),
        cmocka_unit_test(utf8_is_that_of_the_rfc),
        cmocka_unit_test(codes_that_are_sent),
        cmocka_unit_test(a_key_is_accepted_by_its_digest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
