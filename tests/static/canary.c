/* Bugs that each of the static checks must report; never built into anything. */
#include <stdlib.h>
#include <string.h>

int fl_canary(const char *text);

int fl_canary(const char *text)
{
    char *copy = malloc(4), *other = NULL;
    int values[4] = { 0 };
    if (!copy)
        return *other;
    free(copy);
    copy[0] = text[0];
    return values[4] + (int)strlen(copy);
}
