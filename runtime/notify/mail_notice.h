/* What mails say that are about no card: security notices, made from events of the audit, and the
 * daily digest. Pure. */
#ifndef FLOPINIO_NOTIFY_MAIL_NOTICE_H
#define FLOPINIO_NOTIFY_MAIL_NOTICE_H

#include "flopinio/base/buf.h"
#include "flopinio/base/id.h"
#include "policy/role.h"

/* Somebody with a linked address. */
struct fl_mail_reader {
    struct fl_uuid person;
    struct fl_str address, name;
    enum fl_role role;
    struct fl_str agents; /* names of those that they own, joined with commas */
};
/* Of the audit: what happened, and to whom. */
struct fl_mail_event {
    struct fl_str kind, leaf;
    struct fl_uuid subject;
};

/* Is this event this reader's business? */
bool fl_mail_concerns(const struct fl_mail_event *event, const struct fl_mail_reader *reader);
/* Appends what it says; *ret_title is a constant. */
void fl_mail_notice(struct fl_buf *out, const struct fl_mail_event *event,
                    struct fl_str organization, const char **ret_title);

struct fl_mail_counts {
    int64_t pending, mailed, unknown, expiring;
};
/* A day's digest, and how far it went. */
struct fl_mail_day {
    int64_t at_ms;       /* its time */
    char day[16];        /* of its time: one of 23:30 may be sent after midnight */
    struct fl_uuid done; /* the last of the people, in the order of their ids, who is done with */
};
/* Is the digest of this minute of the day (-1: there is none) due, and not the one that was `told`?
 * A new day begins with the first of them, however far the one before went. */
bool fl_mail_is_due(struct fl_mail_day *day, int minute, int64_t now_ms, const char *told);
bool fl_mail_has_digest(const struct fl_mail_counts *counts, enum fl_role role);
void fl_mail_digest(struct fl_buf *out, const struct fl_mail_counts *counts,
                    struct fl_str organization);

#endif
