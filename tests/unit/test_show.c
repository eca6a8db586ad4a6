/* What is shown of foreign text, and which secrets are found in it. */
#include "flopinio/base/buf.h"
#include "flopinio/base/id.h"
#include "flopinio/base/mem.h"
#include "flopinio/base/utf8.h"
#include "harness.h"
#include "runtime/notify/detect.h"
#include "runtime/notify/show.h"

static void check_shown(const char *text, size_t n, unsigned flags, const char *want)
{
    struct fl_buf out = FL_BUF_INIT, back = FL_BUF_INIT;
    fl_show(&out, (struct fl_str){ text, n }, flags, NULL);
    CHECK_STR(out.p ? out.p : "", want);
    CHECK(fl_show_inverse(&back, fl_buf_view(&out)));
    CHECK_MSG(fl_str_eq(fl_buf_view(&back), (struct fl_str){ text, n }), "%s does not go back",
              want);
    fl_buf_fini(&out);
    fl_buf_fini(&back);
}
#define SHOWN(text, want) check_shown((text), sizeof(text) - 1, 0, (want))

static void test_what_is_plainly_printable_is_shown_as_it_is(void)
{
    SHOWN("", "");
    SHOWN("Hello, world! ~`@#$%^&*()_+{}|:\"<>?", "Hello, world! ~`@#$%^&*()_+{}|:\"<>?");
    SHOWN("Gr\xc3\xbc\xc3\x9f"
          "e aus K\xc3\xb6ln",
          "Gr\xc3\xbc\xc3\x9f"
          "e aus K\xc3\xb6ln");
    SHOWN("\xe6\x9d\xb1\xe4\xba\xac \xd0\x9c\xd0\xbe\xd1\x81\xd0\xba\xd0\xb2\xd0\xb0",
          "\xe6\x9d\xb1\xe4\xba\xac \xd0\x9c\xd0\xbe\xd1\x81\xd0\xba\xd0\xb2\xd0\xb0");
    SHOWN("\xf0\x9f\x9a\x80 5 \xe2\x82\xac", "\xf0\x9f\x9a\x80 5 \xe2\x82\xac");
    SHOWN("e\xcc\x81", "e\xcc\x81"); /* a letter and its accent */
}

static void test_everything_else_is_a_visible_escape(void)
{
    SHOWN("a\nb\r\tc", "a\\nb\\r\\tc");
    SHOWN("C:\\new", "C:\\\\new");
    SHOWN("\x1b[31mred\x07\x7f", "\\u{1B}[31mred\\u{7}\\u{7F}");
    SHOWN("a\0b", "a\\u{0}b");
    SHOWN("\xe2\x80\xae"
          "txt.exe",
          "\\u{202E}txt.exe");                                 /* right-to-left override */
    SHOWN("\xe2\x81\xa6x\xe2\x81\xa9", "\\u{2066}x\\u{2069}"); /* isolates */
    SHOWN("pay\xe2\x80\x8bpal", "pay\\u{200B}pal");            /* zero width space */
    SHOWN("\xef\xbb\xbfx", "\\u{FEFF}x");
    SHOWN("a\xc2\xa0"
          "b",
          "a\\u{A0}b"); /* a space that is none */
    SHOWN("a\xe3\x80\x80"
          "b",
          "a\\u{3000}b");
    SHOWN("\xe2\x80\xa8\xe2\x80\xa9\xc2\x85", "\\u{2028}\\u{2029}\\u{85}");
    SHOWN("\xf3\xa0\x81\x81", "\\u{E0041}");                            /* a tag character */
    SHOWN("\xf0\x9f\x91\x8d\xef\xb8\x8f", "\xf0\x9f\x91\x8d\\u{FE0F}"); /* variation selector */
    SHOWN("\xf3\xa0\x84\x80", "\\u{E0100}");
    SHOWN("\xee\x80\x80", "\\u{E000}");                      /* private use */
    SHOWN("\xcd\xb8", "\\u{378}");                           /* not assigned */
    SHOWN("\xe3\x85\xa4\xe1\x85\xa0", "\\u{3164}\\u{1160}"); /* Hangul fillers: letters, blank */
    SHOWN("\xe2\xa0\x80", "\\u{2800}");                      /* Braille blank */
    SHOWN("\xe2\x84\xaa", "\\u{212A}");                      /* the Kelvin sign, twin of K */
    SHOWN("\xf0\x9d\x90\x80", "\\u{1D400}");                 /* mathematical A */
    SHOWN("etc\xe2\x88\x95passwd", "etc\\u{2215}passwd");    /* division slash */
    SHOWN("x\xcc\xb6y", "x\\u{336}y");                       /* a stroke over the letter */
    SHOWN(" \xcc\x81", " \\u{301}");                         /* an accent on nothing */
    SHOWN("a\xcc\x81\xcc\x81\xcc\x81\xcc\x81\xcc\x81\xcc\x81",
          "a\xcc\x81\xcc\x81\xcc\x81\xcc\x81\\u{301}\\u{301}"); /* a tower of them */
}

static void test_bytes_that_are_not_utf_8_are_shown_one_by_one(void)
{
    SHOWN("\xff", "\\x{FF}");
    SHOWN("a\xc3", "a\\x{C3}");
    SHOWN("\xc0\xaf", "\\x{C0}\\x{AF}");
    SHOWN("\xed\xa0\x80", "\\x{ED}\\x{A0}\\x{80}"); /* a surrogate */
    SHOWN("\xf4\x90\x80\x80", "\\x{F4}\\x{90}\\x{80}\\x{80}");
}

static void test_spaces_at_the_end_cannot_be_trimmed_away(void)
{
    SHOWN("rm ", "rm\\u{20}");
    SHOWN("  ", " \\u{20}");
    SHOWN(" a b", " a b");
    check_shown("a ", 2, FL_SHOW_OPEN, "a ");
}

static void test_flags_make_it_stricter(void)
{
    check_shown("caf\xc3\xa9", 5, FL_SHOW_ASCII, "caf\\u{E9}");
    check_shown("a\xd7\x90"
                "b",
                4, 0,
                "a\xd7\x90"
                "b");
    check_shown("a\xd7\x90"
                "b",
                4, FL_SHOW_COMPOSED, "a\\u{5D0}b");
    check_shown("say \"hi\"", 8, FL_SHOW_QUOTED, "say \\\"hi\\\"");
    check_shown("say \"hi\"", 8, 0, "say \"hi\"");
}

static void test_host_names_show_no_letter_but_ascii(void)
{
    /* Cyrillic a, and U+3002, which browsers take for a dot */
    SHOWN("https://p\xd0\xb0ypal.com/\xd0\xb0", "https://p\\u{430}ypal.com/\xd0\xb0");
    SHOWN("https://x.com\xe3\x80\x82\xd0\xb0/", "https://x.com\\u{3002}\\u{430}/");
    SHOWN("ann@\xd0\xb0.com \xd0\xb0", "ann@\\u{430}.com \xd0\xb0");
    SHOWN("https://u:p@\xd0\xb0.com", "https://u:p@\\u{430}.com");
    SHOWN("a@b.com\xef\xbc\x8c\xe8\xb0\xa2", "a@b.com\xef\xbc\x8c\xe8\xb0\xa2"); /* full stop */
    SHOWN("// \xd0\xb0", "// \xd0\xb0");
}

static uint64_t mixed_in(const char *text, bool *ret_rtl)
{
    struct fl_buf out = FL_BUF_INIT;
    struct fl_show_notes notes = { 0 };
    fl_show(&out, fl_str_of(text), 0, &notes);
    fl_buf_fini(&out);
    *ret_rtl = notes.is_rtl;
    return notes.mixed;
}

static void test_scripts_mixed_in_a_word_are_noted(void)
{
    static const struct {
        const char *text, *scripts;
    } cases[] = {
        { "paypal", "" },
        { "p\xd0\xb0ypal", "Latin, Cyrillic" },
        { "\xd0\xbf\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82 world", "" }, /* two words */
        { "\xd0\xbe\xd1\x82\xd1\x87\xd1\x91\xd1\x82.txt", "" }, /* a name and its suffix */
        { "\xd0\xb0_b", "Latin, Cyrillic" },
        { "\xce\xb1"
          "1b",
          "Latin, Greek" },
        { "\xe6\x9d\xb1\xe4\xba\xac\xe3\x82\xbf\xe3\x83\xaf\xe3\x83\xbc\xe3\x81\xae"
          "abc",
          "" },
        { "\xed\x95\x9c\xea\xb5\xad"
          "abc",
          "" },
        { "\xef\xbd\x81"
          "b",
          "Latin, fullwidth Latin" },
        { "\xd5\xa1\xd0\xb0", "Cyrillic, Armenian" },
        { "10\xc2\xb5s", "" }, /* the micro sign */
    };
    for (size_t i = 0; i < FL_COUNTOF(cases); i++) {
        struct fl_buf out = FL_BUF_INIT;
        bool is_rtl;
        fl_show_scripts(&out, mixed_in(cases[i].text, &is_rtl));
        CHECK_MSG(strcmp(out.p ? out.p : "", cases[i].scripts) == 0, "%s is %s", cases[i].text,
                  out.p);
        CHECK(!is_rtl);
        fl_buf_fini(&out);
    }
    bool is_rtl;
    CHECK(mixed_in("\xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d", &is_rtl) == 0 && is_rtl);
}

/* ---- every code point ---- */

/* What may ever leave the renderer, said here without its table: assigned in the version of
 * Unicode that the table names is not repeated, the classes that must not are. */
static bool is_forbidden(int32_t cp)
{
    return cp < 0x20 || (cp >= 0x7f && cp < 0xa1) || cp == 0xad || cp == 0x34f || cp == 0x61c ||
           cp == 0x1680 || (cp >= 0x115f && cp <= 0x1160) || (cp >= 0x17b4 && cp <= 0x17b5) ||
           (cp >= 0x180b && cp <= 0x180f) || (cp >= 0x2000 && cp <= 0x200f) ||
           (cp >= 0x2028 && cp <= 0x202f) || (cp >= 0x205f && cp <= 0x206f) || cp == 0x2800 ||
           cp == 0x3000 || cp == 0x3164 || (cp >= 0xd800 && cp <= 0xf8ff) ||
           (cp >= 0xfdd0 && cp <= 0xfdef) || (cp >= 0xfe00 && cp <= 0xfe0f) || cp == 0xfeff ||
           cp == 0xffa0 || (cp >= 0xfff0 && cp <= 0xffff) || (cp & 0xfffe) == 0xfffe ||
           (cp >= 0x1d400 && cp <= 0x1d7cb) || (cp >= 0x1d173 && cp <= 0x1d17a) || cp >= 0x32000;
}

static void test_every_code_point_goes_through_the_renderer(void)
{
    unsigned long shown = 0, escaped = 0;
    struct fl_buf in = FL_BUF_INIT, out = FL_BUF_INIT, back = FL_BUF_INIT;
    for (uint32_t cp = 0; cp <= 0x10ffff; cp++) {
        fl_buf_reset(&in);
        fl_buf_reset(&out);
        fl_buf_reset(&back);
        fl_buf_putc(&in, 'a');              /* so that a mark has its letter */
        if (cp >= 0xd800 && cp <= 0xdfff) { /* as a careless encoder would write it */
            const char surrogate[] = { (char)0xed, (char)(0x80 | (cp >> 6 & 0x3f)),
                                       (char)(0x80 | (cp & 0x3f)) };
            fl_buf_put(&in, surrogate, sizeof surrogate);
        } else {
            fl_utf8_put(&in, cp);
        }
        fl_buf_putc(&in, 'z');
        fl_show(&out, fl_buf_view(&in), 0, NULL);
        CHECK(fl_utf8_is_valid(fl_buf_view(&out)));
        size_t pos = 0;
        for (int32_t c; (c = fl_utf8_next(fl_buf_view(&out), &pos)) != -1;)
            CHECK_MSG(!is_forbidden(c), "U+%04X let U+%04X out", cp, (unsigned)c);
        CHECK(fl_show_inverse(&back, fl_buf_view(&out)));
        CHECK_MSG(fl_str_eq(fl_buf_view(&back), fl_buf_view(&in)), "U+%04X does not go back", cp);
        bool is_plain = fl_str_eq(fl_buf_view(&in), fl_buf_view(&out));
        CHECK_MSG(is_plain == fl_show_is_plain(cp), "U+%04X", cp);
        if (!is_plain) { /* then the escape is ASCII, and says which */
            for (size_t i = 0; i < out.n; i++)
                CHECK(out.p[i] >= 0x20 && out.p[i] <= 0x7e);
        }
        shown += is_plain;
        escaped += !is_plain;
    }
    CHECK_INT(shown + escaped, 1114112);
    CHECK_INT(shown, 142979);
    fl_buf_fini(&in);
    fl_buf_fini(&out);
    fl_buf_fini(&back);
}

static void test_random_bytes_go_there_and_back(void)
{
    static const char *const pieces[] = { "\\",
                                          "\\u{41}",
                                          "\\(",
                                          "{",
                                          "}",
                                          "\"",
                                          "\n",
                                          " ",
                                          "a",
                                          "://",
                                          "@",
                                          "\xcc\x81",
                                          "\xe2\x80\xae",
                                          "\xff",
                                          "\xc3",
                                          "\xd0\xb0",
                                          "\xd7\x90",
                                          "\xf0\x9f\x9a\x80",
                                          "|",
                                          "!" };
    unsigned changed = 0;
    fl_random_seed(20261123);
    for (int round = 0; round < 20000; round++) {
        struct fl_buf in = FL_BUF_INIT, out = FL_BUF_INIT, back = FL_BUF_INIT;
        uint8_t dice[24];
        fl_random(dice, sizeof dice);
        for (size_t i = 1; i < dice[0] % sizeof dice; i++) {
            if (round % 2)
                fl_buf_putc(&in, (char)dice[i]);
            else
                fl_buf_puts(&in, pieces[dice[i] % FL_COUNTOF(pieces)]);
        }
        fl_show(&out, fl_buf_view(&in), dice[0] / 16, NULL);
        CHECK(fl_show_inverse(&back, fl_buf_view(&out)));
        CHECK(fl_str_eq(fl_buf_view(&back), fl_buf_view(&in)));
        changed += !fl_str_eq(fl_buf_view(&out), fl_buf_view(&in));
        fl_buf_fini(&in);
        fl_buf_fini(&out);
        fl_buf_fini(&back);
    }
    CHECK(changed > 10000);
}

static void test_what_is_not_an_escape_of_ours_does_not_go_back(void)
{
    static const char *const bad[] = { "\\",           "\\a",         "\\u",       "\\u{",
                                       "\\u{}",        "\\u{12",      "\\u{xy}",   "\\u{202e}",
                                       "\\u41",        "\\u{110000}", "\\u{D800}", "\\x{100}",
                                       "\\u{0000041}", "\\(x)",       "a\nb" };
    for (size_t i = 0; i < FL_COUNTOF(bad); i++) {
        struct fl_buf back = FL_BUF_INIT;
        CHECK_MSG(!fl_show_inverse(&back, fl_str_of(bad[i])), "%s", bad[i]);
        fl_buf_fini(&back);
    }
}

static void test_widths_are_never_too_small(void)
{
    CHECK_INT(fl_show_width(FL_STR("abc")), 3);
    CHECK_INT(fl_show_width(FL_STR("\xe6\x9d\xb1\xe4\xba\xac")), 4);
    CHECK_INT(fl_show_width(FL_STR("\xf0\x9f\x9a\x80")), 2);
    CHECK_INT(fl_show_width(FL_STR("\xc2\xb7")), 2); /* ambiguous: some terminals take two */
    CHECK_INT(fl_show_cut(FL_STR("abcdef"), 4), 4);
    CHECK_INT(fl_show_cut(FL_STR("abc"), 4), 3);
    CHECK_INT(fl_show_cut(FL_STR("a\xe6\x9d\xb1\xe4\xba\xac"), 4), 4);
    CHECK_INT(fl_show_cut(FL_STR("ae\xcc\x81z"), 2), 1);  /* not between a letter and its mark */
    CHECK_INT(fl_show_cut(FL_STR("\xe6\x9d\xb1"), 1), 3); /* at least one */
    CHECK_INT(fl_show_cut(FL_STR(""), 4), 0);
}

/* ---- secrets ---- */

#define A10 "AbCdE12345"
#define A20 A10 A10
#define A40 A20 A20

/* `text` holds one secret between brackets, or none. */
static void check_found(const char *text, const char *name, const char *what)
{
    struct fl_buf plain = FL_BUF_INIT;
    size_t from = 0, to = 0;
    for (const char *p = text; *p; p++) {
        if (*p == '<')
            from = plain.n;
        else if (*p == '>')
            to = plain.n;
        else
            fl_buf_putc(&plain, *p);
    }
    struct fl_detected hit = { 0, 0, NULL };
    bool is_found = fl_detect_secret(fl_buf_view(&plain), fl_str_of(name), 0, &hit);
    CHECK_MSG(is_found == (what != NULL), "%s in %s", is_found ? hit.what : "nothing", text);
    if (what) {
        CHECK_STR(hit.what, what);
        CHECK_MSG(hit.from == from && hit.to == to, "%zu to %zu of %s", hit.from, hit.to, text);
        CHECK(!fl_detect_secret(fl_buf_view(&plain), fl_str_of(name), hit.to, &hit));
    }
    fl_buf_fini(&plain);
}

static void test_known_secrets_are_found_and_nothing_around_them(void)
{
    check_found("export KEY=<AKIAIOSFODNN7EXAMPLE>;", "", "AWS access key");
    check_found("AKIAIOSFODNN7EXAMPLEX", "", NULL);
    check_found("XAKIAIOSFODNN7EXAMPLE", "", NULL);
    check_found("<wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKE1>", "SecretAccessKey", "AWS secret key");
    check_found("aws_secret_access_key = <wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKE1>\n", "",
                "AWS secret key");
    check_found("AWS_SECRET_ACCESS_KEY=<wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKE1>", "",
                "AWS secret key");
    check_found("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKE1", "sha", NULL);
    check_found("token <ghp_" A40 ">.", "", "GitHub token");
    check_found("ghp_" A10, "", NULL);
    check_found("<github_pat_" A20 "_" A20 ">", "", "GitHub token");
    check_found("<glpat-" A20 ">", "", "GitLab token");
    check_found("<xoxb-1234-5678-" A20 ">", "", "Slack token");
    check_found("<xapp-1-" A20 ">", "", "Slack token");
    check_found("<https://hooks.slack.com/services/T0000/B0000/" A20 ">", "", "Slack webhook");
    check_found("<sk_live_" A20 ">", "", "Stripe key");
    check_found("sk_live_productiondatabasename", "", NULL); /* words hide no name */
    check_found("<whsec_" A20 A10 ">", "", "webhook secret");
    check_found("<AIza" A20 A10 "_-_-_>", "", "Google API key");
    check_found("<sk-ant-api03-" A40 ">", "", "API key");
    check_found("risk-assessment-and-mitigation-plan", "", NULL);
    check_found("<123456789:" A20 A10 "-_-_-> ok", "", "Telegram bot token");
    check_found("12:34:56", "", NULL);
    check_found("<npm_" A20 A10 "AbCdE1>", "", "npm token");
    check_found("Bearer <eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjMifQ.c2lnbmF0dXJl>", "",
                "JSON web token");
    check_found("eyJmb28iOiJiYXIifQ.eyJzdWIiOiIxMjMifQ.c2lnbmF0dXJl", "", NULL); /* no "alg" */
    check_found("eyJhbGciOiJIUzI1NiJ9 rm -rf", "", NULL);
    check_found("use <fla_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8CGLNzx>", "",
                "flopinio token");
    check_found("<flp_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8CGLNzy>", "", "flopinio token");
    check_found("flx_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8CGLNzy", "", NULL);
    check_found("postgres://app:<s3cr%23t>@db.internal/prod", "", "password in an address");
    check_found("postgres://app@db.internal:5432/prod", "", NULL);
    check_found("https://x:rm -rf /@y", "", NULL); /* nothing with blanks hides there */
}

static void test_private_keys_are_found_with_their_lines(void)
{
    check_found("key:\n<-----BEGIN RSA PRIVATE KEY-----\n" A40 "\n" A40 "==\n"
                "-----END RSA PRIVATE KEY----->\nend",
                "", "private key");
    check_found("<-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n"
                "DEK-Info: AES-128-CBC,00112233\n\n" A40 A40 "\n-----END EC PRIVATE KEY----->",
                "", "private key");
    check_found("K=\"<-----BEGIN PRIVATE KEY-----\\n" A40 A40 "\\n-----END PRIVATE KEY----->\"", "",
                "private key");
    check_found("<-----BEGIN OPENSSH PRIVATE KEY-----\n" A40 A40 ">", "", "private key"); /* cut */
    check_found("-----BEGIN PRIVATE KEY-----\nand then delete all of it please, thank you, with "
                "many words\n-----END PRIVATE KEY-----",
                "", NULL);
    check_found("-----BEGIN CERTIFICATE-----\n" A40 A40 "\n-----END CERTIFICATE-----", "", NULL);
}

static void test_hostile_texts_cost_no_more_than_their_length(void)
{
    static const char *const patterns[] = {
        "eyJ-",  "a-",     "sk-",         "://a:",   "1234567890:",
        "ghp_A", "eyJ.",   "-----BEGIN ", "secret ", "-----BEGIN PRIVATE KEY-----\n",
        "AKIA",  "xoxb-a-"
    };
    for (size_t i = 0; i < FL_COUNTOF(patterns); i++) { /* the time limit is the claim */
        struct fl_buf text = FL_BUF_INIT;
        while (text.n < 1 << 20)
            fl_buf_puts(&text, patterns[i]);
        struct fl_detected hit = { 0, 0, NULL };
        size_t pos = 0, count = 0;
        while (fl_detect_secret(fl_buf_view(&text), FL_STR(""), pos, &hit)) {
            CHECK(hit.from >= pos && hit.to > hit.from && hit.to <= text.n);
            pos = hit.to;
            count++;
        }
        CHECK(count < text.n);
        fl_buf_fini(&text);
    }
}

static const struct fl_test tests[] = {
    T(what_is_plainly_printable_is_shown_as_it_is),
    T(everything_else_is_a_visible_escape),
    T(bytes_that_are_not_utf_8_are_shown_one_by_one),
    T(spaces_at_the_end_cannot_be_trimmed_away),
    T(flags_make_it_stricter),
    T(host_names_show_no_letter_but_ascii),
    T(scripts_mixed_in_a_word_are_noted),
    T(every_code_point_goes_through_the_renderer),
    T(random_bytes_go_there_and_back),
    T(what_is_not_an_escape_of_ours_does_not_go_back),
    T(widths_are_never_too_small),
    T(known_secrets_are_found_and_nothing_around_them),
    T(private_keys_are_found_with_their_lines),
    T(hostile_texts_cost_no_more_than_their_length),
};
TEST_MAIN(tests)
