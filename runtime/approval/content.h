/* The sealed contents of an approval's row, and the digest that binds them to what was approved.
 * The arguments are sealed together with the binding digest, and with what their server was at that
 * time: somebody who can write the database but has no key can neither change the arguments nor
 * what they are bound to, unnoticed. */
#ifndef FLOPINIO_APPROVAL_CONTENT_H
#define FLOPINIO_APPROVAL_CONTENT_H

#include "runtime/approval/core.h"
#include "runtime/store/approval.h"

/* Seals `plain` for a column of an approval into the arena. */
enum fl_code fl_content_seal(const struct fl_core *core, const struct fl_uuid *organization,
                             const struct fl_uuid *approval, const char *column,
                             struct fl_str plain, struct fl_arena *arena, struct fl_str *ret,
                             struct fl_err *err) FL_MUST_CHECK;
/* Opens a column; a sealed p NULL gives p NULL. FL_BAD_KEY. */
enum fl_code fl_content_open(const struct fl_core *core, const struct fl_uuid *organization,
                             const struct fl_uuid *approval, const char *column,
                             struct fl_str sealed, struct fl_arena *arena, struct fl_str *ret,
                             struct fl_err *err) FL_MUST_CHECK;
/* Makes salt and digest of a new row and seals its canonical arguments with them; fills
 * row->binding_salt, binding_digest, arguments, arguments_bytes, from the members that are bound.
 */
enum fl_code fl_content_bind(const struct fl_core *core, struct fl_approval_new *row,
                             struct fl_str arguments, struct fl_arena *arena,
                             struct fl_err *err) FL_MUST_CHECK;
struct fl_content_call {
    struct fl_str arguments;         /* in the arena; whoever is done with them cleanses them */
    uint8_t server[FL_DIGEST_BYTES]; /* fl_org_server.digest when it was asked for */
};
/* Opens the arguments and makes the digest again from the row. FL_BAD_KEY; FL_CONFLICT: the row is
 * not what was stored. */
enum fl_code fl_content_arguments(const struct fl_core *core, const struct fl_uuid *organization,
                                  const struct fl_approval *row, struct fl_str sealed,
                                  struct fl_arena *arena, struct fl_content_call *ret,
                                  struct fl_err *err) FL_MUST_CHECK;

#endif
