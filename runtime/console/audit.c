/* Reading the audit: lists with a cursor, and the exact leaf bytes for whoever verifies them
 * elsewhere. Of one organization, or (the operator) of the installation itself. */
#include "flopinio/base/clock.h"
#include "runtime/console/api.h"
#include "runtime/store/organization.h"
#include "runtime/store/person.h"

#define LIST_DEFAULT 100
#define LIST_MAX     1000
#define EXPORT_PAGE  500

struct reading {
    struct fl_audit_filter filter;
    struct fl_str actor, subject; /* names to be found; p NULL: none */
    void (*read)(struct fl_api *a);
};

static void no_memory(struct fl_api *a)
{
    fl_api_error(a, FL_NOMEM, "out of memory");
}

/* ---------------------------------------------------------------- what to list */
static const char *one_of(const char *const *words, size_t count, struct fl_str text)
{
    for (size_t i = 0; i < count; i++) {
        if (fl_str_is(text, words[i]))
            return words[i];
    }
    return NULL;
}

/* An id, one of the kinds, or a name, left in *ret_name. */
static void read_party(struct fl_str text, const char *const *kinds, size_t kind_count,
                       struct fl_uuid *ret_id, const char **ret_kind, struct fl_str *ret_name)
{
    if (!text.n || fl_uuid_parse(text, ret_id))
        return;
    *ret_kind = one_of(kinds, kind_count, text);
    if (!*ret_kind)
        *ret_name = text;
}

static bool read_cursor(struct fl_api *a, struct fl_audit_filter *f)
{
    struct fl_str text = fl_api_query(a, "after");
    long long us;
    const char *dot = text.n ? memchr(text.p, '.', text.n) : NULL;
    size_t n = dot ? (size_t)(dot - text.p) : 0;
    if (!text.n)
        return true;
    if (dot && fl_str_to_i64((struct fl_str){ text.p, n }, &us) &&
        fl_uuid_parse((struct fl_str){ dot + 1, text.n - n - 1 }, &f->after)) {
        f->after_us = us;
        return true;
    }
    fl_api_error(a, FL_BAD_PARAMS, "'after' must be the cursor of an event");
    return false;
}

static bool read_order(struct fl_api *a, struct fl_audit_filter *f)
{
    struct fl_str order = fl_api_query(a, "order"), follow = fl_api_query(a, "follow");
    f->newest_first = fl_str_is(order, "newest");
    f->only_settled = fl_str_is(follow, "true");
    if ((order.n && !f->newest_first && !fl_str_is(order, "oldest")) ||
        (follow.n && !f->only_settled && !fl_str_is(follow, "false")))
        fl_api_error(a, FL_BAD_PARAMS, "'order' is newest or oldest, 'follow' true or false");
    else if (f->newest_first && f->only_settled)
        fl_api_error(a, FL_BAD_PARAMS, "'follow' goes with the oldest first");
    else
        return true;
    return false;
}

/* The start of a kind that there is: one that was mistyped would look like "it never happened". */
static bool read_kind(struct fl_api *a, struct fl_audit_filter *f)
{
    struct fl_str kind = fl_api_query(a, "kind");
    if (!kind.n)
        return true;
    for (int k = 0; k < FL_AUDIT_KIND_COUNT; k++) {
        if (!fl_str_has_prefix(fl_str_of(fl_audit_kind_text((enum fl_audit_kind)k)), kind))
            continue;
        f->kind_prefix = fl_arena_strndup(a->arena, kind.p, kind.n);
        a->is_nomem |= !f->kind_prefix;
        return true;
    }
    fl_api_error(a, FL_BAD_PARAMS, "'kind': no kind of event starts with '%.*s'",
                 (int)(kind.n < 60 ? kind.n : 60), kind.p);
    return false;
}

static bool read_times(struct fl_api *a, struct fl_audit_filter *f)
{
    if (!fl_api_query_since(a, "since", &f->since_ms) ||
        !fl_api_query_since(a, "until", &f->until_ms))
        return false;
    if (!f->until_ms || f->since_ms <= f->until_ms)
        return true;
    fl_api_error(a, FL_BAD_PARAMS, "'until' is before 'since'");
    return false;
}

static struct reading *read_filter(struct fl_api *a, int64_t fallback, int64_t most)
{
    static const char *const actors[] = { "system", "agent", "person", "operator" };
    static const char *const subjects[] = { "approval", "tool",       "agent", "person",
                                            "server",   "group",      "token", "organization",
                                            "policy",   "credential", "stop",  "installation",
                                            "call" };
    struct reading *r = FL_ARENA_NEW(a->arena, struct reading);
    if (!r) {
        no_memory(a);
        return NULL;
    }
    struct fl_audit_filter *f = &r->filter;
    int64_t limit = fl_api_query_int(a, "limit", fallback);
    if (limit < 1 || limit > most) {
        fl_api_error(a, FL_BAD_PARAMS, "'limit' must be 1 to %lld", (long long)most);
        return NULL;
    }
    f->most = (int)limit;
    read_party(fl_api_query(a, "actor"), actors, FL_COUNTOF(actors), &f->actor, &f->actor_kind,
               &r->actor);
    read_party(fl_api_query(a, "subject"), subjects, FL_COUNTOF(subjects), &f->subject,
               &f->subject_kind, &r->subject);
    if (!read_kind(a, f) || !read_times(a, f) || !read_cursor(a, f) || !read_order(a, f))
        return NULL;
    a->user = r;
    return r;
}

/* ---------------------------------------------------------------- names */
static const struct fl_org_person *person_of(const struct fl_org *org, struct fl_str name)
{
    for (size_t i = 0; org && i < org->person_count; i++) {
        if (fl_str_eq(org->people[i].name, name))
            return &org->people[i];
    }
    return NULL;
}

static bool agent_of(const struct fl_query *agents, struct fl_str name, struct fl_uuid *ret)
{
    for (int i = 0; i < fl_rows(agents); i++) {
        if (!fl_str_eq(fl_cell(agents, i, 1), name))
            continue;
        *ret = fl_cell_uuid(agents, i, 0);
        return true;
    }
    return false;
}

/* "alice", "person:alice", "agent:bot" */
static bool find_party(struct fl_api *a, const char *what, struct fl_str text, struct fl_uuid *ret)
{
    bool only_agent = fl_str_has_prefix(text, FL_STR("agent:"));
    bool only_person = fl_str_has_prefix(text, FL_STR("person:"));
    size_t skip = only_agent ? 6 : only_person ? 7 : 0;
    if (!text.p)
        return true;
    struct fl_str name = { text.p + skip, text.n - skip };
    const struct fl_org_person *person = only_agent ? NULL : person_of(a->org, name);
    bool is_agent = !only_person && agent_of(a->q[0], name, ret);
    if (person && is_agent) {
        fl_api_error(a, FL_BAD_PARAMS,
                     "'%s': a person and an agent have that name; say person:NAME or agent:NAME",
                     what);
        return false;
    }
    if (person)
        *ret = person->id;
    if (person || is_agent)
        return true;
    fl_api_error(a, FL_NOT_FOUND, "'%s': there is no person or agent of that name", what);
    return false;
}

static void on_agents(struct fl_api *a)
{
    struct reading *r = a->user;
    if (find_party(a, "actor", r->actor, &r->filter.actor) &&
        find_party(a, "subject", r->subject, &r->filter.subject))
        r->read(a);
}

static void resolve(struct fl_api *a, void (*read)(struct fl_api *a))
{
    struct reading *r = a->user;
    r->read = read;
    if (!r->actor.p && !r->subject.p) {
        read(a);
        return;
    }
    a->q[0] = fl_store_agents(fl_api_tx(a));
    fl_api_submit(a, false, on_agents);
}

/* ---------------------------------------------------------------- the list */
static const char *meaning_of(struct fl_str kind)
{
    for (int k = 0; k < FL_AUDIT_KIND_COUNT; k++) {
        if (fl_str_is(kind, fl_audit_kind_text((enum fl_audit_kind)k)))
            return fl_audit_kind_meaning((enum fl_audit_kind)k);
    }
    return "written by another version of this program";
}

/* The name of who did it, as far as it is known here: of a person as they are called now, of an
 * agent as the event has it. */
static struct fl_str name_of(const struct fl_api *a, const json_t *leaf)
{
    const json_t *actor = json_object_get(leaf, "actor");
    struct fl_str kind = fl_json_get_str(actor, "kind");
    struct fl_uuid id;
    if (fl_str_is(kind, "agent"))
        return fl_json_get_str(json_object_get(leaf, "data"), "agent");
    if (!fl_str_is(kind, "person") || !a->org || !fl_uuid_parse(fl_json_get_str(actor, "id"), &id))
        return (struct fl_str){ NULL, 0 };
    const struct fl_org_person *person = fl_org_person(a->org, &id);
    return person ? person->name : (struct fl_str){ NULL, 0 };
}

static void put_by(struct fl_buf *out, const struct fl_api *a, struct fl_str text)
{
    struct fl_err err;
    json_t *leaf = fl_json_parse(text, &err);
    struct fl_str name = name_of(a, leaf);
    fl_buf_puts(out, ",\"by\":");
    if (name.n)
        fl_buf_json_str(out, name);
    else
        fl_buf_puts(out, "null");
    json_decref(leaf);
}

static void put_event(struct fl_buf *out, struct fl_api *a, int row)
{
    char at[FL_TIME_BYTES], id[FL_UUID_TEXT];
    const struct fl_query *q = a->q[0];
    struct fl_uuid event = fl_cell_uuid(q, row, 0);
    int64_t us = fl_cell_int(q, row, 1);
    fl_buf_printf(out, "{\"cursor\":\"%lld.%s\",\"at\":\"%s\",\"kind\":", (long long)us,
                  fl_uuid_format(&event, id), fl_time_format(us / 1000, at));
    fl_buf_json_str(out, fl_cell(q, row, 2));
    fl_buf_puts(out, ",\"meaning\":");
    fl_buf_json_str(out, fl_str_of(meaning_of(fl_cell(q, row, 2))));
    struct fl_str leaf = fl_cell_bytes(q, a->arena, row, 3);
    put_by(out, a, leaf);
    fl_buf_puts(out, ",\"leaf\":");
    fl_buf_str(out, leaf);
    fl_buf_putc(out, '}');
}

static void on_listed(struct fl_api *a)
{
    struct fl_buf out = FL_BUF_INIT;
    fl_buf_puts(&out, "{\"items\":[");
    for (int i = 0; i < fl_rows(a->q[0]); i++) {
        if (i)
            fl_buf_putc(&out, ',');
        put_event(&out, a, i);
    }
    fl_buf_puts(&out, "]}");
    fl_api_ok(a, &out);
}

static void list(struct fl_api *a)
{
    const struct reading *r = a->user;
    a->q[0] = fl_store_audit_list(fl_api_tx(a), &r->filter);
    fl_api_submit(a, false, on_listed);
}

static void start_list(struct fl_api *a)
{
    if (read_filter(a, LIST_DEFAULT, LIST_MAX))
        resolve(a, list);
}

/* ---------------------------------------------------------------- the export */
static void export_page(struct fl_api *a);

static void on_page(struct fl_api *a)
{
    struct reading *r = a->user;
    struct fl_arena *arena = fl_arena_new(0); /* of this page: an export may be long */
    struct fl_buf out = FL_BUF_INIT;
    const struct fl_query *q = a->q[0];
    int count = fl_rows(q);
    if (!arena) {
        no_memory(a);
        return;
    }
    for (int i = 0; i < count; i++) {
        fl_buf_str(&out, fl_cell_bytes(q, arena, i, 3));
        fl_buf_putc(&out, '\n');
    }
    if (count) {
        r->filter.after = fl_cell_uuid(q, count - 1, 0);
        r->filter.after_us = fl_cell_int(q, count - 1, 1);
    }
    /* Not for ever: what happens meanwhile is for the next one. */
    if (!r->filter.until_ms)
        r->filter.until_ms = fl_cell_int(a->q[1], 0, 0) + 1;
    if (out.is_failed)
        no_memory(a);
    else
        fl_api_stream(a, "application/x-ndjson", fl_buf_view(&out),
                      count < EXPORT_PAGE ? fl_api_stream_end : export_page);
    fl_buf_fini(&out);
    fl_arena_free(&arena);
}

static void export_page(struct fl_api *a)
{
    const struct reading *r = a->user;
    struct fl_tx *tx = fl_api_tx(a);
    a->q[0] = fl_store_audit_list(tx, &r->filter);
    a->q[1] = fl_store_clock(tx);
    fl_api_submit(a, false, on_page);
}

static void start_export(struct fl_api *a)
{
    struct reading *r = read_filter(a, EXPORT_PAGE, EXPORT_PAGE);
    if (!r)
        return;
    if (r->filter.newest_first) {
        fl_api_error(a, FL_BAD_PARAMS, "an export is in the order in which it happened");
        return;
    }
    r->filter.most = EXPORT_PAGE;
    resolve(a, export_page);
}

/* ---------------------------------------------------------------- of the installation itself */
static void of_installation(struct fl_api *a, void (*start)(struct fl_api *a))
{
    a->organization_id = fl_audit_installation;
    a->has_organization = true;
    start(a);
}

static void start_installation_list(struct fl_api *a)
{
    of_installation(a, start_list);
}

static void start_installation_export(struct fl_api *a)
{
    of_installation(a, start_export);
}

#define OF_EXPORT "since until kind actor subject after order follow"
#define OF_LIST   OF_EXPORT " limit"

const struct fl_api_route fl_api_audit[] = {
    { FL_HTTP_GET, "/orgs/{org}/audit", FL_NEED_ROLE, FL_ACTION_READ_AUDIT, start_list, OF_LIST },
    { FL_HTTP_GET, "/orgs/{org}/audit/export", FL_NEED_ROLE, FL_ACTION_READ_AUDIT, start_export,
      OF_EXPORT },
    { FL_HTTP_GET, "/audit", FL_NEED_OPERATOR, FL_ACTION_READ_AUDIT, start_installation_list,
      OF_LIST },
    { FL_HTTP_GET, "/audit/export", FL_NEED_OPERATOR, FL_ACTION_READ_AUDIT,
      start_installation_export, OF_EXPORT },
    { .pattern = NULL }
};
