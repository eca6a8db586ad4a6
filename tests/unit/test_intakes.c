/* Intakes that gather: who is sent with whom, who is taken back, and what many of them cost. What
 * is sent ends here instead of in a database. */
#include "harness.h"
#include "runtime/approval/intakes.h"
#include "runtime/io/pg.h"

static struct fl_uuid fake_uuid(unsigned kind, unsigned n)
{
    return (struct fl_uuid){ { [0] = (uint8_t)kind,
                               [12] = (uint8_t)(n >> 24),
                               [13] = (uint8_t)(n >> 16),
                               [14] = (uint8_t)(n >> 8),
                               [15] = (uint8_t)n } };
}

#define SENT_MAX 4096
static struct {
    struct fl_op *op; /* NULL: over */
    struct fl_tx *tx;
    size_t rows;
} sent[SENT_MAX];
static size_t sent_count, rows_added, compared;

static enum fl_code fake_submit(struct fl_op *op, struct fl_tx *tx)
{
    CHECK(sent_count < SENT_MAX);
    fl_op_start(op, NULL, tx);
    sent[sent_count].op = op;
    sent[sent_count].tx = tx;
    sent[sent_count++].rows = rows_added;
    rows_added = 0;
    return FL_OK;
}

static bool is_gate_shut;

static struct fl_query *fake_locks(struct fl_tx *tx, const struct fl_uuid *agents, size_t count)
{
    static struct fl_query gate;
    FL_UNUSED(tx);
    FL_UNUSED(agents);
    CHECK(count > 0);
    return &gate;
}

static int fake_rows(const struct fl_query *gate)
{
    FL_UNUSED(gate);
    return is_gate_shut ? 0 : 1;
}

static struct fl_query *fake_intakes(struct fl_tx *tx, const struct fl_intake_row *rows,
                                     size_t count)
{
    static struct fl_query query;
    for (size_t i = 0; i < count; i++)
        CHECK(memcmp(&rows[i].row->organization, &tx->organization, sizeof tx->organization) == 0);
    rows_added += count;
    return &query;
}

static struct fl_query *fake_intake(struct fl_tx *tx, const struct fl_approval_new *row,
                                    const struct fl_audit_row *audit)
{
    return fake_intakes(tx, &(struct fl_intake_row){ row, audit }, 1);
}

static void fake_read(const struct fl_query *q, size_t at, struct fl_arena *arena,
                      struct fl_intake *ret)
{
    FL_UNUSED(q);
    FL_UNUSED(at);
    FL_UNUSED(arena);
    *ret = (struct fl_intake){ .result = FL_INTAKE_CREATED };
}

static int counted_cmp(const struct fl_uuid *a, const struct fl_uuid *b)
{
    compared++;
    return fl_uuid_cmp(a, b);
}

#define fl_rows                        fake_rows
#define fl_tx_submit                   fake_submit
#define fl_store_approval_intake_locks fake_locks
#define fl_store_approval_intakes      fake_intakes
#define fl_store_approval_intake       fake_intake
#define fl_store_approval_intake_read  fake_read
#define fl_uuid_cmp                    counted_cmp
#include "runtime/approval/intakes.c"
#undef fl_uuid_cmp

struct caller {
    struct fl_op op;
    struct fl_approval_new row;
    struct fl_audit_row audit;
    struct fl_intake_entry entry;
    int answers;
};

static struct fl_loop loop;
static struct fl_intakes *intakes;

static void on_answer(struct fl_op *op)
{
    FL_CONTAINER(op, struct caller, op)->answers++;
}

static void ask(struct caller *c, unsigned organization, unsigned agent)
{
    *c = (struct caller){ .op.done = on_answer };
    c->row.organization = fake_uuid(1, organization);
    c->row.agent_id = fake_uuid(2, agent);
    c->entry = (struct fl_intake_entry){ .row = &c->row, .audit = &c->audit };
    CHECK_OK(fl_intakes_add(&c->op, intakes, &c->entry));
}

static void turn(void)
{
    uv_run(&loop.uv, UV_RUN_NOWAIT);
}

static void begin(void)
{
    struct fl_err err;
    CHECK_OK(fl_loop_init(&loop, &err));
    CHECK_OK(fl_intakes_new(&loop, NULL, &intakes, &err));
}

static void answer(size_t at, enum fl_code code, const char *sqlstate)
{
    struct fl_op *op = sent[at].op;
    CHECK(op);
    snprintf(sent[at].tx->sqlstate, sizeof sent[at].tx->sqlstate, "%s", sqlstate);
    sent[at].op = NULL;
    fl_op_finish(op, code);
}

static void end(void)
{
    for (bool is_more = true; is_more;) {
        is_more = false;
        turn();
        for (size_t i = 0; i < sent_count; i++) {
            is_more = is_more || sent[i].op;
            if (sent[i].op)
                answer(i, FL_OK, "");
        }
    }
    turn();
    fl_intakes_free(&intakes);
    CHECK_INT(fl_loop_fini(&loop), 0);
}

static void check_answer(const struct caller *c, enum fl_code code)
{
    CHECK_INT(c->answers, 1);
    CHECK_STR(fl_code_name(c->op.code), fl_code_name(code));
}

static void test_people_are_not_asked_for_a_caller_who_left_in_the_queue(void)
{
    static struct caller first, gone, stays;
    begin();
    ask(&first, 1, 1);
    turn();
    ask(&gone, 1, 2);
    ask(&stays, 1, 3);
    turn();
    CHECK_INT(sent_count, 1); /* the other two wait for it */
    fl_op_cancel(&gone.op);
    CHECK_INT(gone.answers, 0); /* never inside the cancelling */
    turn();
    check_answer(&gone, FL_CANCELLED);
    answer(0, FL_OK, "");
    check_answer(&first, FL_OK);
    turn();
    CHECK_INT(sent_count, 2);
    CHECK_INT(sent[1].rows, 1);
    end();
    check_answer(&gone, FL_CANCELLED);
    check_answer(&stays, FL_OK);
}

static void test_what_is_under_way_comes_to_its_end(void)
{
    static struct caller c;
    begin();
    ask(&c, 1, 1);
    turn();
    fl_op_cancel(&c.op);
    turn();
    CHECK_INT(c.answers, 0);
    answer(0, FL_OK, "");
    check_answer(&c, FL_OK);
    CHECK_INT(c.entry.result.result, FL_INTAKE_CREATED);
    end();
}

static void test_the_last_one_that_leaves_leaves_nothing(void)
{
    static struct caller c;
    begin();
    ask(&c, 1, 1);
    fl_op_cancel(&c.op);
    turn();
    check_answer(&c, FL_CANCELLED);
    CHECK_INT(sent_count, 0);
    end();
}

static void test_who_left_does_not_go_again_alone(void)
{
    static struct caller stays, gone;
    begin();
    ask(&stays, 1, 1);
    ask(&gone, 1, 2);
    turn();
    CHECK_INT(sent[0].rows, 2);
    fl_op_cancel(&gone.op);
    answer(0, FL_DB_REFUSED, "23514");
    turn();
    check_answer(&gone, FL_CANCELLED);
    CHECK_INT(sent_count, 2);
    CHECK_INT(sent[1].rows, 1);
    answer(1, FL_OK, "");
    check_answer(&stays, FL_OK);
    end();
}

/* Each of them would wait as long for the same lock, on a connection that others need. */
static void test_who_waited_for_a_shut_gate_does_not_go_again_alone(void)
{
    static struct caller a, b, c, d;
    begin();
    ask(&a, 1, 1);
    ask(&b, 1, 2);
    turn();
    is_gate_shut = true;
    answer(0, FL_UNAVAILABLE, "55P03");
    turn();
    check_answer(&a, FL_UNAVAILABLE);
    check_answer(&b, FL_UNAVAILABLE);
    CHECK_INT(sent_count, 1);
    /* Behind it, some agent's lock: that is one of them, the other one may be right. */
    is_gate_shut = false;
    ask(&c, 1, 3);
    ask(&d, 1, 4);
    turn();
    CHECK_INT(sent[1].rows, 2);
    answer(1, FL_UNAVAILABLE, "55P03");
    turn();
    CHECK_INT(sent_count, 4);
    answer(2, FL_OK, "");
    answer(3, FL_UNAVAILABLE, "55P03");
    check_answer(&c, FL_OK);
    check_answer(&d, FL_UNAVAILABLE);
    end();
}

static void test_nobody_waits_in_the_queue_for_ever(void)
{
    static struct caller first, late, later;
    begin();
    ask(&first, 1, 1);
    turn();
    ask(&late, 1, 2);
    fl_clock_skew_set((struct fl_clock_skew){ .mono_ms = 5000 });
    ask(&later, 1, 3);
    turn();
    CHECK_INT(late.answers, 0);
    fl_clock_skew_set((struct fl_clock_skew){ .mono_ms = 8500 });
    turn();
    check_answer(&late, FL_UNAVAILABLE);
    CHECK_INT(later.answers, 0);
    fl_clock_skew_set((struct fl_clock_skew){ .mono_ms = 13500 });
    turn();
    check_answer(&later, FL_UNAVAILABLE);
    CHECK_INT(first.answers, 0); /* under way: its transaction has a time of its own */
    CHECK_INT(sent_count, 1);
    end();
    check_answer(&late, FL_UNAVAILABLE);
    check_answer(&later, FL_UNAVAILABLE);
}

/* With the waiting list walked for each organization it was two million comparisons. */
static void test_a_thousand_organizations_do_not_cost_a_million_comparisons(void)
{
    enum { N = 2000 };
    static struct caller callers[2 * N];
    begin();
    compared = 0;
    for (unsigned i = 0; i < N; i++)
        ask(&callers[i], i, i);
    turn();
    CHECK_INT(sent_count, N);
    for (unsigned i = 0; i < N; i++) /* and once more behind those that are under way */
        ask(&callers[N + i], i, N + i);
    turn();
    CHECK_INT(sent_count, N);
    for (unsigned i = 0; i < N; i++) {
        answer(i, FL_OK, "");
        turn();
    }
    CHECK_INT(sent_count, 2 * N);
    CHECK_MSG(compared <= 6 * N, "%zu comparisons for %d intakes", compared, 2 * N);
    end();
    for (unsigned i = 0; i < 2 * N; i++)
        check_answer(&callers[i], FL_OK);
}

static void test_a_large_organization_keeps_nobody_waiting(void)
{
    static struct caller large[500], small[100];
    begin();
    for (unsigned i = 0; i < FL_COUNTOF(large); i++)
        ask(&large[i], 1, i);
    for (unsigned i = 0; i < FL_COUNTOF(small); i++)
        ask(&small[i], 2 + i, i);
    turn();
    CHECK_INT(sent_count, IN_FLIGHT + FL_COUNTOF(small));
    CHECK_INT(sent[0].rows, ROWS_MAX);
    CHECK_INT(sent[1].rows, ROWS_MAX);
    for (size_t i = IN_FLIGHT; i < sent_count; i++)
        CHECK_INT(sent[i].rows, 1);
    end();
    for (unsigned i = 0; i < FL_COUNTOF(large); i++)
        check_answer(&large[i], FL_OK);
}

static const struct fl_test tests[] = {
    T(people_are_not_asked_for_a_caller_who_left_in_the_queue),
    T(what_is_under_way_comes_to_its_end),
    T(the_last_one_that_leaves_leaves_nothing),
    T(who_left_does_not_go_again_alone),
    T(who_waited_for_a_shut_gate_does_not_go_again_alone),
    T(nobody_waits_in_the_queue_for_ever),
    T(a_thousand_organizations_do_not_cost_a_million_comparisons),
    T(a_large_organization_keeps_nobody_waiting),
};

TEST_MAIN(tests)
