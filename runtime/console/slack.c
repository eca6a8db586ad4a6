/* A Slack channel's app, installed by OAuth instead of by a token that is pasted. It is begun here,
 * goes on in a browser (runtime/notify/slack_oauth.c), and is taken here by whoever began it, who
 * saw where it was installed: only then a channel has the token. */
#include "flopinio/base/clock.h"
#include "runtime/console/api.h"
#include "runtime/console/valid.h"
#include "runtime/crypto/secret.h"
#include "runtime/crypto/token.h"
#include "runtime/notify/notify.h"
#include "runtime/notify/slack_app.h"
#include "runtime/notify/slack_oauth.h"
#include "runtime/store/channel.h"
#include "runtime/store/install.h"

#define NOTHING     ((struct fl_str){ NULL, 0 })
/* What stands for the token until there is one, to see whether the rest would do. */
#define PLACEHOLDER "xoxb-0000000000000000"

struct install_request {
    struct fl_uuid id;
    struct fl_str channel, client_id, client_secret, disclose;
    const json_t *config, *secret; /* as given; borrowed */
    bool without_history;
    struct fl_str sealed, outcome_text, answer; /* in the arena */
    struct fl_query *q_install, *q_channel;
    bool is_new;
    void (*then)(struct fl_api *a); /* once the channel was looked for */
    /* None of these lives while a transaction is on its way: see forget. */
    json_t *kept, *outcome;          /* of the row, opened */
    json_t *all_config, *all_secret; /* with what the channel has already */
    struct fl_channel opened;        /* the channel, when it is there */
    bool is_open;
};

static void forget(struct install_request *r)
{
    json_decref(r->kept);
    json_decref(r->outcome);
    json_decref(r->all_config);
    json_decref(r->all_secret);
    if (r->is_open)
        fl_channel_fini(&r->opened);
    r->kept = r->outcome = r->all_config = r->all_secret = NULL;
    r->is_open = false;
}

static void submit(struct fl_api *a, bool is_change, void (*done)(struct fl_api *a))
{
    forget(a->user);
    fl_api_submit(a, is_change, done);
}

static void refuse(struct fl_api *a, enum fl_code code, const char *text)
{
    forget(a->user);
    fl_api_error(a, code, "%s", text);
}

static struct install_request *new_request(struct fl_api *a)
{
    struct install_request *r = FL_ARENA_NEW(a->arena, struct install_request);
    if (!r)
        fl_api_error(a, FL_NOMEM, "out of memory");
    a->user = r;
    return r;
}

/* ---------------------------------------------------------------- the channel, if it is there */
static void on_opened(struct fl_api *a)
{
    struct install_request *r = a->user;
    struct fl_err err;
    enum fl_code code = fl_channel_read(&r->opened, r->q_channel, &err);
    r->is_open = code == FL_OK;
    if (code)
        refuse(a, code, err.text);
    else if (r->opened.kind != &fl_channel_slack)
        refuse(a, FL_CONFLICT, "there is a channel of that name, and it is none of Slack");
    else
        r->then(a);
}

/* Columns of fl_store_channels: channel_id, name, ... */
static void on_channels(struct fl_api *a)
{
    struct install_request *r = a->user;
    for (int i = 0; i < fl_rows(r->q_channel); i++) {
        if (!fl_str_eq(fl_cell(r->q_channel, i, 1), r->channel))
            continue;
        r->opened = (struct fl_channel){ .core = a->core,
                                         .organization = a->organization_id,
                                         .id = fl_cell_uuid(r->q_channel, i, 0),
                                         .organization_name = a->organization };
        r->q_channel = fl_store_channel_get(fl_api_tx(a), &r->opened.id);
        submit(a, false, on_opened);
        return;
    }
    r->then(a);
}

static void look_for_channel(struct fl_api *a, void (*then)(struct fl_api *a))
{
    struct install_request *r = a->user;
    r->then = then;
    r->q_channel = fl_store_channels(fl_api_tx(a));
    submit(a, false, on_channels);
}

/* What the channel would have: what is there, with what was given over it. False: answered. */
static bool check(struct fl_api *a, const json_t *config, const json_t *secret, struct fl_str token)
{
    struct install_request *r = a->user;
    struct fl_err err;
    r->all_config = config       ? json_deep_copy(config)
                    : r->is_open ? json_deep_copy(r->opened.config)
                                 : json_object();
    r->all_secret = r->is_open ? json_deep_copy(r->opened.secret) : json_object();
    json_object_update(r->all_secret, (json_t *)secret);
    json_t *text = fl_json_new_str(token);
    if (!r->all_config || !r->all_secret || !text ||
        json_object_set_new(r->all_secret, "token", text) != 0) {
        refuse(a, FL_NOMEM, "out of memory");
        return false;
    }
    enum fl_code code = fl_channel_slack.check(r->all_config, r->all_secret,
                                               fl_notify_may_be_local(fl_api_notify(a)), &err);
    if (code)
        refuse(a, code, err.text);
    return code == FL_OK;
}

/* ---------------------------------------------------------------- beginning */
/* Into the arena; false: answered. */
static bool put_begun(struct fl_api *a, struct fl_str redirect_url, const char *state)
{
    struct install_request *r = a->user;
    struct fl_buf out = FL_BUF_INIT, url = FL_BUF_INIT;
    char id[FL_UUID_TEXT], at[FL_TIME_BYTES];
    fl_slack_install_url(&url, fl_json_get_str(r->all_config, "base_url"), r->client_id,
                         redirect_url, fl_str_of(state), !r->without_history);
    fl_buf_printf(
        &out, "{\"id\":\"%s\",\"expires_at\":\"%s\",\"redirect_url\":", fl_uuid_format(&r->id, id),
        fl_time_format_s(fl_real_ms() + FL_SLACK_INSTALL_MS, at));
    fl_buf_json_str(&out, redirect_url);
    fl_buf_puts(&out, ",\"url\":");
    fl_buf_json_str(&out, fl_buf_view(&url));
    fl_buf_putc(&out, '}');
    if (!out.is_failed && !url.is_failed)
        r->answer = fl_arena_str(a->arena, fl_buf_view(&out));
    fl_buf_fini(&url);
    fl_buf_fini(&out);
    if (!r->answer.p)
        refuse(a, FL_NOMEM, "out of memory");
    return r->answer.p != NULL;
}

static void on_begun(struct fl_api *a)
{
    const struct install_request *r = a->user;
    struct fl_buf out = FL_BUF_INIT;
    fl_buf_str(&out, r->answer);
    fl_api_created(a, &out);
}

/* All that the browser's way back needs, so that it needs nothing else. A new reference. */
static json_t *keep(const struct install_request *r, const char *redirect_url)
{
    json_t *kept = json_object();
    json_object_set_new(kept, "client_id", fl_json_new_str(r->client_id));
    json_object_set_new(kept, "client_secret", fl_json_new_str(r->client_secret));
    json_object_set_new(kept, "redirect_url", json_string(redirect_url));
    json_object_set(kept, "config", r->all_config);
    json_object_set_new(kept, "has_config", json_boolean(r->config != NULL));
    json_object_set_new(kept, "without_history", json_boolean(r->without_history));
    json_object_set_new(kept, "secret", r->secret ? json_deep_copy(r->secret) : json_object());
    if (r->disclose.p)
        json_object_set_new(kept, "disclose", fl_json_new_str(r->disclose));
    return kept;
}

static void record_beginning(struct fl_api *a, struct fl_str state_hash)
{
    struct install_request *r = a->user;
    struct fl_audit_event e;
    struct fl_tx *tx = fl_api_change_tx(a);
    char id[FL_UUID_TEXT];
    fl_store_install_put(tx, &r->id, state_hash, r->channel, &a->auth.id, r->sealed,
                         FL_SLACK_INSTALL_MS);
    fl_api_event(a, &e, FL_AUDIT_CHANNEL_INSTALL, "channel", r->is_open ? &r->opened.id : NULL);
    fl_audit_text(&e, "channel", r->channel);
    fl_audit_z(&e, "kind", "slack");
    fl_audit_z(&e, "install", fl_uuid_format(&r->id, id));
    fl_audit_text(&e, "client_id", r->client_id);
    fl_audit_append(&e, tx);
    submit(a, true, on_begun);
}

static void on_may_begin(struct fl_api *a)
{
    struct install_request *r = a->user;
    char state[FL_TOKEN_BYTES];
    uint8_t digest[FL_SHA256_BYTES];
    struct fl_err err;
    if (!check(a, r->config, r->secret, FL_STR(PLACEHOLDER)))
        return;
    const char *redirect_url =
        fl_arena_printf(a->arena, "%s" FL_SLACK_REDIRECT, fl_notify_public_url(fl_api_notify(a)));
    r->id = fl_uuid_new();
    r->kept = redirect_url ? keep(r, redirect_url) : NULL;
    enum fl_code code =
        r->kept ? fl_token_new(FL_TOKEN_LINK, state, digest, &err) : fl_err_code(&err, FL_NOMEM);
    if (code == FL_OK)
        code = fl_channel_seal(a->core->keys, &a->organization_id, &r->id, r->kept, a->arena,
                               &r->sealed, &err);
    if (code) {
        refuse(a, code, err.text);
        return;
    }
    bool is_fine = put_begun(a, fl_str_of(redirect_url), state);
    fl_cleanse(state, sizeof state);
    if (is_fine)
        record_beginning(a, fl_bytes(digest, sizeof digest));
}

static bool is_object(struct fl_api *a, const char *name, const json_t **ret)
{
    *ret = json_object_get(a->body, name);
    if (!*ret || json_is_object(*ret))
        return true;
    fl_api_error(a, FL_BAD_PARAMS, "'%s' must be an object", name);
    return false;
}

static void start_begin(struct fl_api *a)
{
    const char *public_url = fl_notify_public_url(fl_api_notify(a));
    struct install_request *r = new_request(a);
    if (!r || (a->who == FL_WHO_PERSON && !fl_api_by_passphrase(a)))
        return;
    r->channel = a->params[1];
    r->without_history = json_is_true(json_object_get(a->body, "without_history"));
    if (!fl_api_text(a, "client_id", true, &r->client_id) ||
        !fl_api_text(a, "client_secret", true, &r->client_secret) ||
        !fl_api_text(a, "disclose", false, &r->disclose) || !is_object(a, "config", &r->config) ||
        !is_object(a, "secret", &r->secret))
        return;
    if (!fl_is_server_name(r->channel) || fl_str_is(r->channel, "inbox"))
        fl_api_error(a, FL_BAD_PARAMS,
                     "a channel's name has 1 to 32 of a-z, 0-9 and hyphens, and is not inbox");
    else if (r->disclose.p && !fl_str_is(r->disclose, "full") && !fl_str_is(r->disclose, "summary"))
        fl_api_error(a, FL_BAD_PARAMS, "'disclose' must be full or summary");
    else if (r->client_id.n > 100 || !fl_str_is_word(r->client_id, "."))
        fl_api_error(a, FL_BAD_PARAMS, "'client_id' is the app's client id, such as 123.456");
    else if (r->client_secret.n < 16 || r->client_secret.n > 200 ||
             !fl_str_is_word(r->client_secret, ""))
        fl_api_error(a, FL_BAD_PARAMS, "'client_secret' is the app's client secret");
    else if (json_object_get(a->body, "without_history") &&
             !json_is_boolean(json_object_get(a->body, "without_history")))
        fl_api_error(a, FL_BAD_PARAMS, "'without_history' is true or false");
    else if (json_object_get(r->secret, "token"))
        fl_api_error(a, FL_BAD_PARAMS, "the secret 'token' is what this is to get");
    else if (!fl_str_has_prefix(fl_str_of(public_url), FL_STR("https://")) &&
             !(public_url[0] && fl_notify_may_be_local(fl_api_notify(a))))
        fl_api_error(a, FL_CONFLICT,
                     "Slack sends the browser back to 'public_url', which has to be https://...; "
                     "without one paste the token: flopinio channel add");
    else
        look_for_channel(a, on_may_begin);
}

/* ---------------------------------------------------------------- how it stands, and taking it */
/* Only who began it can say that this is what they installed; the operator may look. Columns of
 * fl_store_install_get: channel, begun_by, secret, outcome, trouble, was the browser there, is it
 * too late, was it taken. False: answered. */
static bool read_row(struct fl_api *a)
{
    struct install_request *r = a->user;
    const struct fl_query *q = r->q_install;
    struct fl_uuid by = fl_rows(q) == 1 ? fl_cell_uuid(q, 0, 1) : (struct fl_uuid){ { 0 } };
    bool may_look = a->who == FL_WHO_OPERATOR && a->route->method == FL_HTTP_GET;
    if (fl_rows(q) != 1 || (fl_uuid_cmp(&by, &a->auth.id) != 0 && !may_look)) {
        refuse(a, FL_NOT_FOUND, "there is no such install, or somebody else began it");
        return false;
    }
    r->channel = fl_arena_str(a->arena, fl_cell(q, 0, 0));
    r->outcome_text = fl_cell_is_null(q, 0, 3) ? NOTHING : fl_arena_str(a->arena, fl_cell(q, 0, 3));
    return true;
}

static void on_read(struct fl_api *a)
{
    struct install_request *r = a->user;
    const struct fl_query *q = r->q_install;
    struct fl_buf out = FL_BUF_INIT;
    if (!read_row(a))
        return;
    fl_buf_puts(&out, "{\"channel\":");
    fl_buf_json_str(&out, r->channel);
    fl_buf_printf(&out, ",\"state\":\"%s\",\"trouble\":",
                  fl_cell_bool(q, 0, 7)   ? "taken"
                  : fl_cell(q, 0, 4).n    ? "failed"
                  : fl_cell_bool(q, 0, 6) ? "over"
                  : r->outcome_text.p     ? "installed"
                                          : "waiting");
    fl_buf_json_str(&out, fl_cell(q, 0, 4));
    fl_buf_puts(&out, ",\"outcome\":");
    fl_buf_str(&out, r->outcome_text.p ? r->outcome_text : FL_STR("null"));
    fl_buf_putc(&out, '}');
    fl_api_ok(a, &out);
}

static void read_install(struct fl_api *a, void (*then)(struct fl_api *a))
{
    struct install_request *r = new_request(a);
    if (!r)
        return;
    if (!fl_uuid_parse(a->params[1], &r->id)) {
        fl_api_error(a, FL_NOT_FOUND, "there is no such install, or somebody else began it");
        return;
    }
    r->q_install = fl_store_install_get(fl_api_tx(a), &r->id);
    submit(a, false, then);
}

static void start_read(struct fl_api *a)
{
    read_install(a, on_read);
}

static bool is_org_wide(const json_t *facts)
{
    return json_is_true(json_object_get(facts, "is_enterprise_install")) &&
           fl_json_get_str(facts, "enterprise").n;
}

/* The same workspace, or in all of an enterprise the same one. From the one to the other only
 * within one enterprise, which both of them have to name; false: answered. */
static bool is_same_place(struct fl_api *a)
{
    struct install_request *r = a->user;
    const json_t *facts = r->is_open ? r->opened.facts : NULL;
    bool was_org = is_org_wide(facts), is_org = is_org_wide(r->outcome);
    const char *member = was_org || is_org ? "enterprise" : "team";
    struct fl_str was = fl_json_get_str(facts, member), is = fl_json_get_str(r->outcome, member);
    bool is_known = fl_json_get_str(facts, "team").n || fl_json_get_str(facts, "enterprise").n;
    if (!is_known || (was.n && fl_str_eq(was, is)))
        return true;
    was = fl_json_get_str(facts, was_org ? "enterprise" : "team");
    is = fl_json_get_str(r->outcome, is_org ? "enterprise" : "team");
    const char *text = fl_arena_printf(
        a->arena,
        "the channel is of the %s %.*s, and the app was installed into %s%.*s: nothing was changed",
        was_org ? "enterprise" : "workspace", FL_STR_ARG(was),
        was_org == is_org ? ""
        : is_org          ? "the enterprise "
                          : "the workspace ",
        FL_STR_ARG(is));
    refuse(a, FL_CONFLICT, text ? text : "it was installed elsewhere");
    return false;
}

static void on_taken(struct fl_api *a)
{
    struct install_request *r = a->user;
    struct fl_buf out = FL_BUF_INIT;
    if (fl_rows(r->q_channel) != 1) {
        refuse(a, FL_CONFLICT, "the channel was added or removed just now; begin again");
        return;
    }
    fl_buf_puts(&out, "{\"name\":");
    fl_buf_json_str(&out, r->channel);
    fl_buf_printf(&out, ",\"is_new\":%s}", r->is_new ? "true" : "false");
    fl_api_ok(a, &out);
}

/* What auth.test will say too, and the one thing that it may not. */
static struct fl_str facts_of(struct fl_api *a, const json_t *outcome)
{
    static const char *const members[] = { "team",     "workspace", "enterprise",
                                           "bot_user", "app",       "is_enterprise_install" };
    json_t *facts = json_object();
    for (size_t i = 0; i < FL_COUNTOF(members); i++)
        json_object_set(facts, members[i], json_object_get(outcome, members[i]));
    struct fl_str text = facts ? fl_json_text(a->arena, facts) : NOTHING;
    json_decref(facts);
    return text;
}

static void write_channel(struct fl_api *a)
{
    struct install_request *r = a->user;
    struct fl_audit_event e;
    struct fl_str sealed, facts = facts_of(a, r->outcome);
    struct fl_err err;
    struct fl_str disclose = fl_json_get_str(r->kept, "disclose");
    bool has_config = !r->is_open || json_is_true(json_object_get(r->kept, "has_config"));
    struct fl_str config = has_config ? fl_json_text(a->arena, r->all_config) : NOTHING;
    struct fl_uuid id = r->is_open ? r->opened.id : fl_uuid_new();
    fl_api_event(a, &e, r->is_open ? FL_AUDIT_CHANNEL_CHANGED : FL_AUDIT_CHANNEL_CREATED, "channel",
                 &id);
    fl_audit_text(&e, "channel", r->channel);
    fl_audit_z(&e, "kind", "slack");
    fl_audit_text(&e, "disclose", disclose);
    fl_audit_bool(&e, "config_changed", has_config);
    fl_audit_bool(&e, "secret_changed", true);
    fl_audit_text(&e, "installed_into", fl_json_get_str(r->outcome, "team"));
    fl_audit_text(&e, "enterprise", fl_json_get_str(r->outcome, "enterprise"));
    fl_audit_text(&e, "installed_by", fl_json_get_str(r->outcome, "installed_by"));
    enum fl_code code = fl_channel_seal(a->core->keys, &a->organization_id, &id, r->all_secret,
                                        a->arena, &sealed, &err);
    if (code == FL_OK)
        code = fl_audit_seal(&e, a->arena, &err);
    if (code == FL_OK && (!facts.p || (has_config && !config.p)))
        code = fl_err_code(&err, FL_NOMEM);
    if (code) {
        refuse(a, code, err.text);
        return;
    }
    r->is_new = !r->is_open;
    struct fl_tx *tx = fl_api_change_tx(a);
    r->q_channel =
        r->is_open ? fl_store_channel_update(tx, r->channel, config, sealed, disclose, 1, &e.row)
                   : fl_store_channel_create(tx, &id, r->channel, FL_STR("slack"), config, sealed,
                                             disclose, &e.row);
    fl_store_channel_facts(tx, &id, facts);
    fl_store_install_take(tx, &r->id);
    submit(a, true, on_taken);
}

static void on_may_take(struct fl_api *a)
{
    struct install_request *r = a->user;
    struct fl_err err;
    enum fl_code code =
        fl_channel_unseal(a->core->keys, &a->organization_id, &r->id, r->sealed, &r->kept, &err);
    if (code == FL_OK && !(r->outcome = fl_json_parse(r->outcome_text, &err)))
        code = fl_err_code(&err, FL_NOMEM);
    if (code)
        refuse(a, code, err.text);
    else if (is_same_place(a) &&
             check(a,
                   json_is_true(json_object_get(r->kept, "has_config"))
                       ? json_object_get(r->kept, "config")
                       : NULL,
                   json_object_get(r->kept, "secret"), fl_json_get_str(r->kept, "token")))
        write_channel(a);
}

static void on_read_to_take(struct fl_api *a)
{
    struct install_request *r = a->user;
    if (!read_row(a))
        return;
    if (!r->outcome_text.p || fl_cell_bool(r->q_install, 0, 6) ||
        fl_cell_bool(r->q_install, 0, 7)) {
        refuse(a, FL_CONFLICT, "it was not installed yet, was taken, or is too old");
        return;
    }
    r->sealed = fl_cell_bytes(r->q_install, a->arena, 0, 2);
    look_for_channel(a, on_may_take);
}

static void start_take(struct fl_api *a)
{
    read_install(a, on_read_to_take);
}

const struct fl_api_route fl_api_slack[] = {
    { FL_HTTP_POST, "/orgs/{org}/channels/{channel}/slack-install", FL_NEED_ROLE,
      FL_ACTION_MANAGE_CHANNELS, start_begin,
      "client_id client_secret secret config disclose without_history" },
    { FL_HTTP_GET, "/orgs/{org}/slack-installs/{id}", FL_NEED_ROLE, FL_ACTION_MANAGE_CHANNELS,
      start_read },
    { FL_HTTP_POST, "/orgs/{org}/slack-installs/{id}", FL_NEED_ROLE, FL_ACTION_MANAGE_CHANNELS,
      start_take },
    { .pattern = NULL }
};
