/* Documents into structures. */
#include <stdlib.h>

#include "mcp/names.h"
#include "runtime/console/apply.h"
#include "runtime/console/valid.h"
#include "runtime/crypto/digest.h"

#define LIST_MAX       10000
#define POLICY_MAX     (1 << 20)
#define NAME_SHOWN_MAX 80
#define NOTHING        ((struct fl_str){ NULL, 0 })

bool fl_apply_refuse(struct fl_api *a, enum fl_code code, const char *what, struct fl_str name,
                     const char *fmt, ...)
{
    struct fl_err why;
    va_list ap;
    va_start(ap, fmt);
    fl_err_vset(&why, code, fmt, ap);
    va_end(ap);
    fl_api_error(a, code, "%s '%.*s': %s", what,
                 (int)(name.n > NAME_SHOWN_MAX ? NAME_SHOWN_MAX : name.n), name.n ? name.p : "",
                 why.text);
    return false;
}

bool fl_apply_no_memory(struct fl_api *a)
{
    fl_api_error(a, FL_NOMEM, "out of memory");
    return false;
}

/* ---------------------------------------------------------------- one object of a list */
struct item {
    struct fl_api *a;
    const char *what; /* "person" */
    json_t *object;
    struct fl_str name;
};

static bool is_known(const char *known, const char *key)
{
    size_t n = strlen(key);
    for (const char *at = known; *at; at += strcspn(at, " "), at += *at == ' ') {
        if (n && strncmp(at, key, n) == 0 && (at[n] == ' ' || !at[n]))
            return true;
    }
    return false;
}

/* An object with a name and no other members than the known ones. */
static bool open_item(struct item *it, struct fl_api *a, const char *what, json_t *value, size_t at,
                      const char *known)
{
    const char *key;
    json_t *each;
    *it = (struct item){ .a = a, .what = what, .object = value };
    it->name = fl_json_get_str(value, "name");
    if (!json_is_object(value) || !it->name.n) {
        fl_api_error(a, FL_BAD_PARAMS, "%s number %zu: it must be an object with a 'name'", what,
                     at + 1);
        return false;
    }
    json_object_foreach (value, key, each) {
        if (!is_known(known, key))
            return fl_apply_refuse(a, FL_BAD_PARAMS, what, it->name,
                                   "'%.60s' is not known here (known: %s)", key, known);
    }
    return true;
}

static bool has(const struct item *it, const char *key)
{
    const json_t *value = json_object_get(it->object, key);
    return value && !json_is_null(value);
}

static bool text(const struct item *it, const char *key, struct fl_str *ret)
{
    *ret = NOTHING;
    if (!has(it, key))
        return true;
    *ret = fl_json_str(json_object_get(it->object, key));
    return ret->p ||
           fl_apply_refuse(it->a, FL_BAD_PARAMS, it->what, it->name, "'%s' must be a text", key);
}

static bool title(const struct item *it, const char *key, struct fl_str *ret)
{
    return text(it, key, ret) &&
           (fl_is_title(*ret) ||
            fl_apply_refuse(it->a, FL_BAD_PARAMS, it->what, it->name,
                            "'%s' must be one line of at most %d bytes", key, FL_VALID_TITLE_MAX));
}

static bool one_of(const struct item *it, const char *key, const char *const *words, size_t count,
                   const char *says, const char **ret)
{
    struct fl_str value;
    *ret = NULL;
    if (!text(it, key, &value))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (fl_str_is(value, words[i]))
            *ret = words[i];
    }
    return !value.p || *ret ||
           fl_apply_refuse(it->a, FL_BAD_PARAMS, it->what, it->name, "'%s' must be %s", key, says);
}

static bool name_is_fine(const struct item *it)
{
    return fl_is_name(it->name, true) ||
           fl_apply_refuse(it->a, FL_BAD_PARAMS, it->what, it->name,
                           "a name has 1 to 63 of a-z, 0-9, '.', '_', '-' and starts with a letter "
                           "or digit");
}

/* ---------------------------------------------------------------- the lists */
static bool read_person(struct fl_api *a, json_t *value, size_t at)
{
    struct fl_apply_person *p = &((struct fl_apply *)a->user)->people[at];
    struct item it;
    struct fl_str role;
    if (!open_item(&it, a, "person", value, at, "name display_name email role") ||
        !name_is_fine(&it) || !title(&it, "display_name", &p->display) ||
        !text(&it, "email", &p->email) || !text(&it, "role", &role))
        return false;
    p->name = it.name;
    p->role = fl_role_parse(role);
    if (!fl_is_email(p->email))
        return fl_apply_refuse(a, FL_BAD_PARAMS, it.what, it.name,
                               "'email' must be a mail address");
    return !role.p || p->role != FL_ROLE_NONE ||
           fl_apply_refuse(a, FL_BAD_PARAMS, it.what, it.name,
                           "'role' must be owner, admin, approver, auditor or member");
}

static bool read_members(const struct item *it, struct fl_apply_group *g)
{
    const json_t *list = json_object_get(it->object, "members");
    g->has_members = has(it, "members");
    bool is_fine = !g->has_members || json_is_array(list);
    g->members = fl_arena_array(it->a->arena, json_array_size(list) + 1, sizeof *g->members);
    if (!g->members)
        return fl_apply_no_memory(it->a);
    for (size_t i = 0; is_fine && i < json_array_size(list); i++) {
        struct fl_str member = fl_json_str(json_array_get(list, i));
        is_fine = fl_is_name(member, true);
        for (size_t k = 0; k < g->member_count; k++)
            is_fine &= !fl_str_eq(g->members[k], member);
        g->members[g->member_count++] = member;
    }
    return is_fine || fl_apply_refuse(it->a, FL_BAD_PARAMS, it->what, it->name,
                                      "'members' must be a list of people's names, each once");
}

static bool read_group(struct fl_api *a, json_t *value, size_t at)
{
    struct fl_apply_group *g = &((struct fl_apply *)a->user)->groups[at];
    struct item it;
    if (!open_item(&it, a, "group", value, at, "name title members") || !name_is_fine(&it) ||
        !title(&it, "title", &g->title))
        return false;
    g->name = it.name;
    return read_members(&it, g);
}

static bool read_agent(struct fl_api *a, json_t *value, size_t at)
{
    static const char *const states[] = { "active", "frozen" };
    struct fl_apply_agent *g = &((struct fl_apply *)a->user)->agents[at];
    struct item it;
    if (!open_item(&it, a, "agent", value, at, "name title owner state labels") ||
        !name_is_fine(&it) || !title(&it, "title", &g->title) || !text(&it, "owner", &g->owner) ||
        !one_of(&it, "state", states, 2, "active or frozen", &g->state))
        return false;
    g->name = it.name;
    if (!has(&it, "labels"))
        return true;
    const json_t *labels = json_object_get(value, "labels");
    if (!fl_are_labels(labels))
        return fl_apply_refuse(a, FL_BAD_PARAMS, it.what, it.name,
                               "'labels' must be an object of at most %d texts, each of at most %d "
                               "bytes",
                               FL_VALID_LABELS_MAX, FL_VALID_TITLE_MAX);
    g->labels = fl_labels_text(a->arena, labels);
    return g->labels.p || fl_apply_no_memory(a);
}

static bool read_server(struct fl_api *a, json_t *value, size_t at)
{
    struct fl_apply_server *s = &((struct fl_apply *)a->user)->servers[at];
    struct item it;
    const json_t *config = json_object_get(value, "config");
    const json_t *enabled = json_object_get(value, "is_enabled");
    if (!open_item(&it, a, "server", value, at,
                   "name plugin config environment account is_enabled") ||
        !text(&it, "plugin", &s->plugin) || !title(&it, "environment", &s->environment) ||
        !title(&it, "account", &s->account))
        return false;
    s->name = it.name;
    s->is_enabled = json_is_boolean(enabled) ? json_is_true(enabled) : -1;
    if (!fl_is_server_name(s->name))
        return fl_apply_refuse(a, FL_BAD_PARAMS, it.what, it.name,
                               "a server's name has 1 to 32 of a-z, 0-9 and hyphens, and starts "
                               "with no hyphen");
    if ((has(&it, "config") && !json_is_object(config)) ||
        (has(&it, "is_enabled") && !json_is_boolean(enabled)))
        return fl_apply_refuse(a, FL_BAD_PARAMS, it.what, it.name,
                               "'config' must be an object, 'is_enabled' true or false");
    if (!json_is_object(config))
        return true;
    s->config = fl_json_text(a->arena, config);
    return s->config.p || fl_apply_no_memory(a);
}

/* "sha256:" and 64 hex digits; and the definition's own, which must be the same. */
static bool read_digest(const struct item *it, struct fl_apply_tool *t)
{
    struct fl_str said;
    char *bytes = fl_arena_alloc(it->a->arena, FL_SHA256_BYTES);
    uint8_t own[FL_SHA256_BYTES];
    if (!bytes)
        return fl_apply_no_memory(it->a);
    if (!text(it, "digest", &said))
        return false;
    if (said.p && (!fl_str_has_prefix(said, FL_STR("sha256:")) ||
                   !fl_unhex((struct fl_str){ said.p + 7, said.n - 7 }, bytes, FL_SHA256_BYTES)))
        return fl_apply_refuse(it->a, FL_BAD_PARAMS, it->what, it->name,
                               "'digest' must be sha256: and 64 hexadecimal digits");
    if (!said.p && !t->definition.p)
        return fl_apply_refuse(it->a, FL_BAD_PARAMS, it->what, it->name,
                               "a pin needs the 'digest' of a definition, or the definition");
    if (t->definition.p) {
        fl_sha256(t->definition, own);
        if (said.p && memcmp(bytes, own, sizeof own) != 0)
            return fl_apply_refuse(it->a, FL_BAD_PARAMS, it->what, it->name,
                                   "'digest' is not that of its definition");
        memcpy(bytes, own, sizeof own);
    }
    t->digest = (struct fl_str){ bytes, FL_SHA256_BYTES };
    return true;
}

static bool read_tool(struct fl_api *a, json_t *value, size_t at)
{
    static const char *const effects[] = { "read", "write" };
    struct fl_apply_tool *t = &((struct fl_apply *)a->user)->tools[at];
    struct item it;
    if (!open_item(&it, a, "tool", value, at, "name server effects secrets digest definition") ||
        !text(&it, "server", &t->server) || !text(&it, "definition", &t->definition) ||
        !one_of(&it, "effects", effects, 2, "read or write", &t->effects) || !read_digest(&it, t))
        return false;
    t->name = it.name;
    if (!t->server.n || !t->effects)
        return fl_apply_refuse(a, FL_BAD_PARAMS, it.what, it.name,
                               "a pin needs 'server' and 'effects' (read or write)");
    if (!fl_mcp_tool_name_is_valid(t->name))
        return fl_apply_refuse(a, FL_BAD_PARAMS, it.what, it.name, "this is no name of a tool");
    if (!has(&it, "secrets"))
        return true;
    const json_t *secrets = json_object_get(value, "secrets");
    if (!fl_are_pointers(secrets))
        return fl_apply_refuse(a, FL_BAD_PARAMS, it.what, it.name,
                               "'secrets' must be a list of at most 64 JSON pointers like "
                               "\"/token\"");
    t->secrets = fl_json_text(a->arena, secrets);
    return t->secrets.p || fl_apply_no_memory(a);
}

static bool read_channel(struct fl_api *a, json_t *value, size_t at)
{
    struct fl_apply_channel *c = &((struct fl_apply *)a->user)->channels[at];
    const json_t *config = json_object_get(value, "config");
    const json_t *enabled = json_object_get(value, "is_enabled");
    struct item it;
    if (!open_item(&it, a, "channel", value, at, "name kind config disclose is_enabled") ||
        !text(&it, "kind", &c->kind) || !text(&it, "disclose", &c->disclose))
        return false;
    c->name = it.name;
    c->is_enabled = json_is_boolean(enabled) ? json_is_true(enabled) : -1;
    if (!fl_is_server_name(c->name) || fl_str_is(c->name, "inbox"))
        return fl_apply_refuse(a, FL_BAD_PARAMS, it.what, it.name,
                               "a channel's name has 1 to 32 of a-z, 0-9 and hyphens, starts with "
                               "no hyphen, and is not inbox");
    if (c->disclose.p && !fl_str_is(c->disclose, "full") && !fl_str_is(c->disclose, "summary"))
        return fl_apply_refuse(a, FL_BAD_PARAMS, it.what, it.name,
                               "'disclose' must be full or summary");
    if ((has(&it, "config") && !json_is_object(config)) ||
        (has(&it, "is_enabled") && !json_is_boolean(enabled)))
        return fl_apply_refuse(a, FL_BAD_PARAMS, it.what, it.name,
                               "'config' must be an object, 'is_enabled' true or false");
    if (!json_is_object(config))
        return true;
    c->config = fl_json_text(a->arena, config);
    return c->config.p || fl_apply_no_memory(a);
}

static bool read_canary(struct fl_api *a, json_t *value, size_t at)
{
    struct fl_apply_canary *c = &((struct fl_apply *)a->user)->canaries[at];
    struct item it;
    struct fl_err err;
    if (!open_item(&it, a, "canary", value, at, FL_CANARY_MEMBERS))
        return false;
    enum fl_code code = fl_canary_parse(value, a->arena, &c->row, &c->agent, &err);
    return code == FL_OK || fl_apply_refuse(a, code, it.what, it.name, "%s", err.text);
}

static bool read_policy(struct fl_api *a, struct fl_apply *ap)
{
    const json_t *value = json_object_get(a->body, "policy");
    ap->has_policy = value && !json_is_null(value);
    ap->policy = fl_json_str(value);
    if (!ap->has_policy || (ap->policy.n && ap->policy.n <= POLICY_MAX))
        return true;
    fl_api_error(a, FL_BAD_PARAMS, "policy: it must be a text of at most %d bytes", POLICY_MAX);
    return false;
}

static int by_name(const void *x, const void *y)
{
    const struct fl_str *a = x, *b = y;
    size_t n = a->n < b->n ? a->n : b->n;
    int cmp = memcmp(a->p, b->p, n);
    return cmp ? cmp : (a->n > b->n) - (a->n < b->n);
}

static bool are_different(struct fl_api *a, const char *key, const json_t *list)
{
    size_t count = json_array_size(list);
    struct fl_str *names = fl_arena_array(a->arena, count + 1, sizeof *names);
    if (!names)
        return fl_apply_no_memory(a);
    for (size_t i = 0; i < count; i++)
        names[i] = fl_json_get_str(json_array_get(list, i), "name");
    qsort(names, count, sizeof *names, by_name);
    for (size_t i = 1; i < count; i++) {
        if (!fl_str_eq(names[i - 1], names[i]))
            continue;
        fl_api_error(a, FL_BAD_PARAMS, "%s: '%.*s' stands there twice", key,
                     (int)(names[i].n > NAME_SHOWN_MAX ? NAME_SHOWN_MAX : names[i].n), names[i].p);
        return false;
    }
    return true;
}

/* Room for the items of a list, whose members point into the body. */
static bool open_list(struct fl_api *a, const char *key, size_t item_size, bool *ret_has,
                      void **ret_items)
{
    const json_t *list = json_object_get(a->body, key);
    *ret_has = list && !json_is_null(list);
    *ret_items = NULL;
    if (*ret_has && (!json_is_array(list) || json_array_size(list) > LIST_MAX)) {
        fl_api_error(a, FL_BAD_PARAMS, "'%s' must be a list of at most %d", key, LIST_MAX);
        return false;
    }
    *ret_items = fl_arena_array(a->arena, json_array_size(list) + 1, item_size);
    return *ret_items || fl_apply_no_memory(a);
}

static bool read_list(struct fl_api *a, const char *key, size_t *ret_count,
                      bool (*read)(struct fl_api *a, json_t *value, size_t at))
{
    const json_t *list = json_object_get(a->body, key);
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (!read(a, json_array_get(list, i), i))
            return false;
        ++*ret_count;
    }
    return are_different(a, key, list);
}

bool fl_apply_read(struct fl_api *a)
{
    struct fl_apply *ap = FL_ARENA_NEW(a->arena, struct fl_apply);
    void *items;
    if (!ap)
        return fl_apply_no_memory(a);
    a->user = ap;
    if (!a->body) {
        fl_api_error(a, FL_BAD_PARAMS,
                     "the body must be a document: people, groups, agents, "
                     "servers, tools, channels, canaries, policy");
        return false;
    }
#define LIST(key, count, read)                                                                     \
    (open_list(a, #key, sizeof *ap->key, &ap->has_##key, &items) &&                                \
     (ap->key = items, read_list(a, #key, &ap->count, read)))
    return fl_api_flag(a, "dry_run", &ap->is_dry_run) && fl_api_flag(a, "prune", &ap->prunes) &&
           LIST(people, person_count, read_person) && LIST(groups, group_count, read_group) &&
           LIST(agents, agent_count, read_agent) && LIST(servers, server_count, read_server) &&
           LIST(tools, tool_count, read_tool) && LIST(channels, channel_count, read_channel) &&
           LIST(canaries, canary_count, read_canary) && read_policy(a, ap);
#undef LIST
}
