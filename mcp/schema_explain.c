/* Why a value does not fit, in words for whoever called the tool. The texts hold what the schema
 * says and where, never the value. For schema_eval*.c; runs once in a validation that fails. */
#include "mcp/schema_eval.h"

#include <stdarg.h>
#include <stdio.h>

#define SHOWN_BYTES  60  /* of one value of the schema */
#define LIST_BYTES   220 /* of the values of an enum together */
#define CHOICE_DEPTH 8   /* choices within choices that are explained */

static void put_place(struct fl_schema_run *run, struct fl_schema_text *text,
                      const struct fl_schema_place *place, bool *ret_is_public)
{
    const struct fl_schema_place *way[FL_EVAL_DEPTH + 1];
    size_t count = 0;
    for (const struct fl_schema_place *at = place; at; at = at->up) {
        FL_ASSERT(count <
                  FL_COUNTOF(way)); /* a level each of the evaluation, and what is missing in it */
        way[count++] = at;
    }
    for (size_t i = 0; i < count / 2; i++) { /* from the root on */
        const struct fl_schema_place *other = way[i];
        way[i] = way[count - 1 - i];
        way[count - 1 - i] = other;
    }
    size_t shown = fl_schema_public_levels(run->schema, way, count);
    fl_schema_text_place(text, shown ? way[shown - 1] : NULL);
    *ret_is_public = shown == count;
}

enum fl_schema_verdict fl_schema_fail(struct fl_schema_run *run,
                                      const struct fl_schema_place *place, const char *fmt, ...)
{
    if (run->quiet)
        return FL_FAILS;
    struct fl_schema_text text = { .n = 0 };
    char why[FL_ERR_TEXT_BYTES];
    bool is_public;
    put_place(run, &text, place, &is_public);
    if (text.n)
        fl_schema_text_puts(&text, ": ");
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(why, sizeof why, fmt, ap);
    va_end(ap);
    fl_schema_text_puts(&text, is_public ? why : "does not fit the schema");
    fl_err_set(run->err, FL_BAD_PARAMS, "%s", text.p);
    return FL_FAILS;
}

enum fl_schema_verdict fl_schema_stop(struct fl_schema_run *run, enum fl_code code, const char *why)
{
    run->code = code;
    if (code == FL_TOO_LARGE && !why)
        fl_err_set(run->err, code, "checking it against the schema takes more than %u steps",
                   run->schema->options.max_steps);
    else
        fl_err_set(run->err, code, "%s", why ? why : fl_code_text(code));
    return FL_STOPS;
}

enum fl_schema_verdict fl_schema_fail_kind(struct fl_schema_run *run,
                                           const struct fl_schema_place *place, unsigned kinds)
{
    char words[120];
    if (run->quiet)
        return FL_FAILS;
    if (kinds == 0)
        return fl_schema_fail(run, place, "is not allowed");
    fl_schema_kind_words(kinds, words, sizeof words);
    return fl_schema_fail(run, place, "must be %s", words);
}

enum fl_schema_verdict fl_schema_fail_values(struct fl_schema_run *run,
                                             const struct fl_schema_place *place,
                                             const struct fl_schema_values *values)
{
    struct fl_schema_text list = { .n = 0 };
    if (run->quiet)
        return FL_FAILS;
    size_t count = values->string_count + values->other_count, i = 0;
    if (count == 0)
        return fl_schema_fail(run, place, "is not allowed");
    for (; i < count && list.n < LIST_BYTES - SHOWN_BYTES; i++) {
        const json_t *value = values->is_const ? values->shown : json_array_get(values->shown, i);
        if ((json_is_object(value) || json_is_array(value)) && count == 1)
            return fl_schema_fail(run, place, "must be the one value that is listed");
        if (json_is_object(value) || json_is_array(value))
            return fl_schema_fail(run, place, "must be one of the %zu values that are listed",
                                  count);
        fl_schema_text_puts(&list, i ? ", " : "");
        fl_schema_text_value(&list, value, SHOWN_BYTES);
    }
    if (i < count)
        return fl_schema_fail(run, place, "must be one of %s and %zu more", list.p, count - i);
    return fl_schema_fail(run, place, "must be %s%s", count > 1 ? "one of " : "", list.p);
}

enum fl_schema_verdict fl_schema_fail_bound(struct fl_schema_run *run,
                                            const struct fl_schema_place *place, const char *how,
                                            const json_t *bound)
{
    struct fl_schema_text number = { .n = 0 };
    if (run->quiet)
        return FL_FAILS;
    fl_schema_text_value(&number, bound, SHOWN_BYTES);
    return fl_schema_fail(run, place, "%s %s", how, number.p);
}

enum fl_schema_verdict fl_schema_fail_unknown(struct fl_schema_run *run,
                                              const struct fl_schema_place *place,
                                              const struct fl_schema_object *rules)
{
    unsigned best = 3; /* two typing errors at most */
    const struct fl_schema_name *meant = NULL;
    if (run->quiet)
        return FL_FAILS;
    bool is_small = rules && rules->name_count <= 256 && place->name.n > 2;
    for (size_t i = 0; is_small && i < rules->name_count; i++) {
        unsigned distance = fl_str_distance(rules->names[i].name, place->name);
        if (rules->names[i].node && distance < best) {
            best = distance;
            meant = &rules->names[i];
        }
    }
    if (!meant)
        return fl_schema_fail(run, place, "is not a known member");
    struct fl_schema_text name = { .n = 0 };
    fl_schema_text_quote(&name, meant->name, SHOWN_BYTES);
    return fl_schema_fail(run, place, "is not a known member, did you mean %s", name.p);
}

enum fl_schema_verdict fl_schema_fail_missing(struct fl_schema_run *run,
                                              const struct fl_schema_object *rules,
                                              const json_t *object,
                                              const struct fl_schema_place *place)
{
    if (run->quiet)
        return FL_FAILS;
    for (size_t i = 0; i < rules->name_count; i++) {
        struct fl_schema_place missing = { .up = place, .name = rules->names[i].name };
        if (rules->names[i].is_required &&
            !json_object_getn(object, missing.name.p, missing.name.n))
            return fl_schema_fail(run, &missing, "is required");
    }
    fl_assert_fail("a required member is counted as missing and is there", __FILE__, __LINE__,
                   __func__);
}

enum fl_schema_verdict fl_schema_fail_needed(struct fl_schema_run *run,
                                             const struct fl_schema_place *place,
                                             struct fl_str name, struct fl_str because)
{
    struct fl_schema_place missing = { .up = place, .name = name };
    struct fl_schema_text other = { .n = 0 };
    if (run->quiet)
        return FL_FAILS;
    fl_schema_text_quote(&other, because, SHOWN_BYTES);
    return fl_schema_fail(run, &missing, "is required together with %s", other.p);
}

/* ---- choices ---- */

/* The subschema that a chain of plain references leads to. */
static const struct fl_schema_node *behind_references(const struct fl_schema_node *node)
{
    for (int i = 0; i < 8 && node->logic && node->logic->ref && node->kinds == FL_KIND_ANY; i++)
        node = node->logic->ref;
    return node;
}

/* Does a member that may have one value only (the usual way to tell forms apart) have another? */
static bool is_ruled_out(const struct fl_schema_node *node, const json_t *value)
{
    const struct fl_schema_object *rules = node->object;
    uint32_t steps = 100;
    for (size_t i = 0; rules && json_is_object(value) && i < rules->name_count; i++) {
        const struct fl_schema_name *row = &rules->names[i];
        const json_t *member = json_object_getn(value, row->name.p, row->name.n);
        const json_t *only = NULL;
        if (row->node && row->node->constant)
            only = row->node->constant->shown;
        else if (row->node && row->node->allowed && json_array_size(row->node->allowed->shown) == 1)
            only = json_array_get(row->node->allowed->shown, 0);
        if (only && (!member || fl_schema_value_equal(only, member, 4, &steps) != FL_EQUAL))
            return true;
    }
    return false;
}

enum fl_schema_verdict fl_schema_fail_choice(struct fl_schema_run *run,
                                             const struct fl_schema_nodes *nodes,
                                             const json_t *value,
                                             const struct fl_schema_place *place)
{
    unsigned kind = fl_schema_kind_of(value), kinds = 0;
    const struct fl_schema_node *meant = NULL;
    size_t same_kind = 0, candidates = 0;
    if (run->quiet)
        return FL_FAILS;
    for (size_t i = 0; i < nodes->count; i++) {
        const struct fl_schema_node *node = behind_references(nodes->at[i]);
        kinds |= node->kinds;
        if (!(node->kinds & kind))
            continue;
        same_kind++;
        if (!is_ruled_out(node, value)) {
            candidates++;
            meant = nodes->at[i];
        }
    }
    if (same_kind == 0)
        return fl_schema_fail_kind(run, place, kinds);
    if (candidates == 1 && run->explained < CHOICE_DEPTH) {
        /* Look again, now for the words. Should the steps run out, it still does not fit. */
        run->explained++;
        enum fl_schema_verdict verdict = fl_schema_eval(run, meant, value, place, NULL);
        if (verdict == FL_FAILS)
            return verdict;
        run->code = FL_OK;
    }
    return fl_schema_fail(run, place, "fits none of the %zu allowed forms", nodes->count);
}
