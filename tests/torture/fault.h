/* What a process under torture shares with who tortures it: which of its events fails. A page of
 * the file that FL_FAULT_FILE names (fault.py), or the program's own memory (torture.c). */
#ifndef FL_TEST_FAULT_H
#define FL_TEST_FAULT_H

#include <stdint.h>

enum fault_kind {
    FAULT_NOTHING,
    FAULT_MEMORY_OURS,   /* an allocation that the program itself asks for: fl_malloc, jansson */
    FAULT_MEMORY_OTHERS, /* one that a library asks for */
    FAULT_SQL_ERROR,     /* a statement: the server says no */
    FAULT_SQL_LOST,      /* what is sent to the database: the connection ends before it */
    FAULT_SQL_DOUBT,     /* the connection ends behind it: carried out, and no answer */
    FAULT_SEND_ERROR,    /* to a client: EPIPE */
    FAULT_SEND_SHORT,    /* to a client: a byte goes now, the rest is asked for again */
    FAULT_PLUGIN_ERROR,  /* to a plugin's process: EPIPE */
    FAULT_PLUGIN_SHORT,
    FAULT_MEMORY_ANY /* either of the first two */
};

struct fault {
    _Atomic int32_t pid;  /* whom it is for; 0: nobody */
    _Atomic int32_t kind; /* enum fault_kind */
    _Atomic int64_t at;   /* this event since it was armed fails, once */
    _Atomic int64_t seen; /* events since */
    _Atomic int64_t live; /* bytes that are allocated, looked at now and then; sanitizer builds */
    _Atomic int32_t live_pid;
    _Atomic int32_t is_telling;   /* 1: where it failed goes to stderr */
    _Atomic int32_t is_profiling; /* 1: of live_pid's memory, to stderr, once; sanitizer builds */
    _Atomic int32_t leak; /* a canary: bytes that are kept for ever at each send to a client */
};

/* The same page for both sides. */
extern struct fault *fault;

#endif
