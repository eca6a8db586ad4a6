/* A descriptor watched for reading, at times for writing too; whoever watches reads and writes
 * itself. Embedded in its owner. Loop thread only. */
#ifndef FLOPINIO_IO_WATCH_H
#define FLOPINIO_IO_WATCH_H

#include "runtime/io/loop.h"

struct fl_watch {
    uv_poll_t poll;
    /* An error on the descriptor shows as readable: the read sees it. */
    void (*ready)(struct fl_watch *watch, bool is_readable, bool is_writable);
    void (*closed)(struct fl_watch *watch);
    bool is_open;
    enum { FL_WATCH_NOTHING, FL_WATCH_READ, FL_WATCH_READ_AND_WRITE } wants;
};

/* Watches for reading; false if it cannot be done, then nothing is open. The descriptor becomes
 * non-blocking. */
bool fl_watch_open(struct fl_watch *watch, struct fl_loop *loop, int fd,
                   void (*ready)(struct fl_watch *watch, bool is_readable, bool is_writable));
/* Costs nothing when nothing changes. */
void fl_watch_read(struct fl_watch *watch, bool and_write);
void fl_watch_pause(struct fl_watch *watch);
/* `closed` is called later, from the loop; only then the descriptor may be closed and the memory
 * go. */
void fl_watch_close(struct fl_watch *watch, void (*closed)(struct fl_watch *watch));

#endif
