/* Audit events and their leaf bytes. */
#include "runtime/audit/event.h"

#include "flopinio/base/clock.h"

static const struct {
    const char *text;
    const char *meaning;
} kinds[] = {
#define X(name, text, meaning) { text, meaning },
    FL_AUDIT_KINDS(X)
#undef X
};

#define LEAF_MAX   (1u << 20)
#define LEAF_USUAL 600 /* bytes; more grows */

static const char *const actors[] = { "system", "agent", "person", "operator" };

const struct fl_uuid fl_audit_installation;

const char *fl_audit_kind_text(enum fl_audit_kind kind)
{
    FL_ASSERT(kind < FL_AUDIT_KIND_COUNT);
    return kinds[kind].text;
}

const char *fl_audit_kind_meaning(enum fl_audit_kind kind)
{
    FL_ASSERT(kind < FL_AUDIT_KIND_COUNT);
    return kinds[kind].meaning;
}

void fl_audit_init(struct fl_audit_event *event, const struct fl_uuid *organization,
                   enum fl_audit_kind kind, enum fl_actor actor, const struct fl_uuid *actor_id,
                   const char *subject, const struct fl_uuid *subject_id)
{
    static const struct fl_uuid none;
    event->kind = kind;
    event->at_ms = fl_real_ms();
    event->count = 0; /* the pairs are filled one by one */
    event->row = (struct fl_audit_row){ .organization = *organization,
                                        .id = fl_uuid_at(event->at_ms),
                                        .kind = fl_audit_kind_text(kind),
                                        .actor_kind = actors[actor],
                                        .actor_id = actor_id ? *actor_id : none,
                                        .subject_kind = subject,
                                        .subject_id = subject_id ? *subject_id : none };
}

void fl_audit_text(struct fl_audit_event *event, const char *key, struct fl_str value)
{
    if (!value.p)
        return;
    FL_ASSERT(event->count < FL_AUDIT_PAIRS);
    event->pairs[event->count].key = key;
    event->pairs[event->count].type = FL_AUDIT_TEXT;
    event->pairs[event->count++].text = value;
}

void fl_audit_z(struct fl_audit_event *event, const char *key, const char *value)
{
    fl_audit_text(event, key, fl_str_of(value));
}

void fl_audit_int(struct fl_audit_event *event, const char *key, int64_t value)
{
    FL_ASSERT(event->count < FL_AUDIT_PAIRS);
    event->pairs[event->count].key = key;
    event->pairs[event->count].type = FL_AUDIT_INT;
    event->pairs[event->count++].number = value;
}

void fl_audit_bool(struct fl_audit_event *event, const char *key, bool value)
{
    fl_audit_int(event, key, value);
    event->pairs[event->count - 1].type = FL_AUDIT_BOOL;
}

void fl_audit_hex(struct fl_audit_event *event, const char *key, const void *bytes, size_t n)
{
    fl_audit_text(event, key, (struct fl_str){ bytes, n });
    if (bytes)
        event->pairs[event->count - 1].type = FL_AUDIT_HEX;
}

void fl_audit_raw(struct fl_audit_event *event, const char *key, struct fl_str canonical_json)
{
    fl_audit_text(event, key, canonical_json);
    if (canonical_json.p)
        event->pairs[event->count - 1].type = FL_AUDIT_RAW;
}

void fl_audit_uuid(struct fl_audit_event *event, const char *key, const struct fl_uuid *id,
                   struct fl_arena *arena)
{
    char *text = id && !fl_uuid_is_zero(id) ? fl_arena_alloc(arena, FL_UUID_TEXT) : NULL;
    if (text)
        fl_audit_z(event, key, fl_uuid_format(id, text));
}

void fl_audit_time(struct fl_audit_event *event, const char *key, int64_t at_utc_ms,
                   struct fl_arena *arena)
{
    char *text = fl_arena_alloc(arena, FL_TIME_BYTES);
    if (text)
        fl_audit_z(event, key, fl_time_format(at_utc_ms, text));
}

/* By insertion: they are few. Keys are ASCII: byte order is UTF-16 order; each stands once. */
static void sort_pairs(struct fl_audit_event *e)
{
    for (int i = 1; i < e->count; i++) {
        __typeof__(e->pairs[0]) pair = e->pairs[i];
        int at = i, order = 1;
        for (; at > 0 && (order = strcmp(e->pairs[at - 1].key, pair.key)) > 0; at--)
            e->pairs[at] = e->pairs[at - 1];
        FL_ASSERT(order != 0);
        e->pairs[at] = pair;
    }
}

static void put_id(struct fl_buf *out, const char *before, const struct fl_uuid *id)
{
    char text[FL_UUID_TEXT];
    fl_buf_puts(out, before);
    fl_buf_put(out, fl_uuid_format(id, text), FL_UUID_TEXT - 1);
    fl_buf_putc(out, '"');
}

static void put_party(struct fl_buf *out, const char *before, const char *kind,
                      const struct fl_uuid *id)
{
    fl_buf_puts(out, before);
    if (!fl_uuid_is_zero(id)) {
        put_id(out, "\"id\":\"", id);
        fl_buf_putc(out, ',');
    }
    fl_buf_puts(out, "\"kind\":\"");
    fl_buf_puts(out, kind);
    fl_buf_puts(out, "\"}");
}

static void put_data(struct fl_buf *out, struct fl_audit_event *e)
{
    sort_pairs(e);
    for (int i = 0; i < e->count; i++) {
        if (i)
            fl_buf_putc(out, ',');
        fl_buf_json_key(out, e->pairs[i].key);
        switch (e->pairs[i].type) {
        case FL_AUDIT_TEXT: fl_buf_json_str(out, e->pairs[i].text); break;
        case FL_AUDIT_INT: fl_buf_i64(out, e->pairs[i].number); break;
        case FL_AUDIT_BOOL: fl_buf_puts(out, e->pairs[i].number ? "true" : "false"); break;
        case FL_AUDIT_RAW: fl_buf_str(out, e->pairs[i].text); break;
        case FL_AUDIT_HEX:
            fl_buf_putc(out, '"');
            for (size_t k = 0; k < e->pairs[i].text.n; k++)
                fl_buf_printf(out, "%02x", (unsigned char)e->pairs[i].text.p[k]);
            fl_buf_putc(out, '"');
            break;
        }
    }
}

enum fl_code fl_audit_seal(struct fl_audit_event *e, struct fl_arena *arena, struct fl_err *err)
{
    char at[FL_TIME_BYTES];
    struct fl_buf out;
    fl_buf_init(&out, LEAF_MAX);
    (void)fl_buf_reserve(&out, LEAF_USUAL);
    put_party(&out, "{\"actor\":{", e->row.actor_kind, &e->row.actor_id);
    fl_buf_puts(&out, ",\"at\":\"");
    fl_buf_puts(&out, fl_time_format(e->at_ms, at));
    fl_buf_puts(&out, "\",\"data\":{");
    put_data(&out, e);
    put_id(&out, "},\"id\":\"", &e->row.id);
    fl_buf_puts(&out, ",\"kind\":\"");
    fl_buf_puts(&out, e->row.kind);
    put_id(&out, "\",\"organization\":\"", &e->row.organization);
    put_party(&out, ",\"subject\":{", e->row.subject_kind, &e->row.subject_id);
    fl_buf_puts(&out, ",\"v\":1}");
    enum fl_code code = fl_buf_code(&out, err);
    if (code == FL_OK) {
        e->row.leaf = fl_arena_str(arena, fl_buf_view(&out));
        if (!e->row.leaf.p)
            code = fl_err_code(err, FL_NOMEM);
    }
    fl_buf_fini(&out);
    return code;
}

void fl_audit_append(struct fl_audit_event *event, struct fl_tx *tx)
{
    if (fl_audit_seal(event, tx->arena, NULL))
        tx->is_nomem = true;
    else
        fl_store_audit_insert(tx, &event->row);
}
