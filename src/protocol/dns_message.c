/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Names of a message may end in a pointer to where the rest of them stands (RFC 1035 4.1.4). Each
 * pointer has to lead further back than the last, and there are no more of them than a name can have
 * labels: so none goes round, and a message made of pointers costs no more than others.
 *
 * An answer is looked at as whoever uses it would: the question is the one that was asked, each
 * record ends where its length says, addresses have their size, names in records are names, and
 * nothing follows the last record. It is read where it lies, nothing is kept of it: that is done for
 * each of some hundred thousand a second, which is why no library's parser makes a tree of it.
 */
#include "protocol/dns_message.h"

#include "base/macro.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

enum {
    TYPE_OPT = 41,
    CLASS_IN = 1,
    LABEL_MOST = 63,
    LABELS_MOST = 127,
    POINTER = 0xc0,
    FLAG_QR = 0x80,
    FLAG_TC = 0x02,
    FLAG_RD = 0x01,
    RCODE_FORMERR = 1,
    RCODE_NOTIMP = 4,
    RCODE_REFUSED = 5,
};

/* ---- words ---- */

const char *const dns_rcode_names[DNS_RCODES + 1] = {
    "NOERROR", "FORMERR",  "SERVFAIL",  "NXDOMAIN", "NOTIMP",    "REFUSED", "YXDOMAIN",
    "YXRRSET", "NXRRSET",  "NOTAUTH",   "NOTZONE",  "DSOTYPENI", "RCODE12", "RCODE13",
    "RCODE14", "RCODE15",  "BADVERS",   "BADKEY",   "BADTIME",   "BADMODE", "BADNAME",
    "BADALG",  "BADTRUNC", "BADCOOKIE", "other",    NULL};

struct word {
    const char *text;
    uint16_t number;
};

static const struct word types[] = {
    {"A", 1},           {"NS", 2},      {"CNAME", 5},   {"SOA", 6},       {"PTR", 12},
    {"HINFO", 13},      {"MX", 15},     {"TXT", 16},    {"RP", 17},       {"AFSDB", 18},
    {"SIG", 24},        {"KEY", 25},    {"AAAA", 28},   {"LOC", 29},      {"SRV", 33},
    {"NAPTR", 35},      {"KX", 36},     {"CERT", 37},   {"A6", 38},       {"DNAME", 39},
    {"APL", 42},        {"DS", 43},     {"SSHFP", 44},  {"IPSECKEY", 45}, {"RRSIG", 46},
    {"NSEC", 47},       {"DNSKEY", 48}, {"DHCID", 49},  {"NSEC3", 50},    {"NSEC3PARAM", 51},
    {"TLSA", 52},       {"SMIMEA", 53}, {"HIP", 55},    {"CDS", 59},      {"CDNSKEY", 60},
    {"OPENPGPKEY", 61}, {"CSYNC", 62},  {"ZONEMD", 63}, {"SVCB", 64},     {"HTTPS", 65},
    {"SPF", 99},        {"EUI48", 108}, {"EUI64", 109}, {"URI", 256},     {"CAA", 257},
    {"ANY", 255},       {"*", 255},
};

static const struct word classes[] = {{"IN", 1}, {"CH", 3}, {"CHAOS", 3}, {"HS", 4}, {"ANY", 255}};

/* Digits alone, up to 65535; -1. */
static int number_read(const char *text, size_t len)
{
    int number = 0;

    for (size_t i = 0; i < len; i++) {
        if (!isdigit((unsigned char)text[i]) || number > 6553)
            return -1;
        number = number * 10 + (text[i] - '0');
    }
    return len && number <= UINT16_MAX ? number : -1;
}

static bool is_word(const char *text, size_t len, const char *word)
{
    return strlen(word) == len && strncasecmp(text, word, len) == 0;
}

/* One of `words`, or `prefix` and a number. */
static int word_read(const char *text, size_t len, const struct word *words, size_t count,
                     const char *prefix)
{
    size_t prefix_len = strlen(prefix);

    for (size_t i = 0; i < count; i++) {
        if (is_word(text, len, words[i].text))
            return words[i].number;
    }
    if (len <= prefix_len || strncasecmp(text, prefix, prefix_len) != 0)
        return -1;
    return number_read(text + prefix_len, len - prefix_len);
}

int dns_type_read(const char *text, size_t len)
{
    return word_read(text, len, types, ARRAY_SIZE(types), "TYPE");
}

int dns_class_read(const char *text, size_t len)
{
    return word_read(text, len, classes, ARRAY_SIZE(classes), "CLASS");
}

int dns_rcode_read(const char *text, size_t len)
{
    for (int i = 0; i < DNS_RCODES - 1; i++) {
        if (is_word(text, len, dns_rcode_names[i]))
            return i;
    }
    int number = number_read(text, len);
    return number < DNS_RCODES - 1 ? number : -1;
}

/* ---- a query ---- */

/* One byte of a label, from the escape of it if that is how it is written; how many characters, or
   0. */
static size_t byte_read(const char *text, size_t len, uint8_t *ret_byte)
{
    *ret_byte = (uint8_t)text[0];
    if (text[0] != '\\')
        return 1;
    if (len < 2)
        return 0;
    *ret_byte = (uint8_t)text[1];
    if (!isdigit((unsigned char)text[1]))
        return 2;
    int number = len < 4 ? -1 : number_read(text + 1, 3);
    *ret_byte = (uint8_t)number;
    return number < 0 || number > UINT8_MAX ? 0 : 4;
}

int dns_name_read(const char *text, size_t len, uint8_t out[DNS_NAME_MOST], const char **ret_why)
{
    size_t label = 0, used = 1, step; /* where the length of this label stands, and what follows */
    uint8_t byte;

    if (len == 1 && text[0] == '.')
        len = 0;
    for (size_t at = 0; at < len; at += step) {
        step = byte_read(text + at, len - at, &byte);
        bool dot = step == 1 && byte == '.';
        size_t label_len = used - label - 1;
        *ret_why = !step               ? "a \\ stands before a character, or three digits up to 255"
                   : dot && !label_len ? "a part of it is empty"
                   : !dot && label_len == LABEL_MOST ? "a part of it has more than 63 bytes"
                   : used >= DNS_NAME_MOST - 1       ? "it has more than 255 bytes"
                                                     : NULL;
        if (*ret_why && !(dot && at + 1 == len && label_len))
            return -1;
        if (dot) {
            out[label] = (uint8_t)label_len;
            label = used++;
        } else {
            out[used++] = byte;
        }
    }
    size_t label_len = used - label - 1;
    out[label] = (uint8_t)label_len;
    if (label_len)
        out[used++] = 0;
    return (int)used;
}

static uint8_t *put16(uint8_t *at, unsigned number)
{
    at[0] = (uint8_t)(number >> 8);
    at[1] = (uint8_t)number;
    return at + 2;
}

size_t dns_query_write(const uint8_t *name, size_t name_len, const struct dns_asks *asks,
                       uint8_t out[DNS_QUERY_MOST])
{
    uint8_t *at = out + DNS_HEADER;

    memset(out, 0, DNS_HEADER);
    out[2] = FLAG_RD;
    out[5] = 1;                      /* questions */
    out[11] = asks->edns_bytes != 0; /* additional records */
    memcpy(at, name, name_len);
    at = put16(at + name_len, asks->type);
    at = put16(at, asks->class);
    if (!asks->edns_bytes)
        return (size_t)(at - out);
    *at++ = 0; /* the root (RFC 6891 6.1.2) */
    at = put16(at, TYPE_OPT);
    at = put16(at, asks->edns_bytes);
    at = put16(at, 0); /* upper bits of the RCODE, version */
    at = put16(at, asks->dnssec ? 0x8000 : 0);
    at = put16(at, 0);
    return (size_t)(at - out);
}

/* ---- an answer ---- */

/* What is read, and where. `why` is the first that was wrong. */
struct reader {
    const uint8_t *data;
    size_t len, at;
    const char *why;
};

static unsigned get16(const uint8_t *at)
{
    return (unsigned)(at[0] << 8 | at[1]);
}

static bool wrong(struct reader *reader, const char *why)
{
    reader->why = why;
    return false;
}

/* Steps over a name: its labels, and those that its pointers lead to. */
static bool pass_name(struct reader *reader)
{
    const uint8_t *data = reader->data;
    size_t at = reader->at, bound = at, size = 1;

    for (unsigned hops = 0; hops <= LABELS_MOST; hops++) {
        while (at < reader->len && data[at] && data[at] <= LABEL_MOST && size <= DNS_NAME_MOST) {
            size += data[at] + 1u;
            at += data[at] + 1u;
        }
        if (size > DNS_NAME_MOST)
            return wrong(reader, "a name in it has more than 255 bytes");
        if (at >= reader->len || (data[at] && at + 1 >= reader->len))
            return wrong(reader, "a name in it ends beyond its end");
        if (hops == 0)
            reader->at = at + (data[at] ? 2 : 1);
        if (!data[at])
            return true;
        if (data[at] < POINTER)
            return wrong(reader, "a name in it has a part that is none");
        size_t to = get16(data + at) & 0x3fff;
        if (to >= bound || to < DNS_HEADER)
            break;
        bound = at = to;
    }
    return wrong(reader, "a name in it leads to itself, or nowhere");
}

/* Data of a record that has names in it, or a size of its own: bytes, names, bytes. */
static const struct {
    uint8_t type, before, names, behind;
    bool in_only; /* of the class IN */
} shapes[] = {
    {1, 4, 0, 0, true},   {28, 16, 0, 0, true}, {2, 0, 1, 0, false},
    {5, 0, 1, 0, false},  {6, 0, 2, 20, false}, {12, 0, 1, 0, false},
    {15, 2, 1, 0, false}, {33, 6, 1, 0, true},  {39, 0, 1, 0, false},
};

static bool check_data(struct reader *reader, unsigned type, unsigned class, size_t end)
{
    for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
        if (shapes[i].type != type || (shapes[i].in_only && class != CLASS_IN))
            continue;
        struct reader part = {
            .data = reader->data, .len = end, .at = reader->at + shapes[i].before};
        for (unsigned names = shapes[i].names; names && !part.why; names--)
            pass_name(&part);
        if (part.why || part.at + shapes[i].behind != end)
            return wrong(reader, part.why ? part.why : "the data of a record have the wrong size");
        break;
    }
    return true;
}

static bool pass_record(struct reader *reader, struct dns_answer *answer)
{
    if (!pass_name(reader))
        return false;
    if (reader->len - reader->at < 10)
        return wrong(reader, "a record in it ends beyond its end");
    const uint8_t *fixed = reader->data + reader->at;
    unsigned type = get16(fixed);
    size_t end = reader->at + 10 + get16(fixed + 8);
    if (end > reader->len)
        return wrong(reader, "a record in it ends beyond its end");
    reader->at += 10;
    if (type == TYPE_OPT)
        answer->rcode = (uint16_t)(answer->rcode | fixed[4] << 4);
    else if (!check_data(reader, type, get16(fixed + 2), end))
        return false;
    reader->at = end;
    return true;
}

static bool is_same_question(const uint8_t *question, const uint8_t *asked, size_t name_len)
{
    if (memcmp(question, asked, name_len + 4) == 0)
        return true;
    if (memcmp(question + name_len, asked + name_len, 4) != 0)
        return false;
    for (size_t i = 0; i < name_len; i++) { /* lengths are below any letter */
        if (tolower(question[i]) != tolower(asked[i]))
            return false;
    }
    return true;
}

/* Of a name of ours, which is whole. */
static size_t name_length(const uint8_t *name)
{
    size_t len = 0;

    while (name[len])
        len += name[len] + 1u;
    return len + 1;
}

/* Who does not understand a query, or does not want to, may leave out what it asks. */
static bool may_lack_question(unsigned rcode)
{
    return rcode == RCODE_FORMERR || rcode == RCODE_NOTIMP || rcode == RCODE_REFUSED;
}

static bool check_question(struct reader *reader, const uint8_t *query, unsigned rcode,
                           size_t *ret_other)
{
    const uint8_t *asked = query + DNS_HEADER;
    unsigned count = get16(reader->data + 4);

    if (count == 0 && may_lack_question(rcode))
        return true;
    if (count != 1)
        return wrong(reader,
                     count ? "it has several questions" : "it does not say what it answers");
    size_t name_len = name_length(asked);
    size_t begin = reader->at;
    if (!pass_name(reader))
        return false;
    if (reader->len - reader->at < 4)
        return wrong(reader, "its question ends beyond its end");
    if (reader->at - begin != name_len ||
        !is_same_question(reader->data + begin, asked, name_len)) {
        *ret_other = begin;
        return wrong(reader, "it answers another question");
    }
    reader->at += 4;
    return true;
}

const char *dns_answer_read(const uint8_t *data, size_t len, const uint8_t *query,
                            struct dns_answer *ret_answer, size_t *ret_other)
{
    struct reader reader = {.data = data, .len = len, .at = DNS_HEADER};

    *ret_other = 0;
    if (len < DNS_HEADER)
        return "it is shorter than the header of a DNS message";
    if (!(data[2] & FLAG_QR))
        return "it is a query itself";
    ret_answer->rcode = data[3] & 0x0f;
    ret_answer->truncated = data[2] & FLAG_TC;
    if (!check_question(&reader, query, ret_answer->rcode, ret_other) || ret_answer->truncated)
        return reader.why;
    unsigned records = get16(data + 6) + get16(data + 8) + get16(data + 10);
    while (records-- && pass_record(&reader, ret_answer))
        ;
    if (!reader.why && reader.at != len)
        reader.why = "bytes follow its last record";
    return reader.why;
}
