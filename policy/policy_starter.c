/* The document that `init` writes. */
#include "policy/policy.h"

#define HEAD                                                                                       \
    "# What agents may do here. The first rule that matches a call decides;\n"                     \
    "# a call that no rule matches is denied. Try it without calling anything:\n"                  \
    "#     flopinio policy test FILE --call '{\"tool\": \"files__read\", \"arguments\": {}}'\n"    \
    "# Tools that nobody accepted, and tools that changed since, are denied whatever\n"            \
    "# stands here.\n"                                                                             \
    "version: 1\n"                                                                                 \
    "\n"                                                                                           \
    "# For every rule below that asks, unless it says otherwise.\n"                                \
    "defaults:\n"                                                                                  \
    "  thresholds:\n"                                                                              \
    "    - approve: 1\n"                                                                           \
    "  notify: [inbox]\n"                                                                          \
    "  expires: 4h\n"

#define SOLO                                                                                       \
    "  # One person runs this, so an agent's owner decides. Remove this line when a\n"             \
    "  # second person joins.\n"                                                                   \
    "  owner_may_approve: true\n"

#define RULES                                                                                      \
    "\n"                                                                                           \
    "rules:\n"                                                                                     \
    "  # Tools accepted as reads (flopinio tool accept) run at once.\n"                            \
    "  - name: reads\n"                                                                            \
    "    tools: [\"*\"]\n"                                                                         \
    "    effect: allow\n"                                                                          \
    "\n"                                                                                           \
    "  # Everything else waits until a person decides.\n"                                          \
    "  - name: destroys\n"                                                                         \
    "    tools: [\"*\"]\n"                                                                         \
    "    when: tool.destroys\n"                                                                    \
    "    effect: ask\n"                                                                            \
    "    reason: what this deletes or overwrites cannot be brought back\n"                         \
    "    ask:\n"                                                                                   \
    "      risk: high\n"                                                                           \
    "\n"                                                                                           \
    "  - name: writes\n"                                                                           \
    "    tools: [\"*\"]\n"                                                                         \
    "    effect: ask\n"

const char *fl_policy_starter(bool is_solo)
{
    return is_solo ? HEAD SOLO RULES : HEAD RULES;
}
