/* fl_schema_new: checks the document's bounds, descends through its subschemas, has the references
 * resolved. Called when a tool's definition arrives; any thread. */
#include "mcp/schema_build.h"

#include <stdio.h>
#include <string.h>

#include "flopinio/base/mem.h"
#include "mcp/schema_uri.h"

#define MAX_DEPTH      64
#define MAX_SUBSCHEMAS 2000
#define MAX_STEPS      200000
#define MAX_VALUES     20000 /* JSON values in a schema: ten for each subschema */

void *fl_schema_array_new(struct fl_schema_builder *b, size_t count, size_t size,
                          enum fl_code *code)
{
    void *array = fl_arena_array(b->schema->arena, count, size);
    if (!array)
        *code = fl_err_code(b->err, FL_NOMEM);
    return array;
}

/* ---- which object became which subschema ---- */

static size_t slot_of(const struct fl_schema_known *table, size_t cap, const json_t *json)
{
    size_t at = (((uintptr_t)json >> 4) * 0x9e3779b97f4a7c15u >> 20) & (cap - 1);
    while (table[at].json && table[at].json != json)
        at = (at + 1) & (cap - 1);
    return at;
}

const struct fl_schema_known *fl_schema_known(const struct fl_schema_builder *b, const json_t *json)
{
    if (b->known_cap == 0)
        return NULL;
    const struct fl_schema_known *known = &b->known[slot_of(b->known, b->known_cap, json)];
    return known->json ? known : NULL;
}

static enum fl_code remember(struct fl_schema_builder *b, const json_t *json,
                             struct fl_schema_node *node, struct fl_schema_resource *resource)
{
    if (b->known_count * 2 >= b->known_cap) {
        size_t cap = b->known_cap ? b->known_cap * 2 : 64;
        struct fl_schema_known *table = fl_calloc(cap, sizeof *table);
        if (!table)
            return fl_err_code(b->err, FL_NOMEM);
        for (size_t i = 0; i < b->known_cap; i++) {
            if (b->known[i].json)
                table[slot_of(table, cap, b->known[i].json)] = b->known[i];
        }
        fl_free(b->known);
        b->known = table;
        b->known_cap = cap;
    }
    b->known[slot_of(b->known, b->known_cap, json)] =
        (struct fl_schema_known){ json, node, resource };
    b->known_count++;
    return FL_OK;
}

/* ---- identifiers ---- */

enum fl_code fl_schema_resource_new(struct fl_schema_builder *b, struct fl_str uri, json_t *root,
                                    enum fl_schema_dialect dialect,
                                    const struct fl_schema_place *place,
                                    struct fl_schema_resource **ret)
{
    enum fl_code code = FL_OK;
    for (struct fl_schema_resource *r = b->schema->resources; r; r = r->next) {
        if (fl_str_eq(r->uri, uri))
            return fl_schema_place_error(b->err, FL_BAD_PARAMS, place,
                                         "/$id: names a schema that is already there");
    }
    struct fl_schema_resource *r = fl_schema_array_new(b, 1, sizeof *r, &code);
    if (!r)
        return code;
    r->uri = fl_arena_str(b->schema->arena, uri);
    if (!r->uri.p)
        return fl_err_code(b->err, FL_NOMEM);
    r->root = root;
    r->dialect = dialect;
    r->next = b->schema->resources;
    b->schema->resources = r;
    *ret = r;
    return FL_OK;
}

static enum fl_code add_anchor(struct fl_schema_site *site, struct fl_str name, bool is_dynamic)
{
    struct fl_schema_builder *b = site->b;
    enum fl_code code = FL_OK;
    for (struct fl_schema_anchor *a = site->resource->anchors; a; a = a->next) {
        if (!fl_str_eq(a->name, name))
            continue;
        if (a->node != site->node)
            return fl_schema_place_error(b->err, FL_BAD_PARAMS, site->place,
                                         ": has an anchor that is already there");
        a->is_dynamic = a->is_dynamic || is_dynamic;
        return FL_OK;
    }
    struct fl_schema_anchor *anchor = fl_schema_array_new(b, 1, sizeof *anchor, &code);
    if (!anchor)
        return code;
    *anchor = (struct fl_schema_anchor){
        .next = site->resource->anchors, .name = name, .node = site->node, .is_dynamic = is_dynamic
    };
    site->resource->anchors = anchor;
    return FL_OK;
}

/* `$id`: in front of its fragment the URI of a resource, and in draft-07 behind it an anchor. */
static enum fl_code open_resource(struct fl_schema_site *site, json_t *json,
                                  enum fl_schema_dialect dialect)
{
    struct fl_schema_builder *b = site->b;
    struct fl_str id = fl_json_str(site->kw.at[FL_KW_ID]);
    struct fl_schema_uri uri = fl_schema_uri_parse(id);
    if (uri.fragment.p)
        id.n = (size_t)(uri.fragment.p - 1 - id.p);
    if (id.n == 0 && uri.fragment.n > 0)
        return FL_OK;
    struct fl_buf absolute;
    fl_buf_init(&absolute, MAX_URI_BYTES);
    fl_schema_uri_resolve(&absolute, site->resource->uri, id);
    enum fl_code code = fl_buf_code(&absolute, b->err);
    if (code == FL_TOO_LARGE)
        fl_schema_place_error(b->err, code, site->place, "/$id: leads to a URI that is too long");
    if (code == FL_OK)
        code = fl_schema_resource_new(b, fl_buf_view(&absolute), json, dialect, site->place,
                                      &site->resource);
    fl_buf_fini(&absolute);
    return code;
}

/* The dialect that a subschema is written in: its own `$schema`, or what stands around it. */
static enum fl_code find_dialect(struct fl_schema_site *site, json_t *json,
                                 enum fl_schema_dialect *ret)
{
    json_t *value = json_object_get(json, "$schema");
    if (!json_is_string(value) || fl_schema_dialect_find(fl_json_str(value), ret))
        return FL_OK;
    struct fl_schema_text text = { .n = 0 };
    fl_schema_text_puts(&text, "/$schema: the dialect ");
    fl_schema_text_quote(&text, fl_json_str(value), 100);
    fl_schema_text_puts(&text, " is not supported (2020-12, 2019-09 and draft-07 are)");
    return fl_schema_place_error(site->b->err, FL_BAD_PARAMS, site->place, text.p);
}

static enum fl_code read_keywords(struct fl_schema_site *site, json_t *json,
                                  enum fl_schema_dialect dialect)
{
    struct fl_err why;
    enum fl_code code = fl_schema_keywords_read(json, dialect, &site->kw, &why);
    if (code != FL_OK)
        return fl_schema_place_error(site->b->err, code, site->place, why.text);
    json_t *ref = site->kw.at[FL_KW_REF], *definitions = site->kw.at[FL_KW_DEFINITIONS];
    if (dialect == FL_DIALECT_07 && ref) {
        /* What stands beside a $ref is ignored, but it may hold the definitions. */
        memset(&site->kw, 0, sizeof site->kw);
        site->kw.at[FL_KW_REF] = ref;
        site->kw.at[FL_KW_DEFINITIONS] = definitions;
    }
    return FL_OK;
}

/* `$id` and anchors; then site->resource is the one that the subschema belongs to. */
static enum fl_code identify(struct fl_schema_site *site, json_t *json, bool is_root)
{
    struct fl_schema_keywords *kw = &site->kw;
    struct fl_schema_resource *outer = site->resource;
    FL_ASSERT(outer);
    enum fl_schema_dialect dialect = outer->dialect;
    enum fl_code code = find_dialect(site, json, &dialect);
    if (code == FL_OK)
        code = read_keywords(site, json, dialect);
    if (code == FL_OK && kw->at[FL_KW_ID] && !is_root)
        code = open_resource(site, json, dialect);
    if (code != FL_OK)
        return code;
    bool opens = is_root || site->resource != outer;
    if (dialect != site->resource->dialect)
        return fl_schema_place_error(site->b->err, FL_BAD_PARAMS, site->place,
                                     "/$schema: another dialect needs an $id beside it");
    if (kw->at[FL_KW_ID]) { /* draft-07; in the others it has no fragment that says anything */
        struct fl_str fragment = fl_schema_uri_parse(fl_json_str(kw->at[FL_KW_ID])).fragment;
        if (fragment.n)
            code = add_anchor(site, fragment, false);
    }
    if (code == FL_OK && kw->at[FL_KW_ANCHOR])
        code = add_anchor(site, fl_json_str(kw->at[FL_KW_ANCHOR]), false);
    if (code == FL_OK && kw->at[FL_KW_DYNAMIC_ANCHOR])
        code = add_anchor(site, fl_json_str(kw->at[FL_KW_DYNAMIC_ANCHOR]), true);
    if (code == FL_OK && opens && json_is_true(kw->at[FL_KW_RECURSIVE_ANCHOR]))
        code = add_anchor(site, FL_STR(""), true);
    return code;
}

/* ---- descent ---- */

enum fl_code fl_schema_compile(struct fl_schema_builder *b, json_t *json,
                               struct fl_schema_resource *resource,
                               const struct fl_schema_place *place, bool is_root,
                               const struct fl_schema_node **ret)
{
    struct fl_schema *schema = b->schema;
    struct fl_schema_site site = { .b = b, .resource = resource, .place = place };
    enum fl_code code = FL_OK;
    if (json_is_boolean(json)) {
        *ret = json_is_true(json) ? schema->always : schema->never;
        return FL_OK;
    }
    FL_ASSERT(json_is_object(json)); /* the shape of the keyword was checked */
    if (schema->node_count == schema->options.max_subschemas)
        return fl_err_set(b->err, FL_TOO_LARGE, "the schema has more than %u subschemas",
                          schema->options.max_subschemas);
    site.node = fl_schema_array_new(b, 1, sizeof *site.node, &code);
    if (!site.node)
        return code;
    site.node->number = schema->node_count++;
    code = identify(&site, json, is_root);
    site.node->resource = site.resource;
    if (code == FL_OK)
        code = remember(b, json, site.node, site.resource);
    if (code == FL_OK)
        code = fl_schema_build_rules(&site);
    if (code == FL_OK)
        *ret = site.node;
    return code;
}

enum fl_code fl_schema_child(struct fl_schema_site *site, enum fl_schema_keyword keyword,
                             const struct fl_schema_node **ret)
{
    json_t *json = site->kw.at[keyword];
    if (!json)
        return FL_OK;
    struct fl_schema_place place = { .up = site->place, .name = fl_schema_keyword_name(keyword) };
    return fl_schema_compile(site->b, json, site->resource, &place, false, ret);
}

enum fl_code fl_schema_child_list(struct fl_schema_site *site, enum fl_schema_keyword keyword,
                                  struct fl_schema_nodes *ret)
{
    json_t *list = site->kw.at[keyword];
    size_t count = json_array_size(list);
    enum fl_code code = FL_OK;
    if (count == 0)
        return FL_OK;
    struct fl_schema_place outer = { .up = site->place, .name = fl_schema_keyword_name(keyword) };
    ret->at = fl_schema_array_new(site->b, count, sizeof *ret->at, &code);
    ret->count = count;
    for (size_t i = 0; i < count && code == FL_OK; i++) {
        struct fl_schema_place place = { .up = &outer, .index = i };
        code = fl_schema_compile(site->b, json_array_get(list, i), site->resource, &place, false,
                                 &ret->at[i]);
    }
    return code;
}

enum fl_code fl_schema_child_member(struct fl_schema_site *site, enum fl_schema_keyword keyword,
                                    struct fl_str name, json_t *json,
                                    const struct fl_schema_node **ret)
{
    struct fl_schema_place outer = { .up = site->place, .name = fl_schema_keyword_name(keyword) };
    struct fl_schema_place place = { .up = &outer, .name = name };
    return fl_schema_compile(site->b, json, site->resource, &place, false, ret);
}

/* ---- the document ---- */

static bool is_within(const json_t *json, unsigned depth, size_t *values)
{
    if (*values == 0 || (depth == 0 && (json_is_object(json) || json_is_array(json))))
        return false;
    --*values;
    for (size_t i = 0; i < json_array_size(json); i++) {
        if (!is_within(json_array_get(json, i), depth - 1, values))
            return false;
    }
    for (void *at = json_object_iter((json_t *)json); at;
         at = json_object_iter_next((json_t *)json, at)) {
        if (!is_within(json_object_iter_value(at), depth - 1, values))
            return false;
    }
    return true;
}

/* The root's own `$id` and `$schema`, before anything else is read. */
static enum fl_code open_document(struct fl_schema_builder *b, json_t *root,
                                  struct fl_schema_resource **ret)
{
    enum fl_schema_dialect dialect = FL_DIALECT_2020_12;
    struct fl_schema_site site = { .b = b };
    enum fl_code code = find_dialect(&site, root, &dialect);
    if (code != FL_OK)
        return code;
    json_t *id = json_object_get(root, "$id");
    bool is_ignored = dialect == FL_DIALECT_07 && json_object_get(root, "$ref");
    struct fl_str uri = json_is_string(id) && !is_ignored ? fl_json_str(id) : FL_STR("");
    struct fl_buf absolute;
    fl_buf_init(&absolute, MAX_URI_BYTES);
    fl_schema_uri_resolve(&absolute, FL_STR(""), uri);
    code = fl_buf_code(&absolute, b->err);
    if (code == FL_TOO_LARGE)
        fl_err_set(b->err, code, "/$id: leads to a URI that is too long");
    if (code == FL_OK)
        code = fl_schema_resource_new(b, fl_buf_view(&absolute), root, dialect, NULL, ret);
    fl_buf_fini(&absolute);
    return code;
}

static enum fl_code compile_document(struct fl_schema_builder *b, const json_t *json)
{
    struct fl_schema *schema = b->schema;
    struct fl_schema_resource *resource = NULL;
    size_t values = MAX_VALUES;
    if (!is_within(json, schema->options.max_depth, &values))
        return values ? fl_err_set(b->err, FL_TOO_LARGE, "the schema nests deeper than %u levels",
                                   schema->options.max_depth)
                      : fl_err_set(b->err, FL_TOO_LARGE, "the schema has more than %d values",
                                   MAX_VALUES);
    if (!json_is_object(json) && !json_is_boolean(json))
        return fl_err_set(b->err, FL_BAD_PARAMS, "a schema must be an object, true or false");
    json_t *copy = json_deep_copy(json);
    schema->documents = json_array();
    if (!copy || json_array_append_new(schema->documents, copy) != 0)
        return fl_err_code(b->err, FL_NOMEM);
    enum fl_code code = open_document(b, copy, &resource);
    if (code == FL_OK)
        code = fl_schema_compile(b, copy, resource, NULL, true, &schema->root);
    if (code == FL_OK)
        code = fl_schema_resolve(b);
    if (code == FL_OK)
        code = fl_schema_refuse_loops(b);
    return code;
}

static struct fl_schema *schema_new(const struct fl_schema_options *options)
{
    struct fl_schema *schema = fl_calloc(1, sizeof *schema);
    if (!schema)
        return NULL;
    schema->magic = FL_SCHEMA_MAGIC;
    if (options)
        schema->options = *options;
    struct fl_schema_options *o = &schema->options;
    o->max_depth = o->max_depth && o->max_depth < MAX_DEPTH ? o->max_depth : MAX_DEPTH;
    o->max_subschemas = o->max_subschemas ? o->max_subschemas : MAX_SUBSCHEMAS;
    o->max_steps = o->max_steps ? o->max_steps : MAX_STEPS;
    schema->arena = fl_arena_new(0);
    schema->patterns = fl_schema_patterns_new();
    if (schema->arena) {
        struct fl_schema_node *always = FL_ARENA_NEW(schema->arena, struct fl_schema_node);
        if (always)
            always->kinds = FL_KIND_ANY;
        schema->always = always;
        schema->never = FL_ARENA_NEW(schema->arena, struct fl_schema_node);
    }
    if (!schema->always || !schema->never || !schema->patterns)
        fl_schema_free(&schema);
    return schema;
}

enum fl_code fl_schema_new(const json_t *json, const struct fl_schema_options *options,
                           struct fl_schema **ret, struct fl_err *err)
{
    struct fl_err own = { FL_OK, "" };
    struct fl_schema_builder b = { .schema = schema_new(options), .err = err ? err : &own };
    if (!b.schema)
        return fl_err_code(err, FL_NOMEM);
    b.pending_end = &b.pending;
    enum fl_code code = compile_document(&b, json);
    fl_free(b.known);
    if (code == FL_OK)
        *ret = b.schema;
    else
        fl_schema_free(&b.schema);
    return code;
}

void fl_schema_free(struct fl_schema **schema)
{
    if (!*schema)
        return;
    FL_CHECK_MAGIC(*schema, FL_SCHEMA_MAGIC);
    fl_schema_patterns_free(&(*schema)->patterns);
    json_decref((*schema)->documents);
    fl_arena_free(&(*schema)->arena);
    fl_free(*schema);
    *schema = NULL;
}
