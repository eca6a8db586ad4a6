/* The tools: what plugin.c offers. Each stands in the file of its code. */
#ifndef FILES_TOOLS_H
#define FILES_TOOLS_H

#include "flopinio/plugin.h"

/* JSON written as it is, as a string. */
#define JSON(...) #__VA_ARGS__

extern const struct flopinio_tool tool_list, tool_stat;           /* look.c */
extern const struct flopinio_tool tool_read;                      /* read.c */
extern const struct flopinio_tool tool_search;                    /* search.c */
extern const struct flopinio_tool tool_write, tool_edit;          /* write.c */
extern const struct flopinio_tool tool_make_directory, tool_move; /* move.c */
extern const struct flopinio_tool tool_delete;                    /* delete.c */

#endif
