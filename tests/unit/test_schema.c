/* JSON Schema: what a refusal says, the dialects, numbers, references, places. (test_schema_suite:
 * the published cases; test_schema_pattern: regular expressions; test_schema_limits: bounds,
 * hostile input, memory, threads.) */
#include "mcp/schema_keyword_priv.h"
#include "mcp/schema_uri.h"
#include "schema_case.h"

#define D7   "'$schema':'http://json-schema.org/draft-07/schema#'"
#define D19  "'$schema':'https://json-schema.org/draft/2019-09/schema'"
#define META "https://json-schema.org/draft/2020-12/"

static void test_a_refusal_names_the_place_and_the_reason(void)
{
    static const struct {
        const char *schema, *value, *text;
    } cases[] = {
        { "{'type':'object'}", "[]", "must be an object" },
        { "{'type':['string','null']}", "1", "must be a string or null" },
        { "{'type':'integer'}", "1.5", "must be an integer" },
        { "{'type':'integer'}", "2.0", "" },
        { "{'type':['number','boolean']}", "''", "must be a number or true or false" },
        { "{'required':['email']}", "{}", "/email: is required" },
        { "{'properties':{'a':{'required':['b']}}}", "{'a':{}}", "/a/b: is required" },
        { "{'properties':{'items':{'items':{'properties':{'qty':{'minimum':1}}}}}}",
          "{'items':[{},{},{},{'qty':0}]}", "/items/3/qty: must be at least 1" },
        { "{'maximum':0.5}", "1", "must be at most 0.5" },
        { "{'exclusiveMinimum':0}", "0", "must be greater than 0" },
        { "{'exclusiveMaximum':1e30}", "1e30", "must be less than 1e+30" },
        { "{'multipleOf':0.01}", "0.005", "must be a multiple of 0.01" },
        { "{'minLength':1}", "''", "must have at least 1 character" },
        { "{'maxLength':2}", "'\\u00e9\\u00e9\\u00e9'", "must have at most 2 characters" },
        { "{'pattern':'^a'}", "'b'", "must match the pattern \"^a\"" },
        { "{'enum':['red','green',1,null]}", "'blue'",
          "must be one of \"red\", \"green\", 1, null" },
        { "{'enum':[{'a':1}]}", "'blue'", "must be the one value that is listed" },
        { "{'enum':[{'a':1},[]]}", "'blue'", "must be one of the 2 values that are listed" },
        { "{'enum':[5]}", "6", "must be 5" },
        { "{'enum':[]}", "6", "is not allowed" },
        { "{'const':'x'}", "'y'", "must be \"x\"" },
        { "{'const':{'x':1}}", "{'x':2}", "must be the one value that is listed" },
        { "{'properties':{'a':false}}", "{'a':1}", "/a: is not allowed" },
        { "{'properties':{'amount':{}},'additionalProperties':false}", "{'amout':1}",
          "/amout: is not a known member, did you mean \"amount\"" },
        { "{'properties':{'amount':{}},'additionalProperties':false}", "{'color':1}",
          "/color: is not a known member" },
        { "{'properties':{'amount':{}},'unevaluatedProperties':false}", "{'b':1}",
          "/b: is not a known member" },
        { "{'minProperties':2}", "{'a':1}", "must have at least 2 members" },
        { "{'maxProperties':0}", "{'a':1}", "must have at most 0 members" },
        { "{'propertyNames':{'maxLength':1}}", "{'ab':1}",
          "/ab: is not a name that a member may have here" },
        { "{'dependentRequired':{'a':['b']}}", "{'a':1}", "/b: is required together with \"a\"" },
        { "{'minItems':1}", "[]", "must have at least 1 item" },
        { "{'maxItems':1}", "[1,2]", "must have at most 1 item" },
        { "{'uniqueItems':true}", "[1,2,{'a':[1.0]},{'a':[1]}]", "/3: must not repeat item 2" },
        { "{'prefixItems':[{}],'items':false}", "[1,2]", "/1: is not allowed" },
        { "{'contains':{'const':1}}", "[2]",
          "must contain at least 1 item of the kind that is asked for" },
        { "{'contains':{'const':1},'maxContains':1}", "[1,1]",
          "must contain at most 1 item of the kind that is limited" },
        { "{'not':{'type':'null'}}", "null", "has a form that is not allowed" },
        { "{'oneOf':[{'minimum':1},{'maximum':3}]}", "2",
          "fits more than one of the forms that exclude each other (numbers 1 and 2)" },
        /* a choice is explained by the form that was meant, where that can be told */
        { "{'anyOf':[{'type':'string'},{'type':'null'}]}", "1", "must be a string or null" },
        { "{'anyOf':[{'type':'string','minLength':2},{'type':'null'}]}", "''",
          "must have at least 2 characters" },
        { "{'oneOf':[{'properties':{'kind':{'const':'a'},'x':{'type':'string'}}},"
          "{'properties':{'kind':{'const':'b'},'x':{'type':'integer'}}}]}",
          "{'kind':'b','x':'1'}", "/x: must be an integer" },
        { "{'anyOf':[{'$ref':'#/$defs/s'},{'type':'null'}],'$defs':{'s':{'$ref':'#/$defs/t'},"
          "'t':{'type':'object','required':['a']}}}",
          "{}", "/a: is required" },
        { "{'anyOf':[{'minimum':5},{'multipleOf':7}]}", "3", "fits none of the 2 allowed forms" },
        { "{'if':{'type':'string'},'then':{'minLength':1},'else':{'minimum':1}}", "0",
          "must be at least 1" },
        { "{'properties':{'a/b':{'properties':{'c~d':{'type':'null'}}}}}", "{'a/b':{'c~d':1}}",
          "/a~1b/c~0d: must be null" },
        { "{'additionalProperties':{'type':'null'}}", "{'':1}", "/: must be null" },
        { "false", "1", "is not allowed" },
        { "true", "1", "" },
    };
    for (size_t i = 0; i < FL_COUNTOF(cases); i++) {
        const char *got = verdict_of(cases[i].schema, cases[i].value);
        CHECK_MSG(strcmp(got, cases[i].text) == 0, "%s on %s: \"%s\", not \"%s\"", cases[i].schema,
                  cases[i].value, got, cases[i].text);
    }
}

static void test_no_value_is_ever_shown(void)
{
    static const char *const schemas[] = {
        "{'type':'null'}",   "{'const':1}",
        "{'enum':['a']}",    "{'maxLength':1}",
        "{'minLength':99}",  "{'pattern':'^x'}",
        "{'not':{}}",        "{'anyOf':[{'type':'null'},{'const':'a'}]}",
        "{'oneOf':[{},{}]}", "false",
    };
    for (size_t i = 0; i < FL_COUNTOF(schemas); i++) {
        char wrapped[200];
        CHECK(*verdict_of(schemas[i], "'s3cr3t'"));
        CHECK_MSG(!strstr(verdict_of(schemas[i], "'s3cr3t'"), "s3c"), "%s", schemas[i]);
        snprintf(wrapped, sizeof wrapped, "{'items':%s}", schemas[i]);
        CHECK(!strstr(verdict_of(wrapped, "['s3cr3t']"), "s3c"));
        snprintf(wrapped, sizeof wrapped, "{'contains':{'allOf':[{'type':'null'},%s]}}",
                 schemas[i]);
        CHECK(!strstr(verdict_of(wrapped, "['s3cr3t']"), "s3c"));
    }
}

static void test_below_a_write_only_place_not_even_names_are_shown(void)
{
    static const struct {
        const char *schema, *value, *text;
    } cases[] = {
        { "{'properties':{'pw':{'writeOnly':true,'minLength':8}}}", "{'pw':'x'}",
          "/pw: must have at least 8 characters" },
        { "{'properties':{'pw':{'writeOnly':true,'additionalProperties':false}}}",
          "{'pw':{'hunter2':1}}", "/pw: does not fit the schema" },
        { "{'properties':{'pw':{'writeOnly':true,'items':{'items':{'type':'null'}}}}}",
          "{'pw':[[1]]}", "/pw: does not fit the schema" },
        /* the mark may stand in another part of the schema, or behind references */
        { "{'properties':{'pw':{'additionalProperties':false}},"
          "'allOf':[{'properties':{'pw':{'$ref':'#/$defs/s'}}}],'$defs':{'s':{'writeOnly':true}}}",
          "{'pw':{'hunter2':1}}", "/pw: does not fit the schema" },
        { "{'anyOf':[{'patternProperties':{'^p':{'writeOnly':true}}},{}],"
          "'properties':{'pw':{'additionalProperties':false}}}",
          "{'pw':{'hunter2':1}}", "/pw: does not fit the schema" },
        { "{'writeOnly':true,'required':['a']}", "{}", "does not fit the schema" },
        { "{'writeOnly':false,'required':['a']}", "{}", "/a: is required" },
        { "{'items':{'writeOnly':true,'uniqueItems':true}}", "[[1,1]]",
          "/0: does not fit the schema" },
    };
    for (size_t i = 0; i < FL_COUNTOF(cases); i++)
        CHECK_STR(verdict_of(cases[i].schema, cases[i].value), cases[i].text);
}

static void test_names_in_a_refusal_are_short_and_plain(void)
{
    CHECK_STR(verdict_of("{'additionalProperties':false}",
                         "{'12345678901234567890123456789012345678901234567890123456789012345':1}"),
              "/123456789012345678901234567890123456789012345678901234567890...:"
              " is not a known member");
    CHECK_STR(verdict_of("{'additionalProperties':false}", "{'a\\n\\u202eb\\u001b\\u00e9':1}"),
              "/a\\u{a}\\u{202e}b\\u{1b}\xc3\xa9: is not a known member");
    struct fl_schema *schema =
        schema_of("{'additionalProperties':{'$ref':'#'},'type':'object'}", NULL);
    json_t *value = json_integer(1);
    for (int i = 0; i < 60; i++) {
        json_t *outer = json_object();
        json_object_set_new(outer, "abcdefghijklmnopqrstuvwxyz", value);
        value = outer;
    }
    struct fl_err err;
    CHECK_INT(fl_schema_validate(schema, value, &err), FL_BAD_PARAMS);
    CHECK(strncmp(err.text, ".../abcdef", 10) == 0 && strlen(err.text) < 300);
    CHECK(strstr(err.text, "/abcdefghijklmnopqrstuvwxyz: must be an object"));
    json_decref(value);
    fl_schema_free(&schema);
}

static void test_a_wrong_schema_is_refused_with_its_place(void)
{
    static const struct {
        const char *schema, *text;
    } cases[] = {
        { "[]", "a schema must be an object, true or false" },
        { "'object'", "a schema must be an object, true or false" },
        { "null", "a schema must be an object, true or false" },
        { "{'type':'any'}", "/type: must be one or more of string, number, integer, boolean, "
                            "object, array, null" },
        { "{'type':[]}", "/type: must be one or more of string, number, integer, boolean, object, "
                         "array, null" },
        { "{'properties':{'a':{'minimum':'1'}}}", "/properties/a/minimum: must be a number" },
        { "{'properties':[]}", "/properties: must be an object whose members are schemas" },
        { "{'properties':{'a':1}}", "/properties: must be an object whose members are schemas" },
        { "{'required':true}", "/required: must be a list of names" },
        { "{'required':['a',1]}", "/required: must be a list of names" },
        { "{'minLength':-1}", "/minLength: must be a whole number, 0 or more" },
        { "{'minLength':1.5}", "/minLength: must be a whole number, 0 or more" },
        { "{'multipleOf':0}", "/multipleOf: must be a number greater than 0" },
        { "{'exclusiveMinimum':true}", "/exclusiveMinimum: must be a number" },
        { "{'items':[{}]}", "/items: must be a schema (a list of schemas is called prefixItems)" },
        { "{'items':1}", "/items: must be a schema" },
        { "{'allOf':[]}", "/allOf: must be a list of one or more schemas" },
        { "{'anyOf':[{},3]}", "/anyOf: must be a list of one or more schemas" },
        { "{'anyOf':[{},{'not':3}]}", "/anyOf/1/not: must be a schema (an object, true or false)" },
        { "{'enum':'a'}", "/enum: must be a list" },
        { "{'uniqueItems':'yes'}", "/uniqueItems: must be true or false" },
        { "{'writeOnly':1}", "/writeOnly: must be true or false" },
        { "{'dependentRequired':{'a':'b'}}", "/dependentRequired: must be an object of lists of "
                                             "names" },
        { "{'dependencies':{'a':1}}",
          "/dependencies: must be an object whose members are schemas or lists of names" },
        { "{'$id':1}", "/$id: must be a string" },
        { "{'$id':'a#b'}", "/$id: must have no fragment" },
        { "{'$anchor':'a/b'}", "/$anchor: must be a plain name" },
        { "{'$schema':1}", "/$schema: must be a string" },
        { "{'pattern':'a(b'}",
          "/pattern: is not a regular expression at character 3: it leaves a group open" },
        { "{'patternProperties':{'a**':{}}}", "/patternProperties/a**: is not a regular expression "
                                              "at character 2: it repeats nothing" },
        { "{'$schema':'http://json-schema.org/draft-04/schema#'}",
          "/$schema: the dialect \"http://json-schema.org/draft-04/schema#\" is not supported "
          "(2020-12, 2019-09 and draft-07 are)" },
        { "{'items':{'$schema':'http://json-schema.org/draft-07/schema#'}}",
          "/items/$schema: another dialect needs an $id beside it" },
        { "{'$defs':{'a':{'$id':'x'},'b':{'$id':'x'}}}",
          "/$defs/b/$id: names a schema that is already there" },
        { "{'$defs':{'a':{'$anchor':'x'},'b':{'$anchor':'x'}}}",
          "/$defs/b: has an anchor that is already there" },
    };
    for (size_t i = 0; i < FL_COUNTOF(cases); i++)
        CHECK_STR(refusal(cases[i].schema, FL_BAD_PARAMS), cases[i].text);
    /* annotations that nobody reads may look as they like */
    CHECK_STR(verdict_of("{'title':1,'description':null,'examples':'x','$comment':[],"
                         "'deprecated':'no','contentSchema':3,'unknown':{'type':7}}",
                         "1"),
              "");
}

static void test_a_reference_that_leads_out_is_refused_by_name(void)
{
    static const struct {
        const char *schema, *text;
    } cases[] = {
        { "{'properties':{'a':{'$ref':'http://169.254.169.254/latest'}}}",
          "/properties/a/$ref: cannot refer to \"http://169.254.169.254/latest\": it is not in "
          "this document, and nothing is fetched" },
        { "{'$ref':'file:///etc/passwd'}", "/$ref: cannot refer to \"file:///etc/passwd\": it is "
                                           "not in this document, and nothing is fetched" },
        { "{'$id':'http://a/b','$ref':'c'}",
          "/$ref: cannot refer to \"c\": it is not in this document, and nothing is fetched" },
        { "{'$ref':'#/$defs/a'}", "/$ref: cannot refer to \"#/$defs/a\": there is no such place" },
        { "{'$ref':'#/a~2'}", "/$ref: cannot refer to \"#/a~2\": there is no such place" },
        { "{'$ref':'#/allOf/1','allOf':[{}]}",
          "/$ref: cannot refer to \"#/allOf/1\": there is no such place" },
        { "{'$ref':'#/const','const':1}",
          "/$ref: cannot refer to \"#/const\": there is no schema" },
        { "{'$ref':'#a'}", "/$ref: cannot refer to \"#a\": there is no such anchor" },
        { "{'$dynamicRef':'#a'}", "/$dynamicRef: cannot refer to \"#a\": there is no such anchor" },
        { "{'$ref':'#/%zz'}", "/$ref: cannot refer to \"#/%zz\": it has a malformed escape" },
        { "{'$ref':'#/x','x':{'type':1}}", "/x/type: must be one or more of string, number, "
                                           "integer, boolean, object, array, null" },
        { "{'$ref':'" META "meta/nothing'}",
          "/$ref: cannot refer to \"" META
          "meta/nothing\": it is not in this document, and nothing "
          "is fetched" },
        { "{" D19 ",'$recursiveRef':'#/a'}",
          "/$recursiveRef: cannot refer to \"#/a\": it must be \"#\"" },
    };
    for (size_t i = 0; i < FL_COUNTOF(cases); i++)
        CHECK_STR(refusal(cases[i].schema, FL_BAD_PARAMS), cases[i].text);
}

static void test_a_reference_that_leads_back_without_descending_is_refused(void)
{
    static const char *const loops[] = {
        "{'$ref':'#'}",
        "{'anyOf':[{'type':'string'},{'$ref':'#'}]}",
        "{'not':{'$ref':'#'}}",
        "{'if':{},'else':{'$ref':'#'}}",
        "{'$dynamicRef':'#a','$dynamicAnchor':'a'}",
        "{'dependentSchemas':{'a':{'$ref':'#'}}}",
        "{'$ref':'#/$defs/a','$defs':{'a':{'$ref':'#/$defs/b'},'b':{'$ref':'#/$defs/a'}}}",
        "{'$defs':{'a':{'allOf':[{'oneOf':[{'$ref':'#/$defs/a'}]}]}}}",
        "{" D19 ",'$recursiveRef':'#'}",
    };
    for (size_t i = 0; i < FL_COUNTOF(loops); i++) {
        const char *text = refusal(loops[i], FL_BAD_PARAMS);
        CHECK_MSG(strstr(text, ": it leads back here without descending into the value"), "%s: %s",
                  loops[i], text);
    }
    /* these descend, or are never reached */
    CHECK_STR(verdict_of("{'properties':{'a':{'$ref':'#'}},'required':['b']}", "{'b':1,'a':{}}"),
              "/a/b: is required");
    CHECK_STR(verdict_of("{'then':{'$ref':'#'},'minimum':1}", "2"), "");
    CHECK_STR(verdict_of("{'allOf':[{'$ref':'#/$defs/a'},{'$ref':'#/$defs/a'}],"
                         "'$defs':{'a':{'minimum':1}}}",
                         "0"),
              "must be at least 1");
}

static void test_metaschemas_are_built_in(void)
{
    static const char *const names[] = {
        META "schema",
        META "meta/core",
        META "meta/applicator",
        META "meta/unevaluated",
        META "meta/validation",
        META "meta/meta-data",
        META "meta/format-annotation",
        META "meta/content",
        "https://json-schema.org/draft/2019-09/schema",
        "https://json-schema.org/draft/2019-09/meta/applicator",
        "http://json-schema.org/draft-07/schema#",
    };
    for (size_t i = 0; i < FL_COUNTOF(names); i++) {
        char schema[200];
        snprintf(schema, sizeof schema, "{'$ref':'%s'}", names[i]);
        CHECK_STR(verdict_of(schema, "{}"), "");
        CHECK_STR(verdict_of(schema, "true"), "");
        CHECK_STR(verdict_of(schema, "1"), "must be true or false or an object");
        /* in all of them: a subschema deep inside is held to the whole */
        bool is_whole = strstr(names[i], "schema.org/draft/2020-12/schema") ||
                        strstr(names[i], "2019-09/schema") || strstr(names[i], "draft-07/schema");
        const char *deep = verdict_of(schema, "{'properties':{'a':{'not':{'maxLength':-1}}}}");
        CHECK_STR(deep, is_whole ? "/properties/a/not/maxLength: must be at least 0" : "");
    }
    CHECK_STR(verdict_of("{'$ref':'" META "meta/validation#/$defs/stringArray'}", "['a','a']"),
              "/1: must not repeat item 0");
    CHECK_STR(verdict_of("{" D7 ",'$ref':'http://json-schema.org/draft-07/schema#/definitions/"
                         "nonNegativeInteger'}",
                         "-1"),
              "must be at least 0");
    /* each metaschema fits itself */
    for (size_t i = 0; i < FL_COUNTOF(names); i++) {
        bool is_known;
        struct fl_str uri = fl_str_of(names[i]);
        uri.n -= uri.p[uri.n - 1] == '#';
        json_t *json = fl_schema_metaschema_new(uri, &is_known);
        CHECK(json && is_known);
        char text[200];
        snprintf(text, sizeof text, "{'$ref':'%s'}",
                 json_string_value(json_object_get(json, "$schema")));
        struct fl_schema *schema = schema_of(text, NULL);
        struct fl_err err;
        CHECK_MSG(fl_schema_validate(schema, json, &err) == FL_OK, "%s: %s", names[i], err.text);
        fl_schema_free(&schema);
        json_decref(json);
    }
}

static void test_keywords_are_sorted_for_searching(void)
{
    CHECK_INT(FL_KW_COUNT, 62);
    for (size_t i = 1; i < FL_KW_COUNT; i++)
        CHECK_MSG(strcmp(fl_schema_keyword_rows[i - 1].name.p, fl_schema_keyword_rows[i].name.p) <
                      0,
                  "%s", fl_schema_keyword_rows[i].name.p);
}

static void test_older_dialects_keep_their_meaning(void)
{
    static const struct {
        const char *schema, *value, *text;
    } cases[] = {
        /* draft-07: siblings of $ref are ignored, items may be a list, $id may be an anchor */
        { "{" D7 ",'definitions':{'a':{'minimum':5}},'$ref':'#/definitions/a','maximum':1}", "7",
          "" },
        { "{" D7 ",'definitions':{'a':{'minimum':5}},'$ref':'#/definitions/a'}", "3",
          "must be at least 5" },
        { "{" D7 ",'items':[{'type':'string'}],'additionalItems':false}", "['a',1]",
          "/1: is not allowed" },
        { "{" D7 ",'additionalItems':false}", "['a',1]", "" },
        { "{" D7 ",'definitions':{'a':{'$id':'#here','type':'null'}},'not':{'$ref':'#here'}}",
          "null", "has a form that is not allowed" },
        { "{" D7 ",'dependencies':{'a':['b'],'c':{'required':['d']}}}", "{'a':1}",
          "/b: is required together with \"a\"" },
        { "{" D7 ",'dependencies':{'a':['b'],'c':{'required':['d']}}}", "{'c':1}",
          "/d: is required" },
        { "{" D7 ",'dependentRequired':{'a':['b']},'prefixItems':[false],'minContains':7,"
          "'unevaluatedProperties':false}",
          "{'a':1}", "" },
        { "{" D7 ",'definitions':{'a/b':{'type':'null'}},'$ref':'#/definitions/a~1b'}", "1",
          "must be null" },
        /* 2019-09 */
        { "{" D19 ",'items':[{'type':'string'}],'additionalItems':false}", "['a',1]",
          "/1: is not allowed" },
        { "{" D19 ",'$recursiveAnchor':true,'$id':'http://x/strict','$ref':'tree',"
          "'unevaluatedProperties':false,'$defs':{'t':{'$id':'tree','$recursiveAnchor':true,"
          "'properties':{'kids':{'items':{'$recursiveRef':'#'}}}}}}",
          "{'kids':[{'kid':1}]}", "/kids/0/kid: is not a known member" },
        { "{" D19 ",'contains':{'const':1},'unevaluatedItems':false}", "[1]",
          "/0: is not allowed" },
        { "{'contains':{'const':1},'unevaluatedItems':false}", "[1]", "" },
        /* an embedded resource may be of another dialect */
        { "{'items':{'$id':'http://x/old'," D7 ",'items':[{'type':'null'}]}}", "[[1]]",
          "/0/0: must be null" },
        /* spellings of the dialect */
        { "{'$schema':'http://json-schema.org/draft-07/schema','prefixItems':[false]}", "[1]", "" },
        { "{'$schema':'https://json-schema.org/draft/2020-12/schema#','prefixItems':[false]}",
          "[1]", "/0: is not allowed" },
        { "{'prefixItems':[false]}", "[1]", "/0: is not allowed" },
    };
    for (size_t i = 0; i < FL_COUNTOF(cases); i++) {
        const char *got = verdict_of(cases[i].schema, cases[i].value);
        CHECK_MSG(strcmp(got, cases[i].text) == 0, "%s: \"%s\"", cases[i].schema, got);
    }
}

static void test_decimals_divide_as_they_are_written(void)
{
    static const struct {
        const char *value, *divisor;
        bool divides;
    } cases[] = {
        { "19.99", "0.01", true },
        { "0.07", "0.01", true },
        { "4.35", "0.01", true },
        { "1.1", "0.1", true },
        { "0.3", "0.1", true },
        { "0.3", "0.2", false },
        { "0.075", "0.01", false },
        { "123456789.01", "0.01", true },
        { "-19.99", "0.01", true },
        { "0", "0.01", true },
        { "-0.0", "0.3", true },
        { "1e308", "1e-308", true },
        { "1e-308", "1e308", false },
        { "1e308", "0.123456789", false },
        { "5e-324", "5e-324", true },
        { "7", "3.5", true },
        { "9007199254740993", "3", true },
        { "9007199254740993", "2", false },
        { "9223372036854775807", "7", true },
        { "9223372036854775806", "7", false },
        { "-9223372036854775808", "2", true },
        { "1e22", "1e21", true },
        { "1.5e300", "1e299", true },
        { "1.55e300", "1e299", false },
        { "12.5", "2.5", true },
    };
    for (size_t i = 0; i < FL_COUNTOF(cases); i++) {
        char schema[80];
        snprintf(schema, sizeof schema, "{'multipleOf':%s}", cases[i].divisor);
        bool divides = !*verdict_of(schema, cases[i].value);
        CHECK_MSG(divides == cases[i].divides, "%s of %s", cases[i].value, cases[i].divisor);
    }
}

static void test_numbers_compare_exactly(void)
{
    static const struct {
        const char *schema, *value;
        bool fits;
    } cases[] = {
        { "{'const':1}", "1.0", true },
        { "{'const':[0]}", "[-0.0]", true },
        { "{'const':9007199254740992.0}", "9007199254740992", true },
        { "{'const':9007199254740992.0}", "9007199254740993", false },
        { "{'maximum':9007199254740992.0}", "9007199254740993", false },
        { "{'maximum':9223372036854775808.0}", "9223372036854775807", true },
        { "{'exclusiveMaximum':9223372036854775808.0}", "9223372036854775807", true },
        { "{'minimum':-9223372036854775809.0}", "-9223372036854775808", true },
        { "{'minimum':9223372036854775807}", "9223372036854775808.0", true },
        { "{'minimum':2}", "1.9999999999999998", false },
        { "{'minimum':-1}", "-1.5", false },
        { "{'exclusiveMinimum':1}", "1.0", false },
        { "{'enum':[false]}", "0", false },
        { "{'enum':[[false]]}", "[0]", false },
        { "{'enum':[{'a':1,'b':2}]}", "{'b':2.0,'a':1}", true },
        { "{'uniqueItems':true}", "[9007199254740992,9007199254740993]", true },
        { "{'uniqueItems':true}", "[9007199254740992,9007199254740992.0]", false },
        { "{'type':'integer'}", "1e300", true },
        { "{'maxLength':3.0}", "'abcd'", false },
        { "{'maxLength':1e300}", "'abcd'", true },
        { "{'const':'a\\u0000b'}", "'a\\u0000c'", false },
        { "{'enum':['a\\u0000b','x']}", "'a\\u0000b'", true },
    };
    for (size_t i = 0; i < FL_COUNTOF(cases); i++)
        CHECK_MSG(!*verdict_of(cases[i].schema, cases[i].value) == cases[i].fits, "%s on %s",
                  cases[i].schema, cases[i].value);
}

static void test_format_asserts_only_when_asked(void)
{
    struct fl_schema_options asserts = { .asserts_format = true };
    struct fl_schema *schema = schema_of("{'format':'email'}", NULL);
    CHECK_STR(verdict(schema, "'nobody'"), "");
    fl_schema_free(&schema);
    schema = schema_of("{'format':'email'}", &asserts);
    CHECK_STR(verdict(schema, "'nobody'"), "must be in the format \"email\"");
    CHECK_STR(verdict(schema, "'a@b.example'"), "");
    CHECK_STR(verdict(schema, "5"), "");
    fl_schema_free(&schema);
    schema = schema_of("{'format':'no-such-format'}", &asserts);
    CHECK_STR(verdict(schema, "'nobody'"), "");
    fl_schema_free(&schema);
}

static void test_places_that_cannot_exist_are_told(void)
{
    static const struct {
        const char *schema, *path;
        bool exists;
    } cases[] = {
        { "{'properties':{'amount':{}},'additionalProperties':false}", "amount", true },
        { "{'properties':{'amount':{}},'additionalProperties':false}", "amout", false },
        { "{'properties':{'amount':{}}}", "amout", true },
        { "{'properties':{'a':{'type':'string'}}}", "a.b", false },
        { "{'properties':{'a':{'type':['string','object']}}}", "a.b", true },
        { "{'type':'array'}", "a", false },
        { "{'type':'array'}", "0.b", true },
        { "{'properties':{'a':false}}", "a", false },
        { "{'properties':{'a':{'$ref':'#/$defs/no'}},'$defs':{'no':false}}", "a", false },
        { "{'properties':{'items':{'items':{'properties':{'price':{}},"
          "'additionalProperties':false},'type':'array'}}}",
          "items.0.price", true },
        { "{'properties':{'items':{'items':{'properties':{'price':{}},"
          "'additionalProperties':false},'type':'array'}}}",
          "items.0.prize", false },
        { "{'prefixItems':[{}],'items':false,'type':'array'}", "0", true },
        { "{'prefixItems':[{}],'items':false,'type':'array'}", "1", false },
        { "{'maxItems':2,'type':'array'}", "2", false },
        { "{'patternProperties':{'^x-':{'type':'object'}},'additionalProperties':false}", "x-a.b",
          true },
        { "{'patternProperties':{'^x-':{}},'additionalProperties':false}", "y", false },
        { "{'additionalProperties':{'type':'integer'}}", "a.b", false },
        { "{'$ref':'#/$defs/a','$defs':{'a':{'properties':{'b':{}},"
          "'additionalProperties':false}}}",
          "c", false },
        { "{'allOf':[{},{'properties':{'b':{}},'additionalProperties':false}]}", "c", false },
        { "{'anyOf':[{'type':'string'},{'properties':{'b':{}},'additionalProperties':false}]}", "b",
          true },
        { "{'anyOf':[{'type':'string'},{'properties':{'b':{}},'additionalProperties':false}]}", "c",
          false },
        { "{'oneOf':[{'additionalProperties':false},{'properties':{'c':{}}}]}", "c", true },
        { "{'allOf':[{'properties':{'a':{}}}],'unevaluatedProperties':false}", "a", true },
        { "{'allOf':[{'properties':{'a':{}}}],'unevaluatedProperties':false}", "b", false },
        { "{'allOf':[{'patternProperties':{'^p':{}}}],'unevaluatedProperties':false}", "p1", true },
        { "{'if':{},'then':{'additionalProperties':false},'else':{'properties':{'e':{}},"
          "'additionalProperties':false}}",
          "e", true },
        { "{'if':{},'then':{'additionalProperties':false},'else':{'additionalProperties':false}}",
          "e", false },
        { "{'const':{'a':{'b':1}}}", "a.b", true },
        { "{'const':{'a':{'b':1}}}", "a.c", false },
        { "{'enum':[1,{'a':[1]}]}", "a.0", true },
        { "{'enum':[1,{'a':[1]}]}", "a.1", false },
        { "{'properties':{'kids':{'items':{'$ref':'#'}}},'additionalProperties':false}",
          "kids.0.kids.7.kids", true },
        { "{'properties':{'kids':{'type':'array','items':{'$ref':'#'}}},"
          "'additionalProperties':false}",
          "kids.0.kids.7.x", false },
        { "{'$dynamicAnchor':'n','properties':{'kid':{'$dynamicRef':'#n'}}}", "kid.kid", true },
        { "true", "a.b.c", true },
        { "false", "a", false },
    };
    for (size_t i = 0; i < FL_COUNTOF(cases); i++) {
        char path[64];
        const char *names[8];
        size_t count = 0;
        snprintf(path, sizeof path, "%s", cases[i].path);
        for (char *name = strtok(path, "."); name; name = strtok(NULL, "."))
            names[count++] = name;
        struct fl_schema *schema = schema_of(cases[i].schema, NULL);
        CHECK_MSG(fl_schema_allows_path(schema, names, count) == cases[i].exists, "%s in %s",
                  cases[i].path, cases[i].schema);
        CHECK(fl_schema_allows_path(schema, names, 0) == (strcmp(cases[i].schema, "false") != 0));
        fl_schema_free(&schema);
    }
}

static void test_references_resolve_as_in_rfc_3986(void)
{
    static const char *const cases[][2] = {
        /* section 5.4 */
        { "g:h", "g:h" },
        { "g", "http://a/b/c/g" },
        { "./g", "http://a/b/c/g" },
        { "g/", "http://a/b/c/g/" },
        { "/g", "http://a/g" },
        { "//g", "http://g" },
        { "?y", "http://a/b/c/d;p?y" },
        { "g?y", "http://a/b/c/g?y" },
        { ";x", "http://a/b/c/;x" },
        { "g;x", "http://a/b/c/g;x" },
        { "", "http://a/b/c/d;p?q" },
        { ".", "http://a/b/c/" },
        { "./", "http://a/b/c/" },
        { "..", "http://a/b/" },
        { "../", "http://a/b/" },
        { "../g", "http://a/b/g" },
        { "../..", "http://a/" },
        { "../../", "http://a/" },
        { "../../g", "http://a/g" },
        { "../../../g", "http://a/g" },
        { "../../../../g", "http://a/g" },
        { "/./g", "http://a/g" },
        { "/../g", "http://a/g" },
        { "g.", "http://a/b/c/g." },
        { ".g", "http://a/b/c/.g" },
        { "g..", "http://a/b/c/g.." },
        { "..g", "http://a/b/c/..g" },
        { "./../g", "http://a/b/g" },
        { "./g/.", "http://a/b/c/g/" },
        { "g/./h", "http://a/b/c/g/h" },
        { "g/../h", "http://a/b/c/h" },
        { "g;x=1/./y", "http://a/b/c/g;x=1/y" },
        { "g;x=1/../y", "http://a/b/c/y" },
        { "g?y/./x", "http://a/b/c/g?y/./x" },
        { "http:g", "http:g" },
    };
    for (size_t i = 0; i < FL_COUNTOF(cases); i++) {
        struct fl_buf out = FL_BUF_INIT;
        fl_schema_uri_resolve(&out, FL_STR("http://a/b/c/d;p?q"), fl_str_of(cases[i][0]));
        CHECK_SPAN(fl_buf_view(&out), cases[i][1]);
        fl_buf_fini(&out);
    }
    struct fl_buf out = FL_BUF_INIT;
    fl_schema_uri_resolve(&out, FL_STR("http://a"), FL_STR("g"));
    CHECK_SPAN(fl_buf_view(&out), "http://a/g");
    fl_buf_reset(&out);
    fl_schema_uri_resolve(&out, FL_STR(""), FL_STR("./g"));
    CHECK_SPAN(fl_buf_view(&out), "g");
    fl_buf_fini(&out);
}

static void test_the_schema_is_copied(void)
{
    struct fl_schema *schema = NULL;
    json_t *json = json_of("{'properties':{'a':{'enum':['x']}},'pattern':'^a'}");
    CHECK_OK(fl_schema_new(json, NULL, &schema, NULL));
    json_array_clear(
        json_object_get(json_object_get(json_object_get(json, "properties"), "a"), "enum"));
    json_object_clear(json);
    json_decref(json);
    CHECK_STR(verdict(schema, "{'a':'y'}"), "/a: must be \"x\"");
    CHECK_STR(verdict(schema, "'b'"), "must match the pattern \"^a\"");
    fl_schema_free(&schema);
    fl_schema_free(&schema);
}

static const struct fl_test tests[] = {
    T(a_refusal_names_the_place_and_the_reason),
    T(no_value_is_ever_shown),
    T(below_a_write_only_place_not_even_names_are_shown),
    T(names_in_a_refusal_are_short_and_plain),
    T(a_wrong_schema_is_refused_with_its_place),
    T(a_reference_that_leads_out_is_refused_by_name),
    T(a_reference_that_leads_back_without_descending_is_refused),
    T(metaschemas_are_built_in),
    T(keywords_are_sorted_for_searching),
    T(older_dialects_keep_their_meaning),
    T(decimals_divide_as_they_are_written),
    T(numbers_compare_exactly),
    T(format_asserts_only_when_asked),
    T(places_that_cannot_exist_are_told),
    T(references_resolve_as_in_rfc_3986),
    T(the_schema_is_copied),
};
TEST_MAIN(tests)
