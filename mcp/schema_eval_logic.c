/* Evaluation of references, combinations and conditions: all on the same value. For
 * schema_eval.c. */
#include "mcp/schema_eval.h"

/* A branch that may fail without the whole failing; what it saw counts only if it fits. */
static enum fl_schema_verdict eval_branch(struct fl_schema_run *run,
                                          const struct fl_schema_node *node, const json_t *value,
                                          const struct fl_schema_place *place,
                                          struct fl_schema_seen *seen)
{
    struct fl_schema_seen own;
    if (!seen)
        return fl_schema_eval_quietly(run, node, value, place, NULL);
    enum fl_schema_verdict verdict = fl_schema_seen_open(run, &own, seen->count);
    if (verdict == FL_FITS)
        verdict = fl_schema_eval_quietly(run, node, value, place, &own);
    fl_schema_seen_close(run, &own, verdict == FL_FITS ? seen : NULL);
    return verdict;
}

static enum fl_schema_verdict eval_any(struct fl_schema_run *run,
                                       const struct fl_schema_nodes *nodes, const json_t *value,
                                       const struct fl_schema_place *place,
                                       struct fl_schema_seen *seen)
{
    bool fits = false;
    for (size_t i = 0; i < nodes->count && !(fits && !seen); i++) {
        enum fl_schema_verdict verdict = eval_branch(run, nodes->at[i], value, place, seen);
        if (verdict == FL_STOPS)
            return verdict;
        fits = fits || verdict == FL_FITS;
    }
    return fits ? FL_FITS : fl_schema_fail_choice(run, nodes, value, place);
}

static enum fl_schema_verdict eval_one(struct fl_schema_run *run,
                                       const struct fl_schema_nodes *nodes, const json_t *value,
                                       const struct fl_schema_place *place,
                                       struct fl_schema_seen *seen)
{
    size_t found = nodes->count;
    for (size_t i = 0; i < nodes->count; i++) {
        enum fl_schema_verdict verdict = eval_branch(run, nodes->at[i], value, place, seen);
        if (verdict == FL_STOPS)
            return verdict;
        if (verdict == FL_FITS && found < nodes->count)
            return fl_schema_fail(run, place,
                                  "fits more than one of the forms that exclude each other "
                                  "(numbers %zu and %zu)",
                                  found + 1, i + 1);
        if (verdict == FL_FITS)
            found = i;
    }
    return found < nodes->count ? FL_FITS : fl_schema_fail_choice(run, nodes, value, place);
}

/* The outermost schema resource on the way here that has the dynamic anchor. */
static const struct fl_schema_node *dynamic_target(struct fl_schema_run *run,
                                                   const struct fl_schema_logic *logic)
{
    const struct fl_schema_node *target = logic->dynamic_ref;
    struct fl_str name = fl_str_of(logic->dynamic_name);
    for (const struct fl_schema_scope *scope = run->scope; scope; scope = scope->up) {
        const struct fl_schema_anchor *anchor = scope->resource->anchors;
        for (; anchor; anchor = anchor->next) {
            if (run->steps > 0)
                run->steps--;
            if (anchor->is_dynamic && fl_str_eq(anchor->name, name))
                target = anchor->node;
        }
    }
    return target;
}

static enum fl_schema_verdict eval_condition(struct fl_schema_run *run,
                                             const struct fl_schema_logic *logic,
                                             const json_t *value,
                                             const struct fl_schema_place *place,
                                             struct fl_schema_seen *seen)
{
    if (!logic->then && !logic->otherwise && !seen)
        return FL_FITS;
    enum fl_schema_verdict verdict = eval_branch(run, logic->condition, value, place, seen);
    if (verdict == FL_STOPS)
        return verdict;
    const struct fl_schema_node *next = verdict == FL_FITS ? logic->then : logic->otherwise;
    return next ? fl_schema_eval(run, next, value, place, seen) : FL_FITS;
}

enum fl_schema_verdict fl_schema_eval_logic(struct fl_schema_run *run,
                                            const struct fl_schema_logic *logic,
                                            const json_t *value,
                                            const struct fl_schema_place *place,
                                            struct fl_schema_seen *seen)
{
    enum fl_schema_verdict verdict = FL_FITS;
    if (logic->ref)
        verdict = fl_schema_eval(run, logic->ref, value, place, seen);
    if (verdict == FL_FITS && logic->dynamic_ref)
        verdict = fl_schema_eval(
            run, logic->dynamic_name ? dynamic_target(run, logic) : logic->dynamic_ref, value,
            place, seen);
    for (size_t i = 0; i < logic->all.count && verdict == FL_FITS; i++)
        verdict = fl_schema_eval(run, logic->all.at[i], value, place, seen);
    if (verdict == FL_FITS && logic->any.count)
        verdict = eval_any(run, &logic->any, value, place, seen);
    if (verdict == FL_FITS && logic->one.count)
        verdict = eval_one(run, &logic->one, value, place, seen);
    if (verdict == FL_FITS && logic->never) {
        verdict = fl_schema_eval_quietly(run, logic->never, value, place, NULL);
        if (verdict == FL_FITS)
            return fl_schema_fail(run, place, "has a form that is not allowed");
        verdict = verdict == FL_FAILS ? FL_FITS : verdict;
    }
    if (verdict == FL_FITS && logic->condition)
        verdict = eval_condition(run, logic, value, place, seen);
    return verdict;
}
