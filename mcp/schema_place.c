/* What a schema says about a place without a value at hand: whether it can exist, and whether it is
 * for writing only. For fl_schema_allows_path's callers and schema_explain.c, any thread. */
#include <string.h>

#include "mcp/schema_eval.h"

/* ---- writeOnly: all subschemas that may speak of a place ---- */

#define MAX_NODES 128

struct node_set {
    const struct fl_schema_node *at[MAX_NODES];
    size_t count;
    bool is_full;
};

static void add(struct node_set *set, const struct fl_schema_node *node)
{
    if (!node)
        return;
    for (size_t i = 0; i < set->count; i++) {
        if (set->at[i] == node)
            return;
    }
    if (set->count == MAX_NODES)
        set->is_full = true;
    else
        set->at[set->count++] = node;
}

/* Everything that is applied in place, wherever a dynamic reference may lead. True if one of them
 * is marked. */
static bool close_set(const struct fl_schema *schema, struct node_set *set)
{
    bool is_marked = set->is_full;
    for (size_t i = 0; i < set->count && !set->is_full; i++) {
        const struct fl_schema_node *node = set->at[i], *part;
        is_marked = is_marked || node->is_write_only;
        for (size_t k = 0; !set->is_full && fl_schema_in_place(node, k, &part); k++)
            add(set, part);
        const char *name = node->logic ? node->logic->dynamic_name : NULL;
        for (const struct fl_schema_resource *r = name ? schema->resources : NULL; r; r = r->next) {
            for (const struct fl_schema_anchor *a = r->anchors; a; a = a->next) {
                if (a->is_dynamic && fl_str_is(a->name, name))
                    add(set, a->node);
            }
        }
    }
    return is_marked || set->is_full;
}

static void add_members(struct node_set *set, const struct fl_schema_node *node, struct fl_str name)
{
    const struct fl_schema_object *rules = node->object;
    const struct fl_schema_name *row = rules ? fl_schema_find_name(rules, name) : NULL;
    for (size_t i = 0; rules && i < rules->pattern_count; i++)
        add(set, rules->patterns[i].node); /* it may match: better too many than one too few */
    if (row && row->node) {
        add(set, row->node);
        return;
    }
    if (rules)
        add(set, rules->additional);
    add(set, node->unevaluated_members);
}

static void add_items(struct node_set *set, const struct fl_schema_node *node, size_t index)
{
    const struct fl_schema_array *rules = node->array;
    if (rules) {
        add(set, index < rules->prefix.count ? rules->prefix.at[index] : rules->rest);
        add(set, rules->contains);
    }
    add(set, node->unevaluated_items);
}

size_t fl_schema_public_levels(const struct fl_schema *schema,
                               const struct fl_schema_place *const *way, size_t count)
{
    struct node_set here = { .count = 0 }, below;
    add(&here, schema->root);
    for (size_t level = 0; level < count; level++) {
        if (close_set(schema, &here))
            return level; /* this place may be named, nothing below it */
        below.count = 0;
        below.is_full = false;
        for (size_t i = 0; i < here.count; i++) {
            if (way[level]->name.p)
                add_members(&below, here.at[i], way[level]->name);
            else
                add_items(&below, here.at[i], way[level]->index);
        }
        here = below;
    }
    return count;
}

/* ---- can it exist? ---- */

struct question {
    const struct fl_schema *schema;
    struct fl_schema_matcher matcher;
    uint32_t steps;
    uint16_t depth;
};

static bool allows(struct question *q, const struct fl_schema_node *node, const char *const *names,
                   size_t count);

static bool is_below(const json_t *value, const char *const *names, size_t count)
{
    for (size_t i = 0; value && i < count; i++) {
        unsigned long long index;
        if (json_is_array(value))
            value = fl_str_to_u64(fl_str_of(names[i]), &index) && index < json_array_size(value)
                        ? json_array_get(value, (size_t)index)
                        : NULL;
        else
            value = json_object_get(value, names[i]);
    }
    return value;
}

static bool values_allow(const struct fl_schema_values *values, const char *const *names,
                         size_t count)
{
    if (values->is_const)
        return is_below(values->shown, names, count);
    for (size_t i = 0; i < json_array_size(values->shown); i++) {
        if (is_below(json_array_get(values->shown, i), names, count))
            return true;
    }
    return false;
}

/* Does some subschema within `node` speak of the member? Then unevaluatedProperties does not. */
static bool is_declared(struct question *q, const struct fl_schema_node *node, struct fl_str name)
{
    struct node_set set = { .count = 0 };
    add(&set, node);
    close_set(q->schema, &set);
    q->steps -= q->steps < set.count ? q->steps : (uint32_t)set.count;
    for (size_t i = 0; i < set.count; i++) {
        const struct fl_schema_object *rules = set.at[i]->object;
        const struct fl_schema_name *row = rules ? fl_schema_find_name(rules, name) : NULL;
        if ((row && row->node) || (rules && rules->additional) ||
            (set.at[i] != node && set.at[i]->unevaluated_members))
            return true;
        for (size_t k = 0; rules && k < rules->pattern_count; k++) {
            if (fl_schema_pattern_match(rules->patterns[k].pattern, name, &q->matcher) !=
                FL_NO_MATCH)
                return true;
        }
    }
    return set.is_full;
}

static bool object_allows(struct question *q, const struct fl_schema_node *node,
                          const char *const *names, size_t count)
{
    const struct fl_schema_object *rules = node->object;
    struct fl_str name = fl_str_of(names[0]);
    const struct fl_schema_name *row = rules ? fl_schema_find_name(rules, name) : NULL;
    bool is_known = row && row->node;
    if (is_known && !allows(q, row->node, names + 1, count - 1))
        return false;
    for (size_t i = 0; rules && i < rules->pattern_count; i++) {
        enum fl_schema_match match =
            fl_schema_pattern_match(rules->patterns[i].pattern, name, &q->matcher);
        if (match == FL_NO_MATCH)
            continue;
        is_known = true;
        if (match == FL_MATCH && !allows(q, rules->patterns[i].node, names + 1, count - 1))
            return false;
    }
    if (!is_known && rules && rules->additional)
        return allows(q, rules->additional, names + 1, count - 1);
    if (!is_known && node->unevaluated_members && !is_declared(q, node, name))
        return allows(q, node->unevaluated_members, names + 1, count - 1);
    return true;
}

static bool array_allows(struct question *q, const struct fl_schema_node *node,
                         const char *const *names, size_t count)
{
    const struct fl_schema_array *rules = node->array;
    unsigned long long index;
    if (!fl_str_to_u64(fl_str_of(names[0]), &index))
        return false;
    if (!rules)
        return true;
    if (index >= rules->max)
        return false;
    const struct fl_schema_node *item =
        index < rules->prefix.count ? rules->prefix.at[index] : rules->rest;
    return !item || allows(q, item, names + 1, count - 1);
}

static bool any_allows(struct question *q, const struct fl_schema_nodes *nodes,
                       const char *const *names, size_t count)
{
    for (size_t i = 0; i < nodes->count; i++) {
        if (allows(q, nodes->at[i], names, count))
            return true;
    }
    return nodes->count == 0;
}

static bool logic_allows(struct question *q, const struct fl_schema_logic *logic,
                         const char *const *names, size_t count)
{
    if (logic->ref && !allows(q, logic->ref, names, count))
        return false;
    if (logic->dynamic_ref && !logic->dynamic_name && !allows(q, logic->dynamic_ref, names, count))
        return false;
    for (size_t i = 0; i < logic->all.count; i++) {
        if (!allows(q, logic->all.at[i], names, count))
            return false;
    }
    if (!any_allows(q, &logic->any, names, count) || !any_allows(q, &logic->one, names, count))
        return false;
    if (logic->condition && logic->then && logic->otherwise)
        return allows(q, logic->then, names, count) || allows(q, logic->otherwise, names, count);
    return true;
}

/* Several rules of one subschema must all allow it. What cannot be told in bounds is allowed. */
static bool allows(struct question *q, const struct fl_schema_node *node, const char *const *names,
                   size_t count)
{
    bool may_object = node->kinds & FL_KIND_OBJECT, may_array = node->kinds & FL_KIND_ARRAY;
    if (node->kinds == 0 || (count > 0 && !may_object && !may_array))
        return false;
    if (q->steps == 0 || q->depth == FL_EVAL_DEPTH)
        return true;
    q->steps--;
    q->depth++;
    bool is_allowed = count == 0 || (may_object && object_allows(q, node, names, count)) ||
                      (may_array && array_allows(q, node, names, count));
    is_allowed = is_allowed && (!node->logic || logic_allows(q, node->logic, names, count));
    q->depth--;
    return is_allowed && (!node->constant || values_allow(node->constant, names, count)) &&
           (!node->allowed || values_allow(node->allowed, names, count));
}

bool fl_schema_allows_path(const struct fl_schema *schema, const char *const *names, size_t count)
{
    FL_CHECK_MAGIC(schema, FL_SCHEMA_MAGIC);
    struct question q = { .schema = schema, .steps = schema->options.max_steps };
    q.matcher.steps = &q.steps;
    bool is_allowed = allows(&q, schema->root, names, count);
    fl_schema_matcher_fini(&q.matcher);
    return is_allowed;
}
