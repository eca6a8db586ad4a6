/* JSON Schema: a schema in the first line, a value in the rest. What compiles judges every value
 * within its steps, twice the same; `not` turns the verdict round; and no member of a valid value
 * is one that the schema is said not to allow. */
#include <jansson.h>

#include "fuzz.h"
#include "mcp/schema.h"

static const struct fl_schema_options bounded = { .max_subschemas = 200, .max_steps = 20000 };

static enum fl_code judge(const json_t *schema, const json_t *value)
{
    struct fl_schema *compiled = NULL;
    struct fl_err err = { 0 };
    enum fl_code code = fl_schema_new(schema, &bounded, &compiled, &err);
    if (code != FL_OK) {
        FL_ASSERT(code == FL_BAD_PARAMS || code == FL_TOO_LARGE);
        FL_ASSERT(err.text[0] && !compiled);
        return FL_NOT_FOUND;
    }
    code = fl_schema_validate(compiled, value, &err);
    FL_ASSERT(code == FL_OK || code == FL_BAD_PARAMS || code == FL_TOO_LARGE);
    FL_ASSERT(fl_schema_validate(compiled, value, &err) == code);
    if (code == FL_OK && json_is_object(value)) {
        const char *name;
        json_t *member;
        json_object_foreach ((json_t *)value, name, member) {
            FL_UNUSED(member);
            FL_ASSERT(fl_schema_allows_path(compiled, &name, 1));
        }
    }
    fl_schema_free(&compiled);
    return code;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const uint8_t *end = memchr(data, '\n', n);
    size_t first = end ? (size_t)(end - data) : n;
    json_t *schema =
        json_loadb((const char *)data, first, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
    json_t *value = end ? json_loadb((const char *)end + 1, n - first - 1,
                                     JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL)
                        : NULL;
    if (schema && value) {
        enum fl_code code = judge(schema, value);
        /* A reference would lead elsewhere from one level below. */
        if (code != FL_NOT_FOUND && !memchr(data, '$', first)) {
            json_t *turned = json_pack("{s:O}", "not", schema);
            enum fl_code other = judge(turned, value);
            if (code != FL_TOO_LARGE && other != FL_TOO_LARGE && other != FL_NOT_FOUND)
                FL_ASSERT((code == FL_OK) != (other == FL_OK));
            json_decref(turned);
        }
    }
    json_decref(schema);
    json_decref(value);
    return 0;
}
