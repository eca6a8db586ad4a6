/* Legacy sessions over Streamable HTTP: rows in the database, so that every worker answers for
 * them; each worker keeps what it has seen for a second, or until any worker of the node ends one.
 */
#include "runtime/endpoint/endpoint_priv.h"

#include "flopinio/base/mem.h"
#include "runtime/approval/hub.h"
#include "runtime/store/person.h"
#include "runtime/store/sql.h"

#define FRESH_MS 1000  /* a session that another node ended is gone here after so long */
#define SEEN_MS  60000 /* how often the row is told that it is used */
#define TRIM_MS  1000  /* one that nobody uses stays no longer than this and FRESH_MS */

static void hash_of(struct fl_str id, uint8_t hash[FL_SHA256_BYTES])
{
    fl_sha256(id, hash);
}

static struct fl_list *bucket(struct fl_endpoint *ep, const uint8_t *hash)
{
    return &ep->sessions[((size_t)hash[0] << 8 | hash[1]) % FL_COUNTOF(ep->sessions)];
}

static struct fl_session *find(struct fl_endpoint *ep, const uint8_t hash[FL_SHA256_BYTES])
{
    FL_LIST_FOREACH (link, bucket(ep, hash)) {
        struct fl_session *s = FL_CONTAINER(link, struct fl_session, link);
        if (memcmp(s->hash, hash, sizeof s->hash) == 0)
            return s;
    }
    return NULL;
}

struct fl_session *fl_session_by_prefix(struct fl_endpoint *ep, const struct fl_uuid *hash_prefix)
{
    FL_LIST_FOREACH (link, bucket(ep, hash_prefix->b)) {
        struct fl_session *s = FL_CONTAINER(link, struct fl_session, link);
        if (memcmp(s->hash, hash_prefix->b, sizeof hash_prefix->b) == 0)
            return s;
    }
    return NULL;
}

static bool is_theirs(const struct fl_session *s, const struct fl_principal *p)
{
    return fl_uuid_cmp(&s->credential_id, &p->credential_id) == 0;
}

static uint64_t ended(const struct fl_endpoint *ep)
{
    return __atomic_load_n(ep->config.sessions_ended, __ATOMIC_ACQUIRE);
}

static bool is_fresh(const struct fl_session *s)
{
    return fl_mono_ms() - s->looked_up_ms <= FRESH_MS && s->ended_before == ended(s->endpoint);
}

static void drop(struct fl_session *s)
{
    fl_list_remove(&s->link);
    fl_list_remove(&s->idle);
    s->endpoint->session_count--;
    fl_free(s);
}

/* The list is in the order in which they were last used. */
static void on_trim(struct fl_timer *timer)
{
    struct fl_endpoint *ep = FL_CONTAINER(timer, struct fl_endpoint, trim_sessions);
    int64_t now = fl_mono_ms();
    while (!fl_list_is_empty(&ep->idle_sessions)) {
        struct fl_session *s = FL_CONTAINER(ep->idle_sessions.next, struct fl_session, idle);
        if (now - s->idle_since_ms <= FRESH_MS) {
            fl_loop_timer(ep->core->loop, &ep->trim_sessions, TRIM_MS);
            return;
        }
        drop(s);
    }
}

void fl_sessions_init(struct fl_endpoint *ep)
{
    for (size_t i = 0; i < FL_COUNTOF(ep->sessions); i++)
        fl_list_init(&ep->sessions[i]);
    fl_list_init(&ep->idle_sessions);
    fl_list_init(&ep->telling);
    fl_timer_init(&ep->trim_sessions, on_trim);
}

static struct fl_session *ref(struct fl_session *s)
{
    fl_list_remove(&s->idle);
    s->refs++;
    return s;
}

void fl_session_unref(struct fl_session **session)
{
    struct fl_session *s = *session;
    *session = NULL;
    if (!s)
        return;
    FL_ASSERT(s->refs > 0);
    if (--s->refs)
        return;
    if (s->is_gone || !is_fresh(s)) {
        drop(s);
        return;
    }
    struct fl_endpoint *ep = s->endpoint;
    s->idle_since_ms = fl_mono_ms();
    fl_list_push_back(&ep->idle_sessions, &s->idle);
    if (!fl_timer_is_armed(&ep->trim_sessions))
        fl_loop_timer(ep->core->loop, &ep->trim_sessions, TRIM_MS);
}

struct fl_session *fl_session_peek(struct fl_endpoint *ep, struct fl_principal *principal,
                                   struct fl_str id)
{
    uint8_t hash[FL_SHA256_BYTES];
    hash_of(id, hash);
    struct fl_session *s = find(ep, hash);
    if (!s || s->is_gone || !is_theirs(s, principal) || !is_fresh(s))
        return NULL;
    return ref(s);
}

/* `seen_ms`: when the row was told last; a row that was only read is told at the next use. */
static struct fl_session *make(struct fl_endpoint *ep, const uint8_t hash[FL_SHA256_BYTES],
                               const struct fl_uuid *organization, const struct fl_uuid *credential,
                               enum fl_mcp_version version, uint64_t ended_before, int64_t seen_ms)
{
    struct fl_session *s = find(ep, hash);
    if (!s) {
        s = fl_calloc(1, sizeof *s);
        if (!s)
            return NULL;
        s->endpoint = ep;
        memcpy(s->hash, hash, sizeof s->hash);
        s->organization_id = *organization;
        s->credential_id = *credential;
        s->version = version;
        s->seen_ms = seen_ms;
        fl_list_init(&s->streams);
        fl_list_push_front(bucket(ep, hash), &s->link);
        ep->session_count++;
    }
    s->looked_up_ms = fl_mono_ms();
    s->ended_before = ended_before;
    return ref(s);
}

static void end_look(struct fl_session_look *l, enum fl_code code)
{
    struct fl_op *op = l->op;
    fl_tx_fini(&l->tx);
    fl_arena_free(&l->arena);
    fl_op_finish(op, code);
}

static void on_found(struct fl_op *op)
{
    struct fl_session_look *l = FL_CONTAINER(op, struct fl_session_look, db);
    if (op->code) {
        l->op->err = op->err;
        end_look(l, FL_UNAVAILABLE);
        return;
    }
    struct fl_session *known = find(l->endpoint, l->hash);
    if (fl_rows(l->q) != 1) {
        if (known)
            known->is_gone = true;
        end_look(l, fl_err_set(&l->op->err, FL_NOT_FOUND, "session not found"));
        return;
    }
    struct fl_uuid organization = fl_cell_uuid(l->q, 0, 0), credential = fl_cell_uuid(l->q, 0, 1);
    enum fl_mcp_version version = fl_mcp_version_parse(fl_cell(l->q, 0, 2));
    /* The same answer for another credential's: an id is no proof of anything. */
    if (fl_uuid_cmp(&credential, &l->principal->credential_id) != 0 ||
        version == FL_MCP_NO_VERSION) {
        end_look(l, fl_err_set(&l->op->err, FL_NOT_FOUND, "session not found"));
        return;
    }
    *l->ret = make(l->endpoint, l->hash, &organization, &credential, version, l->ended_before,
                   fl_mono_ms() - SEEN_MS);
    end_look(l, *l->ret ? FL_OK : fl_err_code(&l->op->err, FL_NOMEM));
}

static enum fl_code begin(struct fl_op *op, struct fl_session_look *l, struct fl_endpoint *ep,
                          struct fl_principal *principal, struct fl_session **ret,
                          const struct fl_uuid *organization)
{
    *l = (struct fl_session_look){
        .op = op, .endpoint = ep, .principal = principal, .ret = ret, .ended_before = ended(ep)
    };
    l->arena = fl_arena_new(0);
    if (!l->arena)
        return fl_err_code(&op->err, FL_NOMEM);
    fl_tx_init(&l->tx, ep->core->pg, l->arena, organization);
    return FL_OK;
}

static enum fl_code submit(struct fl_op *op, struct fl_session_look *l)
{
    enum fl_code code = fl_tx_submit(&l->db, &l->tx);
    if (code) {
        op->err = l->db.err;
        fl_tx_fini(&l->tx);
        fl_arena_free(&l->arena);
        return code;
    }
    fl_op_start(op, NULL, l);
    return FL_OK;
}

enum fl_code fl_session_look_start(struct fl_op *op, struct fl_session_look *l,
                                   struct fl_endpoint *ep, struct fl_principal *principal,
                                   struct fl_str id, struct fl_session **ret)
{
    enum fl_code code = begin(op, l, ep, principal, ret, NULL);
    if (code)
        return code;
    hash_of(id, l->hash);
    l->tx.is_read_only = true;
    l->db = (struct fl_op){ .done = on_found };
    l->q = fl_store_session_by_hash(&l->tx, fl_bytes(l->hash, sizeof l->hash));
    return submit(op, l);
}

static void on_created(struct fl_op *op)
{
    struct fl_session_look *l = FL_CONTAINER(op, struct fl_session_look, db);
    if (op->code) {
        l->op->err = op->err;
        end_look(l, FL_UNAVAILABLE);
        return;
    }
    *l->ret = make(l->endpoint, l->hash, &l->principal->organization_id,
                   &l->principal->credential_id, l->version, l->ended_before, fl_mono_ms());
    end_look(l, *l->ret ? FL_OK : fl_err_code(&l->op->err, FL_NOMEM));
}

enum fl_code fl_session_create_start(struct fl_op *op, struct fl_session_look *l,
                                     struct fl_endpoint *ep, struct fl_principal *principal,
                                     enum fl_mcp_version version, char id[44],
                                     struct fl_session **ret)
{
    uint8_t raw[32];
    struct fl_buf text = FL_BUF_INIT;
    enum fl_code code = begin(op, l, ep, principal, ret, &principal->organization_id);
    if (code)
        return code;
    fl_random(raw, sizeof raw);
    fl_b64url(&text, raw, sizeof raw);
    FL_ASSERT(text.is_failed || text.n == 43);
    if (!text.is_failed)
        memcpy(id, text.p, 44);
    else
        l->tx.is_nomem = true;
    fl_buf_fini(&text);
    hash_of(fl_str_of(id), l->hash);
    l->version = version;
    l->db = (struct fl_op){ .done = on_created };
    fl_store_session_create(&l->tx, fl_bytes(l->hash, sizeof l->hash), &principal->credential_id,
                            fl_str_of(fl_mcp_version_text(version)), FL_STR("{}"));
    return submit(op, l);
}

static void on_ended(struct fl_op *op)
{
    struct fl_session_look *l = FL_CONTAINER(op, struct fl_session_look, db);
    l->op->err = op->err;
    if (!op->code) {
        struct fl_uuid prefix;
        __atomic_add_fetch(l->endpoint->config.sessions_ended, 1, __ATOMIC_RELEASE);
        memcpy(prefix.b, l->hash, sizeof prefix.b);
        fl_hub_session_ended(l->endpoint->core->hub, &prefix);
    }
    end_look(l, op->code ? FL_UNAVAILABLE : FL_OK);
}

enum fl_code fl_session_end_start(struct fl_op *op, struct fl_session_look *l,
                                  struct fl_session *session)
{
    enum fl_code code = begin(op, l, session->endpoint, NULL, NULL, &session->organization_id);
    if (code)
        return code;
    memcpy(l->hash, session->hash, sizeof l->hash);
    l->db = (struct fl_op){ .done = on_ended };
    fl_store_session_end(&l->tx, fl_bytes(session->hash, sizeof session->hash));
    return submit(op, l);
}

/* ---- telling the row, without waiting ---- */
struct seen {
    struct fl_op op;
    struct fl_list link; /* endpoint->telling */
    struct fl_tx tx;
    struct fl_arena *arena;
};

static void on_seen(struct fl_op *op)
{
    struct seen *s = FL_CONTAINER(op, struct seen, op);
    struct fl_arena *arena = s->arena;
    fl_list_remove(&s->link);
    fl_tx_fini(&s->tx);
    fl_arena_free(&arena);
}

void fl_session_tell(struct fl_session *session, enum fl_session_news news)
{
    struct fl_arena *arena = fl_arena_new(1024);
    struct seen *s = arena ? FL_ARENA_NEW(arena, struct seen) : NULL;
    struct fl_str hash = fl_bytes(session->hash, sizeof session->hash);
    if (s) {
        s->arena = arena;
        fl_list_init(&s->link);
        s->op.done = on_seen;
        fl_tx_init(&s->tx, session->endpoint->core->pg, arena, &session->organization_id);
        if (news == FL_SESSION_READY)
            fl_store_session_ready(&s->tx, hash);
        else
            fl_store_session_seen(&s->tx, hash);
        if (fl_tx_submit(&s->op, &s->tx) == FL_OK) {
            fl_list_push_back(&session->endpoint->telling, &s->link);
            return;
        }
        fl_tx_fini(&s->tx);
    }
    fl_arena_free(&arena);
}

void fl_session_seen(struct fl_session *s)
{
    if (fl_mono_ms() - s->seen_ms < SEEN_MS)
        return;
    s->seen_ms = fl_mono_ms();
    fl_session_tell(s, FL_SESSION_SEEN);
}

void fl_sessions_free(struct fl_endpoint *ep)
{
    fl_loop_timer_cancel(ep->core->loop, &ep->trim_sessions);
    FL_LIST_FOREACH_SAFE (told, &ep->telling) {
        fl_list_remove(told); /* each ends by itself */
    }
    for (size_t i = 0; i < FL_COUNTOF(ep->sessions); i++) {
        FL_LIST_FOREACH_SAFE (link, &ep->sessions[i]) {
            struct fl_session *s = FL_CONTAINER(link, struct fl_session, link);
            FL_ASSERT(s->refs == 0);
            drop(s);
        }
    }
}
