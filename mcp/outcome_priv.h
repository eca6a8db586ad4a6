/* Shared by outcome.c and tasks.c. Not for other folders. */
#ifndef FL_MCP_OUTCOME_PRIV_H
#define FL_MCP_OUTCOME_PRIV_H

#include "mcp/outcome.h"

/* Appends a text of the tables with its %-fields filled in and its [ ] sections decided. */
void fl_mcp_expand(struct fl_buf *out, const char *text, const struct fl_mcp_outcome *words);

#endif
