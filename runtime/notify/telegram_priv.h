/* Shared by the files of the Telegram channel: telegram.c the kind and sending, telegram_card.c
 * what a card looks like, telegram_event.c what people do, telegram_poll.c and the webhook. */
#ifndef FLOPINIO_NOTIFY_TELEGRAM_PRIV_H
#define FLOPINIO_NOTIFY_TELEGRAM_PRIV_H

#include "runtime/notify/channel.h"
#include "runtime/notify/many.h"

#define FL_TELEGRAM_TEXT_UNITS   4096 /* UTF-16 units of a message */
#define FL_TELEGRAM_PAGE_UNITS   3600 /* of a page's part of the card */
#define FL_TELEGRAM_ANSWER_CHARS 200  /* of the answer to a button */
#define FL_TELEGRAM_TIMEOUT_MS   15000

enum fl_code fl_telegram_draw(const struct fl_chat_drawing *drawing, struct fl_arena *arena,
                              struct fl_chat_drawn *ret, struct fl_err *err) FL_MUST_CHECK;
enum fl_code fl_telegram_draw_many(const struct fl_chat_drawing *drawings, size_t count,
                                   bool is_short, struct fl_arena *arena, struct fl_chat_drawn *ret,
                                   struct fl_err *err) FL_MUST_CHECK;
/* A text of ours and of shown text as a message's members, without buttons: `head` plain, `list`
 * (p NULL: none) as it is, nothing in it a link. */
void fl_telegram_text(struct fl_buf *out, struct fl_str head, struct fl_str list);

/* One call of the Bot API; zeroed, then started; again after fl_bot_call_fini. */
struct fl_bot_call {
    bool is_card; /* in: it posts a card, which has a row that says so */
    struct fl_op *op;
    struct fl_op http_op;
    struct fl_http_call http;
    struct fl_buf url, body;
    json_t *result;   /* out: with FL_OK; freed by fini */
    int64_t retry_ms; /* out: with FL_TOO_MANY */
    struct fl_channel *channel;
    bool is_post;
};
/* `body` is a JSON object and taken over. Codes as in fl_channel_kind.send_start; FL_CONFLICT:
 * another one takes the events. May be cancelled. */
enum fl_code fl_bot_call_start(struct fl_op *op, struct fl_bot_call *call,
                               struct fl_channel *channel, const char *method, struct fl_buf *body,
                               int64_t timeout_ms) FL_MUST_CHECK;
void fl_bot_call_fini(struct fl_bot_call *call);

/* One update: understood, done, answered. */
struct fl_telegram_update {
    struct fl_flow flow;
    /* ---- inputs, until it is done ---- */
    struct fl_channel *channel;
    const json_t *update;
    /* ---- private ---- */
    struct fl_op *op;
    struct fl_post post;
    struct fl_chat_event event;
    struct fl_bot_call call;
    struct fl_arena *arena;
    struct fl_tx tx;
    struct fl_many *many; /* of a button that decides what is marked */
    struct fl_str query;  /* of a button; p NULL: it was a message */
    bool is_event_open, is_event_failed;
};
/* FL_OK: done with, whatever it was. FL_UNAVAILABLE: it should come again. */
enum fl_code fl_telegram_update_start(struct fl_op *op,
                                      struct fl_telegram_update *update) FL_MUST_CHECK;

enum fl_code fl_telegram_listen_start(struct fl_op *op, struct fl_channel *channel) FL_MUST_CHECK;
bool fl_telegram_is_genuine(const struct fl_channel *channel, const struct fl_http_exchange *ex,
                            struct fl_str body);
enum fl_code fl_telegram_hook_start(struct fl_op *op, struct fl_channel *channel,
                                    struct fl_str body, struct fl_arena *arena,
                                    struct fl_hook_answer *answer) FL_MUST_CHECK;

#endif
