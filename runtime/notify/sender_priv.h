/* Parts of the sender: what a row's cards should be, and what they look like, which do not wait;
 * and cards that were sent twice. All work on the row that it has at hand, its queries answered and
 * its arena there. */
#ifndef FLOPINIO_NOTIFY_SENDER_PRIV_H
#define FLOPINIO_NOTIFY_SENDER_PRIV_H

#include "runtime/notify/sender.h"

#define FL_SENDER_UNLINKED_MS 5000 /* nobody to tell yet: look again */

/* ---- sender_plan.c ---- */
/* Fills `cards`, `stage` and what goes with them; card_at stands at the end when nothing is to be
 * done now. False: no memory. */
bool fl_sender_plan(struct fl_sender *sender) FL_MUST_CHECK;
/* Does nothing of the arguments go to this channel? */
bool fl_sender_is_summary(const struct fl_sender *sender);
/* Something of the row has to wait for so long, at least. */
void fl_sender_wait(struct fl_sender *sender, int64_t ms);
/* When the row is to be looked at again, though nothing of it has changed; -1: not. */
int64_t fl_sender_wake_ms(const struct fl_sender *sender);

/* ---- sender_copy.c: steps of the sender's flow, which goes on at `then` with FL_OK ---- */
/* Was it sent, and does nobody know what came of it, but where it can be looked for? */
bool fl_sender_must_seek(const struct fl_sender *sender, const struct fl_sender_card *card);
/* Looks for the card at hand. Then its is_sought says whether it was, and with its message it
 * stands; without is_sought it waits, which is noted. */
fl_next fl_sender_seek(struct fl_sender *sender, fl_next then);
/* It was sent again and is recorded (send.posted): earlier copies become a sentence, if they are
 * found. */
fl_next fl_sender_seek_copies(struct fl_sender *sender, fl_next then);

/* ---- sender_draw.c: into `card`, `drawn`; texts in the row's arena ---- */
enum fl_code fl_sender_make_card(struct fl_sender *sender, struct fl_err *err) FL_MUST_CHECK;
/* A card that has a message of its own, or the sentence in its place when it was withdrawn. */
enum fl_code fl_sender_draw(struct fl_sender *sender, const struct fl_sender_card *card,
                            struct fl_err *err) FL_MUST_CHECK;
/* A message of its own, which pings; no buttons, and nothing in it that a decision makes untrue. */
enum fl_code fl_sender_draw_reminder(struct fl_sender *sender, struct fl_err *err) FL_MUST_CHECK;

#endif
