/* Notices and digests as text. Names and texts of others are shown, never taken as they are. */
#include "runtime/notify/mail_notice.h"

#include <stdio.h>

#include "flopinio/base/clock.h"
#include "flopinio/base/json.h"
#include "flopinio/base/utf8.h"
#include "runtime/notify/show.h"

#define SHOWN_MAX     300 /* bytes of a text of others */
#define DIGEST_WINDOW 360 /* minutes behind its time in which a digest is still sent */
#define DAY_MINUTES   1440

static void put(struct fl_buf *out, struct fl_str text)
{
    if (text.n > SHOWN_MAX)
        text.n = fl_utf8_cut(text, SHOWN_MAX);
    fl_show(out, text, FL_SHOW_COMPOSED, NULL);
}

static bool has_item(struct fl_str csv, struct fl_str item)
{
    for (size_t from = 0; csv.n && from <= csv.n;) {
        size_t to = from;
        while (to < csv.n && csv.p[to] != ',')
            to++;
        if (fl_str_eq((struct fl_str){ csv.p + from, to - from }, item))
            return true;
        from = to + 1;
    }
    return false;
}

bool fl_mail_concerns(const struct fl_mail_event *e, const struct fl_mail_reader *r)
{
    struct fl_err err;
    if (!fl_str_has_prefix(e->kind, FL_STR("credential.")))
        return fl_uuid_cmp(&e->subject, &r->person) == 0;
    json_t *leaf = fl_json_parse(e->leaf, &err);
    struct fl_str agent = fl_json_get_str(json_object_get(leaf, "data"), "agent");
    bool is_theirs = agent.n && has_item(r->agents, agent);
    json_decref(leaf);
    return is_theirs;
}

static struct fl_str member(const json_t *data, const char *name)
{
    struct fl_str text = fl_json_get_str(data, name);
    return text.p ? text : FL_STR("(not said)");
}

static void put_linked(struct fl_buf *out, const json_t *data)
{
    fl_buf_puts(out, "An account was linked to you: ");
    put(out, member(data, "kind"));
    fl_buf_puts(out, " ");
    put(out, member(data, "external"));
    fl_buf_puts(out, ", channel ");
    put(out, member(data, "channel"));
    fl_buf_puts(out, ".\nWhat is decided from there counts as yours. If it was not you, have it "
                     "undone at once:\n  flopinio user unlink ");
    put(out, member(data, "person"));
    fl_buf_putc(out, '\n');
}

static void put_credential(struct fl_buf *out, const json_t *data, bool is_new)
{
    struct fl_str why = fl_json_get_str(data, "reason");
    fl_buf_puts(out, is_new ? "A credential was issued for your agent "
                            : "A credential was revoked of your agent ");
    put(out, member(data, "agent"));
    if (fl_json_get_str(data, "by").p) {
        fl_buf_puts(out, ", by ");
        put(out, member(data, "by"));
    }
    if (why.n) {
        fl_buf_puts(out, " (");
        put(out, why);
        fl_buf_putc(out, ')');
    }
    fl_buf_puts(out, is_new ? ".\nWhoever has it can call tools as this agent.\n"
                            : ".\nWhoever had it cannot call tools any more.\n");
}

void fl_mail_notice(struct fl_buf *out, const struct fl_mail_event *e, struct fl_str organization,
                    const char **ret_title)
{
    struct fl_err err;
    json_t *leaf = fl_json_parse(e->leaf, &err);
    const json_t *data = json_object_get(leaf, "data");
    struct fl_str at = fl_json_get_str(leaf, "at");
    *ret_title = "Security notice";
    if (fl_str_is(e->kind, "identity.linked")) {
        *ret_title = "Security notice: an account was linked to you";
        put_linked(out, data);
    } else if (fl_str_is(e->kind, "secret.set")) {
        *ret_title = "Security notice: your passphrase was set";
        fl_buf_puts(out, "Your passphrase was set by ");
        put(out, member(data, "by"));
        fl_buf_puts(out, ", and your tokens ended. If you did not ask for it, tell an "
                         "administrator.\n");
    } else {
        bool is_new = fl_str_is(e->kind, "credential.created");
        *ret_title = is_new ? "Security notice: a credential of your agent was issued"
                            : "Security notice: a credential of your agent was revoked";
        put_credential(out, data, is_new);
    }
    fl_buf_puts(out, "\nOrganization: ");
    put(out, organization);
    fl_buf_puts(out, "\nTime: ");
    put(out, at);
    fl_buf_putc(out, '\n');
    json_decref(leaf);
}

/* ---------------------------------------------------------------- the digest */
bool fl_mail_is_due(struct fl_mail_day *d, int minute, int64_t now_ms, const char *told)
{
    int64_t now = now_ms / 60000;
    char time[FL_TIME_BYTES], day[sizeof d->day];
    if (minute < 0)
        return false;
    int64_t since = ((now - minute) % DAY_MINUTES + DAY_MINUTES) % DAY_MINUTES;
    fl_time_format_s((now - since) * 60000, time);
    snprintf(day, sizeof day, "%.10s", time);
    if (strcmp(day, d->day) != 0) {
        *d = (struct fl_mail_day){ .at_ms = (now - since) * 60000 };
        memcpy(d->day, day, sizeof d->day);
    }
    return since < DIGEST_WINDOW && strcmp(day, told) != 0;
}

bool fl_mail_has_digest(const struct fl_mail_counts *c, enum fl_role role)
{
    return fl_role_may(role, FL_ACTION_READ_APPROVALS) && (c->pending > 0 || c->unknown > 0);
}

static void put_count(struct fl_buf *out, int64_t n, const char *one, const char *many)
{
    if (n > 0)
        fl_buf_printf(out, "%lld %s\n", (long long)n, n == 1 ? one : many);
}

void fl_mail_digest(struct fl_buf *out, const struct fl_mail_counts *c, struct fl_str organization)
{
    fl_buf_puts(out, "In ");
    put(out, organization);
    fl_buf_puts(out, ":\n");
    put_count(out, c->pending, "call waits for a decision", "calls wait for a decision");
    put_count(out, c->mailed, "of them was mailed to you", "of them were mailed to you");
    put_count(out, c->expiring, "of them expires within a day", "of them expire within a day");
    put_count(out, c->unknown, "call whose outcome is unknown waits to be settled",
              "calls whose outcome is unknown wait to be settled");
    fl_buf_puts(out, "\nflopinio approvals list\n");
}
