/* Reading one approval. */
#include "runtime/approval/look.h"

#include "flopinio/base/log.h"
#include "flopinio/base/mem.h"
#include "runtime/approval/content.h"
#include "runtime/store/vote.h"

static bool is_over(enum fl_approval_state state)
{
    return state == FL_APPROVAL_SUCCEEDED || state == FL_APPROVAL_FAILED;
}

/* The arguments, and what stands beside them on the card. */
static enum fl_code open_texts(struct fl_look *l, const struct fl_str cells[4], struct fl_err *err)
{
    struct fl_content_call call;
    struct fl_approval *row = &l->row;
    enum fl_code code =
        fl_content_arguments(l->core, &l->organization, row, cells[0], l->arena, &call, err);
    if (code)
        return code;
    l->arguments = call.arguments;
    code = fl_content_open(l->core, &l->organization, &row->id, "justification", cells[1], l->arena,
                           &l->justification, err);
    return code ? code
                : fl_content_open(l->core, &l->organization, &row->id, "preview", cells[2],
                                  l->arena, &l->preview, err);
}

/* One text of it that is damaged is enough: nobody is shown the rest as if it were whole. */
static void forget_texts(struct fl_look *l)
{
    if (l->arguments.p)
        fl_cleanse((char *)l->arguments.p, l->arguments.n);
    l->arguments = l->preview = l->justification = (struct fl_str){ NULL, 0 };
}

enum fl_code fl_look_open(struct fl_look *l, struct fl_err *err)
{
    struct fl_str cells[4];
    struct fl_approval *row = &l->row;
    enum fl_code code = FL_OK;
    uint64_t failures = fl_mem_failures();
    for (int i = 0; i < 4; i++)
        cells[i] = fl_cell_bytes(l->q_content, l->arena, 0, i);
    if (fl_mem_failures() != failures) /* neither absent nor tampered with */
        return fl_err_code(err, FL_NOMEM);
    if (l->wants_result && is_over(row->state)) {
        struct fl_str json;
        code = fl_content_open(l->core, &l->organization, &row->id, "result", cells[3], l->arena,
                               &json, err);
        if (code == FL_OK && json.p)
            code = fl_result_decode(l->arena, json, &l->result, err);
        else if (code == FL_OK)
            l->result = (struct fl_call_result){ .bytes = row->result_bytes };
    }
    bool is_edited = l->wants_edited && !fl_uuid_is_zero(&row->edit_of);
    if (code == FL_OK && (l->wants_arguments || is_edited)) {
        code = open_texts(l, cells, err);
        if (code == FL_CONFLICT || code == FL_BAD_KEY) {
            FL_LOG(ERROR, "approval_tampered", FL_KU("org", &l->organization),
                   FL_KU("call", &row->id), FL_KS("reason", err->text));
            forget_texts(l);
            l->is_tampered = true;
            return FL_OK;
        }
    }
    return code;
}

static enum fl_code take(struct fl_look *l, struct fl_err *err)
{
    bool is_read = fl_store_approval_read(l->q_row, 0, l->arena, &l->row);
    if (!is_read && fl_rows(l->q_row) == 1)
        return fl_err_code(err, FL_NOMEM);
    bool is_agents = !fl_uuid_is_zero(&l->only_agent);
    if (!is_read || (is_agents && (fl_uuid_cmp(&l->only_agent, &l->row.agent_id) != 0 ||
                                   fl_approval_is_canary(&l->row) != l->is_canary)))
        return fl_err_set(err, FL_NOT_FOUND, "there is no such approval");
    enum fl_code code = FL_OK;
    if (l->q_content && fl_rows(l->q_content) == 1)
        code = fl_look_open(l, err);
    if (code == FL_OK && l->wants_ballot)
        code = fl_ballot_read(&l->ballot, l->arena, l->q_people, l->q_votes, &l->row, err);
    return code;
}

static void on_read(struct fl_op *op)
{
    struct fl_look *l = FL_CONTAINER(op, struct fl_look, db);
    struct fl_op *user = l->op;
    enum fl_code code = op->code == FL_AMBIGUOUS ? FL_UNAVAILABLE : op->code;
    user->err = op->err;
    if (code == FL_OK)
        code = take(l, &user->err);
    fl_op_finish(user, code);
}

enum fl_code fl_look_start(struct fl_op *op, struct fl_look *l)
{
    FL_ASSERT(!l->arena);
    l->arena = fl_arena_new(4096);
    if (!l->arena)
        return fl_err_code(&op->err, FL_NOMEM);
    struct fl_tx *tx = &l->tx;
    fl_tx_init(tx, l->core->pg, l->arena, &l->organization);
    tx->is_read_only = true;
    bool is_by_id = !fl_uuid_is_zero(&l->id);
    bool wants_content = l->wants_result || l->wants_arguments;
    l->q_row =
        is_by_id ? fl_store_approval_get(tx, &l->id) : fl_store_approval_by_task(tx, l->task_id);
    l->q_content = !wants_content ? NULL
                   : is_by_id     ? fl_store_approval_content(tx, &l->id)
                                  : fl_store_approval_content_by_task(tx, l->task_id);
    if (l->wants_ballot) {
        FL_ASSERT(is_by_id);
        l->q_votes = fl_store_votes(tx, &l->id);
        l->q_people = fl_store_people(tx);
    }
    l->op = op;
    l->db = (struct fl_op){ .done = on_read };
    enum fl_code code = fl_tx_submit(&l->db, tx);
    if (code) {
        op->err = l->db.err;
        fl_look_fini(l);
        return code;
    }
    fl_op_start(op, NULL, l);
    return FL_OK;
}

void fl_look_fini(struct fl_look *l)
{
    if (!l->arena)
        return;
    fl_tx_fini(&l->tx);
    forget_texts(l);
    fl_arena_free(&l->arena);
    l->row = (struct fl_approval){ 0 };
    l->result = (struct fl_call_result){ 0 };
    l->is_tampered = false;
}
