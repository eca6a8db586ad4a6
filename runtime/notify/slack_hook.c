/* Requests from Slack: signed over the raw bytes (v0), answered at once, done behind the answer. */
#include "flopinio/base/mem.h"
#include "runtime/crypto/digest.h"
#include "runtime/notify/slack_priv.h"

#define AGE_MAX_S 300
#define SIGNED    "x-slack-signature"
#define AT        "x-slack-request-timestamp"

/* ---------------------------------------------------------------- may it be believed? */
static bool is_signed_with(struct fl_str secret, struct fl_str at, struct fl_str body,
                           struct fl_str given)
{
    struct fl_hmac h;
    uint8_t mac[FL_SHA256_BYTES];
    char text[3 + 2 * FL_SHA256_BYTES + 1] = "v0=";
    if (!secret.n)
        return false; /* a missing one signs nothing */
    fl_hmac_init(&h, secret);
    fl_hmac_put(&h, "v0:", 3);
    fl_hmac_put(&h, at.p, at.n);
    fl_hmac_put(&h, ":", 1);
    fl_hmac_put(&h, body.p, body.n);
    fl_hmac_final(&h, mac);
    fl_hex(mac, sizeof mac, text + 3);
    return given.n == sizeof text - 1 && fl_equal_secret(text, given.p, given.n);
}

bool fl_slack_is_genuine(const struct fl_channel *ch, const struct fl_http_exchange *ex,
                         struct fl_str body)
{
    struct fl_str given = fl_http_header_get(ex, SIGNED), at = fl_http_header_get(ex, AT);
    unsigned long long at_s;
    if (fl_slack_is_socket(ch) || fl_http_header_count(ex, SIGNED) != 1 ||
        fl_http_header_count(ex, AT) != 1 || at.n > 12 || !fl_str_to_u64(at, &at_s))
        return false;
    int64_t age_s = fl_real_ms() / 1000 - (int64_t)at_s;
    bool is_new = is_signed_with(fl_channel_secret(ch, "signing_secret"), at, body, given);
    bool is_old = is_signed_with(fl_channel_secret(ch, "signing_secret_old"), at, body, given);
    return (is_new || is_old) && age_s <= AGE_MAX_S && age_s >= -AGE_MAX_S;
}

/* ---------------------------------------------------------------- the body */
/* A form with `payload`, a form of a command, or the JSON of an event; new reference. */
static json_t *read_body(struct fl_str body, struct fl_arena *arena)
{
    struct fl_err err;
    struct fl_str name, value;
    size_t pos = 0;
    if (body.n && body.p[0] == '{')
        return fl_json_parse(body, &err);
    json_t *form = json_object();
    while (form && fl_http_form_next(arena, body, &pos, &name, &value, &err) == FL_OK) {
        if (fl_str_is(name, "payload")) {
            json_decref(form);
            return fl_json_parse(value, &err);
        }
        json_t *text = fl_json_new_str(value);
        char *key = fl_arena_strndup(arena, name.p, name.n);
        if (!text || !key || json_object_set_new(form, key, text) != 0)
            break;
    }
    return form;
}

bool fl_slack_hook_first(const struct fl_channel *ch, const struct fl_http_exchange *ex,
                         struct fl_str body, struct fl_arena *arena, struct fl_str *ret_once,
                         struct fl_str *ret_answer)
{
    json_t *tree = read_body(body, arena);
    struct fl_buf out = FL_BUF_INIT;
    FL_UNUSED(ch);
    if (!json_is_object(tree)) {
        json_decref(tree);
        return false;
    }
    bool is_known = true;
    *ret_once = fl_arena_str(arena, fl_http_header_get(ex, SIGNED));
    *ret_answer = fl_slack_event_ack(tree, arena);
    if (fl_str_is(fl_json_get_str(tree, "type"), "url_verification")) {
        struct fl_str challenge = fl_json_get_str(tree, "challenge");
        fl_buf_puts(&out, "{\"challenge\":");
        fl_buf_json_str(&out, challenge.p ? challenge : FL_STR(""));
        fl_buf_putc(&out, '}');
        *ret_answer = out.is_failed ? FL_STR("") : fl_arena_str(arena, fl_buf_view(&out));
        is_known = ret_answer->p != NULL;
        fl_buf_fini(&out);
    }
    json_decref(tree);
    return ret_once->p && is_known;
}

/* ---------------------------------------------------------------- doing it */
struct hooked {
    struct fl_op op;
    struct fl_op *user;
    struct fl_hook_answer *answer;
    struct fl_slack_event event;
    json_t *tree;
};

static void on_handled(struct fl_op *op)
{
    struct hooked *h = FL_CONTAINER(op, struct hooked, op);
    struct fl_op *user = h->user;
    json_decref(h->tree);
    fl_op_finish(user, op->code);
}

static void acknowledge(struct fl_slack_event *event, struct fl_str text)
{
    struct fl_hook_answer *answer = FL_CONTAINER(event, struct hooked, event)->answer;
    answer->text = text;
    answer->give(answer);
    answer->text = FL_STR("");
}

enum fl_code fl_slack_hook_start(struct fl_op *op, struct fl_channel *ch, struct fl_str body,
                                 struct fl_arena *arena, struct fl_hook_answer *answer)
{
    struct hooked *h = FL_ARENA_NEW(arena, struct hooked);
    if (!h)
        return fl_err_code(&op->err, FL_NOMEM);
    h->tree = read_body(body, arena);
    if (!json_is_object(h->tree)) {
        json_decref(h->tree);
        return fl_err_set(&op->err, FL_BAD_JSON, "the body cannot be read");
    }
    h->user = op;
    h->op.done = on_handled;
    h->answer = answer;
    h->event =
        (struct fl_slack_event){ .channel = ch, .payload = h->tree, .acknowledge = acknowledge };
    enum fl_code code = fl_slack_event_start(&h->op, &h->event);
    if (code) {
        op->err = h->op.err;
        json_decref(h->tree);
        return code;
    }
    fl_op_start(op, NULL, h);
    return FL_OK;
}
