/* One PostgreSQL connection: connecting (where to: pg_dial.c), checking, running one unit at a time
 * in pipeline mode, breaking. The pool (pg.c) hands it members; results are matched to what was
 * sent by the queue `expected`. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "flopinio/base/log.h"
#include "flopinio/base/mem.h"
#include "runtime/io/pg_priv.h"

#define ROLLBACK_TIMEOUT_MS 5000
#define RETRY_FIRST_MS      50
#define RETRY_MAX_MS        2000
#define COLLISIONS_MAX      3
#define LAST_READS_MAX      64

static void on_poll(uv_poll_t *poll, int status, int events);
static void on_retry(struct fl_timer *timer);
static void on_deadline(struct fl_timer *timer);
static void on_break_soon(struct fl_post *post);

void fl_pg_conn_init(struct fl_pg_conn *conn, struct fl_pg *pool, enum fl_pg_kind kind)
{
    *conn = (struct fl_pg_conn){ .pool = pool, .kind = kind, .fd = -1 };
    fl_list_init(&conn->members);
    fl_list_init(&conn->alone);
    fl_timer_init(&conn->retry, on_retry);
    fl_timer_init(&conn->deadline, on_deadline);
    conn->breaker.run = on_break_soon;
}

/* ---- the socket ---- */
static void free_poll(uv_handle_t *handle)
{
    fl_free(handle);
}

static void drop_poll(struct fl_pg_conn *conn)
{
    if (conn->poll) {
        uv_poll_stop(conn->poll);
        uv_close((uv_handle_t *)conn->poll, free_poll);
    }
    conn->poll = NULL;
    conn->fd = -1;
    conn->events = 0;
}

bool fl_pg_conn_watch(struct fl_pg_conn *conn, int events)
{
    int fd = PQsocket(conn->pg);
    if (fd < 0)
        return false;
    if (fd != conn->fd) {
        drop_poll(conn);
        conn->poll = fl_calloc(1, sizeof *conn->poll);
        if (!conn->poll)
            return false;
        if (uv_poll_init(&conn->pool->loop->uv, conn->poll, fd) != 0) {
            fl_free(conn->poll);
            conn->poll = NULL;
            return false;
        }
        conn->poll->data = conn;
        conn->fd = fd;
    }
    if (events != conn->events && uv_poll_start(conn->poll, events, on_poll) != 0)
        return false;
    conn->events = events;
    return true;
}

/* ---- connecting ---- */
/* From host to host at once; a pause, longer each time, when the whole list has failed. */
static void schedule_retry(struct fl_pg_conn *conn)
{
    unsigned rounds = conn->tried / conn->pool->host_count;
    bool is_within = conn->tried % conn->pool->host_count != 0;
    int64_t delay = RETRY_FIRST_MS << (rounds > 6 ? 6 : rounds > 0 ? rounds - 1 : 0);
    uint16_t jitter;
    if (delay > RETRY_MAX_MS)
        delay = RETRY_MAX_MS;
    fl_random(&jitter, sizeof jitter);
    delay += delay * jitter / 65536 / 2;
    conn->attempts++;
    conn->state = FL_PG_DOWN;
    fl_loop_timer(conn->pool->loop, &conn->retry, is_within ? 0 : delay);
}

void fl_pg_conn_fail(struct fl_pg_conn *conn, const char *why)
{
    struct fl_pg *pool = conn->pool;
    struct fl_pg_host *host = fl_pg_host_of(conn);
    size_t n = strcspn(why, "\r\n");
    const char *name = host->name ? host->name : host->address ? host->address : "";
    if (!host->is_told) /* once, not for each connection and attempt */
        FL_LOG(WARN, "database_connect_failed", FL_KS("host", name),
               FL_KV("reason", ((struct fl_str){ why, n })));
    host->is_told = true;
    /* The reason, which may name hosts and paths, is for the log: agents are told this too. */
    fl_err_set(&pool->last_error, FL_UNAVAILABLE, "the database is not reachable");
    drop_poll(conn);
    PQfinish(conn->pg);
    conn->pg = NULL;
    fl_loop_timer_cancel(pool->loop, &conn->deadline);
    conn->tried++;
    schedule_retry(conn);
    fl_pg_became_down(conn);
}

void fl_pg_conn_start(struct fl_pg_conn *conn)
{
    conn->state = FL_PG_CONNECTING;
    memset(conn->prepared, 0, sizeof conn->prepared);
    fl_pg_dial(conn);
}

static void on_retry(struct fl_timer *timer)
{
    struct fl_pg_conn *conn = FL_CONTAINER(timer, struct fl_pg_conn, retry);
    fl_pg_conn_start(conn);
}

static void refuse(struct fl_pg_conn *conn, const char *why)
{
    struct fl_pg *pool = conn->pool;
    if (!pool->refusal[0])
        FL_LOG(ERROR, "database_refused", FL_KS("reason", why));
    snprintf(pool->refusal, sizeof pool->refusal, "%s", why);
    fl_pg_conn_fail(conn, why);
}

/* Notices would go to stderr past the log; what matters arrives as an error. */
static void drop_notice(void *arg, const char *message)
{
    FL_UNUSED(arg);
    FL_UNUSED(message);
}

/* After the handshake: one simple query, then pipeline mode (or LISTEN). */
static void begin_setup(struct fl_pg_conn *conn)
{
    const char *admit_sql = conn->pool->config.admit_sql;
    conn->state = FL_PG_SETUP;
    conn->is_checked = false;
    PQsetnonblocking(conn->pg, 1);
    PQsetNoticeProcessor(conn->pg, drop_notice, NULL);
    char sql[2048];
    snprintf(sql, sizeof sql, "%s%s%s%s", fl_pg_check_sql, admit_sql ? "; " : "",
             admit_sql ? admit_sql : "", conn->kind == FL_PG_LISTEN ? "; LISTEN flopinio" : "");
    if (!PQsendQuery(conn->pg, sql) || !fl_pg_conn_watch(conn, UV_READABLE | UV_WRITABLE))
        fl_pg_conn_fail(conn, PQerrorMessage(conn->pg));
}

static bool is_admitted(struct fl_pg_conn *conn, const PGresult *res)
{
    const struct fl_pg_config *c = &conn->pool->config;
    struct fl_err why;
    if (c->admit(c->admit_ctx, res, &why) == FL_OK)
        return true;
    fl_pg_conn_fail(conn, why.text);
    conn->pool->last_error = why; /* of our own making: it is for whoever asks */
    return false;
}

static bool check_setup(struct fl_pg_conn *conn, PGresult *res)
{
    struct fl_err why;
    if (PQresultStatus(res) == PGRES_COMMAND_OK)
        return true; /* LISTEN */
    if (PQresultStatus(res) != PGRES_TUPLES_OK || PQntuples(res) != 1) {
        fl_pg_conn_fail(conn, PQresultErrorMessage(res));
        return false;
    }
    if (conn->is_checked)
        return is_admitted(conn, res);
    enum fl_code code = fl_pg_check(res, conn->pool->config.may_bypass_rls, &why);
    if (code == FL_UNAVAILABLE)
        fl_pg_conn_fail(conn, why.text);
    else if (code)
        refuse(conn, why.text);
    else if (!fl_pg_backend_know(conn, res))
        fl_pg_conn_fail(conn, "out of memory");
    conn->is_checked = true;
    return code == FL_OK && conn->state == FL_PG_SETUP;
}

static void finish_setup(struct fl_pg_conn *conn)
{
    struct fl_pg *pool = conn->pool;
    fl_loop_timer_cancel(pool->loop, &conn->deadline);
    if (conn->kind != FL_PG_LISTEN && !PQenterPipelineMode(conn->pg)) {
        fl_pg_conn_fail(conn, PQerrorMessage(conn->pg));
        return;
    }
    bool was_down = conn->attempts > 0;
    conn->attempts = conn->tried = 0;
    conn->state = FL_PG_IDLE;
    pool->refusal[0] = 0;
    if (!fl_pg_conn_watch(conn, UV_READABLE)) {
        fl_pg_conn_break(conn, "could not watch the socket");
        return;
    }
    if (was_down)
        pool->stats.reconnects++;
    fl_pg_became_up(conn);
}

static void read_setup(struct fl_pg_conn *conn)
{
    if (!PQconsumeInput(conn->pg)) {
        fl_pg_conn_fail(conn, PQerrorMessage(conn->pg));
        return;
    }
    int rc = PQflush(conn->pg);
    if (rc < 0 || !fl_pg_conn_watch(conn, rc ? UV_READABLE | UV_WRITABLE : UV_READABLE)) {
        fl_pg_conn_fail(conn, rc < 0 ? PQerrorMessage(conn->pg) : "could not watch the socket");
        return;
    }
    while (!PQisBusy(conn->pg)) {
        PGresult *res = PQgetResult(conn->pg);
        if (!res) {
            finish_setup(conn);
            return;
        }
        bool is_fine = check_setup(conn, res);
        PQclear(res);
        if (!is_fine)
            return;
    }
}

/* A step may begin anew (without TLS, or where the environment says): a new socket with the number
 * of one that epoll forgot. */
static void connect_poll(struct fl_pg_conn *conn)
{
    bool is_watched = true;
    drop_poll(conn);
    switch (PQconnectPoll(conn->pg)) {
    case PGRES_POLLING_READING: is_watched = fl_pg_conn_watch(conn, UV_READABLE); break;
    case PGRES_POLLING_WRITING: is_watched = fl_pg_conn_watch(conn, UV_WRITABLE); break;
    case PGRES_POLLING_OK: begin_setup(conn); return;
    default: fl_pg_conn_fail(conn, PQerrorMessage(conn->pg)); return;
    }
    if (!is_watched)
        fl_pg_conn_fail(conn, "could not watch the socket");
}

/* ---- breaking ---- */
static void fail_members(struct fl_pg_conn *conn, struct fl_list *list, bool was_sent,
                         const char *why)
{
    bool may_have_committed =
        was_sent && (conn->unit == FL_PG_UNIT_GROUP || conn->unit == FL_PG_UNIT_COMMIT);
    while (!fl_list_is_empty(list)) {
        struct fl_tx *tx = FL_CONTAINER(list->next, struct fl_tx, link);
        struct fl_err err;
        enum fl_code code = may_have_committed && !tx->is_read_only ? FL_AMBIGUOUS : FL_UNAVAILABLE;
        fl_err_set(&err, code, "the connection to the database was lost: %s", why);
        fl_list_remove(&tx->link);
        tx->conn = NULL;
        fl_pg_finish(tx, code, &err);
    }
}

void fl_pg_conn_break(struct fl_pg_conn *conn, const char *why)
{
    struct fl_pg *pool = conn->pool;
    char reason[200];
    struct fl_list members, alone;
    fl_loop_post_cancel(pool->loop, &conn->breaker);
    if (conn->holder)
        conn->holder->conn = NULL;
    conn->holder = NULL;
    snprintf(reason, sizeof reason, "%.*s", (int)strcspn(why, "\r\n"), why);
    fl_pg_backend_lost(conn);
    drop_poll(conn);
    PQfinish(conn->pg);
    conn->pg = NULL;
    fl_loop_timer_cancel(pool->loop, &conn->deadline);
    conn->expected_head = conn->expected_count = 0;
    conn->is_separator_due = conn->is_unit_failed = false;
    fl_err_set(&pool->last_error, FL_UNAVAILABLE, "the connection to the database was lost");
    if (!pool->is_closing && pool->is_up)
        FL_LOG(WARN, "database_connection_lost", FL_KS("reason", reason));
    fl_list_init(&members);
    fl_list_init(&alone);
    fl_list_splice(&members, &conn->members);
    fl_list_splice(&alone, &conn->alone);
    schedule_retry(conn);
    fl_pg_became_down(conn);
    fail_members(conn, &members, true, reason);
    fail_members(conn, &alone, false, reason); /* their group was rolled back as a whole */
    conn->unit = FL_PG_UNIT_NONE;
}

static void on_break_soon(struct fl_post *post)
{
    struct fl_pg_conn *conn = FL_CONTAINER(post, struct fl_pg_conn, breaker);
    fl_pg_conn_break(conn, conn->break_reason);
}

/* A send that fails does so inside somebody's start, where nothing may complete. */
static void break_soon(struct fl_pg_conn *conn, const char *why)
{
    drop_poll(conn); /* libpq may have closed the socket: its number is anybody's */
    snprintf(conn->break_reason, sizeof conn->break_reason, "%s", why);
    fl_loop_post(conn->pool->loop, &conn->breaker);
}

void fl_pg_conn_close(struct fl_pg_conn *conn)
{
    fl_pg_dial_cancel(conn);
    fl_pg_conn_break(conn, "the runtime is stopping");
    fl_loop_timer_cancel(conn->pool->loop, &conn->retry);
}

void fl_pg_conn_fini(struct fl_pg_conn *conn)
{
    FL_ASSERT(!conn->pg && !conn->poll);
    fl_free(conn->expected);
    fl_free(conn->backend);
}

static void on_deadline(struct fl_timer *timer)
{
    struct fl_pg_conn *conn = FL_CONTAINER(timer, struct fl_pg_conn, deadline);
    if (fl_pg_dial_cancel(conn))
        fl_pg_conn_fail(conn, "resolving its name took too long");
    else if (conn->state == FL_PG_CONNECTING || conn->state == FL_PG_SETUP)
        fl_pg_conn_fail(conn, "connecting took too long");
    else
        fl_pg_conn_break(conn, "rolling back took too long");
}

/* ---- sending a unit ---- */
static bool expect(struct fl_pg_conn *conn, struct fl_pg_expected what)
{
    size_t at = conn->expected_head + conn->expected_count;
    if (at == conn->expected_cap) {
        size_t cap = conn->expected_cap ? conn->expected_cap * 2 : 64;
        struct fl_pg_expected *more = fl_reallocarray(conn->expected, cap, sizeof *conn->expected);
        if (!more)
            return false;
        conn->expected = more;
        conn->expected_cap = cap;
    }
    conn->expected[at] = what;
    conn->expected_count++;
    return true;
}

static bool send_plain(struct fl_pg_conn *conn, struct fl_tx *tx, const char *sql,
                       enum fl_pg_expected_kind kind)
{
    return expect(conn, (struct fl_pg_expected){ .kind = kind, .tx = tx }) &&
           PQsendQueryParams(conn->pg, sql, 0, NULL, NULL, NULL, NULL, 0);
}

/* In front of the first use of a statement on this connection. */
static bool prepare(struct fl_pg_conn *conn, struct fl_tx *tx, struct fl_sql *sql)
{
    static int next_id = 1;
    if (sql->id == 0) {
        FL_ASSERT(next_id < FL_SQL_MAX);
        sql->id = next_id++;
    }
    int id = sql->id;
    if (conn->prepared[id / 8] >> (id % 8) & 1)
        return true;
    if (!expect(conn, (struct fl_pg_expected){ .kind = FL_PG_E_PREPARE, .tx = tx, .sql = sql }) ||
        !PQsendPrepare(conn->pg, sql->name, sql->text, 0, NULL))
        return false;
    conn->prepared[id / 8] |= (uint8_t)(1 << id % 8); /* taken back if it is not carried out */
    return true;
}

/* Before the statements of a member, unless the database transaction stands there already: it
 * begins with none. */
static bool send_organization(struct fl_pg_conn *conn, struct fl_tx *tx)
{
    static struct fl_sql sql = { "set_organization",
                                 "SELECT set_config('flopinio.organization', $1, true)", 0 };
    char text[FL_UUID_TEXT] = "";
    if (tx->has_organization == conn->has_organization &&
        (!tx->has_organization || fl_uuid_cmp(&tx->organization, &conn->organization) == 0))
        return true;
    if (tx->has_organization)
        fl_uuid_format(&tx->organization, text);
    conn->organization = tx->organization;
    conn->has_organization = tx->has_organization;
    const char *values[] = { text };
    return prepare(conn, tx, &sql) &&
           expect(conn, (struct fl_pg_expected){ .kind = FL_PG_E_PLAIN, .tx = tx }) &&
           PQsendQueryPrepared(conn->pg, sql.name, 1, values, NULL, NULL, 0);
}

static bool send_query(struct fl_pg_conn *conn, struct fl_tx *tx, struct fl_query *q)
{
    return prepare(conn, tx, q->sql) &&
           expect(conn, (struct fl_pg_expected){ .kind = FL_PG_E_QUERY, .tx = tx, .query = q }) &&
           PQsendQueryPrepared(conn->pg, q->sql->name, q->count, q->values, q->lengths, q->formats,
                               0);
}

static bool send_queries(struct fl_pg_conn *conn, struct fl_tx *tx)
{
    for (struct fl_query *q = tx->first; q; q = q->next) {
        PQclear(q->result);
        q->result = NULL;
        if (!send_query(conn, tx, q))
            return false;
    }
    return true;
}

static void send_sync(struct fl_pg_conn *conn)
{
    conn->is_unit_failed = false;
    int rc =
        expect(conn, (struct fl_pg_expected){ .kind = FL_PG_E_SYNC }) && PQpipelineSync(conn->pg)
            ? PQflush(conn->pg)
            : -1;
    if (rc < 0 || !fl_pg_conn_watch(conn, rc ? UV_READABLE | UV_WRITABLE : UV_READABLE))
        break_soon(conn, PQerrorMessage(conn->pg));
}

void fl_pg_conn_group(struct fl_pg_conn *conn)
{
    conn->state = FL_PG_BUSY;
    conn->unit = FL_PG_UNIT_GROUP;
    conn->has_organization = false;
    FL_LIST_FOREACH (link, &conn->members) {
        struct fl_tx *tx = FL_CONTAINER(link, struct fl_tx, link);
        tx->conn = conn;
        if (!send_organization(conn, tx) || !send_queries(conn, tx)) {
            break_soon(conn, PQerrorMessage(conn->pg));
            return;
        }
    }
    send_sync(conn);
}

void fl_pg_conn_round(struct fl_pg_conn *conn, struct fl_tx *tx, bool with_commit)
{
    conn->state = FL_PG_BUSY;
    conn->unit = with_commit ? FL_PG_UNIT_COMMIT : FL_PG_UNIT_ROUND;
    fl_list_push_back(&conn->members, &tx->link);
    bool is_sent = true;
    if (!tx->is_begun) {
        tx->is_begun = true;
        conn->has_organization = false;
        is_sent = send_plain(conn, tx, "BEGIN", FL_PG_E_PLAIN) && send_organization(conn, tx);
    }
    is_sent = is_sent && send_queries(conn, tx);
    if (with_commit)
        is_sent = is_sent && send_plain(conn, tx, "COMMIT", FL_PG_E_COMMIT);
    if (is_sent)
        send_sync(conn);
    else
        break_soon(conn, PQerrorMessage(conn->pg));
}

void fl_pg_conn_rollback(struct fl_pg_conn *conn)
{
    conn->state = FL_PG_BUSY;
    conn->unit = FL_PG_UNIT_ROLLBACK;
    fl_loop_timer(conn->pool->loop, &conn->deadline, ROLLBACK_TIMEOUT_MS);
    if (send_plain(conn, NULL, "ROLLBACK", FL_PG_E_PLAIN))
        send_sync(conn);
    else
        break_soon(conn, PQerrorMessage(conn->pg));
}

/* ---- results ---- */
static enum fl_code code_of(const char *sqlstate)
{
    static const struct {
        const char *prefix;
        enum fl_code code;
    } classes[] = { { "23505", FL_CONFLICT },    { "23", FL_DB_REFUSED },
                    { "40", FL_CONFLICT },       { "53", FL_UNAVAILABLE },
                    { "55P03", FL_UNAVAILABLE }, { "57", FL_UNAVAILABLE },
                    { "58", FL_UNAVAILABLE },    { "08", FL_UNAVAILABLE },
                    { "25006", FL_UNAVAILABLE } };
    for (size_t i = 0; sqlstate && i < FL_COUNTOF(classes); i++) {
        if (strncmp(sqlstate, classes[i].prefix, strlen(classes[i].prefix)) == 0)
            return classes[i].code;
    }
    return FL_DB_REFUSED;
}

static void note_failure(struct fl_pg_conn *conn, struct fl_tx *tx, const PGresult *res)
{
    if (conn->is_unit_failed)
        return;
    conn->is_unit_failed = true;
    const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
    const char *text = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
    const char *constraint = PQresultErrorField(res, PG_DIAG_CONSTRAINT_NAME);
    enum fl_code code = code_of(state);
    fl_err_set(&conn->unit_err, code, "%s: %s",
               code == FL_UNAVAILABLE ? "the database could not do it now"
                                      : "the database refused it",
               text ? text : "no reason given");
    if (tx) {
        snprintf(tx->sqlstate, sizeof tx->sqlstate, "%s", state ? state : "");
        snprintf(tx->constraint, sizeof tx->constraint, "%s", constraint ? constraint : "");
    }
}

static void take_result(struct fl_pg_conn *conn, const struct fl_pg_expected *e, PGresult *res)
{
    ExecStatusType status = PQresultStatus(res);
    bool is_done = status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK;
    if (e->kind == FL_PG_E_COMMIT && is_done && strcmp(PQcmdStatus(res), "COMMIT") != 0) {
        is_done = false; /* "ROLLBACK": the transaction had been aborted */
        conn->is_unit_failed = true;
        fl_err_set(&conn->unit_err, FL_CONFLICT, "the database rolled the transaction back");
    }
    if (e->kind == FL_PG_E_PREPARE && !is_done) {
        int id = e->sql->id;
        conn->prepared[id / 8] &= (uint8_t) ~(1 << id % 8);
    }
    if (!is_done && status != PGRES_PIPELINE_ABORTED)
        note_failure(conn, e->tx, res);
    if (e->kind == FL_PG_E_QUERY && is_done)
        e->query->result = res;
    else
        PQclear(res);
}

/* Rolled back because it and others waited for each other (or could not be put in an order): as
 * nothing of it was committed, it goes again. */
static bool has_collided(struct fl_tx *tx)
{
    if (strncmp(tx->sqlstate, "40", 2) != 0 || tx->collisions == COLLISIONS_MAX)
        return false;
    tx->collisions++;
    tx->sqlstate[0] = 0;
    return true;
}

static void end_group(struct fl_pg_conn *conn, bool is_failed)
{
    struct fl_pg *pool = conn->pool;
    struct fl_list members;
    fl_list_init(&members);
    fl_list_splice(&members, &conn->members);
    bool has_several = members.next != members.prev;
    bool goes_again = has_several;
    if (is_failed && !has_several && !fl_list_is_empty(&members))
        goes_again = has_collided(FL_CONTAINER(members.next, struct fl_tx, link));
    pool->stats.batches++;
    if (is_failed && goes_again) {
        /* Nothing of the batch was committed: each member again, alone. */
        pool->stats.retried++;
        fl_list_splice(&conn->alone, &members);
    }
    struct fl_err err = conn->unit_err;
    if (!fl_list_is_empty(&conn->alone)) {
        struct fl_list *next = conn->alone.next;
        fl_list_remove(next);
        fl_list_push_back(&conn->members, next);
    } else {
        conn->state = FL_PG_IDLE;
        conn->unit = FL_PG_UNIT_NONE;
    }
    if (conn->state == FL_PG_BUSY)
        fl_pg_conn_group(conn);
    while (!fl_list_is_empty(&members)) {
        struct fl_tx *tx = FL_CONTAINER(members.next, struct fl_tx, link);
        fl_list_remove(&tx->link);
        tx->conn = NULL;
        fl_pg_finish(tx, is_failed ? err.code : FL_OK, &err);
    }
    if (conn->state == FL_PG_IDLE)
        fl_pg_became_idle(conn);
}

static void end_round(struct fl_pg_conn *conn, bool is_failed, bool is_commit)
{
    struct fl_tx *tx = FL_CONTAINER(conn->members.next, struct fl_tx, link);
    struct fl_err err = conn->unit_err;
    fl_list_remove(&tx->link);
    if (!is_failed && !is_commit) {
        conn->state = FL_PG_HELD;
        conn->unit = FL_PG_UNIT_NONE;
        fl_pg_finish(tx, FL_OK, NULL);
        return;
    }
    tx->conn = NULL;
    conn->holder = NULL;
    tx->is_begun = false;
    if (PQtransactionStatus(conn->pg) != PQTRANS_IDLE) {
        fl_pg_conn_rollback(conn);
    } else {
        conn->state = FL_PG_IDLE;
        conn->unit = FL_PG_UNIT_NONE;
        fl_pg_became_idle(conn);
    }
    fl_pg_finish(tx, is_failed ? err.code : FL_OK, &err);
}

static void end_unit(struct fl_pg_conn *conn)
{
    bool is_failed = conn->is_unit_failed;
    conn->is_unit_failed = false;
    switch (conn->unit) {
    case FL_PG_UNIT_GROUP: end_group(conn, is_failed); break;
    case FL_PG_UNIT_ROUND: end_round(conn, is_failed, false); break;
    case FL_PG_UNIT_COMMIT: end_round(conn, is_failed, true); break;
    case FL_PG_UNIT_ROLLBACK:
        fl_loop_timer_cancel(conn->pool->loop, &conn->deadline);
        if (PQtransactionStatus(conn->pg) != PQTRANS_IDLE) {
            fl_pg_conn_break(conn, "could not roll back");
            break;
        }
        conn->state = FL_PG_IDLE;
        conn->unit = FL_PG_UNIT_NONE;
        fl_pg_became_idle(conn);
        break;
    case FL_PG_UNIT_NONE: fl_pg_conn_break(conn, "an answer to nothing"); break;
    }
}

static void pass_notifications(struct fl_pg_conn *conn)
{
    struct fl_pg *pool = conn->pool;
    PGnotify *note;
    while (conn->pg && (note = PQnotifies(conn->pg)) != NULL) {
        if (pool->on_notify)
            pool->on_notify(pool->on_notify_ctx, note->extra);
        PQfreemem(note);
    }
}

/* Behind it the server closes the connection. */
static bool is_fatal(const PGresult *res)
{
    const char *severity = PQresultErrorField(res, PG_DIAG_SEVERITY_NONLOCALIZED);
    return severity && (strcmp(severity, "FATAL") == 0 || strcmp(severity, "PANIC") == 0);
}

static void read_results(struct fl_pg_conn *conn)
{
    PGconn *pg = conn->pg;
    while (conn->pg == pg && conn->expected_count && !PQisBusy(pg)) {
        PGresult *res = PQgetResult(pg);
        if (!res) {
            if (!conn->is_separator_due)
                break;
            conn->is_separator_due = false;
            continue;
        }
        struct fl_pg_expected e = conn->expected[conn->expected_head];
        ExecStatusType status = PQresultStatus(res);
        if (is_fatal(res) || (status == PGRES_PIPELINE_SYNC) != (e.kind == FL_PG_E_SYNC)) {
            char why[200];
            snprintf(why, sizeof why, "%s", PQresultErrorMessage(res));
            PQclear(res);
            fl_pg_conn_break(conn, why[0] ? why : "an unexpected answer");
            return;
        }
        conn->expected_head++;
        if (--conn->expected_count == 0)
            conn->expected_head = 0;
        if (e.kind == FL_PG_E_SYNC) {
            PQclear(res);
            end_unit(conn);
        } else {
            conn->is_separator_due = true;
            take_result(conn, &e, res);
        }
    }
}

static void take_input(struct fl_pg_conn *conn)
{
    if (conn->kind == FL_PG_LISTEN)
        pass_notifications(conn);
    else
        read_results(conn);
}

/* What came before the end counts, and may say why it ends. */
static void read_the_last(struct fl_pg_conn *conn)
{
    PGconn *pg = conn->pg;
    bool is_open = true;
    for (int i = 0; i < LAST_READS_MAX && is_open && conn->pg == pg; i++) {
        is_open = PQconsumeInput(pg);
        take_input(conn);
    }
    if (conn->pg != pg)
        return;
    const char *why = PQerrorMessage(pg);
    fl_pg_conn_break(conn, *why ? why : "the socket failed");
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct fl_pg_conn *conn = poll->data;
    if (status < 0) /* stopped by libuv, which hides the socket's error: whoever reads gets it */
        conn->events = 0;
    if (conn->state == FL_PG_CONNECTING) {
        connect_poll(conn);
        return;
    }
    if (conn->state == FL_PG_SETUP) {
        read_setup(conn);
        return;
    }
    if (status < 0 || ((events & UV_READABLE) && !PQconsumeInput(conn->pg))) {
        read_the_last(conn);
        return;
    }
    if (events & UV_WRITABLE) {
        int rc = PQflush(conn->pg);
        if (rc < 0 || (rc == 0 && !fl_pg_conn_watch(conn, UV_READABLE))) {
            fl_pg_conn_break(conn, PQerrorMessage(conn->pg));
            return;
        }
    }
    take_input(conn);
    if (conn->pg && PQstatus(conn->pg) == CONNECTION_BAD) /* what it read made no sense */
        fl_pg_conn_break(conn, PQerrorMessage(conn->pg));
}
