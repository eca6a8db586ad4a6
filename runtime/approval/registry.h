/* The registry of tools: asks a server what it offers and records it. A definition that nobody
 * accepted, or that is not the accepted one any more, is recorded as such and thereby quarantined:
 * a pin changes only by `tool accept`. Asked when a server is added or changed, when a worker first
 * takes the sweep's lease (a new release may bring new plugins), when a plugin answers that it
 * knows another definition, and on demand. Loop thread only. */
#ifndef FLOPINIO_APPROVAL_REGISTRY_H
#define FLOPINIO_APPROVAL_REGISTRY_H

#include "flopinio/base/flow.h"
#include "runtime/approval/org.h"

struct fl_refresh {
    struct fl_flow flow;
    /* ---- inputs ---- */
    struct fl_core *core;
    struct fl_uuid organization, server;
    enum fl_actor actor; /* who asked, for the audit */
    struct fl_uuid actor_id;
    /* ---- outputs ---- */
    unsigned fresh, changed, gone, same;
    char note[FL_ERR_TEXT_BYTES]; /* why it could not be asked, or does not open; or "" */
    /* ---- private ---- */
    struct fl_op *op;
    struct fl_arena *arena;
    struct fl_org *org;              /* held until the end */
    const struct fl_org_server *row; /* the server, in org; from the step found on */
    struct fl_org_load load;
    struct fl_host_describe describe;
    struct fl_tx tx;
    struct fl_query *q_tools;
    struct fl_post post;
    bool is_written, was_known; /* the organization was in use here before */
};

/* FL_OK also when the server could not be asked: that is recorded in its note. FL_NOT_FOUND,
 * FL_UNAVAILABLE. Not cancellable. Zeroed, or finished before. */
enum fl_code fl_refresh_start(struct fl_op *op, struct fl_refresh *refresh) FL_MUST_CHECK;

/* The name under which a server's tool is published: "files__read"; or, when the operator gave the
 * instance a prefix of its own, that and the name. In the arena. FL_BAD_PARAMS, FL_CONFIG. */
enum fl_code fl_registry_publish(struct fl_arena *arena, struct fl_str server,
                                 struct fl_str config_json, const char *name, struct fl_str *ret,
                                 struct fl_err *err) FL_MUST_CHECK;

struct fl_registry;
enum fl_code fl_registry_new(struct fl_core *core, struct fl_registry **ret,
                             struct fl_err *err) FL_MUST_CHECK;
/* Nothing may be under way any more (fl_registry_is_idle). */
void fl_registry_free(struct fl_registry **registry);
/* In the background, one server after the other; with rests when there are very many. */
void fl_registry_ask(struct fl_registry *registry, const struct fl_uuid *organization,
                     const struct fl_uuid *server);
/* Every server of every organization. */
void fl_registry_ask_all(struct fl_registry *registry);
/* Begins nothing more. */
void fl_registry_stop(struct fl_registry *registry);
bool fl_registry_is_idle(const struct fl_registry *registry);

#endif
