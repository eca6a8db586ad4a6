/* Shared inside this folder, the worker's side. */
#ifndef FLOPINIO_HOST_HOST_PRIV_H
#define FLOPINIO_HOST_HOST_PRIV_H

#include "flopinio/base/arena.h"
#include "flopinio/base/bucket.h"
#include "flopinio/base/log.h"
#include "runtime/host/frame.h"
#include "runtime/host/host.h"
#include "runtime/host/setup.h"
#include "runtime/io/child.h"
#include "runtime/io/watch.h"

struct fl_host_thread;
struct fl_pipe;

struct fl_host {
    struct fl_loop *loop;
    char *program;
    unsigned instance_count;
};

/* Where a slot stands. A slot is one place for a plugin process: an instance has one for the work
 * and one for previews, which runs read-only. */
#define FL_SLOT_STATES(X)                                                                          \
    X(STOPPED, "stopped")         /* no process */                                                 \
    X(STARTING, "starting")       /* waits for READY; `timer`: the start deadline */               \
    X(READY, "ready")             /* `timer`: idle */                                              \
    X(CLOSING, "closing")         /* CLOSE was sent; `timer`: the kill */                          \
    X(ENDING, "ending")           /* killed or dead, not reaped; `timer`: patience */              \
    X(BACKING_OFF, "backing off") /* no process; `timer`: the next start */
enum fl_slot_state {
#define X(name, text) FL_SLOT_##name,
    FL_SLOT_STATES(X)
#undef X
};

struct fl_slot {
    struct fl_host_instance *instance;
    enum fl_setup_mode mode;
    enum fl_slot_state state;
    struct fl_timer timer;
    struct fl_post pump; /* at the turn's end: starts, sends, closes */
    /* ---- the process or thread in hand ---- */
    struct fl_child child;
    struct fl_host_thread *thread;
    int fd;               /* our end of a process's socket; -1 = none */
    struct fl_pipe *pipe; /* our end of a thread's pipe; NULL = none */
    struct fl_watch watch;
    bool was_ready;
    bool is_garbage;        /* what it sends is not read any more */
    bool has_closed_socket; /* without being told to end */
    bool wants_replacement; /* much CPU time used: a fresh one takes the next call */
    struct fl_buf in, out;
    size_t out_sent;
    struct fl_bucket notes, logs;
    struct fl_description *description;
    /* ---- calls ---- */
    struct fl_list queued, running;
    uint32_t queued_count, running_count;
    uint32_t turn_count; /* calls that were told that it is their turn, and have not gone */
    uint64_t next_job;
    /* ---- history ---- */
    struct fl_err death;      /* why the process in hand is being ended; code FL_OK = not known */
    struct fl_err last_error; /* of the process before, for those who wait or ask */
    bool could_not_start;     /* the last start failed: calls are refused until the next try */
    unsigned failures_in_a_row;
    uint64_t starts, failures;
};

struct fl_host_instance {
    struct fl_host *host;
    struct fl_arena *arena;
    struct fl_host_config config; /* strings in the arena; configuration NULL, it is in setup */
    struct fl_str setup;          /* the members of fl_setup_put */
    char id_text[FL_UUID_TEXT], organization_text[FL_UUID_TEXT];
    struct fl_slot slots[2];
    size_t slot_count; /* 1 for in-process and describe */
    bool is_stopping, is_killing;
    struct fl_op *stop;                /* completes when all slots are stopped */
    struct fl_host_describe *describe; /* a throw-away instance's purpose */
};

#define FL_SLOT_LOG(level, event, slot, ...)                                                       \
    FL_LOG(level, event, FL_KS("org", (slot)->instance->organization_text),                        \
           FL_KS("instance", (slot)->instance->config.name), __VA_ARGS__)

/* ---- slot.c: the life of a process ---- */
void fl_slot_init(struct fl_slot *slot, struct fl_host_instance *instance, enum fl_setup_mode mode);
/* Does what is due at the end of this turn. */
void fl_slot_wake(struct fl_slot *slot);
/* Ends the process in hand now; the first reason counts. Its running calls end when it is dead. */
void fl_slot_kill(struct fl_slot *slot, enum fl_code code, const char *fmt, ...) FL_PRINTF(3, 4);
const char *fl_slot_state_name(enum fl_slot_state state);
void fl_slot_on_ready(struct fl_slot *slot, struct fl_description *description /* stolen */);
/* A plugin that was described opened, or did not, and this is why. */
void fl_slot_on_tried(struct fl_slot *slot, struct fl_str why);
/* The process sent what our side of it would not: "sent ...". */
void fl_slot_on_garbage(struct fl_slot *slot, const char *what);
void fl_slot_on_socket_closed(struct fl_slot *slot);
/* The process or thread has ended, with this clause; called once per successful spawn. is_clean:
 * it did so by itself, without a crash. */
void fl_slot_on_ended(struct fl_slot *slot, const char *how, bool is_clean);

/* ---- spawn.c: processes and threads ---- */
/* A fresh process or thread and its socket; FL_IO, FL_NOMEM. */
enum fl_code fl_slot_spawn(struct fl_slot *slot, struct fl_err *err) FL_MUST_CHECK;
/* Tells the process or thread to go, by force; its end arrives later. */
void fl_slot_force_end(struct fl_slot *slot);
/* It did not go: a thread is left behind; a process (stuck in the kernel) is waited for, but its
 * calls end now. */
void fl_slot_lose_patience(struct fl_slot *slot);

/* ---- wire.c: bytes ---- */
/* Sends what is queued, as far as the plugin takes it. */
void fl_slot_send(struct fl_slot *slot);
/* Starts watching the socket; false on failure. */
bool fl_slot_watch(struct fl_slot *slot);
/* Reads and handles what has come, until there is no more. */
void fl_slot_drain(struct fl_slot *slot);
/* A thread's pipe has something for the loop. */
void fl_slot_on_pipe(void *slot);
/* Frames in `out` but for calls. */
void fl_slot_put_setup(struct fl_slot *slot);
void fl_slot_put_close(struct fl_slot *slot);

/* ---- call.c: calls ---- */
/* Takes the next queued call that may run and appends its frame to slot->out; false if there is
 * none. Calls that cannot run are ended on the way. */
struct fl_host_call *fl_call_next(struct fl_slot *slot);
bool fl_call_has_room(const struct fl_slot *slot);
/* Its frame did not leave: back to the head of the queue. */
void fl_call_unsend(struct fl_host_call *call);
struct fl_host_call *fl_call_find(struct fl_slot *slot, uint64_t job);
/* Frames about one call; false: garbage. */
bool fl_call_on_result(struct fl_host_call *call, struct fl_str payload);
bool fl_call_on_progress(struct fl_host_call *call, struct fl_str payload);
bool fl_call_on_message(struct fl_host_call *call, struct fl_str payload);
/* Ends all of them; `err` says why. */
void fl_calls_end_queued(struct fl_slot *slot, const struct fl_err *err);
void fl_calls_end_running(struct fl_slot *slot, const struct fl_err *err);

/* ---- instance.c ---- */
/* A slot has nothing to do: completes a stop or a describe when all have stopped. The instance may
 * be gone when this returns. */
void fl_instance_on_stopped(struct fl_host_instance *instance);
struct fl_slot *fl_instance_slot(struct fl_host_instance *instance, enum fl_host_kind kind);

#endif
