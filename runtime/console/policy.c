#include "runtime/console/api.h"
const struct fl_api_route fl_api_policy[] = { { .pattern = NULL } };
