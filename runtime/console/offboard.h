/* A person leaves an organization: what is written for that, in an open transaction that holds the
 * organization's lock (change.h). Loop thread only. */
#ifndef FLOPINIO_CONSOLE_OFFBOARD_H
#define FLOPINIO_CONSOLE_OFFBOARD_H

#include "runtime/console/change.h"

struct fl_left_row {
    struct fl_uuid id;
    struct fl_str name, state; /* of agents */
};

/* Set by them for others: it holds until somebody ends it. */
struct fl_left_absence {
    struct fl_str person, delegate;
    int64_t until_ms;
};

struct fl_leaving {
    /* ---- inputs ---- */
    struct fl_str name, to; /* to p NULL: agents are frozen */
    struct fl_uuid id, to_id;
    bool is_elsewhere; /* a member of another organization too: goes on signing in */
    /* ---- outputs of fl_leaving_read, in the request's arena ---- */
    struct fl_left_row *agents, *votes;
    struct fl_uuid *grants;
    struct fl_left_absence *absences;
    size_t agent_count, vote_count, grant_count, absence_count;
    int64_t tokens_revoked;
    /* private */
    struct fl_query *q_agents, *q_votes, *q_tokens, *q_grants, *q_absences;
};

/* Appends the changes. */
void fl_leaving_write(struct fl_api *a, struct fl_leaving *leaving);
/* After their round, before anything more is appended: what they came to. false: no memory. */
bool fl_leaving_read(struct fl_api *a, struct fl_leaving *leaving);
/* Appends the events. */
void fl_leaving_note(struct fl_api *a, const struct fl_leaving *leaving);
/* After the commit: wakes who waits for an approval that lost a vote. */
void fl_leaving_tell(struct fl_api *a, const struct fl_leaving *leaving);

#endif
