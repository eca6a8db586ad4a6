/* What the files of the compiler share: schema_compile.c descends, schema_rules.c fills in the
 * rules of one subschema, schema_ref.c resolves references. Lives during fl_schema_new only. */
#ifndef FLOPINIO_MCP_SCHEMA_BUILD_H
#define FLOPINIO_MCP_SCHEMA_BUILD_H

#include "mcp/schema_priv.h"
#include "mcp/schema_text.h"

#define MAX_URI_BYTES 4096

/* A reference that waits until all identifiers are known. */
struct fl_schema_pending {
    struct fl_schema_pending *next;
    const struct fl_schema_node *owner;
    struct fl_schema_resource *resource; /* of the owner */
    struct fl_schema_logic *logic;
    enum fl_schema_keyword keyword; /* FL_KW_REF, FL_KW_DYNAMIC_REF or FL_KW_RECURSIVE_REF */
    struct fl_str reference;
    const char *place; /* of the owner, as text */
};

/* Which subschema an object of the documents became. */
struct fl_schema_known {
    const json_t *json; /* NULL = free slot */
    struct fl_schema_node *node;
    struct fl_schema_resource *resource;
};

struct fl_schema_builder {
    struct fl_schema *schema;
    struct fl_err *err;
    struct fl_schema_pending *pending, **pending_end; /* in the order of appearance */
    struct fl_schema_known *known;                    /* a hash table */
    size_t known_count, known_cap;
};

/* One subschema that is being compiled. */
struct fl_schema_site {
    struct fl_schema_builder *b;
    struct fl_schema_node *node;
    struct fl_schema_resource *resource;
    const struct fl_schema_place *place;
    struct fl_schema_keywords kw;
};

/* Compiles `json` and all below it. `json` belongs to the schema's documents. With `is_root` it is
 * the root of `resource`, else it may open one of its own. */
enum fl_code fl_schema_compile(struct fl_schema_builder *b, json_t *json,
                               struct fl_schema_resource *resource,
                               const struct fl_schema_place *place, bool is_root,
                               const struct fl_schema_node **ret) FL_MUST_CHECK;
/* The subschema at a keyword of `site`; at its item or member `name`/`index`, where it has some. */
enum fl_code fl_schema_child(struct fl_schema_site *site, enum fl_schema_keyword keyword,
                             const struct fl_schema_node **ret) FL_MUST_CHECK;
enum fl_code fl_schema_child_list(struct fl_schema_site *site, enum fl_schema_keyword keyword,
                                  struct fl_schema_nodes *ret) FL_MUST_CHECK;
enum fl_code fl_schema_child_member(struct fl_schema_site *site, enum fl_schema_keyword keyword,
                                    struct fl_str name, json_t *json,
                                    const struct fl_schema_node **ret) FL_MUST_CHECK;
const struct fl_schema_known *fl_schema_known(const struct fl_schema_builder *b,
                                              const json_t *json);
/* A new resource; refused if the URI is taken. */
enum fl_code fl_schema_resource_new(struct fl_schema_builder *b, struct fl_str uri, json_t *root,
                                    enum fl_schema_dialect dialect,
                                    const struct fl_schema_place *place,
                                    struct fl_schema_resource **ret) FL_MUST_CHECK;
/* Fills in everything but identifiers. */
enum fl_code fl_schema_build_rules(struct fl_schema_site *site) FL_MUST_CHECK;

/* schema_ref.c: all pending references, also those that resolving brings up. */
enum fl_code fl_schema_resolve(struct fl_schema_builder *b) FL_MUST_CHECK;
/* Refuses a way back to the same subschema that never descends into the value. */
enum fl_code fl_schema_refuse_loops(struct fl_schema_builder *b) FL_MUST_CHECK;

/* NULL and *code FL_NOMEM with err filled when there is no memory. */
void *fl_schema_array_new(struct fl_schema_builder *b, size_t count, size_t size,
                          enum fl_code *code);

#endif
