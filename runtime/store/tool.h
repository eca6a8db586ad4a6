/* Tables server and tool. `audit`: a sealed row, written only with the change. Loop thread. */
#ifndef FLOPINIO_STORE_TOOL_H
#define FLOPINIO_STORE_TOOL_H

#include "runtime/io/pg.h"
#include "runtime/store/audit.h"

/* Columns: server_id, name, kind, plugin, config, environment, account, is_enabled, note. */
struct fl_query *fl_store_servers(struct fl_tx *tx);
/* Returns server_id, or no row when the name is taken. */
struct fl_query *fl_store_server_create(struct fl_tx *tx, const struct fl_uuid *id,
                                        struct fl_str name, struct fl_str plugin,
                                        struct fl_str config_json, struct fl_str environment,
                                        struct fl_str account, const struct fl_audit_row *audit);
/* p NULL leaves that as it is; is_enabled < 0 too. Returns server_id. */
struct fl_query *fl_store_server_update(struct fl_tx *tx, struct fl_str name,
                                        struct fl_str config_json, struct fl_str environment,
                                        struct fl_str account, int is_enabled,
                                        const struct fl_audit_row *audit);
void fl_store_server_note(struct fl_tx *tx, const struct fl_uuid *id, struct fl_str note);
/* One who records what a server offers at a time. */
void fl_store_server_lock(struct fl_tx *tx, const struct fl_uuid *id);
/* Of all organizations, switched on. Columns: organization id, server id. */
struct fl_query *fl_store_sweep_servers(struct fl_tx *tx);
struct fl_query *fl_store_server_remove(struct fl_tx *tx, struct fl_str name,
                                        const struct fl_audit_row *audit);

/* Columns: server_id, name, published, definition, digest, accepted_definition, accepted_digest,
 * accepted_effects, secrets, is_quarantined, is_gone, changed_at ms. server NULL: of all. */
struct fl_query *fl_store_tools(struct fl_tx *tx, const struct fl_uuid *server);
/* One, the same columns. */
struct fl_query *fl_store_tool(struct fl_tx *tx, struct fl_str published);
/* What the server says today; a pin stays as it is, so that a changed digest quarantines by
 * itself. Columns: was_new, was_changed. */
struct fl_query *fl_store_tool_seen(struct fl_tx *tx, const struct fl_uuid *server,
                                    struct fl_str name, struct fl_str published,
                                    struct fl_str definition, struct fl_str digest);
struct fl_query *fl_store_tool_gone(struct fl_tx *tx, const struct fl_uuid *server,
                                    struct fl_str name);
/* Pins today's definition if its digest is still `digest`. Returns published. */
struct fl_query *fl_store_tool_accept(struct fl_tx *tx, struct fl_str published,
                                      struct fl_str digest, const char *effects,
                                      struct fl_str secrets_json, const struct fl_audit_row *audit);
/* Pins this definition of a tool that its server does not offer now, or changes effects and secrets
 * of the pin that is there. Returns published. */
struct fl_query *fl_store_tool_pin(struct fl_tx *tx, struct fl_str published, struct fl_str digest,
                                   struct fl_str definition, const char *effects,
                                   struct fl_str secrets_json, const struct fl_audit_row *audit);
/* A pin of a tool that its server was not yet seen to offer: until then it is gone. Returns
 * published, or no row when there is no such server or the name is taken. */
struct fl_query *fl_store_tool_coming(struct fl_tx *tx, struct fl_str server, struct fl_str name,
                                      struct fl_str published, struct fl_str digest,
                                      struct fl_str definition, const char *effects,
                                      struct fl_str secrets_json, const struct fl_audit_row *audit);
/* Every server and tool of the organization, in a fixed order; before the organization's lock. */
void fl_store_servers_lock(struct fl_tx *tx);
struct fl_query *fl_store_tool_quarantine(struct fl_tx *tx, struct fl_str published,
                                          const struct fl_audit_row *audit);

#endif
