/* A blocking WebSocket client (RFC 6455) with the subprotocol "mcp": what an agent on this machine
 * would be. In clear and to loopback only, as it carries a credential. For the demo's agent and for
 * tests; one thread at a time, no loop. */
#ifndef FLOPINIO_IO_WS_CLIENT_H
#define FLOPINIO_IO_WS_CLIENT_H

#include <stdint.h>

#include "flopinio/base/err.h"
#include "flopinio/base/str.h"

#define FL_WS_CLIENT_MESSAGE_MAX (16u << 20) /* bytes of one message that is taken */

struct fl_ws_client;

/* Connects to `address` (numeric, 127.0.0.0/8 or ::1: FL_CONFIG otherwise) and upgrades `path` with
 * `bearer` as Authorization; all of it within timeout_ms. FL_UNAVAILABLE: nobody listens there;
 * FL_UNAUTHENTICATED, FL_FORBIDDEN: the credential; FL_TIMEOUT; FL_IO: the answer is no upgrade as
 * RFC 6455 section 4.1 wants it; FL_NOMEM. */
enum fl_code fl_ws_client_open(const char *address, uint16_t port, const char *path,
                               const char *bearer, int timeout_ms, struct fl_ws_client **ret,
                               struct fl_err *err) FL_MUST_CHECK;
/* One text message. FL_CLOSED when the connection is over; FL_NOMEM. */
enum fl_code fl_ws_client_send(struct fl_ws_client *client, struct fl_str text,
                               struct fl_err *err) FL_MUST_CHECK;
/* The next text message, valid until the next call; pings are answered on the way. FL_TIMEOUT: none
 * within timeout_ms, the connection stays usable; FL_CLOSED, with the code that the peer gave;
 * FL_IO: the peer broke the protocol (the connection is over); FL_NOMEM. */
enum fl_code fl_ws_client_receive(struct fl_ws_client *client, int timeout_ms, struct fl_str *ret,
                                  struct fl_err *err) FL_MUST_CHECK;
/* Readable when fl_ws_client_receive may have something. */
int fl_ws_client_fd(const struct fl_ws_client *client);
/* Is this head (without its last two line ends) the answer to an upgrade with that key, for this
 * subprotocol (NULL: none)? Codes as of fl_ws_client_open. Any thread. */
enum fl_code fl_ws_check_head(struct fl_str head, struct fl_str key, const char *protocol,
                              struct fl_err *err) FL_MUST_CHECK;
/* Says 1000 if it is open, does not wait for the answer. Accepts NULL; nulls the pointer. */
void fl_ws_client_close(struct fl_ws_client **client);

#endif
