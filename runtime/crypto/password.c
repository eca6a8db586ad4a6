/* Argon2id over libargon2's core. The PHC string is written and read here, not by the library: a
 * stored string is data from the database, so its costs are bounded before memory is asked for. */
#include "runtime/crypto/password.h"

#include <argon2.h>
#include <stdio.h>
#include <sys/mman.h>

#include "flopinio/base/buf.h"
#include "flopinio/base/id.h"
#include "flopinio/base/mem.h"
#include "flopinio/base/utf8.h"
#include "runtime/crypto/digest.h"
#include "runtime/crypto/secret.h"

enum {
    SALT_BYTES = 16,
    HASH_BYTES = 32,
    /* Bounds of what is read; ours is far inside. */
    MAX_M_KIB = 262144,
    MAX_T = 16,
    MAX_P = 16,
    MIN_SALT = 8,
    MAX_SALT = 32,
    MIN_HASH = 16,
    MAX_HASH = 32,
};

struct phc {
    uint32_t m_kib, t, p;
    size_t salt_n, hash_n;
    uint8_t salt[MAX_SALT], hash[MAX_HASH];
};

static const struct phc todays = { .m_kib = 19456, .t = 2, .p = 1 };

/* Mapped, not from the heap: the allocator would keep these 19 MiB for each thread of the pool. */
static int take_memory(uint8_t **memory, size_t n)
{
    void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    *memory = p == MAP_FAILED ? NULL : p;
    return *memory ? ARGON2_OK : ARGON2_MEMORY_ALLOCATION_ERROR;
}

static void give_memory(uint8_t *memory, size_t n)
{
    fl_cleanse(memory, n);
    munmap(memory, n);
}

/* Fills out with the hash of `pass` by the costs and the salt of `with`. */
static enum fl_code run(struct fl_str pass, const struct phc *with, uint8_t *out, size_t out_n,
                        struct fl_err *err)
{
    argon2_context c = {
        .out = out,
        .outlen = (uint32_t)out_n,
        .pwd = (uint8_t *)(uintptr_t)pass.p, /* not written: no flag asks for clearing it */
        .pwdlen = (uint32_t)pass.n,
        .salt = (uint8_t *)(uintptr_t)with->salt,
        .saltlen = (uint32_t)with->salt_n,
        .t_cost = with->t,
        .m_cost = with->m_kib,
        .lanes = with->p,
        .threads = 1, /* the pool's thread does it all: no threads behind our back */
        .version = ARGON2_VERSION_13,
        .allocate_cbk = take_memory,
        .free_cbk = give_memory,
        .flags = ARGON2_DEFAULT_FLAGS,
    };
    int rc = argon2_ctx(&c, Argon2_id);
    if (rc == ARGON2_OK)
        return FL_OK;
    if (rc == ARGON2_MEMORY_ALLOCATION_ERROR)
        return fl_err_code(err, FL_NOMEM);
    return fl_err_set(err, FL_INTERNAL, "cannot hash a passphrase: %s", argon2_error_message(rc));
}

/* ---- PHC strings ---- */

/* Base64 without padding, as PHC strings have it. */
static bool put_b64(struct fl_buf *out, const uint8_t *bytes, size_t n)
{
    fl_b64(out, bytes, n);
    while (out->n && !out->is_failed && out->p[out->n - 1] == '=')
        out->p[--out->n] = 0;
    return !out->is_failed;
}

static enum fl_code phc_format(const struct phc *phc, char out[FL_PHC_BYTES], struct fl_err *err)
{
    struct fl_buf b = FL_BUF_INIT;
    fl_buf_printf(&b, "$argon2id$v=19$m=%u,t=%u,p=%u$", phc->m_kib, phc->t, phc->p);
    bool is_done = put_b64(&b, phc->salt, phc->salt_n);
    fl_buf_putc(&b, '$');
    is_done = put_b64(&b, phc->hash, phc->hash_n) && is_done && b.n < FL_PHC_BYTES;
    enum fl_code code = is_done ? FL_OK : fl_err_code(err, FL_NOMEM);
    if (is_done)
        memcpy(out, b.p, b.n + 1);
    fl_buf_fini(&b);
    return code;
}

/* Takes `prefix` and then a decimal number up to `end`. */
static bool take_number(struct fl_str *s, const char *prefix, char end, unsigned long long most,
                        uint32_t *ret)
{
    struct fl_str head = fl_str_of(prefix);
    if (!fl_str_has_prefix(*s, head))
        return false;
    const char *from = s->p + head.n;
    const char *at = memchr(from, end, s->n - head.n);
    unsigned long long value;
    if (!at || !fl_str_to_u64((struct fl_str){ from, (size_t)(at - from) }, &value) || value == 0 ||
        value > most)
        return false;
    *ret = (uint32_t)value;
    *s = (struct fl_str){ at + 1, s->n - (size_t)(at + 1 - s->p) };
    return true;
}

static bool take_b64(struct fl_str text, uint8_t *out, size_t least, size_t most, size_t *ret_n,
                     bool *ret_nomem)
{
    char padded[64];
    if (text.n == 0 || text.n + 3 > sizeof padded)
        return false;
    memcpy(padded, text.p, text.n);
    size_t n = text.n;
    while (n % 4)
        padded[n++] = '=';
    struct fl_buf raw = FL_BUF_INIT;
    bool is_right = fl_b64_decode(&raw, (struct fl_str){ padded, n });
    *ret_nomem = raw.is_failed;
    is_right = is_right && text.p[text.n - 1] != '=' && raw.n >= least && raw.n <= most;
    if (is_right) {
        memcpy(out, raw.p, raw.n);
        *ret_n = raw.n;
    }
    fl_buf_fini(&raw);
    return is_right;
}

static enum fl_code phc_parse(struct fl_str s, struct phc *ret, struct fl_err *err)
{
    struct phc phc = { 0 };
    bool has_no_memory = false;
    uint32_t version;
    bool is_right = take_number(&s, "$argon2id$v=", '$', 19, &version) && version == 19 &&
                    take_number(&s, "m=", ',', MAX_M_KIB, &phc.m_kib) &&
                    take_number(&s, "t=", ',', MAX_T, &phc.t) &&
                    take_number(&s, "p=", '$', MAX_P, &phc.p) && phc.m_kib >= 8 * phc.p;
    const char *dollar = is_right ? memchr(s.p, '$', s.n) : NULL;
    if (dollar) {
        struct fl_str salt = { s.p, (size_t)(dollar - s.p) };
        struct fl_str hash = { dollar + 1, s.n - salt.n - 1 };
        is_right = take_b64(salt, phc.salt, MIN_SALT, MAX_SALT, &phc.salt_n, &has_no_memory) &&
                   take_b64(hash, phc.hash, MIN_HASH, MAX_HASH, &phc.hash_n, &has_no_memory);
        if (is_right) {
            *ret = phc;
            return FL_OK;
        }
    }
    if (has_no_memory)
        return fl_err_code(err, FL_NOMEM);
    return fl_err_set(err, FL_INTERNAL, "the stored passphrase hash is not one of ours");
}

/* ---- the public functions ---- */

static enum fl_code check_length(struct fl_str pass, struct fl_err *err)
{
    if (pass.n <= FL_PASS_MAX_BYTES)
        return FL_OK;
    return fl_err_set(err, FL_BAD_PARAMS, "a passphrase has at most %d bytes", FL_PASS_MAX_BYTES);
}

enum fl_code fl_pass_hash(struct fl_str pass, char out[FL_PHC_BYTES], struct fl_err *err)
{
    struct phc phc = todays;
    phc.salt_n = SALT_BYTES;
    phc.hash_n = HASH_BYTES;
    fl_random(phc.salt, phc.salt_n);
    enum fl_code code = check_length(pass, err);
    if (code == FL_OK)
        code = run(pass, &phc, phc.hash, phc.hash_n, err);
    if (code == FL_OK)
        code = phc_format(&phc, out, err);
    return code;
}

enum fl_code fl_pass_verify(struct fl_str pass, struct fl_str stored, bool *ret_needs_rehash,
                            struct fl_err *err)
{
    /* For an unknown person: the same work, and nothing that it could equal. */
    struct phc phc = todays;
    phc.salt_n = SALT_BYTES;
    phc.hash_n = HASH_BYTES;
    uint8_t hash[MAX_HASH];
    enum fl_code code = check_length(pass, err);
    if (code == FL_OK && stored.n)
        code = phc_parse(stored, &phc, err);
    if (code == FL_OK)
        code = run(pass, &phc, hash, phc.hash_n, err);
    if (code != FL_OK)
        return code;
    bool is_right = fl_equal_secret(hash, phc.hash, phc.hash_n);
    fl_cleanse(hash, sizeof hash);
    if (!is_right || stored.n == 0)
        return fl_err_set(err, FL_UNAUTHENTICATED, "the passphrase is wrong");
    *ret_needs_rehash = phc.m_kib != todays.m_kib || phc.t != todays.t || phc.p != todays.p ||
                        phc.salt_n < SALT_BYTES || phc.hash_n != HASH_BYTES;
    return FL_OK;
}

/* The head of published lists of leaked passphrases, of those with ten characters or more: shorter
 * ones are refused by their length. */
static const char *const common[] = {
    "0123456789",   "0987654321",       "1029384756",
    "10203040506",  "1111122222",       "111222333444",
    "112233445566", "1234512345",       "1234567890",
    "12345678900",  "12345678910",      "123456789a",
    "123456789abc", "1234567890a",      "1234567891",
    "12345qwert",   "123qweasdzxc",     "1q2w3e4r5t",
    "1q2w3e4r5t6y", "1qaz2wsx3edc",     "1qazxsw23edc",
    "3.1415926535", "9876543210",       "abcdefghij",
    "abcdefghijk",  "adminadmin",       "admin12345",
    "admin123456",  "administrator",    "approveapprove",
    "asdfasdfasdf", "asdfghjkl1",       "asdfghjkl;",
    "baseball123",  "basketball",       "changeme123",
    "changemenow",  "chocolate1",       "correcthorsebatterystaple",
    "dragon12345",  "football123",      "iloveyou12",
    "iloveyou123",  "internet123",      "letmein123",
    "letmeinnow",   "liverpool1",       "manchester",
    "masterkey1",   "michael123",       "mypassword",
    "password01",   "password10",       "password11",
    "password12",   "password123",      "password1234",
    "password123!", "password12345",    "passwordpassword",
    "passw0rd123",  "p@ssw0rd123",      "p@ssword123",
    "princess123",  "q1w2e3r4t5",       "q1w2e3r4t5y6",
    "qazwsxedcrfv", "qwer123456",       "qwerasdfzxcv",
    "qwerty1234",   "qwerty12345",      "qwerty123456",
    "qwertyuiop",   "qwertyuiop123",    "qwertyuiop[]",
    "secret12345",  "starwars123",      "sunshine123",
    "superman123",  "supersecret",      "test123456",
    "testtest123",  "trustno1trustno1", "unbelievable",
    "welcome123",   "welcome1234",      "welcome2024",
    "welcome2025",  "welcome2026",      "zaq12wsxcde3",
    "zxcvbnm123",   "zxcvbnm,./",
};

enum fl_code fl_pass_policy(struct fl_str pass, struct fl_err *err)
{
    if (pass.n > FL_PASS_MAX_BYTES)
        return check_length(pass, err);
    if (fl_utf8_count(pass) < FL_PASS_MIN_CHARS)
        return fl_err_set(err, FL_BAD_PARAMS, "a passphrase has at least %d characters",
                          FL_PASS_MIN_CHARS);
    size_t pos = 0;
    int32_t first = fl_utf8_next(pass, &pos), next = first;
    while (next == first)
        next = fl_utf8_next(pass, &pos);
    if (next == -1)
        return fl_err_set(err, FL_BAD_PARAMS, "a passphrase has more than one character in it");
    for (size_t i = 0; i < FL_COUNTOF(common); i++) {
        if (fl_str_eq_nocase(pass, fl_str_of(common[i])))
            return fl_err_set(err, FL_BAD_PARAMS,
                              "this passphrase is among the most common ones: take another");
    }
    return FL_OK;
}

enum fl_code fl_pass_job_init(struct fl_pass_job *job, struct fl_str pass, const char *phc,
                              struct fl_err *err)
{
    enum fl_code code = check_length(pass, err);
    if (code != FL_OK)
        return code;
    if (phc && strlen(phc) >= sizeof job->phc)
        return fl_err_set(err, FL_INTERNAL, "the stored passphrase hash is not one of ours");
    memset(job, 0, sizeof *job);
    job->is_new = phc == NULL;
    if (phc)
        strcpy(job->phc, phc);
    if (pass.n)
        memcpy(job->pass, pass.p, pass.n);
    job->pass_n = pass.n;
    return FL_OK;
}

void fl_pass_job_run(struct fl_pass_job *job)
{
    struct fl_str pass = fl_bytes(job->pass, job->pass_n);
    job->code = job->is_new
                    ? fl_pass_hash(pass, job->phc, &job->err)
                    : fl_pass_verify(pass, fl_str_of(job->phc), &job->needs_rehash, &job->err);
    fl_pass_job_fini(job);
}

void fl_pass_job_fini(struct fl_pass_job *job)
{
    fl_cleanse(job->pass, sizeof job->pass);
    job->pass_n = 0;
}
