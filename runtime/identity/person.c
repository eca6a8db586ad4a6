/* Proving who somebody is. */
#include "runtime/identity/person.h"

#include "flopinio/base/bucket.h"
#include "flopinio/base/clock.h"
#include "flopinio/base/log.h"
#include "flopinio/base/mem.h"
#include "runtime/audit/event.h"
#include "runtime/crypto/seal.h"
#include "runtime/crypto/token.h"
#include "runtime/crypto/totp.h"
#include "runtime/store/organization.h"
#include "runtime/store/person.h"
#include "runtime/store/sql.h"

#define HASHES_AT_ONCE 2 /* each takes a core and 19 MiB */
#define HASHES_WAITING 64
#define HASHES_OF_ONE  4 /* of those that wait: from one address, which else had every place */
#define WRONG          "name or passphrase is wrong"
#define LOCKED         "too many wrong answers; wait a while"
/* Failures that are noted in the audit, of all callers together: anybody who reaches the address
 * can make them, and must not fill the database with them. */
#define FAILURES_PER_S 5
#define FAILURES_BURST 100

struct fl_people {
    struct fl_loop *loop;
    struct fl_pg *pg;
    const struct fl_keyring *keys;
    unsigned hashing;
    struct fl_list waiting; /* fl_person_auth */
    size_t waiting_count;
    struct fl_bucket failures; /* noted in the audit */
    int64_t not_noted;         /* since the last one */
};

static const char *const scope_texts[] = {
#define X(name, text) text,
    FL_SCOPES(X)
#undef X
};

unsigned fl_scopes_parse(struct fl_str csv)
{
    unsigned bits = 0;
    for (size_t from = 0; from <= csv.n && csv.n;) {
        size_t to = from, at = 0;
        while (to < csv.n && csv.p[to] != ',')
            to++;
        struct fl_str item = { csv.p + from, to - from };
        while (at < FL_SCOPE_COUNT && !fl_str_is(item, scope_texts[at]))
            at++;
        if (at == FL_SCOPE_COUNT)
            return 0;
        bits |= 1u << at;
        from = to + 1;
    }
    return bits;
}

enum fl_code fl_people_new(struct fl_loop *loop, struct fl_pg *pg, const struct fl_keyring *keys,
                           struct fl_people **ret, struct fl_err *err)
{
    struct fl_people *p = fl_calloc(1, sizeof *p);
    if (!p)
        return fl_err_code(err, FL_NOMEM);
    p->loop = loop;
    p->pg = pg;
    p->keys = keys;
    p->failures = fl_bucket_of(FAILURES_PER_S, FAILURES_BURST);
    fl_list_init(&p->waiting);
    *ret = p;
    return FL_OK;
}

void fl_people_free(struct fl_people **people)
{
    fl_free(*people);
    *people = NULL;
}

struct fl_place fl_person_totp_place(const struct fl_uuid *person, char text[FL_UUID_TEXT])
{
    return (struct fl_place){ .table = "person",
                              .column = "totp_secret",
                              .row = fl_str_of(fl_uuid_format(person, text)) };
}

FL_STEP_DECLARE(found_token);
FL_STEP_DECLARE(found_person);
FL_STEP_DECLARE(hash);
FL_STEP_DECLARE(hashed);
FL_STEP_DECLARE(tried);
FL_STEP_DECLARE(code_is_missing);
FL_STEP_DECLARE(note_failure);
FL_STEP_DECLARE(noted_failure);
FL_STEP_DECLARE(passed);
FL_STEP_DECLARE(end);

static struct fl_person_auth *auth_of(struct fl_flow *f)
{
    return FL_CONTAINER(f, struct fl_person_auth, flow);
}

static struct fl_tx *begin(struct fl_person_auth *a)
{
    fl_tx_fini(&a->tx);
    fl_tx_init(&a->tx, a->people->pg, a->arena, NULL);
    return &a->tx;
}

static fl_next refuse(struct fl_person_auth *a, const char *text)
{
    fl_err_set(&a->refusal, FL_UNAUTHENTICATED, "%s", text);
    return &S_note_failure;
}

FL_STEP(look_up)
{
    struct fl_person_auth *a = auth_of(f);
    uint8_t digest[FL_SHA256_BYTES];
    enum fl_token_kind kind;
    struct fl_tx *tx = begin(a);
    if (!a->token.p) {
        a->q = fl_store_person_by_name(tx, a->name);
        return fl_await(f, &S_found_person, fl_tx_submit(&f->op, tx));
    }
    uint64_t failures = fl_mem_failures();
    bool is_token = fl_token_parse(a->token, &kind);
    if (fl_mem_failures() != failures)
        return fl_fail_with(f, FL_NOMEM, "out of memory");
    if (!is_token)
        return fl_fail_with(f, FL_UNAUTHENTICATED, "that is no token of this installation");
    if (kind == FL_TOKEN_AGENT)
        return refuse(a, "an agent's credential cannot be used here: people decide and administer");
    fl_token_digest(a->token, digest);
    a->q = fl_store_token_by_hash(tx, fl_bytes(digest, sizeof digest));
    if (a->organization.p)
        a->q_org = fl_store_organization_named(tx, a->organization);
    return fl_await(f, &S_found_token, fl_tx_submit(&f->op, tx));
}

FL_STEP(found_token)
{
    struct fl_person_auth *a = auth_of(f);
    uint64_t failures = fl_mem_failures();
    if (f->op.code)
        return fl_fail(f);
    if (fl_rows(a->q) != 1 || !fl_cell_bool(a->q, 0, 5))
        return refuse(a, "the token is not known, has expired or was revoked");
    a->token_id = fl_cell_uuid(a->q, 0, 0);
    a->id = fl_cell_uuid(a->q, 0, 1);
    a->person = fl_cell_copy(a->q, a->arena, 0, 2);
    a->display = fl_cell_copy(a->q, a->arena, 0, 3);
    a->scopes = fl_scopes_parse(fl_cell(a->q, 0, 4));
    if (fl_mem_failures() != failures)
        return fl_fail_with(f, FL_NOMEM, "out of memory");
    return &S_end;
}

/* Counted before it is looked at: guesses that come at one time are no more than a few. */
static fl_next try_code(struct fl_person_auth *a)
{
    struct fl_flow *f = &a->flow;
    if (!a->is_known || !a->is_active)
        return fl_fail_with(f, FL_FORBIDDEN, "you are not a person of this installation any more");
    a->has_totp = a->totp_sealed.p != NULL;
    if (!a->has_totp)
        return fl_fail_with(f, FL_CONFLICT,
                            "it takes your second factor, and you have no authenticator here yet: "
                            "flopinio user totp enable sets one up, then press again");
    if (!a->totp.n)
        return fl_fail_with(f, FL_UNAUTHENTICATED, "a code of your authenticator is needed");
    a->q = fl_store_person_try(begin(a), &a->id);
    return fl_await(f, &S_tried, fl_tx_submit(&f->op, &a->tx));
}

FL_STEP(found_person)
{
    struct fl_person_auth *a = auth_of(f);
    uint64_t failures = fl_mem_failures();
    if (f->op.code)
        return fl_fail(f);
    a->is_known = fl_rows(a->q) == 1;
    const char *phc = "";
    if (a->is_known) {
        a->id = fl_cell_uuid(a->q, 0, 0);
        a->person = fl_cell_copy(a->q, a->arena, 0, 1);
        a->display = fl_cell_copy(a->q, a->arena, 0, 2);
        struct fl_str stored = fl_cell_copy(a->q, a->arena, 0, 3);
        phc = stored.p ? stored.p : "";
        a->passphrase_hash = a->by_code ? (struct fl_str){ NULL, 0 } : stored;
        a->totp_sealed = fl_cell_bytes(a->q, a->arena, 0, 4);
        a->last_step = fl_cell_int(a->q, 0, 5);
        a->is_active = fl_cell_bool(a->q, 0, 6);
        a->is_locked = fl_cell_bool(a->q, 0, 7);
    }
    if (fl_mem_failures() != failures) /* a second factor that was not copied is not none */
        return fl_fail_with(f, FL_NOMEM, "out of memory");
    if (a->is_locked)
        return fl_fail_with(f, FL_TOO_MANY, LOCKED);
    if (a->by_code)
        return try_code(a);
    a->job = fl_calloc(1, sizeof *a->job);
    if (!a->job)
        return fl_fail_with(f, FL_NOMEM, "out of memory");
    if (fl_pass_job_init(a->job, a->passphrase, phc, &f->op.err) != FL_OK)
        return fl_fail_with(f, FL_UNAUTHENTICATED, WRONG);
    return &S_hash;
}

/* ---- hashing, a few at a time ---- */
static void run_hash(struct fl_work *work)
{
    fl_pass_job_run(FL_CONTAINER(work, struct fl_person_auth, work)->job);
}

static void next_hash(struct fl_people *people);

static void on_hashed(struct fl_work *work)
{
    struct fl_person_auth *a = FL_CONTAINER(work, struct fl_person_auth, work);
    struct fl_people *people = a->people;
    people->hashing--;
    fl_op_finish(&a->flow.op, FL_OK);
    next_hash(people);
}

static void next_hash(struct fl_people *people)
{
    while (people->hashing < HASHES_AT_ONCE && !fl_list_is_empty(&people->waiting)) {
        struct fl_person_auth *a =
            FL_CONTAINER(people->waiting.next, struct fl_person_auth, waiting);
        fl_list_remove(&a->waiting);
        people->waiting_count--;
        people->hashing++;
        fl_loop_work(people->loop, &a->work, run_hash, on_hashed);
    }
}

static bool is_crowded(const struct fl_person_auth *a)
{
    unsigned count = 0;
    FL_LIST_FOREACH (link, &a->people->waiting) {
        const struct fl_person_auth *other = FL_CONTAINER(link, struct fl_person_auth, waiting);
        count += strcmp(other->from, a->from) == 0;
    }
    return count >= HASHES_OF_ONE || a->people->waiting_count >= HASHES_WAITING;
}

FL_STEP(hash)
{
    struct fl_person_auth *a = auth_of(f);
    if (is_crowded(a))
        return fl_fail_with(f, FL_TOO_MANY, "too many people sign in at once; try again");
    fl_op_start(&f->op, NULL, a);
    fl_list_push_back(&a->people->waiting, &a->waiting);
    a->people->waiting_count++;
    next_hash(a->people);
    return fl_await(f, &S_hashed, FL_OK);
}

static enum fl_code check_totp(struct fl_person_auth *a, struct fl_err *err)
{
    char text[FL_UUID_TEXT];
    struct fl_place place = fl_person_totp_place(&a->id, text);
    struct fl_secret seed = { 0 };
    if (!a->totp_sealed.p)
        return FL_OK;
    if (!a->totp.n)
        return fl_err_set(err, FL_UNAUTHENTICATED,
                          "a code of your authenticator is needed as well");
    enum fl_code code = fl_unseal_secret(a->people->keys, &place, a->totp_sealed, &seed, err);
    if (code == FL_OK)
        code = fl_totp_verify(fl_secret_view(&seed), a->totp, fl_real_ms(), a->last_step, &a->step,
                              err);
    fl_secret_fini(&seed);
    if (code == FL_UNAUTHENTICATED)
        fl_err_set(err, code, "the authenticator's code is wrong or was used already");
    a->has_second_factor = code == FL_OK;
    return code;
}

static fl_next check_code(struct fl_person_auth *a)
{
    struct fl_flow *f = &a->flow;
    enum fl_code code = check_totp(a, &a->refusal);
    if (code == FL_UNAUTHENTICATED && a->totp.n)
        return &S_note_failure;
    if (code == FL_UNAUTHENTICATED) { /* told to nobody who was locked out meanwhile */
        a->q = fl_store_person_by_name(begin(a), a->name);
        return fl_await(f, &S_code_is_missing, fl_tx_submit(&f->op, &a->tx));
    }
    if (code)
        return fl_fail_with(f, code, "%s", a->refusal.text);
    a->q = a->is_counted ? fl_store_person_passed(begin(a), &a->id, a->step)
                         : fl_store_person_proved(begin(a), &a->id, a->step);
    return fl_await(f, &S_passed, fl_tx_submit(&f->op, &a->tx));
}

FL_STEP(hashed)
{
    struct fl_person_auth *a = auth_of(f);
    if (a->job->code == FL_UNAUTHENTICATED || !a->is_known || !a->is_active)
        return refuse(a, WRONG);
    if (a->job->code)
        return fl_fail_with(f, a->job->code, "%s", a->job->err.text);
    a->scopes = FL_SCOPE_ALL;
    return check_code(a);
}

FL_STEP(tried)
{
    struct fl_person_auth *a = auth_of(f);
    if (f->op.code)
        return fl_fail(f);
    if (fl_rows(a->q) != 1)
        return fl_fail_with(f, FL_TOO_MANY, LOCKED);
    a->is_counted = true;
    return check_code(a);
}

FL_STEP(passed)
{
    struct fl_person_auth *a = auth_of(f);
    if (f->op.code)
        return fl_fail(f);
    bool is_one = fl_rows(a->q) == 1 && !fl_cell_is_null(a->q, 0, 0);
    struct fl_str how = is_one ? fl_cell(a->q, 0, 0) : FL_STR("");
    if (!a->is_counted && fl_str_is(how, "locked"))
        return refuse(a, WRONG); /* as wrong answers are by now */
    if (!is_one || (a->is_counted ? !fl_cell_bool(a->q, 0, 0) : !fl_str_is(how, "passed")))
        /* the same code, at the same moment */
        return fl_fail_with(f, FL_UNAUTHENTICATED,
                            "the authenticator's code is wrong or was used already");
    return &S_end;
}

FL_STEP(code_is_missing)
{
    struct fl_person_auth *a = auth_of(f);
    if (f->op.code)
        return fl_fail(f);
    if (fl_rows(a->q) != 1 || fl_cell_bool(a->q, 0, 7))
        return refuse(a, WRONG);
    return fl_fail_with(f, FL_UNAUTHENTICATED, "%s", a->refusal.text);
}

FL_STEP(note_failure)
{
    struct fl_person_auth *a = auth_of(f);
    struct fl_people *people = a->people;
    struct fl_audit_event e;
    bool is_noted = fl_bucket_take(&people->failures, fl_mono_ms());
    if (!is_noted)
        people->not_noted++;
    bool is_to_count = a->is_known && !a->is_counted;
    a->q = NULL;
    if (!is_noted && !is_to_count)
        return &S_noted_failure;
    struct fl_tx *tx = begin(a);
    a->q = is_to_count ? fl_store_person_missed(tx, &a->id) : NULL;
    if (!is_noted)
        return fl_await(f, &S_noted_failure, fl_tx_submit(&f->op, tx));
    fl_audit_init(&e, &fl_audit_installation, FL_AUDIT_AUTH_FAILED, FL_ACTOR_SYSTEM, NULL, "person",
                  a->is_known ? &a->id : NULL);
    fl_audit_z(&e, "from", a->from);
    fl_audit_z(&e, "why", a->refusal.text);
    if (people->not_noted)
        fl_audit_int(&e, "not_noted", people->not_noted);
    people->not_noted = 0;
    fl_audit_append(&e, tx);
    return fl_await(f, &S_noted_failure, fl_tx_submit(&f->op, tx));
}

FL_STEP(noted_failure)
{
    struct fl_person_auth *a = auth_of(f);
    /* A burst learns nothing from what was looked at after the lock: right or wrong, it says so. */
    if (f->op.code == FL_OK && a->q && !fl_cell_bool(a->q, 0, 0))
        return fl_fail_with(f, FL_TOO_MANY, LOCKED);
    return fl_fail_with(f, FL_UNAUTHENTICATED, "%s", a->refusal.text);
}

FL_STEP(end)
{
    return fl_end(f);
}

FL_STEP(failed)
{
    FL_UNUSED(f);
    return &S_end;
}

static void on_ended(struct fl_flow *f)
{
    struct fl_person_auth *a = auth_of(f);
    struct fl_op *op = a->op;
    if (f->first.code)
        op->err = f->first;
    fl_op_finish(op, f->first.code == FL_AMBIGUOUS ? FL_UNAVAILABLE : f->first.code);
}

static void on_start(struct fl_post *post)
{
    fl_flow_run(&FL_CONTAINER(post, struct fl_person_auth, post)->flow, &S_look_up);
}

enum fl_code fl_person_auth_start(struct fl_op *op, struct fl_person_auth *a)
{
    bool has_token = a->token.p != NULL;
    a->arena = fl_arena_new(0);
    if (!a->arena)
        return fl_err_code(&op->err, FL_NOMEM);
    fl_tx_init(&a->tx, a->people->pg, a->arena, NULL);
    fl_flow_init(&a->flow, &S_failed, on_ended);
    fl_list_init(&a->waiting);
    if (has_token)
        a->token = fl_arena_str(a->arena, a->token);
    a->name = fl_arena_str(a->arena, a->name);
    a->passphrase = fl_arena_str(a->arena, a->passphrase);
    a->totp = fl_arena_str(a->arena, a->totp);
    if ((has_token && !a->token.p) || !a->name.p || !a->passphrase.p || !a->totp.p) {
        fl_person_auth_fini(a);
        return fl_err_code(&op->err, FL_NOMEM);
    }
    a->op = op;
    fl_op_start(op, NULL, a);
    a->post = (struct fl_post){ .run = on_start };
    fl_loop_post(a->people->loop, &a->post);
    return FL_OK;
}

void fl_person_auth_fini(struct fl_person_auth *a)
{
    if (!a->arena)
        return;
    fl_tx_fini(&a->tx);
    if (a->job)
        fl_pass_job_fini(a->job);
    fl_free(a->job);
    if (a->passphrase.n)
        fl_cleanse((char *)a->passphrase.p, a->passphrase.n);
    if (a->token.n)
        fl_cleanse((char *)a->token.p, a->token.n);
    if (a->totp.n)
        fl_cleanse((char *)a->totp.p, a->totp.n);
    fl_arena_free(&a->arena);
}

/* ---- new passphrases ---- */
static void run_new_hash(struct fl_work *work)
{
    fl_pass_job_run(&FL_CONTAINER(work, struct fl_person_hash, work)->job);
}

static void on_new_hash(struct fl_work *work)
{
    struct fl_person_hash *h = FL_CONTAINER(work, struct fl_person_hash, work);
    h->op->err = h->job.err;
    fl_op_finish(h->op, h->job.code);
}

enum fl_code fl_person_hash_start(struct fl_op *op, struct fl_person_hash *h,
                                  struct fl_people *people, struct fl_str passphrase)
{
    enum fl_code code = fl_pass_policy(passphrase, &op->err);
    if (code == FL_OK)
        code = fl_pass_job_init(&h->job, passphrase, NULL, &op->err);
    if (code)
        return code;
    h->op = op;
    h->people = people;
    fl_op_start(op, NULL, h);
    fl_loop_work(people->loop, &h->work, run_new_hash, on_new_hash);
    return FL_OK;
}
