/* Expressions: what compiles, what is refused and in which words, bounds, arguments, patterns, time
 * zones. The language's own cases are in test_cel_conformance. */
#include "policy/cel.h"

#include <jansson.h>

#include "flopinio/base/mem.h"
#include "flopinio/base/zone.h"
#include "harness.h"
#include "policy/zone.h"

enum { ARGS, NAME, GROUPS, READS, AT, VARS };

static const struct fl_cel_var vars[VARS] = {
    [ARGS] = { "args", "{s*}" },         [NAME] = { "agent.name", "s" },
    [GROUPS] = { "agent.groups", "[s" }, [READS] = { "tool.reads", "b" },
    [AT] = { "request.time", "t" },
};

static const struct fl_cel_env env = {
    .vars = vars, .var_count = VARS, .tree = "args", .zone = fl_zone_file
};

static struct fl_cel *compile(const char *text)
{
    struct fl_cel *program = NULL;
    struct fl_err err = { 0 };
    CHECK_MSG(fl_cel_compile(fl_str_of(text), &env, &program, &err) == FL_OK, "%s: %s", text,
              err.text);
    return program;
}

static const char *compile_error(const char *text)
{
    static struct fl_err err;
    struct fl_cel *program = NULL;
    CHECK_MSG(fl_cel_compile(fl_str_of(text), &env, &program, &err) == FL_BAD_PARAMS,
              "compiles: %s", text);
    CHECK(!program);
    return err.text;
}

struct outcome {
    enum fl_code code;
    struct fl_cel_value value; /* texts are gone */
    struct fl_err err;
    uint64_t steps_left;
};

/* Over args (JSON text), agent "ci-1" in ops, a tool that reads, 2026-11-23T16:30:00Z. */
static struct outcome run_bounded(const char *text, const char *json, uint64_t steps, size_t bytes)
{
    struct outcome o = { 0 };
    struct fl_cel *program = compile(text);
    json_t *tree = json_loads(json, 0, NULL);
    CHECK_MSG(tree, "%s", json);
    struct fl_arena *arena = fl_arena_new(0);
    const struct fl_cel_value ops = fl_cel_str(FL_STR("ops"));
    const struct fl_cel_value values[VARS] = { fl_cel_json(tree), fl_cel_str(FL_STR("ci-1")),
                                               fl_cel_list(&ops, 1), fl_cel_bool(true),
                                               fl_cel_time_ms(1795451400000) };
    struct fl_cel_run r = { .vars = values, .arena = arena, .steps = steps, .max_bytes = bytes };
    o.code = fl_cel_eval(program, &r, &o.value, &o.err);
    o.steps_left = r.steps;
    fl_arena_free(&arena);
    json_decref(tree);
    fl_cel_free(&program);
    return o;
}

static struct outcome run(const char *text, const char *json)
{
    return run_bounded(text, json, 100000, 1 << 20);
}

static void check_true(const char *text, const char *json)
{
    struct outcome o = run(text, json);
    CHECK_MSG(o.code == FL_OK && o.value.kind == FL_CEL_BOOL && o.value.b, "%s: %s", text,
              o.code ? o.err.text : "not true");
}

static void test_conditions_read_arguments_and_facts(void)
{
    static const struct {
        const char *text, *json;
    } cases[] = {
        { "args.path.startsWith('reports/')", "{\"path\": \"reports/a\"}" },
        { "args.amount <= 100", "{\"amount\": 100}" },
        { "args.amount <= 100", "{\"amount\": 99.5}" },
        { "args.amount == 5", "{\"amount\": 5.0}" },
        { "args.amount * 2 > 9", "{\"amount\": 5}" },
        { "!has(args.limit)", "{}" },
        { "has(args.limit) && args.limit == null", "{\"limit\": null}" },
        { "args.?limit.orValue(3) == 3", "{}" },
        { "args.?limit.orValue(3) == 7", "{\"limit\": 7}" },
        { "'limit' in args", "{\"limit\": null}" },
        { "args.to.all(t, t.endsWith('@example.com'))", "{\"to\": [\"a@example.com\"]}" },
        { "args.rows.exists(r, r.id == 7)", "{\"rows\": [{\"id\": 1}, {\"id\": 7}]}" },
        { "args.rows.map(r, r.n).size() == 2", "{\"rows\": [{\"n\": 1}, {\"n\": 7}]}" },
        { "args.m.all(k, v, k == v)", "{\"m\": {\"a\": \"a\", \"b\": \"b\"}}" },
        { "args['a b'] == 1", "{\"a b\": 1}" },
        { "args.`a-b`[0] == 1", "{\"a-b\": [1]}" },
        { "args == {'a': [1, {'b': null}]}", "{\"a\": [1, {\"b\": null}]}" },
        { "size(args) == 2 && size(args.s) == 1", "{\"s\": \"\\u00e9\", \"t\": 0}" },
        { "agent.name.matches('^ci-[0-9]+$') && tool.reads && 'ops' in agent.groups", "{}" },
        { "request.time > timestamp('2026-11-23T16:29:59Z')", "{}" },
        { "request.time.getHours('Europe/Berlin') == 17", "{}" },
        { "request.time.getDayOfWeek() in [1, 2, 3, 4, 5]", "{}" },
        { "type(args.n) == int && type(args.d) == double", "{\"n\": 1, \"d\": 1.0}" },
        { "cel.bind(n, args.n, n > 0 && n < 10)", "{\"n\": 4}" },
        /* What the arguments get wrong is absorbed where the language says so. */
        { "args.missing == 1 || true", "{}" },
        { "!(args.missing == 1 && false)", "{}" },
        { "[1, 'x'].exists(i, i > 0)", "{}" },
    };
    for (size_t i = 0; i < FL_COUNTOF(cases); i++)
        check_true(cases[i].text, cases[i].json);
}

static void test_an_error_says_what_without_a_value_of_the_arguments(void)
{
    static const struct {
        const char *text, *json, *error;
    } cases[] = {
        { "args.amount > 5", "{}", "no such key 'amount'" },
        { "args.amount > 5", "{\"amount\": \"hunter2\"}",
          "no such overload: '>' of (string, int)" },
        { "args.a.b == 1", "{\"a\": 3}", "no such overload: int has no field 'b'" },
        { "args.list[3] == 1", "{\"list\": [1]}", "no such index (invalid_argument)" },
        { "args[args.key] == 1", "{\"key\": \"hunter2\"}", "no such key" },
        { "int(args.n) == 1", "{\"n\": \"hunter2\"}", "int() of no such number" },
        { "args.n + 1 == 1", "{\"n\": 9223372036854775807}", "int overflow" },
        { "1 / args.n == 1", "{\"n\": 0}", "divide by zero" },
        { "args.n.all(x, x)", "{\"n\": \"hunter2\"}", "no such overload: cannot walk over string" },
        { "args.s.matches('a') && args.b", "{\"s\": \"a\", \"b\": 1}",
          "no such overload: '&&' of int" },
        { "timestamp(args.t) > request.time", "{\"t\": \"hunter2\"}",
          "timestamp() of a text that is not RFC 3339 (range or form)" },
        { "request.time.getHours(args.z) == 1", "{\"z\": \"Europe/Berlin\"}",
          "a time zone that is not written out is UTC or an offset" },
        { "args.x ? true : false", "{\"x\": \"true\"}", "no such overload: '?:' of string" },
    };
    for (size_t i = 0; i < FL_COUNTOF(cases); i++) {
        struct outcome o = run(cases[i].text, cases[i].json);
        CHECK_INT(o.code, FL_BAD_PARAMS);
        CHECK_STR(o.err.text, cases[i].error);
    }
}

static void test_what_cannot_be_right_does_not_compile(void)
{
    static const struct {
        const char *text, *error;
    } cases[] = {
        { "", "line 1, column 1: the expression is empty" },
        { "  // nothing\n ", "line 1, column 1: the expression is empty" },
        { "arg.path == 'x'", "line 1, column 1: unknown name 'arg.path'" },
        { "agent.nmae == 'x'",
          "line 1, column 1: unknown name 'agent.nmae'; did you mean 'agent.name'?" },
        { "amount > 5", "line 1, column 1: unknown name 'amount'" },
        { "true &&\n  args.x.startWith('a')",
          "line 2, column 10: unknown function 'startWith'; did you mean 'startsWith'?" },
        { "frob(1)", "line 1, column 1: unknown function 'frob'" },
        { "startsWith('a', 'b')", "line 1, column 1: called without a value: 'startsWith'" },
        { "'a'.int()", "line 1, column 5: a value has no function 'int'" },
        { "1 + 'a' == 2", "line 1, column 3: cannot apply '+' to (int, string)" },
        { "agent.name > 3", "line 1, column 12: cannot apply '>' to (string, int)" },
        { "agent.name == 3", "line 1, column 12: cannot apply '==' to (string, int)" },
        { "agent.name in 'abc'", "line 1, column 12: cannot apply 'in' to (string, string)" },
        { "agent.groups.name", "line 1, column 14: list(string) has no field 'name'" },
        { "tool.reads && agent.name", "line 1, column 15: an operand of '&&' is string, not bool" },
        { "agent.name ? 1 : 2", "line 1, column 1: the condition before '?' is string, not bool" },
        { "true ? 1 : 'a'", "line 1, column 6: cannot apply '?:' to (int, string)" },
        { "[1].all(x, x + 1)", "line 1, column 14: the condition of the loop is int, not bool" },
        { "agent.name.all(x, true)", "line 1, column 12: cannot walk over string" },
        { "[1].all(1, true)", "line 1, column 9: a variable name should stand here" },
        { "[1].all(x, x, true)", "line 1, column 5: both variables are called 'x'" },
        { "has(args)", "line 1, column 1: has() takes one field, as in has(args.path)" },
        { "{1.5: 2}", "line 1, column 2: a key is a string, an int, a uint or a bool" },
        { "args.x = 1", "line 1, column 8: '=' is not an operator; '==' compares" },
        { "args.x & true", "line 1, column 8: '&' and '|' are written twice" },
        { "args.x ==", "line 1, column 10: ends where a value should be" },
        { "(args.x", "line 1, column 8: ends where ')' should be" },
        { "args.x)", "line 1, column 7: ')' stands where an operator should be" },
        { "args.x y", "line 1, column 8: 'y' stands where an operator should be" },
        { "args..x", "line 1, column 6: '.' stands where a field or a function should be" },
        { "args.in", "line 1, column 6: 'in' stands where a field or a function should be" },
        { "for == 1", "line 1, column 1: 'for' is a reserved word" },
        { "'abc", "line 1, column 1: the text has no end" },
        { "'a\\qb'", "line 1, column 3: no such escape in a text" },
        { "'\\ud800'", "line 1, column 2: no such escape in a text" },
        { "'\xc3\xa9' == 'x' && y", "line 1, column 15: unknown name 'y'" },
        { "args.x == 'a\n'", "line 1, column 11: the text has no end" },
        { "9223372036854775808", "line 1, column 1: the number does not fit an int" },
        { "99999999999999999999", "line 1, column 1: the number does not fit 64 bits" },
        { "1e999", "line 1, column 1: the number does not fit a double" },
        { "12abc", "line 1, column 1: a number ends in a letter" },
        { "Foo{a: 1}", "line 1, column 4: messages cannot be built: there are none here" },
        { "args.`a", "line 1, column 6: a quoted field has letters, digits and _.-/ only, and ends "
                     "in `" },
        { "request.time.getHours('Europe/Nowhere')",
          "line 1, column 23: no time zone 'Europe/Nowhere' on this machine" },
        { "request.time.getHours('../etc/passwd')",
          "line 1, column 23: no time zone '../etc/passwd': UTC, +01:30 and names such as "
          "Europe/Berlin can stand here" },
        { "args.s.matches(args.p)",
          "line 1, column 21: the pattern of matches() must be written out as a text" },
        { "size(1, 2, 3, 4, 5, 6, 7, 8, 9)", "line 1, column 1: size() takes no 9 arguments" },
        { "#", "line 1, column 1: a character that no expression has" },
    };
    for (size_t i = 0; i < FL_COUNTOF(cases); i++)
        CHECK_STR(compile_error(cases[i].text), cases[i].error);
    CHECK_STR(compile_error("'\xff'"), "line 1, column 1: the expression is not valid UTF-8");
    struct fl_cel_env no_zones = env;
    no_zones.zone = NULL;
    struct fl_cel *program = NULL;
    struct fl_err err;
    CHECK_INT(fl_cel_compile(FL_STR("request.time.getHours('Europe/Berlin') == 1"), &no_zones,
                             &program, &err),
              FL_BAD_PARAMS);
    CHECK_STR(err.text, "line 1, column 23: no time zone 'Europe/Berlin': UTC, +01:30 can stand "
                        "here");
}

static void test_types_are_known_where_they_can_be(void)
{
    static const struct {
        const char *text, *type;
        bool may_be_bool;
    } cases[] = {
        { "args.x", "dyn", true },
        { "args.x == 1", "bool", true },
        { "args.x + 1", "int", false },
        { "args.x + args.y", "dyn", true },
        { "agent.name + 'x'", "string", false },
        { "[1, 2]", "list(int)", false },
        { "[1, 'a']", "list(dyn)", false },
        { "{'a': 1u}", "map(string, uint)", false },
        { "args.x ? 1 : 2", "int", false },
        { "args.x ? dyn(1) : 2", "dyn", true },
        { "[dyn(1)][0]", "dyn", true },
        { "args.?x", "optional_type(dyn)", false },
        { "agent.groups.map(g, size(g))", "list(int)", false },
        { "agent.groups[0]", "string", false },
        { "type(1)", "type", false },
        { "request.time - request.time", "google.protobuf.Duration", false },
    };
    for (size_t i = 0; i < FL_COUNTOF(cases); i++) {
        struct fl_cel *program = compile(cases[i].text);
        CHECK_STR(fl_cel_type(program), cases[i].type);
        CHECK_INT(fl_cel_may_be_bool(program), cases[i].may_be_bool);
        fl_cel_free(&program);
    }
    fl_cel_free(&(struct fl_cel *){ NULL });
}

static void test_the_places_that_are_read_are_known(void)
{
    static const struct {
        const char *text, *paths;
    } cases[] = {
        { "agent.name == 'x'", "" },
        { "args.a.b == 1 && args.a.c", "/a/b /a/c " },
        { "args.a == 1 || args.a == 2", "/a " },
        { "has(args.amout)", "/amout " },
        { "args['a/b'] == args.`c~d`[0]", NULL }, /* ~ is not in a quoted field */
        { "args['a/b~c']", "/a~1b~0c " },
        { "args.lines.all(l, l.sum < 5)", "/lines /lines/*/sum " },
        { "args.m.exists(k, v, v.x == k)", "/m /m/*/x " },
        { "args.list[0].x + args.list[args.i].y", "/list/0/x /i /list/*/y " },
        { "args.?a.?b.orValue(1) == 1", "/a/b " },
        { "args.?a.optMap(x, x.y).hasValue()", "/a /a/y " },
        { "cel.bind(a, args.a, a.b == a.c)", "/a /a/b /a/c " },
        { "'limit' in args", "/limit " },
        { "'limit' in args.a", "/a/limit " },
        { "agent.name in args.a", "/a " },
        { "size(args) == 0", " " },
        { "args == {}", " " },
        { "[{'args': 1}].all(args, args.args == 1)", "" },
    };
    for (size_t i = 0; i < FL_COUNTOF(cases); i++) {
        if (!cases[i].paths) {
            compile_error(cases[i].text);
            continue;
        }
        struct fl_cel *program = compile(cases[i].text);
        char got[200] = "";
        for (size_t p = 0; fl_cel_path(program, p); p++)
            strcat(strcat(got, fl_cel_path(program, p)), " ");
        CHECK_STR(got, cases[i].paths);
        CHECK_INT(fl_cel_reads(program, ARGS), cases[i].paths[0] != 0);
        fl_cel_free(&program);
    }
    struct fl_cel *program = compile("tool.reads && agent.name == 'x'");
    CHECK(fl_cel_reads(program, READS) && fl_cel_reads(program, NAME));
    CHECK(!fl_cel_reads(program, AT) && !fl_cel_reads(program, GROUPS));
    fl_cel_free(&program);
}

/* ---- bounds ---- */
static char *repeat(const char *before, const char *piece, size_t count, const char *after)
{
    size_t n = strlen(piece);
    char *text = malloc(strlen(before) + n * count + strlen(after) + 1), *at = text;
    CHECK(text);
    at = stpcpy(at, before);
    while (count-- > 0)
        at = stpcpy(at, piece);
    strcpy(at, after);
    return text;
}

static void test_deep_and_long_texts_are_refused(void)
{
    static const struct {
        const char *before, *piece, *after;
        size_t count;
        const char *error;
    } cases[] = {
        { "", "(", "1", 2000, "nested more than 100 deep" },
        { "", "[", "1", 2000, "nested more than 100 deep" },
        { "", "!", "true", 2000, "nested more than 100 deep" },
        { "", "-", "1", 2000, "nested more than 100 deep" },
        { "", "{1:", "1", 900, "nested more than 100 deep" },
        { "1", "+1", "", 1500, "nested more than 100 deep" },
        { "args", ".a", "", 1500, "nested more than 100 deep" },
        { "args", "[0]", "", 1000, "nested more than 100 deep" },
        { "", "true?1:", "1", 500, "nested more than 100 deep" },
        { "", "size(", "1", 700, "nested more than 100 deep" },
        { "", "[1].all(x,", "true", 300, "nested more than 100 deep" },
        { "true", "||true", "", 1000, "longer than 4096 bytes" },
        { "'", "a", "'", 5000, "longer than 4096 bytes" },
    };
    for (size_t i = 0; i < FL_COUNTOF(cases); i++) {
        char *text = repeat(cases[i].before, cases[i].piece, cases[i].count, cases[i].after);
        CHECK_MSG(strstr(compile_error(text), cases[i].error), "%.20s: %s", text,
                  compile_error(text));
        free(text);
    }
    char *text = repeat("true", "&&true", 600, ""); /* wide, not deep */
    check_true(text, "{}");
    free(text);
}

static void test_types_that_share_parts_are_bounded(void)
{
    /* The keys and the values of each map have the type of the map before: a type that doubles at
     * each level, twice, and then the two are compared. */
    char text[4096] = "cel.bind(a0, 1, cel.bind(b0, 1, ", *at = text + strlen(text);
    enum { LEVELS = 22 };
    for (int i = 1; i <= LEVELS; i++)
        at +=
            sprintf(at,
                    "cel.bind(a%d, {}, cel.bind(b%d, {}, a%d in a%d && a%d.all(q, v, v == a%d) && "
                    "b%d in b%d && b%d.all(q, v, v == b%d) && ",
                    i, i, i - 1, i, i, i - 1, i - 1, i, i, i - 1);
    at += sprintf(at, "a%d == b%d", LEVELS, LEVELS);
    memset(at, ')', 2 * LEVELS + 2);
    at[2 * LEVELS + 2] = 0;
    CHECK_STR(compile_error(text),
              "line 1, column 1: the types of this expression are too large to check");
}

static void test_work_is_bounded(void)
{
    static const char list[] =
        "{\"l\": [1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1], "
        "\"s\": \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!\"}";
    static const char *const cases[] = {
        /* 20^6 rounds */
        "args.l.all(a, args.l.all(b, args.l.all(c, args.l.all(d, args.l.all(e, args.l.all(f, a + b "
        "+ c + d + e + f > 0))))))",
        "args.l.map(a, args.l.map(b, args.l.map(c, args.l.map(d, args.l)))).size() > 0",
        /* a value that is small in memory and huge to walk */
        "cel.bind(a, [args.l, args.l], cel.bind(b, [a, a, a, a], cel.bind(c, [b, b, b, b], "
        "cel.bind(d, [c, c, c, c], cel.bind(e, [d, d, d, d], cel.bind(f, [e, e, e, e], "
        "cel.bind(g, [f, f, f, f], g == [f, f, f, f])))))))",
        "cel.bind(a, [args.l, args.l], cel.bind(b, [a, a, a, a], cel.bind(c, [b, b, b, b], "
        "cel.bind(d, [c, c, c, c], cel.bind(e, [d, d, d, d], cel.bind(f, [e, e, e, e], "
        "cel.bind(g, [f, f, f, f], '%s'.format([g]) == '')))))))",
        /* texts that double */
        "cel.bind(a, args.s + args.s, cel.bind(b, a + a + a + a + a + a + a + a, cel.bind(c, b + b "
        "+ b + b + b + b + b + b, cel.bind(d, c + c + c + c + c + c + c + c, cel.bind(e, d + d + d "
        "+ d + d + d + d + d, e + e + e + e + e + e + e + e == '')))))",
        "args.l.all(a, args.s.replace('', args.s).replace('', args.s).replace('', args.s) != '')",
        /* a pattern that backtracks */
        "args.s.matches('(a+)+$')",
        "args.l.all(x, args.l.all(y, !args.s.matches('^(a|b)*c$')))",
        "args.l.all(w, args.l.all(x, args.l.all(y, args.l.all(z, args.s.lastIndexOf('ab') < 0))))",
        "args.l.all(x, args.l.all(y, args.l.all(z, args.s.split('').size() > 3)))",
    };
    for (size_t i = 0; i < FL_COUNTOF(cases); i++) {
        struct outcome o = run(cases[i], list);
        CHECK_MSG(o.code == FL_TOO_LARGE, "%s: %s", cases[i], o.code ? o.err.text : "ended");
    }
    /* What absorbs errors does not absorb a bound. */
    struct outcome o = run_bounded("args.l.all(a, args.l.all(b, a == b)) || true", list, 100, 9999);
    CHECK_INT(o.code, FL_TOO_LARGE);
    CHECK_STR(o.err.text, "the expression needs more steps than it may");
    CHECK_INT(o.steps_left, 0);
    o = run_bounded("args.l.map(a, [a, a, a]).size() == 20 || true", list, 100000, 300);
    CHECK_INT(o.code, FL_TOO_LARGE);
    CHECK_STR(o.err.text, "the expression needs more memory than it may");
    o = run_bounded("args.l.all(a, a == 1)", list, 100000, 1 << 20);
    CHECK(o.code == FL_OK && o.value.b && o.steps_left > 99000 && o.steps_left < 100000);
}

static void test_deep_arguments_are_bounded(void)
{
    char *deep = repeat("{\"a\": ", "[", 1000, "");
    char *json = malloc(3000);
    CHECK(json);
    strcpy(json, deep);
    for (int i = 0; i < 1000; i++)
        strcat(json, "]");
    strcat(json, "}");
    struct outcome o = run("args.a == args.a", json);
    CHECK_INT(o.code, FL_TOO_LARGE);
    o = run("'%s'.format([args.a]) == ''", json);
    CHECK_INT(o.code, FL_TOO_LARGE);
    check_true("args.a.size() == 1", json);
    free(deep);
    free(json);
}

/* ---- patterns ---- */
static void test_patterns_are_those_of_re2(void)
{
    static const struct {
        const char *pattern, *subject;
        bool is_found;
    } good[] = {
        { "^a+b*c?$", "aab", true },
        { "a.c", "a\\nc", false }, /* '.' is not a line end */
        { "(?s)a.c", "a\\nc", true },
        { "a$", "a\\n", false }, /* '$' is the very end */
        { "(?m)^b$", "a\\nb\\nc", true },
        { "(?i)STRASSE", "strasse", true },
        { "(?i:A)b", "ab", true },
        { "(?P<x>a)(?<y>b)(?:c)", "abc", true },
        { "[[:alpha:]_-]+[^]a]", "x_b", true },
        { "[]a]+", "]a", true },
        { "\\\\d{2,3}?\\\\.\\\\D", "12.x", true },
        { "\\\\p{Greek}+\\\\pL", "\xcf\x80\xcf\x80x", true },
        { "\\\\x41\\\\x{42}", "AB", true },
        { "\\\\Aab\\\\b", "ab", true },
        { "a{2}", "aa", true },
        { "a\\\\{b", "a{b", true },
        { "\\\\w+@\\\\w+\\\\.(com|org)\\\\z", "a@b.org", true },
        { "^\\\\d+$", "\xd9\xa1", false }, /* \d is ASCII */
        { "\xc3\xa9", "caf\xc3\xa9", true },
    };
    static const struct {
        const char *pattern, *error;
    } bad[] = {
        { "(a)\\\\1", "an escape that is not allowed (no backreferences)" },
        { "\\\\k<x>", "an escape that is not allowed (no backreferences)" },
        { "\\\\g1", "an escape that is not allowed (no backreferences)" },
        { "\\\\Ka", "an escape that is not allowed (no backreferences)" },
        { "\\\\Ra", "an escape that is not allowed (no backreferences)" },
        { "\\\\Q(\\\\E", "an escape that is not allowed (no backreferences)" },
        { "a\\\\", "an escape that is not allowed (no backreferences)" },
        { "\\\\p{Greek", "an escape that is not allowed (no backreferences)" },
        { "(?=a)", "a group that is not allowed (no lookaround, no conditions)" },
        { "(?!a)", "a group that is not allowed (no lookaround, no conditions)" },
        { "(?<=a)b", "a group that is not allowed (no lookaround, no conditions)" },
        { "(?<!a)b", "a group that is not allowed (no lookaround, no conditions)" },
        { "(?>a)", "a group that is not allowed (no lookaround, no conditions)" },
        { "(?|a|b)", "a group that is not allowed (no lookaround, no conditions)" },
        { "(?R)", "a group that is not allowed (no lookaround, no conditions)" },
        { "(?1)", "a group that is not allowed (no lookaround, no conditions)" },
        { "(?P>x)", "a group that is not allowed (no lookaround, no conditions)" },
        { "(?P=x)", "a group that is not allowed (no lookaround, no conditions)" },
        { "(?(1)a)", "a group that is not allowed (no lookaround, no conditions)" },
        { "(?C1)a", "a group that is not allowed (no lookaround, no conditions)" },
        { "(?#x)a", "a group that is not allowed (no lookaround, no conditions)" },
        { "(?x)a b", "a group that is not allowed (no lookaround, no conditions)" },
        { "(*UCP)a", "a verb" },
        { "(*ACCEPT)", "a verb" },
        { "a++", "a repetition that is not allowed (at most 1000; '{' itself is written \\{)" },
        { "a*+", "a repetition that is not allowed (at most 1000; '{' itself is written \\{)" },
        { "a{2}+", "a repetition that is not allowed (at most 1000; '{' itself is written \\{)" },
        { "a{1001}", "a repetition that is not allowed (at most 1000; '{' itself is written \\{)" },
        { "a{1,9999}",
          "a repetition that is not allowed (at most 1000; '{' itself is written \\{)" },
        { "a{,5}", "a repetition that is not allowed (at most 1000; '{' itself is written \\{)" },
        { "a{2, 3}", "a repetition that is not allowed (at most 1000; '{' itself is written \\{)" },
        { "[a", "a class that is not allowed" },
        { "[a\\\\1]", "a class that is not allowed" },
    };
    char text[300];
    struct fl_cel_env plain = env;
    for (size_t i = 0; i < FL_COUNTOF(good); i++) {
        snprintf(text, sizeof text, "'%s'.matches('%s') == %s", good[i].subject, good[i].pattern,
                 good[i].is_found ? "true" : "false");
        check_true(text, "{}");
    }
    for (size_t i = 0; i < FL_COUNTOF(bad); i++) {
        char wanted[200];
        struct fl_cel *program = NULL;
        struct fl_err err;
        snprintf(text, sizeof text, "'x'.matches('%s')", bad[i].pattern);
        snprintf(wanted, sizeof wanted, "line 1, column 13: the pattern has %s", bad[i].error);
        CHECK_MSG(fl_cel_compile(fl_str_of(text), &plain, &program, &err) == FL_BAD_PARAMS,
                  "compiles: %s", text);
        CHECK_STR(err.text, wanted);
    }
    CHECK(strstr(compile_error("'x'.matches('(a')"), "the pattern is not valid at its byte 3: "));
    CHECK(
        strstr(compile_error("'x'.matches('((((((((((((((((((((((((((((((((((((((((((((((((((((((("
                             "a)))))))))))))))))))))))))))))))))))))))))))))))))))))))')"),
               "the pattern is not valid"));
    char *big = repeat("'x'.matches('", "((a{1000}){1000}){1000}", 1, "')");
    CHECK(strstr(compile_error(big), "the pattern is not valid"));
    free(big);
    big = repeat("'x'.matches('", "a", 1001, "')");
    CHECK(strstr(compile_error(big), "the pattern is longer than 1000 bytes"));
    free(big);
}

/* ---- time zones ---- */
static void test_time_zones_follow_their_rules(void)
{
    static const struct {
        const char *at, *zone;
        int hour, minute;
    } cases[] = {
        { "2026-07-01T12:00:00Z", "Europe/Berlin", 14, 0 },
        { "2026-12-01T12:00:00Z", "Europe/Berlin", 13, 0 },
        { "2026-03-29T00:59:59Z", "Europe/Berlin", 1, 59 }, /* the second before summer time */
        { "2026-03-29T01:00:00Z", "Europe/Berlin", 3, 0 },
        { "2026-10-25T00:59:59Z", "Europe/Berlin", 2, 59 },
        { "2026-10-25T01:00:00Z", "Europe/Berlin", 2, 0 },
        { "2090-07-01T12:00:00Z", "Europe/Berlin", 14, 0 }, /* by the rule in the footer */
        { "2090-12-01T12:00:00Z", "Europe/Berlin", 13, 0 },
        { "2090-01-15T12:00:00Z", "Australia/Sydney", 23, 0 },
        { "2090-07-15T12:00:00Z", "Australia/Sydney", 22, 0 },
        { "2090-07-15T12:00:00Z", "America/New_York", 8, 0 },
        { "2090-07-15T12:00:00Z", "Asia/Kathmandu", 17, 45 },
        { "2090-07-15T12:00:00Z", "Etc/GMT+5", 7, 0 },
        { "1800-01-01T12:00:00Z", "Europe/Berlin", 12, 53 }, /* local mean time */
        { "2026-07-01T12:00:00Z", "UTC", 12, 0 },
        { "2026-07-01T12:00:00Z", "", 12, 0 },
        { "2026-07-01T12:00:00Z", "+05:30", 17, 30 },
        { "2026-07-01T12:00:00Z", "-09:30", 2, 30 },
        { "2026-07-01T12:00:00Z", "02:00", 14, 0 },
    };
    for (size_t i = 0; i < FL_COUNTOF(cases); i++) {
        char text[200];
        snprintf(text, sizeof text,
                 "timestamp('%s').getHours('%s') == %d && timestamp('%s').getMinutes('%s') == %d",
                 cases[i].at, cases[i].zone, cases[i].hour, cases[i].at, cases[i].zone,
                 cases[i].minute);
        check_true(text, "{}");
    }
}

static void test_zone_names_cannot_leave_the_database(void)
{
    static const char *const bad[] = { "",     "/etc/passwd", "..",   "../x", "a/../b",
                                       "a//b", "a/",          ".a",   "a/.b", "a b",
                                       "a\\b", "a\nb",        "-x/y", "a%b",  "Europe/B\xc3\xa9" };
    struct fl_buf out = FL_BUF_INIT;
    for (size_t i = 0; i < FL_COUNTOF(bad); i++)
        CHECK_MSG(!fl_zone_name_is_valid(fl_str_of(bad[i])), "%s", bad[i]);
    CHECK(!fl_zone_name_is_valid((struct fl_str){ "a\0b", 3 }));
    CHECK(fl_zone_name_is_valid(FL_STR("America/Port-au-Prince")));
    CHECK(fl_zone_name_is_valid(FL_STR("Etc/GMT+12")));
    CHECK(!fl_zone_file(NULL, FL_STR("../../../etc/hostname"), &out));
    CHECK(!fl_zone_file(NULL, FL_STR("/etc/hostname"), &out));
    CHECK(!fl_zone_file(NULL, FL_STR("Europe/../../../../etc/hostname"), &out));
    CHECK(!fl_zone_file(NULL, FL_STR(""), &out));
    CHECK(!fl_zone_file(NULL, FL_STR("Europe"), &out)); /* a folder */
    CHECK_INT(out.n, 0);
    fl_buf_fini(&out);
}

static void test_damaged_zone_data_is_refused_or_harmless(void)
{
    struct fl_buf good = FL_BUF_INIT;
    CHECK(fl_zone_file(NULL, FL_STR("Europe/Berlin"), &good) && good.n > 500);
    unsigned refused = 0;
    for (size_t n = 0; n < good.n; n++) { /* each prefix, and each byte changed */
        struct fl_arena *arena = fl_arena_new(0);
        const struct fl_zone *zone = NULL;
        struct fl_err err;
        char *copy = malloc(n ? n : 1);
        CHECK(copy);
        memcpy(copy, good.p, n);
        CHECK_INT(fl_zone_new(arena, (struct fl_str){ copy, n }, &zone, &err), FL_BAD_PARAMS);
        free(copy);
        good.p[n] = (char)(good.p[n] ^ 0x55);
        if (fl_zone_new(arena, fl_buf_view(&good), &zone, &err) == FL_OK) {
            for (int64_t at = -9000000000; at < 9000000000; at += 100000000)
                (void)fl_zone_offset(zone, at);
        } else {
            refused++;
        }
        good.p[n] = (char)(good.p[n] ^ 0x55);
        fl_arena_free(&arena);
    }
    CHECK(refused > 20);
    fl_buf_fini(&good);
}

/* ---- hostile texts, and no memory ---- */
static const char *const corpus[] = {
    "args.path.startsWith('reports/') && !args.path.contains('..') || agent.name == \"ci-1\"",
    "args.lines.filter(l, has(l.sum)).map(l, l.sum).all(s, s > 0 && s < 1e3) ? 1 : 2",
    "request.time.getHours('Europe/Berlin') in [8, 9] && request.time < timestamp('2027-01-01T00:00:00Z')",
    "{'a': [1, 2.5, b'x'], 'b': {1: null}}.a[0] == 1 && args.?x.?y.orValue('z').matches('^[a-z]+$')",
    "[1, 2, 3].transformMap(i, v, i > 0, v * 2) == {1: 4, 2: 6} && cel.bind(x, args, size(x) >= 0)",
    "'%d %s'.format([1, args]) != r'\\n' && [?args.?a, 1].size() > 0 && strings.quote('x') == '\"x\"'",
};

static void test_random_changes_of_texts_end_well(void)
{
    uint64_t seed = 7;
    unsigned compiled = 0, refused = 0, ended = 0;
    json_t *tree =
        json_loads("{\"path\": \"reports/x\", \"lines\": [{\"sum\": 3}], \"a\": [1]}", 0, NULL);
    const struct fl_cel_value ops = fl_cel_str(FL_STR("ops"));
    const struct fl_cel_value values[VARS] = { fl_cel_json(tree), fl_cel_str(FL_STR("ci-1")),
                                               fl_cel_list(&ops, 1), fl_cel_bool(true),
                                               fl_cel_time_ms(0) };
    static const char bits[] = "()[]{}.,?:!&|=<>+-*/%'\"\\`0123456789eux abcinargs\n\xc3\xa9";
    for (int i = 0; i < 6000; i++) {
        char text[400];
        struct fl_cel *program = NULL;
        struct fl_err err;
        snprintf(text, sizeof text, "%s", corpus[(unsigned)i % FL_COUNTOF(corpus)]);
        size_t n = strlen(text);
        for (int k = 0; k < 1 + i % 4; k++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            size_t at = (seed >> 40) % n;
            if (seed >> 33 & 1)
                text[at] = bits[(seed >> 20) % (sizeof bits - 1)];
            else
                memmove(text + at, text + at + 1, n-- - at);
        }
        struct fl_cel_env e = env;
        e.is_unchecked = i % 2; /* the evaluator has to stand what the checker would refuse */
        if (fl_cel_compile((struct fl_str){ text, n }, &e, &program, &err)) {
            refused++;
            continue;
        }
        compiled++;
        struct fl_arena *arena = fl_arena_new(0);
        struct fl_cel_value v;
        struct fl_cel_run r = {
            .vars = values, .arena = arena, .steps = 20000, .max_bytes = 100000
        };
        ended += fl_cel_eval(program, &r, &v, &err) == FL_OK;
        fl_arena_free(&arena);
        fl_cel_free(&program);
    }
    json_decref(tree);
    CHECK(compiled > 500 && refused > 500 && ended > 200);
}

static void test_without_memory_it_fails_and_leaks_nothing(void)
{
    unsigned failures = 0;
    json_t *tree =
        json_loads("{\"path\": \"reports/x\", \"lines\": [{\"sum\": 3}], \"a\": [1]}", 0, NULL);
    const struct fl_cel_value ops = fl_cel_str(FL_STR("ops"));
    const struct fl_cel_value values[VARS] = { fl_cel_json(tree), fl_cel_str(FL_STR("ci-1")),
                                               fl_cel_list(&ops, 1), fl_cel_bool(true),
                                               fl_cel_time_ms(0) };
    for (size_t i = 0; i < FL_COUNTOF(corpus); i++) {
        for (uint64_t n = 1;; n++) {
            struct fl_cel *program = NULL;
            struct fl_err err = { 0 };
            struct fl_arena *arena = NULL;
            struct fl_cel_value v;
            fl_mem_fail_at(n, 1);
            enum fl_code code = fl_cel_compile(fl_str_of(corpus[i]), &env, &program, &err);
            if (!code && (arena = fl_arena_new(0))) {
                struct fl_cel_run r = {
                    .vars = values, .arena = arena, .steps = 100000, .max_bytes = 1 << 20
                };
                code = fl_cel_eval(program, &r, &v, &err);
            }
            bool was_hit = fl_mem_fail_at(0, 0) >= n;
            CHECK_MSG(!was_hit || !arena || code == FL_NOMEM || code == FL_OK, "%s: %s", corpus[i],
                      err.text);
            CHECK_MSG(program || code == FL_NOMEM, "%s", err.text);
            failures += code == FL_NOMEM;
            fl_arena_free(&arena);
            fl_cel_free(&program);
            if (!was_hit)
                break;
        }
    }
    CHECK(failures > 60); /* a chunk of an arena is one allocation, or each piece is */
    json_decref(tree);
}

static const struct fl_test tests[] = {
    T(conditions_read_arguments_and_facts),
    T(an_error_says_what_without_a_value_of_the_arguments),
    T(what_cannot_be_right_does_not_compile),
    T(types_are_known_where_they_can_be),
    T(the_places_that_are_read_are_known),
    T(deep_and_long_texts_are_refused),
    T(types_that_share_parts_are_bounded),
    T(work_is_bounded),
    T(deep_arguments_are_bounded),
    T(patterns_are_those_of_re2),
    T(time_zones_follow_their_rules),
    T(zone_names_cannot_leave_the_database),
    T(damaged_zone_data_is_refused_or_harmless),
    T(random_changes_of_texts_end_well),
    T_LIMIT(without_memory_it_fails_and_leaks_nothing, 30),
};
TEST_MAIN(tests)
