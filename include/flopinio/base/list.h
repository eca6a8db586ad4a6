/* Intrusive doubly linked list. A state is often just membership of a list. Not shared between
 * threads. A link that is in no list points at itself (or is zero, before fl_list_init). */
#ifndef FLOPINIO_BASE_LIST_H
#define FLOPINIO_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct fl_list {
    struct fl_list *next, *prev;
};

#define FL_CONTAINER(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

static inline void fl_list_init(struct fl_list *l)
{
    l->next = l->prev = l;
}

static inline bool fl_list_is_empty(const struct fl_list *l)
{
    return l->next == l || l->next == NULL;
}

static inline bool fl_list_is_linked(const struct fl_list *l)
{
    return !fl_list_is_empty(l);
}

static inline void fl_list_insert_before(struct fl_list *at, struct fl_list *item)
{
    item->prev = at->prev;
    item->next = at;
    at->prev->next = item;
    at->prev = item;
}

static inline void fl_list_push_back(struct fl_list *head, struct fl_list *item)
{
    fl_list_insert_before(head, item);
}

static inline void fl_list_push_front(struct fl_list *head, struct fl_list *item)
{
    fl_list_insert_before(head->next, item);
}

/* Harmless on a link that is in no list. */
static inline void fl_list_remove(struct fl_list *item)
{
    if (item->next == NULL)
        return;
    item->prev->next = item->next;
    item->next->prev = item->prev;
    fl_list_init(item);
}

/* Moves all of `from` to the end of `to`; `from` is empty after. */
static inline void fl_list_splice(struct fl_list *to, struct fl_list *from)
{
    if (fl_list_is_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    fl_list_init(from);
}

#define FL_LIST_FOREACH(pos, head)                                                                 \
    for (struct fl_list *pos = (head)->next; pos != (head); pos = pos->next)
/* The current item may be removed or freed inside the body. */
#define FL_LIST_FOREACH_SAFE(pos, head)                                                            \
    for (struct fl_list *pos = (head)->next, *pos##_next = pos->next; pos != (head);               \
         pos = pos##_next, pos##_next = pos->next)

#endif
