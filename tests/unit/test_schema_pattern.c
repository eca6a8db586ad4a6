/* JSON Schema's regular expressions: ECMA-262's meaning on PCRE2, and what is refused. */
#include "schema_case.h"

static void test_patterns_mean_what_ecma_262_says(void)
{
    static const struct {
        const char *pattern, *subject;
        bool matches;
    } cases[] = {
        { "^a$", "a\\n", false },
        { "a$", "ba", true },
        { "^.$", "\\u2028", false },
        { "^.$", "\\ud83d\\udc32", true },
        { "^\\\\s$", "\\ufeff", true },
        { "^\\\\S$", "\\u00a0", false },
        { "^[\\\\S]$", "\\u3000", false },
        { "^[^\\\\s]$", "\\u2003", false },
        { "^[\\\\S]$", "\\u3001", true },
        { "^\\\\d$", "\\u0663", false },
        { "^[^\\\\D\\\\p{Zs}]$", "\\ufeff", false },   /* PCRE2 10.42 alone says true */
        { "^\\\\P{Lu}*?\\\\P{Cn}$", "\\u2028", true }, /* PCRE2 10.42 alone says false */
        { "^\\\\v$", "\\n", false },                   /* one character, not PCRE2's class */
        { "^\\\\v$", "\\u000b", true },
        { "^\\\\cJ$", "\\n", true },
        { "^\\\\0$", "\\u0000", true },
        { "^\\\\x41\\\\u0042\\\\u{1F432}\\\\ud83d\\\\udc32$", "AB\\ud83d\\udc32\\ud83d\\udc32",
          true },
        { "^[\\\\b]$", "\\b", true },
        { "\\\\bfoo\\\\b", "a foo b", true },
        { "\\\\bfoo\\\\b", "a foo\\u00e9 b", true },
        { "^\\\\p{Letter}+$", "\\u00e9a", true },
        { "^\\\\p{gc=Lu}\\\\P{Lowercase_Letter}$", "A1", true },
        { "^\\\\p{Script=Greek}$", "\\u03b1", true },
        { "^\\\\p{sc=Greek}$", "a", false },
        { "^\\\\p{Assigned}$", "\\u0378", false },
        { "^\\\\p{Alphabetic}$", "a", true },
        { "^[]$", "a", false },
        { "^[^]$", "\\n", true },
        { "^[[:alpha:]]$", ":]", true }, /* a class that ends at the first bracket, and one more */
        { "^[a-]$", "-", true },
        { "^[\\\\w-.]+$", "a-.", true },
        { "^[a-\\\\d]+$", "a-5", true },
        { "^(a)\\\\1$", "aa", true },
        { "^(?:(a)|b)\\\\1$", "b", true }, /* a group that took no part is empty */
        { "^\\\\1(a)$", "a", true },
        { "^(?<y>[0-9]{4})-\\\\k<y>$", "2024-2024", true },
        { "^\\\\k<y>(?<y>a)$", "a", true },
        { "(?<=a)b", "ab", true },
        { "(?<!a)b", "ab", false },
        { "(?<=a|bc)d", "bcd", true },
        { "(?=a)ab", "ab", true },
        { "^a{2,3}?$", "aaa", true },
        { "^{a}$", "{a}", true },
        { "^a{,2}$", "a{,2}", true },
        { "^x{1}{$", "x{", true },
        { "^\\\\-\\\\_\\\\@\\\\/$", "-_@/", true },
        { "^a|b$", "ab", true },
        { "^(?:)*$", "", true },
        { "^a.c#d e$", "abc#d e", true },
    };
    for (size_t i = 0; i < FL_COUNTOF(cases); i++) {
        char schema[200], value[100];
        snprintf(schema, sizeof schema, "{'pattern':'%s'}", cases[i].pattern);
        snprintf(value, sizeof value, "'%s'", cases[i].subject);
        bool matches = !*verdict_of(schema, value);
        CHECK_MSG(matches == cases[i].matches, "%s on %s", cases[i].pattern, cases[i].subject);
    }
}

static void test_what_is_no_ecma_262_pattern_is_refused(void)
{
    static const struct {
        const char *pattern, *why;
    } cases[] = {
        { "(?i)a", "1: it has a kind of group that ECMA-262 does not know" },
        { "(?P<n>a)", "1: it has a kind of group that ECMA-262 does not know" },
        { "(?#x)", "1: it has a kind of group that ECMA-262 does not know" },
        { "(?>a)", "1: it has a kind of group that ECMA-262 does not know" },
        { "(?R)", "1: it has a kind of group that ECMA-262 does not know" },
        { "(?C)", "1: it has a kind of group that ECMA-262 does not know" },
        { "(*LIMIT_MATCH=1)", "1: it repeats nothing" },
        { "\\\\Aa\\\\Z", "2: it has an escape that ECMA-262 does not know" },
        { "\\\\Q.\\\\E", "2: it has an escape that ECMA-262 does not know" },
        { "\\\\pL", "2: it has \\p without a name in braces" },
        { "\\\\p{No_Such=x}", "13: it names a character property that is not known" },
        { "\\\\1", "2: it refers to a group that it does not have" },
        { "\\\\k<n>", "5: it refers to a group that it does not have" },
        { "\\\\01", "2: it has an octal escape" },
        { "\\\\x4", "3: it ends too early" },
        { "\\\\u{110000}", "9: it names a character above 10FFFF" },
        { "\\\\ud83d", "6: it has half of a surrogate pair" },
        { "\\\\c1", "3: it has \\c without a letter" },
        { "a++", "2: it repeats nothing" },
        { "^*", "1: it repeats nothing" },
        { "(?=a)*", "5: it repeats nothing" },
        { "a{2,1}", "6: it repeats from more to fewer times" },
        { "a)", "2: it closes a group that is not open" },
        { "(a", "2: it leaves a group open" },
        { "[a", "2: it ends too early" },
        { "[b-a]", "4: it has a range that is out of order" },
        { "(?<a>x)(?<a>y)", "12: it has two groups of the same name" },
        { "(?<1>x)", "4: it has a group name that is not an identifier" },
        { "\\\\", "1: it ends too early" },
    };
    for (size_t i = 0; i < FL_COUNTOF(cases); i++) {
        char schema[100], text[200];
        snprintf(schema, sizeof schema, "{'pattern':'%s'}", cases[i].pattern);
        snprintf(text, sizeof text, "/pattern: is not a regular expression at character %s",
                 cases[i].why);
        CHECK_STR(refusal(schema, FL_BAD_PARAMS), text);
    }
    /* In the words of the PCRE2 that is there. */
    static const char *const varying[] = { "(?<=a+)b", "(?<=a{1,3})b", "(?<!a|bc?)d" };
    for (size_t i = 0; i < FL_COUNTOF(varying); i++) {
        char schema[100];
        snprintf(schema, sizeof schema, "{'pattern':'%s'}", varying[i]);
        const char *why = refusal(schema, FL_BAD_PARAMS);
        CHECK_MSG(strncmp(why, "/pattern: is not a regular expression that can be used: ", 56) ==
                          0 &&
                      strstr(why, "lookbehind"),
                  "%s: %s", varying[i], why);
    }
    CHECK_STR(refusal("{'pattern':'\\\\p{Nonsense}'}", FL_BAD_PARAMS),
              "/pattern: is not a regular expression that can be used: unknown property after \\P "
              "or \\p");
}

static const struct fl_test tests[] = {
    T(patterns_mean_what_ecma_262_says),
    T(what_is_no_ecma_262_pattern_is_refused),
};
TEST_MAIN(tests)
