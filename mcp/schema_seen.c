/* Sets of members and items that have been evaluated, for unevaluatedProperties and
 * unevaluatedItems. Small ones live in the run itself. For schema_eval*.c. */
#include <string.h>

#include "flopinio/base/mem.h"
#include "mcp/schema_eval.h"

#define MAX_OWNED_BYTES (4 * 1024 * 1024) /* in one validation, at a time */

static size_t words_for(size_t count)
{
    return count / 64 + 1;
}

enum fl_schema_verdict fl_schema_seen_open(struct fl_schema_run *run, struct fl_schema_seen *seen,
                                           size_t count)
{
    size_t words = words_for(count), bytes = words * sizeof(uint64_t);
    *seen = (struct fl_schema_seen){ .count = count };
    if (run->steps < words)
        return fl_schema_stop(run, FL_TOO_LARGE, NULL);
    run->steps -= (uint32_t)words;
    if (words <= FL_SEEN_WORDS - run->words_used) {
        seen->words = run->words + run->words_used;
        run->words_used += words;
        memset(seen->words, 0, bytes);
        return FL_FITS;
    }
    if (bytes > MAX_OWNED_BYTES - run->bytes_owned)
        return fl_schema_stop(run, FL_TOO_LARGE, NULL);
    seen->words = fl_calloc(words, sizeof(uint64_t));
    if (!seen->words)
        return fl_schema_stop(run, FL_NOMEM, NULL);
    seen->is_owned = true;
    run->bytes_owned += bytes;
    return FL_FITS;
}

void fl_schema_seen_close(struct fl_schema_run *run, struct fl_schema_seen *from,
                          struct fl_schema_seen *to)
{
    size_t words = words_for(from->count);
    if (!from->words)
        return; /* it was not opened */
    if (to) {
        FL_ASSERT(to->count == from->count);
        to->is_all = to->is_all || from->is_all;
        for (size_t i = 0; i < words; i++)
            to->words[i] |= from->words[i];
    }
    if (from->is_owned) {
        run->bytes_owned -= words * sizeof(uint64_t);
        fl_free(from->words);
    } else {
        FL_ASSERT(from->words + words == run->words + run->words_used);
        run->words_used -= words;
    }
    from->words = NULL;
}
