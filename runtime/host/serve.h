/* The plugin's side of the socket: reads frames, calls the plugin, writes answers. Runs as the
 * whole of a plugin process, or as a thread of the worker for an in-process instance. */
#ifndef FLOPINIO_HOST_SERVE_H
#define FLOPINIO_HOST_SERVE_H

#include <jansson.h>
#include <pthread.h>
#include <sys/uio.h>

#include "flopinio/base/bucket.h"
#include "flopinio/base/buf.h"
#include "flopinio/base/str.h"
#include "flopinio/plugin.h"
#include "runtime/host/frame.h"

struct fl_pipe;

struct fl_serve {
    struct flopinio_host host; /* what the plugin is handed; leads back here */
    int fd;                    /* of a process; -1 in a thread */
    struct fl_pipe *pipe;      /* of a thread */
    bool is_process;
    uint64_t output_bytes;
    uint32_t cpu_s;
    const struct flopinio_plugin *plugin;
    flopinio_instance *instance; /* what open() gave */
    bool is_open;
    json_t *configuration;
    /* ---- reading: this thread only ---- */
    struct fl_buf in;
    size_t in_at;
    /* Reads that end while they start, each within microseconds: their results leave together. */
    const struct flopinio_tool *quick_tool; /* started last */
    unsigned quick_starts;                  /* in a row */
    bool is_gathering;                      /* written by this thread only */
    /* ---- writing: any thread ---- */
    pthread_mutex_t write_lock;
    struct fl_buf gathered;
    pthread_mutex_t log_lock;
    struct fl_bucket logs;
    char last_words[256]; /* what was said with host->log last; under log_lock */
};

/* From the setup frame to the end of the socket or pipe, which is closed at the end; `fd` is
 * blocking. Returns when the worker has closed its end, or the plugin was refused or told to close.
 */
void fl_serve_process(int fd);
void fl_serve_thread(struct fl_pipe *pipe);

/* The serve loop of the calling thread, NULL on any other thread. */
struct fl_serve *fl_serve_of_thread(void);
/* On the loop's own thread, from inside a call of the plugin: takes in what the worker has sent
 * in the meantime, so that a cancel is seen. */
void fl_serve_peek(struct fl_serve *serve);
/* The worker finds the end of the stream: it must not wait for what cannot come. */
void fl_serve_break(struct fl_serve *serve);
/* Writes all of it, whichever thread; a worker that has gone is no error here. A result may be
 * kept for a moment, to leave together with the next ones. */
void fl_serve_write_result(struct fl_serve *serve, struct iovec *parts, size_t count);
void fl_serve_write(struct fl_serve *serve, struct iovec *parts, size_t count);
/* One line for the worker's log, rate-limited. */
void fl_serve_log(struct fl_serve *serve, enum flopinio_level level, const char *text);
/* CPU time of this process stands past half of its limit. */
bool fl_serve_wants_replacement(const struct fl_serve *serve);

#endif
