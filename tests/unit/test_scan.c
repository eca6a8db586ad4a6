/* The span scanner: what it accepts and refuses (published texts, jansson as the other opinion),
 * limits, picks, and reading spans. Also built a second time, as test_scan_portable, without
 * SSE2. */
#include "flopinio/base/scan.h"

#include <dirent.h>
#include <jansson.h>

#include "flopinio/base/hash.h"
#include "flopinio/base/mem.h"
#include "flopinio/base/utf8.h"
#include "harness.h"
#include "json_gen.h"

static enum fl_code verdict(const char *text, const struct fl_scan_limits *limits,
                            struct fl_err *err)
{
    return fl_scan(fl_str_of(text), limits, NULL, 0, NULL, err);
}

/* A copy without a spare byte behind it: the address sanitizer sees each read beyond the end. */
static struct fl_str exact_copy(struct fl_str text)
{
    char *copy = malloc(text.n ? text.n : 1);
    CHECK(copy);
    if (text.n)
        memcpy(copy, text.p, text.n);
    return (struct fl_str){ copy, text.n };
}

static void free_copy(struct fl_str text)
{
    free((void *)(uintptr_t)text.p);
}

/* ---- published texts ---- */
static const char *const refused_in_calls[] = { "y_object_duplicated_key.json",
                                                "y_object_duplicated_key_and_value.json",
                                                "y_object_escaped_null_in_key.json",
                                                "y_string_null_escape.json" };

static bool is_listed(const char *name, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(name, list[i]) == 0)
            return true;
    }
    return false;
}

struct tally {
    int y, n, i, i_accepted, refused_in_calls, jansson_differs;
};

static void judge_file(const char *name, struct fl_str text, struct tally *t)
{
    /* jansson ends a text at a NUL byte, and has no keys with NUL: known, and ours is right. */
    static const char *const jansson_is_wrong[] = { "n_multidigit_number_then_00.json",
                                                    "y_object_escaped_null_in_key.json" };
    struct fl_err err;
    struct fl_str copy = exact_copy(text);
    bool is_accepted = fl_scan(copy, &fl_scan_grammar, NULL, 0, NULL, &err) == FL_OK;
    bool is_call = fl_scan(copy, &fl_scan_call, NULL, 0, NULL, &err) == FL_OK;
    json_t *tree = json_loadb(text.p, text.n, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    bool jansson_accepts = tree != NULL;
    json_decref(tree);
    free_copy(copy);
    CHECK_MSG(!is_call || is_accepted, "%s is a call but not JSON", name);
    if (name[0] == 'i') {
        t->i++;
        t->i_accepted += is_accepted;
        printf("    %-50s %s, jansson %s\n", name, is_accepted ? "accepted" : "refused",
               jansson_accepts ? "accepts" : "refuses");
        return;
    }
    CHECK_MSG(is_accepted == (name[0] == 'y'), "%s: %s", name, is_accepted ? "accepted" : err.text);
    if (name[0] == 'n') {
        t->n++;
    } else {
        t->y++;
        bool is_expected = !is_listed(name, refused_in_calls, FL_COUNTOF(refused_in_calls));
        CHECK_MSG(is_call == is_expected, "%s as a call: %s", name, is_call ? "ok" : err.text);
        t->refused_in_calls += !is_call;
    }
    bool differs = jansson_accepts != is_accepted;
    CHECK_MSG(differs == is_listed(name, jansson_is_wrong, FL_COUNTOF(jansson_is_wrong)),
              "%s: jansson %s", name, jansson_accepts ? "accepts" : "refuses");
    t->jansson_differs += differs;
}

static void test_published_texts_are_judged_as_their_names_say(void)
{
    char path[4096];
    struct tally t = { 0 };
    snprintf(path, sizeof path, "%s", fl_test_data("json-parsing"));
    DIR *dir = opendir(path);
    CHECK(dir);
    for (struct dirent *e; (e = readdir(dir));) {
        char file[5000];
        size_t n;
        if (!strstr(e->d_name, ".json"))
            continue;
        snprintf(file, sizeof file, "%s/%s", path, e->d_name);
        char *text = fl_test_read_file(file, &n);
        judge_file(e->d_name, (struct fl_str){ text, n }, &t);
        free(text);
    }
    closedir(dir);
    printf("    %d y, %d n, %d i (%d accepted)\n", t.y, t.n, t.i, t.i_accepted);
    CHECK_INT(t.y + t.n + t.i, 318);
    CHECK_INT(t.y, 95);
    CHECK_INT(t.refused_in_calls, FL_COUNTOF(refused_in_calls));
    CHECK_INT(t.jansson_differs, 2);
}

/* ---- refusals ---- */
static void test_refusals_say_where_and_why(void)
{
    static const struct {
        const char *text, *why;
    } bad[] = {
        { "", "line 1, column 1: expected a value" },
        { " \n ", "line 2, column 2: expected a value" },
        { "{\n \"a\" 1}", "line 2, column 6: expected ':' behind the key" },
        { "{\"\xc3\xa9\" 1}", "line 1, column 6: expected ':' behind the key" },
        { "{a:1}", "line 1, column 2: expected a key in double quotes" },
        { "{\"a\":1,}", "line 1, column 8: expected a key in double quotes" },
        { "{\"a\":1", "line 1, column 7: expected ',' or '}'" },
        { "{\"a\":1]", "line 1, column 7: expected ',' or '}'" },
        { "[1}", "line 1, column 3: expected ',' or ']'" },
        { "[1,]", "line 1, column 4: expected a value" },
        { "[", "line 1, column 2: expected a value" },
        { "1 2", "line 1, column 3: unexpected text behind the value" },
        { "tru", "line 1, column 1: expected a value" },
        { "'a'", "line 1, column 1: expected a value" },
        { "\xef\xbb\xbf{}", "line 1, column 1: expected a value" },
        { "01", "line 1, column 1: a number cannot start with 0" },
        { "-", "line 1, column 2: expected a digit" },
        { "1.", "line 1, column 3: expected a digit behind the decimal point" },
        { "1e+", "line 1, column 4: expected a digit in the exponent" },
        { "\"abc", "line 1, column 5: the string does not end" },
        { "\"abc\\", "line 1, column 5: the string does not end" },
        { "\"a\\x\"", "line 1, column 3: unknown escape in a string" },
        { "\"\\u12g4\"", "line 1, column 2: \\u needs four hexadecimal digits" },
        { "\"\\u12", "line 1, column 2: \\u needs four hexadecimal digits" },
        { "\"\\ud800\"", "line 1, column 2: half of a surrogate pair in a string" },
        { "\"\\ud800\\u0041\"", "line 1, column 2: half of a surrogate pair in a string" },
        { "\"\\udc00\\ud800\"", "line 1, column 2: half of a surrogate pair in a string" },
        { "\"a\tb\"", "line 1, column 3: a control character must be escaped in a string" },
        { "\"\xc0\x80\"", "line 1, column 2: not valid UTF-8" },
        { "\"\xed\xa0\x80\"", "line 1, column 2: not valid UTF-8" },
        { "\"\xf4\x90\x80\x80\"", "line 1, column 2: not valid UTF-8" },
    };
    for (size_t i = 0; i < FL_COUNTOF(bad); i++) {
        struct fl_err err;
        struct fl_str copy = exact_copy(fl_str_of(bad[i].text));
        CHECK_INT(fl_scan(copy, &fl_scan_grammar, NULL, 0, NULL, &err), FL_BAD_JSON);
        CHECK_STR(err.text, bad[i].why);
        free_copy(copy);
    }
    CHECK_INT(verdict("{", &fl_scan_grammar, NULL), FL_BAD_JSON); /* nobody wants to know why */
    CHECK_INT(fl_scan((struct fl_str){ 0 }, &fl_scan_grammar, NULL, 0, NULL, NULL), FL_BAD_JSON);
}

static void test_calls_refuse_duplicates_and_nul(void)
{
    static const char *const twice[] = { "{\"a\":1,\"a\":1}",
                                         "{\"a\":1,\"\\u0061\":1}",
                                         "{\"\\u0061\":1,\"a\":1}",
                                         "{\"\":1,\"\":2}",
                                         "[{\"x\":{\"a\":1,\"b\":{\"a\":1},\"a\":2}}]",
                                         "{\"\xf0\x9f\x98\x80\":1,\"\\ud83d\\ude00\":1}",
                                         "{\"/\":1,\"\\/\":1}" };
    static const char *const once[] = {
        "{\"a\":1,\"A\":1}", "{\"a\":{\"a\":1},\"b\":{\"a\":1}}", "[{\"a\":1},{\"a\":1}]",
        "{\"\":1,\"a\":2}",  "{\"\\u0061\":{\"\\u0061\":1}}",     "{\"a\\\\u0061\":1,\"aa\":1}"
    };
    struct fl_err err;
    for (size_t i = 0; i < FL_COUNTOF(twice); i++) {
        CHECK_MSG(verdict(twice[i], &fl_scan_call, &err) == FL_BAD_JSON, "%s", twice[i]);
        CHECK(strstr(err.text, ": the same key stands twice in one object"));
        CHECK_OK(verdict(twice[i], &fl_scan_grammar, &err));
    }
    for (size_t i = 0; i < FL_COUNTOF(once); i++)
        CHECK_MSG(verdict(once[i], &fl_scan_call, &err) == FL_OK, "%s: %s", once[i], err.text);
    CHECK_INT(verdict("[\"x\\u0000\"]", &fl_scan_call, &err), FL_BAD_JSON);
    CHECK_STR(err.text, "line 1, column 4: \\u0000 is not allowed");
    CHECK_OK(verdict("[\"\\\\u0000\"]", &fl_scan_call, &err)); /* a backslash and "u0000" */
}

static void put_nested(struct fl_buf *b, size_t depth)
{
    fl_buf_reset(b);
    for (size_t i = 0; i < depth; i++)
        fl_buf_puts(b, i % 2 ? "[" : "{\"a\":");
    fl_buf_putc(b, '0');
    for (size_t i = depth; i-- > 0;)
        fl_buf_putc(b, i % 2 ? ']' : '}');
}

static void test_limits_hold_to_the_last_byte(void)
{
    struct fl_buf b = FL_BUF_INIT;
    struct fl_err err;
    put_nested(&b, 64);
    CHECK_OK(verdict(b.p, &fl_scan_call, &err));
    put_nested(&b, 65);
    CHECK_INT(verdict(b.p, &fl_scan_call, &err), FL_TOO_LARGE);
    CHECK_STR(err.text, "nested deeper than 64 levels");
    put_nested(&b, FL_SCAN_DEPTH_MAX);
    CHECK_OK(verdict(b.p, &fl_scan_grammar, &err));
    put_nested(&b, FL_SCAN_DEPTH_MAX + 1);
    CHECK_INT(verdict(b.p, &fl_scan_grammar, &err), FL_TOO_LARGE);

    struct fl_scan_limits limits = fl_scan_call;
    limits.max_nodes = 4; /* the object, 1, the array, 2; keys do not count */
    CHECK_OK(verdict("{\"a\":1,\"b\":[2]}", &limits, &err));
    CHECK_INT(verdict("{\"a\":1,\"b\":[2,3]}", &limits, &err), FL_TOO_LARGE);
    CHECK_STR(err.text, "more than 4 values");
    limits.max_bytes = 4;
    CHECK_OK(verdict(" [1]", &limits, &err));
    CHECK_INT(verdict(" [1] ", &limits, &err), FL_TOO_LARGE);
    CHECK_STR(err.text, "larger than 4 bytes");
    fl_buf_fini(&b);
}

/* ---- large objects ---- */
static void put_members(struct fl_buf *b, size_t count, const char *more)
{
    fl_buf_reset(b);
    fl_buf_putc(b, '{');
    for (size_t i = 0; i < count; i++)
        fl_buf_printf(b, "\"k%zu\":%zu,", i, i);
    fl_buf_printf(b, "%s}", more);
}

static void test_objects_of_every_size_find_their_duplicate(void)
{
    struct fl_buf b = FL_BUF_INIT;
    struct fl_err err;
    for (size_t count = 1; count < 200; count++) {
        char twice[64];
        put_members(&b, count, "\"x\":1");
        CHECK_OK(verdict(b.p, &fl_scan_call, &err));
        snprintf(twice, sizeof twice, "\"k%zu\":1", count * 7 % count);
        put_members(&b, count, twice);
        CHECK_INT(verdict(b.p, &fl_scan_call, &err), FL_BAD_JSON);
        snprintf(twice, sizeof twice, "\"\\u006b%zu\":1", count - 1);
        put_members(&b, count, twice);
        CHECK_INT(verdict(b.p, &fl_scan_call, &err), FL_BAD_JSON);
    }
    /* Many open objects at once: more keys than are remembered pair by pair. */
    fl_buf_reset(&b);
    for (int depth = 0; depth < 60; depth++)
        fl_buf_puts(&b, "{\"a\":1,\"b\":2,\"c\":3,\"d\":4,\"e\":");
    fl_buf_puts(&b, "{\"a\":{}}");
    for (int depth = 0; depth < 60; depth++)
        fl_buf_puts(&b, depth == 57 ? ",\"c\":1}" : ",\"z\":1}");
    CHECK_INT(verdict(b.p, &fl_scan_call, &err), FL_BAD_JSON);
    char *planted = strstr(b.p, ",\"c\":1}");
    CHECK(planted);
    planted[2] = 'y';
    CHECK_OK(verdict(b.p, &fl_scan_call, &err));
    fl_buf_fini(&b);
}

static void test_a_hundred_thousand_keys_stay_linear(void)
{
    struct fl_buf b = FL_BUF_INIT;
    struct fl_err err;
    struct fl_str value;
    struct fl_scan_pick last = { { "x" } };
    put_members(&b, 99997, "\"x\":\"here\"");
    CHECK_OK(fl_scan(fl_buf_view(&b), &fl_scan_call, &last, 1, &value, &err));
    CHECK_SPAN(value, "\"here\"");
    put_members(&b, 99997, "\"k5\":1");
    CHECK_INT(verdict(b.p, &fl_scan_call, &err), FL_BAD_JSON);
    fl_buf_fini(&b);
}

static void test_ordinary_messages_allocate_nothing(void)
{
    static const char call[] =
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"t\","
        "\"arguments\":{\"a\":\"\\u00e9\\n\",\"b\":[1,2,{\"c\":null}]},\"_meta\":{}}}";
    struct fl_err err;
    fl_mem_fail_at(1, 0);
    CHECK_OK(verdict(call, &fl_scan_call, &err));
    CHECK_INT(fl_mem_fail_at(0, 0), 0);
}

static void test_out_of_memory_is_an_error(void)
{
    struct fl_buf b = FL_BUF_INIT;
    struct fl_err err;
    struct fl_str value = FL_STR("untouched");
    struct fl_scan_pick pick = { { "x" } };
    put_members(&b, 100, "\"\\u0061\":1,\"x\":2");
    uint64_t n = 1;
    for (;; n++) {
        fl_mem_fail_at(n, 0);
        enum fl_code code = fl_scan(fl_buf_view(&b), &fl_scan_call, &pick, 1, &value, &err);
        fl_mem_fail_at(0, 0);
        if (code == FL_OK)
            break;
        CHECK_INT(code, FL_NOMEM);
        CHECK_STR(err.text, "out of memory");
        CHECK_SPAN(value, "untouched");
    }
    CHECK(n > 4);
    CHECK_SPAN(value, "2");
    fl_buf_fini(&b);
}

static void test_the_hash_is_siphash(void)
{
    /* The example in appendix A of the SipHash paper. */
    struct fl_hash_key key = { { 0x0706050403020100ULL, 0x0f0e0d0c0b0a0908ULL } };
    char bytes[15];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)i;
    CHECK(fl_hash(&key, (struct fl_str){ bytes, sizeof bytes }) == 0xa129ca6149be45e5ULL);
    CHECK(fl_hash(&key, (struct fl_str){ 0 }) == 0x726fdb47dd0e0e31ULL);
}

/* ---- picks ---- */
static void test_picks_are_found_by_place(void)
{
    static const struct fl_scan_pick picks[] = {
        { { "id" } },
        { { "method" } },
        { { "params" } },
        { { "params", "name" } },
        { { "params", "arguments" } },
        { { "params", "_meta", "progressToken" } },
        { { "params", "_meta", "io.example/key" } },
        { { "absent" } },
        { { "params", "name", "below a string" } },
        { { "id" } },
    };
    enum { N = FL_COUNTOF(picks) };
    struct fl_str got[N];
    struct fl_err err;
    const char *text =
        " {\"jsonrpc\":\"2.0\", \"other\":{\"id\":5,\"name\":6,\"params\":{}},\n"
        "\"params\" : {\"_meta\":{\"progressToken\" : [ 1 , 2 ] ,\"x\":{\"id\":1}},"
        "\"n\\u0061me\":\"to\\\"ol\",\"arguments\":{\"name\":1,\"id\":[{\"id\":9}]}},"
        "\"list\":[{\"id\":4,\"method\":4}],\"id\": -7 ,\"method\":\"tools/call\"} ";
    CHECK_OK(fl_scan(fl_str_of(text), &fl_scan_call, picks, N, got, &err));
    CHECK_SPAN(got[0], "-7");
    CHECK_SPAN(got[1], "\"tools/call\"");
    CHECK(got[2].p[0] == '{' && got[2].p[got[2].n - 1] == '}' &&
          strstr(text, "{\"_meta") == got[2].p);
    CHECK_SPAN(got[3], "\"to\\\"ol\"");
    CHECK_SPAN(got[4], "{\"name\":1,\"id\":[{\"id\":9}]}");
    CHECK_SPAN(got[5], "[ 1 , 2 ]");
    CHECK(!got[6].p && !got[7].p && !got[8].p);
    CHECK_SPAN(got[9], "-7");
    for (size_t n = strlen(text) - 2; n > 0; n--) { /* cut anywhere: refused, ret untouched */
        struct fl_str cut[N] = { { "old", 3 } };
        struct fl_str copy = exact_copy((struct fl_str){ text, n });
        CHECK_INT(fl_scan(copy, &fl_scan_call, picks, N, cut, &err), FL_BAD_JSON);
        CHECK_SPAN(cut[0], "old");
        free_copy(copy);
    }
}

static void test_picks_compare_names_exactly(void)
{
    static const struct fl_scan_pick picks[] = { { { "params" } }, { { "param" } }, { { "k" } } };
    struct fl_str got[3];
    struct fl_err err;
    /* Case, look-alikes (Kelvin sign, long s) and longer or shorter names are other members. */
    CHECK_OK(fl_scan(FL_STR("{\"Params\":1,\"param\\u017f\":2,\"paramss\":3,\"para\":4,\"\":5,"
                            "\"\xe2\x84\xaa\":6,\"params \":7,\"\\u006bk\":8}"),
                     &fl_scan_call, picks, 3, got, &err));
    CHECK(!got[0].p && !got[1].p && !got[2].p);
    CHECK_OK(
        fl_scan(FL_STR("{\"par\\u0061ms\":1,\"\\u006b\":2}"), &fl_scan_call, picks, 3, got, &err));
    CHECK_SPAN(got[0], "1");
    CHECK_SPAN(got[2], "2");
    CHECK_OK(fl_scan(FL_STR("[{\"params\":1}]"), &fl_scan_call, picks, 3, got, &err));
    CHECK(!got[0].p);
    CHECK_OK(fl_scan(FL_STR("\"params\""), &fl_scan_call, picks, 3, got, &err));
    CHECK(!got[0].p);
}

static void test_where_duplicates_are_let_through_the_last_counts(void)
{
    static const struct fl_scan_pick picks[] = { { { "a" } }, { { "a", "b" } } };
    struct fl_str got[2], text = FL_STR("{\"a\":{\"b\":1},\"a\":{\"c\":2}}");
    struct fl_err err;
    CHECK_OK(fl_scan(text, &fl_scan_grammar, picks, 2, got, &err));
    CHECK_SPAN(got[0], "{\"c\":2}");
    CHECK(!got[1].p); /* what the first "a" had is gone with it */
    CHECK_SPAN(fl_span_get(text, "a"), "{\"c\":2}");
    json_t *tree = json_loadb(text.p, text.n, 0, NULL);
    CHECK(json_object_get(json_object_get(tree, "a"), "c"));
    json_decref(tree);
}

static void test_the_most_picks_work(void)
{
    struct fl_scan_pick picks[FL_SCAN_PICKS_MAX];
    struct fl_str got[FL_SCAN_PICKS_MAX];
    struct fl_buf b = FL_BUF_INIT;
    char names[FL_SCAN_PICKS_MAX][8];
    struct fl_err err;
    put_members(&b, 40, "\"x\":1");
    for (int i = 0; i < FL_SCAN_PICKS_MAX; i++) {
        snprintf(names[i], sizeof names[i], "k%d", i);
        picks[i] = (struct fl_scan_pick){ { names[i] } };
    }
    CHECK_OK(fl_scan(fl_buf_view(&b), &fl_scan_call, picks, FL_SCAN_PICKS_MAX, got, &err));
    for (int i = 0; i < FL_SCAN_PICKS_MAX; i++)
        CHECK_SPAN(got[i], names[i] + 1);
    fl_buf_fini(&b);
}

/* ---- spans ---- */
static void test_spans_are_read(void)
{
    struct fl_arena *arena = fl_arena_new(0);
    struct fl_str object =
        FL_STR(" { \"s\" : \"x\" , \"e\":\"\\u00e9\\n\\ud83d\\ude00\", \"n\":-12, "
               "\"a\":[ 1 ,[2,{\"]\":\"}\"}],\"\"], \"o\":{}, \"t\":true,"
               "\"f\":false,\"z\":null,\"r\":1.0 } ");
    static const struct {
        const char *name;
        enum fl_span_type type;
    } members[] = { { "s", FL_SPAN_STRING }, { "e", FL_SPAN_STRING }, { "n", FL_SPAN_NUMBER },
                    { "a", FL_SPAN_ARRAY },  { "o", FL_SPAN_OBJECT }, { "t", FL_SPAN_TRUE },
                    { "f", FL_SPAN_FALSE },  { "z", FL_SPAN_NULL },   { "r", FL_SPAN_NUMBER },
                    { "x", FL_SPAN_ABSENT } };
    CHECK_OK(fl_scan(object, &fl_scan_call, NULL, 0, NULL, NULL));
    CHECK_INT(fl_span_type(object), FL_SPAN_OBJECT);
    for (size_t i = 0; i < FL_COUNTOF(members); i++)
        CHECK_INT(fl_span_type(fl_span_get(object, members[i].name)), members[i].type);

    struct fl_str s = fl_span_get(object, "s"), e = fl_span_get(object, "e");
    CHECK_SPAN(fl_span_string(arena, s), "x");
    CHECK(fl_span_string(arena, s).p == s.p + 1); /* borrowed */
    CHECK_SPAN(fl_span_string(arena, e), "\xc3\xa9\n\xf0\x9f\x98\x80");
    CHECK(fl_span_is(e, "\xc3\xa9\n\xf0\x9f\x98\x80") && !fl_span_is(e, "\xc3\xa9\n") &&
          !fl_span_is(e, "\xc3\xa9\n\xf0\x9f\x98\x80x"));
    CHECK(!fl_span_string(arena, fl_span_get(object, "n")).p);
    CHECK(!fl_span_is(fl_span_get(object, "n"), "-12"));

    struct fl_str array = fl_span_get(object, "a"), item;
    static const char *const items[] = { "1", "[2,{\"]\":\"}\"}]", "\"\"" };
    size_t pos = 0, count = 0;
    while (fl_span_next_item(array, &pos, &item))
        CHECK_SPAN(item, items[count++]);
    CHECK_INT(count, 3);
    CHECK(fl_span_string(arena, item).p && fl_span_string(arena, item).n == 0);
    CHECK(!fl_span_next_item(array, &pos, &item));

    struct fl_str key, value;
    for (pos = count = 0; fl_span_next_member(object, &pos, &key, &value); count++)
        CHECK(fl_span_is(key, members[count].name));
    CHECK_INT(count, 9);
    pos = 0;
    CHECK(!fl_span_next_member(array, &pos, &key, &value) &&
          !fl_span_next_item(object, &pos, &item));
    CHECK(!fl_span_next_member((struct fl_str){ 0 }, &pos, &key, &value));
    CHECK_INT(fl_span_type((struct fl_str){ 0 }), FL_SPAN_ABSENT);
    CHECK(!fl_span_get(array, "a").p && !fl_span_get((struct fl_str){ 0 }, "a").p);
    struct fl_arena *empty = fl_arena_new(0);
    fl_mem_fail_at(1, 0);
    while (fl_arena_raw(empty, 1)) /* the chunk that it began with */
        ;
    CHECK(!fl_span_string(empty, e).p && fl_span_string(empty, s).p);
    fl_mem_fail_at(0, 0);
    fl_arena_free(&empty);
    fl_arena_free(&arena);
}

static void test_integers_fit_or_are_none(void)
{
    static const struct {
        const char *text;
        bool is_int;
        int64_t value;
    } numbers[] = { { "0", true, 0 },
                    { "-0", true, 0 },
                    { "9223372036854775807", true, INT64_MAX },
                    { "-9223372036854775808", true, INT64_MIN },
                    { "9223372036854775808", false, 0 },
                    { "1.0", false, 0 },
                    { "1e3", false, 0 },
                    { "\"1\"", false, 0 },
                    { "null", false, 0 },
                    { "", false, 0 } };
    for (size_t i = 0; i < FL_COUNTOF(numbers); i++) {
        int64_t value = 42;
        CHECK_MSG(fl_span_int(fl_str_of(numbers[i].text), &value) == numbers[i].is_int, "%s",
                  numbers[i].text);
        CHECK_INT(value, numbers[i].is_int ? numbers[i].value : 42);
    }
}

/* ---- the other opinion ---- */
/* Bytes of a string at every distance from its start and from the text's end, in texts without a
 * spare byte: the sixteen-byte steps must neither miss one nor read beyond. */
static void test_a_special_byte_is_seen_at_every_place(void)
{
    static const char *const specials[] = { "\"", "\\", "\x01", "\x1f", "\xff", "\x80", "\n" };
    static const char *const harmless[] = {
        "\\\"", "\\\\", "\xc3\xbf", "\xe2\x82\xac",     "\x7f",   "!",
        "#",    "[",    "]",        "\xf4\x8f\xbf\xbf", "\\u0020"
    };
    char text[600];
    for (size_t length = 0; length < 150; length++) {
        for (size_t at = 0; at <= length; at++) {
            size_t kind = (length * 151 + at) % FL_COUNTOF(harmless);
            memset(text, 'x', sizeof text);
            size_t n = strlen(harmless[kind]);
            text[0] = '"';
            memcpy(text + 1 + at, harmless[kind], n);
            text[1 + length + n] = '"';
            struct fl_str copy = exact_copy((struct fl_str){ text, length + n + 2 });
            CHECK_OK(fl_scan(copy, &fl_scan_call, NULL, 0, NULL, NULL));
            CHECK_INT(fl_span_type(copy), FL_SPAN_STRING);
            free_copy(copy);
            kind = (length * 151 + at) % FL_COUNTOF(specials);
            memset(text + 1, 'x', sizeof text - 1);
            text[1 + at] = specials[kind][0];
            text[1 + length + 1] = '"';
            copy = exact_copy((struct fl_str){ text, length + 3 });
            enum fl_code code = fl_scan(copy, &fl_scan_call, NULL, 0, NULL, NULL);
            CHECK_MSG(code == FL_BAD_JSON, "length %zu, byte %d at %zu", length, specials[kind][0],
                      at);
            free_copy(copy);
        }
    }
}

static bool jansson_accepts(struct fl_str text, size_t flags, bool *ret_is_excused, json_t **ret)
{
    json_error_t why;
    *ret = json_loadb(text.p, text.n, JSON_DECODE_ANY | flags, &why);
    enum json_error_code code = json_error_code(&why);
    /* It has no room for such numbers and keys; the grammar has. */
    *ret_is_excused =
        !*ret && (code == json_error_numeric_overflow || code == json_error_null_byte_in_key);
    return *ret != NULL;
}

static void test_utf8_is_judged_as_jansson_judges_it(void)
{
    size_t accepted = 0, tried = 0;
    for (unsigned a = 0x80; a <= 0xff; a++) {
        for (unsigned b = 0x7f; b <= 0xc0; b++) {
            for (unsigned tail = 0; tail < 6; tail++) {
                static const char *const tails[] = { "",         "\x80",     "\xbf",
                                                     "\x80\x80", "\xbf\xbf", "\x80x" };
                char text[16];
                json_t *tree;
                bool is_excused;
                int n = snprintf(text, sizeof text, "\"%c%c%s\"", (char)a, (char)b, tails[tail]);
                struct fl_str s = { text, (size_t)n };
                bool is_ours = fl_scan(s, &fl_scan_call, NULL, 0, NULL, NULL) == FL_OK;
                CHECK_MSG(is_ours == jansson_accepts(s, 0, &is_excused, &tree), "%02x %02x +%u", a,
                          b, tail);
                json_decref(tree);
                struct fl_str body = { text + 1, s.n - 2 };
                CHECK(is_ours == fl_utf8_is_valid(body));
                accepted += is_ours;
                tried++;
            }
        }
    }
    CHECK_INT(tried, 128 * 66 * 6);
    CHECK(accepted > 2000);
}

/* The same value, walked side by side. Recursion: the trees are those of json_gen.h. */
static void check_same(struct fl_arena *arena, const json_t *tree, struct fl_str span)
{
    struct fl_str key, value, text;
    size_t pos = 0, count = 0;
    int64_t number;
    char literal[100];
    switch (json_typeof(tree)) {
    case JSON_OBJECT:
        CHECK_INT(fl_span_type(span), FL_SPAN_OBJECT);
        while (fl_span_next_member(span, &pos, &key, &value)) {
            text = fl_span_string(arena, key);
            CHECK(json_object_getn(tree, text.p, text.n));
        }
        const char *name;
        json_t *member;
        json_object_foreach ((json_t *)(uintptr_t)tree, name, member) {
            if (strlen(name) == json_object_iter_key_len(json_object_key_to_iter(name)))
                check_same(arena, member, fl_span_get(span, name));
        }
        break;
    case JSON_ARRAY:
        CHECK_INT(fl_span_type(span), FL_SPAN_ARRAY);
        while (fl_span_next_item(span, &pos, &value))
            check_same(arena, json_array_get(tree, count++), value);
        CHECK_INT(count, json_array_size(tree));
        break;
    case JSON_STRING:
        text = fl_span_string(arena, span);
        CHECK(text.n == json_string_length(tree) &&
              memcmp(text.p, json_string_value(tree), text.n) == 0);
        CHECK(memchr(text.p, 0, text.n) || fl_span_is(span, json_string_value(tree)));
        break;
    case JSON_INTEGER:
        CHECK(fl_span_int(span, &number) && number == json_integer_value(tree));
        break;
    case JSON_REAL:
        CHECK(span.n < sizeof literal);
        memcpy(literal, span.p, span.n); /* nothing ends the span for strtod */
        literal[span.n] = 0;
        CHECK(strtod(literal, NULL) == json_real_value(tree));
        break;
    case JSON_TRUE: CHECK_SPAN(span, "true"); break;
    case JSON_FALSE: CHECK_SPAN(span, "false"); break;
    case JSON_NULL: CHECK_SPAN(span, "null"); break;
    }
}

static struct fl_str without_blanks(struct fl_str s)
{
    for (; s.n && strchr(" \t\r\n", s.p[0]); s.n--)
        s.p++;
    while (s.n && strchr(" \t\r\n", s.p[s.n - 1]))
        s.n--;
    return s;
}

static void test_mutated_texts_get_jansson_verdict_and_values(void)
{
    enum { TEXTS = 250000 };
    static const struct fl_scan_pick picks[] = {
        { { "id" } }, { { "a", "b" } }, { { "params", "c", "a" } }, { { "\xc3\xa9" } }
    };
    struct gen g = { 20261123 };
    struct fl_buf b = FL_BUF_INIT;
    size_t accepted = 0, refused = 0, excused = 0, with_nul = 0, duplicates = 0, picked = 0;
    for (int i = 0; i < TEXTS; i++) {
        fl_buf_reset(&b);
        gen_json(&g, &b, gen_below(&g, 4) == 0);
        if (gen_below(&g, 8))
            gen_mutate(&g, &b);
        struct fl_str text = exact_copy(fl_buf_view(&b)), got[4];
        struct fl_err err;
        json_t *tree;
        bool is_excused, is_call;
        bool is_ours = fl_scan(text, &fl_scan_grammar, picks, 4, got, &err) == FL_OK;
        is_call = fl_scan(text, &fl_scan_call, NULL, 0, NULL, &err) == FL_OK;
        if (memchr(text.p, 0, text.n)) { /* jansson takes a NUL byte for the text's end */
            CHECK(!is_ours && !is_call);
            with_nul++;
            free_copy(text);
            continue;
        }
        bool is_theirs = jansson_accepts(text, JSON_ALLOW_NUL, &is_excused, &tree);
        CHECK_MSG(is_ours == is_theirs || (is_ours && is_excused), "%s: ours %d, jansson's %d", b.p,
                  is_ours, is_theirs);
        accepted += is_ours;
        refused += !is_ours;
        excused += is_excused;
        if (tree) {
            struct fl_arena *arena = fl_arena_new(0);
            check_same(arena, tree, without_blanks(text));
            const json_t *want = json_object_get(json_object_get(tree, "a"), "b");
            CHECK((want != NULL) == (got[1].p != NULL));
            if (want)
                check_same(arena, want, got[1]);
            want = json_object_get(tree, "\xc3\xa9");
            CHECK((want != NULL) == (got[3].p != NULL));
            if (want)
                check_same(arena, want, got[3]);
            picked += want != NULL;
            fl_arena_free(&arena);
        }
        json_decref(tree);
        bool is_their_call = jansson_accepts(text, JSON_REJECT_DUPLICATES, &is_excused, &tree);
        CHECK_MSG(is_call == is_their_call || (is_call && is_excused), "%s as a call: ours %d", b.p,
                  is_call);
        duplicates += is_ours && !is_call;
        json_decref(tree);
        free_copy(text);
    }
    fl_buf_fini(&b);
    printf("    %zu accepted, %zu refused, %zu beyond jansson, %zu with NUL, %zu refused as calls "
           "only, %zu picks\n",
           accepted, refused, excused, with_nul, duplicates, picked);
    CHECK(accepted > TEXTS / 10 && refused > TEXTS / 4 && excused > 100 && with_nul > 100);
    CHECK(duplicates > 1000 && picked > 1000);
}

static const struct fl_test tests[] = {
    T(published_texts_are_judged_as_their_names_say),
    T(refusals_say_where_and_why),
    T(calls_refuse_duplicates_and_nul),
    T(limits_hold_to_the_last_byte),
    T(objects_of_every_size_find_their_duplicate),
    T_LIMIT(a_hundred_thousand_keys_stay_linear, 5),
    T(ordinary_messages_allocate_nothing),
    T(out_of_memory_is_an_error),
    T(the_hash_is_siphash),
    T(picks_are_found_by_place),
    T(picks_compare_names_exactly),
    T(where_duplicates_are_let_through_the_last_counts),
    T(the_most_picks_work),
    T(spans_are_read),
    T(integers_fit_or_are_none),
    T(a_special_byte_is_seen_at_every_place),
    T(utf8_is_judged_as_jansson_judges_it),
    T_LIMIT(mutated_texts_get_jansson_verdict_and_values, 60),
};
TEST_MAIN(tests)
