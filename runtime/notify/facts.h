/* From an approval's row and its opened contents to what its card shows. One place, so that every
 * channel's card says the same. Loop thread only. */
#ifndef FLOPINIO_NOTIFY_FACTS_H
#define FLOPINIO_NOTIFY_FACTS_H

#include "runtime/approval/look.h"
#include "runtime/notify/card.h"

/* What the row froze and what the votes are now, read once for card, lists and JSON. Texts live in
 * the arena or are the row's. */
struct fl_approval_view {
    const struct fl_approval *row;
    struct fl_ask *ask; /* NULL: nobody was asked (a rule let it run), or it cannot be read */
    struct fl_str server, environment, account, sentence, rule_reason, why_asked;
    struct fl_str *secrets; /* JSON pointers */
    size_t secret_count;
    char progress[512];             /* "1 of 2 from ops"; "" without an ask or when it is decided */
    const struct fl_ballot *ballot; /* NULL: votes are not known */
};

/* `ballot` may be NULL. Free with fl_approval_view_fini. FL_NOMEM. */
enum fl_code fl_approval_view_read(struct fl_approval_view *view, struct fl_arena *arena,
                                   const struct fl_approval *row, const struct fl_ballot *ballot,
                                   struct fl_err *err) FL_MUST_CHECK;
void fl_approval_view_fini(struct fl_approval_view *view);
/* May this person vote on it now? FL_OK, or FL_FORBIDDEN or FL_CONFLICT with one sentence. Only to
 * show it: deciding asks again under its lock. */
enum fl_code fl_approval_may_vote(const struct fl_approval_view *view, const struct fl_uuid *person,
                                  bool has_second_factor, struct fl_err *err) FL_MUST_CHECK;
/* Are they away, and does somebody who decides it for them, and is not away too, have an open place
 * among `identities` (fl_store_chat_identities)? Then that one is told in their stead. `closed`:
 * fl_store_places_closed. */
bool fl_approval_is_stood_in_for(const struct fl_approval_view *view, const struct fl_uuid *person,
                                 const struct fl_query *identities, const struct fl_query *closed);
/* Does a vote of this person stand that they can take back now? `person` zero: of anybody. Only to
 * offer it: deciding asks again under its lock. */
bool fl_approval_may_withdraw(const struct fl_approval_view *view, const struct fl_uuid *person);
/* Is it approved, and would the approval of one of those who gave it be enough for a grant? Only to
 * offer one: making it asks again under its lock. */
bool fl_approval_may_grant(const struct fl_approval_view *view);
/* The contents of a look; p NULL members stay empty. `key` is where the digest key is put. */
struct fl_approval_texts {
    struct fl_str arguments, preview, justification;
    bool is_tampered;
    enum fl_disclose disclose; /* summary: nothing of the texts is shown */
};
enum fl_code fl_card_of(struct fl_arena *arena, const struct fl_approval_view *view,
                        const struct fl_approval_texts *texts, const struct fl_keyring *keys,
                        const struct fl_uuid *organization, size_t max_bytes, struct fl_card *ret,
                        struct fl_err *err) FL_MUST_CHECK;
/* What cannot be shown whole cannot be granted: FL_CONFLICT with one sentence. */
enum fl_code fl_card_check_grant(struct fl_arena *arena, const struct fl_approval_view *view,
                                 const struct fl_look *look, enum fl_disclose disclose,
                                 size_t max_bytes, struct fl_err *err) FL_MUST_CHECK;

#endif
