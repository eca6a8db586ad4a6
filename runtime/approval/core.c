/* What one worker has. */
#include "runtime/approval/core.h"

#include "runtime/approval/hub.h"
#include "runtime/approval/intakes.h"
#include "runtime/approval/org.h"
#include "runtime/approval/registry.h"
#include "runtime/approval/sweep.h"

const struct fl_core_times fl_core_times_default = { .lease_ms = 15000,
                                                     .dispatch_ms = 5000,
                                                     .execute_ms = 60000,
                                                     .grace_ms = 5000,
                                                     .leave_ms = 120000,
                                                     .preview_ms = 5000,
                                                     .sweep_ms = 1000,
                                                     .settle_retry_ms = 1000 };
const struct fl_core_limits fl_core_limits_default = { .pending_max = 20,
                                                       .result_max_bytes = 1 << 20,
                                                       .in_flight_bytes = 64 << 20 };

enum fl_code fl_core_open(struct fl_core *core, struct fl_err *err)
{
    fl_list_init(&core->calls);
    fl_list_init(&core->runs);
    fl_list_init(&core->sent);
    fl_list_init(&core->doubts);
    enum fl_code code = fl_audit_batch_new(core->loop, core->pg, &core->audit, err);
    if (code == FL_OK)
        code = fl_intakes_new(core->loop, core->pg, &core->intakes, err);
    if (code == FL_OK)
        code = fl_hub_new(core, &core->hub, err);
    if (code == FL_OK)
        code = fl_orgs_new(core, &core->orgs, err);
    if (code == FL_OK)
        code = fl_sweep_new(core, &core->sweep, err);
    if (code == FL_OK)
        code = fl_registry_new(core, &core->registry, err);
    if (code)
        fl_core_close(core);
    return code;
}

void fl_core_close(struct fl_core *core)
{
    fl_registry_free(&core->registry);
    fl_sweep_free(&core->sweep);
    fl_orgs_free(&core->orgs);
    fl_hub_free(&core->hub);
    fl_intakes_free(&core->intakes);
    fl_audit_batch_free(&core->audit);
}

struct fl_place fl_core_place(const struct fl_uuid *organization, const struct fl_uuid *approval,
                              const char *column, char text[FL_UUID_TEXT])
{
    return (struct fl_place){ .organization = *organization,
                              .table = "approval",
                              .column = column,
                              .row = fl_str_of(fl_uuid_format(approval, text)) };
}
