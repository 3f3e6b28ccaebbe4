// What the handles of the C ABI point to.
#pragma once
#include "device.h"
#include "lk_moe.h"
#include "matrix.h"
#include "memory.h"

struct lk_device {
    lk::Device device;
};

struct lk_buffer {
    lk::Block block;
};

struct lk_matrix {
    lk::Matrix matrix;
    lk::Placement placement;
};

struct lk_experts {
    lk::ExpertBank bank;
    lk::Placement placement;
};
