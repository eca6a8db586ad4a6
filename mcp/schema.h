/* JSON Schema: compile a tool's schema once, validate each call's arguments against it.
 *
 * Dialects: 2020-12 (also when `$schema` is absent), 2019-09 and draft-07; any other is refused.
 * Nothing is ever fetched: a reference that leaves the document is refused when the schema is
 * compiled, except to the metaschemas of these dialects, which are built in. `format` annotates
 * unless the options say that it asserts. Patterns are ECMA-262 regular expressions as with the `u`
 * flag; all their work is counted in the step budget.
 *
 * Called by mcp (tools/list, tools/call, results) and by policy checks through the host. A compiled
 * schema is immutable and may be used by several threads at once; each call uses its caller's. */
#ifndef FLOPINIO_MCP_SCHEMA_H
#define FLOPINIO_MCP_SCHEMA_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "flopinio/base/err.h"
#include "flopinio/base/str.h"

struct fl_schema;

/* A member that is 0 has its default. */
struct fl_schema_options {
    uint16_t max_depth;      /* 64, at most 64: levels of JSON in the schema, and in a value that is
                                compared as a whole (enum, const, uniqueItems) */
    uint32_t max_subschemas; /* 2,000: with the built-in ones that are referred to */
    uint32_t max_steps;      /* 200,000: work of one validation (a subschema applied, a value
                                compared, a place in a regular expression tried) */
    bool asserts_format;     /* false: `format` never makes a value invalid */
};

/* Compiles `schema` (borrowed; copied, so that it may change or go afterwards). `options` NULL =
 * defaults. FL_BAD_PARAMS says where and why ("/properties/qty/minimum: must be a number"), also
 * for a reference that cannot be resolved, a dialect that is not known, a pattern that does not
 * compile and a reference that leads back to itself without descending into the value.
 * FL_TOO_LARGE names the limit. FL_NOMEM. */
enum fl_code fl_schema_new(const json_t *schema, const struct fl_schema_options *options,
                           struct fl_schema **ret, struct fl_err *err) FL_MUST_CHECK;
/* Accepts NULL and a pointer to NULL; nulls the pointer. */
void fl_schema_free(struct fl_schema **schema);

/* FL_OK, or FL_BAD_PARAMS with a text for the caller of the tool: the place as a JSON pointer (left
 * out at the root) and why, "/items/3/qty: must be at least 1". The text never holds a value. It
 * holds names of members, cut at 60 bytes each, but of nothing below a place that the schema marks
 * `writeOnly`. FL_TOO_LARGE when the steps are used up or the value nests too deeply; FL_NOMEM.
 * `value` is borrowed and not changed. */
enum fl_code fl_schema_validate(const struct fl_schema *schema, const json_t *value,
                                struct fl_err *err) FL_MUST_CHECK;

/* True only if the text, an object that fl_scan accepted with the limits of a call, is certainly
 * valid; false says nothing: then build a tree and ask fl_schema_validate. Allocates nothing. */
bool fl_schema_fits_flat(const struct fl_schema *schema, struct fl_str arguments);

/* Can a valid value have this place? `names` leads there from the root: { "items", "0", "price" },
 * an item by its decimal index. True also where the schema allows undeclared members, and where the
 * question is too hard; false is certain (as far as `not` and conditions between members are left
 * aside). For warnings about a policy that reads a misspelled argument. */
bool fl_schema_allows_path(const struct fl_schema *schema, const char *const *names, size_t count);

#endif
