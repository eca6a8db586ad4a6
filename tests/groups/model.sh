# shows: the life of an approval, searched exhaustively by spin: votes, two workers that die and stall, restore; each mutant breaks its promise
# budget: 120
# order: 25
# needs: spin gcc python3-psycopg2
# shellcheck shell=bash

# Correct models: no promise may break in any state. The models are split so that each takes seconds.
MODELS="
votes votes
run approval -DCRASHES=3
meanwhile approval -DMEANWHILE -DCRASHES=2
restore approval -DRESTORE -DONE_ROW -DCRASHES=1
restore_and_again approval -DRESTORE -DCRASHES=0
"
LONG_MODELS="
run_with_more_deaths approval -DCRASHES=5 -DCLAIMS=3
restore_with_deaths_and_again approval -DRESTORE -DCRASHES=1
"

# Mutants: the case, the bug, the promise that it must break (the others are not looked at).
MUTANTS="
votes votes_counted_without_the_lock DECIDED
votes decision_without_the_state DECIDED
votes decision_without_the_state MOVES
votes withdrawn_votes_count DECIDED
votes withdrawal_after_the_decision DECIDED
votes clicks_are_counted DECIDED
votes the_owner_counts DECIDED
votes no_recheck_at_dispatch QUORUM
run no_dispatch_marker EFFECTS
run reaper_requeues_dispatched EFFECTS
run reaper_requeues_dispatched MOVES
run stalled_worker_marks_again EFFECTS
run unconfirmed_marker_is_sent EFFECTS
run send_past_the_deadline EFFECTS
run request_without_a_timeout EFFECTS
run early_settlement EFFECTS
run person_looks_before_the_window_is_over EFFECTS
run reaper_trusts_a_clock_that_jumps EFFECTS
run again_runs_unasked QUORUM
run mark_without_the_fence OWNER
run claim_keeps_the_fence OWNER
run settle_without_the_fence TRUTH
run reaper_forgets_dispatched STUCK
meanwhile no_recheck_at_dispatch QUORUM
meanwhile recheck_before_the_lock QUORUM
meanwhile stop_passes_no_gate STOPPED
meanwhile expirer_ignores_the_lock MOVES
meanwhile expirer_ignores_the_lock FINAL
meanwhile canceller_ignores_the_lock MOVES
restore restored_rows_run_before_the_command EFFECTS
restore epoch_inside_the_database EFFECTS
restore recover_keeps_pending EFFECTS
restore_and_again recover_does_not_wait EFFECTS
"

# What the correct models must be able to get to.
WITNESSES="
votes DECIDES
run AGAIN_RUNS
meanwhile VOIDS
restore RECOVERS
"

check() { tests/model/check.sh "$FL_TMP/states.pml" "$@"; }

of() { printf '%s\n' "$MODELS" | sed -n "s/^$1 //p"; } # the model and its definitions

ends_with() { # ends_with CODE COMMAND...
    local rc=0
    "${@:2}" || rc=$?
    [ $rc -eq "$1" ] || { echo "it ended with $rc, not $1"; return 1; }
}

breaks() { # breaks MODEL MUTANT PROMISE: spin finds the way to just this promise broken
    # shellcheck disable=SC2046
    ends_with 1 check $(of "$1") "-DMUTANT_$2" "-DONLY=$3"
}

all_are_there() { # every promise has its mutant, every mutant in the models its line here
    local name bad=0
    for name in $(sed -n 's/^#define \([A-Z]*\)  *[0-9].*/\1/p' tests/model/promises.pml); do
        grep -q " $name\$" <<<"$MUTANTS$WITNESSES" || { echo "nothing is to break or reach $name"; bad=1; }
    done
    for name in $(grep -oh 'MUTANT_[a-z_]*' tests/model/*.pml | sort -u); do
        grep -q " ${name#MUTANT_} " <<<"$MUTANTS" || { echo "$name is not in the table"; bad=1; }
    done
    return $bad
}

run() {
    local name rest mutant promise
    "$FLOPINIO" generate promela >"$FL_TMP/states.pml" || { t_fail states_are_generated; return; }
    [ "$FL_LONG" != 1 ] || MODELS+=$LONG_MODELS
    while read -r name rest; do
        # shellcheck disable=SC2086
        [ -z "$name" ] || t_later "$name" check $rest
    done <<<"$MODELS"
    t_case promises_and_mutants_are_all_named all_are_there
    while read -r name mutant promise; do
        [ -z "$name" ] || t_later "${name}_mutant_${mutant}_breaks_$promise" breaks "$name" "$mutant" "$promise"
    done <<<"$MUTANTS"
    while read -r name promise; do
        [ -z "$name" ] || t_later "${name}_gets_to_$promise" breaks "$name" none "$promise"
    done <<<"$WITNESSES"
    t_together
    # The models go by the table: with an arrow less they are wrong.
    sed 's/(o == CLAIMED && n == APPROVED) || //' "$FL_TMP/states.pml" >"$FL_TMP/less.pml"
    t_case canary_a_table_with_one_arrow_less ends_with 1 tests/model/check.sh "$FL_TMP/less.pml" approval \
        -DCRASHES=1 -DONLY=MOVES
    t_case canary_a_search_that_was_cut_short ends_with 2 env FL_MODEL_MB=20 tests/model/check.sh \
        "$FL_TMP/states.pml" votes
    t_stream guard /usr/bin/python3 tests/scenario/run.py test_states
}
