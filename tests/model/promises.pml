/* What the models promise. A check names its promise, so that a mutant can be asked to break just
 * that one: with -DONLY=NAME all other checks are off. */
#define MOVES    1 /* no change of state that the table does not have */
#define FINAL    2 /* a final state stays */
#define EFFECTS  3 /* at most one effect, also where a person said "run it again" */
#define QUORUM   4 /* no effect without an approving quorum that held in the marking transaction */
#define DECIDED  5 /* one decision, and the one that the votes say */
#define TRUTH    6 /* "done" only where it happened, "it did not happen" only where it never will */
#define OWNER    7 /* only the present claim's owner marks */
#define STOPPED  8 /* nothing is marked after a stop was committed */
#define STUCK    9 /* when nothing can go on, every approval is final */

/* What the models must get to: a search that never comes there shows nothing. With -DONLY=NAME,
 * getting there is the error that spin reports. */
#define DECIDES    20
#define AGAIN_RUNS 21
#define VOIDS      22
#define RECOVERS   23

#ifdef ONLY
#define WITNESS(name) assert(ONLY != name)
#define PROMISE(name, claim) assert(ONLY != name || (claim))
#else
#define WITNESS(name) skip
#define PROMISE(name, claim) assert(claim)
#endif
