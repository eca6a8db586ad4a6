/* Deciding: 2 of 3 approve, one rejects; the agent's owner does not count. Four people vote, change
 * their mind, withdraw and click twice, all at once; time runs out, the agent cancels; one person
 * leaves the organization; a worker marks the approval if the votes still hold.
 *
 * One row. A transaction is: take the row's lock, read (its own statement, so it sees everything
 * that was committed before the lock was had), write and commit in one step. docs/model.md says
 * which code each step stands for. */
#include "states.pml"
#include "promises.pml"

#define OWN    0 /* the agent's owner */
#define PEOPLE 4
#define NEEDED 2
mtype = { NO_VOTE, YES, NO, WITHDRAW };

mtype st = PENDING;
bool locked;
mtype vote[PEOPLE] = NO_VOTE;
bool withdrawn[PEOPLE]; /* the vote's row stays and says so */
bool member[PEOPLE] = true;
byte clicks;    /* approvals received, whoever sent them */
byte decisions; /* how often a decision was written */
bool is_offboarded;

#ifdef MUTANT_withdrawn_votes_count
#define STANDS(p, v) (vote[p] == v && member[p])
#else
#define STANDS(p, v) (vote[p] == v && member[p] && !withdrawn[p])
#endif
#ifdef MUTANT_the_owner_counts
#define OWNS(v) STANDS(OWN, v)
#else
#define OWNS(v) false
#endif
/* What the runtime counts, and what is right. */
#define COUNT(v)  ((OWNS(v) -> 1 : 0) + (STANDS(1, v) -> 1 : 0) + (STANDS(2, v) -> 1 : 0) + (STANDS(3, v) -> 1 : 0))
#define RIGHT1(p, v) ((vote[p] == v && member[p] && !withdrawn[p]) -> 1 : 0)
#define RIGHT(v)  (RIGHT1(1, v) + RIGHT1(2, v) + RIGHT1(3, v))

inline move(to) {
    PROMISE(MOVES, MAY_MOVE(st, to));
    PROMISE(FINAL, !TERMINAL(st));
    st = to
}

#ifdef MUTANT_votes_counted_without_the_lock
#define LOCK skip
#else
#define LOCK atomic { !locked -> locked = true }
#endif
#ifdef MUTANT_decision_without_the_state
#define IS_OPEN true
#else
#define IS_OPEN (st == PENDING)
#endif

/* decide.c: lock; read; write the vote, and the decision if it is the one that was missing. */
inline cast(who, what) {
    LOCK;
    atomic { /* what the statements behind the lock read */
        was_open = IS_OPEN;
#ifdef MUTANT_withdrawal_after_the_decision
        was_open = was_open || (what == WITHDRAW && st == APPROVED);
#endif
        yes = COUNT(YES) - (STANDS(who, YES) && who != OWN -> 1 : 0);
        no = COUNT(NO) - (STANDS(who, NO) && who != OWN -> 1 : 0);
        was_member = member[who] && (who != OWN || what == WITHDRAW);
#ifdef MUTANT_the_owner_counts
        yes = COUNT(YES) - (STANDS(who, YES) -> 1 : 0);
        was_member = member[who];
#endif
    }
    atomic { /* write and commit */
        if
        :: !was_open || !was_member || (what == WITHDRAW && vote[who] == NO_VOTE) -> skip
        :: else ->
            if
            :: what == WITHDRAW -> withdrawn[who] = true
            :: else -> vote[who] = what; withdrawn[who] = false;
                if :: what == YES -> yes++; clicks++ :: else -> no++ fi
            fi;
#ifdef MUTANT_withdrawn_votes_count
            if :: what == WITHDRAW && vote[who] == YES -> yes++ :: else -> skip fi;
#endif
#ifdef MUTANT_clicks_are_counted
            yes = clicks;
#endif
            if
            :: what != WITHDRAW && no >= 1 -> decisions++; move(REJECTED)
            :: what != WITHDRAW && no < 1 && yes >= NEEDED ->
                PROMISE(DECIDED, is_offboarded || (RIGHT(YES) >= NEEDED && RIGHT(NO) == 0));
                decisions++;
                move(APPROVED)
            :: else -> skip
            fi
        fi;
        PROMISE(DECIDED, decisions <= 1);
        /* The last voter's transaction decides: no quorum is left lying. */
        PROMISE(DECIDED, st != PENDING || is_offboarded || (RIGHT(YES) < NEEDED && RIGHT(NO) == 0));
        /* What was decided keeps the votes that decided it. */
        PROMISE(DECIDED, st != APPROVED || is_offboarded || RIGHT(YES) >= NEEDED);
        was_open = false; was_member = false; yes = 0; no = 0;
        locked = false
    }
}

proctype Voter(byte who; byte turns) {
    bool was_open, was_member;
    byte yes, no, turn;
    mtype what;
    do
    :: turn < turns -> turn++;
        if :: what = YES :: what = NO :: what = WITHDRAW fi;
        cast(who, what)
    :: break
    od
}

/* offboard.c: the votes of somebody who leaves, where nothing was sent yet. Does not lock the
 * approval: whoever counts at this moment may still count it; the marking transaction does not. */
proctype Offboard() {
    if
    :: atomic { member[1] = false; is_offboarded = true;
            if :: st == PENDING || st == APPROVED || st == CLAIMED -> withdrawn[1] = true :: else -> skip fi }
    :: true
    fi
}

/* sweep.c, cancel.c */
proctype Expirer() {
end:
    atomic { st == PENDING && !locked -> move(EXPIRED) }
}
proctype Canceller() {
    if
    :: atomic { !locked -> if :: MAY_MOVE(st, CANCELLED) -> move(CANCELLED) :: else -> skip fi }
    :: true
    fi
}

/* run.c: claim, and the marking transaction with the votes as they are then. */
proctype Worker() {
    bool is_held, held_behind_the_lock;
end:
    atomic { st == APPROVED && !locked -> move(CLAIMED) }
#ifdef MUTANT_no_recheck_at_dispatch
    is_held = true;
#endif
    atomic { !locked -> locked = true; held_behind_the_lock = RIGHT(YES) >= NEEDED && RIGHT(NO) == 0 }
#ifndef MUTANT_no_recheck_at_dispatch
    is_held = COUNT(YES) >= NEEDED && COUNT(NO) == 0;
#endif
    atomic {
        if
        :: st != CLAIMED -> skip
        :: st == CLAIMED && is_held -> move(DISPATCHED);
            WITNESS(DECIDES); PROMISE(QUORUM, held_behind_the_lock); move(SUCCEEDED)
        :: st == CLAIMED && !is_held -> move(VOIDED)
        fi;
        locked = false
    }
}

active proctype Start() {
    atomic {
        run Voter(OWN, 1); run Voter(1, 2); run Voter(2, 2); run Voter(3, 1);
        run Offboard(); run Expirer(); run Canceller(); run Worker()
    }
end:
    timeout -> PROMISE(STUCK, TERMINAL(st))
}
