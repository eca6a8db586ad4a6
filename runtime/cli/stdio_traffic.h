/* What the stdio bridge must know of the messages that pass through it: which requests are open, so
 * that a lost connection leaves no client waiting for ever, and the legacy handshake, so that it
 * can be made again on a new connection. Lines are passed on as they are. One thread; no I/O. */
#ifndef FLOPINIO_CLI_STDIO_TRAFFIC_H
#define FLOPINIO_CLI_STDIO_TRAFFIC_H

#include "flopinio/base/buf.h"

struct fl_traffic_request {
    char *id; /* as the client wrote it: a number, or a string with quotes */
    size_t n;
};

struct fl_traffic {
    struct fl_traffic_request *open;
    size_t count, capacity;
    struct fl_buf initialize;    /* the client's own line, of the legacy eras; empty: none */
    struct fl_buf initialize_id; /* its id */
    bool is_initialized;         /* the client said notifications/initialized */
    bool is_replaying;           /* our own initialize is out; its answer is not the client's */
};

enum fl_traffic_line {
    FL_TRAFFIC_PASS,    /* for the client */
    FL_TRAFFIC_OURS,    /* the answer to our own initialize */
    FL_TRAFFIC_REFUSED, /* and it was refused */
    FL_TRAFFIC_LEAVING  /* the worker stops: it answers what it has, and takes nothing more */
};

void fl_traffic_fini(struct fl_traffic *traffic);
/* A line of the client, without line end. False on no memory. Anything is passed on: what is no
 * message is the runtime's to refuse. */
bool fl_traffic_from_client(struct fl_traffic *traffic, struct fl_str line) FL_MUST_CHECK;
/* A line of the runtime. */
enum fl_traffic_line fl_traffic_from_runtime(struct fl_traffic *traffic,
                                             struct fl_str line) FL_MUST_CHECK;
/* The connection is lost: an error line for each open request; none is open afterwards. An
 * initialize that was not answered is kept: the new connection answers it. */
void fl_traffic_lost(struct fl_traffic *traffic, const char *why, struct fl_buf *out);
/* What a new connection has to hear first, and the client then. */
void fl_traffic_again(struct fl_traffic *traffic, struct fl_buf *to_runtime,
                      struct fl_buf *to_client);

#endif
