/* What changes of agents and of their credentials share. Loop thread only. */
#ifndef FLOPINIO_CONSOLE_AGENTS_H
#define FLOPINIO_CONSOLE_AGENTS_H

#include "runtime/console/change.h"
#include "runtime/store/person.h"

/* The row of this name in fl_store_agents, or -1. */
int fl_agent_row(const struct fl_query *agents, struct fl_str name);
/* The path's agent, unless it was revoked; false: answered (404, 409). */
bool fl_agent_find(struct fl_api *a, const struct fl_query *agents, struct fl_uuid *ret_id,
                   int *ret_row);
/* An event for each row of fl_store_credential_revoke, to a->tx. */
void fl_agent_append_revoked(struct fl_api *a, const struct fl_query *revoked, struct fl_str agent);

#endif
