/* Evaluation of objects and arrays, and of what is left of them. For schema_eval.c. */
#include "mcp/schema_eval.h"

static size_t find_str(const struct fl_str *at, size_t stride, size_t count, struct fl_str name)
{
    size_t from = 0, to = count;
    while (from < to) {
        size_t mid = (from + to) / 2;
        int cmp =
            fl_schema_cmp_str(name, *(const struct fl_str *)((const char *)at + mid * stride));
        if (cmp == 0)
            return mid;
        if (cmp < 0)
            to = mid;
        else
            from = mid + 1;
    }
    return count;
}

const struct fl_schema_name *fl_schema_find_name(const struct fl_schema_object *rules,
                                                 struct fl_str name)
{
    if (rules->name_count == 0)
        return NULL;
    size_t i = find_str(&rules->names[0].name, sizeof rules->names[0], rules->name_count, name);
    return i < rules->name_count ? &rules->names[i] : NULL;
}

bool fl_schema_has_string(const struct fl_schema_values *values, struct fl_str text)
{
    return find_str(values->strings, sizeof values->strings[0], values->string_count, text) <
           values->string_count;
}

/* ---- objects ---- */

/* What patternProperties and additionalProperties say about a member. *ret_is_known: one of them
 * did. */
static enum fl_schema_verdict eval_other_rules(struct fl_schema_run *run,
                                               const struct fl_schema_object *rules,
                                               const struct fl_schema_place *member,
                                               const json_t *value, bool *ret_is_known)
{
    for (size_t i = 0; i < rules->pattern_count; i++) {
        enum fl_schema_verdict verdict =
            fl_schema_eval_match(run, rules->patterns[i].pattern, member->name);
        if (verdict == FL_FITS) {
            *ret_is_known = true;
            verdict = fl_schema_eval(run, rules->patterns[i].node, value, member, NULL);
            if (verdict != FL_FITS)
                return verdict;
        } else if (verdict == FL_STOPS) {
            return verdict;
        }
    }
    if (*ret_is_known || !rules->additional)
        return FL_FITS;
    *ret_is_known = true;
    if (rules->additional->kinds == 0)
        return fl_schema_fail_unknown(run, member, rules);
    return fl_schema_eval(run, rules->additional, value, member, NULL);
}

static enum fl_schema_verdict eval_member_name(struct fl_schema_run *run,
                                               const struct fl_schema_node *node,
                                               const struct fl_schema_place *member)
{
    json_t *name = json_stringn_nocheck(member->name.p, member->name.n);
    if (!name)
        return fl_schema_stop(run, FL_NOMEM, NULL);
    enum fl_schema_verdict verdict = fl_schema_eval_quietly(run, node, name, member, NULL);
    json_decref(name);
    if (verdict == FL_FAILS)
        return fl_schema_fail(run, member, "is not a name that a member may have here");
    return verdict;
}

static enum fl_schema_verdict eval_dependencies(struct fl_schema_run *run,
                                                const struct fl_schema_object *rules,
                                                const json_t *object,
                                                const struct fl_schema_place *place,
                                                struct fl_schema_seen *seen)
{
    for (size_t i = 0; i < rules->dependency_count; i++) {
        const struct fl_schema_dependency *row = &rules->dependencies[i];
        if (!fl_schema_run_take(run, 1, row->name.n))
            return fl_schema_stop(run, FL_TOO_LARGE, NULL);
        if (!json_object_getn(object, row->name.p, row->name.n))
            continue;
        for (size_t k = 0; k < json_array_size(row->needs); k++) {
            struct fl_str need = fl_json_str(json_array_get(row->needs, k));
            if (!fl_schema_run_take(run, 1, need.n))
                return fl_schema_stop(run, FL_TOO_LARGE, NULL);
            if (json_object_getn(object, need.p, need.n))
                continue;
            return fl_schema_fail_needed(run, place, need, row->name);
        }
        if (row->node) {
            enum fl_schema_verdict verdict = fl_schema_eval(run, row->node, object, place, seen);
            if (verdict != FL_FITS)
                return verdict;
        }
    }
    return FL_FITS;
}

enum fl_schema_verdict fl_schema_eval_object(struct fl_schema_run *run,
                                             const struct fl_schema_object *rules,
                                             const json_t *object,
                                             const struct fl_schema_place *place,
                                             struct fl_schema_seen *seen)
{
    size_t size = json_object_size(object), index = 0, required = 0;
    bool looks_at_members =
        rules->name_count || rules->pattern_count || rules->additional || rules->member_names;
    void *at = looks_at_members ? json_object_iter((json_t *)object) : NULL;
    for (; at; at = json_object_iter_next((json_t *)object, at), index++) {
        struct fl_schema_place member = {
            .up = place,
            .name = { json_object_iter_key(at), json_object_iter_key_len(at) },
        };
        const json_t *value = json_object_iter_value(at);
        enum fl_schema_verdict verdict = FL_FITS;
        if (!fl_schema_run_take(run, 1, member.name.n))
            return fl_schema_stop(run, FL_TOO_LARGE, NULL);
        const struct fl_schema_name *row = fl_schema_find_name(rules, member.name);
        bool is_known = row && row->node;
        required += row && row->is_required;
        if (rules->member_names)
            verdict = eval_member_name(run, rules->member_names, &member);
        if (verdict == FL_FITS && is_known)
            verdict = fl_schema_eval(run, row->node, value, &member, NULL);
        if (verdict == FL_FITS && (rules->pattern_count || !is_known))
            verdict = eval_other_rules(run, rules, &member, value, &is_known);
        if (verdict != FL_FITS)
            return verdict;
        if (is_known)
            fl_schema_seen_add(seen, index);
    }
    if (required < rules->required_count)
        return fl_schema_fail_missing(run, rules, object, place);
    if (size < rules->min)
        return fl_schema_fail(run, place, "must have at least %llu member%s",
                              (unsigned long long)rules->min, rules->min == 1 ? "" : "s");
    if (size > rules->max)
        return fl_schema_fail(run, place, "must have at most %llu member%s",
                              (unsigned long long)rules->max, rules->max == 1 ? "" : "s");
    return eval_dependencies(run, rules, object, place, seen);
}

/* ---- arrays ---- */

static enum fl_schema_verdict eval_contains(struct fl_schema_run *run,
                                            const struct fl_schema_array *rules,
                                            const json_t *array,
                                            const struct fl_schema_place *place,
                                            struct fl_schema_seen *seen)
{
    size_t size = json_array_size(array);
    uint64_t found = 0;
    bool needs_all = rules->max_contains != UINT64_MAX || (seen && rules->contains_evaluates);
    for (size_t i = 0; i < size && (needs_all || found < rules->min_contains); i++) {
        struct fl_schema_place item = { .up = place, .index = i };
        enum fl_schema_verdict verdict =
            fl_schema_eval_quietly(run, rules->contains, json_array_get(array, i), &item, NULL);
        if (verdict == FL_STOPS)
            return verdict;
        if (verdict == FL_FITS) {
            found++;
            if (rules->contains_evaluates)
                fl_schema_seen_add(seen, i);
        }
    }
    if (found < rules->min_contains)
        return fl_schema_fail(
            run, place, "must contain at least %llu item%s of the kind that is asked for",
            (unsigned long long)rules->min_contains, rules->min_contains == 1 ? "" : "s");
    if (found > rules->max_contains)
        return fl_schema_fail(
            run, place, "must contain at most %llu item%s of the kind that is limited",
            (unsigned long long)rules->max_contains, rules->max_contains == 1 ? "" : "s");
    return FL_FITS;
}

static enum fl_schema_verdict eval_unique(struct fl_schema_run *run, const json_t *array,
                                          const struct fl_schema_place *place)
{
    size_t at[2];
    enum fl_code code;
    switch (
        fl_schema_value_repeats(array, run->schema->options.max_depth, &run->steps, at, &code)) {
    case FL_DIFFERENT: return FL_FITS;
    case FL_EQUAL: {
        struct fl_schema_place again = { .up = place, .index = at[1] };
        return fl_schema_fail(run, &again, "must not repeat item %zu", at[0]);
    }
    case FL_EQUAL_UNKNOWN: break;
    }
    return fl_schema_stop(run, code == FL_OK ? FL_TOO_LARGE : code, NULL);
}

enum fl_schema_verdict fl_schema_eval_array(struct fl_schema_run *run,
                                            const struct fl_schema_array *rules,
                                            const json_t *array,
                                            const struct fl_schema_place *place,
                                            struct fl_schema_seen *seen)
{
    size_t size = json_array_size(array);
    if (size < rules->min)
        return fl_schema_fail(run, place, "must have at least %llu item%s",
                              (unsigned long long)rules->min, rules->min == 1 ? "" : "s");
    if (size > rules->max)
        return fl_schema_fail(run, place, "must have at most %llu item%s",
                              (unsigned long long)rules->max, rules->max == 1 ? "" : "s");
    size_t end = rules->rest ? size : rules->prefix.count < size ? rules->prefix.count : size;
    for (size_t i = 0; i < end; i++) {
        struct fl_schema_place item = { .up = place, .index = i };
        const struct fl_schema_node *node =
            i < rules->prefix.count ? rules->prefix.at[i] : rules->rest;
        enum fl_schema_verdict verdict =
            fl_schema_eval(run, node, json_array_get(array, i), &item, NULL);
        if (verdict != FL_FITS)
            return verdict;
        fl_schema_seen_add(seen, i);
    }
    if (rules->contains) {
        enum fl_schema_verdict verdict = eval_contains(run, rules, array, place, seen);
        if (verdict != FL_FITS)
            return verdict;
    }
    return rules->is_unique ? eval_unique(run, array, place) : FL_FITS;
}

/* ---- what is left ---- */

enum fl_schema_verdict fl_schema_eval_unseen(struct fl_schema_run *run,
                                             const struct fl_schema_node *node, const json_t *value,
                                             const struct fl_schema_place *place,
                                             struct fl_schema_seen *seen)
{
    void *at = json_object_iter((json_t *)value); /* NULL for an array */
    for (size_t i = 0; i < seen->count; i++) {
        struct fl_schema_place part = { .up = place, .index = i };
        const json_t *json;
        if (at) {
            part.name = (struct fl_str){ json_object_iter_key(at), json_object_iter_key_len(at) };
            json = json_object_iter_value(at);
            at = json_object_iter_next((json_t *)value, at);
        } else {
            json = json_array_get(value, i);
        }
        if (fl_schema_seen_has(seen, i))
            continue;
        enum fl_schema_verdict verdict = node->kinds == 0 && part.name.p
                                             ? fl_schema_fail_unknown(run, &part, NULL)
                                             : fl_schema_eval(run, node, json, &part, NULL);
        if (verdict != FL_FITS)
            return verdict;
    }
    seen->is_all = true;
    return FL_FITS;
}
