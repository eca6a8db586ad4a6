/* Shared by the files of the Slack channel: slack.c the kind and sending, slack_call.c the Web API,
 * slack_find.c looking for a card, slack_card.c what cards and modals look like, slack_many.c the
 * same of several cards, slack_edit.c the form of a change, slack_read.c what Slack says that
 * people did, slack_who.c who they are, slack_event.c doing it, slack_form.c several in one go,
 * slack_notice.c what Slack tells by itself, slack_home.c and slack_homes.c the home, slack_hook.c
 * requests, slack_listen.c looks after the channel, slack_socket.c Socket Mode. Texts of others
 * stand in plain_text objects only.
 */
#ifndef FLOPINIO_NOTIFY_SLACK_PRIV_H
#define FLOPINIO_NOTIFY_SLACK_PRIV_H

#include "runtime/approval/edit.h"
#include "runtime/approval/look.h"
#include "runtime/crypto/digest.h"
#include "runtime/io/dial.h"
#include "runtime/notify/channel.h"
#include "runtime/notify/facts.h"
#include "runtime/notify/many.h"

#define FL_SLACK_BASE_URL      "https://slack.com/api"
#define FL_SLACK_SECTION_CHARS 2900 /* of a text; Slack takes 3,000 */
#define FL_SLACK_BLOCKS        50   /* of a message */
/* Characters of a message's blocks: Slack refuses more than about 13,200 in all
 * (msg_blocks_too_long), which its pages do not say. */
#define FL_SLACK_MESSAGE_CHARS 10000
#define FL_SLACK_REASON_CHARS  500  /* at most 2,000 bytes */
#define FL_SLACK_SECTIONS_MAX  1500 /* each has at least half of what it may have: .._WHOLE_MAX */
#define FL_SLACK_PAGE_SECTIONS 8    /* of a modal's page: a view holds 250 KB */
#define FL_SLACK_TIMEOUT_MS    15000
#define FL_SLACK_FORM_CODE     "code"            /* the form, its block and its input */
#define FL_SLACK_WHOLE_MAX     ((size_t)2 << 20) /* 200 KB, each byte an escape, and more */

/* ---- the Web API ---- */
/* One call; zeroed, then started; again after fl_slack_call_fini. */
struct fl_slack_call {
    struct fl_op *op;
    struct fl_op http_op;
    struct fl_http_call http;
    struct fl_buf url, body, bearer;
    const char *headers[3];
    json_t *answer;   /* out: with FL_OK, the whole of it (NULL from a response_url) */
    int64_t retry_ms; /* out: with FL_TOO_MANY */
    bool is_plain;    /* the answer is no JSON */
    int timeout_ms;   /* 0: FL_SLACK_TIMEOUT_MS */
};
/* `body` is taken over: a JSON object, or a form where it does not begin with '{'. `secret` names
 * the token; NULL: none is sent. Codes as in fl_channel_kind.send_start. May be cancelled. */
enum fl_code fl_slack_call_start(struct fl_op *op, struct fl_slack_call *call,
                                 const struct fl_channel *channel, const char *secret,
                                 const char *method, struct fl_buf *body) FL_MUST_CHECK;
/* To a response_url, without a token. FL_FORBIDDEN: it is none of Slack's. */
enum fl_code fl_slack_respond_start(struct fl_op *op, struct fl_slack_call *call,
                                    const struct fl_channel *channel, struct fl_str url,
                                    struct fl_buf *body) FL_MUST_CHECK;
void fl_slack_call_fini(struct fl_slack_call *call);
/* What the token may do, with every answer: call.http.header. */
#define FL_SLACK_SCOPES_HEADER "X-OAuth-Scopes"
/* `granted`: scopes with commas between them. */
bool fl_slack_is_granted(struct fl_str granted, const char *scope);

/* ---- where messages stand ---- */
/* "T1/U1" and "D1:ts" (known; p NULL: no message) into what the API takes; false: of another
 * workspace. */
bool fl_slack_locate(const struct fl_channel *channel, struct fl_str place, struct fl_str known,
                     struct fl_str *ret_channel, struct fl_str *ret_ts);
/* The metadata of a card's message. */
#define FL_SLACK_CARD_TYPE   "flopinio_card"
#define FL_SLACK_CARD_MEMBER "card"
enum fl_code fl_slack_find_start(struct fl_op *op, struct fl_chat_find *find) FL_MUST_CHECK;

/* ---- what it looks like ---- */
enum fl_code fl_slack_draw(const struct fl_chat_drawing *drawing, struct fl_arena *arena,
                           struct fl_chat_drawn *ret, struct fl_err *err) FL_MUST_CHECK;
enum fl_code fl_slack_draw_many(const struct fl_chat_drawing *drawings, size_t count, bool is_short,
                                struct fl_arena *arena, struct fl_chat_drawn *ret,
                                struct fl_err *err) FL_MUST_CHECK;
/* `"text":..,"blocks":[..]` of a text of ours and a list, both as they are. */
void fl_slack_text(struct fl_buf *out, struct fl_str head, struct fl_str list);
/* What a modal is about; echoed by Slack with everything that is done in it. */
struct fl_slack_meta {
    struct fl_str button, place, message;
    int page, pages;
    /* of the form for several cards; n 0: it is none */
    struct fl_str shown; /* digest of what stands on its pages, */
    struct fl_str items; /* and the cards, each as a button whose letter is the verdict */
};
bool fl_slack_meta_read(struct fl_str text, struct fl_slack_meta *ret);
/* Views (modals). */
void fl_slack_view_text(struct fl_buf *out, struct fl_str text);
void fl_slack_view_words(struct fl_buf *out, const struct fl_slack_meta *meta, const char *words);
/* Asks for a code of the authenticator, and to type `words` (NULL: no words). */
void fl_slack_view_code(struct fl_buf *out, const struct fl_slack_meta *meta, const char *words);
void fl_slack_view_reason(struct fl_buf *out, const struct fl_slack_meta *meta, bool asks);
/* A page of the whole card, with its buttons; the page is put into its bounds. */
enum fl_code fl_slack_view_card(struct fl_buf *out, const struct fl_chat_drawing *drawing,
                                struct fl_slack_meta *meta, struct fl_arena *arena,
                                struct fl_err *err) FL_MUST_CHECK;
/* The cards of a message with a verdict each, on as many pages as it takes; what is submitted on
 * the last one decides. `why[i]`: this one is not theirs to decide (now), and nothing of it is
 * shown; NULL: it is. Brings `meta` up to date: its page, and back to the first one when something
 * that is shown has changed since the page before. FL_CONFLICT: nothing of it is theirs. */
enum fl_code fl_slack_view_many(struct fl_buf *out, const struct fl_chat_drawing *drawings,
                                const char *const *why, size_t count, struct fl_slack_meta *meta,
                                struct fl_arena *arena, struct fl_err *err) FL_MUST_CHECK;
/* What came of it: the numbers, titles (of those that are still there) and answers. */
void fl_slack_view_ends(struct fl_buf *out, const struct fl_batch *batch,
                        const struct fl_many *many, struct fl_arena *arena);
/* Texts in pieces: what is too long for a section goes on in the next one. */
struct fl_slack_sections {
    struct fl_arena *arena;
    struct fl_str items[FL_SLACK_SECTIONS_MAX];
    size_t count;
    bool is_failed;
};
void fl_slack_put(struct fl_slack_sections *to, struct fl_str text);
void fl_slack_put_block(struct fl_slack_sections *to, const struct fl_card_block *block);
void fl_slack_write_block(struct fl_buf *text, const struct fl_card_block *block);
/* Parts of messages and views; those with an own comma put it behind what stands there. */
void fl_slack_put_begin(struct fl_buf *out, const struct fl_slack_meta *meta);
void fl_slack_put_plain(struct fl_buf *out, struct fl_str text);
void fl_slack_put_section(struct fl_buf *out, struct fl_str text); /* with its comma */
void fl_slack_put_header(struct fl_buf *out, struct fl_str text);  /* the same */
void fl_slack_put_button(struct fl_buf *out, const struct fl_chat_drawing *drawing,
                         enum fl_chat_verb verb, const char *text,
                         const char *more); /* the same; `more`: members of it, as they are */
void fl_slack_separate(struct fl_buf *out); /* that comma */
void fl_slack_put_members(struct fl_buf *out, struct fl_str text); /* of a message, to its blocks */
/* What a locked screen shows. */
struct fl_str fl_slack_push(const struct fl_chat_drawing *drawing, struct fl_arena *arena);
bool fl_slack_is_open(const struct fl_card *card); /* its agent can still be stopped */
#define FL_SLACK_CONFIRM_STOP                                                                      \
    ",\"confirm\":{\"title\":{\"type\":\"plain_text\",\"text\":\"Stop this agent?\"},\"text\":{"   \
    "\"type\":\"plain_text\",\"text\":\"None of its calls run any more until an administrator "    \
    "resumes it.\"},\"confirm\":{\"type\":\"plain_text\",\"text\":\"Stop it\"},\"deny\":{"         \
    "\"type\":\"plain_text\",\"text\":\"No\"}}"
/* The reason behind a one-tap button's value; p NULL: there is none. */
struct fl_str fl_slack_reason(struct fl_str value);

/* ---- what people do ---- */
/* One payload: understood, done, answered. */
struct fl_slack_event {
    struct fl_flow flow;
    /* ---- inputs, until it is done ---- */
    struct fl_channel *channel;
    const json_t *payload; /* of an interaction or a command */
    /* Gives what fl_slack_event_ack left open: once, at the latest when the event is done. May be
     * NULL. `answer` as there, for the call. */
    void (*acknowledge)(struct fl_slack_event *event, struct fl_str answer);
    /* ---- private ---- */
    struct fl_op *op;
    struct fl_post post;
    struct fl_arena *arena;
    struct fl_chat_event event;
    struct fl_slack_call call;
    struct fl_look look;
    struct fl_approval_view view;
    struct fl_slack_meta meta;
    struct fl_edit *edit;
    struct fl_batch *batch;
    struct fl_many *many;
    const json_t *values; /* of a form */
    struct fl_str user, team, trigger, response_url, view_id;
    bool is_event_open, wants_modal, is_in_view, is_view_read;
    bool is_review; /* shows the card; else the modal asks for a reason */
    bool asks;      /* that reason is a question: it may be asked again */
    bool is_edit;   /* the modal asks for other arguments */
    bool is_form;   /* it has several cards with a verdict each */
    bool is_proof;  /* the modal asks for a code */
    struct fl_person_auth *auth;
    struct fl_timer patience; /* until it is acknowledged anyhow */
    bool is_submitted;
    /* of what Slack tells by itself */
    struct fl_tx tx, noting;
    struct fl_query *q;
    fl_next then;
    struct fl_str accounts; /* which are set: a pattern (LIKE) of their ids */
    bool is_disabled;
    struct fl_slack_account *set; /* what they are now, and whose votes went with them */
    size_t set_count;
    struct fl_sleep sleep;
    int tries;
    struct fl_slack_home *home;
    bool is_home;        /* it was opened */
    bool is_again;       /* it is published again: team and user are inputs, payload is NULL, */
    struct fl_str shown; /* and this digest is of what stands there */
    uint8_t drawn[FL_SHA256_BYTES];
    int64_t retry_ms; /* out: Slack did not take it, and says to wait */
};
enum fl_code fl_slack_event_start(struct fl_op *op, struct fl_slack_event *event) FL_MUST_CHECK;
/* Capital letters and digits, as Slack's ids are. */
bool fl_slack_is_id(struct fl_str s);
/* Who, what, where, into the event; false: it is dropped without a word. */
bool fl_slack_event_read(struct fl_slack_event *event);
/* What is answered at once, before anything is done; "" nothing; p NULL: what comes of it is, by
 * event->acknowledge. */
struct fl_str fl_slack_event_ack(const json_t *payload, struct fl_arena *arena);

/* ---- who they are (one loop thread) ---- */
/* Does this come from where the app is installed: the workspace, or all of the enterprise? */
bool fl_slack_is_ours(const struct fl_channel *channel, struct fl_str team,
                      struct fl_str enterprise);
/* It is known where that is. */
bool fl_slack_is_known(const struct fl_channel *channel);
bool fl_slack_is_org_wide(const struct fl_channel *channel);
/* "E1/T1/U1": for good, and unlike anybody else's; "" without memory. */
struct fl_str fl_slack_external(const struct fl_channel *channel, struct fl_arena *arena,
                                struct fl_str team, struct fl_str user);
/* Slack vouched for them within the last half minute. */
bool fl_slack_is_trusted(const struct fl_channel *channel, struct fl_str team, struct fl_str user);
void fl_slack_trust(const struct fl_channel *channel, struct fl_str team, struct fl_str user);
void fl_slack_distrust(const struct fl_channel *channel, struct fl_str team, struct fl_str user);
/* Why this account decides nothing, by Slack's user object; NULL: it may. */
const char *fl_slack_why_not(const struct fl_channel *channel, struct fl_str team, struct fl_str id,
                             const json_t *user);

/* ---- what Slack tells by itself (slack_notice.c) ---- */
/* The first step of doing it, in the event's flow; it ends the flow. */
fl_next fl_slack_notice(struct fl_slack_event *event);
/* Notes that the account which did this decides nothing; then goes on. */
fl_next fl_slack_disable(struct fl_slack_event *event, fl_next then);
/* Is it among the channel's places? */
bool fl_slack_has_place(const struct fl_channel *channel, struct fl_str place);
/* By Slack's channel object: why no card goes there; NULL: it may. */
const char *fl_slack_why_closed(const json_t *channel);
void fl_slack_put_place(struct fl_tx *tx, const struct fl_channel *channel, struct fl_str place,
                        const char *why);

/* ---- doing it (slack_event.c), for the parts below; they end the flow ---- */
fl_next fl_slack_refuse(struct fl_slack_event *event, const char *text);
/* `view` into the modal; it is taken over. */
fl_next fl_slack_show(struct fl_slack_event *event, struct fl_buf *view);

/* ---- several cards in one go (slack_form.c) ---- */
/* The first step of showing the form, or of doing what was submitted on its last page. */
fl_next fl_slack_form(struct fl_slack_event *event);
/* Brings the verdicts on the page that stands there into `meta`. False: no memory. */
bool fl_slack_form_read(struct fl_slack_event *event) FL_MUST_CHECK;
void fl_slack_form_fini(struct fl_slack_event *event);

/* ---- the app's home (slack_home.c) ---- */
/* Who opened it; false: dropped. */
bool fl_slack_home_read(struct fl_slack_event *event, const json_t *what);
/* The first step of publishing it, once Slack vouched for them; it ends the flow. */
fl_next fl_slack_home(struct fl_slack_event *event);
/* The step of publishing why there is nothing for them, instead. */
fl_next fl_slack_home_refuse(struct fl_slack_event *event, const char *why);

/* Those who opened it, when something changed; one for each channel that is listened to. */
struct fl_slack_homes {
    struct fl_flow flow;
    struct fl_channel *channel;
    struct fl_arena *arena;
    struct fl_tx tx;
    struct fl_query *q;
    struct fl_slack_event event;
    struct fl_timer due;
    struct fl_sleep sleep;
    int64_t retry_ms;
    int at, first;
    char stopped_at[128]; /* whose home Slack did not take: the next round begins there */
    bool is_armed, is_running, is_due, is_stopping;
};
void fl_slack_homes_init(struct fl_slack_homes *homes, struct fl_channel *channel);
void fl_slack_homes_changed(struct fl_slack_homes *homes);
/* Then it is idle, a little later. */
void fl_slack_homes_stop(struct fl_slack_homes *homes);
bool fl_slack_homes_is_idle(const struct fl_slack_homes *homes);

/* ---- the form of a change (slack_edit.c) ---- */
/* The inputs, filled with the arguments as they are, or with what `values` has; `trouble` NULL, or
 * what was wrong with that. FL_TOO_LARGE: nothing of it can be changed in a form. */
enum fl_code fl_slack_view_edit(struct fl_buf *out, const struct fl_slack_event *event,
                                const char *trouble, struct fl_err *err) FL_MUST_CHECK;
/* The arguments as the form has them, JSON, and the reason; in the event's arena. FL_BAD_PARAMS:
 * one sentence about an input. */
enum fl_code fl_slack_edit_read(const struct fl_slack_event *event, struct fl_str *ret_arguments,
                                struct fl_str *ret_reason, struct fl_err *err) FL_MUST_CHECK;

/* ---- requests, and looking after ---- */
bool fl_slack_is_genuine(const struct fl_channel *channel, const struct fl_http_exchange *ex,
                         struct fl_str body);
bool fl_slack_hook_first(const struct fl_channel *channel, const struct fl_http_exchange *ex,
                         struct fl_str body, struct fl_arena *arena, struct fl_str *ret_once,
                         struct fl_str *ret_answer);
enum fl_code fl_slack_hook_start(struct fl_op *op, struct fl_channel *channel, struct fl_str body,
                                 struct fl_arena *arena,
                                 struct fl_hook_answer *answer) FL_MUST_CHECK;
enum fl_code fl_slack_listen_start(struct fl_op *op, struct fl_channel *channel) FL_MUST_CHECK;
/* The WebSockets of Socket Mode: one, two while one follows the other. */
struct fl_slack_lines {
    struct fl_channel *channel;
    void (*wake)(struct fl_slack_lines *lines); /* wants_line, or is idle while it stops */
    struct fl_list all, works;
    int failures; /* lines in a row that ended, since one lived for a while */
    bool wants_line, is_stopping;
};
void fl_slack_lines_init(struct fl_slack_lines *lines, struct fl_channel *channel,
                         void (*wake)(struct fl_slack_lines *lines));
enum fl_code fl_slack_lines_open(struct fl_slack_lines *lines, struct fl_str url,
                                 struct fl_err *err) FL_MUST_CHECK;
/* What came is done yet; then it is idle. */
void fl_slack_lines_stop(struct fl_slack_lines *lines);
bool fl_slack_lines_is_idle(const struct fl_slack_lines *lines);
bool fl_slack_is_socket(const struct fl_channel *channel);

#endif
