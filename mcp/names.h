/* Names of published tools. Hosts differ in what they accept; [A-Za-z0-9_-]{1,64} is what all of
 * them take. Called by the tool registry. Any thread, no state. */
#ifndef FL_MCP_NAMES_H
#define FL_MCP_NAMES_H

#include <stdint.h>

#include "flopinio/base/err.h"
#include "flopinio/base/str.h"

#define FL_MCP_TOOL_NAME_MAX 64

bool fl_mcp_tool_name_is_valid(struct fl_str name);

/* The published name of tool `tool` of instance `instance`: "<instance>__<tool>". When that has
 * another character than allowed, or is too long, such characters become '_', it is cut, and '_'
 * and the first 6 hex digits of `sha256` stand at the end, so that two different tools do not
 * meet in one name by accident. `sha256` is of the bytes "<instance>__<tool>". A pure function of
 * its inputs; the registry keeps the way back and refuses what collides all the same.
 * FL_BAD_PARAMS when a part is empty or not UTF-8, or the instance is not [a-z0-9-]{1,32}. */
enum fl_code fl_mcp_publish_name(struct fl_str instance, struct fl_str tool,
                                 const uint8_t sha256[32], char out[FL_MCP_TOOL_NAME_MAX + 1],
                                 struct fl_err *err) FL_MUST_CHECK;

#endif
