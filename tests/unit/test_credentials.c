/* Passphrases, one-time codes, tokens, recovery codes; and all of runtime/crypto when allocations
 * fail. */
#include <argon2.h>
#include <openssl/crypto.h>

#include "flopinio/base/mem.h"
#include "harness.h"
#include "runtime/crypto/password.h"
#include "runtime/crypto/seal.h"
#include "runtime/crypto/token.h"
#include "runtime/crypto/totp.h"

/* ---- passphrases ---- */

static void test_passphrases_agree_with_the_reference_library(void)
{
    char ours[FL_PHC_BYTES], theirs[FL_PHC_BYTES];
    bool needs_rehash = true;
    CHECK_OK(fl_pass_hash(FL_STR("correct horse"), ours, NULL));
    CHECK_MSG(strncmp(ours, "$argon2id$v=19$m=19456,t=2,p=1$", 31) == 0, "%s", ours);
    CHECK_INT(argon2id_verify(ours, "correct horse", 13), ARGON2_OK);
    CHECK_INT(argon2id_hash_encoded(2, 19456, 1, "correct horse", 13, "0123456789abcdef", 16, 32,
                                    theirs, sizeof theirs),
              ARGON2_OK);
    CHECK_OK(fl_pass_verify(FL_STR("correct horse"), fl_str_of(theirs), &needs_rehash, NULL));
    CHECK(!needs_rehash);
    /* From the reference implementation's own tests. */
    CHECK_OK(fl_pass_verify(FL_STR("password"),
                            FL_STR("$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$"
                                   "CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"),
                            &needs_rehash, NULL));
    CHECK(needs_rehash);
    char again[FL_PHC_BYTES];
    CHECK_OK(fl_pass_hash(FL_STR("correct horse"), again, NULL));
    CHECK(strcmp(ours, again) != 0);
}

static void test_a_wrong_passphrase_and_an_unknown_person_read_the_same(void)
{
    char phc[FL_PHC_BYTES];
    bool needs_rehash = false;
    struct fl_err wrong, unknown;
    CHECK_OK(fl_pass_hash(FL_STR("correct horse"), phc, NULL));
    CHECK_INT(fl_pass_verify(FL_STR("correct horsf"), fl_str_of(phc), &needs_rehash, &wrong),
              FL_UNAUTHENTICATED);
    CHECK_INT(fl_pass_verify(FL_STR("correct horse"), FL_STR(""), &needs_rehash, &unknown),
              FL_UNAUTHENTICATED);
    CHECK_STR(wrong.text, "the passphrase is wrong");
    CHECK_STR(unknown.text, wrong.text);
    CHECK_INT(fl_pass_verify(FL_STR(""), fl_str_of(phc), &needs_rehash, NULL), FL_UNAUTHENTICATED);
    CHECK_INT(
        fl_pass_verify((struct fl_str){ "correct horse", 14 }, fl_str_of(phc), &needs_rehash, NULL),
        FL_UNAUTHENTICATED); /* a NUL is a character as others */
    char longest[FL_PASS_MAX_BYTES + 1];
    memset(longest, 'x', sizeof longest);
    CHECK_OK(fl_pass_hash((struct fl_str){ longest, FL_PASS_MAX_BYTES }, phc, NULL));
    CHECK_INT(fl_pass_verify((struct fl_str){ longest, FL_PASS_MAX_BYTES - 1 }, fl_str_of(phc),
                             &needs_rehash, NULL),
              FL_UNAUTHENTICATED); /* nothing is cut */
    CHECK_INT(fl_pass_hash((struct fl_str){ longest, sizeof longest }, phc, &wrong), FL_BAD_PARAMS);
    CHECK_STR(wrong.text, "a passphrase has at most 1024 bytes");
}

static void test_a_stored_hash_with_other_shape_or_costs_is_refused(void)
{
    static const char *const bad[] = {
        "x",
        "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA",
        "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$",
        "$argon2id$v=16$m=19456,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
        "$argon2i$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
        "$argon2id$v=19$m=262145,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
        "$argon2id$v=19$m=4294967295,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
        "$argon2id$v=19$m=19456,t=1000,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
        "$argon2id$v=19$m=19456,t=0,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
        "$argon2id$v=19$m=7,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
        "$argon2id$v=19$m=19456,t=2,p=1$c29t$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
        "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ=$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
        "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPP!",
        "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$CTFh",
        "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc$x",
        "$2b$12$abcdefghijklmnopqrstuuxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    };
    for (size_t i = 0; i < FL_COUNTOF(bad); i++) {
        bool needs_rehash;
        struct fl_err err;
        CHECK_MSG(fl_pass_verify(FL_STR("password"), fl_str_of(bad[i]), &needs_rehash, &err) ==
                      FL_INTERNAL,
                  "%s", bad[i]);
        CHECK_STR(err.text, "the stored passphrase hash is not one of ours");
    }
}

static void test_the_policy_refuses_what_is_short_same_or_common(void)
{
    static const char few[] = "a passphrase has at least 10 characters";
    static const char same[] = "a passphrase has more than one character in it";
    static const char known[] = "this passphrase is among the most common ones: take another";
    static const struct {
        const char *pass, *error;
    } cases[] = {
        { "", few },
        { "short", few },
        { "\xc3\xa4\xc3\xb6\xc3\xbc\xc3\xa4\xc3\xb6\xc3\xbc", few }, /* 6 characters, 12 bytes */
        { "aaaaaaaaaa", same },
        { "\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4",
          same },
        { "1234567890", known },
        { "QwertyUIOP", known },
        { "Password123", known },
        { "aaaaaaaaab", NULL },
        { "four random words here", NULL },
        { "\xc3\xa4\xc3\xb6\xc3\xbc\xc3\x9f-\xc3\xa4\xc3\xb6\xc3\xbc\xc3\x9f-", NULL },
    };
    struct fl_err err;
    for (size_t i = 0; i < FL_COUNTOF(cases); i++) {
        enum fl_code code = fl_pass_policy(fl_str_of(cases[i].pass), &err);
        if (cases[i].error) {
            CHECK_INT(code, FL_BAD_PARAMS);
            CHECK_STR(err.text, cases[i].error);
        } else {
            CHECK_INT(code, FL_OK);
        }
    }
    char longest[FL_PASS_MAX_BYTES + 2];
    memset(longest, 'x', sizeof longest);
    CHECK_INT(fl_pass_policy((struct fl_str){ longest, FL_PASS_MAX_BYTES + 1 }, &err),
              FL_BAD_PARAMS);
    CHECK_STR(err.text, "a passphrase has at most 1024 bytes");
}

static void test_a_job_carries_the_passphrase_and_cleanses_it(void)
{
    struct fl_pass_job job, check;
    struct fl_err err;
    CHECK_OK(fl_pass_job_init(&job, FL_STR("correct horse"), NULL, NULL));
    fl_pass_job_run(&job);
    CHECK_OK(job.code);
    static const uint8_t zero[FL_PASS_MAX_BYTES];
    CHECK(memcmp(job.pass, zero, sizeof zero) == 0);
    CHECK_OK(fl_pass_job_init(&check, FL_STR("correct horse"), job.phc, NULL));
    fl_pass_job_run(&check);
    CHECK_OK(check.code);
    CHECK(!check.needs_rehash);
    CHECK_OK(fl_pass_job_init(&check, FL_STR("correct horse"), "", NULL));
    fl_pass_job_run(&check);
    CHECK_INT(check.code, FL_UNAUTHENTICATED);
    CHECK_STR(check.err.text, "the passphrase is wrong");
    char longest[FL_PASS_MAX_BYTES + 1] = "x";
    CHECK_INT(fl_pass_job_init(&job, (struct fl_str){ longest, sizeof longest }, NULL, &err),
              FL_BAD_PARAMS);
    memset(longest, 'a', sizeof longest - 1);
    CHECK_INT(fl_pass_job_init(&job, FL_STR("x"), longest, &err), FL_INTERNAL);
}

/* ---- one-time codes ---- */

static void test_codes_agree_with_rfc_6238_and_rfc_4226(void)
{
    static const struct {
        int64_t at_s;
        const char *code; /* the last 6 of the 8 digits in RFC 6238, appendix B */
    } times[] = { { 59, "287082" },         { 1111111109, "081804" }, { 1111111111, "050471" },
                  { 1234567890, "005924" }, { 2000000000, "279037" }, { 20000000000, "353130" } };
    static const char *const counters[] = { "755224", "287082", "359152", "969429", "338314",
                                            "254676", "287922", "162583", "399871", "520489" };
    struct fl_str seed = FL_STR("12345678901234567890");
    char code[FL_TOTP_DIGITS + 1];
    for (size_t i = 0; i < FL_COUNTOF(times); i++) {
        int64_t step;
        CHECK_OK(
            fl_totp_verify(seed, fl_str_of(times[i].code), times[i].at_s * 1000, -1, &step, NULL));
        CHECK_INT(step, times[i].at_s / 30);
    }
    for (uint64_t i = 0; i < FL_COUNTOF(counters); i++) {
        CHECK_OK(fl_totp_code(seed, i, code, NULL));
        CHECK_STR(code, counters[i]);
    }
}

static void test_a_code_is_accepted_once_and_near_its_time_only(void)
{
    struct fl_str seed = FL_STR("12345678901234567890");
    const int64_t at_ms = 1111111109000; /* step 37037036 */
    int64_t step = -7;
    struct fl_err err;
    for (int away = -2; away <= 2; away++) {
        char code[FL_TOTP_DIGITS + 1];
        CHECK_OK(fl_totp_code(seed, (uint64_t)(37037036 + away), code, NULL));
        enum fl_code rc = fl_totp_verify(seed, fl_str_of(code), at_ms, -1, &step, &err);
        CHECK_INT(rc, away >= -1 && away <= 1 ? FL_OK : FL_UNAUTHENTICATED);
        if (rc == FL_OK)
            CHECK_INT(step, 37037036 + away);
    }
    CHECK_INT(fl_totp_verify(seed, FL_STR("081804"), at_ms, 37037036, &step, &err),
              FL_UNAUTHENTICATED);
    CHECK_STR(err.text, "the code is wrong or was used already");
    CHECK_OK(fl_totp_verify(seed, FL_STR(" 081 804 "), at_ms, 37037035, &step, &err));
    static const char *const bad[] = { "", "81804", "0818040", "08180a", "-81804", "081.804" };
    for (size_t i = 0; i < FL_COUNTOF(bad); i++)
        CHECK_INT(fl_totp_verify(seed, fl_str_of(bad[i]), at_ms, -1, &step, &err),
                  FL_UNAUTHENTICATED);
    CHECK_OK(
        fl_totp_verify(seed, FL_STR("755224"), 0, -1, &step, &err)); /* the first step of all */
    CHECK_INT(step, 0);
}

static void test_the_seed_and_its_address(void)
{
    struct fl_secret seed = { 0 };
    struct fl_buf uri = FL_BUF_INIT;
    CHECK_OK(fl_totp_seed(&seed, NULL));
    CHECK_INT(seed.n, 20);
    fl_totp_uri(&uri, FL_STR("12345678901234567890"), FL_STR("Acme & Co"),
                FL_STR("ann+x@example.com"));
    CHECK_STR(uri.p, "otpauth://totp/Acme%20%26%20Co:ann%2Bx%40example.com"
                     "?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Acme%20%26%20Co"
                     "&algorithm=SHA1&digits=6&period=30");
    fl_secret_fini(&seed);
    fl_buf_fini(&uri);
}

/* ---- tokens ---- */

static void check_hex(const uint8_t got[FL_SHA256_BYTES], const char *want)
{
    char hex[2 * FL_SHA256_BYTES + 1];
    CHECK_STR(fl_hex(got, FL_SHA256_BYTES, hex), want);
}

static void test_tokens_have_a_kind_a_checksum_and_a_digest(void)
{
    static const char golden[] = "fla_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8CGLNzx";
    enum fl_token_kind kind = FL_TOKEN_KIND_COUNT;
    uint8_t digest[32], again[32];
    char token[FL_TOKEN_BYTES], other[FL_TOKEN_BYTES];
    CHECK(fl_token_parse(fl_str_of(golden), &kind) && kind == FL_TOKEN_AGENT);
    fl_token_digest(fl_str_of(golden), digest);
    check_hex(digest, "031cb40917d0e921e6ea46fb7f929fe2802bb0bb738f62c37f2122faa619f9ca");
    for (int k = 0; k < FL_TOKEN_KIND_COUNT; k++) {
        CHECK_OK(fl_token_new((enum fl_token_kind)k, token, digest, NULL));
        CHECK_OK(fl_token_new((enum fl_token_kind)k, other, again, NULL));
        CHECK(strlen(token) == FL_TOKEN_CHARS && strcmp(token, other) != 0);
        CHECK(fl_token_parse(fl_str_of(token), &kind) && (int)kind == k);
        fl_token_digest(fl_str_of(token), again);
        CHECK(memcmp(digest, again, 32) == 0);
    }
    unsigned refused = 0;
    for (size_t i = 0; i < FL_TOKEN_CHARS; i++) { /* any one character mistyped */
        char typo[FL_TOKEN_BYTES];
        memcpy(typo, golden, sizeof typo);
        typo[i] = typo[i] == 'Q' ? 'q' : 'Q';
        CHECK_MSG(!fl_token_parse(fl_str_of(typo), &kind), "%s", typo);
        refused++;
    }
    CHECK_INT(refused, FL_TOKEN_CHARS);
    CHECK(!fl_token_parse(FL_STR(""), &kind));
    CHECK(!fl_token_parse((struct fl_str){ golden, FL_TOKEN_CHARS - 1 }, &kind));
    CHECK(!fl_token_parse((struct fl_str){ golden, FL_TOKEN_CHARS + 1 }, &kind));
}

static void test_recovery_codes_are_read_as_people_type_them(void)
{
    char code[FL_RECOVERY_BYTES];
    uint8_t digest[32], typed[32];
    CHECK(fl_recovery_digest(FL_STR("AAAQ-EAYE-AUDA-OCAJ"), digest));
    check_hex(digest, "8f264eedbfe294451db6fd1dced5dd13dbc57fbabf2e100c572faa73907e436f");
    CHECK(fl_recovery_digest(FL_STR(" aaaq eaye-auda0caj "), typed));
    CHECK(memcmp(digest, typed, 32) == 0);
    CHECK_OK(fl_recovery_new(code, digest, NULL));
    CHECK(strlen(code) == 19 && code[4] == '-' && code[9] == '-' && code[14] == '-');
    CHECK(fl_recovery_digest(fl_str_of(code), typed) && memcmp(digest, typed, 32) == 0);
    static const char *const bad[] = { "", "AAAQ-EAYE-AUDA-OCA", "AAAQ-EAYE-AUDA-OCAJA",
                                       "AAAQ-EAYE-AUDA-OCA9", "AAAQ_EAYE_AUDA_OCAJ" };
    for (size_t i = 0; i < FL_COUNTOF(bad); i++)
        CHECK(!fl_recovery_digest(fl_str_of(bad[i]), typed));
}

/* ---- no memory ---- */

static bool is_openssl_ours;

static void *ossl_malloc(size_t n, const char *file, int line)
{
    FL_UNUSED(file);
    FL_UNUSED(line);
    return fl_malloc(n);
}

static void *ossl_realloc(void *p, size_t n, const char *file, int line)
{
    FL_UNUSED(file);
    FL_UNUSED(line);
    return fl_realloc(p, n);
}

static void ossl_free(void *p, const char *file, int line)
{
    FL_UNUSED(file);
    FL_UNUSED(line);
    fl_free(p);
}

/* Everything once; the first failure ends it. */
static enum fl_code scenario(void)
{
    struct fl_keyring *ring = NULL;
    struct fl_secret secret = { 0 }, seed = { 0 };
    struct fl_buf keys = FL_BUF_INIT, more = FL_BUF_INIT, sealed = FL_BUF_INIT;
    struct fl_buf plain = FL_BUF_INIT, check = FL_BUF_INIT, uri = FL_BUF_INIT;
    struct fl_place place = { .table = "person", .column = "totp_seed", .row = FL_STR("42") };
    char token[FL_TOKEN_BYTES], recovery[FL_RECOVERY_BYTES], phc[FL_PHC_BYTES];
    uint8_t digest[32];
    enum fl_token_kind kind;
    int64_t step;
    bool needs_rehash;
    fl_keyring_generate(&keys);
    enum fl_code code = fl_buf_code(&keys, NULL);
#define NEXT(call)                                                                                 \
    if (code == FL_OK)                                                                             \
    code = (call)
    NEXT(fl_keyring_add_primary(fl_buf_view(&keys), &more, NULL));
    NEXT(fl_keyring_load(fl_buf_view(&more), &ring, NULL));
    NEXT(fl_seal(ring, &place, FL_STR("a value"), &sealed, NULL));
    NEXT(fl_unseal(ring, &place, fl_buf_view(&sealed), &plain, NULL));
    if (code == FL_OK)
        CHECK_SPAN(fl_buf_view(&plain), "a value");
    NEXT(fl_unseal_secret(ring, &place, fl_buf_view(&sealed), &secret, NULL));
    NEXT(fl_keyring_check_value(ring, 2, &check, NULL));
    NEXT(fl_keyring_check(ring, 2, fl_buf_view(&check), NULL));
    NEXT(fl_totp_seed(&seed, NULL));
    NEXT((fl_totp_uri(&uri, fl_secret_view(&seed), FL_STR("a"), FL_STR("b")),
          fl_buf_code(&uri, NULL)));
    NEXT(fl_totp_verify(FL_STR("12345678901234567890"), FL_STR("287082"), 59000, -1, &step, NULL));
    NEXT(fl_token_new(FL_TOKEN_AGENT, token, digest, NULL));
    NEXT(fl_token_parse(fl_str_of(token), &kind) ? FL_OK : FL_NOMEM);
    NEXT(fl_recovery_new(recovery, digest, NULL));
    NEXT(fl_pass_hash(FL_STR("correct horse"), phc, NULL));
    NEXT(fl_pass_verify(FL_STR("correct horse"), fl_str_of(phc), &needs_rehash, NULL));
#undef NEXT
    fl_keyring_free(&ring);
    fl_secret_fini(&secret);
    fl_secret_fini(&seed);
    struct fl_buf *all[] = { &keys, &more, &sealed, &plain, &check, &uri };
    for (size_t i = 0; i < FL_COUNTOF(all); i++)
        fl_buf_fini(all[i]);
    return code;
}

static void test_no_allocation_may_fail_silently(void)
{
    CHECK(is_openssl_ours);
    CHECK_OK(scenario()); /* OpenSSL sets itself up once */
    unsigned failed = 0;
    for (uint64_t n = 1;; n++) {
        CHECK(n < 2000);
        fl_mem_fail_at(n, 1);
        enum fl_code code = scenario();
        uint64_t count = fl_mem_fail_at(0, 0);
        if (count < n) {
            CHECK_OK(code);
            break;
        }
        /* OpenSSL does without some of its own (a cache, an error's text). */
        CHECK_MSG(code == FL_NOMEM || code == FL_OK, "%s at %llu", fl_code_name(code),
                  (unsigned long long)n);
        failed += code == FL_NOMEM;
    }
    CHECK_MSG(failed >= 30, "only %u allocations failed", failed);
}

static const struct fl_test tests[] = {
    T(passphrases_agree_with_the_reference_library),
    T(a_wrong_passphrase_and_an_unknown_person_read_the_same),
    T(a_stored_hash_with_other_shape_or_costs_is_refused),
    T(the_policy_refuses_what_is_short_same_or_common),
    T(a_job_carries_the_passphrase_and_cleanses_it),
    T(codes_agree_with_rfc_6238_and_rfc_4226),
    T(a_code_is_accepted_once_and_near_its_time_only),
    T(the_seed_and_its_address),
    T(tokens_have_a_kind_a_checksum_and_a_digest),
    T(recovery_codes_are_read_as_people_type_them),
    T_LIMIT(no_allocation_may_fail_silently, 60),
};

int main(int argc, char **argv)
{
    /* Before OpenSSL allocates anything: its allocations can be made to fail as well. */
    is_openssl_ours = CRYPTO_set_mem_functions(ossl_malloc, ossl_realloc, ossl_free) == 1;
    return fl_test_main(argc, argv, tests, FL_COUNTOF(tests));
}
