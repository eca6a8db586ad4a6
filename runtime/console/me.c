/* Whoever signed in: what they are, and their secrets. */
#include "flopinio/base/clock.h"
#include "runtime/console/api.h"
#include "runtime/crypto/seal.h"
#include "runtime/crypto/totp.h"
#include "runtime/store/person.h"

#define ISSUER  "Flopinio"
#define NOTHING ((struct fl_str){ NULL, 0 })

/* ---------------------------------------------------------------- what I am */
static void put_scopes(struct fl_buf *out, unsigned scopes)
{
    static const char *const texts[] = {
#define X(name, text) text,
        FL_SCOPES(X)
#undef X
    };
    bool is_next = false;
    fl_buf_putc(out, '[');
    for (unsigned i = 0; i < FL_SCOPE_COUNT; i++) {
        if (!(scopes & 1u << i))
            continue;
        if (is_next)
            fl_buf_putc(out, ',');
        fl_buf_json_str(out, fl_str_of(texts[i]));
        is_next = true;
    }
    fl_buf_putc(out, ']');
}

static void on_me(struct fl_api *a)
{
    struct fl_buf out = FL_BUF_INIT;
    bool is_person = a->who == FL_WHO_PERSON;
    fl_buf_puts(&out, "{\"name\":");
    fl_buf_json_str(&out, fl_api_by(a));
    fl_buf_puts(&out, ",\"display_name\":");
    fl_buf_json_str(&out, is_person ? a->auth.display : FL_STR("the host's administrator"));
    fl_buf_printf(&out, ",\"is_operator\":%s,\"scopes\":", is_person ? "false" : "true");
    put_scopes(&out, is_person ? a->auth.scopes : 0);
    bool has_totp = is_person && fl_rows(a->q[0]) == 1 && !fl_cell_is_null(a->q[0], 0, 4);
    fl_buf_printf(&out, ",\"has_second_factor\":%s,\"organizations\":[",
                  has_totp ? "true" : "false");
    for (int i = 0; is_person && i < fl_rows(a->q[1]); i++) {
        if (i)
            fl_buf_putc(&out, ',');
        fl_api_row(&out, a->q[1], i, "- name:t role:t title:t");
    }
    fl_buf_puts(&out, "]}");
    fl_api_ok(a, &out);
}

static void start_me(struct fl_api *a)
{
    if (a->who == FL_WHO_OPERATOR) {
        on_me(a);
        return;
    }
    struct fl_tx *tx = fl_api_tx(a);
    a->q[0] = fl_store_person_by_name(tx, a->auth.person);
    a->q[1] = fl_store_person_organizations(tx, &a->auth.id);
    fl_api_submit(a, false, on_me);
}

/* ---------------------------------------------------------------- passphrase */
static void append(struct fl_api *a, enum fl_audit_kind kind, const char *what)
{
    struct fl_audit_event e;
    fl_api_event(a, &e, kind, "person", &a->auth.id);
    fl_audit_z(&e, "what", what);
    fl_audit_append(&e, &a->tx);
}

static void on_hashed(struct fl_op *op)
{
    struct fl_api *a = FL_CONTAINER(op, struct fl_api, op);
    const struct fl_person_hash *h = a->user;
    if (!fl_api_flow_done(a))
        return;
    struct fl_tx *tx = fl_api_own_tx(a);
    fl_store_person_secret(tx, &a->auth.id, fl_str_of(h->job.phc), NOTHING, false);
    fl_store_token_revoke(tx, &a->auth.id, NULL);
    append(a, FL_AUDIT_SECRET_SET, "passphrase");
    append(a, FL_AUDIT_TOKEN_REVOKED, "all");
    fl_api_submit(a, true, fl_api_empty);
}

static void start_passphrase(struct fl_api *a)
{
    struct fl_person_hash *h = FL_ARENA_NEW(a->arena, struct fl_person_hash);
    struct fl_str old, fresh;
    if (!fl_api_by_passphrase(a) || !fl_api_text(a, "passphrase", true, &old) ||
        !fl_api_text(a, "new", true, &fresh))
        return;
    if (!fl_str_eq(old, a->auth.passphrase)) {
        fl_api_refuse(a, "'passphrase' is not the one that you signed in with");
        return;
    }
    if (fl_str_eq(old, fresh)) {
        fl_api_error(a, FL_BAD_PARAMS, "the new passphrase is the old one");
        return;
    }
    if (!h) {
        fl_api_error(a, FL_NOMEM, "out of memory");
        return;
    }
    a->user = h;
    a->op = (struct fl_op){ .done = on_hashed };
    if (fl_person_hash_start(&a->op, h, a->people, fresh) != FL_OK)
        fl_api_error(a, a->op.err.code, "%s", a->op.err.text);
}

/* ---------------------------------------------------------------- second factor */
static void start_totp(struct fl_api *a)
{
    struct fl_secret seed = { 0 };
    struct fl_buf out = FL_BUF_INIT, uri = FL_BUF_INIT;
    struct fl_err err;
    if (!fl_api_by_passphrase(a))
        return;
    if (fl_totp_seed(&seed, &err) != FL_OK) {
        fl_api_error(a, err.code, "%s", err.text);
        return;
    }
    fl_totp_uri(&uri, fl_secret_view(&seed), FL_STR(ISSUER), a->auth.person);
    fl_buf_puts(&out, "{\"secret\":\"");
    fl_b32(&out, fl_secret_view(&seed).p, fl_secret_view(&seed).n);
    fl_buf_puts(&out, "\",\"uri\":");
    fl_buf_json_str(&out, fl_buf_view(&uri));
    fl_buf_putc(&out, '}');
    out.is_failed |= uri.is_failed;
    if (uri.p)
        fl_cleanse(uri.p, uri.n);
    fl_buf_fini(&uri);
    fl_secret_fini(&seed);
    fl_api_ok(a, &out);
}

/* The seed comes back with a code of it: who typed it wrongly into the app is not locked out. */
static bool read_seed(struct fl_api *a, struct fl_buf *ret_seed, int64_t *ret_step)
{
    struct fl_str secret, code;
    struct fl_err err;
    if (!fl_api_text(a, "secret", true, &secret) || !fl_api_text(a, "code", true, &code))
        return false;
    if (!fl_b32_decode(ret_seed, secret) || ret_seed->n != FL_TOTP_SEED_BYTES) {
        fl_api_error(a, FL_BAD_PARAMS, "'secret' must be the one that POST /me/totp gave");
        return false;
    }
    if (fl_totp_verify(fl_buf_view(ret_seed), code, fl_real_ms(), -1, ret_step, &err) == FL_OK)
        return true;
    if (err.code == FL_UNAUTHENTICATED)
        fl_api_error(a, FL_BAD_PARAMS,
                     "'code' is not what an authenticator with this secret shows");
    else
        fl_api_error(a, err.code, "%s", err.text);
    return false;
}

static void store_seed(struct fl_api *a, struct fl_str seed, int64_t step)
{
    char text[FL_UUID_TEXT];
    struct fl_place place = fl_person_totp_place(&a->auth.id, text);
    struct fl_buf sealed = FL_BUF_INIT;
    struct fl_err err;
    if (fl_seal(a->core->keys, &place, seed, &sealed, &err) == FL_OK) {
        struct fl_tx *tx = fl_api_own_tx(a);
        fl_store_person_secret(tx, &a->auth.id, NOTHING, fl_buf_view(&sealed), false);
        fl_store_person_passed(tx, &a->auth.id, step); /* the code was used with this */
        append(a, FL_AUDIT_SECRET_SET, "second factor");
        fl_api_submit(a, true, fl_api_empty);
    } else {
        fl_api_error(a, err.code, "%s", err.text);
    }
    fl_buf_fini(&sealed);
}

static void start_totp_confirm(struct fl_api *a)
{
    struct fl_buf seed = FL_BUF_INIT;
    int64_t step;
    if (fl_api_by_passphrase(a) && read_seed(a, &seed, &step))
        store_seed(a, fl_buf_view(&seed), step);
    if (seed.p)
        fl_cleanse(seed.p, seed.n);
    fl_buf_fini(&seed);
}

/* Who has a second factor signed in with it. */
static void start_totp_remove(struct fl_api *a)
{
    if (!fl_api_by_passphrase(a))
        return;
    if (!a->auth.has_second_factor) {
        fl_api_error(a, FL_CONFLICT, "you have no second factor");
        return;
    }
    fl_store_person_secret(fl_api_own_tx(a), &a->auth.id, NOTHING, NOTHING, true);
    append(a, FL_AUDIT_SECRET_SET, "no second factor");
    fl_api_submit(a, true, fl_api_empty);
}

const struct fl_api_route fl_api_me[] = {
    { FL_HTTP_GET, "/me", FL_NEED_PERSON, 0, start_me },
    { FL_HTTP_POST, "/me/passphrase", FL_NEED_PERSON, 0, start_passphrase, "passphrase new" },
    { FL_HTTP_POST, "/me/totp", FL_NEED_PERSON, 0, start_totp },
    { FL_HTTP_POST, "/me/totp/confirm", FL_NEED_PERSON, 0, start_totp_confirm, "secret code" },
    { FL_HTTP_DELETE, "/me/totp", FL_NEED_PERSON, 0, start_totp_remove },
    { .pattern = NULL }
};
