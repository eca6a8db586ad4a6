/* Tables mail_link and mail_session: one-time links in mails, and what signing in with one opens.
 * Tokens are here by their SHA-256 only. Also what the watch over a mail channel reads: events of
 * which people are told, and counts for the daily digest. Loop thread. */
#ifndef FLOPINIO_STORE_MAIL_H
#define FLOPINIO_STORE_MAIL_H

#include "runtime/io/pg.h"

/* ---- links: each is used once ---- */
struct fl_mail_link_row {
    struct fl_str hash; /* of the token */
    struct fl_uuid channel;
    const char *purpose;         /* "review" (card), "address" (person), "test" */
    struct fl_uuid card, person; /* zero: none */
    struct fl_str place;         /* the address that it is mailed to */
    int64_t for_ms;
};
/* One for an address voids earlier ones of the same person and channel. */
void fl_store_mail_link_put(struct fl_tx *tx, const struct fl_mail_link_row *row);
/* Looks at it and changes nothing. Columns: purpose, is it used, is it too old, card_id, place,
 * name of the person ("" none). No row: no such link, or who it is for is not here any more. */
struct fl_query *fl_store_mail_link_get(struct fl_tx *tx, struct fl_str hash,
                                        const struct fl_uuid *channel);
/* Each of the three uses the link up; no row: it cannot be used (any more). */
/* Opens a session, and ends others of the same card. Columns: card_id, approval_id, person_id,
 * person name. */
struct fl_query *fl_store_mail_sign_in(struct fl_tx *tx, struct fl_str hash,
                                       const struct fl_uuid *channel, struct fl_str session_hash,
                                       int64_t for_ms);
/* Links the address. Columns: person_id, name, place, was it linked (false: it is another's). */
struct fl_query *fl_store_mail_address(struct fl_tx *tx, struct fl_str hash,
                                       const struct fl_uuid *channel);
/* Notes that the channel was tested. */
struct fl_query *fl_store_mail_tested(struct fl_tx *tx, struct fl_str hash,
                                      const struct fl_uuid *channel);
/* The card of this link is to be mailed once more, with a new one: while its call waits, not within
 * a minute of the last, and not by a link that has been too old for a day. Columns: place. */
struct fl_query *fl_store_mail_again(struct fl_tx *tx, struct fl_str hash,
                                     const struct fl_uuid *channel);

/* ---- sessions ---- */
/* Of somebody whose address is linked still; lasts for_ms from now, at most most_ms in all.
 * Columns: approval_id, person_id, person name, pages, is_read, is_proved. */
struct fl_query *fl_store_mail_session(struct fl_tx *tx, struct fl_str session_hash,
                                       const struct fl_uuid *card, const struct fl_uuid *channel,
                                       int64_t for_ms, int64_t most_ms);
/* So many pages were shown. */
void fl_store_mail_pages(struct fl_tx *tx, struct fl_str session_hash, int64_t pages, bool is_read);
/* From now on the card is shown whole, and read from its first page on. */
void fl_store_mail_proved(struct fl_tx *tx, struct fl_str session_hash);
/* Ends the person's sessions, and their links that were not used. */
void fl_store_mail_sign_out(struct fl_tx *tx, const struct fl_uuid *person);

/* ---- the watch ---- */
/* Events that somebody is to be told of, in the order of their time and id, behind the event
 * `since` of the time `since_us` and not before the channel was made; nothing will ever appear in
 * front of what is listed. Columns: event_id, recorded_at us, kind, subject_id, leaf. */
struct fl_query *fl_store_mail_events(struct fl_tx *tx, const struct fl_uuid *channel,
                                      int64_t since_us, const struct fl_uuid *since, int most);
/* Everybody with a linked address. Columns: person_id, address, name, role, names of the agents
 * that they own, joined with commas. */
struct fl_query *fl_store_mail_readers(struct fl_tx *tx);
/* One address a person, with what waits. Columns: person_id, address, name, role, pending in all,
 * of them mailed to this person, outcomes unknown, that expire within a day. */
struct fl_query *fl_store_mail_digest(struct fl_tx *tx, const struct fl_uuid *channel);

#endif
