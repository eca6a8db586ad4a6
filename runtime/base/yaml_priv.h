/* What reading and writing YAML share: which value a plain (unquoted) scalar is. */
#ifndef FL_BASE_YAML_PRIV_H
#define FL_BASE_YAML_PRIV_H

#include "flopinio/base/str.h"

#define FL_YAML_DEPTH_MAX 64

enum fl_yaml_plain {
    FL_YAML_NULL,
    FL_YAML_TRUE,
    FL_YAML_FALSE,
    FL_YAML_INT,
    FL_YAML_FLOAT,
    FL_YAML_UNCLEAR, /* a number to some readers of YAML and another one or none to others */
    FL_YAML_STRING
};
/* YAML 1.2.2 section 10.3.2 (core schema), less octal and hexadecimal. */
enum fl_yaml_plain fl_yaml_plain(struct fl_str text);

#endif
