/* Installing a Slack app by OAuth v2. An administrator begins it (runtime/console/slack.c) and
 * opens the address; Slack sends the browser back here with a code, for which Slack gives a token.
 * What came of it waits sealed in the row until whoever began it takes it: the browser decides
 * nothing. Loop thread only. */
#ifndef FLOPINIO_NOTIFY_SLACK_OAUTH_H
#define FLOPINIO_NOTIFY_SLACK_OAUTH_H

#include "flopinio/base/buf.h"
#include "flopinio/base/json.h"
#include "runtime/io/http.h"

#define FL_SLACK_INSTALL_MS INT64_C(600000) /* to come back, and to take it */

/* Appends the address for the browser. `base_url`: of the Web API, n 0: Slack's own. `has_history`:
 * the scopes for it are asked for too. */
void fl_slack_install_url(struct fl_buf *out, struct fl_str base_url, struct fl_str client_id,
                          struct fl_str redirect_url, struct fl_str state, bool has_history);
/* For the router: path FL_SLACK_REDIRECT, user a struct fl_notify. */
extern const struct fl_http_callbacks fl_slack_oauth_http;

#endif
