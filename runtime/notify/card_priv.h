/* Shared by the files of the card renderer. Lines are collected in a buffer, a '\n' between two of
 * them: shown text never has one. */
#ifndef FLOPINIO_NOTIFY_CARD_PRIV_H
#define FLOPINIO_NOTIFY_CARD_PRIV_H

#include "flopinio/base/buf.h"
#include "runtime/notify/card.h"
#include "runtime/notify/show.h"

#define FL_CARD_DEPTH        64 /* containers in one another (fl_scan_call) */
#define FL_CARD_NEEDLES      64
#define FL_CARD_NEEDLE_BYTES 4 /* shorter ones would be found everywhere */

/* One step of a path into the arguments. */
struct fl_card_step {
    bool is_item;
    struct fl_str name; /* decoded */
    size_t index;
};

struct fl_card_ctx {
    const struct fl_card_facts *facts;
    struct fl_arena *arena;
    bool is_readable; /* the arguments are canonical JSON */
    /* Values of secret arguments, looked for in whatever is not an argument. In arguments they are
     * not: an agent could choose a secret so as to hide other words. */
    struct fl_str needles[FL_CARD_NEEDLES];
    size_t needle_count;
    bool has_too_many; /* more than there is room for */
};

/* What a try leaves out. */
enum fl_card_fit {
    FL_CARD_FIT_ALL,
    FL_CARD_FIT_NO_PREVIEW,
    FL_CARD_FIT_NO_ARGS,
    FL_CARD_FIT_NEITHER,
    FL_CARD_FIT_LEAST, /* title, status, id */
};

/* One try at a card. */
struct fl_card_build {
    struct fl_card_ctx ctx;
    size_t max; /* bytes of any block */
    enum fl_card_fit fit;
    const char *unreadable; /* why the arguments cannot be shown at all; NULL: they can */
    struct fl_card_block blocks[FL_CARD_AGENT + 1];
    size_t count;
    bool is_over; /* a block is larger than max */
    bool has_no_memory;
};

/* ---- card_blocks.c ---- */
/* Makes all blocks but the agent's words anew. */
void fl_card_add_blocks(struct fl_card_build *b);
/* Adds the agent's words, `chars` of them at most; no block if there are none. */
void fl_card_add_words(struct fl_card_build *b, size_t chars);
/* Why this card is not whole; nothing if it is. */
void fl_card_put_why_not(const struct fl_card_build *b, struct fl_buf *out);

/* ---- card_secret.c ---- */
/* "secret, GitHub token, hmac-sha256:ab12cd34, 40 characters"; `what` may be NULL. */
void fl_card_put_secret(const struct fl_card_ctx *ctx, struct fl_buf *out, const char *what,
                        struct fl_str value);
/* Whether an operator's pointer names this place or one above it. */
bool fl_card_is_secret(const struct fl_card_facts *facts, const struct fl_card_step *path,
                       size_t depth);
/* Shown text with the secrets in it replaced by `\(secret, ...)`. */
struct fl_card_shown {
    struct fl_str text, name; /* name: of the value, for the detectors */
    unsigned flags;           /* enum fl_show_flag */
    bool has_needles;         /* look for ctx->needles too */
    bool has_lines;           /* a line end becomes a new line behind a margin mark, not `\n` */
    size_t cut;               /* show so many bytes; a secret across the cut is named whole */
    /* out */
    bool has_secret;
    size_t line_count; /* 1 or more */
    size_t end;        /* bytes of the text that the shown text stands for */
    struct fl_show_notes notes;
};
void fl_card_show(const struct fl_card_ctx *ctx, struct fl_buf *out, struct fl_card_shown *shown);
/* Names and other short texts within a sentence of ours: composed, mixed scripts flagged. */
void fl_card_name(const struct fl_card_ctx *ctx, struct fl_buf *out, struct fl_str text,
                  unsigned flags);
/* " (mixed scripts: ...)" with `before` in front; nothing if there is nothing to say. */
void fl_card_notes(struct fl_buf *out, const char *before, const struct fl_show_notes *notes);

/* ---- card_args.c ---- */
/* Fills ctx->needles. */
enum fl_code fl_card_find_needles(struct fl_card_ctx *ctx, struct fl_err *err);
/* All lines of the argument block. */
enum fl_code fl_card_args(const struct fl_card_ctx *ctx, struct fl_buf *out, struct fl_err *err);
/* What is said where they do not fit: size, digest, sizes of the members. */
enum fl_code fl_card_args_summary(const struct fl_card_ctx *ctx, struct fl_buf *out,
                                  struct fl_err *err);
size_t fl_card_arg_count(const struct fl_card_ctx *ctx);

/* ---- card_title.c ---- */
/* The first line. `is_below`: the arguments stand whole on the card. */
enum fl_code fl_card_title(const struct fl_card_ctx *ctx, bool is_below, struct fl_buf *out,
                           struct fl_err *err);
/* "files__delete with 2 arguments". */
void fl_card_plain_title(const struct fl_card_ctx *ctx, struct fl_buf *out);

#endif
