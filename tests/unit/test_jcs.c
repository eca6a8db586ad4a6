/* Canonical JSON: the published pairs, RFC 8785's numbers, what is refused because it would change
 * in value, and that texts and trees give the same bytes. */
#include "flopinio/base/jcs.h"

#include <math.h>

#include "flopinio/base/id.h"
#include "flopinio/base/json.h"
#include "flopinio/base/mem.h"
#include "flopinio/base/scan.h"
#include "flopinio/base/utf8.h"
#include "harness.h"
#include "json_gen.h"

/* Scans as a call, then makes the canonical form. */
static enum fl_code canonical(struct fl_str text, struct fl_buf *out, struct fl_err *err)
{
    enum fl_code code = fl_scan(text, &fl_scan_call, NULL, 0, NULL, err);
    return code ? code : fl_jcs(text, out, err);
}

/* ---- published pairs ---- */
static struct fl_str read_data(const char *folder, const char *name, const char *ending)
{
    char path[100];
    size_t n;
    snprintf(path, sizeof path, "jcs/%s/%s.%s", folder, name, ending);
    char *text = fl_test_read_file(fl_test_data(path), &n);
    return (struct fl_str){ text, n };
}

static void put_unhexed(struct fl_buf *out, struct fl_str hex)
{
    for (size_t i = 0; i + 1 < hex.n; i++) {
        uint8_t byte;
        if (!fl_unhex((struct fl_str){ hex.p + i, 2 }, &byte, 1))
            continue;
        fl_buf_put(out, &byte, 1);
        i++;
    }
}

static void test_published_pairs_come_out_byte_for_byte(void)
{
    static const char *const names[] = { "arrays",  "french", "structures",
                                         "unicode", "values", "weird" };
    static const char rounded[] = "333333333.33333329", kept[] = "333333333.3333333 ";
    int pairs = 0;
    for (size_t i = 0; i < FL_COUNTOF(names); i++) {
        struct fl_str input = read_data("input", names[i], "json");
        struct fl_str output = read_data("output", names[i], "json");
        struct fl_str hex = read_data("outhex", names[i], "txt");
        struct fl_buf form = FL_BUF_INIT, bytes = FL_BUF_INIT;
        struct fl_err err;
        char *number = strstr(input.p, rounded);
        CHECK((number != NULL) == (strcmp(names[i], "values") == 0));
        if (number) {
            /* RFC 8785 rounds this one; we refuse it, and take what it would have become. */
            CHECK_INT(canonical(input, &form, &err), FL_BAD_PARAMS);
            CHECK_STR(err.text, "cannot keep the number exactly at \"/numbers/0\": "
                                "333333333.33333329");
            CHECK_INT(form.n, 0);
            memcpy(number, kept, strlen(kept));
        }
        CHECK_OK(canonical(input, &form, &err));
        CHECK_MSG(fl_str_eq(fl_buf_view(&form), output), "%s: %s", names[i], form.p);
        put_unhexed(&bytes, hex);
        CHECK_MSG(fl_str_eq(fl_buf_view(&form), fl_buf_view(&bytes)), "%s in hex", names[i]);
        pairs++;
        fl_buf_fini(&form);
        fl_buf_fini(&bytes);
        free((void *)(uintptr_t)input.p);
        free((void *)(uintptr_t)output.p);
        free((void *)(uintptr_t)hex.p);
    }
    CHECK_INT(pairs, 6);
}

/* ---- numbers ---- */
static double from_bits(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static void test_numbers_are_those_of_rfc_8785_appendix_b(void)
{
    static const struct {
        uint64_t bits;
        const char *text;
    } samples[] = {
        { 0x0000000000000000, "0" },
        { 0x8000000000000000, "0" },
        { 0x0000000000000001, "5e-324" },
        { 0x8000000000000001, "-5e-324" },
        { 0x7fefffffffffffff, "1.7976931348623157e+308" },
        { 0xffefffffffffffff, "-1.7976931348623157e+308" },
        { 0x4340000000000000, "9007199254740992" },
        { 0xc340000000000000, "-9007199254740992" },
        { 0x4430000000000000, "295147905179352830000" },
        { 0x44b52d02c7e14af5, "9.999999999999997e+22" },
        { 0x44b52d02c7e14af6, "1e+23" },
        { 0x44b52d02c7e14af7, "1.0000000000000001e+23" },
        { 0x444b1ae4d6e2ef4e, "999999999999999700000" },
        { 0x444b1ae4d6e2ef4f, "999999999999999900000" },
        { 0x444b1ae4d6e2ef50, "1e+21" },
        { 0x3eb0c6f7a0b5ed8c, "9.999999999999997e-7" },
        { 0x3eb0c6f7a0b5ed8d, "0.000001" },
        { 0x41b3de4355555553, "333333333.3333332" },
        { 0x41b3de4355555554, "333333333.33333325" },
        { 0x41b3de4355555555, "333333333.3333333" },
        { 0x41b3de4355555556, "333333333.3333334" },
        { 0x41b3de4355555557, "333333333.33333343" },
        { 0xbecbf647612f3696, "-0.0000033333333333333333" },
        { 0x43143ff3c1cb0959, "1424953923781206.2" },
    };
    for (size_t i = 0; i < FL_COUNTOF(samples); i++) {
        char text[32];
        CHECK_STR(fl_jcs_number(from_bits(samples[i].bits), text), samples[i].text);
    }
}

/* Below a power of two doubles lie closer together than above: the shortest form is then not
 * always the nearest one of its length (the values are those that browsers print). */
static void test_powers_of_two_have_their_shortest_form(void)
{
    char text[32];
    CHECK_STR(fl_jcs_number(0x1p-24, text), "5.960464477539063e-8");
    CHECK_STR(fl_jcs_number(0x1p-44, text), "5.684341886080802e-14");
    CHECK_STR(fl_jcs_number(-0x1p89, text), "-6.189700196426902e+26");
    CHECK_STR(fl_jcs_number(0x1p-1017, text), "7.120236347223045e-307");
    CHECK_STR(fl_jcs_number(0x1p-1022, text), "2.2250738585072014e-308");
    CHECK_STR(fl_jcs_number(0x0.fffffffffffffp-1022, text), "2.225073858507201e-308");
    for (int exponent = -1074; exponent < 1024; exponent++) {
        double value = ldexp(1, exponent);
        CHECK(strtod(fl_jcs_number(value, text), NULL) == value);
    }
}

static size_t count_digits(const char *number)
{
    char digits[32];
    size_t count = 0;
    for (; *number && *number != 'e'; number++) {
        if (*number >= '0' && *number <= '9' && (count || *number != '0'))
            digits[count++] = *number;
    }
    while (count && digits[count - 1] == '0')
        count--;
    return count;
}

static void test_a_million_doubles_read_back_and_none_is_longer_than_needed(void)
{
    enum { NUMBERS = 1000000 };
    struct gen g = { 8785 };
    int finite = 0, shorter = 0;
    for (int i = 0; i < NUMBERS; i++) {
        char text[32], less[64];
        uint64_t bits = gen_next(&g);
        if (i % 4 == 1) /* fewer digits, nearer to what people write */
            bits = (bits & 0x800fffffffffffffULL) | (uint64_t)(0x3c0 + bits % 0x80) << 52;
        if (i % 4 == 2)
            bits &= ~0xffffffffffULL;
        double value = i % 4 == 3 ? (double)(int64_t)(bits >> 20) / 1000 : from_bits(bits);
        if (!isfinite(value))
            continue;
        finite++;
        CHECK_MSG(strtod(fl_jcs_number(value, text), NULL) == value, "%a is not %s", value, text);
        size_t digits = count_digits(text);
        shorter += digits < 15;
        if (i % 16 == 0 && digits > 1) {
            snprintf(less, sizeof less, "%.*e", (int)digits - 2, value);
            CHECK_MSG(strtod(less, NULL) != value, "%s is as good as %s", less, text);
        }
    }
    CHECK(finite > NUMBERS / 10 * 9 && shorter > NUMBERS / 10);
}

static void test_numbers_that_keep_their_value_are_rewritten(void)
{
    static const char *const kept[][2] = {
        { "1.0", "1" },
        { "1e2", "100" },
        { "-0", "0" },
        { "-0.0e5", "0" },
        { "0e999999999999999999999", "0" },
        { "0.1", "0.1" },
        { "1E-7", "1e-7" },
        { "0.000001", "0.000001" },
        { "123456789012345680000", "123456789012345680000" },
        { "1e21", "1e+21" },
        { "9007199254740991", "9007199254740991" },
        { "9007199254740994", "9007199254740994" },
        { "-9007199254740992.000", "-9007199254740992" },
        { "1.7976931348623157e308", "1.7976931348623157e+308" },
        { "1e308", "1e+308" },
        { "1e-307", "1e-307" },
        { "5e-324", "5e-324" },
        { "0.5e-323", "5e-324" },
        { "2.2250738585072014E-308", "2.2250738585072014e-308" },
        { "0.30000000000000004", "0.30000000000000004" },
        { "1000000000000000000000000000000000000000000e-42", "1" },
        { "0.000000000000000000000000000000000000000001e42", "1" },
        { "12300e-4", "1.23" },
    };
    for (size_t i = 0; i < FL_COUNTOF(kept); i++) {
        struct fl_buf form = FL_BUF_INIT;
        struct fl_err err = { 0 };
        CHECK_MSG(canonical(fl_str_of(kept[i][0]), &form, &err) == FL_OK, "%s: %s", kept[i][0],
                  err.text);
        CHECK_SPAN(fl_buf_view(&form), kept[i][1]);
        fl_buf_fini(&form);
    }
}

static void test_numbers_that_would_change_are_refused(void)
{
    static const char *const changed[] = { "9007199254740993",
                                           "-9007199254740993",
                                           "9223372036854775807",
                                           "18446744073709551616",
                                           "1e309",
                                           "2e308",
                                           "1e400",
                                           "-1e400",
                                           "1e-400",
                                           "1e99999999999999999999",
                                           "1e-99999999999999999999",
                                           "3e-324",
                                           "4e-324",
                                           "1.7976931348623158e308",
                                           "0.1000000000000000055511151231257827",
                                           "0.30000000000000003",
                                           "123456789012345678",
                                           "1.00000000000000001" };
    for (size_t i = 0; i < FL_COUNTOF(changed); i++) {
        struct fl_buf form = FL_BUF_INIT, text = FL_BUF_INIT;
        struct fl_err err;
        char why[200];
        fl_buf_puts(&form, "before");
        fl_buf_printf(&text, "{\"z\":[1,{\"a/b\":{\"~\\u00e9\":%s}}],\"a\":1}", changed[i]);
        CHECK_INT(canonical(fl_buf_view(&text), &form, &err), FL_BAD_PARAMS);
        snprintf(why, sizeof why, "cannot keep the number exactly at \"/z/1/a~1b/~0\xc3\xa9\": %s",
                 changed[i]);
        CHECK_STR(err.text, why);
        CHECK_SPAN(fl_buf_view(&form), "before");
        fl_buf_fini(&form);
        fl_buf_fini(&text);
    }
}

static void test_a_huge_number_in_a_huge_place_still_gives_one_clear_sentence(void)
{
    struct fl_buf text = FL_BUF_INIT, form = FL_BUF_INIT;
    struct fl_err err;
    fl_buf_puts(&text, "{\"");
    for (int i = 0; i < 1000; i++)
        fl_buf_puts(&text, "\xe2\x82\xac");
    fl_buf_puts(&text, "\":");
    for (int i = 0; i < 1000; i++)
        fl_buf_puts(&text, "12");
    fl_buf_puts(&text, "}");
    CHECK_INT(canonical(fl_buf_view(&text), &form, &err), FL_BAD_PARAMS);
    CHECK(fl_utf8_is_valid(fl_str_of(err.text)));
    CHECK(strstr(err.text, "...\": 1212") && strstr(err.text, "12..."));
    fl_buf_fini(&text);
    fl_buf_fini(&form);
}

/* ---- structure ---- */
static void test_members_are_sorted_by_utf16_units(void)
{
    struct fl_buf form = FL_BUF_INIT;
    struct fl_err err;
    /* U+1F600 is D83D DE00 in UTF-16: before U+E000, U+FB33 and U+FFFD, after U+D7FF. */
    CHECK_OK(canonical(FL_STR("{\"\xef\xbf\xbd\":1,\"\xf0\x9f\x98\x80\":2,\"\xef\xac\xb3\":3,"
                              "\"\xee\x80\x80\":4,\"\xed\x9f\xbf\":5,\"\":6,\"a\":7,\"\\u0061a\":8,"
                              "\"x\xf0\x9f\x98\x81\":9,\"x\xef\xac\xb3\":10,\"\\r\":11,"
                              "\"\xf0\x9f\x98\x80\xee\x80\x80\":12}"),
                       &form, &err));
    CHECK_SPAN(fl_buf_view(&form),
               "{\"\":6,\"\\r\":11,\"a\":7,\"aa\":8,\"x\xf0\x9f\x98\x81\":9,\"x\xef\xac\xb3\":10,"
               "\"\xed\x9f\xbf\":5,\"\xf0\x9f\x98\x80\":2,\"\xf0\x9f\x98\x80\xee\x80\x80\":12,"
               "\"\xee\x80\x80\":4,\"\xef\xac\xb3\":3,\"\xef\xbf\xbd\":1}");
    fl_buf_fini(&form);
}

/* UTF-16 units, the slow way; n units into out. */
static size_t to_utf16(struct fl_str s, uint16_t out[16])
{
    size_t pos = 0, n = 0;
    for (int32_t c; (c = fl_utf8_next(s, &pos)) >= 0;) {
        if (c > 0xffff) {
            out[n++] = (uint16_t)(0xd800 + ((c - 0x10000) >> 10));
            out[n++] = (uint16_t)(0xdc00 + ((c - 0x10000) & 0x3ff));
        } else {
            out[n++] = (uint16_t)c;
        }
    }
    return n;
}

static bool is_before(struct fl_str a, struct fl_str b)
{
    uint16_t x[16], y[16];
    size_t n = to_utf16(a, x), m = to_utf16(b, y);
    for (size_t i = 0; i < n && i < m; i++) {
        if (x[i] != y[i])
            return x[i] < y[i];
    }
    return n < m;
}

static void test_random_keys_come_out_in_utf16_order(void)
{
    static const uint32_t points[] = { 0x01,   0x41,   0x7f,   0x80,    0x7ff,   0x800,
                                       0xd7ff, 0xe000, 0xffff, 0x10000, 0x1f600, 0x10ffff };
    struct gen g = { 16 };
    size_t compared = 0;
    for (int round = 0; round < 2000; round++) {
        struct fl_buf text = FL_BUF_INIT, form = FL_BUF_INIT;
        json_t *object = json_object();
        for (size_t members = 2 + gen_below(&g, 12); members; members--) {
            struct fl_buf key = FL_BUF_INIT;
            for (size_t n = gen_below(&g, 5); n; n--)
                fl_utf8_put(&key, GEN_PICK(&g, points));
            json_object_setn_new(object, key.p ? key.p : "", key.n, json_integer(1));
            fl_buf_fini(&key);
        }
        fl_json_put(&text, object);
        CHECK_OK(canonical(fl_buf_view(&text), &form, NULL));
        struct fl_arena *arena = fl_arena_new(0);
        struct fl_str key, value, before = { 0 };
        size_t pos = 0;
        while (fl_span_next_member(fl_buf_view(&form), &pos, &key, &value)) {
            key = fl_span_string(arena, key);
            CHECK(!before.p || is_before(before, key));
            before = key;
            compared++;
        }
        json_decref(object);
        fl_arena_free(&arena);
        fl_buf_fini(&text);
        fl_buf_fini(&form);
    }
    CHECK(compared > 8000);
}

static void test_what_was_not_scanned_as_a_call_is_still_refused(void)
{
    struct fl_buf form = FL_BUF_INIT;
    struct fl_err err;
    CHECK_INT(fl_jcs((struct fl_str){ 0 }, &form, &err), FL_BAD_PARAMS);
    CHECK_STR(err.text, "there is no value to put into canonical form");
    CHECK_INT(fl_jcs(FL_STR("[{\"b\":1,\"a\":2,\"\\u0062\":3}]"), &form, &err), FL_BAD_PARAMS);
    CHECK_STR(err.text, "the same key stands twice at \"/0\"");
    CHECK_INT(fl_jcs(FL_STR("{\"b\":1,\"b\":1}"), &form, &err), FL_BAD_PARAMS);
    CHECK_STR(err.text, "the same key stands twice at \"\"");
    CHECK_INT(form.n, 0);
    fl_buf_fini(&form);
}

static void test_the_deepest_and_the_widest_text_come_out(void)
{
    struct fl_buf text = FL_BUF_INIT, form = FL_BUF_INIT;
    for (int i = 0; i < FL_SCAN_DEPTH_MAX; i++)
        fl_buf_puts(&text, i % 2 ? " [ " : "{ \"a\" :");
    fl_buf_puts(&text, "9007199254740993");
    for (int i = FL_SCAN_DEPTH_MAX; i-- > 0;)
        fl_buf_putc(&text, i % 2 ? ']' : '}');
    struct fl_err err;
    CHECK_OK(fl_scan(fl_buf_view(&text), &fl_scan_grammar, NULL, 0, NULL, NULL));
    CHECK_INT(fl_jcs(fl_buf_view(&text), &form, &err), FL_BAD_PARAMS);
    CHECK(strncmp(err.text, "cannot keep the number exactly at \"/a/0/a/0/", 42) == 0);
    char *number = strstr(text.p, "9007199254740993");
    number[15] = '2';
    CHECK_OK(fl_jcs(fl_buf_view(&text), &form, NULL));
    CHECK_INT(form.n, FL_SCAN_DEPTH_MAX / 2 * 8 + 16);
    fl_buf_reset(&text);
    fl_buf_reset(&form);
    fl_buf_putc(&text, '{');
    for (int i = 90000; i-- > 0;) /* the worst order */
        fl_buf_printf(&text, "\"k%05d\":%d%c", i, i, i ? ',' : '}');
    CHECK_OK(canonical(fl_buf_view(&text), &form, NULL));
    CHECK(strncmp(form.p, "{\"k00000\":0,\"k00001\":1,", 23) == 0);
    CHECK_INT(form.n, text.n);
    fl_buf_fini(&text);
    fl_buf_fini(&form);
}

/* ---- texts and trees ---- */
static void test_texts_and_trees_have_one_canonical_form(void)
{
    enum { TEXTS = 20000 };
    struct gen g = { 7 };
    int compared = 0, refused = 0;
    for (int i = 0; i < TEXTS; i++) {
        struct fl_buf text = FL_BUF_INIT, form = FL_BUF_INIT, again = FL_BUF_INIT,
                      of_tree = FL_BUF_INIT;
        struct fl_err err, tree_err;
        gen_json(&g, &text, true);
        json_t *tree = fl_json_parse(fl_buf_view(&text), &err);
        CHECK_MSG(tree, "%s: %s", text.p, err.text);
        enum fl_code code = canonical(fl_buf_view(&text), &form, &err);
        CHECK_INT(fl_json_put_canonical(&of_tree, tree, &tree_err), code);
        if (code == FL_OK) {
            CHECK_STR(of_tree.p, form.p);
            CHECK_OK(canonical(fl_buf_view(&form), &again, NULL));
            CHECK_STR(again.p, form.p);
            json_t *back = fl_json_parse(fl_buf_view(&form), NULL);
            CHECK(back && json_object_size(back) == json_object_size(tree));
            json_decref(back);
            compared++;
        } else {
            CHECK_INT(code, FL_BAD_PARAMS);
            CHECK_STR(tree_err.text, err.text);
            refused++;
        }
        json_decref(tree);
        fl_buf_fini(&text);
        fl_buf_fini(&form);
        fl_buf_fini(&again);
        fl_buf_fini(&of_tree);
    }
    CHECK(compared > TEXTS / 2 && refused > TEXTS / 100);
}

static void test_out_of_memory_is_an_error(void)
{
    struct fl_str text = FL_STR("{\"b\":[\"\\u00e9\\n\",1.5,{}],\"\\u0061\":{\"z\":1,\"y\":[[],2]},"
                                "\"0\":0,\"1\":1,\"2\":2,\"3\":3,\"4\":4,\"5\":5,\"6\":6,\"7\":7,"
                                "\"8\":8,\"9\":9,\"A\":1,\"B\":2,\"C\":3,\"D\":4,\"E\":5,\"F\":6,"
                                "\"G\":[1,2,3,4,5,6,7,8,9]}");
    struct fl_str bad = FL_STR("{\"b\":[\"\\u00e9\",{\"c\":9007199254740993}]}");
    struct fl_err err;
    uint64_t n = 1;
    for (;; n++) {
        struct fl_buf form = FL_BUF_INIT;
        fl_mem_fail_at(n, 0);
        enum fl_code code = fl_jcs(text, &form, &err);
        fl_mem_fail_at(0, 0);
        fl_buf_fini(&form);
        if (code == FL_OK)
            break;
        CHECK_INT(code, FL_NOMEM);
    }
    CHECK(n > 5);
    for (n = 1;; n++) {
        struct fl_buf form = FL_BUF_INIT;
        fl_mem_fail_at(n, 0);
        enum fl_code code = fl_jcs(bad, &form, &err);
        fl_mem_fail_at(0, 0);
        fl_buf_fini(&form);
        if (code == FL_BAD_PARAMS)
            break;
        CHECK_INT(code, FL_NOMEM);
    }
    CHECK(n > 3);
    json_t *tree = fl_json_parse(text, &err);
    for (n = 1;; n++) {
        struct fl_buf form = FL_BUF_INIT;
        fl_mem_fail_at(n, 0);
        enum fl_code code = fl_json_put_canonical(&form, tree, &err);
        fl_mem_fail_at(0, 0);
        fl_buf_fini(&form);
        if (code == FL_OK)
            break;
        CHECK_INT(code, FL_NOMEM);
    }
    CHECK(n > 6);
    json_decref(tree);
}

/* jansson's lexer loses a byte when its buffer cannot grow, and goes on. */
static void test_a_tree_parsed_without_memory_is_not_shortened(void)
{
    char text[400];
    bool has_passed = false;
    memset(text, 'x', sizeof text);
    memcpy(text, "[\"", 2);
    memcpy(text + sizeof text - 2, "\"]", 2);
    for (uint64_t n = 1; !has_passed; n++) {
        struct fl_err err;
        fl_mem_fail_at(n, 1);
        json_t *root = fl_json_parse((struct fl_str){ text, sizeof text }, &err);
        has_passed = fl_mem_fail_at(0, 0) < n;
        CHECK_INT(root != NULL, has_passed);
        CHECK_INT(root ? FL_OK : err.code, has_passed ? FL_OK : FL_NOMEM);
        if (root)
            CHECK_INT(json_string_length(json_array_get(root, 0)), sizeof text - 4);
        json_decref(root);
    }
}

static const struct fl_test tests[] = {
    T(a_tree_parsed_without_memory_is_not_shortened),
    T(published_pairs_come_out_byte_for_byte),
    T(numbers_are_those_of_rfc_8785_appendix_b),
    T(powers_of_two_have_their_shortest_form),
    T_LIMIT(a_million_doubles_read_back_and_none_is_longer_than_needed, 60),
    T(numbers_that_keep_their_value_are_rewritten),
    T(numbers_that_would_change_are_refused),
    T(a_huge_number_in_a_huge_place_still_gives_one_clear_sentence),
    T(members_are_sorted_by_utf16_units),
    T(random_keys_come_out_in_utf16_order),
    T(what_was_not_scanned_as_a_call_is_still_refused),
    T(the_deepest_and_the_widest_text_come_out),
    T(texts_and_trees_have_one_canonical_form),
    T(out_of_memory_is_an_error),
};
TEST_MAIN(tests)
