/* The review page, /review/ORGANIZATION/CHANNEL: what the links of a mail channel open. Plain HTML
 * without scripts. Looking at a link changes nothing, as mail scanners look at all of them;
 * pressing its button uses it up and signs the browser in, for one person and one approval and a
 * short time. There the whole card is read, page by page, and decided by the same function as
 * everywhere. Loop thread only. */
#ifndef FLOPINIO_CONSOLE_REVIEW_H
#define FLOPINIO_CONSOLE_REVIEW_H

#include "runtime/approval/core.h"
#include "runtime/identity/person.h"
#include "runtime/io/http.h"

struct fl_review_server;
/* `public_url` is copied. */
enum fl_code fl_review_new(struct fl_core *core, struct fl_people *people, const char *public_url,
                           struct fl_review_server **ret, struct fl_err *err) FL_MUST_CHECK;
/* No request is on its way, not of a client either that is gone. */
bool fl_review_is_idle(const struct fl_review_server *server);
/* After fl_pg_free has completed every statement. */
void fl_review_free(struct fl_review_server **server);
/* For the router, path "/review", user a struct fl_review_server. */
extern const struct fl_http_callbacks fl_review_http;

#endif
