// What on_cpu*.h include of the standard library and of the double, outside of the namespace that each kernel file gets.
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "executor.h"
