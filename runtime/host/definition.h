/* What a plugin says about itself, checked and in one canonical form. The registry pins the digest
 * of each tool's definition, the endpoint lists the definition, approval binds to the digest.
 * Pure: text in, struct out. Any thread. */
#ifndef FLOPINIO_HOST_DEFINITION_H
#define FLOPINIO_HOST_DEFINITION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "flopinio/base/arena.h"
#include "flopinio/base/err.h"
#include "flopinio/base/str.h"
#include "flopinio/plugin.h"

#define FL_DEFINITION_DIGEST_BYTES 32

struct fl_definition {
    const char *name;  /* [A-Za-z0-9_-]{1,64} */
    const char *title; /* NULL if none */
    const char *description;
    const char *card; /* NULL if none */
    uint32_t effects; /* enum flopinio_effects as the tool declares them; never trusted */
    enum flopinio_task task;
    bool has_preview;
    bool has_output_schema;
    struct fl_str input_schema; /* as the plugin wrote it */
    /* RFC 8785: {"annotations":{"destructiveHint","idempotentHint","openWorldHint",
     * "readOnlyHint"},"card"?,"description","execution":{"taskSupport"},"hasPreview",
     * "inputSchema","isSlow"?,"name","outputSchema"?,"title"?}. All but `card`, `hasPreview` and
     * `isSlow` are MCP's own (Tool, 2025-11-25). */
    struct fl_str json;
    uint8_t digest[FL_DEFINITION_DIGEST_BYTES]; /* SHA-256 of json */
};

struct fl_description {
    struct fl_arena *arena; /* owns everything, this struct included */
    const char *name, *version, *description;
    const char *sandbox; /* one line: what confines the process; "" if it said nothing */
    bool is_sandboxed;   /* the kernel has Landlock and seccomp, in force */
    const struct fl_definition *tools; /* in the plugin's order */
    size_t tool_count;
};

/* Reads the description that a plugin process wrote (untrusted). FL_PLUGIN with one clear
 * sentence: a bad or duplicate name, a schema that is no JSON object, a number in a schema that
 * the canonical form would change, unknown effects, too many or too large; FL_NOMEM. */
enum fl_code fl_description_read(struct fl_str json, struct fl_description **ret,
                                 struct fl_err *err) FL_MUST_CHECK;
/* Accepts NULL and a pointer to NULL; nulls the pointer. */
void fl_description_free(struct fl_description **description);
/* NULL if there is no such tool. */
const struct fl_definition *fl_description_tool(const struct fl_description *description,
                                                const char *name);
/* Said to be a read: FLOPINIO_READS without WRITES and DESTROYS. Only a claim. */
bool fl_effects_claim_read(uint32_t effects);

#endif
