/* References: to the document itself, its parts, their anchors, and the built-in metaschemas;
 * nothing else exists. For schema_compile.c. */
#include <string.h>

#include "flopinio/base/json.h"
#include "mcp/schema_build.h"
#include "mcp/schema_uri.h"

#define MAX_TOKENS 64 /* a schema nests no deeper */

static enum fl_code refuse(const struct fl_schema_builder *b, const struct fl_schema_pending *p,
                           const char *why)
{
    struct fl_schema_text text = { .n = 0 };
    fl_schema_text_puts(&text, p->place);
    fl_schema_text_puts(&text, "/");
    fl_schema_text_put(&text, fl_schema_keyword_name(p->keyword));
    fl_schema_text_puts(&text, ": cannot refer to ");
    fl_schema_text_quote(&text, p->reference, 100);
    fl_schema_text_puts(&text, why);
    return fl_err_set(b->err, FL_BAD_PARAMS, "%s", text.p);
}

/* ---- the resource ---- */

/* One of the metaschemas becomes a further document. *ret stays NULL if `uri` is none. */
static enum fl_code load_metaschema(struct fl_schema_builder *b, struct fl_str uri,
                                    struct fl_schema_resource **ret)
{
    bool is_known;
    const struct fl_schema_node *unused;
    enum fl_schema_dialect dialect = FL_DIALECT_2020_12;
    json_t *json = fl_schema_metaschema_new(uri, &is_known);
    if (!json)
        return is_known ? fl_err_code(b->err, FL_NOMEM) : FL_OK;
    if (json_array_append_new(b->schema->documents, json) != 0)
        return fl_err_code(b->err, FL_NOMEM);
    bool is_ours = fl_schema_dialect_find(fl_json_str(json_object_get(json, "$schema")), &dialect);
    FL_ASSERT(is_ours);
    enum fl_code code = fl_schema_resource_new(b, uri, json, dialect, NULL, ret);
    if (code == FL_OK)
        code = fl_schema_compile(b, json, *ret, NULL, true, &unused);
    return code;
}

static enum fl_code find_resource(struct fl_schema_builder *b, const struct fl_schema_pending *p,
                                  struct fl_str target, struct fl_schema_resource **ret)
{
    *ret = p->resource;
    if (target.n == 0)
        return FL_OK;
    struct fl_buf absolute;
    struct fl_schema_resource *found = NULL;
    fl_buf_init(&absolute, MAX_URI_BYTES);
    fl_schema_uri_resolve(&absolute, p->resource->uri, target);
    enum fl_code code = fl_buf_code(&absolute, b->err);
    if (code == FL_TOO_LARGE)
        code = refuse(b, p, ": it leads to a URI that is too long");
    struct fl_str uri = fl_buf_view(&absolute);
    for (struct fl_schema_resource *r = b->schema->resources; r && !found; r = r->next) {
        if (fl_str_eq(r->uri, uri))
            found = r;
    }
    if (code == FL_OK && !found)
        code = load_metaschema(b, uri, &found);
    if (code == FL_OK && !found)
        code = refuse(b, p, ": it is not in this document, and nothing is fetched");
    fl_buf_fini(&absolute);
    if (code == FL_OK)
        *ret = found;
    return code;
}

/* ---- the place in it ---- */

static json_t *step(json_t *json, struct fl_str token)
{
    size_t index;
    if (json_is_object(json))
        return json_object_getn(json, token.p, token.n);
    return fl_json_pointer_index(token, &index) ? json_array_get(json, index) : NULL;
}

/* Follows a JSON pointer. What it finds may lie under a keyword that we do not know; then it is
 * compiled now, as part of the nearest resource around it. */
static enum fl_code find_pointer(struct fl_schema_builder *b, const struct fl_schema_pending *p,
                                 struct fl_schema_resource *resource, struct fl_str pointer,
                                 const struct fl_schema_node **ret)
{
    struct fl_schema_place places[MAX_TOKENS];
    struct fl_buf scratch = FL_BUF_INIT;
    struct fl_str token;
    size_t depth = 0, at = 0;
    FL_ASSERT(resource);
    json_t *json = resource->root;
    bool is_out_of_memory = false;
    while (json && !is_out_of_memory && fl_json_pointer_next(pointer, &at, &scratch, &token)) {
        const struct fl_schema_known *known = fl_schema_known(b, json);
        struct fl_str name = fl_arena_str(b->schema->arena, token);
        if (known)
            resource = known->resource;
        json = name.p && depth < MAX_TOKENS ? step(json, name) : NULL;
        is_out_of_memory = !name.p;
        if (json) {
            places[depth] =
                (struct fl_schema_place){ .up = depth ? &places[depth - 1] : NULL, .name = name };
            depth++;
        }
    }
    is_out_of_memory = is_out_of_memory || scratch.is_failed;
    fl_buf_fini(&scratch);
    if (is_out_of_memory)
        return fl_err_code(b->err, FL_NOMEM);
    if (!json || at < pointer.n)
        return refuse(b, p, ": there is no such place");
    const struct fl_schema_known *known = fl_schema_known(b, json);
    if (known) {
        *ret = known->node;
        return FL_OK;
    }
    if (!json_is_object(json) && !json_is_boolean(json))
        return refuse(b, p, ": there is no schema");
    return fl_schema_compile(b, json, resource, depth ? &places[depth - 1] : NULL, false, ret);
}

static const struct fl_schema_anchor *find_anchor(const struct fl_schema_resource *resource,
                                                  struct fl_str name)
{
    FL_ASSERT(resource);
    const struct fl_schema_anchor *anchor = resource->anchors;
    while (anchor && !fl_str_eq(anchor->name, name))
        anchor = anchor->next;
    return anchor;
}

static void set_target(const struct fl_schema_pending *p, const struct fl_schema_node *node,
                       const char *dynamic_name)
{
    if (p->keyword == FL_KW_REF) {
        p->logic->ref = node;
        return;
    }
    p->logic->dynamic_ref = node;
    p->logic->dynamic_name = dynamic_name;
}

static enum fl_code resolve(struct fl_schema_builder *b, const struct fl_schema_pending *p)
{
    struct fl_schema_resource *resource = NULL;
    const struct fl_schema_node *node = NULL;
    const struct fl_schema_anchor *anchor = NULL;
    struct fl_str encoded = fl_schema_uri_parse(p->reference).fragment, target = p->reference;
    bool is_malformed;
    if (p->keyword == FL_KW_RECURSIVE_REF && !fl_str_is(p->reference, "#"))
        return refuse(b, p, ": it must be \"#\"");
    if (encoded.p)
        target.n = (size_t)(encoded.p - 1 - target.p);
    enum fl_code code = find_resource(b, p, target, &resource);
    if (code != FL_OK)
        return code;
    struct fl_str fragment = fl_schema_uri_decode(b->schema->arena, encoded, &is_malformed);
    if (!fragment.p)
        return is_malformed ? refuse(b, p, ": it has a malformed escape")
                            : fl_err_code(b->err, FL_NOMEM);
    if (fragment.n == 0 || fragment.p[0] == '/') {
        code = find_pointer(b, p, resource, fragment, &node);
        if (code == FL_OK && p->keyword == FL_KW_RECURSIVE_REF)
            anchor = find_anchor(resource, FL_STR(""));
    } else {
        anchor = find_anchor(resource, fragment);
        node = anchor ? anchor->node : NULL;
        if (!anchor)
            code = refuse(b, p, ": there is no such anchor");
    }
    if (code == FL_OK)
        set_target(p, node, anchor && anchor->is_dynamic ? anchor->name.p : NULL);
    return code;
}

enum fl_code fl_schema_resolve(struct fl_schema_builder *b)
{
    enum fl_code code = FL_OK;
    for (struct fl_schema_pending *p = b->pending; p && code == FL_OK; p = p->next)
        code = resolve(b, p);
    return code;
}

/* ---- loops ---- */

bool fl_schema_in_place(const struct fl_schema_node *node, size_t i,
                        const struct fl_schema_node **ret)
{
    const struct fl_schema_logic *logic = node->logic;
    *ret = NULL;
    if (logic) {
        const struct fl_schema_node *const fixed[] = {
            logic->ref,
            logic->dynamic_ref,
            logic->never,
            logic->condition,
            logic->condition ? logic->then : NULL,
            logic->condition ? logic->otherwise : NULL,
        };
        const struct fl_schema_nodes *const lists[] = { &logic->all, &logic->any, &logic->one };
        if (i < FL_COUNTOF(fixed)) {
            *ret = fixed[i];
            return true;
        }
        i -= FL_COUNTOF(fixed);
        for (size_t k = 0; k < FL_COUNTOF(lists); k++) {
            if (i < lists[k]->count) {
                *ret = lists[k]->at[i];
                return true;
            }
            i -= lists[k]->count;
        }
    }
    if (!node->object || i >= node->object->dependency_count)
        return false;
    *ret = node->object->dependencies[i].node;
    return true;
}

struct visit {
    const struct fl_schema_node *node;
    size_t next; /* of its in-place subschemas */
};

enum colour { UNSEEN, OPEN, DONE };

static enum fl_code refuse_loop(const struct fl_schema_builder *b, const uint8_t *colours)
{
    /* Only references lead back; the first of an open subschema is named. */
    const struct fl_schema_pending *p = b->pending;
    while (p && colours[p->owner->number] != OPEN)
        p = p->next;
    FL_ASSERT(p);
    return refuse(b, p, ": it leads back here without descending into the value");
}

enum fl_code fl_schema_refuse_loops(struct fl_schema_builder *b)
{
    size_t count = b->schema->node_count;
    enum fl_code code = FL_OK;
    uint8_t *colours = fl_schema_array_new(b, count, sizeof *colours, &code);
    struct visit *stack = fl_schema_array_new(b, count, sizeof *stack, &code);
    for (const struct fl_schema_pending *p = b->pending; p && code == FL_OK; p = p->next) {
        size_t depth = 0; /* a loop has a reference, so that it is found from one */
        if (colours[p->owner->number] == UNSEEN)
            stack[depth++] = (struct visit){ p->owner, 0 };
        while (depth > 0) {
            struct visit *top = &stack[depth - 1];
            const struct fl_schema_node *child;
            colours[top->node->number] = OPEN;
            if (!fl_schema_in_place(top->node, top->next++, &child)) {
                colours[top->node->number] = DONE;
                depth--;
                continue;
            }
            if (!child || !child->has_rules || colours[child->number] == DONE)
                continue;
            if (colours[child->number] == OPEN)
                return refuse_loop(b, colours);
            stack[depth++] = (struct visit){ child, 0 };
        }
    }
    return code;
}
