/* What an app of ours has in Slack: for its manifest, for installing it, and for whoever listens.
 */
#ifndef FLOPINIO_NOTIFY_SLACK_APP_H
#define FLOPINIO_NOTIFY_SLACK_APP_H

/* Scopes of the bot. X(SCOPE) */
#define FL_SLACK_SCOPES(X)                                                                         \
    X("channels:read") /* is a public channel shared or archived? */                               \
    X("chat:write")    /* cards, also into people's own chats */                                   \
    X("commands")                                                                                  \
    X("groups:read") /* the same of a private channel */                                           \
    X("users:read")  /* who pressed: a guest, a stranger, somebody who left? */

/* To find a card of its own whose sending has no known outcome; it works without them, then such a
 * card may stand there twice. X(SCOPE) */
#define FL_SLACK_HISTORY_SCOPES(X)                                                                 \
    X("channels:history")                                                                          \
    X("groups:history")                                                                            \
    X("im:history")

/* What Slack is asked to tell. X(EVENT) */
#define FL_SLACK_EVENTS(X)                                                                         \
    X("app_home_opened")                                                                           \
    X("channel_archive")                                                                           \
    X("channel_deleted")                                                                           \
    X("channel_left")                                                                              \
    X("channel_shared")                                                                            \
    X("channel_unarchive")                                                                         \
    X("channel_unshared")                                                                          \
    X("group_archive")                                                                             \
    X("group_deleted")                                                                             \
    X("group_left")                                                                                \
    X("group_unarchive")                                                                           \
    X("user_change")

#define FL_SLACK_COMMAND  "/flopinio"
#define FL_SLACK_REDIRECT "/oauth/slack" /* where the browser comes back to, behind public_url */

#endif
