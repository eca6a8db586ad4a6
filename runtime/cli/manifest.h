/* What stands beside a dump: DIR/manifest.json. Blocking. */
#ifndef FLOPINIO_CLI_MANIFEST_H
#define FLOPINIO_CLI_MANIFEST_H

#include <jansson.h>

#include "flopinio/base/buf.h"
#include "flopinio/base/err.h"
#include "runtime/store/dump.h"

#define FL_MANIFEST_DUMP "database.dump"
#define FL_MANIFEST_KEYS "keys"

/* Of the dump that lies in `dir` already. */
enum fl_code fl_manifest_write(const char *dir, const struct fl_dump_facts *facts, bool has_keys,
                               struct fl_err *err) FL_MUST_CHECK;
/* A new reference; one that this program can restore, and whose dump is as it was written.
 * FL_CONFIG says what is wrong. */
enum fl_code fl_manifest_read(const char *dir, json_t **ret, struct fl_err *err) FL_MUST_CHECK;
/* Borrowed: {"key id": "value in base64"}. */
const json_t *fl_manifest_key_checks(const json_t *manifest);
/* "1, 2 and the index key": which keys a backup needs. */
void fl_manifest_key_names(const json_t *key_checks, struct fl_buf *out);

#endif
