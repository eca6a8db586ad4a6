/* Locked pages for secrets. */
#include "runtime/crypto/secret.h"

#include <openssl/crypto.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

/* Stands at the start of the page; zero after a fork. */
static const uint64_t alive = 0x5ec9e7a11fe15e7bULL;

static _Atomic unsigned unlocked_count;

enum fl_code fl_secret_init(struct fl_secret *secret, size_t n, struct fl_err *err)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t mapped;
    if (__builtin_add_overflow(n, sizeof alive + page - 1, &mapped))
        return fl_err_code(err, FL_NOMEM);
    mapped -= mapped % page;
    void *p = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return fl_err_code(err, FL_NOMEM);
    /* A kernel without these advices would put keys into core dumps and children: not ours. */
    if (madvise(p, mapped, MADV_DONTDUMP) != 0 || madvise(p, mapped, MADV_WIPEONFORK) != 0) {
        munmap(p, mapped);
        return fl_err_set(err, FL_INTERNAL, "this kernel cannot keep secrets out of core dumps");
    }
    bool is_locked = mlock(p, mapped) == 0;
    if (!is_locked)
        atomic_fetch_add(&unlocked_count, 1);
    memcpy(p, &alive, sizeof alive);
    *secret = (struct fl_secret){ .page = p, .mapped = mapped, .n = n, .is_locked = is_locked };
    return FL_OK;
}

uint8_t *fl_secret_bytes(const struct fl_secret *secret)
{
    if (!secret->page) {
        FL_ASSERT(secret->n == 0);
        return NULL;
    }
    FL_ASSERT(memcmp(secret->page, &alive, sizeof alive) == 0);
    return secret->page + sizeof alive;
}

struct fl_str fl_secret_view(const struct fl_secret *secret)
{
    return (struct fl_str){ (const char *)fl_secret_bytes(secret), secret->n };
}

void fl_secret_fini(struct fl_secret *secret)
{
    if (secret->page) {
        fl_cleanse(secret->page, secret->mapped);
        munmap(secret->page, secret->mapped); /* unlocks too */
    }
    *secret = (struct fl_secret){ 0 };
}

unsigned fl_secret_unlocked(void)
{
    return atomic_load(&unlocked_count);
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define IS_SANITIZED 1
#endif
#endif

void fl_secret_process(void)
{
    struct rlimit none = { 0, 0 };
    (void)setrlimit(RLIMIT_CORE, &none);
#ifndef IS_SANITIZED
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
}

void fl_cleanse(void *bytes, size_t n)
{
    if (n)
        OPENSSL_cleanse(bytes, n);
}
