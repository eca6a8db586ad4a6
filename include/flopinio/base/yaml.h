/* YAML as people write it, into jansson trees with line numbers (libyaml). JSON is valid YAML.
 * Plain scalars are what the core schema says (YAML 1.2.2 section 10.3.2): null, ~ or nothing,
 * true, false, decimal integers and floats; quoted ones, yes, no, on, off, 12:30 and 1_000 are
 * strings. A policy that can be read in two ways must not load, so these are refused: duplicate and
 * non-string keys, anchors, aliases, tags, merge keys, directives, a second document, octal (017,
 * 0o17), hexadecimal and binary numbers, .inf and .nan, integers beyond 64 bits, floats that would
 * change in value, NUL. Any thread. */
#ifndef FLOPINIO_BASE_YAML_H
#define FLOPINIO_BASE_YAML_H

#include <jansson.h>

#include "flopinio/base/buf.h"
#include "flopinio/base/err.h"
#include "flopinio/base/str.h"

struct fl_yaml {
    json_t *root;                /* owned */
    struct fl_yaml_lines *lines; /* owned */
};

/* `name` stands in front of error texts ("policy.yaml line 12: ..."). At most 4 MiB, 100,000
 * values, depth 64. Nothing but comments is null. FL_CONFIG says what is wrong, FL_TOO_LARGE which
 * limit; FL_NOMEM. On failure `ret` is untouched; on success end it with fl_yaml_fini. */
enum fl_code fl_yaml_load(struct fl_str text, const char *name, struct fl_yaml *ret,
                          struct fl_err *err) FL_MUST_CHECK;
void fl_yaml_fini(struct fl_yaml *yaml);
/* The line (from 1) where the value at this JSON pointer starts; 0 if unknown. */
unsigned fl_yaml_line(const struct fl_yaml *yaml, const char *pointer);
/* Writes a tree as YAML that fl_yaml_load reads back equal, keys in their order: text that could be
 * taken for something else in quotes, text of several lines as a block. FL_TOO_LARGE beyond depth
 * 64, FL_BAD_PARAMS for a NUL in a string; `out` may then hold a part. */
enum fl_code fl_yaml_dump(const json_t *root, struct fl_buf *out, struct fl_err *err) FL_MUST_CHECK;

#endif
