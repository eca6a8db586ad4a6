/* YAML as people write it, into jansson trees with line numbers (libyaml). JSON is valid YAML.
 * The core schema's null, booleans, integers and floats for plain scalars; quoted ones are
 * strings. Duplicate keys, anchors, aliases, tags, multiple documents and non-string keys are
 * refused: a policy that can be read in two ways must not load. Any thread. */
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

/* `name` stands in front of error texts ("policy.yaml line 12: ..."). At most 4 MiB, depth 64. */
enum fl_code fl_yaml_load(struct fl_str text, const char *name, struct fl_yaml *ret,
                          struct fl_err *err) FL_MUST_CHECK;
void fl_yaml_fini(struct fl_yaml *yaml);
/* The line (from 1) where the value at this JSON pointer starts; 0 if unknown. */
unsigned fl_yaml_line(const struct fl_yaml *yaml, const char *pointer);
/* Writes a tree as YAML that fl_yaml_load reads back equal, keys in their order. */
enum fl_code fl_yaml_dump(const json_t *root, struct fl_buf *out, struct fl_err *err) FL_MUST_CHECK;

#endif
