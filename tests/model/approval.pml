/* Running: two workers, one approval, and the new one that "it did not happen, run it again" makes
 * of it. A worker may die, or stand still for as long as it takes, between any two steps; a commit's
 * reply may be lost. With them the sweep (lease, window, expiry), a canceller, a stop, somebody whose
 * authority or policy goes away, the person who settles unknown outcomes, and the world upstream.
 * Split, so that each is searched to its end in seconds: as it stands the workers, the sweep and the
 * person, with -DMEANWHILE what may happen to the first row from outside, with -DRESTORE a snapshot,
 * later its restore, and `recover`.
 *
 * An `atomic` that writes a row is one committed transaction; rows of one statement wait for nobody's
 * lock longer than that. Transactions that read first hold the row's lock over several steps.
 * docs/model.md says which code each step stands for. */
#include "states.pml"
#include "promises.pml"

#ifndef CRASHES
#define CRASHES 2 /* deaths and lost replies, all workers together */
#endif
#ifndef CLAIMS
#define CLAIMS 2 /* per row; then it waits until it expires */
#endif

#ifdef MEANWHILE
#define ONE_ROW /* nobody asks for it again */
#endif

typedef Row {
    mtype st;      /* 0: not there */
    byte fence;
    bool locked;
    bool decided;  /* an approving quorum was counted for this row */
    bool expired;  /* its time is up, by the database's clock */
    bool late;     /* the dispatch deadline is over: nobody begins to send */
    bool over;     /* deadline + timeout + grace are over */
    bool marked;   /* the marker was committed, once */
    byte flight;   /* requests on their way upstream */
    byte answer;   /* 0 none, 1 did it, 2 did not */
    byte effects;
    bool said_not; /* somebody wrote down that it did not happen */
    byte owner;    /* worker of the newest claim */
    bool held;     /* policy and authority held when the lock was had */
    byte made;     /* which life of the database it was made in: stands for its id */
};
Row row[2];
bool world = true; /* policy, voters' authority, pin, agent: as approved */
bool stopped;
byte marking;      /* marking transactions that passed the stop's gate */
byte troubles;     /* deaths and lost replies so far */
byte epoch;        /* which life of the database a connection belongs to */
bool frozen;       /* restored, and the operator has not spoken */

#define EXISTS(r) (row[r].st != 0)
#define TOTAL     (row[0].effects + row[1].effects)
#define DONE(r)   (!EXISTS(r) || TERMINAL(row[r].st))
#ifdef MUTANT_restored_rows_run_before_the_command
#define MAY_RUN true
#else
#define MAY_RUN (!frozen)
#endif

inline move(r, to) {
    PROMISE(MOVES, MAY_MOVE(row[r].st, to));
    PROMISE(FINAL, !TERMINAL(row[r].st));
    row[r].st = to;
    if :: TERMINAL(to) || to == DISPATCHED -> row[r].expired = false :: else -> skip fi
}
inline settled(r, to) {
    move(r, to);
    PROMISE(TRUTH, to != SUCCEEDED || row[r].effects == 1);
    PROMISE(TRUTH, to != FAILED || row[r].effects == 0);
    row[r].said_not = row[r].said_not || to == FAILED
}

/* ---------------------------------------------------------------- people, in short (see votes.pml) */
inline decide(r) {
    if
    :: row[r].decided = true; move(r, APPROVED)
    :: move(r, REJECTED)
    fi
}
proctype Decider() {
end:
    do
    :: atomic { row[0].st == PENDING && !row[0].locked -> decide(0) }
    :: atomic { row[1].st == PENDING && !row[1].locked -> decide(1) }
    od
}

/* Policy changes, a voter loses the role, the tool is quarantined: for good, at any time. */
proctype World() {
    if :: world = false :: true fi
}

#ifdef MUTANT_stop_passes_no_gate
#define GATE_IS_FREE true
#else
#define GATE_IS_FREE (marking == 0)
#endif
/* stop.c: the stop waits for marking transactions that run, and keeps out later ones. */
proctype Stopper() {
    if
    :: atomic { GATE_IS_FREE -> stopped = true }; stopped = false
    :: true
    fi
}

/* ---------------------------------------------------------------- run.c */
#define CLAIMABLE(r) (row[r].st == APPROVED && !row[r].locked && !row[r].expired && !stopped && \
                      row[r].fence < CLAIMS && MAY_RUN)
inline claim(n) {
    move(n, CLAIMED);
    r = n;
#ifndef MUTANT_claim_keeps_the_fence
    row[n].fence++;
#else
    if :: row[n].fence == 0 -> row[n].fence = 1 :: else -> skip fi;
#endif
    my = row[n].fence; row[n].owner = me; made = row[n].made
}
/* The process ends here, or goes on; a new one takes its place. */
inline may_die() {
    if :: atomic { troubles < CRASHES -> troubles++; goto idle } :: true fi
}
inline unlock() { row[r].locked = false; marking-- }
#ifdef RESTORE
#define CONNECTED (born == epoch) /* the database was replaced: the transaction is lost */
#else
#define CONNECTED true
#endif

#ifdef RESTORE
#define IS_IT (row[r].made == made) /* not another row in the place of one that was lost */
#else
#define IS_IT true
#endif

#ifdef MUTANT_stalled_worker_marks_again
#define IS_MINE IS_IT
#else
#ifdef MUTANT_mark_without_the_fence
#define IS_MINE (IS_IT && row[r].st == CLAIMED)
#else
#define IS_MINE (IS_IT && row[r].st == CLAIMED && row[r].fence == my)
#endif
#endif
#ifdef MUTANT_send_past_the_deadline
#define IN_TIME true
#else
#define IN_TIME (!row[r].late && IS_IT)
#endif
#ifdef MUTANT_settle_without_the_fence
#define MY_FENCE IS_IT
#else
#define MY_FENCE (IS_IT && row[r].fence == my)
#endif

inline mark() {
    PROMISE(QUORUM, row[r].decided && row[r].held);
    PROMISE(OWNER, row[r].owner == me);
    PROMISE(STOPPED, !stopped);
    move(r, DISPATCHED);
    row[r].marked = true; row[r].late = false; row[r].over = false
}

proctype Worker(byte me) {
    byte r, my, born, made;
    bool may;
    mtype out;
idle:
    atomic { r = 0; my = 0; born = 0; made = 0; may = false; out = 0 }
end:
    if
    :: atomic { CLAIMABLE(0) -> claim(0) }
    :: atomic { CLAIMABLE(1) -> claim(1) }
    fi;
#ifdef MUTANT_recheck_before_the_lock
    may = world;
#endif
    may_die();

#ifndef MUTANT_no_dispatch_marker
    /* mark: the gate, the lock, what holds now */
    atomic { !row[r].locked ->
        row[r].locked = true; marking++; born = epoch; row[r].held = world }
    atomic {
        if
        :: !CONNECTED -> goto idle
        :: else -> skip
        fi;
        if
        :: !IS_MINE || !MAY_RUN -> unlock(); goto idle
        :: IS_MINE && MAY_RUN && row[r].st == CLAIMED && row[r].expired -> move(r, EXPIRED); unlock(); goto idle
        :: IS_MINE && MAY_RUN && row[r].st == CLAIMED && !row[r].expired && stopped -> move(r, APPROVED); unlock(); goto idle
        :: else -> skip
        fi;
#ifdef MUTANT_no_recheck_at_dispatch
        may = true;
#else
#ifndef MUTANT_recheck_before_the_lock
        may = world;
#endif
#endif
        if
        :: !may -> WITNESS(VOIDS); move(r, VOIDED); unlock(); goto idle
        :: else -> skip
        fi
    }
    /* dies inside: the transaction is rolled back */
    if :: atomic { troubles < CRASHES && CONNECTED -> troubles++; unlock(); goto idle } :: true fi;
    atomic {
        if
        :: !CONNECTED -> goto unsent
        :: CONNECTED && row[r].expired -> unlock(); goto idle
        :: CONNECTED && !row[r].expired -> /* the marker is committed, and confirmed */
            mark(); unlock()
        :: CONNECTED && !row[r].expired && troubles < CRASHES -> /* committed; the reply is lost */
            troubles++; mark(); unlock(); goto unsent
        :: CONNECTED && !row[r].expired && troubles < CRASHES -> /* neither */
            troubles++; unlock(); goto unsent
        fi
    }
    may_die();
#endif
sending:
    atomic {
        if
        :: !IN_TIME -> out = FAILED
        :: IN_TIME -> row[r].flight++; row[r].answer = 0
        fi
    }
    if :: out == FAILED -> goto settling :: else -> skip fi;
    may_die();
    if
    :: atomic { row[r].answer == 1 -> out = SUCCEEDED }
    :: atomic { row[r].answer == 2 -> out = FAILED }
    :: atomic { troubles < CRASHES -> troubles++; out = UNKNOWN } /* no answer: it may be on its way */
    fi;
    may_die();
    goto settling;
unsent: /* the marker's commit was not confirmed */
#ifdef MUTANT_unconfirmed_marker_is_sent
    goto sending;
#endif
    out = FAILED;
    may_die();
settling:
    atomic { !row[r].locked ->
        if
        :: MY_FENCE && (row[r].st == DISPATCHED || (row[r].st == UNKNOWN && out != UNKNOWN)) ->
            settled(r, out)
#ifdef MUTANT_no_dispatch_marker
        :: MY_FENCE && row[r].st == CLAIMED -> row[r].st = out
#endif
        :: else -> skip
        fi
    }
    goto idle
}
/* ---------------------------------------------------------------- upstream */
inline arrive(r) {
    row[r].flight--;
    if
    :: row[r].effects++; row[r].answer = 1;
        PROMISE(EFFECTS, TOTAL <= 1);
        PROMISE(QUORUM, row[r].decided);
        PROMISE(TRUTH, !row[r].said_not);
        if :: r == 1 -> WITNESS(AGAIN_RUNS) :: else -> skip fi
    :: row[r].answer = 2
    fi
}
proctype Upstream() {
end:
    do
    :: atomic { row[0].flight > 0 -> arrive(0) }
    :: atomic { row[1].flight > 0 -> arrive(1) }
    od
}

/* ---------------------------------------------------------------- time */
#ifdef MUTANT_request_without_a_timeout
#define ENDED(r) true
#else
#define ENDED(r) (row[r].flight == 0) /* the whole-request timeout is part of the window */
#endif
#define CAN_EXPIRE(r) (row[r].st == PENDING || row[r].st == APPROVED || row[r].st == CLAIMED)
proctype Clock() {
end:
    do
    :: atomic { CAN_EXPIRE(0) && !row[0].expired -> row[0].expired = true }
    :: atomic { CAN_EXPIRE(1) && !row[1].expired -> row[1].expired = true }
    :: atomic { row[0].marked && !row[0].late -> row[0].late = true }
    :: atomic { row[1].marked && !row[1].late -> row[1].late = true }
    :: atomic { row[0].late && !row[0].over && ENDED(0) -> row[0].over = true }
    :: atomic { row[1].late && !row[1].over && ENDED(1) -> row[1].over = true }
    od
}

/* ---------------------------------------------------------------- sweep.c, reaper.c */
#ifdef MUTANT_reaper_trusts_a_clock_that_jumps
#define WINDOW(r) true /* the database's clock says so, to the reaper and to the person */
#else
#define WINDOW(r) (row[r].over)
#endif
#define MAY_EXPIRE(r) (CAN_EXPIRE(r) && row[r].expired && !stopped)
#ifdef MUTANT_reaper_requeues_dispatched
#define REAP(r) move(r, APPROVED)
#else
#define REAP(r) move(r, UNKNOWN)
#endif
proctype Sweep() {
end:
    do
    :: atomic { row[0].st == CLAIMED && !row[0].locked -> move(0, APPROVED) } /* lease out */
    :: atomic { row[1].st == CLAIMED && !row[1].locked -> move(1, APPROVED) }
#ifndef MUTANT_reaper_forgets_dispatched
    :: atomic { row[0].st == DISPATCHED && !row[0].locked && WINDOW(0) -> REAP(0) }
    :: atomic { row[1].st == DISPATCHED && !row[1].locked && WINDOW(1) -> REAP(1) }
#endif
    od
}
proctype Expirer() {
end:
    do
#ifdef MUTANT_expirer_ignores_the_lock
    :: atomic { MAY_EXPIRE(0) -> skip }; atomic { move(0, EXPIRED) }
#else
    :: atomic { MAY_EXPIRE(0) && !row[0].locked -> move(0, EXPIRED) }
#endif
    :: atomic { MAY_EXPIRE(1) && !row[1].locked -> move(1, EXPIRED) }
    od
}

/* cancel.c */
proctype Canceller() {
    bool may;
    if
    :: true
    ::
#ifndef MUTANT_canceller_ignores_the_lock
        atomic { !row[0].locked -> row[0].locked = true }
#endif
        may = MAY_MOVE(row[0].st, CANCELLED);
        atomic {
            if :: may -> move(0, CANCELLED) :: else -> skip fi;
#ifndef MUTANT_canceller_ignores_the_lock
            row[0].locked = false
#endif
        }
    fi
}

/* ---------------------------------------------------------------- settle.c: a person, unknown rows */
#ifdef MUTANT_early_settlement
#define SETTLEABLE(r) ((row[r].st == UNKNOWN || row[r].st == DISPATCHED) && !row[r].locked)
#else
#ifdef MUTANT_person_looks_before_the_window_is_over
#define SETTLEABLE(r) (row[r].st == UNKNOWN && !row[r].locked)
#else
#define SETTLEABLE(r) (row[r].st == UNKNOWN && !row[r].locked && WINDOW(r))
#endif
#endif
inline settle_by(r) { /* what the person saw upstream */
    if
    :: TOTAL > 0 && row[r].effects == 1 -> settled(r, SUCCEEDED)
    :: else -> settled(r, FAILED);
        if
#ifndef ONE_ROW
        :: r == 0 && !EXISTS(1) && TOTAL == 0 ->
            row[1].made = epoch; row[1].marked = false; row[1].late = false; row[1].over = false;
            row[1].said_not = false;
#ifdef MUTANT_again_runs_unasked
            row[1].st = APPROVED
#else
            row[1].st = PENDING
#endif
#endif
        :: true
        fi
    fi
}
proctype Person() {
end:
    do
    :: atomic { SETTLEABLE(0) -> settle_by(0) }
    :: atomic { SETTLEABLE(1) -> settle_by(1) }
    od
}

/* ---------------------------------------------------------------- restore */
#ifdef RESTORE
mtype snap_st[2];
byte snap_fence[2], snap_made;
inline recovered(r) {
    if
    :: row[r].st == APPROVED || row[r].st == CLAIMED -> move(r, VOIDED)
#ifndef MUTANT_recover_keeps_pending
    :: row[r].st == PENDING -> move(r, CANCELLED)
#endif
    :: row[r].st == DISPATCHED -> move(r, UNKNOWN)
    :: else -> skip
    fi
}
#ifdef MUTANT_epoch_inside_the_database
#define SEES_IT false /* it was restored along with the rest */
#else
#define SEES_IT true
#endif
/* Nothing of before is under way any more: what was sent has ended, what was marked is too late. */
#ifdef MUTANT_recover_does_not_wait
#define QUIET true
#else
#define QUIET (row[0].flight == 0 && row[1].flight == 0)
#endif
proctype Restorer() {
    atomic { /* any time; a dump, or what a standby has got so far */
        snap_st[0] = row[0].st; snap_fence[0] = row[0].fence;
        snap_st[1] = row[1].st; snap_fence[1] = row[1].fence; snap_made = row[1].made
    }
    atomic { /* any time later, over what happened meanwhile */
        row[0].st = snap_st[0]; row[0].fence = snap_fence[0];
        row[1].st = snap_st[1]; row[1].fence = snap_fence[1]; row[1].made = snap_made;
        row[0].locked = false; row[1].locked = false; marking = 0; epoch++;
        frozen = SEES_IT
    }
    if
    :: !frozen -> skip
    :: else ->
        atomic { QUIET -> /* and the deadlines of what was marked are over */
#ifndef MUTANT_recover_does_not_wait
            row[0].late = true; row[1].late = true; row[0].over = true; row[1].over = true;
#endif
            recovered(0); recovered(1); frozen = false; WITNESS(RECOVERS) }
    fi
}
#endif

active proctype Start() {
    atomic {
        row[0].st = PENDING;
        run Decider(); run Worker(1); run Worker(2); run Upstream(); run Clock();
        run Sweep(); run Expirer(); run Person();
#ifdef MEANWHILE
        run World(); run Stopper(); run Canceller()
#endif
#ifdef RESTORE
        run Restorer()
#endif
    }
end:
    timeout -> PROMISE(STUCK, DONE(0) && DONE(1) && !frozen)
}
