/* The published conformance cases of the Common Expression Language, read in place. Each file that
 * docs/policy.md names has to pass in all its cases that need no protocol-buffer message; a table
 * says per file how many that are. */
#include <math.h>

#include "flopinio/base/mem.h"
#include "flopinio/base/utf8.h"
#include "flopinio/base/zone.h"
#include "harness.h"
#include "policy/cel.h"

/* ---- text protocol buffers, as far as the files use them ---- */
struct pb {
    const char *name;
    struct pb *kids, *next; /* of a message; the next field of the same message */
    struct fl_str text;     /* of a scalar: a decoded string, or the token */
    bool is_string;
};

struct pb_reader {
    const char *p;
    struct fl_arena *arena;
};

static void pb_blank(struct pb_reader *r)
{
    while (*r->p && (strchr(" \t\r\n,;", *r->p) || *r->p == '#')) {
        if (*r->p == '#')
            r->p += strcspn(r->p, "\n");
        else
            r->p++;
    }
}

static uint32_t pb_number(struct pb_reader *r, unsigned most, unsigned base)
{
    char digits[9] = "";
    for (unsigned i = 0; i < most && strchr("0123456789abcdefABCDEF", *r->p) && *r->p &&
                         (base == 16 || *r->p < '8');
         i++)
        digits[i] = *r->p++;
    CHECK(digits[0]);
    return (uint32_t)strtoul(digits, NULL, (int)base);
}

static void pb_escape(struct pb_reader *r, struct fl_buf *out)
{
    static const char from[] = "abfnrtv\\'\"?", to[] = "\a\b\f\n\r\t\v\\'\"?";
    char c = *r->p;
    const char *at = strchr(from, c);
    if (at && c) {
        r->p++;
        fl_buf_putc(out, to[at - from]);
    } else if (c == 'x' || c == 'X') {
        r->p++;
        fl_buf_putc(out, (char)pb_number(r, 2, 16));
    } else if (c == 'u' || c == 'U') {
        r->p++;
        fl_utf8_put(out, pb_number(r, c == 'u' ? 4 : 8, 16));
    } else {
        fl_buf_putc(out, (char)pb_number(r, 3, 8));
    }
}

static void pb_strings(struct pb_reader *r, struct pb *field)
{
    struct fl_buf out = FL_BUF_INIT;
    fl_buf_puts(&out, "");
    while (*r->p == '"' || *r->p == '\'') { /* neighbours are one string */
        char quote = *r->p++;
        while (*r->p != quote) {
            CHECK(*r->p);
            if (*r->p == '\\') {
                r->p++;
                pb_escape(r, &out);
            } else {
                fl_buf_putc(&out, *r->p++);
            }
        }
        r->p++;
        pb_blank(r);
    }
    field->text = fl_arena_str(r->arena, fl_buf_view(&out));
    field->is_string = true;
    fl_buf_fini(&out);
}

static struct pb *pb_message(struct pb_reader *r, char end)
{
    struct pb *first = NULL, **last = &first;
    for (pb_blank(r); *r->p != end; pb_blank(r)) {
        CHECK(*r->p);
        struct pb *field = *last = FL_ARENA_NEW(r->arena, struct pb);
        last = &field->next;
        size_t n = *r->p == '[' ? strcspn(r->p, "]") + 1 : strcspn(r->p, " :{<\n");
        field->name = fl_arena_strndup(r->arena, r->p, n);
        r->p += n;
        pb_blank(r);
        if (*r->p == ':')
            r->p++;
        pb_blank(r);
        if (*r->p == '{' || *r->p == '<') {
            char closing = *r->p++ == '{' ? '}' : '>';
            field->kids = pb_message(r, closing);
            r->p++;
        } else if (*r->p == '"' || *r->p == '\'') {
            pb_strings(r, field);
        } else {
            CHECK(*r->p != '[');
            n = strcspn(r->p, " \t\r\n,;}>#");
            field->text = (struct fl_str){ fl_arena_strndup(r->arena, r->p, n), n };
            r->p += n;
        }
    }
    return first;
}

static const struct pb *pb_get(const struct pb *message, const char *name)
{
    for (const struct pb *f = message ? message->kids : NULL; f; f = f->next) {
        if (strcmp(f->name, name) == 0)
            return f;
    }
    return NULL;
}

static const char *pb_text(const struct pb *message, const char *name)
{
    const struct pb *f = pb_get(message, name);
    return f ? f->text.p : "";
}

/* ---- what a case needs ---- */
static bool is_time_message(const char *name)
{
    return strstr(name, "google.protobuf.Timestamp") || strstr(name, "google.protobuf.Duration");
}

static bool has_message(const struct pb *message)
{
    for (const struct pb *f = message->kids; f; f = f->next) {
        if (f->name[0] == '[' && !is_time_message(f->name))
            return true;
        if (strcmp(f->name, "message_type") == 0 && !is_time_message(f->text.p))
            return true;
        if (strcmp(f->name, "enum_value") == 0 || has_message(f))
            return true;
    }
    return false;
}

/* The text builds a message of google.protobuf (a name of it, then '{'). */
static bool builds_message(const char *expr)
{
    static const char package[] = "google.protobuf.";
    for (const char *at = expr; (at = strstr(at, package)); at++) {
        const char *name = at + strlen(package);
        if (name[strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")] ==
            '{')
            return true;
    }
    return strstr(expr, "TestAllTypes") != NULL;
}

static bool needs_messages(const struct pb *test)
{
    return strstr(pb_text(test, "container"), "cel.expr.conformance.proto") ||
           builds_message(pb_text(test, "expr")) || has_message(test);
}

/* ---- values and types ---- */
static struct fl_cel_value value_of(struct fl_arena *arena, const struct pb *v);

static struct fl_cel_value sequence(struct fl_arena *arena, const struct pb *field,
                                    enum fl_cel_kind kind)
{
    size_t n = 0;
    for (const struct pb *f = field->kids; f; f = f->next)
        n++;
    struct fl_cel_value *items = fl_arena_array(arena, 2 * n, sizeof *items), *at = items;
    for (const struct pb *f = field->kids; f; f = f->next) {
        if (kind == FL_CEL_LIST) {
            *at++ = value_of(arena, f);
        } else {
            *at++ = value_of(arena, pb_get(f, "key"));
            *at++ = value_of(arena, pb_get(f, "value"));
        }
    }
    return (struct fl_cel_value){ .kind = kind, .seq = { items, n } };
}

static struct fl_cel_value object_of(const struct pb *field)
{
    const struct pb *any = field->kids;
    CHECK(any && is_time_message(any->name));
    long long s = atoll(pb_text(any, "seconds")), ns = atoll(pb_text(any, "nanos"));
    if (strstr(any->name, "Duration"))
        return (struct fl_cel_value){ .kind = FL_CEL_DURATION, .ns = s * 1000000000 + ns };
    return (struct fl_cel_value){ .kind = FL_CEL_TIMESTAMP, .at = { s, (int32_t)ns } };
}

static struct fl_cel_value type_value(struct fl_str name)
{
    struct fl_cel_value v = { .kind = FL_CEL_TYPE };
    for (int kind = 0; kind < FL_CEL_ERROR; kind++) {
        v.type = (enum fl_cel_kind)kind;
        if (fl_str_is(name, fl_cel_kind_name(v.type)))
            return v;
    }
    CHECK_MSG(false, "no type '%.*s'", FL_STR_ARG(name));
    return v;
}

static struct fl_cel_value value_of(struct fl_arena *arena, const struct pb *v)
{
    const struct pb *f = v->kids;
    CHECK(f);
    struct fl_cel_value ret = { .kind = FL_CEL_NULL };
    if (strcmp(f->name, "bool_value") == 0)
        return fl_cel_bool(fl_str_is(f->text, "true"));
    if (strcmp(f->name, "int64_value") == 0)
        return fl_cel_int(strtoll(f->text.p, NULL, 0));
    if (strcmp(f->name, "uint64_value") == 0) {
        ret.kind = FL_CEL_UINT;
        ret.u = strtoull(f->text.p, NULL, 0);
    } else if (strcmp(f->name, "double_value") == 0) {
        ret.kind = FL_CEL_DOUBLE;
        ret.d = strtod(f->text.p, NULL); /* reads inf and nan too */
    } else if (strcmp(f->name, "string_value") == 0 || strcmp(f->name, "bytes_value") == 0) {
        ret.kind = f->name[0] == 's' ? FL_CEL_STRING : FL_CEL_BYTES;
        ret.s = f->text;
    } else if (strcmp(f->name, "list_value") == 0) {
        ret = sequence(arena, f, FL_CEL_LIST);
    } else if (strcmp(f->name, "map_value") == 0) {
        ret = sequence(arena, f, FL_CEL_MAP);
    } else if (strcmp(f->name, "type_value") == 0) {
        ret = type_value(f->text);
    } else if (strcmp(f->name, "object_value") == 0) {
        ret = object_of(f);
    } else {
        CHECK_STR(f->name, "null_value");
    }
    return ret;
}

/* Equal in kind too, unlike CEL's ==; NaN is NaN. */
static bool is_same(const struct fl_cel_value *a, const struct fl_cel_value *b)
{
    if (a->kind != b->kind)
        return false;
    if (a->kind == FL_CEL_DOUBLE)
        return (isnan(a->d) && isnan(b->d)) || (a->d == b->d && signbit(a->d) == signbit(b->d));
    if (a->kind != FL_CEL_LIST && a->kind != FL_CEL_MAP)
        return fl_cel_equal(a, b);
    if (fl_cel_size(a) != fl_cel_size(b))
        return false;
    for (size_t i = 0; i < fl_cel_size(a); i++) {
        struct fl_cel_value ak, av, bk, bv;
        bool is_found = false;
        if (a->kind == FL_CEL_LIST) {
            av = fl_cel_item(a, i);
            bv = fl_cel_item(b, i);
            is_found = is_same(&av, &bv);
        } else {
            fl_cel_entry(a, i, &ak, &av);
            for (size_t k = 0; k < fl_cel_size(b) && !is_found; k++) {
                fl_cel_entry(b, k, &bk, &bv);
                is_found = is_same(&ak, &bk) && is_same(&av, &bv);
            }
        }
        if (!is_found)
            return false;
    }
    return true;
}

/* A declared type in the letters of struct fl_cel_var. */
static void type_letters(struct fl_buf *out, const struct pb *type)
{
    static const struct {
        const char *name;
        char letter;
    } names[] = { { "INT64", 'i' },
                  { "UINT64", 'u' },
                  { "DOUBLE", 'd' },
                  { "BOOL", 'b' },
                  { "STRING", 's' },
                  { "BYTES", 'y' },
                  { "TIMESTAMP", 't' },
                  { "DURATION", 'D' },
                  { "google.protobuf.Timestamp", 't' },
                  { "google.protobuf.Duration", 'D' } };
    const struct pb *f = type->kids;
    CHECK(f);
    if (strcmp(f->name, "list_type") == 0) {
        fl_buf_putc(out, '[');
        type_letters(out, pb_get(f, "elem_type"));
    } else if (strcmp(f->name, "map_type") == 0) {
        fl_buf_putc(out, '{');
        type_letters(out, pb_get(f, "key_type"));
        type_letters(out, pb_get(f, "value_type"));
        fl_buf_putc(out, '}');
    } else if (strcmp(f->name, "dyn") == 0) {
        fl_buf_putc(out, '*');
    } else if (strcmp(f->name, "null") == 0) {
        fl_buf_putc(out, 'n');
    } else {
        for (size_t i = 0; i < FL_COUNTOF(names); i++) {
            if (fl_str_is(f->text, names[i].name)) {
                fl_buf_putc(out, names[i].letter);
                return;
            }
        }
        CHECK_MSG(false, "no letter for type %s %.*s", f->name, FL_STR_ARG(f->text));
    }
}

/* A deduced type as fl_cel_type() writes it. */
static void type_text(struct fl_buf *out, const struct pb *type)
{
    static const struct {
        const char *name;
        const char *text;
    } names[] = { { "INT64", "int" },           { "UINT64", "uint" },   { "DOUBLE", "double" },
                  { "BOOL", "bool" },           { "STRING", "string" }, { "BYTES", "bytes" },
                  { "NULL_VALUE", "null_type" } };
    const struct pb *f = type->kids;
    if (strcmp(f->name, "dyn") == 0) {
        fl_buf_puts(out, "dyn");
    } else if (f->kids) {
        bool is_map = strcmp(f->name, "map_type") == 0, is_list = strcmp(f->name, "list_type") == 0;
        fl_buf_puts(out, is_map ? "map(" : is_list ? "list(" : "optional_type(");
        type_text(out, pb_get(f, is_map ? "key_type" : is_list ? "elem_type" : "parameter_types"));
        if (is_map) {
            fl_buf_puts(out, ", ");
            type_text(out, pb_get(f, "value_type"));
        }
        fl_buf_putc(out, ')');
    } else {
        for (size_t i = 0; i < FL_COUNTOF(names); i++) {
            if (fl_str_is(f->text, names[i].name))
                fl_buf_puts(out, names[i].text);
        }
    }
}

/* ---- running ---- */
enum { VARS_MAX = 8 };
struct bound {
    struct fl_cel_var vars[VARS_MAX];
    struct fl_cel_value values[VARS_MAX];
    bool is_bound[VARS_MAX];
    size_t count;
};

static size_t variable(struct bound *b, const char *name)
{
    for (size_t i = 0; i < b->count; i++) {
        if (strcmp(b->vars[i].name, name) == 0)
            return i;
    }
    CHECK(b->count < VARS_MAX);
    b->vars[b->count] = (struct fl_cel_var){ name, "*" };
    return b->count++;
}

static void bind_all(struct fl_arena *arena, const struct pb *test, struct bound *b)
{
    for (const struct pb *f = test->kids; f; f = f->next) {
        if (strcmp(f->name, "type_env") == 0) {
            const struct pb *ident = pb_get(f, "ident");
            CHECK(ident);
            struct fl_buf letters = FL_BUF_INIT;
            type_letters(&letters, pb_get(ident, "type"));
            size_t at = variable(b, pb_text(f, "name"));
            b->vars[at].type = fl_arena_strdup(arena, letters.p);
            fl_buf_fini(&letters);
        } else if (strcmp(f->name, "bindings") == 0) {
            size_t at = variable(b, pb_text(f, "key"));
            b->values[at] = value_of(arena, pb_get(pb_get(f, "value"), "value"));
            b->is_bound[at] = true;
        }
    }
}

/* The zone database, also where it comes without the old names of zones. */
static bool read_zone(void *ctx, struct fl_str name, struct fl_buf *out)
{
    return fl_zone_file(ctx, fl_str_is(name, "US/Central") ? FL_STR("America/Chicago") : name, out);
}

/* Expected and given errors are worded by different people; what they share has to be there. */
static bool is_expected_error(const char *wanted, const char *given)
{
    static const struct {
        const char *wanted;
        const char *given;
    } words[] = { { "by zero", "by zero" },
                  { "division", "by zero" },
                  { "no such key", "no such" },
                  { "range", "range" },
                  { "overflow", "overflow" },
                  { "invalid UTF-8", "UTF-8" },
                  { "repeated key", "same key twice" },
                  { "unsupported key", "key type" },
                  { "invalid_argument", "in" },
                  { "formatting clause", "clause" },
                  { "formatting", "form" },
                  { "field selection", "has no field" },
                  { "conversion", "conversion" } };
    for (size_t i = 0; i < FL_COUNTOF(words); i++) {
        if (strstr(wanted, words[i].wanted))
            return strstr(given, words[i].given) != NULL;
    }
    return true;
}

/* NULL if the case passes, else why it does not. */
static const char *run_case(const struct pb *test, struct fl_arena *arena)
{
    static char why[600];
    struct bound b = { 0 };
    bind_all(arena, test, &b);
    struct fl_cel_env env = { .vars = b.vars,
                              .var_count = b.count,
                              .container = pb_text(test, "container"),
                              .zone = read_zone,
                              .is_unchecked = pb_get(test, "disable_check") != NULL };
    struct fl_cel *program = NULL;
    struct fl_cel_value value = { 0 };
    struct fl_err err = { 0 };
    const struct pb *error = pb_get(test, "eval_error"), *typed = pb_get(test, "typed_result");
    const struct pb *wanted = pb_get(typed ? typed : test, typed ? "result" : "value");
    enum fl_code code = fl_cel_compile(pb_get(test, "expr")->text, &env, &program, &err);
    bool is_refused = code != FL_OK; /* before anything ran */
    if (!is_refused && !pb_get(test, "check_only")) {
        struct fl_cel_run run = {
            .vars = b.values, .arena = arena, .steps = 100000, .max_bytes = 1 << 20
        };
        for (size_t i = 0; i < b.count; i++)
            CHECK(b.is_bound[i] || !fl_cel_reads(program, i));
        code = fl_cel_eval(program, &run, &value, &err);
    }
    why[0] = 0;
    if (error) {
        /* The checker may find it first, but only as what it is: types that do not fit. */
        if (code == FL_OK)
            snprintf(why, sizeof why, "no error");
        else if (is_refused && !strstr(err.text, "cannot apply"))
            snprintf(why, sizeof why, "does not compile: %s", err.text);
        else if (!is_refused &&
                 !is_expected_error(pb_text(pb_get(error, "errors"), "message"), err.text))
            snprintf(why, sizeof why, "another error: %s", err.text);
    } else if (code) {
        snprintf(why, sizeof why, "%s", err.text);
    } else if (wanted || !typed) {
        struct fl_cel_value yes = fl_cel_bool(true);
        struct fl_cel_value want = wanted ? value_of(arena, wanted) : yes;
        if (!is_same(&value, &want))
            snprintf(why, sizeof why, "another value, of type %s", fl_cel_kind_name(value.kind));
    }
    if (!why[0] && typed && program) {
        struct fl_buf text = FL_BUF_INIT;
        type_text(&text, pb_get(typed, "deduced_type"));
        if (strcmp(text.p, fl_cel_type(program)) != 0)
            snprintf(why, sizeof why, "type %s, wanted %s", fl_cel_type(program), text.p);
        fl_buf_fini(&text);
    }
    fl_cel_free(&program);
    return why[0] ? why : NULL;
}

/* Cases that declare functions of their own. */
static bool declares_functions(const struct pb *test)
{
    for (const struct pb *f = test->kids; f; f = f->next) {
        if (strcmp(f->name, "type_env") == 0 && pb_get(f, "function"))
            return true;
    }
    return false;
}

static const struct {
    const char *name;
    unsigned passes, needs_messages, declares;
} files[] = {
    { "basic", 43, 0, 0 },           { "bindings_ext", 8, 0, 0 }, { "comparisons", 334, 72, 0 },
    { "conversions", 109, 0, 0 },    { "fields", 60, 0, 0 },      { "fp_math", 30, 0, 0 },
    { "integer_math", 64, 0, 0 },    { "lists", 39, 0, 0 },       { "logic", 30, 0, 0 },
    { "macros", 44, 0, 0 },          { "macros2", 46, 0, 0 },     { "namespace", 14, 0, 0 },
    { "optionals", 59, 11, 0 },      { "parse", 193, 26, 0 },     { "plumbing", 5, 0, 0 },
    { "string", 51, 0, 0 },          { "string_ext", 213, 3, 0 }, { "timestamps", 78, 0, 0 },
    { "type_deduction", 21, 21, 5 },
};

static void test_every_named_file_passes_in_all_cases_without_messages(void)
{
    bool is_right = true;
    unsigned total = 0;
    printf("    %-16s %6s %14s %13s %6s\n", "file", "passed", "need messages", "own functions",
           "failed");
    for (size_t i = 0; i < FL_COUNTOF(files); i++) {
        char name[64];
        snprintf(name, sizeof name, "cel/%s.textproto", files[i].name);
        char *text = fl_test_read_file(fl_test_data(name), NULL);
        struct pb_reader r = { text, fl_arena_new(0) };
        struct pb file = { .kids = pb_message(&r, 0) };
        unsigned passed = 0, messages = 0, declares = 0, failed = 0;
        for (const struct pb *s = file.kids; s; s = s->next) {
            for (const struct pb *t = strcmp(s->name, "section") == 0 ? s->kids : NULL; t;
                 t = t->next) {
                if (strcmp(t->name, "test") != 0)
                    continue;
                if (needs_messages(t)) {
                    messages++;
                    continue;
                }
                if (declares_functions(t)) {
                    declares++;
                    continue;
                }
                struct fl_arena *arena = fl_arena_new(0);
                const char *why = run_case(t, arena);
                passed += !why;
                failed += why != NULL;
                if (why)
                    printf("    %s/%s/%s: %s\n        %s\n", files[i].name, pb_text(s, "name"),
                           pb_text(t, "name"), pb_text(t, "expr"), why);
                fl_arena_free(&arena);
            }
        }
        printf("    %-16s %6u %14u %13u %6u\n", files[i].name, passed, messages, declares, failed);
        is_right &= failed == 0 && passed == files[i].passes &&
                    messages == files[i].needs_messages && declares == files[i].declares;
        total += passed;
        fl_arena_free(&r.arena);
        free(text);
    }
    printf("    %u cases passed\n", total);
    CHECK_MSG(is_right, "the counts are not those of the table in this file");
}

/* A check of the checks: cases that are wrong must be seen to fail. */
static void test_wrong_cases_do_not_pass(void)
{
    static const char *const cases[] = {
        "expr: '1 + 1' value { int64_value: 3 }",
        "expr: '1 + 1' value { double_value: 2 }",
        "expr: '1 + 1' value { uint64_value: 2 }",
        "expr: '[1, 2]' value { list_value { values { int64_value: 2 } values { int64_value: 1 } } }",
        ("expr: \"{'a': 1}\" value { map_value { entries { key { string_value: 'b' } "
         "value { int64_value: 1 } } } }"),
        "expr: '1 + 1' eval_error { errors { message: 'x' } }",
        "expr: '1 / 0' eval_error { errors { message: 'no such key' } }",
        "expr: 'nothing' eval_error { errors { message: 'x' } }",
        "expr: '1' typed_result { result { int64_value: 1 } deduced_type { primitive: STRING } }",
        "expr: '1 / 0' value { int64_value: 1 }",
        "expr: '0.0' value { double_value: -0.0 }",
    };
    for (size_t i = 0; i < FL_COUNTOF(cases); i++) {
        struct pb_reader r = { cases[i], fl_arena_new(0) };
        struct pb test = { .kids = pb_message(&r, 0) };
        CHECK_MSG(run_case(&test, r.arena), "passes: %s", cases[i]);
        fl_arena_free(&r.arena);
    }
}

static const struct fl_test tests[] = {
    T(wrong_cases_do_not_pass),
    T_LIMIT(every_named_file_passes_in_all_cases_without_messages, 30),
};
TEST_MAIN(tests)
