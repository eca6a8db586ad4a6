/* Why a call could not do what it was asked: one sentence for the agent and for the people who
 * look at a preview. Filled by the lowest layer, passed on by the others. Any thread. */
#ifndef FILES_PROBLEM_H
#define FILES_PROBLEM_H

#include "flopinio/plugin.h"

struct problem {
    enum flopinio_outcome outcome;
    char text[800];
};

/* A tool error. All of these return -1. */
int problem_set(struct problem *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* FLOPINIO_TARGET_CHANGED: the precondition does not hold; nothing was done. */
int problem_changed(struct problem *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* "cannot VERB PATH: REASON" for an errno. */
int problem_errno(struct problem *p, int error, const char *verb, const char *path);
int problem_memory(struct problem *p);

#endif
