/* Agents' principals: a cache by the digest of the token. */
#include "runtime/identity/principal.h"

#include <stdio.h>

#include "flopinio/base/bucket.h"
#include "flopinio/base/log.h"
#include "flopinio/base/mem.h"
#include "policy/policy.h"
#include "runtime/store/person.h"
#include "runtime/store/sql.h"

#define BUCKETS      4096
#define LOGGED_PER_S 10 /* refused look-ups */
#define LOGGED_BURST 50
#define IDLE_MAX_MS  300000 /* kept for so long after the last use */
#define TRIES_MAX    10     /* look-ups that changes overtook */
#define AGAIN_MS     1000   /* to the next try of a recheck that failed */

/* A look-up of an organization's principals after a change. */
struct recheck {
    struct fl_op op;
    struct fl_tx tx;
    struct fl_arena *arena;
    struct fl_principals *set;
    struct fl_uuid organization;
    struct fl_query *q;
    struct fl_list link;
    uint64_t revision;
};

/* The newest revision of an organization that was told here. */
struct mark {
    struct fl_list link;
    struct fl_uuid organization;
    uint64_t revision;
};

struct fl_principals {
    struct fl_loop *loop;
    struct fl_pg *pg;
    struct fl_list buckets[BUCKETS];
    struct fl_list rechecks;
    struct fl_timer trim, again;
    struct fl_list marks[256]; /* by the last byte of the organization's id */
    struct fl_bucket refusals; /* that are logged */
    void (*on_refused)(void *ctx, struct fl_principal *principal);
    void *on_refused_ctx;
};

static void on_trim(struct fl_timer *timer);
static void on_again(struct fl_timer *timer);

static struct fl_list *bucket(struct fl_principals *set, const uint8_t hash[FL_SHA256_BYTES])
{
    return &set->buckets[((size_t)hash[0] << 8 | hash[1]) % BUCKETS];
}

enum fl_code fl_principals_new(struct fl_loop *loop, struct fl_pg *pg, struct fl_principals **ret,
                               struct fl_err *err)
{
    struct fl_principals *set = fl_calloc(1, sizeof *set);
    if (!set)
        return fl_err_code(err, FL_NOMEM);
    set->loop = loop;
    set->pg = pg;
    set->refusals = fl_bucket_of(LOGGED_PER_S, LOGGED_BURST);
    for (int i = 0; i < BUCKETS; i++)
        fl_list_init(&set->buckets[i]);
    for (int i = 0; i < 256; i++)
        fl_list_init(&set->marks[i]);
    fl_list_init(&set->rechecks);
    fl_timer_init(&set->trim, on_trim);
    fl_timer_init(&set->again, on_again);
    fl_loop_timer(loop, &set->trim, IDLE_MAX_MS);
    *ret = set;
    return FL_OK;
}

static void drop(struct fl_principal *p)
{
    struct fl_arena *arena = p->arena;
    fl_loop_timer_cancel(p->set->loop, &p->expiry);
    fl_list_remove(&p->link);
    fl_arena_free(&arena);
}

void fl_principals_free(struct fl_principals **set_ptr)
{
    struct fl_principals *set = *set_ptr;
    if (!set)
        return;
    FL_ASSERT(fl_list_is_empty(&set->rechecks));
    fl_loop_timer_cancel(set->loop, &set->trim);
    fl_loop_timer_cancel(set->loop, &set->again);
    for (int i = 0; i < BUCKETS; i++) {
        FL_LIST_FOREACH_SAFE (link, &set->buckets[i]) {
            struct fl_principal *p = FL_CONTAINER(link, struct fl_principal, link);
            FL_ASSERT(p->refs == 0);
            drop(p);
        }
    }
    for (int i = 0; i < 256; i++) {
        FL_LIST_FOREACH_SAFE (link2, &set->marks[i]) {
            fl_list_remove(link2);
            fl_free(FL_CONTAINER(link2, struct mark, link));
        }
    }
    fl_free(set);
    *set_ptr = NULL;
}

static void on_trim(struct fl_timer *timer)
{
    struct fl_principals *set = FL_CONTAINER(timer, struct fl_principals, trim);
    int64_t now = fl_mono_ms();
    for (int i = 0; i < BUCKETS; i++) {
        FL_LIST_FOREACH_SAFE (link, &set->buckets[i]) {
            struct fl_principal *p = FL_CONTAINER(link, struct fl_principal, link);
            if (p->refs == 0 && now - p->idle_since_ms > IDLE_MAX_MS)
                drop(p);
        }
    }
    fl_loop_timer(set->loop, &set->trim, IDLE_MAX_MS);
}

static struct fl_principal *find(struct fl_principals *set, const uint8_t hash[FL_SHA256_BYTES])
{
    FL_LIST_FOREACH (link, bucket(set, hash)) {
        struct fl_principal *p = FL_CONTAINER(link, struct fl_principal, link);
        if (fl_equal_secret(p->hash, hash, FL_SHA256_BYTES))
            return p;
    }
    return NULL;
}

struct fl_principal *fl_principal_ref(struct fl_principal *p)
{
    p->refs++;
    return p;
}

void fl_principal_unref(struct fl_principal **p)
{
    if (!*p)
        return;
    FL_ASSERT((*p)->refs > 0);
    if (--(*p)->refs == 0)
        (*p)->idle_since_ms = fl_mono_ms();
    *p = NULL;
}

static bool is_usable(const struct fl_principal *p)
{
    return !p->is_stale && !p->is_refused &&
           (p->expires_at_ms == 0 || p->expires_at_ms > fl_real_ms());
}

struct fl_principal *fl_principal_peek(struct fl_principals *set, struct fl_str token)
{
    uint8_t hash[FL_SHA256_BYTES];
    enum fl_token_kind kind;
    if (!fl_token_parse(token, &kind) || kind != FL_TOKEN_AGENT)
        return NULL;
    fl_token_digest(token, hash);
    struct fl_principal *p = find(set, hash);
    return p && is_usable(p) ? fl_principal_ref(p) : NULL;
}

bool fl_principal_may_call(const struct fl_principal *p, struct fl_str tool)
{
    for (size_t i = 0; i < p->tool_count; i++) {
        if (fl_policy_glob(p->tools[i], tool))
            return true;
    }
    return false;
}

/* ---- expiring ---- */
static void refuse(struct fl_principal *p, const char *why)
{
    p->is_refused = true;
    snprintf(p->why, sizeof p->why, "%s", why);
    if (p->refs && p->set->on_refused)
        p->set->on_refused(p->set->on_refused_ctx, p);
}

static void watch_expiry(struct fl_principal *p)
{
    int64_t left = p->expires_at_ms - fl_real_ms();
    if (p->expires_at_ms == 0)
        return;
    /* The wheel is coarse far away, and the clock may be set: look again before the time. */
    fl_loop_timer(p->set->loop, &p->expiry, left > 10000 ? left / 10 * 9 : left > 0 ? left : 0);
}

static void on_expiry(struct fl_timer *timer)
{
    struct fl_principal *p = FL_CONTAINER(timer, struct fl_principal, expiry);
    if (p->is_refused)
        return;
    if (p->expires_at_ms > fl_real_ms())
        watch_expiry(p);
    else
        refuse(p, "the credential has expired");
}

/* ---- looking up ---- */
bool fl_principal_read_tools(struct fl_principal *p, struct fl_str csv)
{
    struct fl_str copy = fl_arena_str(p->arena, csv);
    size_t count = csv.n ? 1 : 0;
    for (size_t i = 0; i < csv.n; i++)
        count += csv.p[i] == ',';
    p->tools = fl_arena_array(p->arena, count + 1, sizeof *p->tools);
    if (!copy.p || !p->tools)
        return false;
    for (size_t from = 0; p->tool_count < count; p->tool_count++) {
        size_t to = from;
        while (to < copy.n && copy.p[to] != ',')
            to++;
        p->tools[p->tool_count] = (struct fl_str){ copy.p + from, to - from };
        from = to + 1;
    }
    return true;
}

static struct fl_principal *read_row(struct fl_principals *set, const struct fl_query *q,
                                     const uint8_t hash[FL_SHA256_BYTES])
{
    struct fl_arena *arena = fl_arena_new(0);
    struct fl_principal *p = arena ? FL_ARENA_NEW(arena, struct fl_principal) : NULL;
    if (!p) {
        fl_arena_free(&arena);
        return NULL;
    }
    p->arena = arena;
    p->set = set;
    memcpy(p->hash, hash, FL_SHA256_BYTES);
    p->organization_id = fl_cell_uuid(q, 0, 0);
    p->organization = fl_cell_copy(q, arena, 0, 1);
    p->revision = (uint64_t)fl_cell_int(q, 0, 2);
    p->credential_id = fl_cell_uuid(q, 0, 3);
    p->agent_id = fl_cell_uuid(q, 0, 4);
    fl_uuid_format(&p->agent_id, p->agent_id_text);
    p->agent = fl_cell_copy(q, arena, 0, 5);
    p->owner_id = fl_cell_uuid(q, 0, 7);
    p->owner = fl_cell_copy(q, arena, 0, 8);
    p->client = fl_cell_copy(q, arena, 0, 10);
    p->hold_ms = fl_cell_int(q, 0, 11);
    p->expires_at_ms = fl_cell_int(q, 0, 13);
    fl_timer_init(&p->expiry, on_expiry);
    if (!p->agent.p || !p->owner.p || !p->client.p || !p->organization.p ||
        !fl_principal_read_tools(p, fl_cell(q, 0, 12))) {
        fl_arena_free(&arena);
        return NULL;
    }
    return p;
}

/* NULL: it may be used. */
static const char *refusal(const struct fl_query *q)
{
    if (fl_cell_bool(q, 0, 15))
        return "the credential was revoked";
    if (fl_cell_bool(q, 0, 14))
        return "the credential has expired";
    if (!fl_str_is(fl_cell(q, 0, 6), "active"))
        return "the agent is frozen or revoked";
    if (!fl_cell_bool(q, 0, 9))
        return "the person who owns the agent is not active";
    return NULL;
}

static void end(struct fl_agent_auth *a, enum fl_code code)
{
    struct fl_op *op = a->op;
    fl_tx_fini(&a->tx);
    fl_arena_free(&a->arena);
    if (a->is_cancelled && code == FL_OK) {
        fl_principal_unref(a->ret);
        code = FL_CANCELLED;
    }
    fl_op_finish(op, code);
}

static void on_found(struct fl_op *op);

static enum fl_code look_up(struct fl_agent_auth *a)
{
    fl_tx_fini(&a->tx);
    fl_tx_init(&a->tx, a->set->pg, a->arena, NULL);
    a->tx.is_read_only = true;
    a->q = fl_store_credential_by_hash(&a->tx, fl_bytes(a->hash, sizeof a->hash));
    a->db = (struct fl_op){ .done = on_found };
    return fl_tx_submit(&a->db, &a->tx);
}

static struct mark *mark_of(struct fl_principals *set, const struct fl_uuid *organization)
{
    FL_LIST_FOREACH (link, &set->marks[organization->b[15]]) {
        struct mark *m = FL_CONTAINER(link, struct mark, link);
        if (fl_uuid_cmp(&m->organization, organization) == 0)
            return m;
    }
    return NULL;
}

/* The organization's principals were rechecked while this one was looked up: what was read is older
 * than the change, and the recheck did not know of it. */
static bool was_overtaken(const struct fl_agent_auth *a)
{
    if (fl_rows(a->q) != 1)
        return false;
    struct fl_uuid organization = fl_cell_uuid(a->q, 0, 0);
    const struct mark *m = mark_of(a->set, &organization);
    return m && (uint64_t)fl_cell_int(a->q, 0, 2) < m->revision;
}

static void on_found(struct fl_op *op)
{
    struct fl_agent_auth *a = FL_CONTAINER(op, struct fl_agent_auth, db);
    struct fl_op *user = a->op;
    enum fl_code code = op->code;
    if (code == FL_OK && was_overtaken(a)) {
        code = ++a->tries < TRIES_MAX
                   ? look_up(a)
                   : fl_err_set(&a->db.err, FL_UNAVAILABLE, "the organization keeps changing");
        if (code == FL_OK)
            return;
    }
    if (code) {
        user->err = a->db.err;
        end(a, code == FL_AMBIGUOUS ? FL_UNAVAILABLE : code);
        return;
    }
    const char *why = fl_rows(a->q) == 1 ? refusal(a->q) : "the credential is not known";
    if (why) {
        /* The reason is for the operator's log; the answer is the same for all. */
        if (fl_bucket_take(&a->set->refusals, fl_mono_ms()))
            FL_LOG(INFO, "agent_refused", FL_KS("reason", why));
        end(a, fl_err_set(&user->err, FL_UNAUTHENTICATED, "the credential is not valid"));
        return;
    }
    struct fl_principal *p = find(a->set, a->hash);
    if (p && p->is_stale && p->refs == 0) {
        drop(p);
        p = NULL;
    }
    if (!p || !is_usable(p)) {
        struct fl_principal *fresh = read_row(a->set, a->q, a->hash);
        if (!fresh) {
            end(a, fl_err_code(&user->err, FL_NOMEM));
            return;
        }
        fl_list_push_front(bucket(a->set, a->hash), &fresh->link);
        watch_expiry(fresh);
        p = fresh;
    }
    *a->ret = fl_principal_ref(p);
    end(a, FL_OK);
}

static void on_refused_post(struct fl_post *post)
{
    struct fl_agent_auth *a = FL_CONTAINER(post, struct fl_agent_auth, post);
    end(a, fl_err_set(&a->op->err, FL_UNAUTHENTICATED, "the credential is not valid"));
}

static void cancel(struct fl_op *op)
{
    ((struct fl_agent_auth *)op->provider)->is_cancelled = true;
}

enum fl_code fl_agent_auth_start(struct fl_op *op, struct fl_agent_auth *a,
                                 struct fl_principals *set, struct fl_str token,
                                 struct fl_principal **ret)
{
    enum fl_token_kind kind;
    *a = (struct fl_agent_auth){ .op = op, .set = set, .ret = ret };
    a->arena = fl_arena_new(0);
    if (!a->arena)
        return fl_err_code(&op->err, FL_NOMEM);
    fl_tx_init(&a->tx, set->pg, a->arena, NULL);
    if (!fl_token_parse(token, &kind) || kind != FL_TOKEN_AGENT) {
        a->post.run = on_refused_post;
        fl_op_start(op, cancel, a);
        fl_loop_post(set->loop, &a->post);
        return FL_OK;
    }
    fl_token_digest(token, a->hash);
    enum fl_code code = look_up(a);
    if (code) {
        op->err = a->db.err;
        fl_tx_fini(&a->tx);
        fl_arena_free(&a->arena);
        return code;
    }
    fl_op_start(op, cancel, a);
    return FL_OK;
}

/* ---- rechecking ---- */
void fl_principals_on_refused(struct fl_principals *set,
                              void (*on_refused)(void *ctx, struct fl_principal *principal),
                              void *ctx)
{
    set->on_refused = on_refused;
    set->on_refused_ctx = ctx;
}

/* Still usable, and still for the same owner (whoever else owns the agent now is somebody else's
 * responsibility: the client connects again). */
static bool may_go_on(const struct fl_query *q, const struct fl_principal *p)
{
    for (int i = 0; i < fl_rows(q); i++) {
        struct fl_uuid id = fl_cell_uuid(q, i, 0), owner = fl_cell_uuid(q, i, 1);
        if (fl_uuid_cmp(&id, &p->credential_id) == 0)
            return fl_uuid_cmp(&owner, &p->owner_id) == 0;
    }
    return false;
}

static bool is_in_use(const struct fl_principal *p, const struct fl_uuid *organization)
{
    return p->refs && !p->is_refused && fl_uuid_cmp(&p->organization_id, organization) == 0;
}

/* Open connections must not outlive a revocation for that the database was away at its moment. */
static void recheck_again(struct fl_principals *set, const struct fl_uuid *organization,
                          uint64_t revision)
{
    for (int i = 0; i < BUCKETS; i++) {
        FL_LIST_FOREACH (link, &set->buckets[i]) {
            struct fl_principal *p = FL_CONTAINER(link, struct fl_principal, link);
            if (is_in_use(p, organization) && p->unchecked < revision)
                p->unchecked = revision;
        }
    }
    if (!fl_timer_is_armed(&set->again))
        fl_loop_timer(set->loop, &set->again, AGAIN_MS);
}

static void on_again(struct fl_timer *timer)
{
    struct fl_principals *set = FL_CONTAINER(timer, struct fl_principals, again);
    for (int i = 0; i < BUCKETS; i++) {
        FL_LIST_FOREACH_SAFE (link, &set->buckets[i]) {
            struct fl_principal *p = FL_CONTAINER(link, struct fl_principal, link);
            struct fl_uuid organization = p->organization_id;
            if (p->unchecked) /* all of the organization's */
                fl_principals_recheck(set, &organization, p->unchecked);
        }
    }
}

static void refuse_rest(struct fl_principals *set, const struct recheck *r)
{
    for (int i = 0; i < BUCKETS; i++) {
        FL_LIST_FOREACH_SAFE (link, &set->buckets[i]) {
            struct fl_principal *p = FL_CONTAINER(link, struct fl_principal, link);
            if (!is_in_use(p, &r->organization) || p->revision >= r->revision || may_go_on(r->q, p))
                continue;
            refuse(p, "the credential is not valid any more");
        }
    }
}

static void on_rechecked(struct fl_op *op)
{
    struct recheck *r = FL_CONTAINER(op, struct recheck, op);
    struct fl_principals *set = r->set;
    fl_list_remove(&r->link);
    if (op->code == FL_OK)
        refuse_rest(set, r);
    else
        recheck_again(set, &r->organization, r->revision);
    fl_tx_fini(&r->tx);
    fl_arena_free(&r->arena);
    fl_free(r);
}

static void told(struct fl_principals *set, const struct fl_uuid *organization, uint64_t revision)
{
    struct mark *m = mark_of(set, organization);
    if (!m && (m = fl_calloc(1, sizeof *m)) != NULL) {
        m->organization = *organization;
        fl_list_push_back(&set->marks[organization->b[15]], &m->link);
    }
    if (m && m->revision < revision)
        m->revision = revision;
}

void fl_principals_recheck(struct fl_principals *set, const struct fl_uuid *organization,
                           uint64_t revision)
{
    struct fl_array ids;
    bool is_used = false;
    told(set, organization, revision);
    fl_array_init(&ids, FL_ARRAY_UUID);
    for (int i = 0; i < BUCKETS; i++) {
        FL_LIST_FOREACH_SAFE (link, &set->buckets[i]) {
            struct fl_principal *p = FL_CONTAINER(link, struct fl_principal, link);
            if (fl_uuid_cmp(&p->organization_id, organization) != 0)
                continue;
            p->is_stale = true; /* a new use sees changed scopes and owners too */
            p->unchecked = 0;
            if (is_in_use(p, organization)) {
                fl_array_put(&ids, p->credential_id.b, sizeof p->credential_id.b);
                is_used = true;
            }
        }
    }
    struct recheck *r = is_used ? fl_calloc(1, sizeof *r) : NULL;
    if (r && !(r->arena = fl_arena_new(ids.buf.n + 1024))) {
        fl_free(r);
        r = NULL;
    }
    if (!r) {
        fl_buf_fini(&ids.buf);
        if (is_used)
            recheck_again(set, organization, revision);
        return;
    }
    r->set = set;
    r->revision = revision;
    r->organization = *organization;
    r->op.done = on_rechecked;
    fl_list_init(&r->link);
    fl_tx_init(&r->tx, set->pg, r->arena, organization);
    r->tx.is_read_only = true;
    r->q = fl_store_credentials_usable(&r->tx, &ids);
    fl_list_push_back(&set->rechecks, &r->link);
    if (fl_tx_submit(&r->op, &r->tx) != FL_OK) {
        fl_list_remove(&r->link);
        fl_tx_fini(&r->tx);
        fl_arena_free(&r->arena);
        fl_free(r);
        recheck_again(set, organization, revision);
    }
}
