/* What owners, and people of themselves, are alerted to. */
#include "runtime/approval/alert.h"

#include "flopinio/base/arena.h"
#include "flopinio/base/clock.h"
#include "runtime/store/alert.h"

/* The transaction fails with what could not be written for want of memory. */
static void put(struct fl_tx *tx, const char *kind, const char *text, const struct fl_uuid *about)
{
    if (!text)
        tx->is_nomem = true;
    else
        fl_store_alert_owners(tx, kind, fl_str_of(text), about);
}

enum fl_code fl_alert_glass(struct fl_tx *tx, const struct fl_approval *row, struct fl_str by,
                            struct fl_str reason, struct fl_err *err)
{
    char id[FL_UUID_TEXT];
    put(tx, "glass_broken",
        fl_arena_printf(tx->arena,
                        "%.*s broke the glass and approved %.*s for %.*s alone, because: %.*s. "
                        "Somebody else reviews it within 24 h: flopinio approvals review %s",
                        FL_STR_ARG(by), FL_STR_ARG(row->tool), FL_STR_ARG(row->agent),
                        FL_STR_ARG(reason), fl_uuid_format(&row->id, id)),
        &row->id);
    return tx->is_nomem ? fl_err_code(err, FL_NOMEM) : FL_OK;
}

void fl_alert_tampered(struct fl_tx *tx, const struct fl_approval *row)
{
    char id[FL_UUID_TEXT];
    put(tx, "tampered",
        fl_arena_printf(tx->arena,
                        "the stored approval %s (%.*s for %.*s) does not match its digest: it was "
                        "changed behind the runtime's back, and does not run",
                        fl_uuid_format(&row->id, id), FL_STR_ARG(row->tool),
                        FL_STR_ARG(row->agent)),
        &row->id);
}

void fl_alert_away(struct fl_tx *tx, const struct fl_uuid *person, struct fl_str name,
                   struct fl_str delegate, int64_t from_ms, int64_t until_ms, struct fl_str by)
{
    char from[FL_TIME_BYTES], until[FL_TIME_BYTES];
    const char *text = fl_arena_printf(
        tx->arena,
        "%.*s decides for you from %s until %s; it was set by %.*s. If that is not what you want: "
        "flopinio user away %.*s --back --as %.*s, and change your passphrase if it was not you",
        FL_STR_ARG(delegate), fl_time_format_s(from_ms, from), fl_time_format_s(until_ms, until),
        FL_STR_ARG(by), FL_STR_ARG(name), FL_STR_ARG(name));
    if (!text)
        tx->is_nomem = true;
    else
        fl_store_alert_person(tx, FL_ALERT_DELEGATION, fl_str_of(text), person);
}

void fl_alert_canary(struct fl_tx *tx, const struct fl_approval *row, struct fl_str by)
{
    char id[FL_UUID_TEXT];
    put(tx, "canary",
        fl_arena_printf(tx->arena,
                        "%.*s approved a test (%s, %.*s as if for %.*s) that was to be rejected; "
                        "nothing ran",
                        FL_STR_ARG(by), fl_uuid_format(&row->id, id), FL_STR_ARG(row->tool),
                        FL_STR_ARG(row->agent)),
        &row->id);
}
