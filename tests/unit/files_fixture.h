/* A directory tree in a temporary place and an instance of the files plugin on it. */
#ifndef FL_TEST_FILES_FIXTURE_H
#define FL_TEST_FILES_FIXTURE_H

#include "fake_host.h"

struct files {
    char base[64];    /* a new directory; "root" and "outside" are in it */
    char root[80];    /* what the instance serves */
    char outside[80]; /* beside it: nothing may get there */
    struct fake_host host;
    flopinio_instance *in;
};

/* extra: members of the configuration beside root, for instance "\"read_only\": true", or "". */
void files_open(struct files *f, const char *extra);
/* Closes the instance and removes the tree. */
void files_close(struct files *f);

/* One call: the arguments as printf, waits, checks the output schema. The job must be freed. */
struct flopinio_job *files_call(struct files *f, const char *tool, const char *precondition,
                                const char *args, ...) FL_PRINTF(4, 5);
struct flopinio_job *files_preview(struct files *f, const char *tool, const char *args, ...)
    FL_PRINTF(3, 4);
/* The outcome and the first text of one call. Texts live until the next of these. */
void files_expect(struct files *f, const char *tool, const char *precondition, const char *args,
                  enum flopinio_outcome outcome, const char *text);

/* Paths below root; "../outside/x" works. All fail the case when they cannot. */
void files_put(struct files *f, const char *path, const void *bytes, size_t n);
void files_put_text(struct files *f, const char *path, const char *text);
void files_mkdir(struct files *f, const char *path);
void files_symlink(struct files *f, const char *target, const char *path);
bool files_exists(struct files *f, const char *path);
/* The content is exactly this; NULL: there is no such file. */
void files_holds(struct files *f, const char *path, const char *text);
const char *files_path(struct files *f, const char *path); /* static buffers, four in turn */
/* Everything below base as one text: names, modes, sizes, times, contents' digests. Two that are
 * the same mean that nothing was changed. Free with free(). */
char *files_snapshot(struct files *f);

#define FILES_EXPECT_ERROR(f, tool, args, text)                                                    \
    files_expect(f, tool, NULL, args, FLOPINIO_TOOL_ERROR, text)

#endif
