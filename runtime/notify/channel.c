/* A channel's row, opened; buttons. */
#include "runtime/notify/channel.h"

#include "flopinio/base/mem.h"

static const struct fl_channel_kind *const kinds[] = { &fl_channel_telegram, &fl_channel_slack,
                                                       &fl_channel_mail };

const struct fl_channel_kind *fl_channel_kind(struct fl_str name)
{
    for (size_t i = 0; i < FL_COUNTOF(kinds); i++) {
        if (fl_str_is(name, kinds[i]->name))
            return kinds[i];
    }
    return NULL;
}

static struct fl_place place_of(const struct fl_uuid *organization, const struct fl_uuid *id,
                                char text[FL_UUID_TEXT])
{
    return (struct fl_place){ .organization = *organization,
                              .table = "channel",
                              .column = "secret",
                              .row = fl_str_of(fl_uuid_format(id, text)) };
}

enum fl_code fl_channel_seal(const struct fl_keyring *keys, const struct fl_uuid *organization,
                             const struct fl_uuid *id, const json_t *secret, struct fl_arena *arena,
                             struct fl_str *ret, struct fl_err *err)
{
    char text[FL_UUID_TEXT];
    struct fl_place place = place_of(organization, id, text);
    struct fl_buf plain = FL_BUF_INIT, sealed = FL_BUF_INIT;
    fl_json_put(&plain, secret);
    enum fl_code code = fl_buf_code(&plain, err);
    if (code == FL_OK)
        code = fl_seal(keys, &place, fl_buf_view(&plain), &sealed, err);
    if (code == FL_OK) {
        *ret = fl_arena_str(arena, fl_buf_view(&sealed));
        code = ret->p ? FL_OK : fl_err_code(err, FL_NOMEM);
    }
    if (plain.p)
        fl_cleanse(plain.p, plain.n);
    fl_buf_fini(&plain);
    fl_buf_fini(&sealed);
    return code;
}

enum fl_code fl_channel_unseal(const struct fl_keyring *keys, const struct fl_uuid *organization,
                               const struct fl_uuid *id, struct fl_str sealed, json_t **ret,
                               struct fl_err *err)
{
    char text[FL_UUID_TEXT];
    struct fl_place place = place_of(organization, id, text);
    struct fl_buf plain = FL_BUF_INIT;
    enum fl_code code = fl_unseal(keys, &place, sealed, &plain, err);
    if (code == FL_OK) {
        *ret = fl_json_parse(fl_buf_view(&plain), err);
        code = *ret ? FL_OK : fl_err_code(err, FL_NOMEM);
    }
    if (plain.p)
        fl_cleanse(plain.p, plain.n);
    fl_buf_fini(&plain);
    return code;
}

static enum fl_code open_secret(struct fl_channel *ch, struct fl_str sealed, struct fl_err *err)
{
    if (sealed.p)
        return fl_channel_unseal(ch->core->keys, &ch->organization, &ch->id, sealed, &ch->secret,
                                 err);
    ch->secret = json_object();
    return ch->secret ? FL_OK : fl_err_code(err, FL_NOMEM);
}

/* Columns of fl_store_channel_get: name, kind, config, disclose, is_enabled, secret, facts, cursor,
 * revision, paused_until, failures. */
enum fl_code fl_channel_read(struct fl_channel *ch, const struct fl_query *row, struct fl_err *err)
{
    if (fl_rows(row) != 1)
        return fl_err_set(err, FL_NOT_FOUND, "there is no such channel");
    ch->kind = fl_channel_kind(fl_cell(row, 0, 1));
    if (!ch->kind)
        return fl_err_set(err, FL_CONFIG, "this program has no channels of the kind '%.*s'",
                          FL_STR_ARG(fl_cell(row, 0, 1)));
    ch->arena = fl_arena_new(0);
    if (!ch->arena)
        return fl_err_code(err, FL_NOMEM);
    ch->name = fl_arena_str(ch->arena, fl_cell(row, 0, 0));
    ch->organization_name = fl_arena_str(ch->arena, ch->organization_name);
    ch->config = fl_json_parse(fl_cell(row, 0, 2), err);
    ch->disclose = fl_str_is(fl_cell(row, 0, 3), "full") ? FL_DISCLOSE_FULL : FL_DISCLOSE_SUMMARY;
    ch->is_enabled = fl_cell_bool(row, 0, 4);
    ch->facts = fl_json_parse(fl_cell(row, 0, 6), err);
    ch->cursor = fl_cell_int(row, 0, 7);
    ch->revision = fl_cell_int(row, 0, 8);
    ch->paused_until_ms = fl_cell_int(row, 0, 9);
    ch->failures = (int)fl_cell_int(row, 0, 10);
    enum fl_code code = FL_OK;
    if (!ch->config || !ch->facts || !ch->name.p)
        code = fl_err_code(err, FL_NOMEM);
    if (code == FL_OK)
        code = open_secret(ch, fl_cell_bytes(row, ch->arena, 0, 5), err);
    if (code)
        fl_channel_fini(ch);
    return code;
}

void fl_channel_fini(struct fl_channel *ch)
{
    const char *name;
    json_t *value;
    json_object_foreach (ch->secret, name, value) {
        struct fl_str text = fl_json_str(value);
        if (text.n)
            fl_cleanse((char *)text.p, text.n);
    }
    json_decref(ch->secret);
    json_decref(ch->config);
    json_decref(ch->facts);
    ch->secret = ch->config = ch->facts = NULL;
    fl_arena_free(&ch->arena);
}

struct fl_str fl_channel_secret(const struct fl_channel *ch, const char *name)
{
    return fl_json_get_str(ch->secret, name);
}

struct fl_str fl_channel_config(const struct fl_channel *ch, const char *name)
{
    return fl_json_get_str(ch->config, name);
}

int fl_channel_rate(const struct fl_channel *ch)
{
    const json_t *rate = json_object_get(ch->config, "cards_per_minute");
    return rate ? (int)json_integer_value(rate) : FL_CARDS_A_MINUTE;
}

bool fl_channel_same_servers(const json_t *config, const json_t *other)
{
    static const char *const names[] = { "base_url", "url" };
    const json_t *x = json_object_get(json_object_get(config, "bounces"), "url");
    const json_t *y = json_object_get(json_object_get(other, "bounces"), "url");
    bool are_same = x == y || json_equal(x, y);
    for (size_t i = 0; i < FL_COUNTOF(names); i++) {
        x = json_object_get(config, names[i]);
        y = json_object_get(other, names[i]);
        are_same &= x == y || json_equal(x, y);
    }
    return are_same;
}

enum fl_code fl_channel_check_rate(const json_t *config, struct fl_err *err)
{
    const json_t *rate = json_object_get(config, "cards_per_minute");
    if (!rate || (json_is_integer(rate) && json_integer_value(rate) >= 1 &&
                  json_integer_value(rate) <= FL_CARDS_A_MINUTE_MAX))
        return FL_OK;
    return fl_err_set(err, FL_BAD_PARAMS, "'cards_per_minute' is a number from 1 to %d",
                      FL_CARDS_A_MINUTE_MAX);
}

enum fl_code fl_channel_check_members(const json_t *object, const char *kind, const char *known,
                                      const char *what, struct fl_err *err)
{
    const char *name;
    json_t *value;
    json_object_foreach ((json_t *)object, name, value) {
        const char *at = strstr(known, name);
        size_t n = strlen(name);
        if (!n || !at || (at != known && at[-1] != ' ') || (at[n] && at[n] != ' '))
            return fl_err_set(err, FL_BAD_PARAMS, "a %s channel has no %s '%.60s'; it has %s", kind,
                              what, name, known);
    }
    return FL_OK;
}

/* ---------------------------------------------------------------- buttons */
static const char letters[] = {
#define X(name, letter) (letter),
    FL_CHAT_VERBS(X)
#undef X
};

void fl_chat_button(enum fl_chat_verb verb, const struct fl_uuid *card, struct fl_str binding,
                    char out[FL_CHAT_BUTTON_CHARS + 1])
{
    uint8_t first[FL_CHAT_BINDING_BYTES] = { 0 };
    struct fl_buf text = FL_BUF_INIT;
    if (binding.n >= sizeof first)
        memcpy(first, binding.p, sizeof first);
    fl_buf_putc(&text, letters[verb]);
    fl_b64url(&text, card->b, sizeof card->b);
    fl_b64url(&text, first, sizeof first);
    bool is_whole = !text.is_failed && text.n == FL_CHAT_BUTTON_CHARS;
    memcpy(out, is_whole ? text.p : "", is_whole ? FL_CHAT_BUTTON_CHARS + 1 : 1);
    fl_buf_fini(&text);
}

bool fl_chat_button_read(struct fl_str data, struct fl_chat_event *event)
{
    struct fl_buf bytes = FL_BUF_INIT;
    bool is_ours = data.n == FL_CHAT_BUTTON_CHARS && data.p[0] != '-' &&
                   fl_b64url_decode(&bytes, (struct fl_str){ data.p + 1, 22 }) && bytes.n == 16;
    if (is_ours)
        memcpy(event->card.b, bytes.p, 16);
    fl_buf_reset(&bytes);
    is_ours = is_ours && fl_b64url_decode(&bytes, (struct fl_str){ data.p + 23, 12 }) &&
              bytes.n == FL_CHAT_BINDING_BYTES;
    if (is_ours)
        memcpy(event->binding, bytes.p, FL_CHAT_BINDING_BYTES);
    fl_buf_fini(&bytes);
    event->verb = FL_CHAT_NONE;
    for (size_t i = 0; is_ours && i < FL_COUNTOF(letters); i++) {
        if (letters[i] == data.p[0])
            event->verb = (enum fl_chat_verb)i;
    }
    return event->verb != FL_CHAT_NONE;
}

/* "localhost", "x.localhost", 127.0.0.1 and the like, [::1]. */
static bool is_this_host(struct fl_str host)
{
    struct fl_str end = FL_STR(".localhost");
    size_t n = host.n > end.n ? end.n : 0;
    bool is_number = fl_str_has_prefix(host, FL_STR("127."));
    for (size_t i = 0; i < host.n; i++)
        is_number &= host.p[i] == '.' || (host.p[i] >= '0' && host.p[i] <= '9');
    return is_number || fl_str_is(host, "[::1]") || fl_str_eq_nocase(host, FL_STR("localhost")) ||
           (n && fl_str_eq_nocase((struct fl_str){ host.p + host.n - n, n }, end));
}

enum fl_code fl_channel_check_public_url(const struct fl_channel_kind *kind, struct fl_str url,
                                         struct fl_err *err)
{
    struct fl_str tls = FL_STR("https://"), clear = FL_STR("http://");
    if (!kind->is_mail)
        return FL_OK;
    if (!url.n)
        return fl_err_set(err, FL_BAD_PARAMS,
                          "a mail channel needs the setting public_url: its mails link there");
    if (url.n > tls.n && fl_str_eq_nocase((struct fl_str){ url.p, tls.n }, tls))
        return FL_OK;
    if (url.n > clear.n && fl_str_eq_nocase((struct fl_str){ url.p, clear.n }, clear)) {
        struct fl_str host = { url.p + clear.n, 0 };
        size_t rest = url.n - clear.n;
        bool is_v6 = host.p[0] == '[';
        while (host.n < rest && host.p[host.n] != '/' && (is_v6 || host.p[host.n] != ':'))
            is_v6 &= host.p[host.n++] != ']';
        if (is_this_host(host))
            return FL_OK;
    }
    return fl_err_set(
        err, FL_BAD_PARAMS,
        "a mail channel needs a public_url with https:// (or on this host): its links "
        "sign people in");
}
