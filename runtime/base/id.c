/* UUIDs, random bytes and text encodings of bytes. */
#include "flopinio/base/id.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/random.h>

#include "flopinio/base/clock.h"

static _Atomic uint64_t test_seed;

void fl_random_seed(uint64_t seed)
{
    atomic_store(&test_seed, seed);
}

/* splitmix64: for tests that need the same bytes twice, never for secrets. */
static void fill_from_seed(unsigned char *out, size_t n)
{
    while (n) {
        uint64_t z = atomic_fetch_add(&test_seed, 0x9e3779b97f4a7c15ULL) + 0x9e3779b97f4a7c15ULL;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
        z ^= z >> 31;
        size_t take = n < sizeof z ? n : sizeof z;
        memcpy(out, &z, take);
        out += take;
        n -= take;
    }
}

void fl_random(void *out, size_t n)
{
    unsigned char *p = out;
    if (atomic_load(&test_seed)) {
        fill_from_seed(p, n);
        return;
    }
    while (n) {
        ssize_t got = getrandom(p, n, 0);
        if (got < 0) {
            FL_ASSERT(errno == EINTR);
            continue;
        }
        p += got;
        n -= (size_t)got;
    }
}

/* ---- random bytes of ids: taken from the kernel in blocks, one call for many ids. Ids are no
 * secrets; whatever is one comes straight from fl_random. A block is never given out twice: what
 * was taken is wiped, and a forked child begins with a new one. ---- */
#define BLOCK_BYTES 512

struct block {
    unsigned char bytes[BLOCK_BYTES];
    size_t left;
    uint64_t process; /* `processes` when it was filled */
};

static _Thread_local struct block block;
static _Atomic uint64_t processes = 1;

static void on_fork(void)
{
    atomic_fetch_add(&processes, 1);
}

static __attribute__((constructor)) void watch_forks(void)
{
    FL_ASSERT(pthread_atfork(NULL, NULL, on_fork) == 0);
}

static void take_from_block(unsigned char *out, size_t n)
{
    uint64_t process = atomic_load_explicit(&processes, memory_order_relaxed);
    if (atomic_load_explicit(&test_seed, memory_order_relaxed)) {
        fl_random(out, n);
        return;
    }
    if (block.left < n || block.process != process) {
        fl_random(block.bytes, sizeof block.bytes);
        block.left = sizeof block.bytes;
        block.process = process;
    }
    block.left -= n;
    memcpy(out, block.bytes + block.left, n);
    memset(block.bytes + block.left, 0, n);
}

struct fl_uuid fl_uuid_new(void)
{
    return fl_uuid_at(fl_real_ms());
}

struct fl_uuid fl_uuid_at(int64_t at_utc_ms)
{
    struct fl_uuid id;
    uint64_t ms = (uint64_t)at_utc_ms;
    take_from_block(id.b + 6, sizeof id.b - 6);
    for (int i = 0; i < 6; i++)
        id.b[i] = (uint8_t)(ms >> (40 - 8 * i));
    id.b[6] = (uint8_t)(0x70 | (id.b[6] & 0x0f));
    id.b[8] = (uint8_t)(0x80 | (id.b[8] & 0x3f));
    return id;
}

#define HEX_16(h)                                                                                  \
#h "0" #h "1" #h "2" #h "3" #h "4" #h "5" #h "6" #h "7" #h "8" #h "9" #h "a" #h "b" #h "c" #h  \
       "d" #h "e" #h "f"
static const char hex_pairs[] =
    HEX_16(0) HEX_16(1) HEX_16(2) HEX_16(3) HEX_16(4) HEX_16(5) HEX_16(6) HEX_16(7) HEX_16(8)
        HEX_16(9) HEX_16(a) HEX_16(b) HEX_16(c) HEX_16(d) HEX_16(e) HEX_16(f);

char *fl_uuid_format(const struct fl_uuid *id, char out[FL_UUID_TEXT])
{
    /* Where each byte's two digits stand. */
    static const uint8_t at[16] = { 0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34 };
    for (int i = 0; i < 16; i++)
        memcpy(out + at[i], hex_pairs + (size_t)2 * id->b[i], 2);
    out[8] = out[13] = out[18] = out[23] = '-';
    out[FL_UUID_TEXT - 1] = 0;
    return out;
}

static int nibble(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool fl_uuid_parse(struct fl_str text, struct fl_uuid *ret)
{
    struct fl_uuid id;
    if (text.n != FL_UUID_TEXT - 1)
        return false;
    size_t at = 0;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            if (text.p[at++] != '-')
                return false;
        }
        int hi = nibble(text.p[at]), lo = nibble(text.p[at + 1]);
        if (hi < 0 || lo < 0)
            return false;
        id.b[i] = (uint8_t)(hi << 4 | lo);
        at += 2;
    }
    *ret = id;
    return true;
}

bool fl_uuid_is_zero(const struct fl_uuid *id)
{
    static const struct fl_uuid zero;
    return fl_uuid_cmp(id, &zero) == 0;
}

int fl_uuid_cmp(const struct fl_uuid *a, const struct fl_uuid *b)
{
    return memcmp(a->b, b->b, sizeof a->b);
}

char *fl_hex(const void *bytes, size_t n, char *out)
{
    const unsigned char *b = bytes;
    for (size_t i = 0; i < n; i++)
        memcpy(out + 2 * i, hex_pairs + (size_t)2 * b[i], 2);
    out[2 * n] = 0;
    return out;
}

bool fl_unhex(struct fl_str text, void *out, size_t n)
{
    unsigned char *b = out;
    if (text.n != 2 * n)
        return false;
    for (size_t i = 0; i < n; i++) {
        int hi = nibble(text.p[2 * i]), lo = nibble(text.p[2 * i + 1]);
        if (hi < 0 || lo < 0)
            return false;
        b[i] = (unsigned char)(hi << 4 | lo);
    }
    return true;
}

/* All three alphabets are the same machine: k bits a character, padded to whole groups or not. */
struct alphabet {
    const char *chars;
    unsigned bits;
    unsigned group; /* characters a group, for padding; 0 = no padding */
};
static const struct alphabet b64url = {
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", 6, 0
};
static const struct alphabet b64std = {
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", 6, 4
};
static const struct alphabet b32 = { "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 5, 0 };

static void encode(const struct alphabet *a, struct fl_buf *out, const void *bytes, size_t n)
{
    const unsigned char *b = bytes;
    unsigned acc = 0, have = 0, count = 0;
    for (size_t i = 0; i < n; i++) {
        acc = acc << 8 | b[i];
        have += 8;
        while (have >= a->bits) {
            have -= a->bits;
            fl_buf_putc(out, a->chars[acc >> have & ((1u << a->bits) - 1)]);
            count++;
        }
        acc &= (1u << have) - 1;
    }
    if (have) {
        fl_buf_putc(out, a->chars[acc << (a->bits - have) & ((1u << a->bits) - 1)]);
        count++;
    }
    while (a->group && count % a->group) {
        fl_buf_putc(out, '=');
        count++;
    }
}

static bool decode(const struct alphabet *a, struct fl_buf *out, struct fl_str text)
{
    if (a->group) {
        size_t pads = 0;
        if (text.n % a->group)
            return false;
        while (pads < 2 && text.n && text.p[text.n - 1] == '=') {
            text.n--;
            pads++;
        }
        if (text.n == 0 && pads)
            return false;
    }
    unsigned acc = 0, have = 0;
    for (size_t i = 0; i < text.n; i++) {
        const char *at = text.p[i] ? strchr(a->chars, text.p[i]) : NULL;
        if (!at)
            return false;
        acc = acc << a->bits | (unsigned)(at - a->chars);
        have += a->bits;
        if (have >= 8) {
            have -= 8;
            fl_buf_putc(out, (char)(acc >> have));
        }
        acc &= (1u << have) - 1;
    }
    /* Spare bits must be zero and fewer than a character, or two texts would mean one value. */
    return have < a->bits && acc == 0 && !out->is_failed;
}

void fl_b64url(struct fl_buf *out, const void *bytes, size_t n)
{
    encode(&b64url, out, bytes, n);
}

void fl_b64(struct fl_buf *out, const void *bytes, size_t n)
{
    encode(&b64std, out, bytes, n);
}

void fl_b32(struct fl_buf *out, const void *bytes, size_t n)
{
    encode(&b32, out, bytes, n);
}

bool fl_b64url_decode(struct fl_buf *out, struct fl_str text)
{
    return decode(&b64url, out, text);
}

bool fl_b64_decode(struct fl_buf *out, struct fl_str text)
{
    return decode(&b64std, out, text);
}

bool fl_b32_decode(struct fl_buf *out, struct fl_str text)
{
    return decode(&b32, out, text);
}
