/* The compiled form of a schema, and what compiler and evaluator share. Only mcp/schema*.c include
 * this. Everything hangs in the schema's arena and never changes once fl_schema_new returned. */
#ifndef FLOPINIO_MCP_SCHEMA_PRIV_H
#define FLOPINIO_MCP_SCHEMA_PRIV_H

#include "flopinio/base/arena.h"
#include "mcp/schema.h"
#include "mcp/schema_format.h"
#include "mcp/schema_keyword.h"
#include "mcp/schema_pattern.h"
#include "mcp/schema_value.h"

struct fl_schema_node;

/* A document or a subschema with an `$id`: what references are relative to. */
struct fl_schema_resource {
    struct fl_schema_resource *next;
    struct fl_str uri; /* absolute, without fragment; "" for a root without `$id` */
    json_t *root;      /* borrowed from the schema's documents */
    enum fl_schema_dialect dialect;
    struct fl_schema_anchor *anchors;
};

/* `$recursiveAnchor: true` is a dynamic anchor named "". */
struct fl_schema_anchor {
    struct fl_schema_anchor *next;
    struct fl_str name;
    const struct fl_schema_node *node;
    bool is_dynamic;
};

struct fl_schema_nodes {
    const struct fl_schema_node **at;
    size_t count;
};

/* Member names, sorted (fl_schema_find_name), with what is said about each. */
struct fl_schema_name {
    struct fl_str name;
    const struct fl_schema_node *node; /* `properties`; NULL: only required */
    bool is_required;
};

struct fl_schema_pattern_member {
    const struct fl_schema_pattern *pattern;
    const struct fl_schema_node *node;
};

/* When `name` is present: `needs` must be too, and `node` must fit the whole object. */
struct fl_schema_dependency {
    struct fl_str name;
    const json_t *needs;
    const struct fl_schema_node *node;
};

struct fl_schema_object {
    struct fl_schema_name *names;
    size_t name_count, required_count;
    struct fl_schema_pattern_member *patterns;
    size_t pattern_count;
    struct fl_schema_dependency *dependencies;
    size_t dependency_count;
    const struct fl_schema_node *additional, *member_names; /* NULL = anything */
    uint64_t min, max;
};

struct fl_schema_array {
    struct fl_schema_nodes prefix;
    const struct fl_schema_node *rest, *contains; /* NULL = anything */
    uint64_t min_contains, max_contains, min, max;
    bool is_unique;
    bool contains_evaluates; /* 2020-12: `unevaluatedItems` leaves out what `contains` took */
};

struct fl_schema_string {
    uint64_t min, max; /* code points */
    const struct fl_schema_pattern *pattern;
    const struct fl_schema_format *format;
};

struct fl_schema_number {
    const json_t *minimum, *maximum, *above, *below; /* the last two exclude the bound itself */
    const json_t *multiple_of;
    struct fl_schema_decimal divisor;
};

/* `enum` or `const`. Strings are sorted, as `names` above. */
struct fl_schema_values {
    struct fl_str *strings;
    size_t string_count;
    const json_t **others;
    size_t other_count;
    const json_t *shown; /* for the error text */
    bool is_const;
};

/* In-place applicators: they look at the same value. */
struct fl_schema_logic {
    const struct fl_schema_node *ref;
    const struct fl_schema_node *dynamic_ref; /* where it leads without a dynamic scope */
    const char *dynamic_name;                 /* NULL: dynamic_ref is a plain reference */
    struct fl_schema_nodes all, any, one;
    const struct fl_schema_node *never, *condition, *then, *otherwise;
};

struct fl_schema_node {
    uint8_t kinds;  /* of enum fl_schema_kind: what the value may be; 0 = the schema `false` */
    bool has_rules; /* false: `kinds` says all */
    bool is_write_only;
    uint32_t number; /* from 0, in the schema */
    const struct fl_schema_resource *resource;
    const struct fl_schema_string *string; /* NULL = no rule, from here on */
    const struct fl_schema_number *number_rules;
    const struct fl_schema_array *array;
    const struct fl_schema_object *object;
    const struct fl_schema_values *allowed, *constant;
    const struct fl_schema_logic *logic;
    const struct fl_schema_node *unevaluated_members, *unevaluated_items;
};

struct fl_schema {
    uint32_t magic;
    struct fl_schema_options options; /* defaults filled in */
    struct fl_arena *arena;
    json_t *documents; /* array: the copy of the schema, then built-in ones that it refers to */
    struct fl_schema_resource *resources;
    uint32_t node_count;
    struct fl_schema_patterns *patterns;
    const struct fl_schema_node *root, *always, *never;
};

#define FL_SCHEMA_MAGIC 0x5c4e3a71u

/* The entry with that name in a sorted table, or NULL. */
const struct fl_schema_name *fl_schema_find_name(const struct fl_schema_object *rules,
                                                 struct fl_str name);
/* Order of sorted tables: by length, then by bytes. */
int fl_schema_cmp_str(struct fl_str a, struct fl_str b);
bool fl_schema_has_string(const struct fl_schema_values *values, struct fl_str text);

/* The i-th subschema that is applied to the same value as `node`, without those that only a dynamic
 * scope could name; *ret is NULL where that applicator is absent. False behind the last. */
bool fl_schema_in_place(const struct fl_schema_node *node, size_t i,
                        const struct fl_schema_node **ret);

#endif
