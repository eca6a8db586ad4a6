/* The pure parts of the files plugin: SHA-256, base64, UTF-8, patterns, names, diffs. */
#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "flopinio/base/clock.h"
#include "flopinio/base/id.h"
#include "harness.h"
#include "plugins/files/diff.h"
#include "plugins/files/root.h"
#include "plugins/files/sha256.h"
#include "plugins/files/text.h"

static void test_sha256_gives_the_published_digests(void)
{
    static const struct {
        const char *text, *digest;
    } known[] = {
        /* FIPS 180-4 examples (NIST CSRC) */
        { "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
        { "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
        { "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
          "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
    };
    char hex[SHA256_HEX_BYTES];
    for (size_t i = 0; i < FL_COUNTOF(known); i++) {
        sha256_of(known[i].text, strlen(known[i].text), hex);
        CHECK_STR(hex, known[i].digest);
    }
    struct sha256 sha; /* a million "a" in pieces that never fit a block */
    char piece[997];
    size_t left = 1000000;
    memset(piece, 'a', sizeof piece);
    sha256_init(&sha);
    while (left) {
        size_t n = left < sizeof piece ? left : sizeof piece;
        sha256_add(&sha, piece, n);
        left -= n;
    }
    sha256_hex(&sha, hex);
    CHECK_STR(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

static void test_sha256_agrees_with_openssl_at_every_length(void)
{
    unsigned char bytes[700], digest[32];
    char hex[SHA256_HEX_BYTES], want[SHA256_HEX_BYTES];
    fl_random_seed(7);
    fl_random(bytes, sizeof bytes);
    for (size_t n = 0; n <= sizeof bytes; n++) {
        struct sha256 sha;
        size_t cut = n ? (bytes[n % 300] * n) / 256 : 0;
        CHECK(EVP_Digest(bytes, n, digest, NULL, EVP_sha256(), NULL) == 1);
        for (size_t i = 0; i < 32; i++)
            snprintf(want + 2 * i, 3, "%02x", digest[i]);
        sha256_init(&sha);
        sha256_add(&sha, bytes, cut);
        sha256_add(&sha, bytes + cut, n - cut);
        sha256_hex(&sha, hex);
        CHECK_STR(hex, want);
    }
}

static void test_base64_round_trips_and_refuses_second_spellings(void)
{
    static const char *const rfc4648[] = { "",         "Zg==",     "Zm8=",    "Zm9v",
                                           "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy" };
    static const char *const bad[] = { "Zg=",  "Zg",   "Z",     "Zh==", "Zm9=", "Zg==Zg==", "Z===",
                                       "====", "=Zg=", "Zm9v ", "Zm9_", "Zm 9", "Zg=A" };
    for (size_t n = 0; n < FL_COUNTOF(rfc4648); n++) {
        struct buf b = BUF_INIT, back = BUF_INIT;
        base64_put(&b, "foobar", n);
        CHECK_STR(b.n ? b.p : "", rfc4648[n]);
        CHECK(base64_decode(&back, rfc4648[n], strlen(rfc4648[n])));
        CHECK(back.n == n && (n == 0 || memcmp(back.p, "foobar", n) == 0));
        buf_fini(&b);
        buf_fini(&back);
    }
    for (size_t i = 0; i < FL_COUNTOF(bad); i++) {
        struct buf b = BUF_INIT;
        CHECK_MSG(!base64_decode(&b, bad[i], strlen(bad[i])), "%s was taken", bad[i]);
        buf_fini(&b);
    }
}

static void test_text_is_what_utf8_allows_without_nul(void)
{
    static const char *const bad[] = { "\x80",
                                       "\xc0\x80",
                                       "\xc1\xbf",
                                       "\xe0\x80\x80",
                                       "\xed\xa0\x80",
                                       "\xf0\x80\x80\x80",
                                       "\xf4\x90\x80\x80",
                                       "\xf5\x80\x80\x80",
                                       "\xe2\x82",
                                       "a\xff" };
    for (size_t i = 0; i < FL_COUNTOF(bad); i++)
        CHECK(!text_is_text(bad[i], strlen(bad[i])));
    CHECK(!text_is_text("a\0b", 3));
    CHECK(text_is_text("", 0) && text_is_text("a\n\x7f\xf0\x9f\x98\x80", 7));
    const char *euros = "\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac"; /* three times three bytes */
    for (size_t from = 0; from <= 9; from++) {
        for (size_t to = from; to <= 9; to++) {
            size_t a = text_head(euros, from, to), b = text_tail(euros, a, to);
            CHECK(a >= from && b <= to && a <= b);
            CHECK_MSG(text_is_text(euros + a, b - a), "%zu-%zu gave %zu-%zu", from, to, a, b);
            CHECK(to - from < 5 || b - a >= 3);
        }
    }
}

static void test_patterns_match_whole_names(void)
{
    static const struct {
        const char *pattern, *name;
        bool is_match;
    } cases[] = {
        { "*", "", true },           { "*", "a", true },
        { "?", "", false },          { "?", "\xc3\xa9", true },
        { "??", "\xc3\xa9", false }, { "*.c", "main.c", true },
        { "*.c", "main.cc", false }, { "a*b*c", "a-b-b-c", true },
        { "a*b*c", "a-b-", false },  { "abc", "abc", true },
        { "abc", "abcd", false },    { "[ab]", "a", false },
        { "**", "x", true },         { "", "", true },
        { "", "x", false },          { "src/*.c", "src/a/b.c", true },
    };
    for (size_t i = 0; i < FL_COUNTOF(cases); i++)
        CHECK_MSG(text_glob(cases[i].pattern, cases[i].name) == cases[i].is_match, "%s on %s",
                  cases[i].pattern, cases[i].name);
    char name[4000], pattern[256]; /* a matcher that backtracks fully never comes back from this */
    memset(name, 'a', sizeof name - 1);
    name[sizeof name - 1] = 0;
    for (size_t i = 0; i < 254; i += 2)
        memcpy(pattern + i, "*a", 2);
    memcpy(pattern + 253, "*b", 3);
    CHECK(!text_glob(pattern, name));
}

static void test_names_are_shown_on_one_line(void)
{
    char out[TEXT_NAME_BYTES], wide[700];
    CHECK_STR(text_name("a\nb\x1b[1m\\\xff\x7f\xc3\xa9", out),
              "a\\x0ab\\x1b[1m\\x5c\\xff\\x7f\xc3\xa9");
    memset(wide, '\n', sizeof wide - 1);
    wide[sizeof wide - 1] = 0;
    CHECK_STR(text_name(wide, out), "(a name of 699 bytes)");
    for (size_t i = 0; i < sizeof wide - 2; i += 2)
        memcpy(wide + i, "\xc3\xa9", 2);
    wide[sizeof wide - 2] = 0;
    text_name(wide, out);
    CHECK(strstr(out, "...(698 bytes)...") && text_is_text(out, strlen(out)));
}

/* ---- paths ---- */
static void test_paths_are_relative_and_plain(void)
{
    static const struct {
        const char *in, *out, *why;
    } cases[] = {
        { "a", "a", NULL },
        { "./a//b/", "a/b", NULL },
        { "", ".", NULL },
        { "./.", ".", NULL },
        { "...", "...", NULL },
        { "..a/b..", "..a/b..", NULL },
        { "/etc/passwd", NULL,
          "\"/etc/passwd\" is an absolute path; paths are relative to the root" },
        { "..", NULL, "\"..\" holds \"..\"; paths stay below the root" },
        { "a/../b", NULL, "\"a/../b\" holds \"..\"; paths stay below the root" },
        { "a/..", NULL, "\"a/..\" holds \"..\"; paths stay below the root" },
        { "a\nb", NULL, "\"a\\x0ab\" holds a control character; such names are not created" },
        { "a\xc2\x85", NULL,
          "\"a\xc2\x85\" holds a control character; such names are not created" },
    };
    struct path path;
    struct problem p;
    for (size_t i = 0; i < FL_COUNTOF(cases); i++) {
        int rc = path_parse(&path, cases[i].in, strlen(cases[i].in), true, &p);
        CHECK_INT(rc, cases[i].why ? -1 : 0);
        CHECK_STR(cases[i].why ? p.text : path.text, cases[i].why ? cases[i].why : cases[i].out);
    }
    CHECK(path_parse(&path, "a\nb", 3, false, &p) == 0);
    CHECK(path_parse(&path, "a\0b", 3, false, &p) == -1);
    CHECK_STR(p.text, "a path must not hold a NUL character");
    char wide[PATH_MAX + 1];
    memset(wide, 'a', PATH_MAX);
    wide[PATH_MAX] = 0;
    CHECK(path_parse(&path, wide, PATH_MAX, false, &p) == -1);
    CHECK_STR(p.text, "the path has 4096 bytes, more than the 4095 that are possible");
    struct path a, b;
    CHECK(path_parse(&a, "x/y", 3, false, &p) == 0 && path_parse(&b, "x/yz", 4, false, &p) == 0);
    CHECK(!path_is_within(&b, &a) && path_is_within(&a, &a));
}

/* ---- diffs ---- */
static void diff_is(const char *old, const char *fresh, const char *want)
{
    struct buf out = BUF_INIT;
    struct diff_count count;
    struct diff_text a = { "f", old, old ? strlen(old) : 0 }, b = { "f", fresh, strlen(fresh) };
    if (!old)
        a.path = NULL;
    CHECK_INT(diff_unified(&out, &a, &b, &count), DIFF_DONE);
    CHECK_STR(out.n ? out.p : "", want);
    buf_fini(&out);
}

static void test_diffs_look_as_diff_u_writes_them(void)
{
    diff_is("a\nb\n", "a\nb\n", "");
    diff_is("", "", "");
    diff_is(NULL, "x\n", "--- /dev/null\n+++ b/f\n@@ -0,0 +1 @@\n+x\n");
    diff_is("x\n", "", "--- a/f\n+++ b/f\n@@ -1 +0,0 @@\n-x\n");
    diff_is("x", "x\n", "--- a/f\n+++ b/f\n@@ -1 +1 @@\n-x\n\\ No newline at end of file\n+x\n");
    diff_is("a\nx", "b\nx",
            "--- a/f\n+++ b/f\n@@ -1,2 +1,2 @@\n-a\n+b\n x\n\\ No newline at end of "
            "file\n");
    diff_is("1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\n4\nfive\n6\n7\n8\n9\n",
            "--- a/f\n+++ b/f\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n");
    /* six equal lines between two changes join them, seven part them */
    diff_is("a\n1\n2\n3\n4\n5\n6\nb\n", "A\n1\n2\n3\n4\n5\n6\nB\n",
            "--- a/f\n+++ b/f\n@@ -1,8 +1,8 @@\n-a\n+A\n 1\n 2\n 3\n 4\n 5\n 6\n-b\n+B\n");
    diff_is(
        "a\n1\n2\n3\n4\n5\n6\n7\nb\n", "A\n1\n2\n3\n4\n5\n6\n7\nB\n",
        "--- a/f\n+++ b/f\n@@ -1,4 +1,4 @@\n-a\n+A\n 1\n 2\n 3\n@@ -6,4 +6,4 @@\n 5\n 6\n 7\n-b\n"
        "+B\n");
    struct buf out = BUF_INIT;
    struct diff_count count;
    struct diff_text a = { "q\"\n\\", "", 0 }, b = { "with blank", "x", 1 };
    CHECK_INT(diff_unified(&out, &a, &b, &count), DIFF_DONE);
    CHECK_STR(out.p,
              "--- \"a/q\\\"\\012\\\\\"\n+++ b/with blank\t\n@@ -0,0 +1 @@\n+x\n\\ No newline "
              "at end of file\n");
    buf_fini(&out);
}

static unsigned dice(unsigned sides)
{
    uint32_t r;
    fl_random(&r, sizeof r);
    return r % sides;
}

/* Lines of few kinds, so that there is much to align wrongly; sometimes without a last newline. */
static void random_text(struct buf *out, unsigned lines_max, unsigned kinds)
{
    unsigned lines = dice(lines_max + 1);
    out->n = 0;
    buf_put(out, "", 0);
    for (unsigned i = 0; i < lines; i++)
        buf_printf(out, "line %u%s\n", dice(kinds), dice(8) ? "" : " \xc3\xa9\t\r");
    if (lines && dice(4) == 0)
        out->p[--out->n] = 0;
}

static void random_edit(const struct buf *from, struct buf *out, unsigned kinds)
{
    out->n = 0;
    buf_put(out, "", 0);
    for (const char *p = from->p; *p;) {
        const char *nl = strchr(p, '\n');
        size_t n = nl ? (size_t)(nl - p) + 1 : strlen(p);
        unsigned what = dice(12);
        if (what != 0)
            buf_put(out, p, n);
        if (what == 1 && nl)
            buf_printf(out, "line %u\n", dice(kinds));
        p += n;
    }
}

/* Applies a diff strictly: every context and removed line must be there. NULL if it does not. */
static char *apply(const char *old, const char *diff)
{
    struct fl_buf out = FL_BUF_INIT;
    const char *at = old;
    size_t line = 1;
    fl_buf_put(&out, "", 0);
    diff = strstr(diff, "\n@@ ");
    for (diff = diff ? diff + 1 : ""; *diff;) {
        size_t from, n = 1, used;
        CHECK_INT(sscanf(diff, "@@ -%zu%zn", &from, &used), 1);
        if (diff[used] == ',')
            CHECK_INT(sscanf(diff + used, ",%zu", &n), 1);
        for (; line < from + (n == 0); line++) { /* an empty range stands behind its line */
            const char *nl = strchr(at, '\n');
            CHECK(nl);
            fl_buf_put(&out, at, (size_t)(nl - at) + 1);
            at = nl + 1;
        }
        for (diff = strchr(diff, '\n') + 1; *diff && *diff != '@';) {
            size_t len = (size_t)(strchr(diff, '\n') - diff), eol = 1;
            const char *text = diff + 1;
            char sign = *diff;
            diff += len + 1;
            if (*diff == '\\') {
                eol = 0;
                diff = strchr(diff, '\n') + 1;
            }
            if (sign != '+') {
                if (strncmp(at, text, len - 1 + eol) != 0 || (!eol && at[len - 1])) {
                    fl_buf_fini(&out);
                    return NULL;
                }
                at += len - 1 + eol;
                line++;
            }
            if (sign != '-')
                fl_buf_put(&out, text, len - 1 + eol);
        }
    }
    fl_buf_puts(&out, at);
    return fl_buf_take(&out, NULL);
}

static void test_random_diffs_apply_exactly(void)
{
    struct buf a = BUF_INIT, b = BUF_INIT, diff = BUF_INIT;
    unsigned changed = 0;
    fl_random_seed(2026);
    for (unsigned i = 0; i < 4000; i++) {
        unsigned kinds = 1 + dice(30);
        struct diff_count count;
        random_text(&a, 60, kinds);
        if (dice(3))
            random_edit(&a, &b, kinds);
        else
            random_text(&b, 60, kinds);
        diff.n = 0;
        struct diff_text from = { "f", a.p, a.n }, to = { "f", b.p, b.n };
        CHECK_INT(diff_unified(&diff, &from, &to, &count), DIFF_DONE);
        char *got = apply(a.p, diff.n ? diff.p : "");
        CHECK_MSG(got && strcmp(got, b.p) == 0, "case %u:\n%s\n--- from\n%s\n--- to\n%s", i,
                  diff.p ? diff.p : "", a.p, b.p);
        free(got);
        changed += diff.n > 0;
    }
    CHECK(changed > 3000);
    /* the canary: a diff of something else does not apply */
    CHECK(!apply("other\n", "--- a/f\n+++ b/f\n@@ -1 +1 @@\n-x\n+y\n"));
    buf_fini(&a);
    buf_fini(&b);
    buf_fini(&diff);
}

static void put_file(const char *path, const struct buf *b)
{
    FILE *f = fopen(path, "wb");
    CHECK(f && fwrite(b->p, 1, b->n, f) == b->n && fclose(f) == 0);
}

static void test_patch_applies_random_diffs(void)
{
    char dir[] = "/tmp/flopinio-patch-XXXXXX", command[200], path[64];
    struct buf a = BUF_INIT, b = BUF_INIT, diff = BUF_INIT;
    unsigned applied = 0;
    if (system("command -v patch >/dev/null 2>&1") != 0)
        fl_test_skip("patch is not installed");
    CHECK(mkdtemp(dir));
    fl_random_seed(99);
    for (unsigned i = 0; i < 300; i++) {
        unsigned kinds = 1 + dice(30);
        struct diff_count count;
        random_text(&a, 80, kinds);
        random_edit(&a, &b, kinds);
        if (b.n == 0)
            continue; /* patch removes a file that becomes empty */
        diff.n = 0;
        struct diff_text from = { "f", a.p, a.n }, to = { "f", b.p, b.n };
        CHECK_INT(diff_unified(&diff, &from, &to, &count), DIFF_DONE);
        if (diff.n == 0)
            continue;
        snprintf(path, sizeof path, "%s/f", dir);
        put_file(path, &a);
        snprintf(path, sizeof path, "%s/d", dir);
        put_file(path, &diff);
        snprintf(command, sizeof command, "cd %s && patch -s -F0 --binary -p1 < d >out 2>&1", dir);
        CHECK_MSG(system(command) == 0, "patch refused case %u:\n%s", i, diff.p);
        snprintf(path, sizeof path, "%s/f", dir);
        char *now = fl_test_read_file(path, NULL);
        CHECK_STR(now, b.p);
        free(now);
        applied++;
    }
    CHECK_MSG(applied > 200, "only %u were applied", applied);
    snprintf(command, sizeof command, "rm -r %s", dir);
    CHECK(system(command) == 0);
    buf_fini(&a);
    buf_fini(&b);
    buf_fini(&diff);
}

static void test_a_hopeless_diff_is_whole_and_quick(void)
{
    struct buf a = BUF_INIT, b = BUF_INIT, diff = BUF_INIT;
    struct diff_count count;
    for (unsigned i = 0; i < 20000; i++) {
        buf_printf(&a, "old %u\n", i * 7 % 20011);
        buf_printf(&b, "%s %u\n", i % 3 ? "new" : "old", i * 11 % 20011);
    }
    struct diff_text from = { "f", a.p, a.n }, to = { "f", b.p, b.n };
    CHECK_INT(diff_unified(&diff, &from, &to, &count), DIFF_DONE);
    char *got = apply(a.p, diff.p);
    CHECK(got && strcmp(got, b.p) == 0);
    free(got);
    CHECK(count.removed <= 20000 && count.added <= 20000 && count.removed > 0);
    /* a full buffer is told, not cut */
    struct buf small = { .max = 1000 };
    CHECK_INT(diff_unified(&small, &from, &to, &count), DIFF_DONE);
    CHECK(small.is_failed && small.is_over);
    buf_fini(&small);
    diff.n = a.n = 0;
    for (unsigned i = 0; i <= DIFF_LINES_MAX; i++)
        buf_puts(&a, "\n");
    from = (struct diff_text){ "f", a.p, a.n };
    CHECK_INT(diff_unified(&diff, &from, &to, &count), DIFF_TOO_MANY_LINES);
    CHECK(diff.n == 0);
    buf_fini(&a);
    buf_fini(&b);
    buf_fini(&diff);
}

static const struct fl_test tests[] = {
    T(sha256_gives_the_published_digests),
    T(sha256_agrees_with_openssl_at_every_length),
    T(base64_round_trips_and_refuses_second_spellings),
    T(text_is_what_utf8_allows_without_nul),
    T(patterns_match_whole_names),
    T(names_are_shown_on_one_line),
    T(paths_are_relative_and_plain),
    T(diffs_look_as_diff_u_writes_them),
    T(random_diffs_apply_exactly),
    T(patch_applies_random_diffs),
    T(a_hopeless_diff_is_whole_and_quick),
};
TEST_MAIN(tests)
