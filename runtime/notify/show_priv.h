/* The table that tests/tools/show_table.py generates, for show.c. */
#ifndef FLOPINIO_NOTIFY_SHOW_PRIV_H
#define FLOPINIO_NOTIFY_SHOW_PRIV_H

#include <stddef.h>
#include <stdint.h>

/* Bits 0 to 20: the first code point of a run; 21 to 25: flags; 26 to 31: the script's number. */
extern const uint32_t fl_show_runs[];
extern const size_t fl_show_run_count;
extern const char *const fl_show_script_names[]; /* by number; 0: none */

enum {
    FL_RUN_SHOWN = 1, /* plainly printable */
    FL_RUN_MARK = 2,  /* combines with the letter before it */
    FL_RUN_WORD = 4,  /* letter, mark or digit */
    FL_RUN_WIDE = 8,  /* some terminal draws it in two cells */
    FL_RUN_RTL = 16,  /* runs from right to left */
};

#endif
