/* Child processes: the one door. Each child leads a session of its own, holds exactly the
 * descriptors that it is given, is reaped, and its output is read line by line and rate-limited.
 * Loop thread only. */
#ifndef FLOPINIO_IO_CHILD_H
#define FLOPINIO_IO_CHILD_H

#include "flopinio/base/bucket.h"
#include "flopinio/base/buf.h"
#include "runtime/io/watch.h"

#define FL_CHILD_FDS 4
enum {
    FL_CHILD_NULL = -1,  /* /dev/null; for 3: closed */
    FL_CHILD_OUTPUT = -2 /* the pipe whose lines on_line sees; for 1 and 2 */
};

struct fl_child_options {
    const char *program;      /* a path; no search */
    char *const *arguments;   /* NULL-terminated; [0] is the name */
    char *const *environment; /* NULL-terminated, the whole of it; NULL = empty */
    /* What becomes the child's 0..3: a descriptor of ours (the caller closes its copy after the
     * start), or one of the above. */
    int fds[FL_CHILD_FDS];
    /* Kill also what outlives it after leaving its session: this process adopts orphans (it
     * becomes a child subreaper), and at the end of such a child every orphan is killed that
     * carries the mark of fl_child_mark_strays. */
    bool kills_strays;
};

struct fl_child {
    /* Set before the start. A line of output without its end, at most 1000 bytes (longer ones
     * come in pieces); `dropped` lines before it were over the rate. Optional. */
    void (*on_line)(struct fl_child *child, struct fl_str line, uint64_t dropped);
    /* Once, from the loop, when the process has ended, its output is read, its strays are dead
     * and every handle is closed: the memory may go. Not after a failed start. */
    void (*on_end)(struct fl_child *child);
    int pid;         /* 0 when there is no process (any more) */
    int exit_code;   /* valid in on_end */
    int exit_signal; /* valid in on_end: 0 = it exited */
    /* ---- own ---- */
    struct fl_loop *loop;
    struct fl_list link; /* of all children of this process */
    uv_process_t *process;
    struct fl_watch output;
    int output_fd;
    struct fl_timer timer; /* running: reads again; ended: looks for strays again */
    struct fl_bucket lines;
    uint64_t dropped;
    size_t window_bytes;
    int64_t window_ms;
    unsigned open_handles, stray_rounds;
    bool kills_strays, is_ended, is_swept;
    size_t line_n;
    char line[1000];
};

/* FL_IO when the program cannot be started. */
enum fl_code fl_child_start(struct fl_child *child, struct fl_loop *loop,
                            const struct fl_child_options *options,
                            struct fl_err *err) FL_MUST_CHECK;
/* To its whole session's group; harmless when it has ended. */
void fl_child_kill(struct fl_child *child, int signal);

/* In the child, before code that is not trusted runs: marks it and all that it will start. */
enum fl_code fl_child_mark_strays(struct fl_err *err) FL_MUST_CHECK;
/* Is that process marked, whoever started it? True also when it cannot be found out, as when it has
 * ended; false where this process is marked itself, so that nothing can be told. */
bool fl_child_may_be_stray(long pid);

/* A clause on how a process ended: "exited with code 1", "was ended by signal 11 (Segmentation
 * fault)". */
void fl_child_end_text(const struct fl_child *child, char *out, size_t n);

#endif
