/* fl_schema_validate: walks value and compiled schema together. The walk recurses, bounded by
 * FL_EVAL_DEPTH; every subschema that is applied takes a step. On the caller's thread. */
#include "mcp/schema_eval.h"

#include "flopinio/base/utf8.h"

enum fl_schema_verdict fl_schema_eval_match(struct fl_schema_run *run,
                                            const struct fl_schema_pattern *pattern,
                                            struct fl_str text)
{
    if (!fl_schema_run_take(run, 1,
                            text.n)) /* for the check of its encoding; the search pays by itself */
        return fl_schema_stop(run, FL_TOO_LARGE, NULL);
    switch (fl_schema_pattern_match(pattern, text, &run->matcher)) {
    case FL_MATCH: return FL_FITS;
    case FL_NO_MATCH: return FL_FAILS;
    case FL_MATCH_NOMEM: return fl_schema_stop(run, FL_NOMEM, NULL);
    case FL_MATCH_TOO_LARGE: break;
    }
    return fl_schema_stop(run, FL_TOO_LARGE, NULL);
}

static enum fl_schema_verdict eval_values(struct fl_schema_run *run,
                                          const struct fl_schema_values *values,
                                          const json_t *value, const struct fl_schema_place *place)
{
    if (json_is_string(value)) {
        struct fl_str text = fl_json_str(value);
        struct fl_str *longest =
            values->string_count ? &values->strings[values->string_count - 1] : NULL;
        if (!longest || text.n > longest->n)
            return fl_schema_fail_values(run, place, values);
        if (!fl_schema_run_take(run, 0, text.n))
            return fl_schema_stop(run, FL_TOO_LARGE, NULL);
        return fl_schema_has_string(values, text) ? FL_FITS
                                                  : fl_schema_fail_values(run, place, values);
    }
    for (size_t i = 0; i < values->other_count; i++) {
        switch (fl_schema_value_equal(values->others[i], value, run->schema->options.max_depth,
                                      &run->steps)) {
        case FL_EQUAL: return FL_FITS;
        case FL_DIFFERENT: break;
        case FL_EQUAL_UNKNOWN: return fl_schema_stop(run, FL_TOO_LARGE, NULL);
        }
    }
    return fl_schema_fail_values(run, place, values);
}

static enum fl_schema_verdict eval_string(struct fl_schema_run *run,
                                          const struct fl_schema_string *rules, const json_t *value,
                                          const struct fl_schema_place *place)
{
    struct fl_str text = fl_json_str(value);
    if (!fl_schema_run_take(run, 0, text.n))
        return fl_schema_stop(run, FL_TOO_LARGE, NULL);
    /* A code point has one to four bytes: most lengths are told without counting. */
    if (text.n < rules->min || (text.n / 4 < rules->min && fl_utf8_count(text) < rules->min))
        return fl_schema_fail(run, place, "must have at least %llu character%s",
                              (unsigned long long)rules->min, rules->min == 1 ? "" : "s");
    if (text.n > rules->max && fl_utf8_count(text) > rules->max)
        return fl_schema_fail(run, place, "must have at most %llu character%s",
                              (unsigned long long)rules->max, rules->max == 1 ? "" : "s");
    if (rules->pattern) {
        enum fl_schema_verdict verdict = fl_schema_eval_match(run, rules->pattern, text);
        if (verdict == FL_FAILS) {
            struct fl_schema_text shown = { .n = 0 };
            if (!run->quiet)
                fl_schema_text_quote(&shown, fl_schema_pattern_source(rules->pattern), 120);
            return fl_schema_fail(run, place, "must match the pattern %s", shown.p);
        }
        if (verdict != FL_FITS)
            return verdict;
    }
    if (rules->format && !rules->format->is_valid(text))
        return fl_schema_fail(run, place, "must be in the format \"%s\"", rules->format->name);
    return FL_FITS;
}

static enum fl_schema_verdict eval_number(struct fl_schema_run *run,
                                          const struct fl_schema_number *rules, const json_t *value,
                                          const struct fl_schema_place *place)
{
    if (rules->minimum && fl_schema_number_cmp(value, rules->minimum) < 0)
        return fl_schema_fail_bound(run, place, "must be at least", rules->minimum);
    if (rules->maximum && fl_schema_number_cmp(value, rules->maximum) > 0)
        return fl_schema_fail_bound(run, place, "must be at most", rules->maximum);
    if (rules->above && fl_schema_number_cmp(value, rules->above) <= 0)
        return fl_schema_fail_bound(run, place, "must be greater than", rules->above);
    if (rules->below && fl_schema_number_cmp(value, rules->below) >= 0)
        return fl_schema_fail_bound(run, place, "must be less than", rules->below);
    if (rules->multiple_of && !fl_schema_run_take(run, json_is_real(value) ? 16 : 0, 0))
        return fl_schema_stop(run, FL_TOO_LARGE, NULL); /* to write a double as a decimal is slow */
    if (rules->multiple_of &&
        !fl_schema_decimal_divides(rules->divisor, fl_schema_decimal_of(value)))
        return fl_schema_fail_bound(run, place, "must be a multiple of", rules->multiple_of);
    return FL_FITS;
}

static enum fl_schema_verdict eval_rules(struct fl_schema_run *run,
                                         const struct fl_schema_node *node, unsigned kind,
                                         const json_t *value, const struct fl_schema_place *place,
                                         struct fl_schema_seen *seen)
{
    enum fl_schema_verdict verdict = FL_FITS;
    if (node->constant)
        verdict = eval_values(run, node->constant, value, place);
    if (verdict == FL_FITS && node->allowed)
        verdict = eval_values(run, node->allowed, value, place);
    if (verdict != FL_FITS)
        return verdict;
    if (kind == FL_KIND_STRING && node->string)
        verdict = eval_string(run, node->string, value, place);
    else if (kind & FL_KIND_NUMBER && node->number_rules)
        verdict = eval_number(run, node->number_rules, value, place);
    else if (kind == FL_KIND_OBJECT && node->object)
        verdict = fl_schema_eval_object(run, node->object, value, place, seen);
    else if (kind == FL_KIND_ARRAY && node->array)
        verdict = fl_schema_eval_array(run, node->array, value, place, seen);
    if (verdict == FL_FITS && node->logic)
        verdict = fl_schema_eval_logic(run, node->logic, value, place, seen);
    return verdict;
}

/* With a set of its own, as `unevaluated...` sees what lies within its subschema, and only that. */
static enum fl_schema_verdict eval_with_rest(struct fl_schema_run *run,
                                             const struct fl_schema_node *node,
                                             const struct fl_schema_node *rest, unsigned kind,
                                             const json_t *value,
                                             const struct fl_schema_place *place,
                                             struct fl_schema_seen *outer)
{
    struct fl_schema_seen seen;
    size_t count = kind == FL_KIND_OBJECT ? json_object_size(value) : json_array_size(value);
    enum fl_schema_verdict verdict = fl_schema_seen_open(run, &seen, count);
    if (verdict == FL_FITS)
        verdict = eval_rules(run, node, kind, value, place, &seen);
    if (verdict == FL_FITS)
        verdict = fl_schema_eval_unseen(run, rest, value, place, &seen);
    fl_schema_seen_close(run, &seen, verdict == FL_FITS ? outer : NULL);
    return verdict;
}

enum fl_schema_verdict fl_schema_eval(struct fl_schema_run *run, const struct fl_schema_node *node,
                                      const json_t *value, const struct fl_schema_place *place,
                                      struct fl_schema_seen *seen)
{
    unsigned kind = fl_schema_kind_of(value);
    if (run->steps == 0)
        return fl_schema_stop(run, FL_TOO_LARGE, NULL);
    run->steps--;
    if (!(node->kinds & kind))
        return fl_schema_fail_kind(run, place, node->kinds);
    if (!node->has_rules)
        return FL_FITS;
    if (run->depth == FL_EVAL_DEPTH)
        return fl_schema_stop(run, FL_TOO_LARGE,
                              "it nests too deeply to be checked against the schema");
    const struct fl_schema_scope *outer = run->scope;
    const struct fl_schema_scope scope = { outer, node->resource };
    if (!outer || outer->resource != node->resource)
        run->scope = &scope;
    run->depth++;
    const struct fl_schema_node *rest = kind == FL_KIND_OBJECT  ? node->unevaluated_members
                                        : kind == FL_KIND_ARRAY ? node->unevaluated_items
                                                                : NULL;
    enum fl_schema_verdict verdict = rest
                                         ? eval_with_rest(run, node, rest, kind, value, place, seen)
                                         : eval_rules(run, node, kind, value, place, seen);
    run->depth--;
    run->scope = outer;
    return verdict;
}

enum fl_schema_verdict fl_schema_eval_quietly(struct fl_schema_run *run,
                                              const struct fl_schema_node *node,
                                              const json_t *value,
                                              const struct fl_schema_place *place,
                                              struct fl_schema_seen *seen)
{
    run->quiet++;
    enum fl_schema_verdict verdict = fl_schema_eval(run, node, value, place, seen);
    run->quiet--;
    return verdict;
}

enum fl_code fl_schema_validate(const struct fl_schema *schema, const json_t *value,
                                struct fl_err *err)
{
    FL_CHECK_MAGIC(schema, FL_SCHEMA_MAGIC);
    FL_ASSERT(value);
    struct fl_schema_run run;
    run.schema = schema;
    run.err = err;
    run.code = FL_OK;
    run.steps = schema->options.max_steps;
    run.depth = 0;
    run.quiet = err ? 0 : 1;
    run.explained = 0;
    run.scope = NULL;
    run.matcher = (struct fl_schema_matcher){ .steps = &run.steps };
    run.words_used = 0;
    run.bytes_owned = 0;
    enum fl_schema_verdict verdict = fl_schema_eval(&run, schema->root, value, NULL, NULL);
    if (run.matcher.data)
        fl_schema_matcher_fini(&run.matcher);
    if (verdict == FL_FITS)
        return FL_OK;
    if (verdict == FL_FAILS)
        return FL_BAD_PARAMS;
    FL_ASSERT(run.code != FL_OK);
    return run.code;
}
