/* What channels come to. A document has no secrets: a new channel is off until it has its own
 * (channel set), and one without stays so whatever the document says. */
#include "runtime/console/apply.h"
#include "runtime/notify/notify.h"
#include "runtime/store/channel.h"

#define NOTHING ((struct fl_str){ NULL, 0 })

/* Columns of fl_store_channels: channel_id, name, kind, config, disclose, is_enabled, has a secret.
 */
static int row_of(const struct fl_query *q, struct fl_str name)
{
    for (int i = 0; i < fl_rows(q); i++) {
        if (fl_str_eq(fl_cell(q, i, 1), name))
            return i;
    }
    return -1;
}

static bool is_fine(struct fl_api *a, const struct fl_apply_channel *c, struct fl_str kind)
{
    const struct fl_channel_kind *k = fl_channel_kind(kind);
    struct fl_err err;
    if (!k)
        return fl_apply_refuse(a, FL_BAD_PARAMS, "channel", c->name,
                               "there is no kind '%.*s'; there are telegram, slack and mail",
                               (int)(kind.n > 40 ? 40 : kind.n), kind.n ? kind.p : "");
    struct fl_notify *n = fl_api_notify(a);
    json_t *config = c->config.p ? fl_json_parse(c->config, &err) : json_object();
    enum fl_code code = config ? k->check(config, NULL, fl_notify_may_be_local(n), &err)
                               : fl_err_code(&err, FL_NOMEM);
    if (code == FL_OK)
        code = fl_channel_check_public_url(k, fl_str_of(fl_notify_public_url(n)), &err);
    json_decref(config);
    return code == FL_OK || fl_apply_refuse(a, code, "channel", c->name, "%s", err.text);
}

/* As channels.c: no token sets a server, and kept secrets are not given to another one. `row` -1:
 * it is new. */
static bool may_set_servers(struct fl_api *a, const struct fl_apply_channel *c, int row)
{
    const struct fl_query *q = ((struct fl_apply *)a->user)->q_channels;
    struct fl_err err;
    if (!c->config.p || a->who != FL_WHO_PERSON)
        return true;
    json_t *old = row < 0 ? json_object() : fl_json_parse(fl_cell(q, row, 3), &err);
    json_t *wanted = fl_json_parse(c->config, &err);
    bool are_same = old && wanted && fl_channel_same_servers(old, wanted);
    json_decref(old);
    json_decref(wanted);
    if (are_same)
        return true;
    if (a->auth.token.p)
        return fl_apply_refuse(a, FL_FORBIDDEN, "channel", c->name,
                               "its server is set by somebody who signed in with a passphrase: no "
                               "token can do this");
    return row < 0 || !fl_cell_bool(q, row, 6) ||
           fl_apply_refuse(a, FL_BAD_PARAMS, "channel", c->name,
                           "another server would be given its secrets; set both together "
                           "(channel set)");
}

static bool plan_new(struct fl_api *a, struct fl_apply_channel *c)
{
    struct fl_buf detail = FL_BUF_INIT;
    if (!may_set_servers(a, c, -1) || !is_fine(a, c, c->kind))
        return false;
    c->is_new = true;
    c->id = fl_uuid_new();
    fl_buf_printf(&detail, "%.*s; off until it has its secret", FL_STR_ARG(c->kind));
    fl_apply_note(a, "channel", c->name, "created", &detail);
    return true;
}

static bool plan_there(struct fl_api *a, struct fl_apply_channel *c, int row)
{
    const struct fl_query *q = ((struct fl_apply *)a->user)->q_channels;
    struct fl_buf detail = FL_BUF_INIT;
    if (c->kind.p && !fl_str_eq(c->kind, fl_cell(q, row, 2)))
        return fl_apply_refuse(a, FL_CONFLICT, "channel", c->name,
                               "it is of the kind %.*s; remove it before it becomes another",
                               FL_STR_ARG(fl_cell(q, row, 2)));
    if (c->config.p && fl_json_is_same(c->config, fl_cell(q, row, 3)))
        c->config = NOTHING;
    if (c->disclose.p && fl_str_eq(c->disclose, fl_cell(q, row, 4)))
        c->disclose = NOTHING;
    if (c->is_enabled == (int)fl_cell_bool(q, row, 5) ||
        (c->is_enabled == 1 && !fl_cell_bool(q, row, 6)))
        c->is_enabled = -1;
    if (!may_set_servers(a, c, row) || (c->config.p && !is_fine(a, c, fl_cell(q, row, 2))))
        return false;
    c->is_changed = c->config.p || c->disclose.p || c->is_enabled >= 0;
    if (c->config.p)
        fl_apply_detail(&detail, "config", fl_cell(q, row, 3), c->config);
    if (c->disclose.p)
        fl_apply_detail(&detail, "disclose", fl_cell(q, row, 4), c->disclose);
    if (c->is_enabled >= 0)
        fl_apply_detail(&detail, "is_enabled", c->is_enabled ? FL_STR("false") : FL_STR("true"),
                        c->is_enabled ? FL_STR("true") : FL_STR("false"));
    if (c->is_changed)
        fl_apply_note(a, "channel", c->name, "changed", &detail);
    return true;
}

static bool is_listed(const struct fl_apply *ap, struct fl_str name)
{
    for (size_t i = 0; i < ap->channel_count; i++) {
        if (fl_str_eq(ap->channels[i].name, name))
            return true;
    }
    return false;
}

bool fl_apply_plan_channels(struct fl_api *a)
{
    struct fl_apply *ap = a->user;
    int rows = fl_rows(ap->q_channels);
    for (size_t i = 0; i < ap->channel_count; i++) {
        int row = row_of(ap->q_channels, ap->channels[i].name);
        if (!(row < 0 ? plan_new(a, &ap->channels[i]) : plan_there(a, &ap->channels[i], row)))
            return false;
    }
    ap->gone_channels = fl_arena_array(a->arena, (size_t)rows + 1, sizeof *ap->gone_channels);
    if (!ap->gone_channels) {
        fl_api_error(a, FL_NOMEM, "out of memory");
        return false;
    }
    for (int i = 0; ap->has_channels && ap->prunes && i < rows; i++) {
        struct fl_str name = fl_arena_str(a->arena, fl_cell(ap->q_channels, i, 1));
        if (is_listed(ap, name))
            continue;
        ap->gone_channels[ap->gone_channel_count++] = (struct fl_apply_gone){ .name = name };
        fl_apply_note(a, "channel", name, "removed", NULL);
    }
    return true;
}

bool fl_apply_put_channels(const struct fl_api *a, struct fl_org *w)
{
    const struct fl_apply *ap = a->user;
    size_t rows = (size_t)fl_rows(ap->q_channels);
    w->channels = fl_arena_array(a->arena, rows + ap->channel_count + 1, sizeof *w->channels);
    w->channel_count = 0;
    for (size_t i = 0; w->channels && i < rows; i++) {
        struct fl_str name = fl_cell(ap->q_channels, (int)i, 1);
        bool goes = false;
        for (size_t k = 0; k < ap->gone_channel_count; k++)
            goes |= fl_str_eq(ap->gone_channels[k].name, name);
        if (!goes)
            w->channels[w->channel_count++] = name;
    }
    for (size_t i = 0; w->channels && i < ap->channel_count; i++) {
        if (ap->channels[i].is_new)
            w->channels[w->channel_count++] = ap->channels[i].name;
    }
    return w->channels != NULL;
}

/* ---------------------------------------------------------------- writing */
static const struct fl_audit_row *seal(struct fl_api *a, struct fl_audit_event *e,
                                       enum fl_audit_kind kind, const struct fl_apply_channel *c)
{
    struct fl_err err;
    fl_api_event(a, e, kind, "channel", fl_uuid_is_zero(&c->id) ? NULL : &c->id);
    fl_audit_text(e, "channel", c->name);
    fl_audit_text(e, "disclose", c->disclose);
    fl_audit_bool(e, "config_changed", c->config.p != NULL);
    if (c->is_enabled >= 0)
        fl_audit_bool(e, "is_enabled", c->is_enabled != 0);
    a->tx.is_nomem |= fl_audit_seal(e, a->arena, &err) != FL_OK;
    return &e->row;
}

static void write_channel(struct fl_api *a, struct fl_apply_channel *c)
{
    struct fl_audit_event e;
    if (c->is_new) {
        c->is_enabled = 0;
        c->q = fl_store_channel_create(&a->tx, &c->id, c->name, c->kind,
                                       c->config.p ? c->config : FL_STR("{}"), NOTHING, c->disclose,
                                       seal(a, &e, FL_AUDIT_CHANNEL_CREATED, c));
        fl_store_channel_update(&a->tx, c->name, NOTHING, NOTHING, NOTHING, 0,
                                seal(a, &e, FL_AUDIT_CHANNEL_CHANGED, c));
    } else if (c->is_changed) {
        c->q = fl_store_channel_update(&a->tx, c->name, c->config, NOTHING, c->disclose,
                                       c->is_enabled, seal(a, &e, FL_AUDIT_CHANNEL_CHANGED, c));
    }
}

void fl_apply_write_channels(struct fl_api *a)
{
    struct fl_apply *ap = a->user;
    struct fl_audit_event e;
    for (size_t i = 0; i < ap->channel_count; i++)
        write_channel(a, &ap->channels[i]);
    for (size_t i = 0; i < ap->gone_channel_count; i++) {
        struct fl_apply_channel gone = { .name = ap->gone_channels[i].name, .is_enabled = -1 };
        fl_store_channel_remove(&a->tx, gone.name, seal(a, &e, FL_AUDIT_CHANNEL_REMOVED, &gone));
    }
}
