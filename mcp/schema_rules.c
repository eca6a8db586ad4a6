/* The rules of one subschema, by the kind of value that they speak of. For schema_compile.c. */
#include <stdlib.h>
#include <string.h>

#include "mcp/schema_build.h"

int fl_schema_cmp_str(struct fl_str a, struct fl_str b)
{
    if (a.n != b.n)
        return a.n < b.n ? -1 : 1;
    return a.n ? memcmp(a.p, b.p, a.n) : 0;
}

static bool has_any(const struct fl_schema_site *site, const enum fl_schema_keyword *keywords,
                    size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (site->kw.at[keywords[i]])
            return true;
    }
    return false;
}
#define HAS_ANY(site, ...)                                                                         \
    has_any((site), (const enum fl_schema_keyword[]){ __VA_ARGS__ },                               \
            sizeof((const enum fl_schema_keyword[]){ __VA_ARGS__ }) /                              \
                sizeof(enum fl_schema_keyword))

static uint64_t count_at(const struct fl_schema_site *site, enum fl_schema_keyword keyword,
                         uint64_t otherwise)
{
    const json_t *value = site->kw.at[keyword];
    uint64_t count = otherwise;
    if (value)
        fl_schema_value_count(value, &count); /* its shape was checked */
    return count;
}

static enum fl_code add_pattern(struct fl_schema_site *site, enum fl_schema_keyword keyword,
                                struct fl_str source, bool is_member,
                                const struct fl_schema_pattern **ret)
{
    struct fl_err why;
    enum fl_code code = fl_schema_patterns_add(site->b->schema->patterns, source, ret, &why);
    if (code == FL_OK)
        return FL_OK;
    struct fl_schema_place outer = { .up = site->place, .name = fl_schema_keyword_name(keyword) };
    struct fl_schema_place inner = { .up = &outer, .name = source };
    struct fl_schema_text rest = { .n = 0 };
    fl_schema_text_puts(&rest, ": ");
    fl_schema_text_puts(&rest, why.text);
    return fl_schema_place_error(site->b->err, code, is_member ? &inner : &outer, rest.p);
}

/* ---- enum and const ---- */

static int cmp_strings(const void *a, const void *b)
{
    return fl_schema_cmp_str(*(const struct fl_str *)a, *(const struct fl_str *)b);
}

static enum fl_code build_values(struct fl_schema_site *site, enum fl_schema_keyword keyword,
                                 const struct fl_schema_values **ret)
{
    json_t *shown = site->kw.at[keyword];
    enum fl_code code = FL_OK;
    if (!shown)
        return FL_OK;
    bool is_const = keyword == FL_KW_CONST;
    size_t count = is_const ? 1 : json_array_size(shown);
    struct fl_schema_values *values = fl_schema_array_new(site->b, 1, sizeof *values, &code);
    if (!values)
        return code;
    values->strings = fl_schema_array_new(site->b, count, sizeof *values->strings, &code);
    if (code == FL_OK)
        values->others = fl_schema_array_new(site->b, count, sizeof *values->others, &code);
    if (code != FL_OK)
        return code;
    for (size_t i = 0; i < count; i++) {
        const json_t *value = is_const ? shown : json_array_get(shown, i);
        if (json_is_string(value))
            values->strings[values->string_count++] = fl_json_str(value);
        else
            values->others[values->other_count++] = value;
    }
    qsort(values->strings, values->string_count, sizeof *values->strings, cmp_strings);
    values->shown = shown;
    values->is_const = is_const;
    *ret = values;
    return FL_OK;
}

/* ---- strings and numbers ---- */

static enum fl_code build_string(struct fl_schema_site *site)
{
    enum fl_code code = FL_OK;
    const struct fl_schema_format *format = NULL;
    if (site->kw.at[FL_KW_FORMAT] && site->b->schema->options.asserts_format)
        format = fl_schema_format_find(fl_json_str(site->kw.at[FL_KW_FORMAT]));
    if (!format && !HAS_ANY(site, FL_KW_MIN_LENGTH, FL_KW_MAX_LENGTH, FL_KW_PATTERN))
        return FL_OK;
    struct fl_schema_string *rules = fl_schema_array_new(site->b, 1, sizeof *rules, &code);
    if (!rules)
        return code;
    rules->min = count_at(site, FL_KW_MIN_LENGTH, 0);
    rules->max = count_at(site, FL_KW_MAX_LENGTH, UINT64_MAX);
    rules->format = format;
    if (site->kw.at[FL_KW_PATTERN])
        code = add_pattern(site, FL_KW_PATTERN, fl_json_str(site->kw.at[FL_KW_PATTERN]), false,
                           &rules->pattern);
    site->node->string = rules;
    return code;
}

static enum fl_code build_number(struct fl_schema_site *site)
{
    enum fl_code code = FL_OK;
    if (!HAS_ANY(site, FL_KW_MINIMUM, FL_KW_MAXIMUM, FL_KW_EXCLUSIVE_MINIMUM,
                 FL_KW_EXCLUSIVE_MAXIMUM, FL_KW_MULTIPLE_OF))
        return FL_OK;
    struct fl_schema_number *rules = fl_schema_array_new(site->b, 1, sizeof *rules, &code);
    if (!rules)
        return code;
    rules->minimum = site->kw.at[FL_KW_MINIMUM];
    rules->maximum = site->kw.at[FL_KW_MAXIMUM];
    rules->above = site->kw.at[FL_KW_EXCLUSIVE_MINIMUM];
    rules->below = site->kw.at[FL_KW_EXCLUSIVE_MAXIMUM];
    rules->multiple_of = site->kw.at[FL_KW_MULTIPLE_OF];
    if (rules->multiple_of)
        rules->divisor = fl_schema_decimal_of(rules->multiple_of);
    site->node->number_rules = rules;
    return FL_OK;
}

/* ---- arrays ---- */

static enum fl_code build_array(struct fl_schema_site *site)
{
    enum fl_code code = FL_OK;
    if (!HAS_ANY(site, FL_KW_PREFIX_ITEMS, FL_KW_ITEMS, FL_KW_ADDITIONAL_ITEMS, FL_KW_CONTAINS,
                 FL_KW_MIN_ITEMS, FL_KW_MAX_ITEMS, FL_KW_UNIQUE_ITEMS))
        return FL_OK;
    struct fl_schema_array *rules = fl_schema_array_new(site->b, 1, sizeof *rules, &code);
    if (!rules)
        return code;
    site->node->array = rules;
    rules->min = count_at(site, FL_KW_MIN_ITEMS, 0);
    rules->max = count_at(site, FL_KW_MAX_ITEMS, UINT64_MAX);
    rules->min_contains = count_at(site, FL_KW_MIN_CONTAINS, 1);
    rules->max_contains = count_at(site, FL_KW_MAX_CONTAINS, UINT64_MAX);
    rules->is_unique = json_is_true(site->kw.at[FL_KW_UNIQUE_ITEMS]);
    rules->contains_evaluates = site->resource->dialect == FL_DIALECT_2020_12;
    code = fl_schema_child(site, FL_KW_CONTAINS, &rules->contains);
    if (code != FL_OK)
        return code;
    if (json_is_array(site->kw.at[FL_KW_ITEMS])) { /* the older dialects' way to say prefixItems */
        code = fl_schema_child_list(site, FL_KW_ITEMS, &rules->prefix);
        if (code == FL_OK)
            code = fl_schema_child(site, FL_KW_ADDITIONAL_ITEMS, &rules->rest);
        return code;
    }
    code = fl_schema_child_list(site, FL_KW_PREFIX_ITEMS, &rules->prefix);
    if (code == FL_OK)
        code = fl_schema_child(site, FL_KW_ITEMS, &rules->rest);
    if (code == FL_OK && site->kw.at[FL_KW_ADDITIONAL_ITEMS]) {
        const struct fl_schema_node *unused; /* says nothing here, but may be referred to */
        code = fl_schema_child(site, FL_KW_ADDITIONAL_ITEMS, &unused);
    }
    return code;
}

/* ---- objects ---- */

static int cmp_names(const void *a, const void *b)
{
    return fl_schema_cmp_str(((const struct fl_schema_name *)a)->name,
                             ((const struct fl_schema_name *)b)->name);
}

/* `properties` and `required` in one sorted table. */
static enum fl_code build_names(struct fl_schema_site *site, struct fl_schema_object *rules)
{
    json_t *properties = site->kw.at[FL_KW_PROPERTIES], *required = site->kw.at[FL_KW_REQUIRED];
    size_t count = 0, kept = 0;
    enum fl_code code = FL_OK;
    struct fl_schema_name *names = fl_schema_array_new(
        site->b, json_object_size(properties) + json_array_size(required), sizeof *names, &code);
    for (void *at = json_object_iter(properties); at && code == FL_OK;
         at = json_object_iter_next(properties, at), count++) {
        struct fl_str name = { json_object_iter_key(at), json_object_iter_key_len(at) };
        names[count].name = name;
        code = fl_schema_child_member(site, FL_KW_PROPERTIES, name, json_object_iter_value(at),
                                      &names[count].node);
    }
    if (code != FL_OK)
        return code;
    for (size_t i = 0; i < json_array_size(required); i++, count++) {
        names[count].name = fl_json_str(json_array_get(required, i));
        names[count].is_required = true;
    }
    qsort(names, count, sizeof *names, cmp_names);
    for (size_t i = 0; i < count; i++) { /* one row for each name */
        struct fl_schema_name *last = kept ? &names[kept - 1] : NULL;
        if (last && fl_str_eq(last->name, names[i].name)) {
            last->node = last->node ? last->node : names[i].node;
            last->is_required = last->is_required || names[i].is_required;
        } else {
            names[kept++] = names[i];
        }
    }
    for (size_t i = 0; i < kept; i++)
        rules->required_count += names[i].is_required;
    rules->names = names;
    rules->name_count = kept;
    return FL_OK;
}

static enum fl_code build_pattern_members(struct fl_schema_site *site,
                                          struct fl_schema_object *rules)
{
    json_t *members = site->kw.at[FL_KW_PATTERN_PROPERTIES];
    enum fl_code code = FL_OK;
    rules->patterns =
        fl_schema_array_new(site->b, json_object_size(members), sizeof *rules->patterns, &code);
    for (void *at = json_object_iter(members); at && code == FL_OK;
         at = json_object_iter_next(members, at)) {
        struct fl_schema_pattern_member *row = &rules->patterns[rules->pattern_count++];
        struct fl_str name = { json_object_iter_key(at), json_object_iter_key_len(at) };
        code = add_pattern(site, FL_KW_PATTERN_PROPERTIES, name, true, &row->pattern);
        if (code == FL_OK)
            code = fl_schema_child_member(site, FL_KW_PATTERN_PROPERTIES, name,
                                          json_object_iter_value(at), &row->node);
    }
    return code;
}

static enum fl_code build_dependencies(struct fl_schema_site *site, struct fl_schema_object *rules)
{
    static const enum fl_schema_keyword keywords[] = { FL_KW_DEPENDENT_REQUIRED,
                                                       FL_KW_DEPENDENT_SCHEMAS,
                                                       FL_KW_DEPENDENCIES };
    size_t count = 0;
    enum fl_code code = FL_OK;
    for (size_t k = 0; k < FL_COUNTOF(keywords); k++)
        count += json_object_size(site->kw.at[keywords[k]]);
    rules->dependencies = fl_schema_array_new(site->b, count, sizeof *rules->dependencies, &code);
    for (size_t k = 0; k < FL_COUNTOF(keywords) && code == FL_OK; k++) {
        json_t *members = site->kw.at[keywords[k]];
        for (void *at = json_object_iter(members); at && code == FL_OK;
             at = json_object_iter_next(members, at)) {
            struct fl_schema_dependency *row = &rules->dependencies[rules->dependency_count++];
            json_t *value = json_object_iter_value(at);
            row->name = (struct fl_str){ json_object_iter_key(at), json_object_iter_key_len(at) };
            if (json_is_array(value))
                row->needs = value;
            else
                code = fl_schema_child_member(site, keywords[k], row->name, value, &row->node);
        }
    }
    return code;
}

static enum fl_code build_object(struct fl_schema_site *site)
{
    enum fl_code code = FL_OK;
    if (!HAS_ANY(site, FL_KW_PROPERTIES, FL_KW_REQUIRED, FL_KW_PATTERN_PROPERTIES,
                 FL_KW_ADDITIONAL_PROPERTIES, FL_KW_PROPERTY_NAMES, FL_KW_MIN_PROPERTIES,
                 FL_KW_MAX_PROPERTIES, FL_KW_DEPENDENT_REQUIRED, FL_KW_DEPENDENT_SCHEMAS,
                 FL_KW_DEPENDENCIES))
        return FL_OK;
    struct fl_schema_object *rules = fl_schema_array_new(site->b, 1, sizeof *rules, &code);
    if (!rules)
        return code;
    site->node->object = rules;
    rules->min = count_at(site, FL_KW_MIN_PROPERTIES, 0);
    rules->max = count_at(site, FL_KW_MAX_PROPERTIES, UINT64_MAX);
    code = build_names(site, rules);
    if (code == FL_OK)
        code = build_pattern_members(site, rules);
    if (code == FL_OK)
        code = fl_schema_child(site, FL_KW_ADDITIONAL_PROPERTIES, &rules->additional);
    if (code == FL_OK)
        code = fl_schema_child(site, FL_KW_PROPERTY_NAMES, &rules->member_names);
    if (code == FL_OK)
        code = build_dependencies(site, rules);
    return code;
}

/* ---- applicators in place ---- */

static enum fl_code add_reference(struct fl_schema_site *site, struct fl_schema_logic *logic,
                                  enum fl_schema_keyword keyword)
{
    enum fl_code code = FL_OK;
    if (!site->kw.at[keyword])
        return FL_OK;
    struct fl_schema_pending *pending = fl_schema_array_new(site->b, 1, sizeof *pending, &code);
    if (!pending)
        return code;
    struct fl_schema_text place = { .n = 0 };
    fl_schema_text_place(&place, site->place);
    char *copy = fl_arena_strdup(site->b->schema->arena, place.p);
    if (!copy)
        return fl_err_code(site->b->err, FL_NOMEM);
    *pending = (struct fl_schema_pending){ .owner = site->node,
                                           .resource = site->resource,
                                           .logic = logic,
                                           .keyword = keyword,
                                           .reference = fl_json_str(site->kw.at[keyword]),
                                           .place = copy };
    *site->b->pending_end = pending;
    site->b->pending_end = &pending->next;
    return FL_OK;
}

static enum fl_code build_logic(struct fl_schema_site *site)
{
    enum fl_code code = FL_OK;
    if (!HAS_ANY(site, FL_KW_REF, FL_KW_DYNAMIC_REF, FL_KW_RECURSIVE_REF, FL_KW_ALL_OF,
                 FL_KW_ANY_OF, FL_KW_ONE_OF, FL_KW_NOT, FL_KW_IF, FL_KW_THEN, FL_KW_ELSE))
        return FL_OK;
    struct fl_schema_logic *logic = fl_schema_array_new(site->b, 1, sizeof *logic, &code);
    if (!logic)
        return code;
    site->node->logic = logic;
    static const enum fl_schema_keyword references[] = { FL_KW_REF, FL_KW_DYNAMIC_REF,
                                                         FL_KW_RECURSIVE_REF };
    for (size_t i = 0; i < FL_COUNTOF(references) && code == FL_OK; i++)
        code = add_reference(site, logic, references[i]);
    struct {
        enum fl_schema_keyword keyword;
        struct fl_schema_nodes *list;
        const struct fl_schema_node **one;
    } parts[] = {
        { FL_KW_ALL_OF, &logic->all, NULL },     { FL_KW_ANY_OF, &logic->any, NULL },
        { FL_KW_ONE_OF, &logic->one, NULL },     { FL_KW_NOT, NULL, &logic->never },
        { FL_KW_IF, NULL, &logic->condition },   { FL_KW_THEN, NULL, &logic->then },
        { FL_KW_ELSE, NULL, &logic->otherwise },
    };
    for (size_t i = 0; i < FL_COUNTOF(parts) && code == FL_OK; i++)
        code = parts[i].list ? fl_schema_child_list(site, parts[i].keyword, parts[i].list)
                             : fl_schema_child(site, parts[i].keyword, parts[i].one);
    return code;
}

/* Subschemas that only references reach. */
static enum fl_code build_definitions(struct fl_schema_site *site)
{
    static const enum fl_schema_keyword keywords[] = { FL_KW_DEFS, FL_KW_DEFINITIONS };
    enum fl_code code = FL_OK;
    for (size_t k = 0; k < FL_COUNTOF(keywords); k++) {
        json_t *members = site->kw.at[keywords[k]];
        for (void *at = json_object_iter(members); at && code == FL_OK;
             at = json_object_iter_next(members, at)) {
            const struct fl_schema_node *unused;
            struct fl_str name = { json_object_iter_key(at), json_object_iter_key_len(at) };
            code = fl_schema_child_member(site, keywords[k], name, json_object_iter_value(at),
                                          &unused);
        }
    }
    return code;
}

enum fl_code fl_schema_build_rules(struct fl_schema_site *site)
{
    struct fl_schema_node *node = site->node;
    node->kinds = site->kw.at[FL_KW_TYPE]
                      ? (uint8_t)fl_schema_keyword_kinds(site->kw.at[FL_KW_TYPE])
                      : FL_KIND_ANY;
    node->is_write_only = json_is_true(site->kw.at[FL_KW_WRITE_ONLY]);
    enum fl_code code = build_definitions(site);
    if (code == FL_OK)
        code = build_values(site, FL_KW_ENUM, &node->allowed);
    if (code == FL_OK)
        code = build_values(site, FL_KW_CONST, &node->constant);
    if (code == FL_OK)
        code = build_string(site);
    if (code == FL_OK)
        code = build_number(site);
    if (code == FL_OK)
        code = build_array(site);
    if (code == FL_OK)
        code = build_object(site);
    if (code == FL_OK)
        code = build_logic(site);
    if (code == FL_OK)
        code = fl_schema_child(site, FL_KW_UNEVALUATED_PROPERTIES, &node->unevaluated_members);
    if (code == FL_OK)
        code = fl_schema_child(site, FL_KW_UNEVALUATED_ITEMS, &node->unevaluated_items);
    node->has_rules = node->allowed || node->constant || node->string || node->number_rules ||
                      node->array || node->object || node->logic || node->unevaluated_members ||
                      node->unevaluated_items;
    return code;
}
