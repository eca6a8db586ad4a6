/* From configuration to the structs that the parts want. Owned by the worker. */
#ifndef FLOPINIO_CLI_WIRING_H
#define FLOPINIO_CLI_WIRING_H

#include "runtime/approval/core.h"
#include "runtime/cli/boot.h"
#include "runtime/console/api.h"
#include "runtime/endpoint/endpoint.h"
#include "runtime/io/http_server.h"
#include "runtime/io/http_site.h"

struct fl_wiring {
    struct fl_arena *arena;
};

void fl_wiring_core(struct fl_wiring *wiring, const struct fl_config *config, struct fl_core *core);
void fl_wiring_endpoint(struct fl_wiring *wiring, const struct fl_boot *boot,
                        struct fl_endpoint_config *ret);
/* Hosts and origins that requests may name. */
void fl_wiring_site(struct fl_wiring *wiring, const struct fl_config *config, struct fl_site *ret);
/* *ret stays NULL without certificates. */
enum fl_code fl_wiring_tls(struct fl_wiring *wiring, const struct fl_config *config,
                           struct fl_tls **ret, struct fl_err *err) FL_MUST_CHECK;
/* After SIGHUP: times, limits, hosts and origins of a configuration whose memory stays. */
void fl_wiring_reload(struct fl_wiring *wiring, const struct fl_config *config,
                      struct fl_core *core, struct fl_site *site);
void fl_wiring_fini(struct fl_wiring *wiring);

/* "127.0.0.1:7337", "[::1]:7337", "7337" -> address text and port. FL_CONFIG. */
enum fl_code fl_wiring_address(const char *text, char address[64], int *ret_port,
                               struct fl_err *err) FL_MUST_CHECK;

#endif
