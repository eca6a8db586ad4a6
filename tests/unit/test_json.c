/* The helpers over jansson trees: strict parsing, writing, pointers. */
#include "flopinio/base/json.h"

#include <math.h>

#include "flopinio/base/mem.h"
#include "harness.h"
#include "json_gen.h"

static json_t *parse(const char *text)
{
    struct fl_err err;
    json_t *tree = fl_json_parse(fl_str_of(text), &err);
    CHECK_MSG(tree, "%s: %s", text, err.text);
    return tree;
}

static void test_parsing_is_strict(void)
{
    static const struct {
        const char *text;
        enum fl_code code;
        const char *why;
    } bad[] = {
        { "", FL_BAD_JSON, "line 1, column 1: expected a value" },
        { "{\"a\":1,\"\\u0061\":2}", FL_BAD_JSON,
          "line 1, column 8: the same key stands twice in one object" },
        { "[\"\\u0000\"]", FL_BAD_JSON, "line 1, column 3: \\u0000 is not allowed" },
        { "[1] x", FL_BAD_JSON, "line 1, column 5: unexpected text behind the value" },
        { "[9223372036854775808]", FL_BAD_JSON, "line 1, column 20: the number is too large" },
        { "[\n-1e999]", FL_BAD_JSON, "line 2, column 6: the number is too large" },
    };
    for (size_t i = 0; i < FL_COUNTOF(bad); i++) {
        struct fl_err err;
        CHECK(!fl_json_parse(fl_str_of(bad[i].text), &err));
        CHECK_INT(err.code, bad[i].code);
        CHECK_STR(err.text, bad[i].why);
    }
    CHECK(!fl_json_parse(FL_STR("{"), NULL));
    json_t *tree = parse(" \"any value\" ");
    CHECK_SPAN(fl_json_str(tree), "any value");
    json_decref(tree);
    struct fl_buf deep = FL_BUF_INIT;
    struct fl_err err;
    for (int i = 0; i < 65; i++)
        fl_buf_putc(&deep, '[');
    for (int i = 0; i < 65; i++)
        fl_buf_putc(&deep, ']');
    CHECK(!fl_json_parse(fl_buf_view(&deep), &err));
    CHECK_INT(err.code, FL_TOO_LARGE);
    fl_buf_fini(&deep);
}

static void test_trees_are_written_compactly_and_exactly(void)
{
    struct fl_buf out = FL_BUF_INIT;
    json_t *tree =
        parse("{ \"z\" : [ ] , \"a\" : { } , \"n\" : [ 0.1, 1.0, -0.0, 1e21, 1e-7, 5e-324, "
              "9223372036854775807, -1 ], \"s\":\"\\u00e9\\\"\\\\\\n\\u001f\\/\", "
              "\"w\":[true,false,null] }");
    fl_json_put(&out, tree);
    CHECK_STR(out.p, "{\"z\":[],\"a\":{},\"n\":[0.1,1.0,-0.0,1e+21,1e-7,5e-324,"
                     "9223372036854775807,-1],\"s\":\"\xc3\xa9\\\"\\\\\\n\\u001f/\","
                     "\"w\":[true,false,null]}");
    json_t *back = parse(out.p);
    CHECK(json_equal(tree, back));
    json_decref(back);
    json_decref(tree);
    fl_buf_fini(&out);
}

static void test_random_trees_are_read_back_equal(void)
{
    struct gen g = { 11 };
    for (int i = 0; i < 20000; i++) {
        struct fl_buf text = FL_BUF_INIT, out = FL_BUF_INIT, again = FL_BUF_INIT;
        gen_json(&g, &text, true);
        json_t *tree = parse(text.p);
        fl_json_put(&out, tree);
        json_t *back = parse(out.p);
        CHECK_MSG(json_equal(tree, back), "%s became %s", text.p, out.p);
        fl_json_put(&again, back);
        CHECK_STR(again.p, out.p);
        json_decref(tree);
        json_decref(back);
        fl_buf_fini(&text);
        fl_buf_fini(&out);
        fl_buf_fini(&again);
    }
}

static void test_trees_of_any_depth_are_written_without_recursion(void)
{
    enum { DEPTH = 200000 };
    json_t *inner = json_array(), *outer;
    struct fl_buf out = FL_BUF_INIT;
    json_t **all = malloc(sizeof *all * DEPTH);
    CHECK(all);
    for (int i = 0; i < DEPTH; i++, inner = outer) {
        outer = json_array();
        all[i] = json_incref(inner); /* so that freeing does not recurse either (jansson's does) */
        CHECK_INT(json_array_append_new(outer, inner), 0);
    }
    fl_json_put(&out, inner);
    CHECK_OK(fl_buf_code(&out, NULL));
    CHECK_INT(out.n, 2 * (DEPTH + 1));
    fl_buf_fini(&out);
    json_decref(inner);
    for (int i = DEPTH; i-- > 0;)
        json_decref(all[i]);
    free(all);
}

static void test_strings_are_read_and_made(void)
{
    json_t *tree = parse("{\"a\":\"x\",\"b\":1}");
    CHECK_SPAN(fl_json_get_str(tree, "a"), "x");
    CHECK(!fl_json_get_str(tree, "b").p && !fl_json_get_str(tree, "c").p);
    CHECK(!fl_json_get_str(NULL, "a").p && !fl_json_str(NULL).p);
    json_decref(tree);
    json_t *s = fl_json_new_str((struct fl_str){ 0 });
    CHECK(s && fl_json_str(s).p && fl_json_str(s).n == 0);
    json_decref(s);
    CHECK(!fl_json_new_str(FL_STR("\xff")));
}

static void test_pointers_are_those_of_rfc_6901_section_5(void)
{
    json_t *tree =
        parse("{\"foo\":[\"bar\",\"baz\"],\"\":0,\"a/b\":1,\"c%d\":2,\"e^f\":3,\"g|h\":4,"
              "\"i\\\\j\":5,\"k\\\"l\":6,\" \":7,\"m~n\":8}");
    static const struct {
        const char *pointer;
        int value; /* -1 = none */
    } places[] = { { "/", 0 },        { "/a~1b", 1 },     { "/c%d", 2 },
                   { "/e^f", 3 },     { "/g|h", 4 },      { "/i\\j", 5 },
                   { "/k\"l", 6 },    { "/ ", 7 },        { "/m~0n", 8 },
                   { "/m~n", -1 },    { "/m~2n", -1 },    { "/m~", -1 },
                   { "foo", -1 },     { "/nope", -1 },    { "//", -1 },
                   { "/foo/2", -1 },  { "/foo/-", -1 },   { "/foo/00", -1 },
                   { "/foo/01", -1 }, { "/foo/+1", -1 },  { "/foo/1e0", -1 },
                   { "/foo/", -1 },   { "/foo/0/x", -1 }, { "/foo/18446744073709551616", -1 },
                   { "/a~1b/x", -1 } };
    CHECK(fl_json_pointer(tree, FL_STR("")) == tree);
    CHECK(!fl_json_pointer(NULL, FL_STR("")));
    CHECK_SPAN(fl_json_str(fl_json_pointer(tree, FL_STR("/foo/0"))), "bar");
    CHECK_SPAN(fl_json_str(fl_json_pointer(tree, FL_STR("/foo/1"))), "baz");
    for (size_t i = 0; i < FL_COUNTOF(places); i++) {
        json_t *value = fl_json_pointer(tree, fl_str_of(places[i].pointer));
        CHECK_MSG((value != NULL) == (places[i].value >= 0), "%s", places[i].pointer);
        if (value)
            CHECK_INT(json_integer_value(value), places[i].value);
    }
    json_decref(tree);
}

static void test_pointers_are_built_and_taken_apart(void)
{
    static const char *const tokens[] = { "a", "", "~1", "a/b~c", "0", "\xc3\xa9" };
    struct fl_buf pointer = FL_BUF_INIT, scratch = FL_BUF_INIT;
    struct fl_str token;
    for (size_t i = 0; i < FL_COUNTOF(tokens); i++)
        fl_json_pointer_add(&pointer, fl_str_of(tokens[i]));
    CHECK_STR(pointer.p, "/a//~01/a~1b~0c/0/\xc3\xa9");
    size_t pos = 0, count = 0;
    while (fl_json_pointer_next(fl_buf_view(&pointer), &pos, &scratch, &token))
        CHECK_SPAN(token, tokens[count++]);
    CHECK_INT(count, FL_COUNTOF(tokens));
    CHECK_INT(pos, pointer.n);
    fl_buf_fini(&pointer);
    fl_buf_fini(&scratch);
}

static void test_out_of_memory_is_an_error(void)
{
    struct fl_str text =
        FL_STR("{\"a\":[1,2.5,\"x\",{\"b\":[[[[null]]]]}],\"c~/d\":{\"e\":\"f\"}}");
    uint64_t n = 1;
    struct fl_err err;
    json_t *tree;
    for (;; n++) {
        fl_mem_fail_at(n, 0);
        tree = fl_json_parse(text, &err);
        fl_mem_fail_at(0, 0);
        if (tree)
            break;
        CHECK_INT(err.code, FL_NOMEM);
    }
    CHECK(n > 10);
    for (n = 1;; n++) {
        struct fl_buf out = FL_BUF_INIT;
        fl_mem_fail_at(n, 0);
        fl_json_put(&out, tree);
        fl_mem_fail_at(0, 0);
        enum fl_code code = fl_buf_code(&out, &err);
        fl_buf_fini(&out);
        if (code == FL_OK)
            break;
        CHECK_INT(code, FL_NOMEM);
    }
    CHECK(n > 2);
    for (n = 1;; n++) {
        fl_mem_fail_at(n, 0);
        const json_t *found = fl_json_pointer(tree, FL_STR("/c~0~1d/e"));
        fl_mem_fail_at(0, 0);
        if (found)
            break;
    }
    CHECK(n > 1);
    json_decref(tree);
}

static const struct fl_test tests[] = {
    T(parsing_is_strict),
    T(trees_are_written_compactly_and_exactly),
    T(random_trees_are_read_back_equal),
    T(trees_of_any_depth_are_written_without_recursion),
    T(strings_are_read_and_made),
    T(pointers_are_those_of_rfc_6901_section_5),
    T(pointers_are_built_and_taken_apart),
    T(out_of_memory_is_an_error),
};
TEST_MAIN(tests)
