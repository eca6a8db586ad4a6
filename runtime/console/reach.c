/* Findings that are new since the request came in. */
#include "runtime/console/reach.h"

#include "runtime/approval/rules.h"

static enum fl_code examine(struct fl_api *a, struct fl_org *org, struct fl_findings *findings)
{
    struct fl_policy_world world;
    struct fl_err err;
    if (!org->policy)
        return FL_OK; /* none: everything is denied, whoever is there */
    enum fl_code code = fl_rules_world(org, a->arena, &world, &err);
    return code ? code : fl_policy_check(org->policy, &world, findings, &err);
}

static bool has(const struct fl_findings *findings, const struct fl_finding *f)
{
    for (size_t i = 0; i < findings->count; i++) {
        if (fl_str_eq(findings->items[i]->rule, f->rule) &&
            strcmp(findings->items[i]->text, f->text) == 0)
            return true;
    }
    return false;
}

void fl_reach_put_new(struct fl_buf *out, const struct fl_findings *before,
                      const struct fl_findings *after)
{
    bool is_next = false;
    fl_buf_putc(out, '[');
    for (size_t i = 0; i < after->count; i++) {
        const struct fl_finding *f = after->items[i];
        struct fl_buf text = FL_BUF_INIT;
        if (has(before, f))
            continue;
        if (f->rule.n)
            fl_buf_printf(&text, "rule %.*s: ", FL_STR_ARG(f->rule));
        fl_buf_puts(&text, f->text);
        if (is_next)
            fl_buf_putc(out, ',');
        fl_buf_json_str(out, fl_buf_view(&text));
        out->is_failed |= text.is_failed;
        fl_buf_fini(&text);
        is_next = true;
    }
    fl_buf_putc(out, ']');
}

static void compare(struct fl_api *a, struct fl_org *now)
{
    struct fl_findings before = { 0 }, after = { 0 };
    struct fl_buf out = FL_BUF_INIT;
    if (examine(a, a->org, &before) == FL_OK && examine(a, now, &after) == FL_OK) {
        fl_reach_put_new(&out, &before, &after);
        if (!out.is_failed)
            a->findings = fl_arena_str(a->arena, fl_buf_view(&out));
    }
    fl_buf_fini(&out);
    fl_findings_fini(&before);
    fl_findings_fini(&after);
}

static void on_loaded(struct fl_op *op)
{
    struct fl_api *a = FL_CONTAINER(op, struct fl_api, op);
    if (op->code == FL_OK && a->ex)
        compare(a, a->fresh);
    fl_org_unref(&a->fresh);
    op->code = FL_OK; /* the change stands, whatever this looking came to */
    if (fl_api_flow_done(a))
        a->done(a);
}

void fl_reach_start(struct fl_api *a, void (*done)(struct fl_api *a))
{
    a->done = done;
    a->op = (struct fl_op){ .done = on_loaded };
    if (fl_org_load_start(&a->op, &a->org_load, a->core->orgs, &a->organization_id, &a->fresh) !=
        FL_OK)
        done(a);
}

void fl_reach_put(struct fl_buf *out, const struct fl_api *a)
{
    fl_buf_json_key(out, "findings");
    fl_buf_str(out, a->findings.p ? a->findings : FL_STR("null"));
}

static void answer(struct fl_api *a)
{
    struct fl_buf out = FL_BUF_INIT;
    fl_buf_putc(&out, '{');
    fl_reach_put(&out, a);
    fl_buf_putc(&out, '}');
    fl_api_ok(a, &out);
}

void fl_reach_answer(struct fl_api *a)
{
    fl_reach_start(a, answer);
}
