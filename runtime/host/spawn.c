/* What a slot runs: a child process on the other end of a socket, or for an in-process instance a
 * thread with the same loop on the other end of a pipe in memory. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "flopinio/base/mem.h"
#include "runtime/host/host_priv.h"
#include "runtime/host/pipe.h"
#include "runtime/host/serve.h"

#define ENVIRONMENT_MAX 64
#define LEFT_BEHIND_MAX 8

/* ---- process ---- */

static void on_line(struct fl_child *child, struct fl_str line, uint64_t dropped)
{
    struct fl_slot *slot = FL_CONTAINER(child, struct fl_slot, child);
    FL_SLOT_LOG(INFO, "plugin_output", slot, FL_KI("dropped", dropped), FL_KV("text", line));
}

static void on_child_end(struct fl_child *child)
{
    struct fl_slot *slot = FL_CONTAINER(child, struct fl_slot, child);
    char how[128];
    fl_child_end_text(child, how, sizeof how);
    bool is_ours = child->exit_signal == SIGKILL && slot->has_closed_socket;
    fl_slot_on_ended(slot, is_ours ? "was killed, because it had closed its socket" : how,
                     child->exit_signal == 0 && child->exit_code == 0);
}

/* NAME=value of the allowed names that are set; what is filled is freed by free_environment. */
static bool make_environment(const char *const *names, char **out)
{
    size_t count = 0;
    for (; names && *names && count < ENVIRONMENT_MAX; names++) {
        const char *value = getenv(*names);
        if (!value)
            continue;
        size_t n = strlen(*names) + strlen(value) + 2;
        if ((out[count] = fl_malloc(n)) == NULL)
            return false;
        snprintf(out[count++], n, "%s=%s", *names, value);
    }
    return true;
}

static void free_environment(char **environment)
{
    for (size_t i = 0; i < ENVIRONMENT_MAX; i++)
        fl_free(environment[i]);
}

static enum fl_code start_process(struct fl_slot *slot, int their_fd, struct fl_err *err)
{
    const struct fl_host_instance *instance = slot->instance;
    char *arguments[] = { instance->host->program, (char[]){ "plugin-host" }, NULL };
    char *environment[ENVIRONMENT_MAX + 1] = { 0 };
    struct fl_child_options options = {
        .program = instance->host->program,
        .arguments = arguments,
        .environment = environment,
        .fds = { FL_CHILD_NULL, FL_CHILD_OUTPUT, FL_CHILD_OUTPUT, their_fd },
        .kills_strays = true,
    };
    enum fl_code code = FL_OK;
    slot->child.on_line = on_line;
    slot->child.on_end = on_child_end;
    if (!make_environment(instance->config.sandbox.environment, environment))
        code = fl_err_code(err, FL_NOMEM);
    else
        code = fl_child_start(&slot->child, instance->host->loop, &options, err);
    free_environment(environment);
    close(their_fd);
    return code;
}

/* ---- thread ---- */

/* Threads that were left behind and have not ended since. */
static _Atomic unsigned left_behind;

struct fl_host_thread {
    pthread_t id;
    struct fl_pipe *pipe; /* its reference */
    struct fl_loop *loop;
    struct fl_post ended;
    pthread_mutex_t lock; /* of what follows */
    struct fl_slot *slot; /* NULL once it is left behind */
    bool has_ended;       /* `ended` is posted */
};

static void free_thread(struct fl_host_thread *thread)
{
    pthread_mutex_destroy(&thread->lock);
    fl_free(thread);
}

static void on_thread_ended(struct fl_post *post)
{
    struct fl_host_thread *thread = FL_CONTAINER(post, struct fl_host_thread, ended);
    struct fl_slot *slot = thread->slot;
    pthread_join(thread->id, NULL);
    free_thread(thread);
    slot->thread = NULL;
    fl_slot_on_ended(slot, "ended by itself", true);
}

static void *thread_main(void *arg)
{
    struct fl_host_thread *thread = arg;
    fl_serve_thread(thread->pipe);
    pthread_mutex_lock(&thread->lock);
    thread->has_ended = thread->slot != NULL;
    bool is_left_behind = !thread->has_ended;
    if (thread->has_ended)
        fl_loop_post_remote(thread->loop, &thread->ended);
    pthread_mutex_unlock(&thread->lock);
    if (is_left_behind) {
        atomic_fetch_sub(&left_behind, 1);
        free_thread(thread);
    }
    return NULL;
}

static int create_thread(struct fl_host_thread *thread)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the loop's */
    int rc = pthread_create(&thread->id, NULL, thread_main, thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

static enum fl_code start_thread(struct fl_slot *slot, struct fl_err *err)
{
    unsigned hanging = atomic_load(&left_behind);
    if (hanging >= LEFT_BEHIND_MAX)
        return fl_err_set(err, FL_PLUGIN,
                          "%u plugin threads in this process do not end: restart the worker",
                          hanging);
    struct fl_loop *loop = slot->instance->host->loop;
    struct fl_host_thread *thread = fl_calloc(1, sizeof *thread);
    struct fl_pipe *pipe = thread ? fl_pipe_new(loop, fl_slot_on_pipe, slot) : NULL;
    if (!pipe) {
        fl_free(thread);
        return fl_err_code(err, FL_NOMEM);
    }
    thread->pipe = pipe; /* ended by fl_serve_thread */
    thread->loop = loop;
    thread->slot = slot;
    thread->ended.run = on_thread_ended;
    pthread_mutex_init(&thread->lock, NULL);
    slot->pipe = pipe;
    int rc = create_thread(thread);
    if (rc) {
        fl_pipe_leave(&slot->pipe);
        fl_pipe_end(&pipe);
        free_thread(thread);
        return fl_err_set(err, FL_IO, "could not start a thread: %s", strerror(rc));
    }
    slot->thread = thread;
    return FL_OK;
}

/* A thread cannot be killed. It is forgotten, with all that it holds, and frees that if it ever
 * ends; its pipe is closed, so that nothing that it may still say is heard. */
static void leave_behind(struct fl_slot *slot)
{
    struct fl_host_thread *thread = slot->thread;
    pthread_mutex_lock(&thread->lock);
    bool has_ended = thread->has_ended;
    if (!has_ended) {
        thread->slot = NULL;
        pthread_detach(thread->id);
    }
    pthread_mutex_unlock(&thread->lock);
    if (has_ended)
        return; /* at the last moment: its post comes */
    unsigned in_all = atomic_fetch_add(&left_behind, 1) + 1;
    slot->thread = NULL;
    FL_SLOT_LOG(ERROR, "plugin_thread_left_behind", slot, FL_KI("in_all", in_all));
    fl_slot_on_ended(slot, "did not end and was left behind", false);
}

/* ---- either ---- */

enum fl_code fl_slot_spawn(struct fl_slot *slot, struct fl_err *err)
{
    int fds[2];
    if (slot->instance->config.is_in_process)
        return start_thread(slot, err);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0)
        return fl_err_set(err, FL_IO, "could not make a socket: %s", strerror(errno));
    slot->fd = fds[0];
    enum fl_code code = start_process(slot, fds[1], err);
    if (code) {
        close(slot->fd);
        slot->fd = -1;
        return code;
    }
    if (!fl_slot_watch(slot))
        fl_slot_kill(slot, FL_IO, "could not watch the plugin's socket");
    return FL_OK;
}

void fl_slot_force_end(struct fl_slot *slot)
{
    if (slot->thread)
        fl_pipe_shut(slot->pipe);
    else
        fl_child_kill(&slot->child, SIGKILL);
}

void fl_slot_lose_patience(struct fl_slot *slot)
{
    if (slot->thread) {
        leave_behind(slot);
        return;
    }
    struct fl_err err;
    fl_err_set(&err, FL_PLUGIN, "the plugin process was killed and does not go");
    fl_calls_end_running(slot, &err);
}
