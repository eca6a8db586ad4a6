/* The card: what a person sees before deciding, made by this one renderer for every channel, from
 * the stored bytes. Blocks of plain text in a fixed order; every text is safe to show as it stands
 * (show.h), nothing is markup. Whoever draws a card in a channel draws the blocks and adds nothing
 * that the agent wrote. Pure: no clock, no look-up; any thread.
 *
 * Lines of the argument block, from which every byte of the arguments can be had back:
 *   to[0].name: Ann        a string, if it cannot be taken for something else; else "Ann"
 *   amount: 12.5           numbers, true, false, null as in the canonical JSON
 *   tags: (empty list)     what stands in parentheses is ours
 *   body: (2 lines)        a string with line ends; one line of text behind each margin mark
 *   | first
 *   | second
 *   token: (secret, hmac-sha256:ab12cd34, 40 characters)
 *   url: https://ann:\(secret, password in an address, 9 characters)@example.com/
 *   ! (mixed scripts: Latin, Cyrillic)     a note on the value above */
#ifndef FLOPINIO_NOTIFY_CARD_H
#define FLOPINIO_NOTIFY_CARD_H

#include <stdint.h>

#include "flopinio/base/arena.h"
#include "flopinio/base/err.h"
#include "flopinio/base/str.h"
#include "policy/ask.h"
#include "runtime/store/states.h"

enum fl_card_caller { FL_CALLER_WAITS, FL_CALLER_GONE, FL_CALLER_TASK };

struct fl_card_vote {
    struct fl_str who, via, reason; /* via: "Slack"; reason may be empty */
    bool is_approve;
    int64_t at_utc_ms;
};

/* Somebody who is away, and who decides it for them. */
struct fl_card_away {
    struct fl_str who, delegate;
    int64_t until_utc_ms;
};

#define FL_CARD_ASKED_MOST 100 /* an intake counts no further */

/* Everything that is known about an approval when its card is made. Texts are UTF-8 or not, of any
 * length, borrowed for the call; an empty one is left out of the card. */
struct fl_card_facts {
    struct fl_str id;
    struct fl_str sentence; /* the pinned tool's template, "Delete file {path}" (card_title.h) */
    struct fl_str tool, server, environment, account;
    struct fl_str agent, owner;
    bool is_not_isolated; /* agent and runtime share an operating-system user */
    enum fl_approval_state state;
    enum fl_card_caller caller;
    int64_t created_utc_ms, expires_utc_ms;
    int64_t undo_ms;        /* so long an approval can still be taken back before it runs; 0: not */
    int64_t stopped_utc_ms; /* since when its time stands still by a stop; 0: it runs */
    int64_t changed_utc_ms; /* when it came into a state other than waiting; 0 = not shown */
    int utc_offset_min;     /* the zone in which times are shown; 0 = UTC */

    struct fl_str arguments;      /* canonical JSON, as stored */
    const struct fl_str *secrets; /* JSON pointers (RFC 6901) of secret arguments; a segment "*"
                                     stands for every member or item */
    size_t secret_count;
    const uint8_t *secret_key; /* 32 bytes (fl_card_key), or NULL: secrets without a digest */
    enum fl_disclose disclose;

    struct fl_str preview_kind, preview; /* "diff", "rows", "request" */
    int64_t preview_utc_ms;
    struct fl_str precondition;

    struct fl_str rule, rule_reason, risk;
    unsigned asked_count;            /* how often the same call was asked, this time included; from
                                      * FL_CARD_ASKED_MOST on at least so often */
    struct fl_str asked_again;       /* why it asks again */
    struct fl_str why_asked;         /* why it asks though there was a grant, or who changed it */
    struct fl_str progress;          /* "1 of 2 approvals from ops" */
    const struct fl_card_away *away; /* none once it is decided */
    size_t away_count;
    const struct fl_card_vote *votes;
    size_t vote_count;
    struct fl_str next;    /* what happens next, or happened; empty: made from state and caller */
    struct fl_str outcome; /* error or reason, in a person's words */

    struct fl_str justification; /* the agent's own words */
};

enum fl_card_kind {
    FL_CARD_TITLE,
    FL_CARD_WHERE,
    FL_CARD_WHO,
    FL_CARD_STATUS,
    FL_CARD_ARGS,
    FL_CARD_PREVIEW,
    FL_CARD_RULE,
    FL_CARD_VOTES,
    FL_CARD_ID,
    FL_CARD_AGENT, /* always last: unverified words of the agent */
};

struct fl_card_block {
    enum fl_card_kind kind;
    const char *label;    /* "" for the title */
    struct fl_str *lines; /* no line has a line end in it */
    size_t line_count;
};

struct fl_card {
    enum fl_approval_state state;
    struct fl_card_block *blocks; /* in the order of enum fl_card_kind; absent ones left out */
    size_t block_count;
    /* Everything that the decision is about can be seen here. If not: no Approve on this card. */
    bool is_whole;
    struct fl_str why_not; /* one clause, when not whole; also a line of the status block */
    bool can_approve;      /* waiting and whole */
    bool can_reject;       /* waiting */
    struct fl_str push;    /* at most 120 characters; no words of the agent, no secrets */
};

#define FL_CARD_MIN_BYTES  2048
#define FL_CARD_PUSH_CHARS 120
#define FL_CARD_WORDS      500 /* characters of the agent's own words that are shown */

/* Makes the card in `arena`. `max_bytes`: the longest fl_card_text of this channel, at least
 * FL_CARD_MIN_BYTES, or 0 for none (then 16 MiB). UTF-16 units are never more than bytes. What does
 * not fit is named with its size, and the card is not whole; the card is the same, up to its last
 * block, whatever the agent's own words are. FL_NOMEM. */
enum fl_code fl_card_make(struct fl_arena *arena, const struct fl_card_facts *facts,
                          size_t max_bytes, struct fl_card *ret, struct fl_err *err) FL_MUST_CHECK;
const struct fl_card_block *fl_card_block(const struct fl_card *card, enum fl_card_kind kind);

#endif
