/* What stands for the socket between the loop and the thread of an in-process plugin: frames in
 * memory, both ways. The loop's side never waits; the thread's side waits for what comes to it.
 * Each side holds a reference, and closes it when it goes. */
#ifndef FLOPINIO_HOST_PIPE_H
#define FLOPINIO_HOST_PIPE_H

#include <stdbool.h>
#include <sys/uio.h>

#include "flopinio/base/buf.h"
#include "runtime/io/loop.h"

struct fl_pipe;

/* Two references. `arrived` is called in the loop when the thread has given something or closed its
 * side, once for all that has gathered; not after fl_pipe_leave. NULL: no memory. */
struct fl_pipe *fl_pipe_new(struct fl_loop *loop, void (*arrived)(void *ctx), void *ctx);

/* ---- the loop's side ---- */
/* Hands over all of `out` and empties it; false on no memory: nothing was handed over. */
bool fl_pipe_send(struct fl_pipe *pipe, struct fl_buf *out);
/* Adds what has come to `in`; false on no memory. *ret_is_over: the thread has closed its side, and
 * that was all. */
bool fl_pipe_receive(struct fl_pipe *pipe, struct fl_buf *in, bool *ret_is_over);
/* The thread finds its side closed, and what it says is dropped; the reference stays. */
void fl_pipe_shut(struct fl_pipe *pipe);
/* Gives the reference back; nulls the pointer. */
void fl_pipe_leave(struct fl_pipe **pipe);

/* ---- the thread's side; `give` and `close` from any thread of the plugin's ---- */
enum fl_pipe_taken { FL_PIPE_BYTES, FL_PIPE_NOTHING, FL_PIPE_CLOSED };
/* Adds what has come to `in`. CLOSED: also on no memory. */
enum fl_pipe_taken fl_pipe_take(struct fl_pipe *pipe, struct fl_buf *in, bool waits);
/* All of the parts; false on no memory: nothing was given. One that is closed takes and drops it.
 */
bool fl_pipe_give(struct fl_pipe *pipe, const struct iovec *parts, size_t count);
/* Nothing more will be given. */
void fl_pipe_close(struct fl_pipe *pipe);
void fl_pipe_end(struct fl_pipe **pipe);

#endif
