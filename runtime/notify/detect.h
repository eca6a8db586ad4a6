/* Finds well-known secrets in a text: keys and tokens of common services, JSON web tokens, private
 * key blocks, passwords in addresses, our own tokens. The card renderer hides exactly what was
 * found. Each format is narrow (its alphabet, its length, no blanks), because whatever a format
 * admits an agent could hide from the person who decides. Pure; any thread. */
#ifndef FLOPINIO_NOTIFY_DETECT_H
#define FLOPINIO_NOTIFY_DETECT_H

#include "flopinio/base/str.h"

struct fl_detected {
    size_t from, to;  /* the bytes [from, to) of the text */
    const char *what; /* "GitHub token" */
};

/* The first secret at or behind `from`; false if there is none. `name` is what the value is called
 * (a member's name), for formats without a mark of their own; may be empty. */
bool fl_detect_secret(struct fl_str text, struct fl_str name, size_t from, struct fl_detected *ret);

#endif
