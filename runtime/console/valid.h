/* What names, titles and the like may look like: the same for single requests and for whole
 * documents (apply.h). Pure; loop thread only because of the arena. */
#ifndef FLOPINIO_CONSOLE_VALID_H
#define FLOPINIO_CONSOLE_VALID_H

#include "flopinio/base/arena.h"
#include "flopinio/base/json.h"

#define FL_VALID_TITLE_MAX  200
#define FL_VALID_LABELS_MAX 32

/* 1 to 63 of a-z, 0-9 and hyphens (with `may_have_dots` '.' and '_' too), first a letter or digit.
 */
bool fl_is_name(struct fl_str s, bool may_have_dots);
/* 1 to 32 of a-z, 0-9 and hyphens, no hyphen first. */
bool fl_is_server_name(struct fl_str s);
/* One line of at most FL_VALID_TITLE_MAX bytes; may be empty. */
bool fl_is_title(struct fl_str s);
/* A title with something on both sides of an '@', or empty. */
bool fl_is_email(struct fl_str s);
/* An object of at most FL_VALID_LABELS_MAX short texts. */
bool fl_are_labels(const json_t *value);
/* A list of at most 64 JSON pointers, none of them the whole. */
bool fl_are_pointers(const json_t *value);
/* Could a tool with this definition be called and shown? FL_BAD_PARAMS: its schema does not
 * compile, or its card's sentence cannot be read; FL_NOMEM. */
enum fl_code fl_definition_is_usable(struct fl_str definition, struct fl_err *err) FL_MUST_CHECK;
/* Canonical JSON of what fl_are_labels takes, for audit leaves too; p NULL on no memory. */
struct fl_str fl_labels_text(struct fl_arena *arena, const json_t *labels);
/* Compact JSON in the arena; p NULL on no memory. */
struct fl_str fl_json_text(struct fl_arena *arena, const json_t *value);

#endif
