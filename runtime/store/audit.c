/* Table audit_event. */
#include "runtime/store/audit.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/store/sql.h"

/* Rows that one row leads: a page of an actor's rows looks at the ids of as many rows that lead as
 * it has rows. */
#define LED_MAX 15

static struct fl_sql sql_insert = {
    "audit_insert",
    "INSERT INTO audit_event (organization_id, event_id, kind, actor_kind, actor_id, subject_kind, "
    "subject_id, leaf) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    0
};
static struct fl_sql sql_insert_many = {
    "audit_insert_many",
    "INSERT INTO audit_event (organization_id, event_id, actor_id, leaf, kind, actor_kind, "
    "subject_kind, subject_id) SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], "
    "$4::bytea[], $5::text[], $6::text[], $7::text[], $8::uuid[])",
    0
};
/* The same for rows that are alike, as the reads of agents are: what they share is sent once, and a
 * row costs the database a tenth less. Those of an actor stand together, and the first leads the
 * others: it has an entry in the index by actor and names them ($8: how many; -1: it is led). */
static struct fl_sql sql_insert_alike = {
    "audit_insert_alike",
    "INSERT INTO audit_event (organization_id, event_id, kind, actor_kind, actor_id, subject_kind, "
    "leaf, has_lead, led) SELECT o, e, $5, $6, a, $7, l, n < 0, CASE WHEN n > 0 THEN "
    "($2::uuid[])[at + 1 : at + n] END FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], "
    "$4::bytea[], $8::bigint[]) WITH ORDINALITY AS r (o, e, a, l, n, at)",
    0
};
#define SINCE  AT("$4")
#define UNTIL  AT("$5")
#define CURSOR AT_US("$7")
#define IN_US  US("recorded_at")
/* What the filter lets pass; `from` is where the page begins. A row's time is when its transaction
 * began, so that one with an earlier time may still be to come while such a transaction runs:
 * settled rows are older than each of them, and than the moment between a transaction's beginning
 * and its showing. */
#define PASSES(from)                                                                               \
    "organization_id = (SELECT org()) AND ($1::uuid IS NULL OR actor_id = $1) AND ($2::uuid IS "   \
    "NULL OR subject_id = $2) AND ($3::text IS NULL OR starts_with(kind, $3)) AND ($4::bigint = "  \
    "0 OR recorded_at >= " SINCE ") AND ($5::bigint = 0 OR recorded_at < " UNTIL                   \
    ") AND ($6::uuid IS NULL OR " from ") AND ($9::text IS NULL OR actor_kind = $9) AND "          \
    "($10::text IS NULL OR subject_kind = $10) AND (NOT $11::boolean OR recorded_at < (SELECT "    \
    "min(xact_start) - interval '250 milliseconds' FROM pg_stat_activity WHERE datname = "         \
    "current_database())) "
#define BEHIND(order, at, id)    "(" at ", " id ") " order " (" CURSOR ", $6)"
#define EVENTS                   "(SELECT recorded_at, event_id, " IN_US " AS us, kind, leaf FROM audit_event WHERE "
#define IN_ORDER_OF(at, id, dir) " ORDER BY " at " " dir ", " id " " dir " LIMIT $8"
#define LIST(events, dir)                                                                          \
    "SELECT event_id, us, kind, leaf FROM " events ") e" IN_ORDER_OF("recorded_at", "event_id", dir)
#define LIST_ALL(order, dir) LIST(EVENTS PASSES(BEHIND(order, "recorded_at", "event_id")), dir)
/* Of one actor: the times of rows that lead, as many as rows are wanted and that where the page
 * begins; the ids of all rows that lead then and are led; and of those the rows that are wanted. */
#define LEADS                "FROM audit_event WHERE actor_id = $1 AND has_lead IS NOT TRUE AND "
#define TIMES(order, dir)                                                                          \
    "(SELECT DISTINCT recorded_at AS at " LEADS PASSES(                                            \
        "recorded_at " order "= " CURSOR) "ORDER BY at " dir " LIMIT $8::bigint + 1) t"
#define IDS(order, dir)                                                                            \
    "(SELECT at, id FROM " TIMES(order, dir) " CROSS JOIN LATERAL (SELECT event_id || led " LEADS  \
        PASSES("true") "AND recorded_at = at OFFSET 0) l (ids) CROSS JOIN LATERAL unnest(ids) id " \
                       "WHERE $6 IS NULL OR " BEHIND(order, "at", "id")                            \
                           IN_ORDER_OF("at", "id", dir) ") i"
#define LIST_OF_ACTOR(order, dir)                                                                  \
    LIST(IDS(order, dir) " CROSS JOIN LATERAL " EVENTS "organization_id = (SELECT org()) AND "     \
                         "recorded_at = at AND event_id = id OFFSET 0",                            \
         dir)
static struct fl_sql sql_lists[] = {
    { "audit_list", LIST_ALL(">", "ASC"), 0 },
    { "audit_list_newest", LIST_ALL("<", "DESC"), 0 },
    { "audit_list_actor", LIST_OF_ACTOR(">", "ASC"), 0 },
    { "audit_list_actor_newest", LIST_OF_ACTOR("<", "DESC"), 0 },
};
static struct fl_sql sql_count = {
    "audit_count",
    "SELECT coalesce(sum(1 + coalesce(cardinality(led), 0)), 0) FROM audit_event WHERE "
    "organization_id = (SELECT org()) AND actor_id = $1 AND has_lead IS NOT TRUE AND kind = $2 AND "
    "recorded_at >= " AT("$3"),
    0
};

void fl_store_audit_bind(struct fl_tx *tx, struct fl_query *q, const struct fl_audit_row *row)
{
    fl_bind_uuid(tx, q, &row->id);
    fl_bind_z(tx, q, row->kind);
    fl_bind_z(tx, q, row->actor_kind);
    fl_bind_uuid(tx, q, &row->actor_id);
    fl_bind_z(tx, q, row->subject_kind);
    fl_bind_uuid(tx, q, &row->subject_id);
    fl_bind_bytes(tx, q, row->leaf);
}

void fl_store_audit_insert(struct fl_tx *tx, const struct fl_audit_row *row)
{
    struct fl_query *q = fl_tx_add(tx, &sql_insert);
    char text[FL_UUID_TEXT];
    /* As text: the nil id stands for the installation itself and is a value here, not null. */
    fl_bind_z(tx, q, fl_uuid_format(&row->organization, text));
    fl_store_audit_bind(tx, q, row);
}

static void put_id(struct fl_array *array, const struct fl_uuid *id)
{
    fl_array_put(array, fl_uuid_is_zero(id) ? NULL : id->b, sizeof id->b);
}

/* Its words are the program's own, so that the same word is the same pointer (where the linker left
 * two, the rows go the longer way). */
static bool are_alike(const struct fl_audit_row *const *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (rows[i]->kind != rows[0]->kind || rows[i]->actor_kind != rows[0]->actor_kind ||
            rows[i]->subject_kind != rows[0]->subject_kind ||
            !fl_uuid_is_zero(&rows[i]->subject_id))
            return false;
    }
    return true;
}

enum { ORGANIZATION, EVENT, ACTOR, LEAF, KIND, ACTOR_KIND, SUBJECT_KIND, SUBJECT, ARRAYS };

static const enum fl_array_type types[ARRAYS] = {
    [ORGANIZATION] = FL_ARRAY_UUID, [EVENT] = FL_ARRAY_UUID,   [ACTOR] = FL_ARRAY_UUID,
    [LEAF] = FL_ARRAY_BYTES,        [KIND] = FL_ARRAY_TEXT,    [ACTOR_KIND] = FL_ARRAY_TEXT,
    [SUBJECT_KIND] = FL_ARRAY_TEXT, [SUBJECT] = FL_ARRAY_UUID,
};

static void put_row(struct fl_array *arrays, const struct fl_audit_row *row)
{
    fl_array_put(&arrays[ORGANIZATION], row->organization.b, sizeof row->organization.b);
    put_id(&arrays[EVENT], &row->id);
    put_id(&arrays[ACTOR], &row->actor_id);
    fl_array_put(&arrays[LEAF], row->leaf.p, row->leaf.n);
}

static void put_words(struct fl_array *arrays, const struct fl_audit_row *row)
{
    fl_array_put(&arrays[KIND], row->kind, strlen(row->kind));
    fl_array_put(&arrays[ACTOR_KIND], row->actor_kind, strlen(row->actor_kind));
    fl_array_put(&arrays[SUBJECT_KIND], row->subject_kind, strlen(row->subject_kind));
    put_id(&arrays[SUBJECT], &row->subject_id);
}

/* The first `arrays` of these: those that every row has of its own come first. */
static void bind_rows(struct fl_tx *tx, struct fl_query *q, int arrays,
                      const struct fl_audit_row *const *rows, size_t count)
{
    struct fl_array a[ARRAYS];
    size_t leaves = 0;
    for (size_t i = 0; i < count; i++)
        leaves += rows[i]->leaf.n;
    for (int i = 0; i < arrays; i++) {
        fl_array_init(&a[i], types[i]);
        fl_array_reserve(&a[i], count, i == LEAF ? leaves : 16 * count);
    }
    for (size_t i = 0; i < count; i++) {
        put_row(a, rows[i]);
        if (arrays == ARRAYS)
            put_words(a, rows[i]);
    }
    for (int i = 0; i < arrays; i++)
        fl_bind_array(tx, q, &a[i]);
}

static int compare_actors(const void *a, const void *b)
{
    const struct fl_audit_row *x = *(const struct fl_audit_row *const *)a;
    const struct fl_audit_row *y = *(const struct fl_audit_row *const *)b;
    int order = memcmp(&x->actor_id, &y->actor_id, sizeof x->actor_id);
    return order ? order : memcmp(&x->organization, &y->organization, sizeof x->organization);
}

/* Those of an actor together: most often of one, and so already. */
static void sort_by_actor(const struct fl_audit_row **rows, size_t count)
{
    size_t i = 1;
    while (i < count && compare_actors(&rows[i - 1], &rows[i]) <= 0)
        i++;
    if (i < count)
        qsort(rows, count, sizeof *rows, compare_actors);
}

static void bind_leads(struct fl_tx *tx, struct fl_query *q, const struct fl_audit_row *const *rows,
                       size_t count)
{
    struct fl_array led;
    fl_array_init(&led, FL_ARRAY_INT8);
    fl_array_reserve(&led, count, sizeof(int64_t) * count);
    for (size_t lead = 0, next = 0; lead < count; lead = next) {
        for (next = lead + 1; next < count && next - lead <= LED_MAX; next++) {
            if (compare_actors(&rows[lead], &rows[next]) != 0)
                break;
        }
        fl_array_put_int(&led, (int64_t)(next - lead - 1));
        for (size_t i = lead + 1; i < next; i++)
            fl_array_put_int(&led, -1);
    }
    fl_bind_array(tx, q, &led);
}

void fl_store_audit_insert_many(struct fl_tx *tx, const struct fl_audit_row **rows, size_t count)
{
    if (!are_alike(rows, count)) {
        bind_rows(tx, fl_tx_add(tx, &sql_insert_many), ARRAYS, rows, count);
        return;
    }
    struct fl_query *q = fl_tx_add(tx, &sql_insert_alike);
    sort_by_actor(rows, count);
    bind_rows(tx, q, KIND, rows, count);
    fl_bind_z(tx, q, rows[0]->kind);
    fl_bind_z(tx, q, rows[0]->actor_kind);
    fl_bind_z(tx, q, rows[0]->subject_kind);
    bind_leads(tx, q, rows, count);
}

struct fl_query *fl_store_audit_list(struct fl_tx *tx, const struct fl_audit_filter *f)
{
    struct fl_query *q =
        fl_tx_add(tx, &sql_lists[(fl_uuid_is_zero(&f->actor) ? 0 : 2) + f->newest_first]);
    fl_bind_uuid(tx, q, &f->actor);
    fl_bind_uuid(tx, q, &f->subject);
    fl_bind_z(tx, q, f->kind_prefix);
    fl_bind_int(tx, q, f->since_ms);
    fl_bind_int(tx, q, f->until_ms);
    fl_bind_uuid(tx, q, &f->after);
    fl_bind_int(tx, q, f->after_us);
    fl_bind_int(tx, q, f->most);
    fl_bind_z(tx, q, f->actor_kind);
    fl_bind_z(tx, q, f->subject_kind);
    fl_bind_bool(tx, q, f->only_settled);
    return q;
}

struct fl_query *fl_store_audit_count(struct fl_tx *tx, const struct fl_uuid *actor,
                                      const char *kind, int64_t since_ms)
{
    struct fl_query *q = fl_tx_add(tx, &sql_count);
    fl_bind_uuid(tx, q, actor);
    fl_bind_z(tx, q, kind);
    fl_bind_int(tx, q, since_ms);
    return q;
}
