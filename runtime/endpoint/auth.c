/* Bearer tokens of HTTP requests. */
#include "runtime/endpoint/auth.h"

#include "flopinio/base/log.h"
#include "flopinio/base/mem.h"
#include "runtime/io/http_site.h"

/* The look-up's own memory: an exchange may go while it runs. */
struct lookup {
    struct fl_op op;
    struct fl_agent_auth auth;
    struct fl_principal *principal;
    struct fl_auth *owner; /* NULL: the exchange is gone */
};

struct fl_str fl_auth_challenge_text(struct fl_arena *arena, const char *error)
{
    char *text = fl_arena_printf(arena, "Bearer %s%s%sscope=\"mcp\"", error ? "error=\"" : "",
                                 error ? error : "", error ? "\", " : "");
    return fl_str_of(text ? text : "Bearer scope=\"mcp\"");
}

/* Answers 401 with a challenge (RFC 6750 section 3). `error` may be NULL. */
static void challenge(struct fl_http_exchange *ex, const char *error, const char *text)
{
    const struct fl_http_header headers[] = { { FL_STR("WWW-Authenticate"),
                                                fl_auth_challenge_text(ex->arena, error) } };
    fl_http_respond_error(ex, 401, text, headers, FL_COUNTOF(headers));
}

static void on_looked_up(struct fl_op *op)
{
    struct lookup *l = FL_CONTAINER(op, struct lookup, op);
    struct fl_auth *a = l->owner;
    enum fl_code code = op->code;
    struct fl_err err = op->err;
    struct fl_principal *principal = l->principal;
    fl_free(l);
    if (!a) {
        fl_principal_unref(&principal);
        return;
    }
    a->look = NULL;
    if (code == FL_UNAUTHENTICATED) {
        challenge(a->ex, "invalid_token", err.text);
    } else if (code) {
        fl_http_respond_error(a->ex, 503, err.text, NULL, 0);
    } else {
        a->principal = principal;
        /* So that a change of it (a revocation, a stop) is heard of before anything is called. */
        fl_orgs_want(a->endpoint->core->orgs, &principal->organization_id);
        fl_http_resume(a->ex);
        a->known(a);
    }
}

static struct fl_str bearer(const struct fl_http_exchange *ex)
{
    struct fl_str value = fl_http_header_get(ex, "authorization");
    struct fl_str none = { NULL, 0 };
    if (fl_http_header_count(ex, "authorization") != 1 || value.n < 7 ||
        !fl_str_eq_nocase((struct fl_str){ value.p, 7 }, FL_STR("bearer ")))
        return none;
    return fl_str_trim((struct fl_str){ value.p + 7, value.n - 7 });
}

void fl_auth_start(struct fl_http_exchange *ex, void (*known)(struct fl_auth *auth))
{
    struct fl_endpoint *ep = fl_site_user(ex);
    struct fl_auth *a = FL_ARENA_NEW(ex->arena, struct fl_auth);
    struct lookup *l = fl_calloc(1, sizeof *l);
    struct fl_str token = bearer(ex);
    ex->user = a;
    if (!a || !l) {
        fl_free(l);
        fl_http_respond_error(ex, 503, "out of memory", NULL, 0);
        return;
    }
    a->ex = ex;
    a->endpoint = ep;
    a->known = known;
    /* What ends soon is served to the end, a WebSocket says goodbye itself; a stream is for another
     * worker. */
    if (ep->is_draining && ex->method != FL_HTTP_POST &&
        !fl_http_header_has_token(ex, "upgrade", "websocket")) {
        fl_free(l);
        fl_http_respond_error(ex, 503, "the runtime is stopping", NULL, 0);
        return;
    }
    if (!token.n) {
        fl_free(l);
        challenge(ex, NULL, "a bearer token is required");
        return;
    }
    a->principal = fl_principal_peek(ep->principals, token);
    if (a->principal) {
        fl_free(l);
        known(a);
        return;
    }
    l->owner = a;
    l->op.done = on_looked_up;
    a->look = &l->auth;
    fl_http_pause(ex);
    if (fl_agent_auth_start(&l->op, &l->auth, ep->principals, token, &l->principal) != FL_OK) {
        fl_http_respond_error(ex, 503, l->op.err.text, NULL, 0);
        a->look = NULL;
        fl_free(l);
    }
}

void fl_auth_released(struct fl_http_exchange *ex)
{
    struct fl_auth *a = ex->user;
    if (!a)
        return;
    if (a->look)
        FL_CONTAINER(a->look, struct lookup, auth)->owner = NULL;
    fl_principal_unref(&a->principal);
    a->ex = NULL;
}
