/* JSON Schema: bounds, hostile schemas and values, memory that runs out, threads. Nothing here
 * looks at a clock: that work is bounded shows as FL_TOO_LARGE, and as the time limit of the case.
 */
#include <pthread.h>

#include "flopinio/base/buf.h"
#include "flopinio/base/mem.h"
#include "schema_case.h"

static const char steps_text[] = "checking it against the schema takes more than 200000 steps";

/* `text`, `times` over. Free with free(). */
static char *repeat(const char *text, size_t times)
{
    size_t n = strlen(text);
    char *all = malloc(n * times + 1);
    for (size_t i = 0; i < times; i++)
        memcpy(all + i * n, text, n);
    all[n * times] = 0;
    return all;
}

/* Compiles a new reference, which it takes. */
static struct fl_schema *compiled(json_t *json)
{
    struct fl_schema *schema = NULL;
    struct fl_err err;
    CHECK_MSG(json, "no schema");
    CHECK_MSG(fl_schema_new(json, NULL, &schema, &err) == FL_OK, "%s", err.text);
    json_decref(json);
    return schema;
}

static void check_steps_run_out(const struct fl_schema *schema, json_t *value)
{
    struct fl_err err;
    CHECK_INT(fl_schema_validate(schema, value, &err), FL_TOO_LARGE);
    CHECK_STR(err.text, steps_text);
    json_decref(value);
}

static void test_catastrophic_patterns_run_out_of_steps(void)
{
    static const char *const patterns[] = {
        "^(a+)+$",       "^(a|aa)+$",          "^(a*)*b",
        "^((a|a)*)*c",   "(x+x+)+y|a+$b",      "^(?:a?){60}a{60}$c?!",
        "^(?:a|a|a)*$",  "^(a?)(a?)*\\1{9}!$", "^.*.*.*.*.*.*$!?c",
        "(?=(a+)+$)b*$", "^(?:(?=a*)a)*?$",    "^(a{1,99}){1,99}$",
    };
    char *many = repeat("a", 3000);
    size_t stopped = 0;
    for (size_t i = 0; i < FL_COUNTOF(patterns); i++) {
        struct fl_schema *schema = compiled(json_pack("{ss}", "pattern", patterns[i]));
        json_t *value = json_sprintf("%s!", many);
        struct fl_err err = { FL_OK, "" };
        enum fl_code code = fl_schema_validate(schema, value, &err);
        /* PCRE2 sees through some; none may take longer than the steps allow */
        CHECK_MSG(code == FL_BAD_PARAMS || code == FL_TOO_LARGE, "%s: %s", patterns[i],
                  fl_code_name(code));
        stopped += code == FL_TOO_LARGE;
        json_decref(value);
        fl_schema_free(&schema);
    }
    CHECK(stopped >= 6);
    free(many);
}

static void test_work_between_two_places_of_a_pattern_is_paid_for(void)
{
    /* each looks cheap to a counter of places: long literals, long repetitions, wide classes, long
     * references, many starts */
    char *literal = repeat("a", 4000), *text = repeat("a", 59999);
    struct fl_buf wide = FL_BUF_INIT;
    fl_buf_puts(&wide, "^[");
    for (unsigned i = 0; i < 800; i++)
        fl_buf_printf(&wide, "\\u{%x}", 0x4e00 + 2 * i);
    fl_buf_puts(&wide, "]*$");
    json_t *patterns =
        json_pack("[s+,s,s,s,s]", literal, "b", "a{60000}b", wide.p, "^(a*).*\\1b", "[a-z]+[0-9]");
    CHECK(patterns);
    char *almost = repeat("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac", 20000);
    for (size_t i = 0; i < json_array_size(patterns); i++) {
        struct fl_schema *schema =
            compiled(json_pack("{sO}", "pattern", json_array_get(patterns, i)));
        struct fl_err err;
        for (int k = 0; k < 2; k++) {
            json_t *value = json_sprintf("b%s%sc-", k ? almost : "", text);
            enum fl_code code = fl_schema_validate(schema, value, &err);
            CHECK_MSG(code != FL_OK, "%zu", i);
            json_decref(value);
        }
        fl_schema_free(&schema);
    }
    json_decref(patterns);
    fl_buf_fini(&wide);
    free(almost);
    free(text);
    free(literal);
}

static void test_patterns_are_bounded_when_they_are_compiled(void)
{
    struct fl_err err;
    struct fl_schema *schema = NULL;
    char *long_one = repeat("a", 9000), *spaces = repeat("\\s", 2000), *open = repeat("(", 65);
    char *groups = repeat("()", 501);
    const struct {
        const char *pattern, *text;
        enum fl_code code;
    } cases[] = {
        { long_one, "/pattern: is a regular expression of more than 8192 bytes", FL_TOO_LARGE },
        { spaces, "/pattern: is a regular expression with too many classes", FL_TOO_LARGE },
        { open,
          "/pattern: is not a regular expression at character 65: it has too many groups within "
          "one another",
          FL_BAD_PARAMS },
        { groups, "/pattern: is not a regular expression at character 1001: it has too many groups",
          FL_BAD_PARAMS },
        { "(((a{1,999}){1,999}){1,999}){1,999}",
          "/pattern: is not a regular expression that can be used: regular expression is too large",
          FL_BAD_PARAMS },
        { "a{65536}",
          "/pattern: is not a regular expression that can be used: number too big in {} quantifier",
          FL_BAD_PARAMS },
    };
    for (size_t i = 0; i < FL_COUNTOF(cases); i++) {
        json_t *json = json_pack("{ss}", "pattern", cases[i].pattern);
        CHECK_INT(fl_schema_new(json, NULL, &schema, &err), cases[i].code);
        CHECK_STR(err.text, cases[i].text);
        json_decref(json);
    }
    json_t *all = json_array();
    for (int i = 0; i < 400; i++)
        json_array_append_new(all, json_pack("{ss}", "pattern", "((abc?){99}){9}"));
    json_t *json = json_pack("{so}", "allOf", all);
    CHECK_INT(fl_schema_new(json, NULL, &schema, &err), FL_TOO_LARGE);
    CHECK(strstr(err.text, "the schema's regular expressions take more than 4194304 bytes"));
    json_decref(json);
    free(groups);
    free(open);
    free(spaces);
    free(long_one);
}

static void test_a_fan_of_references_runs_out_of_steps(void)
{
    static const char *const keywords[] = { "allOf", "anyOf", "oneOf" };
    for (size_t k = 0; k < FL_COUNTOF(keywords); k++) {
        json_t *defs = json_object();
        char name[16], next[32];
        for (int i = 0; i < 60; i++) {
            snprintf(name, sizeof name, "d%d", i);
            snprintf(next, sizeof next, "#/$defs/d%d", i + 1);
            json_object_set_new(
                defs, name, json_pack("{s[{ss},{ss}]}", keywords[k], "$ref", next, "$ref", next));
        }
        json_object_set_new(defs, "d60", json_pack("{ss}", "type", "string"));
        struct fl_schema *schema =
            compiled(json_pack("{ssso}", "$ref", "#/$defs/d0", "$defs", defs));
        check_steps_run_out(schema, k == 0 ? json_string("x") : json_integer(5));
        const char *path[] = { "a" };
        fl_schema_allows_path(schema, path, 1); /* ends, too */
        fl_schema_free(&schema);
    }
}

static void test_many_long_values_run_out_of_steps(void)
{
    char *text = repeat("x", 1000000);
    json_t *all = json_array();
    for (int i = 0; i < 1900; i++)
        json_array_append_new(all, json_pack("{si}", "maxLength", 5000));
    struct fl_schema *schema = compiled(json_pack("{so}", "anyOf", all));
    check_steps_run_out(schema, json_string(text));
    fl_schema_free(&schema);
    schema = compiled(json_pack("{s{s[ss]}}", "items", "enum", text, "y"));
    json_t *value = json_array();
    for (int i = 0; i < 100; i++)
        json_array_append_new(value, json_string(text));
    check_steps_run_out(schema, value);
    fl_schema_free(&schema);
    schema = compiled(json_pack("{s{sf}}", "items", "multipleOf", 0.0001));
    value = json_array();
    for (int i = 0; i < 50000; i++)
        json_array_append_new(value, json_real(0.1234));
    check_steps_run_out(schema, value);
    fl_schema_free(&schema);
    schema = compiled(json_pack("{sb}", "uniqueItems", 1));
    value = json_array();
    for (int i = 0; i < 200001; i++)
        json_array_append_new(value, json_integer(i));
    check_steps_run_out(schema, value);
    fl_schema_free(&schema);
    free(text);
}

static void test_large_sets_are_searched_not_scanned(void)
{
    /* 9,000 names, 5,000 values: far below the steps because they are sorted or hashed */
    struct fl_schema_options few = { .max_steps = 40000 };
    struct fl_schema *schema = NULL;
    struct fl_err err;
    json_t *names = json_object(), *required = json_array(), *object = json_object();
    char name[16];
    for (int i = 0; i < 9000; i++) {
        snprintf(name, sizeof name, "k%d", i);
        json_object_set_new(names, name, json_true());
        json_array_append_new(required, json_string(name));
        json_object_set_new(object, name, json_null());
    }
    json_t *json = json_pack("{soso}", "properties", names, "required", required);
    CHECK_MSG(fl_schema_new(json, &few, &schema, &err) == FL_OK, "%s", err.text);
    json_decref(json);
    CHECK_OK(fl_schema_validate(schema, object, &err));
    json_object_del(object, "k4567");
    CHECK_INT(fl_schema_validate(schema, object, &err), FL_BAD_PARAMS);
    CHECK_STR(err.text, "/k4567: is required");
    json_decref(object);
    fl_schema_free(&schema);
    json_t *values = json_array(), *items = json_array();
    for (int i = 0; i < 5000; i++) {
        json_array_append_new(values, json_sprintf("value %d", i));
        json_array_append_new(items, json_sprintf("value %d", i));
    }
    json = json_pack("{s{so}sb}", "items", "enum", values, "uniqueItems", 1);
    CHECK_OK(fl_schema_new(json, &few, &schema, &err));
    json_decref(json);
    CHECK_MSG(fl_schema_validate(schema, items, &err) == FL_OK, "%s", err.text);
    json_array_append_new(items, json_string("value 4321"));
    CHECK_INT(fl_schema_validate(schema, items, &err), FL_BAD_PARAMS);
    CHECK_STR(err.text, "/5000: must not repeat item 4321");
    json_array_append_new(items, json_string("value"));
    CHECK_INT(fl_schema_validate(schema, items, &err), FL_BAD_PARAMS);
    CHECK(strstr(err.text, "/5001: must be one of \"value 0\", \"value 1\""));
    CHECK(strstr(err.text, " more"));
    json_decref(items);
    fl_schema_free(&schema);
}

static json_t *nested(int levels, const char *key, json_t *innermost)
{
    for (int i = 0; i < levels; i++)
        innermost = key ? json_pack("{so}", key, innermost) : json_pack("[o]", innermost);
    return innermost;
}

static void test_depth_is_bounded(void)
{
    struct fl_err err;
    struct fl_schema *schema = NULL;
    struct fl_schema_options shallow = { .max_depth = 3 };
    json_t *json = nested(64, "not", json_true());
    CHECK_OK(fl_schema_new(json, NULL, &schema, &err));
    fl_schema_free(&schema);
    CHECK_INT(fl_schema_new(json, &shallow, &schema, &err), FL_TOO_LARGE);
    CHECK_STR(err.text, "the schema nests deeper than 3 levels");
    json = nested(1, "not", json);
    CHECK_INT(fl_schema_new(json, NULL, &schema, &err), FL_TOO_LARGE);
    CHECK_STR(err.text, "the schema nests deeper than 64 levels");
    json_decref(json);
    json = nested(20000, NULL, json_null()); /* where a keyword is not even read */
    json = json_pack("{so}", "examples", json);
    CHECK_INT(fl_schema_new(json, NULL, &schema, &err), FL_TOO_LARGE);
    json_decref(json);

    schema = schema_of("{'items':{'$ref':'#'},'uniqueItems':true}", NULL);
    json_t *value = nested(200, NULL, json_null());
    CHECK_INT(fl_schema_validate(schema, value, &err), FL_TOO_LARGE); /* compared as a whole */
    json_decref(value);
    fl_schema_free(&schema);
    schema = schema_of("{'items':{'$ref':'#'}}", NULL);
    value = nested(200, NULL, json_null());
    CHECK_OK(fl_schema_validate(schema, value, &err));
    value = nested(400, NULL, value);
    CHECK_INT(fl_schema_validate(schema, value, &err), FL_TOO_LARGE);
    CHECK_STR(err.text, "it nests too deeply to be checked against the schema");
    json_decref(value);
    fl_schema_free(&schema);
    schema = schema_of("{'items':{'$ref':'#'},'type':'array'}", NULL);
    value = nested(256, NULL, json_null()); /* fails at the last level that is reached */
    CHECK_INT(fl_schema_validate(schema, value, &err), FL_BAD_PARAMS);
    CHECK(strncmp(err.text, ".../0/0/", 8) == 0 && strstr(err.text, "/0: must be an array"));
    json_decref(value);
    fl_schema_free(&schema);
    schema = schema_of("{'const':[[[[1]]]]}", &(struct fl_schema_options){ .max_depth = 5 });
    CHECK_STR(verdict(schema, "[[[[1]]]]"), "");
    fl_schema_free(&schema);
}

static void test_subschemas_and_values_are_bounded(void)
{
    struct fl_err err;
    struct fl_schema *schema = NULL;
    json_t *list = json_array();
    for (int i = 0; i < 1999; i++)
        json_array_append_new(list, json_object());
    json_t *json = json_pack("{sO}", "allOf", list);
    CHECK_OK(fl_schema_new(json, NULL, &schema, &err));
    fl_schema_free(&schema);
    json_array_append_new(list, json_object());
    CHECK_INT(fl_schema_new(json, NULL, &schema, &err), FL_TOO_LARGE);
    CHECK_STR(err.text, "the schema has more than 2000 subschemas");
    struct fl_schema_options more = { .max_subschemas = 5000 };
    CHECK_OK(fl_schema_new(json, &more, &schema, &err));
    fl_schema_free(&schema);
    json_decref(json);
    json_decref(list);
    list = json_array();
    for (int i = 0; i < 20000; i++)
        json_array_append_new(list, json_integer(i));
    json = json_pack("{so}", "enum", list);
    CHECK_INT(fl_schema_new(json, NULL, &schema, &err), FL_TOO_LARGE);
    CHECK_STR(err.text, "the schema has more than 20000 values");
    json_decref(json);
    /* what a reference adds counts, too */
    struct fl_schema_options few = { .max_subschemas = 20 };
    json = json_pack("{ss}", "$ref", "https://json-schema.org/draft/2020-12/schema");
    CHECK_INT(fl_schema_new(json, &few, &schema, &err), FL_TOO_LARGE);
    json_decref(json);
    few = (struct fl_schema_options){ .max_steps = 3 };
    json = json_of("{'items':{'type':'integer'}}");
    CHECK_OK(fl_schema_new(json, &few, &schema, &err));
    json_decref(json);
    CHECK_STR(verdict(schema, "[1,2]"), "");
    CHECK_STR(verdict(schema, "[1,2,3]"), "checking it against the schema takes more than 3 steps");
    fl_schema_free(&schema);
    few.max_steps = 5; /* a member takes one even where nothing is said about it */
    json = json_of("{'properties':{'a':true}}");
    CHECK_OK(fl_schema_new(json, &few, &schema, &err));
    json_decref(json);
    CHECK_STR(verdict(schema, "{'b':1,'c':1,'d':1}"), "");
    CHECK_STR(verdict(schema, "{'b':1,'c':1,'d':1,'e':1,'f':1}"),
              "checking it against the schema takes more than 5 steps");
    fl_schema_free(&schema);
}

static void test_a_long_uri_does_not_grow_without_bound(void)
{
    struct fl_err err;
    struct fl_schema *schema = NULL;
    char *segment = repeat("segment/", 300);
    json_t *json = json_object();
    for (int i = 0; i < 10; i++)
        json = json_pack("{ssso}", "$id", segment, "not", json);
    CHECK_INT(fl_schema_new(json, NULL, &schema, &err), FL_TOO_LARGE);
    CHECK_STR(err.text, "/not/$id: leads to a URI that is too long");
    json_decref(json);
    json = json_pack("{s{ssss}}", "not", "$id", segment, "$ref", segment);
    CHECK_INT(fl_schema_new(json, NULL, &schema, &err), FL_BAD_PARAMS);
    CHECK(strstr(err.text, ": it leads to a URI that is too long"));
    json_decref(json);
    free(segment);
}

static void test_a_plain_validation_allocates_nothing(void)
{
    struct fl_schema *schema = schema_of(
        "{'type':'object','properties':{'to':{'type':'string','minLength':3},'n':{'type':'integer',"
        "'minimum':0},'tags':{'type':'array','items':{'enum':['a','b']},'uniqueItems':true},"
        "'x':{'anyOf':[{'type':'null'},{'$ref':'#/$defs/x'}]}},'required':['to','n'],"
        "'unevaluatedProperties':false,'$defs':{'x':{'multipleOf':0.01}}}",
        NULL);
    json_t *fits = json_of("{'to':'abc','n':1,'tags':['a','b'],'x':19.99}");
    json_t *fails = json_of("{'to':'abc','n':-1}");
    struct fl_err err;
    fl_mem_fail_at(1, 0);
    enum fl_code fitted = fl_schema_validate(schema, fits, &err);
    enum fl_code failed = fl_schema_validate(schema, fails, &err);
    uint64_t count = fl_mem_fail_at(0, 0);
    CHECK_OK(fitted);
    CHECK_INT(failed, FL_BAD_PARAMS);
    CHECK_STR(err.text, "/n: must be at least 0");
    CHECK_INT(count, 0);
    json_decref(fits);
    json_decref(fails);
    fl_schema_free(&schema);
}

static void test_running_out_of_memory_is_an_error_everywhere(void)
{
    json_t *json = json_of(
        "{'$id':'http://x/a','type':'object','required':['name','list'],"
        "'properties':{'name':{'type':'string','pattern':'^\\\\p{L}(a|b)*$'},"
        "'list':{'uniqueItems':true,'allOf':[{'contains':{'const':1}}],'unevaluatedItems':"
        "{'type':'integer'}},"
        "'old':{'$id':'old','$schema':'http://json-schema.org/draft-07/schema#',"
        "'definitions':{'p':{'$id':'#p','type':'null'}},'properties':{'q':{'$ref':'#p'}}},"
        "'meta':{'$ref':'https://json-schema.org/draft/2020-12/schema'},"
        "'far':{'$ref':'#/unknown/a~1b'},'dyn':{'$dynamicRef':'#d'}},"
        "'unknown':{'a/b':{'enum':['x',{'y':[1]}]}},'$defs':{'d':{'$dynamicAnchor':'d'}},"
        "'patternProperties':{'^(x)\\\\1':{'format':'regex'}},'propertyNames':{'maxLength':9},"
        "'dependentRequired':{'old':['meta']},'dependentSchemas':{'meta':{'minProperties':2}},"
        "'unevaluatedProperties':false}");
    json_t *value = json_of(
        "{'name':'\\u00e9ab','old':{'q':null},'meta':{'not':{'minLength':2}},'far':{'y':[1]},"
        "'xx':'a+'}");
    json_t *list = json_array();
    for (int i = 0; i < 3000; i++) /* more than fits beside the stack: sets are allocated */
        json_array_append_new(list, json_integer(i));
    json_object_set_new(value, "list", list);
    struct fl_schema_options options = { .asserts_format = true };
    struct fl_schema *schema = NULL;
    struct fl_err err;
    fl_mem_fail_at(UINT64_MAX, 0);
    CHECK_OK(fl_schema_new(json, &options, &schema, &err));
    uint64_t allocations = fl_mem_fail_at(0, 0);
    CHECK(allocations > 1000);
    fl_schema_free(&schema);
    for (uint64_t n = 1; n <= allocations; n++) {
        for (int only_once = 0; only_once < 2; only_once++) {
            fl_mem_fail_at(n, only_once);
            enum fl_code code = fl_schema_new(json, &options, &schema, &err);
            fl_mem_fail_at(0, 0);
            CHECK_MSG(code == FL_NOMEM && !schema && err.code == FL_NOMEM, "allocation %llu: %s",
                      (unsigned long long)n, fl_code_name(code));
        }
    }
    CHECK_OK(fl_schema_new(json, &options, &schema, &err));
    for (int fits = 0; fits < 2; fits++) {
        if (!fits)
            json_object_set_new(json_object_get(value, "far"), "y", json_null());
        else
            json_object_set_new(value, "far", json_string("x"));
        fl_mem_fail_at(UINT64_MAX, 0);
        enum fl_code right = fl_schema_validate(schema, value, &err);
        allocations = fl_mem_fail_at(0, 0);
        CHECK_MSG(right == (fits ? FL_OK : FL_BAD_PARAMS), "%s", err.text);
        CHECK(allocations > 8);
        for (uint64_t n = 1; n <= allocations; n++) {
            fl_mem_fail_at(n, n % 2);
            enum fl_code code = fl_schema_validate(schema, value, &err);
            fl_mem_fail_at(0, 0);
            CHECK_MSG(code == right || (code == FL_NOMEM && err.code == FL_NOMEM),
                      "allocation %llu: %s", (unsigned long long)n, fl_code_name(code));
        }
    }
    const char *path[] = { "xx", "a" };
    for (uint64_t n = 1; n < 8; n++) {
        fl_mem_fail_at(n, 0);
        fl_schema_allows_path(schema, path, 2); /* what it cannot tell it allows */
        fl_mem_fail_at(0, 0);
    }
    fl_schema_free(&schema);
    json_decref(json);
    json_decref(value);
}

static void *validate_often(void *arg)
{
    const struct fl_schema *schema = arg;
    json_t *fits = json_of("{'id':'abc-1','list':[1,2,3]}"), *fails = json_of("{'id':'ABC'}");
    struct fl_err err;
    for (int i = 0; i < 2000; i++) {
        CHECK_OK(fl_schema_validate(schema, fits, &err));
        CHECK_INT(fl_schema_validate(schema, fails, &err), FL_BAD_PARAMS);
        CHECK_STR(err.text, "/id: must match the pattern \"^[a-z0-9-]+$\"");
    }
    json_decref(fits);
    json_decref(fails);
    return NULL;
}

static void test_threads_may_share_a_schema(void)
{
    pthread_t threads[4];
    struct fl_schema *schema =
        schema_of("{'properties':{'id':{'pattern':'^[a-z0-9-]+$'},'list':{'uniqueItems':true}},"
                  "'unevaluatedProperties':false}",
                  NULL);
    for (size_t i = 0; i < FL_COUNTOF(threads); i++)
        CHECK(pthread_create(&threads[i], NULL, validate_often, schema) == 0);
    for (size_t i = 0; i < FL_COUNTOF(threads); i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    fl_schema_free(&schema);
}

/* The short way may only say yes where the long one does; where it is made for, it must. */
static void test_flat_arguments_fit_only_where_the_tree_does(void)
{
    static const char *const schemas[] = {
        "{'type':'object','properties':{'s':{'type':'string','minLength':2,'maxLength':4},"
        "'n':{'type':'integer'},'b':{'type':'boolean'}},'required':['s']}",
        "{'type':'object','properties':{'s':{'type':['string','null']},'n':{'type':'number'}},"
        "'required':['s','n'],'additionalProperties':false}",
        "{'type':'object','additionalProperties':{'type':'string'}}",
        "{}",
        "true",
        "false",
        "{'type':'array'}",
        "{'properties':{'s':{'enum':['abc']},'n':{'minimum':5},'b':{'const':true}}}",
        "{'properties':{'s':{'pattern':'^a'}},'minProperties':2}",
        "{'properties':{'s':true,'n':false},'dependentRequired':{'s':['b']}}",
        "{'patternProperties':{'^s$':{'type':'integer'}},'propertyNames':{'maxLength':1}}",
        "{'anyOf':[{'required':['s']},{'required':['n']}],'unevaluatedProperties':false}",
        "{'properties':{'s':{'not':{'type':'string'}}}}",
    };
    static const char *const values[] = {
        "{}",
        "{'s':'abc'}",
        "{'s':'a'}",
        "{'s':'abcde'}",
        "{'s':'\xc3\xa4\xc3\xb6\xc3\xbc\xc3\x9f'}",
        "{'s':'\xc3\xa4'}",
        "{'s':'ab\\n'}",
        "{'\\u0073':'abc'}",
        "{'s':'abc','n':1,'b':true}",
        "{'s':'abc','n':-0,'b':false}",
        "{'s':'abc','n':1.0}",
        "{'s':'abc','n':1.5}",
        "{'s':'abc','n':1e2}",
        "{'s':'abc','n':123456789012345678}",
        "{'s':'abc','n':1234567890123456789}",
        "{'s':null,'n':7}",
        "{'s':['abc'],'n':7}",
        "{'s':'abc','n':7,'x':'more'}",
        "{'n':1}",
        "{'x':{}}",
        "{ 's' : 'abc' , 'n' : 1 }",
    };
    unsigned said_yes = 0;
    for (size_t i = 0; i < FL_COUNTOF(schemas); i++) {
        struct fl_schema *schema = schema_of(schemas[i], NULL);
        for (size_t k = 0; k < FL_COUNTOF(values); k++) {
            char text[200];
            snprintf(text, sizeof text, "%s", values[k]);
            for (char *c = text; *c; c++)
                *c = *c == '\'' ? '"' : *c;
            if (!fl_schema_fits_flat(schema, fl_str_of(text)))
                continue;
            said_yes++;
            CHECK_MSG(verdict(schema, values[k])[0] == 0, "%s said yes to %s", schemas[i],
                      values[k]);
        }
        fl_schema_free(&schema);
    }
    CHECK_MSG(said_yes >= 40, "only %u times", said_yes);
    struct fl_schema *usual = schema_of(schemas[0], NULL);
    CHECK(fl_schema_fits_flat(usual, FL_STR("{\"s\":\"abc\",\"n\":1,\"b\":true}")));
    CHECK(!fl_schema_fits_flat(usual, FL_STR("{\"n\":1}")));
    fl_schema_free(&usual);
}

static const struct fl_test tests[] = {
    T(catastrophic_patterns_run_out_of_steps),
    T(work_between_two_places_of_a_pattern_is_paid_for),
    T(patterns_are_bounded_when_they_are_compiled),
    T(a_fan_of_references_runs_out_of_steps),
    T(many_long_values_run_out_of_steps),
    T(large_sets_are_searched_not_scanned),
    T(depth_is_bounded),
    T(subschemas_and_values_are_bounded),
    T(a_long_uri_does_not_grow_without_bound),
    T(a_plain_validation_allocates_nothing),
    T(running_out_of_memory_is_an_error_everywhere),
    T(threads_may_share_a_schema),
    T(flat_arguments_fit_only_where_the_tree_does),
};
TEST_MAIN(tests)
