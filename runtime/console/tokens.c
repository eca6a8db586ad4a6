/* Personal tokens of whoever signed in. */
#include "flopinio/base/clock.h"
#include "runtime/console/api.h"
#include "runtime/crypto/secret.h"
#include "runtime/crypto/token.h"
#include "runtime/store/person.h"

#define EXPIRES_DEFAULT_MS INT64_C(28800000) /* 8 h */

struct token_request {
    struct fl_str name;
    const char *scopes;
    int64_t expires_at_ms;
    struct fl_uuid id; /* zero: all */
    char token[FL_TOKEN_BYTES];
};

static struct token_request *new_request(struct fl_api *a)
{
    struct token_request *t = FL_ARENA_NEW(a->arena, struct token_request);
    if (!t)
        fl_api_error(a, FL_NOMEM, "out of memory");
    a->user = t;
    return t;
}

static void on_tokens(struct fl_api *a)
{
    struct fl_buf out = FL_BUF_INIT;
    fl_api_rows(&out, a->q[0], "id:t name:t scopes:c expires_at:m is_usable:b");
    fl_api_ok(a, &out);
}

static void start_tokens(struct fl_api *a)
{
    if (!fl_api_is_person(a))
        return;
    a->q[0] = fl_store_tokens(fl_api_tx(a), &a->auth.id);
    fl_api_submit(a, false, on_tokens);
}

static bool read_scopes(struct fl_api *a, struct token_request *t, unsigned *ret_bits)
{
    if (!fl_api_list(a, "scopes", &t->scopes))
        return false;
    *ret_bits = fl_scopes_parse(fl_str_of(t->scopes));
    if (!*ret_bits)
        fl_api_error(a, FL_BAD_PARAMS, "'scopes' must be a list of read, decide and admin");
    return *ret_bits != 0;
}

static bool read_expiry(struct fl_api *a, struct token_request *t, unsigned scopes)
{
    bool decides = scopes & FL_SCOPE_DECIDE;
    int64_t ms;
    if (!fl_api_duration(a, "expires", &ms))
        return false;
    if (!json_object_get(a->body, "expires"))
        ms = EXPIRES_DEFAULT_MS;
    bool is_fine = ms >= 1000 && ms <= (decides ? FL_TOKEN_DECIDE_MAX_MS : FL_TOKEN_MAX_MS);
    if (!is_fine)
        fl_api_error(a, FL_BAD_PARAMS,
                     decides ? "'expires' must be from 1s to 24h for a token that decides"
                             : "'expires' must be from 1s to 90d");
    t->expires_at_ms = fl_real_ms() + ms;
    return is_fine;
}

static void on_token_made(struct fl_api *a)
{
    struct token_request *t = a->user;
    struct fl_buf out = FL_BUF_INIT;
    char id[FL_UUID_TEXT], at[FL_TIME_BYTES];
    fl_buf_printf(&out, "{\"id\":\"%s\",\"token\":\"%s\",\"expires_at\":\"%s\"}",
                  fl_uuid_format(&t->id, id), t->token, fl_time_format_s(t->expires_at_ms, at));
    fl_cleanse(t->token, sizeof t->token);
    fl_api_created(a, &out);
}

static void start_token_new(struct fl_api *a)
{
    struct token_request *t;
    struct fl_audit_event e;
    struct fl_err err;
    uint8_t digest[FL_SHA256_BYTES];
    unsigned scopes;
    if (!fl_api_by_passphrase(a) || !(t = new_request(a)) || !fl_api_title(a, "name", &t->name) ||
        !read_scopes(a, t, &scopes) || !read_expiry(a, t, scopes))
        return;
    if (!t->name.n) {
        fl_api_error(a, FL_BAD_PARAMS, "'name' must say what the token is for");
        return;
    }
    if (fl_token_new(FL_TOKEN_PERSONAL, t->token, digest, &err) != FL_OK) {
        fl_api_error(a, err.code, "%s", err.text);
        return;
    }
    t->id = fl_uuid_new();
    fl_store_token_create(fl_api_own_tx(a), &t->id, &a->auth.id, t->name,
                          fl_bytes(digest, sizeof digest), t->scopes, t->expires_at_ms);
    fl_api_event(a, &e, FL_AUDIT_TOKEN_CREATED, "token", &t->id);
    fl_audit_text(&e, "name", t->name);
    fl_audit_z(&e, "scopes", t->scopes);
    fl_audit_time(&e, "expires_at", t->expires_at_ms, a->arena);
    fl_audit_append(&e, &a->tx);
    fl_api_submit(a, true, on_token_made);
}

static void on_revoked(struct fl_api *a)
{
    struct fl_buf out = FL_BUF_INIT;
    fl_buf_printf(&out, "{\"revoked\":%lld}", (long long)fl_cell_int(a->q[0], 0, 0));
    fl_api_ok(a, &out);
}

static void revoke_tokens(struct fl_api *a, const struct token_request *t)
{
    struct fl_audit_event e;
    bool is_one = !fl_uuid_is_zero(&t->id);
    a->q[0] = fl_store_token_revoke(fl_api_tx(a), &a->auth.id, &t->id);
    fl_api_event(a, &e, FL_AUDIT_TOKEN_REVOKED, is_one ? "token" : "person",
                 is_one ? &t->id : &a->auth.id);
    fl_audit_z(&e, "what", is_one ? "one" : "all");
    fl_audit_append(&e, &a->tx);
    fl_api_submit(a, true, on_revoked);
}

static void start_token_revoke_all(struct fl_api *a)
{
    struct token_request *t;
    if (fl_api_is_person(a) && (t = new_request(a)))
        revoke_tokens(a, t);
}

static void on_tokens_to_revoke(struct fl_api *a)
{
    const struct token_request *t = a->user;
    for (int i = 0; i < fl_rows(a->q[0]); i++) {
        struct fl_uuid id = fl_cell_uuid(a->q[0], i, 0);
        if (fl_uuid_cmp(&id, &t->id) != 0)
            continue;
        revoke_tokens(a, t);
        return;
    }
    fl_api_error(a, FL_NOT_FOUND, "you have no such token");
}

static void start_token_revoke(struct fl_api *a)
{
    struct token_request *t;
    if (!fl_api_is_person(a) || !(t = new_request(a)))
        return;
    if (!fl_uuid_parse(a->params[0], &t->id) || fl_uuid_is_zero(&t->id)) {
        fl_api_error(a, FL_NOT_FOUND, "you have no such token");
        return;
    }
    a->q[0] = fl_store_tokens(fl_api_tx(a), &a->auth.id);
    fl_api_submit(a, false, on_tokens_to_revoke);
}

const struct fl_api_route fl_api_tokens[] = {
    { FL_HTTP_GET, "/me/tokens", FL_NEED_PERSON, 0, start_tokens },
    { FL_HTTP_POST, "/me/tokens", FL_NEED_PERSON, 0, start_token_new, "name scopes expires" },
    { FL_HTTP_DELETE, "/me/tokens", FL_NEED_PERSON, 0, start_token_revoke_all },
    { FL_HTTP_DELETE, "/me/tokens/{id}", FL_NEED_PERSON, 0, start_token_revoke },
    { .pattern = NULL }
};
