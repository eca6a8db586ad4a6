/* A host for plugins under test: answers their questions from jansson trees and keeps what they
 * say. One thread drives; the job functions may be called from any thread, as plugin.h promises. */
#ifndef FL_TEST_FAKE_HOST_H
#define FL_TEST_FAKE_HOST_H

#include <jansson.h>
#include <pthread.h>

#include "flopinio/base/buf.h"
#include "flopinio/plugin.h"

struct fake_host {
    struct flopinio_host table; /* what the plugin gets */
    json_t *config;
    struct fl_buf log; /* one line each */
};

struct flopinio_job {
    pthread_mutex_t lock; /* of everything below */
    pthread_cond_t ended;
    json_t *args;
    json_t *borrowed; /* texts handed to the plugin, until the job is freed */
    const char *precondition;
    int is_cancelled;
    /* what the plugin said */
    json_t *content;     /* as an MCP content array; media bytes stay raw in `media` */
    struct fl_buf media; /* of the last media() */
    json_t *structured;  /* NULL = none */
    json_t *progress;    /* [progress, total, message] each */
    json_t *messages;    /* {level, logger, data} each */
    int error_code;
    struct fl_buf error, preview_text, preview_diff;
    char bound[FLOPINIO_PRECONDITION_MAX + 1]; /* preview_precondition; "" = none */
    enum flopinio_outcome outcome;
    int done;                                     /* times; the fake fails the test above one */
    void (*on_message)(struct flopinio_job *job); /* hooks for tests; may be NULL */
};

/* config: JSON text. */
void fake_host_init(struct fake_host *host, const char *config);
void fake_host_fini(struct fake_host *host);

/* args: JSON text; precondition may be NULL. Starts and does not wait. Free with fake_job_free. */
struct flopinio_job *fake_start(const struct flopinio_tool *tool, flopinio_instance *in,
                                const char *args, const char *precondition);
struct flopinio_job *fake_preview(const struct flopinio_tool *tool, flopinio_instance *in,
                                  const char *args);
/* A job that nobody has started: for tests that set it up first. */
struct flopinio_job *fake_job_new(const char *args, const char *precondition);
/* Waits for done(), at most 30 s. */
void fake_wait(struct flopinio_job *job);
void fake_job_free(struct flopinio_job **job);

/* The text of the n-th content item, "" if it is no text. */
const char *fake_text(const struct flopinio_job *job, size_t n);
const struct flopinio_tool *fake_tool(const struct flopinio_plugin *plugin, const char *name);

/* Checks that the description is one that a host would take: sizes, names, schemas that are JSON
 * objects. Fails the test, naming the tool. Returns the number of tools. */
size_t fake_check_plugin(const struct flopinio_plugin *plugin);
/* The part of JSON Schema that the plugins' output schemas use: type, properties, required,
 * additionalProperties, items, enum. */
bool fake_conforms(const json_t *schema, const json_t *value);
/* structuredContent obeys the tool's output schema. */
void fake_check_structured(const struct flopinio_tool *tool, const struct flopinio_job *job);

#endif
