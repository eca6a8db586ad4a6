/* The structured log: one event, one line, on stderr. Libraries return, flows log. Help for
 * operators, never evidence (that is the audit). Lines carry no tool arguments and no secrets;
 * control characters are escaped, values are cut at 400 bytes. Any thread.
 *
 *   FL_LOG(INFO, "http_listen", FL_KS("address", addr), FL_KI("port", port));
 *   -> 2026-11-23T16:30:00.123Z info http_listen address=127.0.0.1 port=7337
 * or, with the format json: {"at":...,"level":"info","event":"http_listen","address":...} */
#ifndef FLOPINIO_BASE_LOG_H
#define FLOPINIO_BASE_LOG_H

#include <stdint.h>

#include "flopinio/base/id.h"
#include "flopinio/base/str.h"

enum fl_log_level { FL_LOG_DEBUG, FL_LOG_INFO, FL_LOG_WARN, FL_LOG_ERROR, FL_LOG_OFF };
enum fl_log_format { FL_LOG_TEXT, FL_LOG_JSON };

struct fl_kv {
    const char *key; /* NULL ends the list */
    enum { FL_KV_STR, FL_KV_INT, FL_KV_UUID } type;
    struct fl_str str;
    int64_t num;
    const struct fl_uuid *id;
};

#define FL_KS(k, v)                                                                                \
    {                                                                                              \
        .key = (k), .type = FL_KV_STR, .str = fl_str_of(v)                                         \
    }
#define FL_KV(k, v)                                                                                \
    {                                                                                              \
        .key = (k), .type = FL_KV_STR, .str = (v)                                                  \
    }
#define FL_KI(k, v)                                                                                \
    {                                                                                              \
        .key = (k), .type = FL_KV_INT, .num = (int64_t)(v)                                         \
    }
#define FL_KU(k, v)                                                                                \
    {                                                                                              \
        .key = (k), .type = FL_KV_UUID, .id = (v)                                                  \
    }

#define FL_LOG(level, event, ...)                                                                  \
    do {                                                                                           \
        if (FL_LOG_##level >= fl_log_level())                                                      \
            fl_log_write(FL_LOG_##level, (event), (const struct fl_kv[]){ __VA_ARGS__, { 0 } });   \
    } while (0)

void fl_log_init(enum fl_log_level level, enum fl_log_format format);
enum fl_log_level fl_log_level(void);
bool fl_log_level_parse(struct fl_str text, enum fl_log_level *ret);
/* Written in front of each line's pairs: "supervisor", "worker-2"; copied. */
void fl_log_process_name(const char *name);
void fl_log_write(enum fl_log_level level, const char *event, const struct fl_kv *pairs);

#endif
