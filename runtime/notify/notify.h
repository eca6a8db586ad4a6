/* All channels of the installation, as this worker sees them: which of them it looks after (by a
 * lease each), their senders and listeners, and the address of their webhooks. Loop thread only. */
#ifndef FLOPINIO_NOTIFY_NOTIFY_H
#define FLOPINIO_NOTIFY_NOTIFY_H

#include "runtime/notify/channel.h"

struct fl_notify_config {
    bool may_be_local;      /* chats on this host and in private networks: tests */
    const char *ca_file;    /* NULL: the system's */
    const char *public_url; /* "" none */
    int64_t retention_ms;   /* of arguments in finished cards */
};

struct fl_notify_figures {
    uint64_t sent, failed; /* messages posted or rewritten; attempts that were not taken */
    uint64_t channels;     /* that this worker looks after */
    int64_t unreached;     /* approvals of the installation of which nobody could be told */
};

struct fl_notify;
/* Copies the configuration. */
enum fl_code fl_notify_new(struct fl_core *core, const struct fl_notify_config *config,
                           struct fl_notify **ret, struct fl_err *err) FL_MUST_CHECK;
void fl_notify_start(struct fl_notify *notify);
/* Looks after nothing any more; fl_notify_is_idle says when all of it has ended. */
void fl_notify_stop(struct fl_notify *notify);
bool fl_notify_is_idle(const struct fl_notify *notify);
void fl_notify_free(struct fl_notify **notify);
void fl_notify_retention(struct fl_notify *notify, int64_t retention_ms);
void fl_notify_figures(const struct fl_notify *notify, struct fl_notify_figures *ret);
/* For whoever speaks to a channel without looking after it. */
struct fl_http_client *fl_notify_http(struct fl_notify *notify);
const char *fl_notify_public_url(const struct fl_notify *notify);
bool fl_notify_may_be_local(const struct fl_notify *notify);
/* For the router: path "/hooks", user a struct fl_notify. */
extern const struct fl_http_callbacks fl_notify_hooks;

#endif
