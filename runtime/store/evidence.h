/* What somebody proved who they are with, read again in the transaction that it is for, and held
 * until its commit. Loop thread. */
#ifndef FLOPINIO_STORE_EVIDENCE_H
#define FLOPINIO_STORE_EVIDENCE_H

#include "runtime/io/pg.h"

/* Borrowed; of each what there is. Nothing at all: whoever calls has proved it in the same
 * transaction, or it cannot be taken back. */
struct fl_evidence {
    const char *chat;              /* the kind of the chat that vouched for `external`, or NULL */
    struct fl_str external;        /* their account there */
    struct fl_str session;         /* digest of a review page's session; p NULL: none */
    struct fl_uuid token;          /* personal token; zero: none */
    struct fl_str passphrase_hash; /* as it was when it was proved; p NULL: it was not */
};

#define FL_EVIDENCE_MOST 4

/* Statements of the transaction: each has a row if that part holds. */
struct fl_proof {
    struct fl_query *parts[FL_EVIDENCE_MOST];
    size_t count;
};

/* In front of the locks of approvals, and behind fl_store_member_hold. */
void fl_store_evidence(struct fl_tx *tx, const struct fl_uuid *person,
                       const struct fl_evidence *evidence, struct fl_proof *ret);
/* When its round is over: FL_OK, or FL_FORBIDDEN. */
enum fl_code fl_store_proved(const struct fl_proof *proof, struct fl_err *err);
/* The same, with the hold, for a transaction whose statements are all known beforehand: it is
 * refused if token or passphrase does not hold, or the person is no active member with one of these
 * roles (joined with commas; NULL: any), where it has an organization. */
void fl_store_must_hold(struct fl_tx *tx, const struct fl_uuid *person,
                        const struct fl_evidence *evidence, const char *roles);
/* What it ended with, or FL_FORBIDDEN and why if that was the reason. */
enum fl_code fl_store_held(const struct fl_tx *tx, enum fl_code code, struct fl_err *err);
/* The person's membership stays as it is until the commit: what takes it away comes before this, or
 * sees all that is written behind it. */
void fl_store_member_hold(struct fl_tx *tx, const struct fl_uuid *person);

#endif
