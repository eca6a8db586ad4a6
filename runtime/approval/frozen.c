/* What is frozen with an approval. */
#include "runtime/approval/frozen.h"

#include "flopinio/base/json.h"
#include "flopinio/base/scan.h"

struct fl_str fl_frozen_card(struct fl_arena *arena, const struct fl_org_tool *tool,
                             const struct fl_policy_verdict *verdict, struct fl_str why_asked)
{
    struct fl_buf out = FL_BUF_INIT;
    fl_buf_puts(&out, "{\"account\":");
    fl_buf_json_str(&out, tool->server->account);
    fl_buf_puts(&out, ",\"environment\":");
    fl_buf_json_str(&out, tool->server->environment);
    fl_buf_puts(&out, tool->has_output_schema ? ",\"has_output_schema\":true" : "");
    if (why_asked.n) {
        fl_buf_puts(&out, ",\"why_asked\":");
        fl_buf_json_str(&out, why_asked);
    }
    fl_buf_puts(&out, ",\"reason\":");
    fl_buf_json_str(&out, verdict->rule ? verdict->rule->reason : FL_STR(""));
    fl_buf_puts(&out, ",\"secrets\":");
    fl_buf_str(&out, tool->secrets.n ? tool->secrets : FL_STR("[]"));
    fl_buf_puts(&out, ",\"sentence\":");
    fl_buf_json_str(&out, tool->card);
    fl_buf_puts(&out, ",\"server\":");
    fl_buf_json_str(&out, tool->server->name);
    fl_buf_putc(&out, '}');
    struct fl_str text = { NULL, 0 };
    if (!out.is_failed)
        text = fl_arena_str(arena, fl_buf_view(&out));
    fl_buf_fini(&out);
    return text;
}

struct fl_str fl_frozen_why(struct fl_arena *arena, struct fl_str card)
{
    struct fl_err err;
    json_t *tree = fl_json_parse(card, &err);
    struct fl_str why = fl_arena_str(arena, fl_json_get_str(tree, "why_asked"));
    json_decref(tree);
    return why.p ? why : FL_STR("");
}

bool fl_frozen_has_output_schema(struct fl_str card)
{
    return fl_str_is(fl_span_get(card, "has_output_schema"), "true");
}

enum fl_code fl_frozen_ask(struct fl_arena *arena, const struct fl_policy_verdict *verdict,
                           struct fl_str *ret, struct fl_err *err)
{
    struct fl_buf out = FL_BUF_INIT;
    *ret = FL_STR("{}");
    if (!verdict->ask)
        return FL_OK;
    enum fl_code code = fl_policy_ask_dump(verdict->ask, &out, err);
    if (code == FL_OK) {
        *ret = fl_arena_str(arena, fl_buf_view(&out));
        if (!ret->p)
            code = fl_err_code(err, FL_NOMEM);
    }
    fl_buf_fini(&out);
    return code;
}

const char *fl_frozen_task_id(struct fl_arena *arena)
{
    uint8_t raw[16];
    struct fl_buf out = FL_BUF_INIT;
    fl_random(raw, sizeof raw);
    fl_b64url(&out, raw, sizeof raw);
    char *id = out.is_failed ? NULL : fl_arena_strdup(arena, out.p);
    fl_buf_fini(&out);
    return id;
}
