/* The sentence that opens a card, from a template that belongs to the pinned tool:
 * "Refund {amount} {currency} to {/customer/id}". A placeholder is a member's name or a JSON
 * pointer (RFC 6901) into the arguments; `{{` and `}}` are braces. Pure; any thread. */
#ifndef FLOPINIO_NOTIFY_CARD_TITLE_H
#define FLOPINIO_NOTIFY_CARD_TITLE_H

#include "flopinio/base/arena.h"
#include "flopinio/base/buf.h"
#include "flopinio/base/err.h"

#define FL_SENTENCE_MAX_BYTES 200 /* of a template */

/* For whoever accepts a template: FL_CONFIG says what is wrong with it. */
enum fl_code fl_sentence_check(struct fl_str sentence, struct fl_err *err) FL_MUST_CHECK;

#endif
