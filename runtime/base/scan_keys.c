/* The set of keys of large objects: open addressing, keyed hash. One set serves a whole text; keys
 * of objects that have been closed stay in it, told apart by the object's number, because their
 * count is bounded by the text's and removing them would cost more. Called by the scanner. */
#include "flopinio/base/hash.h"
#include "flopinio/base/id.h"
#include "flopinio/base/mem.h"
#include "flopinio/base/scan.h"
#include "scan_priv.h"

#define FIRST_SLOTS 64

struct slot {
    uint64_t hash;     /* of the decoded key and the object's number */
    struct fl_str key; /* decoded: in the text or in the arena; p NULL = free */
    uint32_t object;
};

struct fl_scan_keys {
    struct fl_hash_key seed;
    struct fl_arena *arena; /* keys that had escapes */
    struct slot *slots;
    size_t slot_count; /* a power of two */
    size_t used;
};

void fl_scan_keys_free(struct fl_scan_keys **keys)
{
    if (!*keys)
        return;
    fl_arena_free(&(*keys)->arena);
    fl_free((*keys)->slots);
    fl_free(*keys);
    *keys = NULL;
}

static bool start(struct fl_scan_keys **keys)
{
    *keys = fl_calloc(1, sizeof **keys);
    if (!*keys)
        return false;
    fl_random(&(*keys)->seed, sizeof(*keys)->seed);
    (*keys)->arena = fl_arena_new(0);
    (*keys)->slots = fl_calloc(FIRST_SLOTS, sizeof *(*keys)->slots);
    (*keys)->slot_count = FIRST_SLOTS;
    return (*keys)->arena && (*keys)->slots; /* half-built is freed by the scan's end */
}

static bool grow(struct fl_scan_keys *keys)
{
    size_t count = keys->slot_count * 2;
    struct slot *slots = fl_calloc(count, sizeof *slots);
    if (!slots)
        return false;
    for (size_t i = 0; i < keys->slot_count; i++) {
        const struct slot *old = &keys->slots[i];
        if (!old->key.p)
            continue;
        size_t at = old->hash & (count - 1);
        while (slots[at].key.p)
            at = (at + 1) & (count - 1);
        slots[at] = *old;
    }
    fl_free(keys->slots);
    keys->slots = slots;
    keys->slot_count = count;
    return true;
}

enum fl_code fl_scan_keys_add(struct fl_scan_keys **set, uint32_t object, struct fl_str quoted)
{
    if (!*set && !start(set))
        return FL_NOMEM;
    struct fl_scan_keys *keys = *set;
    if (keys->used >= keys->slot_count / 2 && !grow(keys))
        return FL_NOMEM;
    struct fl_str key = fl_span_string(keys->arena, quoted);
    if (!key.p)
        return FL_NOMEM;
    /* The object's number goes into the key, so that the same key in many objects spreads. */
    struct fl_hash_key seed = { { keys->seed.k[0] ^ object, keys->seed.k[1] } };
    uint64_t hash = fl_hash(&seed, key);
    size_t at = hash & (keys->slot_count - 1);
    for (; keys->slots[at].key.p; at = (at + 1) & (keys->slot_count - 1)) {
        const struct slot *other = &keys->slots[at];
        if (other->hash == hash && other->object == object && fl_str_eq(other->key, key))
            return FL_CONFLICT;
    }
    keys->slots[at] = (struct slot){ hash, key, object };
    keys->used++;
    return FL_OK;
}
