/* YAML: values as the core schema names them, one sentence with a line for each refusal, lines of
 * places, JSON as YAML, and dumps that read back equal. */
#include "flopinio/base/yaml.h"

#include <dirent.h>

#include "flopinio/base/json.h"
#include "flopinio/base/mem.h"
#include "flopinio/base/utf8.h"
#include "harness.h"
#include "json_gen.h"

static void check_loads_as(const char *yaml, const char *json)
{
    struct fl_yaml y;
    struct fl_err err;
    struct fl_buf out = FL_BUF_INIT;
    CHECK_MSG(fl_yaml_load(fl_str_of(yaml), "p.yaml", &y, &err) == FL_OK, "%s: %s", yaml, err.text);
    fl_json_put(&out, y.root);
    CHECK_MSG(strcmp(out.p, json) == 0, "%s is %s, not %s", yaml, out.p, json);
    fl_buf_fini(&out);
    fl_yaml_fini(&y);
    CHECK(!y.root && !y.lines);
}

static void test_plain_scalars_are_what_the_core_schema_says(void)
{
    static const char *const scalars[][2] = {
        { "null", "null" },
        { "Null", "null" },
        { "NULL", "null" },
        { "~", "null" },
        { "", "null" },
        { "true", "true" },
        { "True", "true" },
        { "TRUE", "true" },
        { "false", "false" },
        { "False", "false" },
        { "FALSE", "false" },
        { "0", "0" },
        { "-0", "0" },
        { "12", "12" },
        { "+12", "12" },
        { "-12", "-12" },
        { "9223372036854775807", "9223372036854775807" },
        { "-9223372036854775808", "-9223372036854775808" },
        { "1.5", "1.5" },
        { "-1.50", "-1.5" },
        { ".5", "0.5" },
        { "1.", "1.0" },
        { "1e3", "1000.0" },
        { "+1E-3", "0.001" },
        { "0.1", "0.1" },
        { "-0.0", "-0.0" },
        { "00.5", "0.5" },
        /* and text: */
        { "yes", "\"yes\"" },
        { "No", "\"No\"" },
        { "on", "\"on\"" },
        { "OFF", "\"OFF\"" },
        { "y", "\"y\"" },
        { "nULL", "\"nULL\"" },
        { "12:30", "\"12:30\"" },
        { "1_000", "\"1_000\"" },
        { "2026-11-23", "\"2026-11-23\"" },
        { "1.2.3", "\"1.2.3\"" },
        { "1e", "\"1e\"" },
        { "1e+", "\"1e+\"" },
        { ".", "\".\"" },
        { "+", "\"+\"" },
        { "0xg", "\"0xg\"" },
        { "0b12", "\"0b12\"" },
        { "e3", "\"e3\"" },
        { "-", "[null]" },
        { "0x", "\"0x\"" },
        { "a b", "\"a b\"" },
        { "github.*", "\"github.*\"" },
        { "'12'", "\"12\"" },
        { "\"true\"", "\"true\"" },
        { "''", "\"\"" },
        { "|\n  12\n", "\"12\\n\"" },
    };
    for (size_t i = 0; i < FL_COUNTOF(scalars); i++)
        check_loads_as(scalars[i][0], scalars[i][1]);
}

static void test_documents_become_trees(void)
{
    check_loads_as("", "null");
    check_loads_as("# nothing but this\n", "null");
    check_loads_as("\xef\xbb\xbf# a mark of some editors\na: 1\n", "{\"a\":1}");
    check_loads_as("---\na: 1\n...\n", "{\"a\":1}");
    check_loads_as("z: 1\na:\n  - x\n  - {b: [c, d], e: }\n'':\n  \"k\": v\n",
                   "{\"z\":1,\"a\":[\"x\",{\"b\":[\"c\",\"d\"],\"e\":null}],\"\":{\"k\":\"v\"}}");
    check_loads_as("? a\n: 1\n? b\n", "{\"a\":1,\"b\":null}");
    check_loads_as("text: |\n  one\n\n    two\nfolded: >-\n  one\n  two\n",
                   "{\"text\":\"one\\n\\n  two\\n\",\"folded\":\"one two\"}");
    check_loads_as("\"<<\": 1\n'1': 2\n", "{\"<<\":1,\"1\":2}");
}

static void test_refusals_are_one_sentence_with_a_line(void)
{
    static const struct {
        const char *text, *why;
    } bad[] = {
        { "a: 1\nb: 2\na: 3", "p.yaml line 3: the key \"a\" stands here and on line 1" },
        { "a:\n  {x: 1, 'x': 2}", "p.yaml line 2: the key \"x\" stands here and on line 2" },
        { "{\"a\":1,\"\\u0061\":2}", "p.yaml line 1: the key \"a\" stands here and on line 1" },
        { "a: &x 1", "p.yaml line 1: anchors (&) are not supported" },
        { "- &x [1]", "p.yaml line 1: anchors (&) are not supported" },
        { "a: &x {b: 1}", "p.yaml line 1: anchors (&) are not supported" },
        { "a: 1\nb: *a", "p.yaml line 2: aliases (*) are not supported" },
        { "a: !!str 1", "p.yaml line 1: tags (!) are not supported" },
        { "a: ! 1", "p.yaml line 1: tags (!) are not supported" },
        { "!x\na: 1", "p.yaml line 1: tags (!) are not supported" },
        { "- !x [1]", "p.yaml line 1: tags (!) are not supported" },
        { "a: 1\n<<: {b: 2}", "p.yaml line 2: merge keys (<<) are not supported" },
        { "a: 1\n---\nb: 2", "p.yaml line 2: a second document starts here" },
        { "%YAML 1.1\n---\na: 1", "p.yaml line 1: directives (%) are not supported" },
        { "%TAG ! !x\n---\na: 1", "p.yaml line 1: directives (%) are not supported" },
        { "1: a", "p.yaml line 1: the key 1 is not a string; put it in quotes" },
        { "a: 1\ntrue: a", "p.yaml line 2: the key true is not a string; put it in quotes" },
        { "017: a", "p.yaml line 1: the key 017 is not a string; put it in quotes" },
        { "?\n: a", "p.yaml line 1: a key is missing" },
        { "? [a]\n: b", "p.yaml line 1: a key must be a string" },
        { "? {a: 1}\n: b", "p.yaml line 1: a key must be a string" },
        { "a: 9223372036854775808",
          "p.yaml line 1: the number 9223372036854775808 has more than 64 bits; put it in quotes" },
        { "a: 017", "p.yaml line 1: 017 is not a plain decimal number; put it in quotes if it is "
                    "text" },
        { "a: -0x1F", "p.yaml line 1: -0x1F is not a plain decimal number; put it in quotes if it "
                      "is text" },
        { "a: 0o17", "p.yaml line 1: 0o17 is not a plain decimal number; put it in quotes if it is "
                     "text" },
        { "a: 0b11", "p.yaml line 1: 0b11 is not a plain decimal number; put it in quotes if it is "
                     "text" },
        { "a: -.inf", "p.yaml line 1: -.inf is not a plain decimal number; put it in quotes if it "
                      "is text" },
        { "a: .nan", "p.yaml line 1: .nan is not a plain decimal number; put it in quotes if it is "
                     "text" },
        { "a: 1e400", "p.yaml line 1: cannot keep the number 1e400 exactly; round it or put it in "
                      "quotes" },
        { "a: 0.12345678901234567",
          "p.yaml line 1: cannot keep the number 0.12345678901234567 exactly; round it or put it "
          "in quotes" },
        { "a: \"x\\0\"", "p.yaml line 1: a NUL character is not allowed" },
        { "a:\n\tb: 1", "p.yaml line 2: a tab cannot be used for indentation; use spaces" },
        { "a: x\n\tb: 1", "p.yaml line 2: a tab cannot be used for indentation; use spaces" },
        { "a: |\n x\n\ty", "p.yaml line 3: a tab cannot be used for indentation; use spaces" },
        { "a: 1\nb: @x", "p.yaml line 2: a value cannot start with this character; put it in "
                         "quotes" },
        { "a: 1\nb: \x01", "p.yaml line 2: control characters are not allowed" },
        { "a: 1\n\nb: \xff", "p.yaml line 3: invalid leading UTF-8 octet" },
        { "a: b: c", "p.yaml line 1: mapping values are not allowed in this context" },
        { "\n- a\nb: c", "p.yaml line 3: did not find expected '-' indicator while parsing a block "
                         "collection that starts on line 2" },
        { "a: \"x", "p.yaml line 1: found unexpected end of stream while scanning a quoted scalar "
                    "that starts on line 1" },
    };
    for (size_t i = 0; i < FL_COUNTOF(bad); i++) {
        struct fl_yaml y = { 0 };
        struct fl_err err = { 0 };
        CHECK_MSG(fl_yaml_load(fl_str_of(bad[i].text), "p.yaml", &y, &err) == FL_CONFIG, "%s",
                  bad[i].text);
        CHECK_STR(err.text, bad[i].why);
        CHECK(!y.root && !y.lines);
    }
}

static void test_limits_hold(void)
{
    struct fl_buf b = FL_BUF_INIT;
    struct fl_yaml y;
    struct fl_err err;
    for (int json = 0; json < 2; json++) {
        for (int depth = 64; depth <= 65; depth++) {
            fl_buf_reset(&b);
            fl_buf_puts(&b, json ? "" : "# not JSON\n");
            for (int i = 0; i < depth; i++)
                fl_buf_putc(&b, '[');
            for (int i = 0; i < depth; i++)
                fl_buf_putc(&b, ']');
            enum fl_code code = fl_yaml_load(fl_buf_view(&b), "p.yaml", &y, &err);
            CHECK_INT(code, depth == 64 ? FL_OK : FL_TOO_LARGE);
            if (code == FL_OK)
                fl_yaml_fini(&y);
            else
                CHECK(strstr(err.text, ": nested deeper than 64 levels"));
        }
    }
    fl_buf_reset(&b);
    for (int i = 0; i < 100000; i++)
        fl_buf_puts(&b, "-\n");
    CHECK_INT(fl_yaml_load(fl_buf_view(&b), "p.yaml", &y, &err), FL_TOO_LARGE);
    CHECK_STR(err.text, "p.yaml line 100000: more than 100000 values");
    fl_buf_reset(&b);
    fl_buf_puts(&b, "#");
    while (b.n <= 4 * 1024 * 1024)
        fl_buf_puts(&b, "xxxxxxxx");
    CHECK_INT(fl_yaml_load(fl_buf_view(&b), "p.yaml", &y, &err), FL_TOO_LARGE);
    CHECK_STR(err.text, "p.yaml is larger than 4194304 bytes");
    fl_buf_fini(&b);
}

static void test_places_know_their_line(void)
{
    static const char yaml[] = "# policy\n"
                               "rules:\n"
                               "  - tool: a\n"
                               "    when: >\n"
                               "      x\n"
                               "      y\n"
                               "    then:\n"
                               "      ask:\n"
                               "        - ops\n"
                               "  - tool: b\n"
                               "a/b~c: {x: 1,\n"
                               "  y: 2}\n"
                               "empty:\n"
                               "last: 1\n";
    static const char json[] =
        "\n{\"rules\":[\n{\"tool\":\"a\\n\"},\n\n{\"to\\u006fl\":\n\"b\"}],\n"
        "\"a/b~c\":{\"x\":1,\n\"y\":2}}";
    static const struct {
        const char *pointer;
        unsigned in_yaml, in_json;
    } places[] = { { "", 2, 2 },
                   { "/rules", 3, 2 },
                   { "/rules/0", 3, 3 },
                   { "/rules/0/tool", 3, 3 },
                   { "/rules/0/when", 4, 0 },
                   { "/rules/0/then", 8, 0 },
                   { "/rules/0/then/ask/0", 9, 0 },
                   { "/rules/1", 10, 5 },
                   { "/rules/1/tool", 10, 6 },
                   { "/a~1b~0c", 11, 7 },
                   { "/a~1b~0c/x", 11, 7 },
                   { "/a~1b~0c/y", 12, 8 },
                   { "/last", 14, 0 },
                   { "/rules/2", 0, 0 },
                   { "/rules/x", 0, 0 },
                   { "/rules/01", 0, 0 },
                   { "/last/x", 0, 0 },
                   { "/a~1b~c", 0, 0 },
                   { "rules", 0, 0 },
                   { "/nope", 0, 0 } };
    struct fl_yaml y, j, none = { 0 };
    CHECK_OK(fl_yaml_load(FL_STR(yaml), "p", &y, NULL));
    CHECK_OK(fl_yaml_load(FL_STR(json), "p", &j, NULL));
    for (size_t i = 0; i < FL_COUNTOF(places); i++) {
        CHECK_MSG(fl_yaml_line(&y, places[i].pointer) == places[i].in_yaml, "%s is on line %u",
                  places[i].pointer, fl_yaml_line(&y, places[i].pointer));
        CHECK_MSG(fl_yaml_line(&j, places[i].pointer) == places[i].in_json, "%s is on JSON line %u",
                  places[i].pointer, fl_yaml_line(&j, places[i].pointer));
    }
    CHECK_INT(fl_yaml_line(&none, ""), 0);
    fl_yaml_fini(&y);
    fl_yaml_fini(&j);
    fl_yaml_fini(&none);
}

/* ---- JSON is YAML ---- */
static void test_published_json_texts_are_yaml_with_the_same_value(void)
{
    char path[4096];
    int same = 0;
    snprintf(path, sizeof path, "%s", fl_test_data("json-parsing"));
    DIR *dir = opendir(path);
    CHECK(dir);
    for (struct dirent *e; (e = readdir(dir));) {
        char file[5000];
        size_t n;
        if (strncmp(e->d_name, "y_", 2) != 0)
            continue;
        snprintf(file, sizeof file, "%s/%s", path, e->d_name);
        char *text = fl_test_read_file(file, &n);
        struct fl_str s = { text, n };
        struct fl_yaml y;
        struct fl_err err;
        json_t *tree = fl_json_parse(s, NULL);
        if (tree) {
            CHECK_MSG(fl_yaml_load(s, e->d_name, &y, &err) == FL_OK, "%s", err.text);
            CHECK_MSG(json_equal(tree, y.root), "%s", e->d_name);
            fl_yaml_fini(&y);
            same++;
        }
        json_decref(tree);
        free(text);
    }
    closedir(dir);
    CHECK_INT(same, 91); /* of 95; the other 4 have duplicate keys or NUL */
}

static void test_random_json_texts_are_yaml_with_the_same_value(void)
{
    struct gen g = { 5 };
    for (int i = 0; i < 20000; i++) {
        struct fl_buf text = FL_BUF_INIT;
        struct fl_yaml y;
        struct fl_err err;
        gen_json(&g, &text, true);
        json_t *tree = fl_json_parse(fl_buf_view(&text), NULL);
        CHECK(tree);
        CHECK_MSG(fl_yaml_load(fl_buf_view(&text), "p", &y, &err) == FL_OK, "%s: %s", text.p,
                  err.text);
        CHECK_MSG(json_equal(tree, y.root), "%s", text.p);
        json_decref(tree);
        fl_yaml_fini(&y);
        fl_buf_fini(&text);
    }
}

/* ---- writing ---- */
static void check_round_trip(const json_t *tree)
{
    struct fl_buf out = FL_BUF_INIT;
    struct fl_yaml y;
    struct fl_err err;
    CHECK_OK(fl_yaml_dump(tree, &out, &err));
    CHECK_MSG(fl_yaml_load(fl_buf_view(&out), "dump", &y, &err) == FL_OK, "%s\n%s", err.text,
              out.p);
    CHECK_MSG(json_equal(tree, y.root), "not read back equal:\n%s", out.p);
    fl_yaml_fini(&y);
    fl_buf_fini(&out);
}

static void test_a_dump_is_what_a_person_would_write(void)
{
    static const char json[] =
        "{\"rules\":[{\"tool\":\"github.*\",\"when\":\"args.n > 3\\nand args.x\\n\",\"ask\":[]},"
        "{\"on\":\"yes\",\"n\":-1,\"r\":1.0,\"t\":true,\"z\":null,\"e\":{}},[[1,2],[]]],"
        "\"a: b\":\"key: value\",\"c\":\"no # comment\",\"url\":\"https://example.org/#x\","
        "\"num\":\"12\",\"time\":\"12:30\",\"empty\":\"\",\"lines\":\"a\\n\\n  b\\n\\tc\","
        "\"gr\\u00f6\\u00dfe\":\"\\ud83d\\ude00 \\u0085\\u00a0\\ufeff\",\"tail \":\"a \","
        "\"dash\":\"- x\",\"quote\":\"say \\\"hi\\\"\",\"tab\":\"a\\tb\"}";
    static const char yaml[] = "rules:\n"
                               "  - tool: github.*\n"
                               "    when: |\n"
                               "      args.n > 3\n"
                               "      and args.x\n"
                               "    ask: []\n"
                               "  - \"on\": \"yes\"\n"
                               "    \"n\": -1\n"
                               "    r: 1.0\n"
                               "    t: true\n"
                               "    z: null\n"
                               "    e: {}\n"
                               "  - - - 1\n"
                               "      - 2\n"
                               "    - []\n"
                               "\"a: b\": \"key: value\"\n"
                               "c: \"no # comment\"\n"
                               "url: https://example.org/#x\n"
                               "num: \"12\"\n"
                               "time: \"12:30\"\n"
                               "empty: \"\"\n"
                               "lines: |-\n"
                               "  a\n"
                               "\n"
                               "    b\n"
                               "  \tc\n"
                               "gr\xc3\xb6\xc3\x9f"
                               "e: \"\xf0\x9f\x98\x80 \\u0085\xc2\xa0\\ufeff\"\n"
                               "\"tail \": \"a \"\n"
                               "dash: \"- x\"\n"
                               "quote: say \"hi\"\n"
                               "tab: \"a\\tb\"\n";
    struct fl_buf out = FL_BUF_INIT;
    json_t *tree = fl_json_parse(FL_STR(json), NULL);
    CHECK(tree);
    CHECK_OK(fl_yaml_dump(tree, &out, NULL));
    CHECK_STR(out.p, yaml);
    check_round_trip(tree);
    json_decref(tree);
    fl_buf_fini(&out);
}

/* Pieces that mean something to YAML, put together at random. */
static json_t *nasty_string(struct gen *g)
{
    static const char *const pieces[] = { "a",
                                          "b c",
                                          " ",
                                          "  ",
                                          "\n",
                                          "\n",
                                          "\t",
                                          "\r",
                                          ":",
                                          ": ",
                                          "#",
                                          " #",
                                          "-",
                                          "- ",
                                          "?",
                                          "? ",
                                          "|",
                                          ">",
                                          "!",
                                          "&",
                                          "*",
                                          "%",
                                          "@",
                                          "`",
                                          "'",
                                          "\"",
                                          "\\",
                                          "{",
                                          "}",
                                          "[",
                                          "]",
                                          ",",
                                          "~",
                                          "<<",
                                          "=",
                                          "null",
                                          "true",
                                          "no",
                                          "y",
                                          "1",
                                          "0",
                                          ".",
                                          "1e3",
                                          "0x1",
                                          "017",
                                          "12:30",
                                          "---",
                                          "...",
                                          "---\n",
                                          "\n...",
                                          "\xc2\x85",
                                          "\xe2\x80\xa8",
                                          "\xe2\x80\xa9",
                                          "\xef\xbb\xbf",
                                          "\xef\xbf\xbf",
                                          "\xc2\xa0",
                                          "\x7f",
                                          "\x01",
                                          "\xc2\x9f",
                                          "\xf0\x9f\x98\x80",
                                          "\xc3\xa9",
                                          "\xf4\x8f\xbf\xbf" };
    struct fl_buf b = FL_BUF_INIT;
    for (size_t n = gen_below(g, 7); n; n--)
        fl_buf_puts(&b, GEN_PICK(g, pieces));
    json_t *s = fl_json_new_str(fl_buf_view(&b));
    fl_buf_fini(&b);
    CHECK(s);
    return s;
}

static json_t *nasty_scalar(struct gen *g)
{
    switch (gen_below(g, 12)) {
    case 0: return json_null();
    case 1: return json_true();
    case 2: return json_integer((json_int_t)gen_next(g));
    case 3: return json_real((double)(int64_t)gen_next(g) / 1024);
    case 4: return json_real((double)gen_below(g, 100));
    case 5: return json_object();
    case 6: return json_array();
    default: return nasty_string(g);
    }
}

static json_t *nasty_tree(struct gen *g)
{
    json_t *open[6], *root = gen_below(g, 2) ? json_object() : json_array();
    size_t depth = 0;
    open[depth++] = root;
    for (size_t n = gen_below(g, 20); n; n--) {
        json_t *parent = open[gen_below(g, depth)];
        bool is_container = gen_below(g, 3) == 0;
        json_t *child = !is_container     ? nasty_scalar(g)
                        : gen_below(g, 2) ? json_object()
                                          : json_array();
        if (json_is_array(parent)) {
            json_array_append(parent, child);
        } else {
            json_t *key = nasty_string(g);
            json_object_setn(parent, json_string_value(key), json_string_length(key), child);
            json_decref(key);
        }
        /* Replacing a member may have dropped a container: only what was just added is opened. */
        if (is_container && json_is_array(parent) && depth < FL_COUNTOF(open))
            open[depth++] = child;
        json_decref(child);
    }
    return root;
}

static void test_any_tree_is_read_back_equal(void)
{
    struct gen g = { 2026 };
    for (int i = 0; i < 30000; i++) {
        json_t *tree = i % 4 ? nasty_tree(&g) : nasty_scalar(&g);
        check_round_trip(tree);
        json_decref(tree);
    }
}

static void test_long_keys_and_deep_trees_are_read_back_equal(void)
{
    struct fl_err err;
    struct fl_buf out = FL_BUF_INIT;
    json_t *tree = json_object(), *list = json_array();
    for (size_t n = 990; n < 1040; n += 7) {
        char key[2000];
        memset(key, 'k', n);
        key[n] = 0;
        json_object_set_new(tree, key, n % 2 ? json_pack("{s:[i]}", "a", 1) : json_string("x\ny"));
    }
    json_array_append(list, tree);
    check_round_trip(tree);
    check_round_trip(list);
    json_decref(tree);
    json_decref(list);

    json_t *inner = json_integer(1);
    for (int i = 0; i < 64; i++)
        inner = i % 3 ? json_pack("[o]", inner) : json_pack("{s:o}", "k", inner);
    check_round_trip(inner);
    inner = json_pack("[o]", inner);
    CHECK_INT(fl_yaml_dump(inner, &out, &err), FL_TOO_LARGE);
    CHECK_STR(err.text, "nested deeper than 64 levels");
    json_decref(inner);

    json_t *nul = json_pack("[s%]", "a\0b", (size_t)3);
    CHECK_INT(fl_yaml_dump(nul, &out, &err), FL_BAD_PARAMS);
    CHECK_STR(err.text, "a NUL character has no place in YAML");
    json_decref(nul);
    fl_buf_fini(&out);
}

static void test_out_of_memory_is_an_error(void)
{
    static const char *const texts[] = {
        "a:\n  - 1\n  - 2.5\n  - x: \"y\\n\"\n    z: [true, null, {}]\nb: text\n",
        "{\"a\":[1,2.5,{\"\\u0078\":\"y\\n\"}],\"b\":{}}"
    };
    struct fl_yaml y;
    struct fl_err err;
    uint64_t n = 1;
    for (size_t i = 0; i < FL_COUNTOF(texts); i++) {
        for (n = 1;; n++) {
            fl_mem_fail_at(n, 0);
            enum fl_code code = fl_yaml_load(fl_str_of(texts[i]), "p", &y, &err);
            fl_mem_fail_at(0, 0);
            if (code == FL_OK)
                break;
            CHECK_INT(code, FL_NOMEM);
        }
        CHECK(n > 8);
        fl_yaml_fini(&y);
    }
    for (n = 1;; n++) { /* a refusal does not become something else without memory */
        fl_mem_fail_at(n, 0);
        enum fl_code code = fl_yaml_load(FL_STR("a: 1\nb: *a"), "p", &y, &err);
        fl_mem_fail_at(0, 0);
        if (code == FL_CONFIG)
            break;
        CHECK_INT(code, FL_NOMEM);
    }
    CHECK_OK(fl_yaml_load(fl_str_of(texts[0]), "p", &y, &err));
    for (n = 1;; n++) {
        struct fl_buf out = FL_BUF_INIT;
        fl_mem_fail_at(n, 0);
        enum fl_code code = fl_yaml_dump(y.root, &out, &err);
        unsigned line = fl_yaml_line(&y, "/a/2/x");
        fl_mem_fail_at(0, 0);
        fl_buf_fini(&out);
        CHECK_INT(line, 4);
        if (code == FL_OK)
            break;
        CHECK_INT(code, FL_NOMEM);
    }
    CHECK(n > 1);
    fl_yaml_fini(&y);
}

static const struct fl_test tests[] = {
    T(plain_scalars_are_what_the_core_schema_says),
    T(documents_become_trees),
    T(refusals_are_one_sentence_with_a_line),
    T(limits_hold),
    T(places_know_their_line),
    T(published_json_texts_are_yaml_with_the_same_value),
    T(random_json_texts_are_yaml_with_the_same_value),
    T(a_dump_is_what_a_person_would_write),
    T_LIMIT(any_tree_is_read_back_equal, 60),
    T(long_keys_and_deep_trees_are_read_back_equal),
    T(out_of_memory_is_an_error),
};
TEST_MAIN(tests)
