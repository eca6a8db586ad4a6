/* Bearer tokens and recovery codes. */
#include "runtime/crypto/token.h"

#include "runtime/crypto/secret.h"

enum {
    PREFIX_CHARS = 3,
    RANDOM_BYTES = 32,
    RANDOM_CHARS = 43,
    SUM_CHARS = 6,
    BODY_CHARS = PREFIX_CHARS + 1 + RANDOM_CHARS,
    RECOVERY_RANDOM = 10,
    RECOVERY_CHARS = 16,
    GROUP = 4,
};

_Static_assert(BODY_CHARS + SUM_CHARS == FL_TOKEN_CHARS, "the header says the truth");
_Static_assert(RECOVERY_CHARS + RECOVERY_CHARS / GROUP == FL_RECOVERY_BYTES, "and here");

static const char *const prefixes[] = {
#define X(name, prefix) prefix,
    FL_TOKEN_KINDS(X)
#undef X
};

/* Frees a buffer that held a secret. */
static void drop(struct fl_buf *buf)
{
    if (buf->p)
        fl_cleanse(buf->p, buf->cap);
    fl_buf_fini(buf);
}

/* Appends the checksum of the first BODY_CHARS characters of `token`. */
static void put_sum(struct fl_buf *out, const char *token)
{
    static const char label[] = "flopinio/token/1";
    uint8_t sum[FL_SHA256_BYTES];
    struct fl_sha256 s;
    fl_sha256_init(&s);
    fl_sha256_put(&s, label, sizeof label - 1);
    fl_sha256_put(&s, token, BODY_CHARS);
    fl_sha256_final(&s, sum);
    fl_b64url(out, sum, 5); /* 40 bits are 7 characters; the first 6 of them count */
}

enum fl_code fl_token_new(enum fl_token_kind kind, char out[FL_TOKEN_BYTES],
                          uint8_t ret_digest[FL_SHA256_BYTES], struct fl_err *err)
{
    FL_ASSERT(kind < FL_TOKEN_KIND_COUNT);
    uint8_t random[RANDOM_BYTES];
    struct fl_buf text = FL_BUF_INIT;
    fl_buf_reserve(&text, 2 * FL_TOKEN_BYTES); /* at once, so that no copy stays behind */
    fl_random(random, sizeof random);
    fl_buf_puts(&text, prefixes[kind]);
    fl_buf_putc(&text, '_');
    fl_b64url(&text, random, sizeof random);
    fl_cleanse(random, sizeof random);
    if (!text.is_failed)
        put_sum(&text, text.p);
    enum fl_code code = fl_buf_code(&text, err);
    if (code == FL_OK) {
        memcpy(out, text.p, FL_TOKEN_CHARS);
        out[FL_TOKEN_CHARS] = 0;
        fl_token_digest(fl_bytes(out, FL_TOKEN_CHARS), ret_digest);
    }
    drop(&text);
    return code;
}

bool fl_token_parse(struct fl_str text, enum fl_token_kind *ret_kind)
{
    if (text.n != FL_TOKEN_CHARS || text.p[PREFIX_CHARS] != '_')
        return false;
    unsigned kind = 0;
    while (kind < FL_TOKEN_KIND_COUNT && memcmp(text.p, prefixes[kind], PREFIX_CHARS) != 0)
        kind++;
    if (kind == FL_TOKEN_KIND_COUNT)
        return false;
    struct fl_buf raw = FL_BUF_INIT, sum = FL_BUF_INIT;
    bool is_right =
        fl_b64url_decode(&raw, (struct fl_str){ text.p + PREFIX_CHARS + 1, RANDOM_CHARS });
    put_sum(&sum, text.p);
    is_right = is_right && !sum.is_failed && memcmp(sum.p, text.p + BODY_CHARS, SUM_CHARS) == 0;
    drop(&raw);
    fl_buf_fini(&sum);
    if (is_right)
        *ret_kind = (enum fl_token_kind)kind;
    return is_right;
}

void fl_token_digest(struct fl_str text, uint8_t out[FL_SHA256_BYTES])
{
    fl_sha256(text, out);
}

/* ---- recovery codes ---- */

static void digest_code(const char code[RECOVERY_CHARS], uint8_t out[FL_SHA256_BYTES])
{
    static const char label[] = "flopinio/recovery/1";
    struct fl_sha256 s;
    fl_sha256_init(&s);
    fl_sha256_put(&s, label, sizeof label - 1);
    fl_sha256_put(&s, code, RECOVERY_CHARS);
    fl_sha256_final(&s, out);
}

enum fl_code fl_recovery_new(char out[FL_RECOVERY_BYTES], uint8_t ret_digest[FL_SHA256_BYTES],
                             struct fl_err *err)
{
    uint8_t random[RECOVERY_RANDOM];
    struct fl_buf code = FL_BUF_INIT;
    fl_random(random, sizeof random);
    fl_b32(&code, random, sizeof random);
    fl_cleanse(random, sizeof random);
    enum fl_code rc = fl_buf_code(&code, err);
    if (rc == FL_OK) {
        FL_ASSERT(code.n == RECOVERY_CHARS);
        char *at = out;
        for (size_t i = 0; i < RECOVERY_CHARS; i++) {
            if (i && i % GROUP == 0)
                *at++ = '-';
            *at++ = code.p[i];
        }
        *at = 0;
        digest_code(code.p, ret_digest);
    }
    drop(&code);
    return rc;
}

bool fl_recovery_digest(struct fl_str typed, uint8_t out[FL_SHA256_BYTES])
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    char code[RECOVERY_CHARS];
    size_t n = 0;
    for (size_t i = 0; i < typed.n; i++) {
        char c = typed.p[i];
        if (c == '-' || c == ' ')
            continue;
        if (c >= 'a' && c <= 'z')
            c = (char)(c - 'a' + 'A');
        else if (c == '0' || c == '1' || c == '8')
            c = c == '0' ? 'O' : c == '1' ? 'I' : 'B';
        if (!c || !strchr(alphabet, c) || n == sizeof code)
            return false;
        code[n++] = c;
    }
    if (n != sizeof code)
        return false;
    digest_code(code, out);
    fl_cleanse(code, sizeof code);
    return true;
}
