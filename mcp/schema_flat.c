/* The short way for ordinary arguments: one level of names, texts, switches and integers, and a
 * schema that asks for kinds, lengths and required names only. It reads the text where it stands,
 * so that no tree has to be built; it only ever says yes, and whatever it cannot say is for
 * fl_schema_validate to judge and to explain. Any thread. */
#include "flopinio/base/scan.h"
#include "flopinio/base/utf8.h"
#include "mcp/schema_priv.h"

/* Steps stay far below the least budget that somebody would set. */
enum { MEMBERS_MAX = 64 };

static unsigned kind_of(struct fl_str value)
{
    switch (fl_span_type(value)) {
    case FL_SPAN_NULL: return FL_KIND_NULL;
    case FL_SPAN_FALSE:
    case FL_SPAN_TRUE: return FL_KIND_BOOLEAN;
    case FL_SPAN_NUMBER: return FL_KIND_INTEGER;
    case FL_SPAN_STRING: return FL_KIND_STRING;
    default: return 0;
    }
}

static bool fits_string(const struct fl_schema_string *rules, struct fl_str value)
{
    struct fl_str text = { value.p + 1, value.n - 2 };
    if (rules->pattern || rules->format || memchr(text.p, '\\', text.n))
        return false;
    /* A character has one to four bytes: most lengths are told without counting. */
    if (text.n / 4 >= rules->min && text.n <= rules->max)
        return true;
    uint64_t count = fl_utf8_count(text);
    return count >= rules->min && count <= rules->max;
}

static bool fits_value(const struct fl_schema_node *node, struct fl_str value)
{
    unsigned kind = kind_of(value);
    if (!(node->kinds & kind))
        return false;
    if (!node->has_rules)
        return true;
    if (node->constant || node->allowed || node->logic || node->number_rules)
        return false;
    return kind != FL_KIND_STRING || !node->string || fits_string(node->string, value);
}

static bool has_only_members(const struct fl_schema_node *root)
{
    const struct fl_schema_object *rules = root->object;
    if (!(root->kinds & FL_KIND_OBJECT))
        return false;
    if (root->constant || root->allowed || root->logic || root->unevaluated_members)
        return false;
    return !rules || (rules->pattern_count == 0 && rules->dependency_count == 0 &&
                      !rules->member_names && rules->min == 0 && rules->max == UINT64_MAX);
}

bool fl_schema_fits_flat(const struct fl_schema *schema, struct fl_str arguments)
{
    FL_CHECK_MAGIC(schema, FL_SCHEMA_MAGIC);
    const struct fl_schema_object *rules = schema->root->object;
    struct fl_str key, value;
    size_t pos = 0, count = 0, required = 0;
    if (!has_only_members(schema->root))
        return false;
    while (fl_span_next_member(arguments, &pos, &key, &value)) {
        if (count++ == MEMBERS_MAX || !fl_span_is_flat(key, value))
            return false;
        if (!rules)
            continue;
        const struct fl_schema_name *row =
            fl_schema_find_name(rules, (struct fl_str){ key.p + 1, key.n - 2 });
        required += row && row->is_required;
        const struct fl_schema_node *node = row && row->node ? row->node : rules->additional;
        if (node && !fits_value(node, value))
            return false;
    }
    return !rules || required == rules->required_count;
}
