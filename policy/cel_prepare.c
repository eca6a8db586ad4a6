/* What a call needs ready before it is evaluated: the pattern of matches(), the time zone of a
 * timestamp's part. So nothing is compiled, and nothing is read, while a call waits for its
 * verdict. Called by the resolver. Any thread. */
#include "policy/cel_priv.h"

/* A named time zone is read while the text is compiled: no I/O later. */
static bool prepare_zone(struct cel_compile *c, struct cel_node *node, struct fl_str name)
{
    int32_t offset_s;
    uint32_t at = node->kids[1]->at;
    if (cel_zone_fixed(name, &offset_s))
        return true;
    if (!c->env->zone || !fl_zone_name_is_valid(name)) {
        cel_error(c, at, "no time zone '%.*s': UTC, +01:30%s can stand here", FL_STR_ARG(name),
                  c->env->zone ? " and names such as Europe/Berlin" : "");
        return false;
    }
    struct fl_err err;
    struct fl_buf tzif;
    fl_buf_init(&tzif, 1 << 20);
    enum fl_code code = FL_OK;
    bool is_found = c->env->zone(c->env->zone_ctx, name, &tzif);
    if (is_found && !tzif.is_failed)
        code = fl_zone_new(c->arena, fl_buf_view(&tzif), &node->zone, &err);
    if (!is_found)
        cel_error(c, at, "no time zone '%.*s' on this machine", FL_STR_ARG(name));
    else if (tzif.is_failed || code == FL_NOMEM)
        cel_nomem(c);
    else if (code)
        cel_error(c, at, "the data of time zone '%.*s': %s", FL_STR_ARG(name), err.text);
    fl_buf_fini(&tzif);
    return c->code == FL_OK;
}

/* What a call needs ready before it is evaluated. */
bool cel_prepare(struct cel_compile *c, struct cel_node *node)
{
    const struct cel_node *last = node->kid_count ? node->kids[node->kid_count - 1] : NULL;
    bool is_text = last && last->op == CEL_CONST && last->value.kind == FL_CEL_STRING;
    if (last && fl_str_is(node->name, "matches") && node->kid_count == 2) {
        if (!is_text) {
            cel_error(c, last->at, "the pattern of matches() must be written out as a text");
            return false;
        }
        node->regex = cel_regex_new(c, last->at, last->value.s);
        return node->regex != NULL;
    }
    bool is_time_part =
        node->is_method && node->kid_count == 2 && fl_str_has_prefix(node->name, FL_STR("get"));
    return !is_time_part || !is_text || prepare_zone(c, node, last->value.s);
}
