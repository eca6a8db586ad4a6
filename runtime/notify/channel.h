/* Channels: where cards go beside the inbox, and where decisions come from.
 *
 *   outbox row (store/outbox.h) -> sender.c: which cards, where -> kind->draw: this channel's bytes
 *   -> kind->send_start: posted, or written over the message that stands there
 *   kind->listen_start, or a webhook -> struct fl_chat_event: (who, card, verb, evidence) -> chat.c
 *   -> the one deciding function (approval/decide.h), which reads authority in its transaction
 *
 * A kind of channel (telegram.c) fills a struct fl_channel_kind; it knows the other side's bytes
 * and limits, and nothing of approvals, people or policy. One worker looks after a channel at a
 * time (notify.c, by a lease): only it posts and edits; events may come to any worker. Loop thread
 * only. */
#ifndef FLOPINIO_NOTIFY_CHANNEL_H
#define FLOPINIO_NOTIFY_CHANNEL_H

#include "flopinio/base/flow.h"
#include "flopinio/base/json.h"
#include "runtime/approval/core.h"
#include "runtime/io/http.h"
#include "runtime/io/http_client.h"
#include "runtime/notify/card.h"

struct fl_channel_kind;
struct fl_person_auth;

/* Messages that were posted, the newest of a channel; places and messages as numbers. */
#define FL_CHANNEL_POSTED  64
/* A test's cards, which whoever is asked for it posts itself, have all been posted by then. */
#define FL_CHANNEL_TEST_MS INT64_C(600000)
struct fl_channel_posted {
    int64_t place[FL_CHANNEL_POSTED], message[FL_CHANNEL_POSTED];
    unsigned count;     /* of all; they take turns in the arrays */
    unsigned under_way; /* are being posted */
    int64_t since_ms;   /* the first of `count`, by fl_mono_ms */
};

/* One channel as its row says, opened. Made by fl_channel_read, given back by fl_channel_fini. */
struct fl_channel {
    struct fl_core *core;
    struct fl_http_client *http;
    const struct fl_channel_kind *kind;
    struct fl_uuid organization, id;
    struct fl_arena *arena; /* owns the texts */
    struct fl_str name, organization_name;
    struct fl_str public_url; /* how the outside reaches this installation; n 0: it does not */
    json_t *config, *secret, *facts;
    enum fl_disclose disclose;
    int64_t cursor, revision, paused_until_ms;
    int failures;
    bool is_enabled;
    bool has_stopped; /* set by whoever looks after it: nothing new is begun */
    /* Something changed of what the channel is told; NULL: its kind wants to hear nothing. */
    void (*on_changed)(struct fl_channel *channel);
    void *own;                       /* of the kind, while it listens */
    struct fl_channel_posted posted; /* of kinds with `stray` */
};

/* Fills `ret`, whose core, http, organization, id, organization_name and public_url the caller has
 * set, from a row of fl_store_channel_get. FL_NOT_FOUND: no row; FL_BAD_KEY; FL_NOMEM. */
enum fl_code fl_channel_read(struct fl_channel *ret, const struct fl_query *row,
                             struct fl_err *err) FL_MUST_CHECK;
void fl_channel_fini(struct fl_channel *channel);
/* A text of its secrets or its configuration; p NULL: there is none. */
struct fl_str fl_channel_secret(const struct fl_channel *channel, const char *name);
struct fl_str fl_channel_config(const struct fl_channel *channel, const char *name);
/* Seals the secret of a channel for its row, into the arena; `id` may be that of its install. */
enum fl_code fl_channel_seal(const struct fl_keyring *keys, const struct fl_uuid *organization,
                             const struct fl_uuid *id, const json_t *secret, struct fl_arena *arena,
                             struct fl_str *ret, struct fl_err *err) FL_MUST_CHECK;
/* Opens it again: a new reference. FL_BAD_KEY, FL_NOMEM. */
enum fl_code fl_channel_unseal(const struct fl_keyring *keys, const struct fl_uuid *organization,
                               const struct fl_uuid *id, struct fl_str sealed, json_t **ret,
                               struct fl_err *err) FL_MUST_CHECK;
/* May links to `url` (n 0: there is none) be in what this kind of channel sends? Those of mails
 * sign people in: with TLS, or on this host. FL_BAD_PARAMS. */
enum fl_code fl_channel_check_public_url(const struct fl_channel_kind *kind, struct fl_str url,
                                         struct fl_err *err) FL_MUST_CHECK;
/* Do both configurations (NULL: none) name the same servers? Those are given the channel's secrets,
 * and what they say counts as said by the people who are linked. */
bool fl_channel_same_servers(const json_t *config, const json_t *other);
/* Calls a minute that get cards of their own there. */
#define FL_CARDS_A_MINUTE     30
#define FL_CARDS_A_MINUTE_MAX 10000
int fl_channel_rate(const struct fl_channel *channel);
/* For the kinds' check: the setting 'cards_per_minute'. */
enum fl_code fl_channel_check_rate(const json_t *config, struct fl_err *err) FL_MUST_CHECK;
/* NULL: there is no such kind. */
const struct fl_channel_kind *fl_channel_kind(struct fl_str name);

/* ---- drawing and sending ---- */
struct fl_chat_key;
struct fl_chat_drawing {
    const struct fl_card *card; /* NULL: only `notice` */
    struct fl_str notice;       /* a text of ours instead of a card, with the buttons of a test */
    struct fl_str list;         /* lines beneath the notice, with names of others; n 0: none */
    const struct fl_chat_key *keys; /* instead of a test's; with `binding` */
    size_t key_count;
    struct fl_uuid card_id;    /* goes into the buttons, */
    struct fl_str binding;     /* with the first bytes of this (FL_CHAT_BINDING_BYTES) */
    struct fl_str agent, tool; /* for "Stop ...", and what a grant is for */
    struct fl_str note;        /* a sentence of ours at the end; n 0: none */
    int page;                  /* that was asked for */
    bool is_read;              /* the last page was shown before */
    bool asks_stop;            /* "stop the agent?" with yes and no */
    bool is_typed;             /* approving takes typing words */
    bool may_withdraw;         /* a vote can be taken back there */
    bool is_marking;           /* of several: the keys mark; `mark` is what each is marked with */
    char mark;                 /* 'a', 'r', or 0: none */
    bool is_proved;            /* approving takes a second factor, and can be proved there */
    bool may_grant;            /* a grant for such calls is offered */
    bool asks_grant;           /* "let such calls run?" with yes and no */
    bool is_erased;            /* arguments left it: show the digest of what it was about */
    bool is_stray;             /* `notice` without buttons: an older copy of a card, an alert */
};
struct fl_chat_drawn {
    struct fl_str bytes; /* what is sent, but for where; in the arena */
    struct fl_str after; /* what a kind says once beneath a card that is over; p NULL: nothing */
    struct fl_str key;   /* what must change for it to be sent again; p NULL: the bytes */
    bool is_last_page;
};

struct fl_chat_send {
    /* ---- inputs; texts live until it is done ---- */
    struct fl_channel *channel;
    struct fl_arena *arena;
    struct fl_str place, message; /* message p NULL: a new one */
    struct fl_str beneath;        /* of a new one: the message that it answers; p NULL: none */
    struct fl_str bytes, after;   /* of a drawing */
    struct fl_str key;            /* as drawn */
    struct fl_uuid card;          /* zero: a test */
    bool is_copy; /* over a message that is no card any more: it is not found as one again */
    /* ---- outputs ---- */
    struct fl_str posted; /* the message's id; in the arena */
    int64_t retry_ms;     /* with FL_TOO_MANY */
    /* ---- the kind's own ---- */
    struct fl_op *op;
    void *own;
};

/* Which messages of ours are this card? Asked when it was sent and nobody knows what came of it;
 * started again with what it found, it goes on where it stopped. */
#define FL_CHAT_COPIES        4
#define FL_CHAT_MESSAGE_BYTES 80
struct fl_chat_find {
    /* ---- inputs; texts live until it is done ---- */
    const struct fl_channel *channel;
    struct fl_arena *arena;
    struct fl_str place;
    struct fl_str near; /* a message that stands there; p NULL: none is known */
    struct fl_uuid card;
    int64_t from_ms, to_ms; /* it was sent between these, by the clock of the database */
    int most;               /* so often */
    /* ---- outputs, the newest first; and where it stopped ---- */
    char found[FL_CHAT_COPIES][FL_CHAT_MESSAGE_BYTES];
    int count, pages;
    char before[40];
    int64_t retry_ms; /* with FL_TOO_MANY */
    /* ---- the kind's own ---- */
    struct fl_op *op;
    void *own;
};

/* ---- what comes back ---- */
/* X(NAME, letter in a button): append only, old buttons keep their meaning. '-' is not a button's.
 */
#define FL_CHAT_VERBS(X)                                                                           \
    X(NONE, '-')    /* nothing that is understood */                                               \
    X(APPROVE, 'a') /* of the card */                                                              \
    X(REJECT, 'r')                                                                                 \
    X(WITHDRAW, 'w')                                                                               \
    X(WHY, 'y')  /* reject, and asked why */                                                       \
    X(NEXT, 'n') /* the card's next page */                                                        \
    X(BACK, 'b')                                                                                   \
    X(STOP_ASK, 's') /* stop its agent? */                                                         \
    X(STOP, 'S')                                                                                   \
    X(STOP_NOT, 'N')                                                                               \
    X(TEST, 't')       /* of a test card */                                                        \
    X(REPLY, '-')      /* `text` answers the message `message` */                                  \
    X(LINK, '-')       /* `text` is a one-time code */                                             \
    X(PENDING, '-')    /* what waits? */                                                           \
    X(STOP_NAMED, '-') /* stop the agent `text` */                                                 \
    X(HELP, '-')                                                                                   \
    X(REVIEW, 'v')    /* show the whole card to whoever may decide it */                           \
    X(ASK, 'q')       /* as WHY, and the agent may ask again */                                    \
    X(EDIT, 'e')      /* change its arguments: a form */                                           \
    X(GRANT_ASK, 'g') /* let calls like this one run, for a while? */                              \
    X(GRANT, 'G')                                                                                  \
    X(GRANT_NOT, 'm')                                                                              \
    X(CALL, 'c')     /* of a digest, as those below: show cards of this agent */                   \
    X(HALT_ASK, 'h') /* stop this agent? */                                                        \
    X(HALT, 'H')                                                                                   \
    X(HALT_NOT, 'M')                                                                               \
    X(TYPED, 'T')     /* approve, once the words were typed */                                     \
    X(FORM, 'f')      /* of a host: decide the cards of its message in a form */                   \
    X(MARK_OPEN, 'd') /* of a host: its keys mark from now on, and decide nothing, */              \
    X(MARK_SHUT, 'l') /* or no longer */                                                           \
    X(MARK_APPROVE, 'x')                                                                           \
    X(MARK_REJECT, 'X')                                                                            \
    X(MARK_NOT, 'u')                                                                               \
    X(MARKED, 'D') /* decide what is marked (many.h) */                                            \
    X(PROVE, 'p')  /* approve, once the second factor was proved */

enum fl_chat_verb {
#define X(name, letter) FL_CHAT_##name,
    FL_CHAT_VERBS(X)
#undef X
        FL_CHAT_VERB_COUNT
};

/* What a card offers: nothing is for good from a chat. */
#define FL_CHAT_GRANT_MS    INT64_C(3600000)
#define FL_CHAT_GRANT_USES  5
#define FL_CHAT_GRANT_OFFER "Allow for 1 h / 5 uses"
#define FL_CHAT_GRANT_LEAD  "For 1 h, at most 5 times, calls of "
#define FL_CHAT_GRANT_END                                                                          \
    " with exactly these arguments run without asking, by your standing approval. Other "          \
    "arguments ask."

/* Whose it is the button does not know: whoever presses it takes back their own. */
#define FL_CHAT_TAKE_BACK "Take my vote back"

/* A button that is not a card's: of an agent, on a digest. */
struct fl_chat_key {
    enum fl_chat_verb verb;
    struct fl_uuid id; /* in the place of the card's */
    const char *text;
    bool ends_row;
};

#define FL_CHAT_BINDING_BYTES 9
/* "a" + 22 + 12 characters: verb, card, first bytes of the binding digest. */
#define FL_CHAT_BUTTON_CHARS  35
void fl_chat_button(enum fl_chat_verb verb, const struct fl_uuid *card, struct fl_str binding,
                    char out[FL_CHAT_BUTTON_CHARS + 1]);

/* A place that is nobody's chat: a list of what waits, whose buttons have an approval's id. */
#define FL_CHAT_HOME "home"

enum fl_chat_wrong { FL_CHAT_WRONG_NOTHING, FL_CHAT_WRONG_CODE, FL_CHAT_WRONG_WORDS };

/* One thing that somebody did. Who did it is what the other side vouches for (an id for good, never
 * a name); everything else is untrusted and held against the rows. */
struct fl_chat_event {
    struct fl_flow flow;
    /* ---- inputs; texts live until it is done ---- */
    struct fl_channel *channel;
    enum fl_chat_verb verb;
    struct fl_str external, display; /* id; what they are called there */
    struct fl_str place, message;    /* where it was done; of REPLY: the message replied to */
    bool is_private;                 /* nobody else reads it there */
    struct fl_str text;              /* also the reason of REJECT, if it came along */
    struct fl_str typed, code; /* with APPROVE, if they came along; code: of their authenticator */
    bool may_ask_again;        /* with REJECT */
    bool has_read;             /* the kind has shown them the last page, and vouches for it */
    struct fl_uuid card;
    uint8_t binding[FL_CHAT_BINDING_BYTES];
    /* ---- outputs ---- */
    char answer[FL_ERR_TEXT_BYTES]; /* for whoever did it; "" none */
    struct fl_str list;             /* a longer answer, lines of it; p NULL: none */
    bool is_alert;                  /* the answer is a refusal, or matters */
    const char *words;              /* with wants_reason: these are to be typed; NULL: a reason */
    bool wants_reason;              /* ask for it, and tell fl_store_chat_prompt_put */
    enum fl_chat_wrong wrong;       /* what came along was wrong: the answer says it, ask again */
    bool is_stray;                  /* the message is not the card's: an older copy of it */
    struct fl_arena *arena;         /* of the outputs; freed by fl_chat_event_fini */
    /* ---- private ---- */
    struct fl_op *op;
    struct fl_tx tx;
    struct fl_query *q_person, *q_card, *q_prompt, *q_people, *q_list, *q_link, *q_digest;
    struct fl_uuid person, approval, agent_id, digest;
    struct fl_str person_name, agent;
    struct fl_decide *decide;
    struct fl_person_auth *auth;
    struct fl_stop_set *stop;
    struct fl_grant_make *grant;
    struct fl_look *look;
    struct fl_post post;
    const char *posted; /* the place's message by the row */
    struct fl_sleep sleep;
    int page, looks;
    bool is_read, asks_stop;
    bool is_turning; /* another page than the row's stands there still */
};
/* Reads a button into verb, card and binding; false: it is none of ours. */
bool fl_chat_button_read(struct fl_str data, struct fl_chat_event *event);
/* Always completes with FL_OK and an answer, but FL_UNAVAILABLE: nothing was recorded, the event
 * should come again. */
enum fl_code fl_chat_event_start(struct fl_op *op, struct fl_chat_event *event) FL_MUST_CHECK;
void fl_chat_event_fini(struct fl_chat_event *event);

/* ---- what a kind of channel is ---- */
struct fl_hook_answer {
    struct fl_str text; /* lives until it is given, or the request is done */
    void (*give)(struct fl_hook_answer *answer); /* once or not at all */
};
struct fl_channel_kind {
    const char *name;        /* "telegram": kind of the row, and of identities */
    const char *via;         /* in votes and the audit */
    size_t whole_max;        /* bytes of the longest card text that is shown whole, over pages */
    const char *how_to_link; /* for whoever is not linked: where the code goes */
    const char *help;
    bool can_prove; /* a second factor can be given there, seen by nobody else and kept nowhere */
    bool is_mail;   /* what was sent stays as it is: later ones answer it. Cards have links, not
                     * buttons; whoever is linked opened a link that was mailed to the address */
    /* Would this work? `secret` NULL: it is not known yet. FL_BAD_PARAMS with one sentence in the
     * administrator's terms. */
    enum fl_code (*check)(const json_t *config, const json_t *secret, bool may_be_local,
                          struct fl_err *err);
    /* A group's places where every card goes; 0: to each person's own, if they may vote. `at`
     * counts up; false: no more. */
    bool (*place)(const struct fl_channel *channel, size_t at, struct fl_str *ret);
    /* Pure. FL_NOMEM. */
    enum fl_code (*draw)(const struct fl_chat_drawing *drawing, struct fl_arena *arena,
                         struct fl_chat_drawn *ret, struct fl_err *err);
    /* Several cards in one message, each whole with its own buttons. `is_short`: titles and states
     * only of what does not wait any more. FL_TOO_LARGE, FL_NOMEM. */
    enum fl_code (*draw_many)(const struct fl_chat_drawing *drawings, size_t count, bool is_short,
                              struct fl_arena *arena, struct fl_chat_drawn *ret,
                              struct fl_err *err);
    /* FL_TOO_MANY: later (retry_ms). FL_NOT_FOUND: the place or message is gone. FL_FORBIDDEN: not
     * there. FL_CONFLICT: that place does not take it now; others do. FL_UNAUTHENTICATED: the
     * secret is wrong. FL_AMBIGUOUS, FL_TIMEOUT: it may have been posted. FL_UNAVAILABLE, FL_IO,
     * FL_CONFIG: nothing was posted. */
    enum fl_code (*send_start)(struct fl_op *op, struct fl_chat_send *send);
    /* A send's answer was lost, so that it was sent again: which message may be the first copy?
     * `at` counts up; false: no more; p NULL: not this one. NULL: it cannot be found, and says so
     * when it is pressed. */
    bool (*stray)(const struct fl_channel *channel, struct fl_str place, struct fl_str posted,
                  int at, struct fl_arena *arena, struct fl_str *ret);
    /* The same, by looking: FL_OK: those are all. FL_TOO_MANY: go on later (retry_ms). FL_CONFLICT:
     * it cannot be said (no chat is known yet, too much stands there). FL_UNAUTHENTICATED: the
     * secret may not look. Others: not now. NULL: nobody can look there. */
    enum fl_code (*find_start)(struct fl_op *op, struct fl_chat_find *find);
    /* Takes events until it is cancelled (FL_CANCELLED) or cannot go on: it is started again
     * later. */
    enum fl_code (*listen_start)(struct fl_op *op, struct fl_channel *channel);
    /* Does it read something else beside that, and how: as listen_start. NULL: it does not. */
    bool (*reads)(const struct fl_channel *channel);
    enum fl_code (*read_start)(struct fl_op *op, struct fl_channel *channel);
    /* A request to /hooks/KIND/ORGANIZATION/NAME; NULL: it has none. May it be believed? Before
     * anything of the body is read. */
    bool (*is_genuine)(const struct fl_channel *channel, const struct fl_http_exchange *ex,
                       struct fl_str body);
    /* For a kind that wants its answer at once: what is answered before anything is done, and a
     * name for this request, of which a second one is answered and not done. NULL, or an answer of
     * p NULL: hook_start answers. False: the body cannot be read (400). */
    bool (*hook_first)(const struct fl_channel *channel, const struct fl_http_exchange *ex,
                       struct fl_str body, struct fl_arena *arena, struct fl_str *ret_once,
                       struct fl_str *ret_answer);
    /* Handles it; `answer` is the body of the 200: given at its end, or before by answer->give. The
     * channel lives until it is done. FL_UNAVAILABLE: it should come again (503). */
    enum fl_code (*hook_start)(struct fl_op *op, struct fl_channel *channel, struct fl_str body,
                               struct fl_arena *arena, struct fl_hook_answer *answer);
    /* What `user link` prints beside the code, for instance a deep link; p NULL: nothing. */
    struct fl_str (*link_url)(const json_t *facts, const char *code, struct fl_arena *arena);
};
/* Is every member one of `known` (names between blanks)? FL_BAD_PARAMS. For `check`. */
enum fl_code fl_channel_check_members(const json_t *object, const char *kind, const char *known,
                                      const char *what, struct fl_err *err) FL_MUST_CHECK;
extern const struct fl_channel_kind fl_channel_telegram, fl_channel_slack, fl_channel_mail;

#endif
