/* Changes of who has authority in an organization: its people, groups, agents and credentials. They
 * run one at a time, on a connection held exclusively, with the organization's row locked: what is
 * decided from the people read here is still true at the commit (two owners cannot demote each
 * other at the same moment, nobody makes an agent for somebody who is leaving). Loop thread only.
 */
#ifndef FLOPINIO_CONSOLE_CHANGE_H
#define FLOPINIO_CONSOLE_CHANGE_H

#include "runtime/console/api.h"

struct fl_member {
    struct fl_uuid id;
    struct fl_str name, display, email;
    struct fl_str groups; /* joined with commas */
    enum fl_role role;
    bool is_active; /* neither offboarded here nor deactivated */
};

/* As of the lock; texts in the request's arena. */
struct fl_change {
    struct fl_member *members;
    size_t member_count;
    struct fl_str *groups; /* names */
    size_t group_count;
    void (*decide)(struct fl_api *a);
    void (*lock_first)(struct fl_api *a); /* what is locked before the organization; may be NULL */
    struct fl_query *q_people, *q_groups;
    struct fl_proof proof;
    /* of fl_change_person_start; gone with the first statement appended */
    struct fl_uuid person;
    struct fl_query *q_person, *q_theirs, *q_mine, *q_owners;
};

/* Locks and reads; `reads` (may be NULL) appends statements that read more. Whoever asks must still
 * have the route's authority; then `decide` looks at it, appends what is to be written to a->tx and
 * goes on with a round or the commit, or answers an error, which gives it up. Results of the reads
 * are gone with the first statement appended. */
void fl_change_start(struct fl_api *a, void (*reads)(struct fl_api *a),
                     void (*decide)(struct fl_api *a));
/* Runs what was appended, inside the transaction, for its results. */
void fl_change_round(struct fl_api *a, void (*next)(struct fl_api *a));
/* Touches the organization, commits, tells the other workers. */
void fl_change_commit(struct fl_api *a, void (*done)(struct fl_api *a));

/* A member by name, also one who left; NULL: none. */
const struct fl_member *fl_change_member(const struct fl_api *a, struct fl_str name);
bool fl_change_has_group(const struct fl_api *a, struct fl_str name);
/* Does the list (joined with commas) have this item? */
bool fl_list_has(struct fl_str csv, struct fl_str item);
/* Goes through a list joined with commas; *pos starts at 0. */
bool fl_list_next(struct fl_str csv, size_t *pos, struct fl_str *ret);

/* ---- changes of one person, the path's second parameter ---- */
/* 404 when there is no such member; then as fl_change_start, with what the three below need. */
void fl_change_person_start(struct fl_api *a, void (*decide)(struct fl_api *a));
/* The member, active; answers 409 and returns NULL otherwise. */
const struct fl_member *fl_change_target(struct fl_api *a);
bool fl_change_is_self(const struct fl_api *a, const struct fl_member *target);
/* May whoever asks change who this person is: also in every other organization that they belong to?
 * (A name shown on cards, a passphrase: they hold everywhere.) false: answered. */
bool fl_change_may_alter(struct fl_api *a, const struct fl_member *target);
/* When this owner is one no longer: is there another, who can sign in if this one can? false:
 * answered. */
bool fl_change_keeps_owner(struct fl_api *a, const struct fl_member *target);

/* Whoever asks may do this as well; false: answered (403). The operator may, who got this far. */
bool fl_change_may(struct fl_api *a, enum fl_action action);

#endif
