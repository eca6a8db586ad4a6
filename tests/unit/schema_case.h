/* Shared by the tests of schemas: JSON written with single quotes, compiled and validated. */
#ifndef FL_TEST_SCHEMA_CASE_H
#define FL_TEST_SCHEMA_CASE_H

#include <jansson.h>

#include "harness.h"
#include "mcp/schema.h"

/* "{'a': 1}" -> a tree; ' stands for ". New reference. */
static inline json_t *json_of(const char *text)
{
    char *copy = strdup(text);
    json_error_t why;
    for (char *c = copy; *c; c++)
        *c = *c == '\'' ? '"' : *c;
    json_t *json = json_loads(copy, JSON_DECODE_ANY | JSON_ALLOW_NUL, &why);
    CHECK_MSG(json, "%s: %s", text, why.text);
    free(copy);
    return json;
}

static inline struct fl_schema *schema_of(const char *text, const struct fl_schema_options *options)
{
    struct fl_schema *schema = NULL;
    struct fl_err err;
    json_t *json = json_of(text);
    enum fl_code code = fl_schema_new(json, options, &schema, &err);
    CHECK_MSG(code == FL_OK, "%s: %s", text, err.text);
    json_decref(json);
    return schema;
}

/* "" when the value fits, else the text of the refusal. Static buffer. */
static inline const char *verdict(const struct fl_schema *schema, const char *value)
{
    static struct fl_err err;
    json_t *json = json_of(value);
    err.text[0] = 0;
    enum fl_code code = fl_schema_validate(schema, json, &err);
    CHECK_MSG(code == FL_OK || code == err.code, "%s and %s", fl_code_name(code),
              fl_code_name(err.code));
    CHECK_INT(fl_schema_validate(schema, json, NULL), code);
    json_decref(json);
    return err.text;
}

static inline const char *verdict_of(const char *schema_text, const char *value)
{
    struct fl_schema *schema = schema_of(schema_text, NULL);
    const char *text = verdict(schema, value);
    fl_schema_free(&schema);
    CHECK(!schema);
    return text;
}

/* The text with which the schema itself is refused. Static buffer. */
static inline const char *refusal(const char *schema_text, enum fl_code want)
{
    static struct fl_err err;
    struct fl_schema *schema = NULL;
    json_t *json = json_of(schema_text);
    enum fl_code code = fl_schema_new(json, NULL, &schema, &err);
    CHECK_MSG(code == want && err.code == want && !schema, "%s: %s", schema_text,
              fl_code_name(code));
    CHECK_INT(fl_schema_new(json, NULL, &schema, NULL), want);
    json_decref(json);
    return err.text;
}

#endif
