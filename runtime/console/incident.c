/* What an agent did since a time: every call of it that was held, permitted, decided, sent or
 * settled, in sentences, and how many it read, was denied, has waiting. Written in pieces, so that
 * it is whole however much there is. */
#include "flopinio/base/clock.h"
#include "runtime/console/api.h"
#include "runtime/notify/facts.h"
#include "runtime/store/approval.h"
#include "runtime/store/organization.h"
#include "runtime/store/person.h"

#define PAGE     50
#define SINCE_MS 86400000 /* when nothing is said */

struct incident {
    struct fl_str agent;
    struct fl_agent_window window;
    int64_t reads, denied, waiting, glass;
    bool is_next; /* something was written */
    /* of one page; gone with it */
    struct fl_arena *arena;
    struct fl_approval *rows;
    struct fl_query **contents;
    int count, fetched;
};

static void next_page(struct fl_api *a);

/* Before each answer that ends it, also a failing one: the arena is not the request's. */
static void drop_page(struct incident *in)
{
    fl_arena_free(&in->arena);
    in->rows = NULL;
    in->contents = NULL;
    in->count = 0;
}

static bool only_own(const struct fl_api *a)
{
    return a->who == FL_WHO_PERSON && !fl_role_may(a->role, FL_ACTION_READ_APPROVALS);
}

/* ---------------------------------------------------------------- as JSON */
static void put_text(struct fl_buf *out, const char *key, struct fl_str value)
{
    fl_buf_printf(out, ",\"%s\":", key);
    if (value.n)
        fl_buf_json_str(out, value);
    else
        fl_buf_puts(out, "null");
}

static enum fl_code put_effect(struct fl_buf *out, const struct fl_api *a, int at,
                               struct fl_err *err)
{
    const struct incident *in = a->user;
    const struct fl_approval *row = &in->rows[at];
    struct fl_approval_view view;
    char text[FL_TIME_BYTES], id[FL_UUID_TEXT];
    int64_t at_ms = row->dispatched_at_ms ? row->dispatched_at_ms : row->created_at_ms;
    enum fl_code code = fl_approval_view_read(&view, in->arena, row, NULL, err);
    if (code)
        return code;
    fl_buf_printf(out, "%s{\"at\":\"%s\",\"approval\":\"%s\"", in->is_next || at ? "," : "",
                  fl_time_format_s(at_ms, text), fl_uuid_format(&row->id, id));
    put_text(out, "tool", row->tool);
    put_text(out, "server", view.server);
    put_text(out, "state", fl_str_of(fl_state_text(row->state)));
    put_text(out, "says", fl_str_of(fl_state_word(row->state)));
    put_text(out, "decided_by", row->decided_by);
    put_text(out, "rule", row->rule);
    put_text(out, "reason", row->reason);
    fl_buf_printf(out, ",\"was_sent\":%s,\"is_break_glass\":%s",
                  row->dispatched_at_ms ? "true" : "false", row->review_due_ms ? "true" : "false");
    if (fl_approval_is_canary(row) && fl_state_is_final(row->state))
        fl_buf_puts(out, ",\"is_canary\":true");
    put_text(out, "sentence", fl_api_sentence(a, in->arena, &view, in->contents[at]));
    fl_buf_putc(out, '}');
    fl_approval_view_fini(&view);
    return FL_OK;
}

/* ---------------------------------------------------------------- page by page */
static void end(struct fl_api *a)
{
    const struct incident *in = a->user;
    struct fl_buf out = FL_BUF_INIT;
    fl_buf_printf(&out, "],\"reads\":%lld,\"denied\":%lld,\"waiting\":%lld,\"break_glass\":%lld}",
                  (long long)in->reads, (long long)in->denied, (long long)in->waiting,
                  (long long)in->glass);
    if (out.is_failed)
        fl_api_error(a, FL_NOMEM, "out of memory");
    else
        fl_api_stream(a, "application/json", fl_buf_view(&out), fl_api_stream_end);
    fl_buf_fini(&out);
}

static void send_page(struct fl_api *a)
{
    struct incident *in = a->user;
    struct fl_buf out = FL_BUF_INIT;
    struct fl_err err;
    enum fl_code code = FL_OK;
    for (int i = 0; code == FL_OK && i < in->count; i++) {
        in->glass += in->rows[i].review_due_ms != 0;
        code = put_effect(&out, a, i, &err);
    }
    if (code == FL_OK)
        code = fl_buf_code(&out, &err);
    in->is_next |= in->count > 0;
    drop_page(in);
    if (code)
        fl_api_error(a, code, "%s", err.text);
    else
        fl_api_stream(a, "application/json", fl_buf_view(&out),
                      in->fetched < PAGE ? end : next_page);
    fl_buf_fini(&out);
}

/* The page's arena would leak where fl_api answers an error by itself. */
static void on_contents(struct fl_op *op)
{
    struct fl_api *a = FL_CONTAINER(op, struct fl_api, op);
    struct incident *in = a->user;
    if (op->code || !a->ex)
        drop_page(in);
    if (fl_api_flow_done(a))
        send_page(a);
}

static void on_rows(struct fl_api *a)
{
    struct incident *in = a->user;
    struct fl_query *q = a->q[0];
    in->fetched = fl_rows(q);
    in->arena = fl_arena_new(0);
    in->rows = in->arena ? fl_arena_array(in->arena, PAGE, sizeof *in->rows) : NULL;
    in->contents = in->arena ? fl_arena_array(in->arena, PAGE, sizeof(struct fl_query *)) : NULL;
    if (!in->rows || !in->contents) {
        drop_page(in);
        fl_api_error(a, FL_NOMEM, "out of memory");
        return;
    }
    for (int i = 0; i < in->fetched; i++) {
        in->window.after = fl_cell_uuid(q, i, 0);
        in->count += fl_store_approval_read(q, i, in->arena, &in->rows[in->count]);
    }
    struct fl_tx *tx = fl_api_tx(a);
    bool is_asked = false;
    for (int i = 0; i < in->count; i++) {
        if (in->rows[i].arguments_bytes > FL_API_SENTENCE_MAX)
            continue;
        in->contents[i] = fl_store_approval_content(tx, &in->rows[i].id);
        is_asked = true;
    }
    if (!is_asked) {
        send_page(a);
        return;
    }
    tx->is_read_only = true;
    a->op = (struct fl_op){ .done = on_contents };
    if (fl_tx_submit(&a->op, tx) != FL_OK) {
        drop_page(in);
        fl_api_error(a, a->op.err.code, "%s", a->op.err.text);
    }
}

static void next_page(struct fl_api *a)
{
    const struct incident *in = a->user;
    a->q[0] = fl_store_approvals_of_agent(fl_api_tx(a), &in->window);
    fl_api_submit(a, false, on_rows);
}

/* ---------------------------------------------------------------- which agent */
static bool find_agent(struct fl_api *a, struct incident *in)
{
    const struct fl_query *q = a->q[0];
    for (int i = 0; i < fl_rows(q); i++) {
        struct fl_uuid owner = fl_cell_uuid(q, i, 6);
        if (!fl_str_eq(fl_cell(q, i, 1), in->agent))
            continue;
        if (only_own(a) && fl_uuid_cmp(&owner, &a->auth.id) != 0)
            continue;
        in->window.agent = fl_cell_uuid(q, i, 0);
        return true;
    }
    fl_api_error(a, FL_NOT_FOUND, "there is no such agent");
    return false;
}

static void on_counted(struct fl_api *a)
{
    struct incident *in = a->user;
    struct fl_buf out = FL_BUF_INIT;
    char text[FL_TIME_BYTES];
    in->reads = fl_cell_int(a->q[0], 0, 0);
    in->denied = fl_cell_int(a->q[1], 0, 0);
    in->waiting = fl_cell_int(a->q[2], 0, 0);
    in->window.until_ms = fl_cell_int(a->q[3], 0, 0) + 1;
    fl_buf_puts(&out, "{\"agent\":");
    fl_buf_json_str(&out, in->agent);
    fl_buf_printf(&out, ",\"since\":\"%s\",\"effects\":[",
                  fl_time_format_s(in->window.since_ms, text));
    if (out.is_failed)
        fl_api_error(a, FL_NOMEM, "out of memory");
    else
        fl_api_stream(a, "application/json", fl_buf_view(&out), next_page);
    fl_buf_fini(&out);
}

static void on_agents(struct fl_api *a)
{
    struct incident *in = a->user;
    if (!find_agent(a, in))
        return;
    struct fl_tx *tx = fl_api_tx(a);
    a->q[0] = fl_store_audit_count(tx, &in->window.agent, fl_audit_kind_text(FL_AUDIT_CALL_READ),
                                   in->window.since_ms);
    a->q[1] = fl_store_audit_count(tx, &in->window.agent, fl_audit_kind_text(FL_AUDIT_CALL_DENIED),
                                   in->window.since_ms);
    a->q[2] = fl_store_approvals_waiting(tx, &in->window.agent);
    a->q[3] = fl_store_clock(tx);
    fl_api_submit(a, false, on_counted);
}

static void start(struct fl_api *a)
{
    struct incident *in = FL_ARENA_NEW(a->arena, struct incident);
    if (!in) {
        fl_api_error(a, FL_NOMEM, "out of memory");
        return;
    }
    in->window.most = PAGE;
    in->agent = fl_api_query(a, "agent");
    if (!in->agent.n) {
        fl_api_error(a, FL_BAD_PARAMS, "say which agent: ?agent=NAME");
        return;
    }
    if (!fl_api_query_since(a, "since", &in->window.since_ms))
        return;
    if (!in->window.since_ms)
        in->window.since_ms = fl_real_ms() - SINCE_MS;
    if (only_own(a))
        in->window.owner = a->auth.id;
    a->user = in;
    a->q[0] = fl_store_agents(fl_api_tx(a));
    fl_api_submit(a, false, on_agents);
}

const struct fl_api_route fl_api_incident[] = { { FL_HTTP_GET, "/orgs/{org}/incident", FL_NEED_ROLE,
                                                  FL_ACTION_READ_OWN_APPROVALS, start,
                                                  "agent since" },
                                                { .pattern = NULL } };
