/* The protocol's revisions and what each of them knows. "modern" is 2026-07-28 and later (no
 * session, everything in each request), "legacy" what came before (the initialize handshake).
 * Used by the whole folder and by runtime/endpoint. Any thread, no state. */
#ifndef FL_MCP_VERSION_H
#define FL_MCP_VERSION_H

#include <stdbool.h>

#include "flopinio/base/str.h"

/* Oldest first: later code compares them. X(name, text on the wire) */
#define FL_MCP_VERSIONS(X)                                                                         \
    X(2024_11_05, "2024-11-05")                                                                    \
    X(2025_03_26, "2025-03-26")                                                                    \
    X(2025_06_18, "2025-06-18")                                                                    \
    X(2025_11_25, "2025-11-25")                                                                    \
    X(2026_07_28, "2026-07-28")

enum fl_mcp_version {
    FL_MCP_NO_VERSION,
#define X(name, text) FL_MCP_##name,
    FL_MCP_VERSIONS(X)
#undef X
        FL_MCP_VERSION_END
};
#define FL_MCP_NEWEST_LEGACY FL_MCP_2025_11_25
#define FL_MCP_NEWEST        FL_MCP_2026_07_28

enum fl_mcp_era { FL_MCP_LEGACY, FL_MCP_MODERN };

/* The version matrix. X(feature, first version, last version) */
#define FL_MCP_FEATURES(X)                                                                         \
    X(BATCHES, 2025_03_26, 2025_03_26)          /* arrays of messages over HTTP */                 \
    X(ANNOTATIONS, 2025_03_26, 2026_07_28)      /* of tools */                                     \
    X(AUDIO, 2025_03_26, 2026_07_28)            /* content */                                      \
    X(PROGRESS_MESSAGE, 2025_03_26, 2026_07_28) /* text beside the number */                       \
    X(COMPLETIONS, 2025_03_26, 2026_07_28)      /* as a declared capability */                     \
    X(TITLES, 2025_06_18, 2026_07_28)           /* of tools and of the server */                   \
    X(STRUCTURED, 2025_06_18, 2026_07_28)       /* outputSchema, structuredContent */              \
    X(RESOURCE_LINKS, 2025_06_18, 2026_07_28)   /* content */                                      \
    X(TOOL_META, 2025_06_18, 2026_07_28)        /* _meta of a tool */                              \
    X(ICONS, 2025_11_25, 2026_07_28)            /* of tools */                                     \
    X(SSE_PRIMING, 2025_11_25, 2025_11_25)      /* first event without data; older ones choke */   \
    X(ANY_STRUCTURED, 2026_07_28, 2026_07_28)   /* structuredContent need not be an object */      \
    X(RESULT_TYPE, 2026_07_28, 2026_07_28)      /* resultType, cache hints, serverInfo */

enum fl_mcp_feature {
#define X(name, first, last) FL_MCP_HAS_##name,
    FL_MCP_FEATURES(X)
#undef X
        FL_MCP_FEATURE_COUNT
};

/* FL_MCP_NO_VERSION if we do not know it. */
enum fl_mcp_version fl_mcp_version_parse(struct fl_str text);
const char *fl_mcp_version_text(enum fl_mcp_version version);
bool fl_mcp_has(enum fl_mcp_version version, enum fl_mcp_feature feature);
/* What `initialize` answers: the version asked for if it is a legacy one that we know, else our
 * newest legacy one. A handshake never leads to a modern version (2025-11-25, lifecycle). */
enum fl_mcp_version fl_mcp_version_negotiate(struct fl_str requested);

static inline enum fl_mcp_era fl_mcp_era_of(enum fl_mcp_version version)
{
    return version > FL_MCP_NEWEST_LEGACY ? FL_MCP_MODERN : FL_MCP_LEGACY;
}

#endif
