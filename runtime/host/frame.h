/* Frames between a worker and a plugin process: a fixed head, then fields. Both ends are the same
 * program on the same machine (a version in the first frame says so), hence native byte order.
 * What comes from the plugin's side is untrusted: every length is checked here. Any thread. */
#ifndef FLOPINIO_HOST_FRAME_H
#define FLOPINIO_HOST_FRAME_H

#include <stdint.h>

#include "flopinio/base/buf.h"
#include "flopinio/base/str.h"

#define FL_FRAME_HEAD     16
#define FL_FRAME_PROTOCOL 1
#define FL_HOST_SOCKET    3 /* the plugin process's descriptor */

#define FL_HOST_ARGUMENTS_MAX (4u << 20)
#define FL_FRAME_START_MAX    (FL_HOST_ARGUMENTS_MAX + 4096)
#define FL_FRAME_SETUP_MAX    (4u << 20)
#define FL_FRAME_READY_MAX    (1u << 20)
#define FL_FRAME_NOTE_MAX     (72u << 10)
#define FL_FRAME_REFUSED_MAX  4096u
#define FL_NOTE_TEXT_MAX      (64u << 10) /* of a progress text, log text or message data */

/* Fields in order; `str` is a 32-bit length and bytes. An absent string has length NONE. */
enum fl_frame_type {
    /* to the plugin */
    FL_FRAME_SETUP = 1,  /* str json; first, once */
    FL_FRAME_START = 2,  /* u32 kind, str tool, str precondition, str arguments */
    FL_FRAME_CANCEL = 3, /* nothing */
    FL_FRAME_CLOSE = 4,  /* nothing: close the instance and end; no job runs */
    /* from the plugin */
    FL_FRAME_READY = 16,    /* str description (JSON) */
    FL_FRAME_REFUSED = 17,  /* str sentence: why there is no instance */
    FL_FRAME_RESULT = 18,   /* u32 outcome, u32 flags, u32 error code, str error message,
                             * u32 preview kind, str preview, str precondition, str structured,
                             * str content */
    FL_FRAME_PROGRESS = 19, /* f64 progress, f64 total, str message */
    FL_FRAME_MESSAGE = 20,  /* u32 level, str logger, str data */
    FL_FRAME_LOG = 21       /* u32 level, str text; job 0 */
};
enum { FL_RESULT_IS_LOST = 1, FL_RESULT_WANTS_REPLACEMENT = 2 };

struct fl_frame {
    uint32_t type;
    uint32_t n; /* bytes of the payload */
    uint64_t job;
};

/* ---- writing: begin, fields, end; the buffer's sticky error says if it worked ---- */
size_t fl_frame_begin(struct fl_buf *out, enum fl_frame_type type, uint64_t job);
/* Fills in the length of the frame that began at `at`. */
void fl_frame_end(struct fl_buf *out, size_t at);
void fl_frame_u32(struct fl_buf *out, uint32_t value);
void fl_frame_f64(struct fl_buf *out, double value);
void fl_frame_str(struct fl_buf *out, struct fl_str s); /* p NULL = absent */
/* Only the length in front of n bytes that follow by other means, which `end` must count. */
void fl_frame_head(char out[FL_FRAME_HEAD], const struct fl_frame *frame);

/* ---- reading ---- */
/* `bytes` holds at least FL_FRAME_HEAD bytes. */
struct fl_frame fl_frame_read_head(const char *bytes);
/* The largest payload that this type may have, given the output limit of one call; 0 = unknown
 * type, or one that only the other side sends. */
uint32_t fl_frame_max_from_plugin(uint32_t type, uint64_t output_bytes);
uint32_t fl_frame_max_to_plugin(uint32_t type);

struct fl_fields {
    const char *p;
    size_t n, at;
    bool is_bad; /* sticky: something did not fit; what was read since is zero or absent */
};
struct fl_fields fl_fields_of(const char *payload, size_t n);
uint32_t fl_fields_u32(struct fl_fields *f);
double fl_fields_f64(struct fl_fields *f);
struct fl_str fl_fields_str(struct fl_fields *f); /* borrowed; p NULL when absent */
/* All read, nothing left over, nothing bad. */
bool fl_fields_end(const struct fl_fields *f);

#endif
